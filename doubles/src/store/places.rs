//! The keys of each slot, in the order of their bytes.

use super::Bytes;
use cluster::SlotCount;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(crate) struct Places(BTreeMap<u16, BTreeSet<Bytes>>);

/// As many as codis-server has, by its build.
const SLOTS: SlotCount = SlotCount::DEFAULT;

impl Places {
    pub(super) fn add(&mut self, key: &[u8]) {
        let keys = self.0.entry(SLOTS.of(key).0).or_default();
        if !keys.contains(key) {
            keys.insert(key.to_vec());
        }
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        let slot = SLOTS.of(key).0;
        let Some(keys) = self.0.get_mut(&slot) else { return };
        keys.remove(key);
        if keys.is_empty() {
            self.0.remove(&slot);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn count(&self, slot: u16) -> usize {
        self.0.get(&slot).map_or(0, BTreeSet::len)
    }

    pub(crate) fn keys(&self, slot: u16) -> impl Iterator<Item = &Bytes> {
        self.0.get(&slot).into_iter().flatten()
    }

    /// The key and all that have the same tag; the key alone if it has none.
    pub(crate) fn group(&self, key: &[u8]) -> Vec<Bytes> {
        let tag = cluster::slot::tag(key);
        if tag.len() == key.len() {
            return vec![key.to_vec()];
        }
        let mates = self.keys(SLOTS.of(key).0);
        mates
            .filter(|mate| mate.len() > tag.len() && cluster::slot::tag(mate) == tag)
            .cloned()
            .collect()
    }
}
