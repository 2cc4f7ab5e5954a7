//! What a transaction has written and not yet committed, so that its own reads see it.

use crate::engine::Family;
use std::collections::BTreeMap;
use std::ops::Bound;

/// What the transaction knows of a record without asking the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    Put(&'a [u8]),
    Deleted,
    /// Ask the store.
    Untouched,
}

/// Pending changes by family.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    records: [BTreeMap<Vec<u8>, Option<Vec<u8>>>; 3],
    /// Deleted ranges. What was put after the deletion is in `records`.
    ranges: Vec<(Family, Vec<u8>, Vec<u8>)>,
}

impl Overlay {
    pub(super) fn put(&mut self, family: Family, key: &[u8], value: &[u8]) {
        self.records[family as usize].insert(key.to_vec(), Some(value.to_vec()));
    }

    pub(super) fn delete(&mut self, family: Family, key: &[u8]) {
        self.records[family as usize].insert(key.to_vec(), None);
    }

    pub(super) fn delete_range(&mut self, family: Family, begin: &[u8], end: &[u8]) {
        let records = &mut self.records[family as usize];
        let gone: Vec<_> = range(records, begin, end).map(|(key, _)| key.clone()).collect();
        for key in gone {
            records.remove(&key);
        }
        self.ranges.push((family, begin.to_vec(), end.to_vec()));
    }

    pub(super) fn get(&self, family: Family, key: &[u8]) -> Seen<'_> {
        match self.records[family as usize].get(key) {
            Some(Some(value)) => Seen::Put(value),
            Some(None) => Seen::Deleted,
            None if self.erased(family, key) => Seen::Deleted,
            None => Seen::Untouched,
        }
    }

    /// Whether the store's record with this key is in a deleted range.
    pub(super) fn erased(&self, family: Family, key: &[u8]) -> bool {
        self.ranges.iter().any(|(f, begin, end)| {
            *f == family && begin.as_slice() <= key && (end.is_empty() || key < end.as_slice())
        })
    }

    /// The pending records of a range, in order; nothing stands for a deletion.
    pub(super) fn range(
        &self,
        family: Family,
        begin: &[u8],
        end: &[u8],
    ) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        range(&self.records[family as usize], begin, end)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

fn range<'a>(
    records: &'a BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    begin: &[u8],
    end: &[u8],
) -> impl DoubleEndedIterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)> {
    let end = if end.is_empty() { Bound::Unbounded } else { Bound::Excluded(end) };
    // A map panics on a range that runs backwards.
    let begin = match end {
        Bound::Excluded(end) if begin > end => end,
        _ => begin,
    };
    records.range::<[u8], _>((Bound::Included(begin), end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_after_a_range_was_deleted_is_there() {
        let mut overlay = Overlay::default();
        overlay.put(Family::Data, b"b", b"1");
        overlay.delete_range(Family::Data, b"a", b"c");
        overlay.put(Family::Data, b"bb", b"2");
        assert_eq!(overlay.get(Family::Data, b"b"), Seen::Deleted);
        assert_eq!(overlay.get(Family::Data, b"bb"), Seen::Put(b"2"));
        assert_eq!(overlay.get(Family::Data, b"c"), Seen::Untouched);
        assert_eq!(overlay.get(Family::Meta, b"b"), Seen::Untouched);
        assert_eq!(overlay.range(Family::Data, b"a", b"z").len(), 1);
        assert!(overlay.range(Family::Data, b"z", b"a").is_empty());
    }
}
