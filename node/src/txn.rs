//! What commands work on: the records of the slots they have entered, read and changed as one.
//!
//! Changes are collected in a batch that [`Txn::commit`] writes whole, under the slots' locks; dropping the transaction forgets them. Its own
//! reads see its own changes only if it was begun with [`Reads::Own`] (MULTI, and commands that may touch a record twice): single changes need
//! no overlay. Key counts, captured changes and watched keys are kept right here, so that no command can forget them.
//!
//! Rule for commands: whoever returns an error has changed nothing. [`Txn::changes`] lets the caller check that.

mod collection;
mod keys;
mod overlay;
mod random;
mod rename;
mod scan;
mod serve;

pub use collection::Collection;
pub use random::Picks;
pub use scan::{Direction, Flow, Span};

use crate::encoding::{Kind, Meta, Prefix, STRING_HEADER, meta_key};
use crate::engine::{Batch, EngineError, Family, Snapshot, Value};
use crate::error::{CommandError, line};
use crate::session::Watch;
use crate::shared::Shared;
use crate::slots::cache::Known;
use crate::slots::{Cell, Counts, SlotInner};
use crate::transfer::records::{Payload, Record};
use cluster::Slot;
use overlay::{Overlay, Seen};
use parking_lot::{RwLockReadGuard, RwLockWriteGuard};
use serve::Ready;
use service::failpoint;
use smallvec::SmallVec;
use std::cell::OnceCell;
use std::collections::VecDeque;

/// Buffers that one transaction after another uses; one set a thread.
#[derive(Debug, Default)]
pub struct Scratch {
    batch: Batch,
    key: Vec<u8>,
    value: Value,
    encoded: Vec<u8>,
}

/// What a transaction's reads see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// What is committed.
    Committed,
    /// Its own changes too.
    Own,
}

/// A slot's lock, held.
#[derive(Debug)]
pub enum Guard<'a> {
    Shared(RwLockReadGuard<'a, SlotInner>),
    Exclusive(RwLockWriteGuard<'a, SlotInner>),
    /// Let go: the transaction reads a snapshot.
    Released,
}

impl Guard<'_> {
    /// The slot, unless it was let go.
    pub fn inner(&self) -> Option<&SlotInner> {
        match self {
            Self::Shared(inner) => Some(inner),
            Self::Exclusive(inner) => Some(inner),
            Self::Released => None,
        }
    }
}

/// One slot of a transaction.
#[derive(Debug)]
struct Part<'a> {
    slot: Slot,
    cell: &'a Cell,
    incarnation: u32,
    prefix: Prefix,
    clock_ahead_ms: u64,
    /// The time for the slot, once somebody has asked: most commands do not.
    now_ms: OnceCell<u64>,
    guard: Guard<'a>,
    /// Key counts of the selected database, once the slot was let go.
    keys_when_released: Counts,
    /// Changes of key counts by database: keys, and those that expire.
    counts: SmallVec<[(u8, i64, i64); 1]>,
    captured: Option<Payload>,
    /// The keys that change, if somebody watches keys of the slot, or waits for them.
    changed: Option<Vec<(u8, Vec<u8>)>>,
}

/// Reads and changes of one command, or of all commands of an EXEC.
#[derive(Debug)]
pub struct Txn<'a> {
    shared: &'a Shared,
    scratch: &'a mut Scratch,
    parts: SmallVec<[Part<'a>; 1]>,
    overlay: Option<Overlay>,
    snapshot: Option<Snapshot<'a>>,
    /// The one part the running command is about, where commands follow each other: the others are done.
    focus: Option<usize>,
    /// The selected database.
    pub db: u8,
    changes: usize,
    /// Keys a read found expired; somebody should delete them.
    expired: Vec<(Slot, u8, Vec<u8>)>,
    /// Sketches whose estimate a read found out of date; somebody should keep a new one.
    stale: Vec<(Slot, u8, Vec<u8>)>,
    hits: u32,
    misses: u32,
    is_ended: bool,
}

