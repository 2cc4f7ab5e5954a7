//! What commands work on: the records of the slots they have entered, read and changed as one.
//!
//! Changes are collected in a batch that [`Txn::commit`] writes whole, under the slots' locks; dropping the transaction forgets them. Its own
//! reads see its own changes only if it was begun with [`Reads::Own`] (MULTI, and commands that may touch a record twice): single changes need
//! no overlay. Key counts, captured changes and watched keys are kept right here, so that no command can forget them.
//!
//! Rule for commands: whoever returns an error has changed nothing. [`Txn::changes`] lets the caller check that.

mod ahead;
mod collection;
mod keys;
mod overlay;
mod part;
mod random;
mod read;
mod rename;
mod scan;
mod serve;

pub use collection::Collection;
pub use part::Guard;
pub use random::Picks;
pub(crate) use read::is_expired;
pub use scan::{Direction, Flow, Span};

use crate::encoding::{Kind, Meta, Prefix, meta_key};
use crate::engine::{Batch, EngineError, Family, Snapshot};
use crate::error::CommandError;
use crate::session::Watch;
use crate::shared::Shared;
use crate::slots::{Counts, SlotInner};
use crate::transfer::records::Record;
use ahead::Ahead;
use cluster::Slot;
use overlay::Overlay;
use part::Part;
use read::Found;
use serve::Ready;
use service::failpoint;
use smallvec::SmallVec;
use std::collections::VecDeque;

/// Buffers that one transaction after another uses; one set a thread.
#[derive(Debug, Default)]
pub struct Scratch {
    batch: Batch,
    key: Vec<u8>,
    value: Vec<u8>,
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

/// Reads and changes of one command, or of all commands of an EXEC.
#[derive(Debug)]
pub struct Txn<'a> {
    shared: &'a Shared,
    scratch: &'a mut Scratch,
    parts: SmallVec<[Part<'a>; 1]>,
    overlay: Option<Overlay>,
    snapshot: Option<Snapshot<'a>>,
    found: Found<'a>,
    ahead: Option<Box<Ahead<'a>>>,
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
            found: Found::Nothing,
            ahead: None,
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
        self.ahead = None;
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
        self.delete_first(&[key])
    }

    /// As [`Self::delete_key`], for the first of keys that will all be asked for, in this order.
    pub fn delete_first(&mut self, keys: &[&[u8]]) -> Result<Option<Meta>, CommandError> {
        let Some(meta) = self.first_meta(keys)? else { return Ok(None) };
        let key = keys.first().copied().unwrap_or_default();
        let part = self.part(key)?;
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
