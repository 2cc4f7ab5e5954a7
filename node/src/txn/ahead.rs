//! Records a command will ask for next, read from the store together with the one it asks for now.
//!
//! Only what neither the transaction's changes nor the slots' caches know is read: a command whose keys are all in memory pays nothing. Nobody
//! but this transaction can change the records meanwhile, and what it has changed itself is asked first, so they are as a read of each in its
//! turn would find them.

use super::Txn;
use super::overlay::Seen;
use super::read::Found;
use crate::encoding::{Prefix, meta_key};
use crate::engine::{Family, Several};
use crate::slots::cache::Known;
use smallvec::SmallVec;

/// So many records are read at once, and held until they have been asked for. The store works in batches of 32, too.
const RECORDS_MAX: usize = 32;

/// After a batch with more bytes, large values that gain nothing from it, records are read one by one: they are not held beside the reply.
const BYTES_WORTH_IT: usize = 256 << 10;

/// Meta records in the order of their keys in the command.
#[derive(Debug)]
pub(super) struct Ahead<'a> {
    names: SmallVec<[Vec<u8>; 8]>,
    records: Several<'a>,
    /// Those before have been asked for.
    next: usize,
    bytes: usize,
}

impl<'a> Ahead<'a> {
    /// Whether the next miss may read a batch.
    pub(super) fn is_spent(ahead: Option<&Self>) -> bool {
        ahead.is_none_or(|it| it.next == it.names.len() && it.bytes <= BYTES_WORTH_IT)
    }

    /// Where the record is, unless it was not read, or reading it failed: ask the store then.
    pub(super) fn find(&mut self, family: Family, name: &[u8]) -> Option<Found<'a>> {
        if family != Family::Meta {
            return None;
        }
        let at = self.next + self.names.get(self.next..)?.iter().position(|it| it == name)?;
        self.next = at + 1;
        let record = self.records.get(at).ok()?;
        self.bytes += record.map_or(0, <[u8]>::len);
        Some(record.map_or(Found::Nothing, |_| Found::Ahead(at)))
    }

    /// The record that [`Self::find`] found there.
    pub(super) fn record(&self, at: usize) -> Option<&[u8]> {
        self.records.get(at).ok().flatten()
    }
}

impl<'a> Txn<'a> {
    /// Reads what the first of these keys need from the store; nothing if that is a single record, or if it fails.
    pub(super) fn read_ahead(&self, keys: &[&[u8]]) -> Option<Box<Ahead<'a>>> {
        let keys = &keys[..keys.len().min(RECORDS_MAX)];
        let names: SmallVec<_> = keys.iter().filter_map(|key| self.unknown_name(key)).collect();
        if names.len() < 2 {
            return None;
        }
        let records =
            self.shared.engine.get_several(Family::Meta, names.iter().map(Vec::as_slice)).ok()?;
        Some(Box::new(Ahead { names, records, next: 0, bytes: 0 }))
    }

    /// The key of a meta record of which only the store knows.
    fn unknown_name(&self, key: &[u8]) -> Option<Vec<u8>> {
        let part = &self.parts[self.part(key).ok()?];
        let mut name = Vec::with_capacity(Prefix::LEN + 1 + key.len());
        meta_key(&mut name, part.prefix, self.db, key);
        let seen = self.overlay.as_ref().map(|overlay| overlay.get(Family::Meta, &name));
        if seen.is_some_and(|seen| seen != Seen::Untouched) {
            return None;
        }
        let budget = self.shared.slots.budget();
        let mut cache = part.cell.cache();
        let known = cache.of(part.incarnation, budget).get(Family::Meta, &name[Prefix::LEN..]);
        (known == Known::Unknown).then_some(name)
    }
}