impl Drop for Txn<'_> {
    fn drop(&mut self) {
        if !self.is_ended && !self.scratch.batch.is_empty() {
            self.forget_caches();
        }
    }
}

impl<'a> Txn<'a> {
    /// A transaction over slots that were entered, in ascending order.
    pub fn new(
        shared: &'a Shared,
        scratch: &'a mut Scratch,
        entered: impl IntoIterator<Item = (Slot, Guard<'a>)>,
        db: u8,
        reads: Reads,
    ) -> Self {
        scratch.batch.clear();
        let parts = entered.into_iter().filter_map(|(slot, guard)| Part::new(shared, slot, guard));
        let parts = parts.collect();
        let overlay = (reads == Reads::Own).then(Overlay::default);
        Self {
            shared,
            scratch,
            parts,
            overlay,
            snapshot: None,
            focus: None,
            db,
            changes: 0,
            expired: Vec::new(),
            stale: Vec::new(),
            hits: 0,
            misses: 0,
            is_ended: false,
        }
    }

    /// A command of this slot alone comes next; its reads do not see what the commands before it have changed. Returns whether the slot was
    /// entered already.
    pub(crate) fn go_to(&mut self, slot: Slot) -> bool {
        self.focus = self.parts.iter().position(|part| part.slot == slot);
        self.focus.is_some()
    }

    /// As [`Self::go_to`], for a slot that has just been entered. Slots may come in any order, so the transaction is not for commands of
    /// several slots, nor for slots with waiters.
    pub(crate) fn go_on_to(&mut self, slot: Slot, guard: Guard<'a>) {
        self.parts.extend(Part::new(self.shared, slot, guard));
        self.go_to(slot);
    }

    /// How many bytes [`Self::commit`] has to write.
    pub(crate) fn bytes(&self) -> usize {
        self.scratch.batch.bytes()
    }

    /// Whether reads see changes of this transaction; see [`Self::read_own`].
    pub(crate) fn reads_own(&self) -> bool {
        self.overlay.is_some()
    }

    /// Lets the slots go and reads them as they are now from here on. For long reads: they hold up nobody.
    pub fn detach(&mut self) {
        self.snapshot = Some(self.shared.engine.snapshot());
        for part in &mut self.parts {
            part.keys_when_released = part.committed(self.db);
            part.guard = Guard::Released;
        }
    }

    /// What all threads of the node share.
    pub fn shared(&self) -> &'a Shared {
        self.shared
    }

    /// From here on reads see the changes that follow. For commands that may touch a record twice.
    pub fn read_own(&mut self) {
        if self.overlay.is_none() {
            self.overlay = Some(Overlay::default());
        }
    }

    /// How many changes there are, without the removal of what had expired.
    pub fn changes(&self) -> usize {
        self.changes
    }

    /// Keys that reads found expired.
    pub fn take_expired(&mut self) -> Vec<(Slot, u8, Vec<u8>)> {
        std::mem::take(&mut self.expired)
    }

    /// Notes that the estimate of the sketch at `key` is out of date. If the slot may be written it is made anew at once.
    pub(crate) fn note_stale(&mut self, key: &[u8]) -> Result<(), CommandError> {
        let part = self.part(key)?;
        if matches!(self.parts[part].guard, Guard::Exclusive(_)) {
            return crate::command::refresh(self, key);
        }
        self.stale.push((self.parts[part].slot, self.db, key.to_vec()));
        Ok(())
    }

    /// Keys that [`Self::note_stale`] noted.
    pub(crate) fn take_stale(&mut self) -> Vec<(Slot, u8, Vec<u8>)> {
        std::mem::take(&mut self.stale)
    }

    /// How many keys were looked for and found, and not found.
    pub fn lookups(&self) -> (u32, u32) {
        (self.hits, self.misses)
    }

    /// The slots that were entered, with what is known of them.
    pub fn slots(&self) -> impl Iterator<Item = (Slot, &SlotInner)> {
        self.parts.iter().filter_map(|part| Some((part.slot, part.guard.inner()?)))
    }

    /// The time for a key, in milliseconds since 1970.
    pub fn now_ms(&self, key: &[u8]) -> Result<u64, CommandError> {
        Ok(self.parts[self.part(key)?].now_ms())
    }

