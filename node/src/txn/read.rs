//! Reading single records: from the transaction's own changes, its snapshot, the slot's cache, or the store.

use super::ahead::Ahead;
use super::overlay::Seen;
use super::{Guard, Txn};
use crate::encoding::{Kind, Meta, Prefix, STRING_HEADER, meta_key};
use crate::engine::{Family, Pinned};
use crate::error::{CommandError, line};
use crate::shared::Shared;
use crate::slots::SlotInner;
use crate::slots::cache::Known;
use cluster::Slot;

/// Where the record is that was read last.
#[derive(Debug, Default)]
pub(super) enum Found<'a> {
    /// Nowhere.
    #[default]
    Nothing,
    /// Among the changes of the transaction, by its key.
    Own,
    /// In `scratch.value`: a copy of what the slot's cache has.
    Copied,
    /// In the store.
    Pinned(Pinned<'a>),
    /// With those that were read ahead, at this place.
    Ahead(usize),
}

impl<'a> Txn<'a> {
    /// Reads the record whose key is in `scratch.key`. `keys` are those whose meta records are wanted next, this one the first, if it is a
    /// meta record.
    pub(super) fn get_named(
        &mut self,
        part: usize,
        family: Family,
        keys: &[&[u8]],
    ) -> Result<Option<&[u8]>, CommandError> {
        if let Some(overlay) = &self.overlay {
            match overlay.get(family, &self.scratch.key) {
                Seen::Put(record) => {
                    self.found = Found::Own;
                    return Ok(Some(record));
                }
                Seen::Deleted => return Ok(None),
                Seen::Untouched => {}
            }
        }
        if let Some(snapshot) = &self.snapshot {
            let found = snapshot.get(family, &self.scratch.key)?;
            self.found = found.map_or(Found::Nothing, Found::Pinned);
            return Ok(self.in_store());
        }
        let (shared, name) = (self.shared, &self.scratch.key);
        let (part, budget) = (&self.parts[part], shared.slots.budget());
        match part.cell.cache().of(part.incarnation, budget).get(family, &name[Prefix::LEN..]) {
            Known::Value(known) => {
                self.scratch.value.clear();
                self.scratch.value.extend_from_slice(known);
                self.found = Found::Copied;
                return Ok(Some(&self.scratch.value));
            }
            Known::Nothing => return Ok(None),
            Known::Unknown => {}
        }
        if keys.len() > 1 && Ahead::is_spent(self.ahead.as_deref()) {
            self.ahead = self.read_ahead(keys);
        }
        let name = &self.scratch.key;
        self.found = match self.ahead.as_deref_mut().and_then(|ahead| ahead.find(family, name)) {
            Some(found) => found,
            None => shared.engine.get(family, name)?.map_or(Found::Nothing, Found::Pinned),
        };
        let found = self.in_store();
        part.cell.cache().put(family, &name[Prefix::LEN..], found, budget);
        Ok(found)
    }

    /// The record that was just read from the store.
    fn in_store(&self) -> Option<&[u8]> {
        match &self.found {
            Found::Pinned(record) => Some(record.bytes()),
            &Found::Ahead(at) => self.ahead.as_ref()?.record(at),
            Found::Nothing | Found::Own | Found::Copied => None,
        }
    }

    /// Reads a meta record; a key that has expired is not there, and a writer deletes it on the way.
    pub(super) fn meta_of(
        &mut self,
        part: usize,
        key: &[u8],
    ) -> Result<Option<Meta>, CommandError> {
        self.meta_before(part, key, &[])
    }

    /// As [`Self::meta_of`]; `keys` as for [`Self::get_named`].
    fn meta_before(
        &mut self,
        part: usize,
        key: &[u8],
        keys: &[&[u8]],
    ) -> Result<Option<Meta>, CommandError> {
        meta_key(&mut self.scratch.key, self.parts[part].prefix, self.db, key);
        let meta = self.get_named(part, Family::Meta, keys)?.map(Meta::decode).transpose()?;
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

    /// As [`Self::meta`], for the first of keys that will all be asked for, in this order. What is not in memory is read together.
    pub fn first_meta(&mut self, keys: &[&[u8]]) -> Result<Option<Meta>, CommandError> {
        let Some(key) = keys.first() else { return Ok(None) };
        let part = self.part(key)?;
        self.meta_before(part, key, keys)
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
        self.first_string(&[key])
    }

    /// The string of the first of keys that will all be asked for, in this order; if that key is there and a string.
    pub fn first_string(&mut self, keys: &[&[u8]]) -> Result<Option<&[u8]>, CommandError> {
        let meta = self.first_meta(keys)?;
        Ok(meta.filter(|meta| meta.kind == Kind::String).map(|_| self.string_just_read()))
    }

    /// The string whose meta record [`Self::meta_of`] has just read.
    fn string_just_read(&self) -> &[u8] {
        let record = match &self.found {
            Found::Own => self.own_record(),
            Found::Copied => Some(self.scratch.value.as_slice()),
            Found::Nothing | Found::Pinned(_) | Found::Ahead(_) => self.in_store(),
        };
        record.and_then(|record| record.get(STRING_HEADER..)).unwrap_or_default()
    }

    /// The record among the transaction's changes whose key is in `scratch.key`.
    fn own_record(&self) -> Option<&[u8]> {
        match self.overlay.as_ref()?.get(Family::Meta, &self.scratch.key) {
            Seen::Put(record) => Some(record),
            Seen::Deleted | Seen::Untouched => None,
        }
    }
}

/// Whether the key is on disk and has expired. Called with the slot's lock held.
pub(crate) fn is_expired(
    shared: &Shared,
    slot: Slot,
    inner: &SlotInner,
    db: u8,
    key: &[u8],
) -> bool {
    let mut name = Vec::new();
    meta_key(&mut name, inner.prefix(slot), db, key);
    let record = shared.engine.get(Family::Meta, &name).ok().flatten();
    let meta = record.and_then(|record| Meta::decode(record.bytes()).ok());
    meta.is_some_and(|meta| meta.expired(inner.now_ms()))
}
