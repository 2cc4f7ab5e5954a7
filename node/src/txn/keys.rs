//! All keys of a slot.

use super::{Flow, Guard, Txn};
use crate::encoding::{Meta, Prefix, meta_key, successor};
use crate::engine::Family;
use crate::error::CommandError;
use crate::slots::Counts;
use cluster::Slot;

/// A database of a slot with up to so many keys is flushed key by key.
const FLUSHED_ONE_BY_ONE: u64 = 64;

impl Txn<'_> {
    fn part_of(&self, slot: Slot) -> Result<usize, CommandError> {
        let found = self.parts.binary_search_by_key(&slot, |part| part.slot);
        found
            .map_err(|_| "ERR internal error: a slot that was not entered; please report it".into())
    }

    /// How many keys the selected database has in a slot, this transaction's changes included.
    pub fn key_counts(&self, slot: Slot) -> Result<Counts, CommandError> {
        let part = &self.parts[self.part_of(slot)?];
        let committed = part.committed(self.db);
        let pending = part.counts.iter().filter(|(db, _, _)| *db == self.db);
        Ok(pending.fold(committed, |counts, &(_, keys, expires)| Counts {
            keys: counts.keys.saturating_add_signed(keys),
            expires: counts.expires.saturating_add_signed(expires),
        }))
    }

    /// Shows `visit` the keys of the selected database in a slot, in the order of their bytes, behind `after`; not those that have expired.
    pub fn scan_keys(
        &mut self,
        slot: Slot,
        after: Option<&[u8]>,
        mut visit: impl FnMut(&[u8], &Meta) -> Flow,
    ) -> Result<(), CommandError> {
        let now_ms = self.parts[self.part_of(slot)?].now_ms();
        self.scan_metas(slot, after, |key, meta| {
            if meta.expired(now_ms) { Flow::Continue } else { visit(key, meta) }
        })
    }

    /// As [`Self::scan_keys`], with those that have expired.
    pub(crate) fn scan_metas(
        &mut self,
        slot: Slot,
        after: Option<&[u8]>,
        mut visit: impl FnMut(&[u8], &Meta) -> Flow,
    ) -> Result<(), CommandError> {
        let prefix = self.parts[self.part_of(slot)?].prefix;
        let mut begin = Vec::new();
        meta_key(&mut begin, prefix, self.db, &[]);
        let end = successor(&begin);
        if let Some(after) = after {
            begin.extend_from_slice(after);
            begin.push(0);
        }
        let mut damaged = None;
        self.scan_range(Family::Meta, &begin, &end, |key, value| match Meta::decode(value) {
            Ok(meta) => visit(key.get(Prefix::LEN + 1..).unwrap_or_default(), &meta),
            Err(error) => {
                damaged = Some(error);
                Flow::Stop
            }
        })?;
        damaged.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Deletes all keys of the selected database in a slot.
    pub fn flush(&mut self, slot: Slot) -> Result<(), CommandError> {
        let part = self.part_of(slot)?;
        let counts = self.key_counts(slot)?;
        if counts.keys == 0 {
            return Ok(());
        }
        if counts.keys <= FLUSHED_ONE_BY_ONE {
            let mut keys = Vec::with_capacity(counts.keys as usize);
            self.scan_metas(slot, None, |key, meta| {
                keys.push((key.to_vec(), *meta));
                Flow::Continue
            })?;
            return keys.iter().try_for_each(|(key, meta)| self.remove(part, key, meta));
        }
        self.touch_watched(part)?;
        let mut begin = Vec::new();
        meta_key(&mut begin, self.parts[part].prefix, self.db, &[]);
        let end = successor(&begin);
        for family in Family::ALL {
            self.delete_range(part, family, &begin, &end)?;
        }
        self.count(part, -(counts.keys as i64), -(counts.expires as i64));
        Ok(())
    }

    /// Watched keys that are there are about to be deleted unseen.
    fn touch_watched(&mut self, part: usize) -> Result<(), CommandError> {
        let Guard::Exclusive(inner) = &self.parts[part].guard else { return Ok(()) };
        for key in inner.watched.of(self.db) {
            if self.meta_of(part, &key)?.is_some() {
                self.touch(part, &key);
            }
        }
        Ok(())
    }
}