    /// Whether a watched key is as it was.
    pub(crate) fn is_unchanged(&self, watch: &Watch) -> bool {
        let Ok(at) = self.parts.binary_search_by_key(&watch.slot, |part| part.slot) else {
            return false;
        };
        let Some(inner) = self.parts[at].guard.inner() else { return false };
        watch.is_unchanged(self.shared, inner)
    }

    /// Writes everything. Nothing is written if it fails.
    pub fn commit(mut self) -> Result<(), CommandError> {
        let result = self.commit_inner().map(|ready| {
            if !ready.is_empty() {
                self.serve(ready);
            }
        });
        if result.is_err() {
            self.forget_caches();
        }
        self.is_ended = true;
        self.scratch.batch.clear();
        result
    }

    /// Writes everything, and returns for which of the changed keys somebody waits.
    fn commit_inner(&mut self) -> Result<VecDeque<Ready>, CommandError> {
        for part in &mut self.parts {
            let Guard::Exclusive(inner) = &part.guard else { continue };
            for &(db, keys, expires) in &part.counts {
                let Some(now) = inner.counts.get(usize::from(db)) else { continue };
                let counts = Counts {
                    keys: now.keys.saturating_add_signed(keys),
                    expires: now.expires.saturating_add_signed(expires),
                };
                crate::slots::put_counts(
                    &self.shared.engine,
                    &mut self.scratch.batch,
                    part.prefix,
                    db,
                    counts,
                )?;
            }
        }
        if self.scratch.batch.is_empty() {
            return Ok(VecDeque::new());
        }
        let written = failpoint::check("node.write")
            .map_err(|injected| EngineError::Unwritable(injected.to_string()))
            .and_then(|()| self.shared.engine.write(&self.scratch.batch));
        if let Err(error) = written {
            self.shared.disk.note(&error);
            return Err(error.into());
        }
        self.shared.wal.wrote();
        let ready = self.ready();
        for part in &mut self.parts {
            part.tell();
        }
        Ok(ready)
    }

    /// What the caches were told of changes is not so.
    fn forget_caches(&self) {
        for part in &self.parts {
            part.cell.cache().clear(self.shared.slots.budget());
        }
    }

    /// Which part a key belongs to.
    fn part(&self, key: &[u8]) -> Result<usize, CommandError> {
        if let Some(part) = self.focus {
            return Ok(part);
        }
        if let [_] = self.parts.as_slice() {
            return Ok(0);
        }
        let slot = self.shared.slot_count().of(key);
        let found = self.parts.binary_search_by_key(&slot, |part| part.slot);
        found.map_err(|_| {
            "ERR internal error: a key of a slot that was not entered; please report it".into()
        })
    }

    /// Reads the record whose key is in `scratch.key`, into `scratch.value` unless it is in the overlay.
    fn get_named(&mut self, part: usize, family: Family) -> Result<Option<&[u8]>, CommandError> {
        if let Some(overlay) = &self.overlay {
            match overlay.get(family, &self.scratch.key) {
                Seen::Put(value) => return Ok(Some(value)),
                Seen::Deleted => return Ok(None),
                Seen::Untouched => {}
            }
        }
        let Scratch { key, value, .. } = &mut *self.scratch;
        if let Some(snapshot) = &self.snapshot {
            return Ok(snapshot.get(family, key, value)?);
        }
        let (part, budget) = (&self.parts[part], self.shared.slots.budget());
        let short = &key[Prefix::LEN..];
        match part.cell.cache().of(part.incarnation, budget).get(family, short) {
            Known::Value(known) => {
                value.set(known);
                return Ok(Some(value.bytes()));
            }
            Known::Nothing => return Ok(None),
            Known::Unknown => {}
        }
        let found = self.shared.engine.get(family, key, value)?;
        part.cell.cache().put(family, short, found, budget);
        Ok(found)
    }

