//! Recently used records of one slot, in memory, beside the store's own caches. Hot path.
//!
//! A point read of the store walks a skip list of all slots' records; here it is one probe. The cache is exact: it is read and written only
//! under the slot's lock, every change of a record goes through it, and a transaction that does not commit empties it. What is known not to
//! exist is remembered too. It belongs to one life of the slot's data: with another incarnation it starts empty.

use crate::engine::Family;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Larger records are left to the store.
const RECORD_BYTES_MAX: usize = 4 << 10;

/// What an entry costs besides its bytes.
const OVERHEAD: usize = 96;

/// What all slots of a node may keep together.
#[derive(Debug)]
pub struct Budget {
    bytes_max: usize,
    used: AtomicUsize,
    /// What a slot may keep even if others have used everything.
    share: usize,
}

impl Budget {
    /// So many bytes for so many slots.
    pub fn new(bytes_max: usize, slots: usize) -> Self {
        Self { bytes_max, used: AtomicUsize::new(0), share: bytes_max / slots.max(1) }
    }

    /// Bytes that are kept.
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }
}

/// The hash is the key: it is made of good bits already.
#[derive(Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Key and value in one piece.
#[derive(Debug)]
struct Entry {
    bytes: Box<[u8]>,
    family: Family,
    key_length: u32,
    is_there: bool,
    used_again: bool,
}

impl Entry {
    fn is(&self, family: Family, key: &[u8]) -> bool {
        self.family == family
            && self.key_length as usize == key.len()
            && self.bytes.starts_with(key)
    }

    /// Whether it is this record with a value as long as this one, which then goes where the old one is.
    fn takes(&self, family: Family, key: &[u8], value: &[u8]) -> bool {
        self.is_there && self.bytes.len() == key.len() + value.len() && self.is(family, key)
    }
}

/// What the cache says of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<'a> {
    Value(&'a [u8]),
    /// There is none.
    Nothing,
    /// Ask the store.
    Unknown,
}

/// The cache of one slot. Keys are without slot and incarnation.
#[derive(Debug, Default)]
pub struct Cache {
    incarnation: u32,
    entries: HashMap<u64, Entry, BuildHasherDefault<Identity>>,
    /// In the order in which they came; one that was used again gets a second turn.
    order: VecDeque<u64>,
    bytes: usize,
}

impl Cache {
    /// The cache of this life of the slot's data.
    pub fn of(&mut self, incarnation: u32, budget: &Budget) -> &mut Self {
        if self.incarnation != incarnation {
            self.clear(budget);
            self.incarnation = incarnation;
        }
        self
    }

    /// What is known of a record.
    pub fn get(&mut self, family: Family, key: &[u8]) -> Known<'_> {
        match self.entries.get_mut(&hash(family, key)) {
            Some(entry) if entry.is(family, key) => {
                entry.used_again = true;
                if entry.is_there {
                    Known::Value(&entry.bytes[key.len()..])
                } else {
                    Known::Nothing
                }
            }
            _ => Known::Unknown,
        }
    }

    /// The record is this, or is not there.
    pub fn put(&mut self, family: Family, key: &[u8], value: Option<&[u8]>, budget: &Budget) {
        let hash = hash(family, key);
        if let (Some(value), Some(entry)) = (value, self.entries.get_mut(&hash))
            && entry.takes(family, key, value)
        {
            entry.bytes[key.len()..].copy_from_slice(value);
            return;
        }
        let bytes = [key, value.unwrap_or_default()];
        let length = bytes[0].len() + bytes[1].len();
        if length > RECORD_BYTES_MAX {
            if let Some(entry) = self.entries.remove(&hash) {
                self.account(entry.bytes.len() + OVERHEAD, 0, budget);
            }
            return;
        }
        let entry = Entry {
            bytes: bytes.concat().into(),
            family,
            key_length: key.len() as u32,
            is_there: value.is_some(),
            used_again: false,
        };
        match self.entries.insert(hash, entry) {
            Some(old) => self.account(old.bytes.len() + OVERHEAD, length + OVERHEAD, budget),
            None => {
                self.order.push_back(hash);
                self.account(0, length + OVERHEAD, budget);
            }
        }
        while self.bytes > budget.share && budget.used() > budget.bytes_max {
            self.evict(budget);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self, budget: &Budget) {
        self.account(self.bytes, 0, budget);
        self.entries.clear();
        self.order.clear();
    }

    fn evict(&mut self, budget: &Budget) {
        let Some(hash) = self.order.pop_front() else { return self.clear(budget) };
        match self.entries.get_mut(&hash) {
            Some(entry) if entry.used_again => {
                entry.used_again = false;
                self.order.push_back(hash);
            }
            Some(_) => {
                if let Some(entry) = self.entries.remove(&hash) {
                    self.account(entry.bytes.len() + OVERHEAD, 0, budget);
                }
            }
            None => {}
        }
    }

    fn account(&mut self, minus: usize, plus: usize, budget: &Budget) {
        self.bytes = self.bytes + plus - minus;
        if plus >= minus {
            budget.used.fetch_add(plus - minus, Relaxed);
        } else {
            budget.used.fetch_sub(minus - plus, Relaxed);
        }
    }
}

fn hash(family: Family, key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(key, family as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(known: Known<'_>) -> Option<Vec<u8>> {
        match known {
            Known::Value(value) => Some(value.to_vec()),
            Known::Nothing | Known::Unknown => None,
        }
    }

    #[test]
    fn the_last_word_on_a_record_counts_and_another_life_starts_empty() {
        let budget = Budget::new(1 << 20, 1);
        let mut cache = Cache::default();
        cache.of(1, &budget).put(Family::Meta, b"k", Some(b"old"), &budget);
        cache.put(Family::Meta, b"k", Some(b"new"), &budget);
        cache.put(Family::Meta, b"j", Some(b"one"), &budget);
        cache.put(Family::Data, b"k", None, &budget);
        assert_eq!(value(cache.get(Family::Meta, b"j")), Some(b"one".to_vec()));
        assert_eq!(value(cache.of(1, &budget).get(Family::Meta, b"k")), Some(b"new".to_vec()));
        assert_eq!(cache.get(Family::Data, b"k"), Known::Nothing);
        assert_eq!(cache.get(Family::Score, b"k"), Known::Unknown);
        assert_eq!(cache.of(2, &budget).get(Family::Meta, b"k"), Known::Unknown);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_value_that_grew_too_large_is_not_remembered_as_it_was() {
        let budget = Budget::new(1 << 20, 1);
        let mut cache = Cache::default();
        cache.put(Family::Meta, b"k", Some(b"small"), &budget);
        cache.put(Family::Meta, b"k", Some(&[0; RECORD_BYTES_MAX]), &budget);
        assert_eq!(cache.get(Family::Meta, b"k"), Known::Unknown);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays_longer() {
        let budget = Budget::new(100 * (OVERHEAD + 16), 1);
        let mut cache = Cache::default();
        for number in 0..10_000_u64 {
            cache.put(Family::Meta, &number.to_be_bytes(), Some(&[0; 8]), &budget);
            assert_ne!(cache.get(Family::Meta, &0_u64.to_be_bytes()), Known::Unknown, "{number}");
        }
        assert!(budget.used() <= budget.bytes_max);
        assert!(cache.entries.len() <= 100 && cache.order.len() <= 101);
    }
}