    /// A change of a record is known from here on; [`Drop`] takes it back if it is not committed.
    fn remember(&mut self, part: usize, family: Family, key: &[u8], value: Option<&[u8]>) {
        let (part, budget) = (&self.parts[part], self.shared.slots.budget());
        part.cell.cache().of(part.incarnation, budget).put(
            family,
            &key[Prefix::LEN..],
            value,
            budget,
        );
    }

    fn put(
        &mut self,
        part: usize,
        family: Family,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), CommandError> {
        self.changes += 1;
        self.remember(part, family, key, Some(value));
        self.shared.engine.put(&mut self.scratch.batch, family, key, value)?;
        if let Some(overlay) = &mut self.overlay {
            overlay.put(family, key, value);
        }
        if let Some(captured) = &mut self.parts[part].captured {
            captured.push(Record::Put { family, key: &key[Prefix::LEN..], value });
        }
        Ok(())
    }

    fn delete(&mut self, part: usize, family: Family, key: &[u8]) -> Result<(), CommandError> {
        self.changes += 1;
        self.remember(part, family, key, None);
        self.shared.engine.delete(&mut self.scratch.batch, family, key)?;
        if let Some(overlay) = &mut self.overlay {
            overlay.delete(family, key);
        }
        if let Some(captured) = &mut self.parts[part].captured {
            captured.push(Record::Delete { family, key: &key[Prefix::LEN..] });
        }
        Ok(())
    }

    fn delete_range(
        &mut self,
        part: usize,
        family: Family,
        begin: &[u8],
        end: &[u8],
    ) -> Result<(), CommandError> {
        self.changes += 1;
        self.parts[part].cell.cache().clear(self.shared.slots.budget());
        self.shared.engine.delete_range(&mut self.scratch.batch, family, begin, end)?;
        if let Some(overlay) = &mut self.overlay {
            overlay.delete_range(family, begin, end);
        }
        if let Some(captured) = &mut self.parts[part].captured {
            captured.push(Record::DeleteRange {
                family,
                begin: &begin[Prefix::LEN..],
                end: &end[Prefix::LEN..],
            });
        }
        Ok(())
    }

    /// The key is about to change.
    fn touch(&mut self, part: usize, key: &[u8]) {
        let db = self.db;
        if let Some(changed) = &mut self.parts[part].changed
            && changed.last().is_none_or(|(d, k)| *d != db || k != key)
        {
            changed.push((db, key.to_vec()));
        }
    }

    fn count(&mut self, part: usize, keys: i64, expires: i64) {
        let counts = &mut self.parts[part].counts;
        match counts.iter_mut().find(|(db, _, _)| *db == self.db) {
            Some(known) => *known = (known.0, known.1 + keys, known.2 + expires),
            None => counts.push((self.db, keys, expires)),
        }
    }

    /// Reads a meta record; a key that has expired is not there, and a writer deletes it on the way.
    fn meta_of(&mut self, part: usize, key: &[u8]) -> Result<Option<Meta>, CommandError> {
        meta_key(&mut self.scratch.key, self.parts[part].prefix, self.db, key);
        let meta = self.get_named(part, Family::Meta)?.map(Meta::decode).transpose()?;
        let meta = match meta {
            Some(meta) if !self.parts[part].is_expired(&meta) => {
                self.hits += 1;
                return Ok(Some(meta));
            }
            expired => expired,
        };
        self.misses += 1;
        let Some(meta) = meta else { return Ok(None) };
        match self.parts[part].guard {
            Guard::Shared(_) | Guard::Released => {
                self.expired.push((self.parts[part].slot, self.db, key.to_vec()))
            }
            Guard::Exclusive(_) => {
                let changes = self.changes;
                // A later read of this command must not find it a second time.
                self.read_own();
                self.remove(part, key, &meta)?;
                self.changes = changes;
            }
        }
        Ok(None)
    }

    /// The key's meta record, if the key is there.
    pub fn meta(&mut self, key: &[u8]) -> Result<Option<Meta>, CommandError> {
        let part = self.part(key)?;
        self.meta_of(part, key)
    }

    /// The string of a key with its meta record, if the key is there. A key of another kind is an error.
    pub fn string(&mut self, key: &[u8]) -> Result<Option<(Meta, &[u8])>, CommandError> {
        let part = self.part(key)?;
        match self.meta_of(part, key)? {
            None => Ok(None),
            Some(meta) if meta.kind == Kind::String => Ok(Some((meta, self.string_just_read()))),
            Some(_) => Err(line::WRONG_TYPE.into()),
        }
    }

    /// The string of a key, if the key is there and a string.
    pub fn any_string(&mut self, key: &[u8]) -> Result<Option<&[u8]>, CommandError> {
        let part = self.part(key)?;
        let meta = self.meta_of(part, key)?;
        Ok(meta.filter(|meta| meta.kind == Kind::String).map(|_| self.string_just_read()))
    }

    /// The string whose meta record [`Self::meta_of`] has just read: its key is in `scratch.key`, its record in the overlay or else still in
    /// `scratch.value`.
    fn string_just_read(&self) -> &[u8] {
        let record =
            match self.overlay.as_ref().map(|overlay| overlay.get(Family::Meta, &self.scratch.key))
            {
                Some(Seen::Put(record)) => record,
                _ => self.scratch.value.bytes(),
            };
        record.get(STRING_HEADER..).unwrap_or_default()
    }

    /// Makes the key this string, whatever it was. `old` is what [`Self::meta`] said of it just before. `expire_ms` 0: it never expires.
    pub fn set_string(
        &mut self,
        key: &[u8],
        old: Option<&Meta>,
        value: &[u8],
        expire_ms: u64,
    ) -> Result<(), CommandError> {
        let part = self.part(key)?;
        self.touch(part, key);
        if let Some(old) = old.filter(|old| old.kind != Kind::String) {
            self.remove_records(part, key, old)?;
        }
        let mut record = std::mem::take(&mut self.scratch.encoded);
        record.clear();
        record.push(Kind::String as u8);
        record.extend_from_slice(&expire_ms.to_be_bytes());
        record.extend_from_slice(value);
        let put = self.put_meta(part, key, &record);
        self.scratch.encoded = record;
        let (had, had_expiry) = old.map_or((false, false), |old| (true, old.expire_ms != 0));
        self.count_change(part, (had, had_expiry), (true, expire_ms != 0));
        put
    }

    /// Changes when the key expires; 0: never. `meta` is what [`Self::meta`] said of it.
    pub fn set_expiry(
        &mut self,
        key: &[u8],
        meta: &Meta,
        expire_ms: u64,
    ) -> Result<(), CommandError> {
        let part = self.part(key)?;
        self.touch(part, key);
        let mut record = std::mem::take(&mut self.scratch.encoded);
        if meta.kind == Kind::String {
            let string = self.string(key)?.map(|(_, value)| value.to_vec()).unwrap_or_default();
            record.clear();
            record.push(Kind::String as u8);
            record.extend_from_slice(&expire_ms.to_be_bytes());
            record.extend_from_slice(&string);
        } else {
            Meta { expire_ms, ..*meta }.encode(&mut record);
        }
        let put = self.put_meta(part, key, &record);
        self.scratch.encoded = record;
        self.count_change(part, (true, meta.expire_ms != 0), (true, expire_ms != 0));
        put
    }

    /// Deletes the key; returns what it was, if it was there.
    pub fn delete_key(&mut self, key: &[u8]) -> Result<Option<Meta>, CommandError> {
        let part = self.part(key)?;
        let Some(meta) = self.meta_of(part, key)? else { return Ok(None) };
        self.remove(part, key, &meta)?;
        Ok(Some(meta))
    }

    /// Deletes a key that is there.
    fn remove(&mut self, part: usize, key: &[u8], meta: &Meta) -> Result<(), CommandError> {
        self.touch(part, key);
        if meta.kind != Kind::String {
            self.remove_records(part, key, meta)?;
        }
        self.delete_meta(part, key)?;
        self.count_change(part, (true, meta.expire_ms != 0), (false, false));
        Ok(())
    }

    fn put_meta(&mut self, part: usize, key: &[u8], record: &[u8]) -> Result<(), CommandError> {
        let mut name = std::mem::take(&mut self.scratch.key);
        meta_key(&mut name, self.parts[part].prefix, self.db, key);
        let put = self.put(part, Family::Meta, &name, record);
        self.scratch.key = name;
        put
    }

    fn delete_meta(&mut self, part: usize, key: &[u8]) -> Result<(), CommandError> {
        let mut name = std::mem::take(&mut self.scratch.key);
        meta_key(&mut name, self.parts[part].prefix, self.db, key);
        let deleted = self.delete(part, Family::Meta, &name);
        self.scratch.key = name;
        deleted
    }

    /// Key counts: (is there, expires) before and after.
    fn count_change(&mut self, part: usize, before: (bool, bool), after: (bool, bool)) {
        if before != after {
            let difference = |a: bool, b: bool| i64::from(b) - i64::from(a);
            self.count(part, difference(before.0, after.0), difference(before.1, after.1));
        }
    }

    /// A version for a new life of a key.
    fn new_version(&mut self) -> Result<u64, CommandError> {
        Ok(self.shared.versions.next(&mut self.scratch.batch)?)
    }
}

/// Whether somebody wants to know which keys of the slot change.
fn is_heard(cell: &Cell, inner: &SlotInner) -> bool {
    !inner.watched.is_empty() || !cell.waiters.is_empty()
}

/// Whether the key is on disk and has expired. Called with the slot's lock held.
pub(crate) fn is_expired(
    shared: &Shared,
    slot: Slot,
    inner: &SlotInner,
    db: u8,
    key: &[u8],
) -> bool {
    let (mut name, mut value) = (Vec::new(), Value::default());
    meta_key(&mut name, inner.prefix(slot), db, key);
    let meta = shared
        .engine
        .get(Family::Meta, &name, &mut value)
        .ok()
        .flatten()
        .and_then(|v| Meta::decode(v).ok());
    meta.is_some_and(|meta| meta.expired(inner.now_ms()))
}

impl<'a> Part<'a> {
    /// Nothing if the slot was let go.
    fn new(shared: &'a Shared, slot: Slot, guard: Guard<'a>) -> Option<Self> {
        let cell = shared.slot(slot);
        let inner = guard.inner()?;
        Some(Self {
            slot,
            cell,
            incarnation: inner.incarnation,
            prefix: inner.prefix(slot),
            clock_ahead_ms: inner.clock_ahead_ms,
            now_ms: OnceCell::new(),
            keys_when_released: Counts::default(),
            counts: SmallVec::new(),
            captured: inner.capture.is_some().then(Payload::default),
            changed: is_heard(cell, inner).then(Vec::new),
            guard,
        })
    }

    /// The time for the slot, in milliseconds since 1970: the same throughout the transaction.
    fn now_ms(&self) -> u64 {
        *self.now_ms.get_or_init(|| crate::slots::now_ms() + self.clock_ahead_ms)
    }

    fn is_expired(&self, meta: &Meta) -> bool {
        meta.expire_ms != 0 && meta.expired(self.now_ms())
    }

    /// How many keys a database has, without this transaction's changes.
    fn committed(&self, db: u8) -> Counts {
        match self.guard.inner() {
            Some(inner) => inner.counts.get(usize::from(db)).copied().unwrap_or_default(),
            None => self.keys_when_released,
        }
    }

    /// The batch is written: what it changed is told to all who keep count.
    fn tell(&mut self) {
        let Guard::Exclusive(inner) = &mut self.guard else { return };
        for &(db, keys, expires) in &self.counts {
            if let Some(counts) = inner.counts.get_mut(usize::from(db)) {
                counts.keys = counts.keys.saturating_add_signed(keys);
                counts.expires = counts.expires.saturating_add_signed(expires);
            }
        }
        if let (Some(captured), Some(capture)) = (&self.captured, &inner.capture) {
            for record in captured.records().flatten() {
                capture.add(record);
            }
        }
        for (db, key) in self.changed.take().into_iter().flatten() {
            inner.watched.changed(db, key);
        }
    }
}
