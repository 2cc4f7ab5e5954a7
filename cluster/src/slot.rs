//! A key's slot: CRC-32 (IEEE) of the hash tag, else of the key, modulo the number of slots.
//!
//! The rule of Codis (`pkg/proxy/mapper.go`): the tag is what stands between the first `{` and the first `}` behind it. Unlike in Redis
//! Cluster an empty tag counts: `{}x` hashes the empty string.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One of a cluster's slots, `0 .. SlotCount`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u16);

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many slots a cluster has: 1 to 16384, fixed when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct SlotCount(u16);

impl SlotCount {
    /// Codis' number.
    pub const DEFAULT: Self = Self(1024);
    /// The most a cluster may have.
    pub const MAX: u16 = 16384;

    /// Returns the count, or nothing if it is not in `1 ..= 16384`.
    pub fn new(count: u32) -> Option<Self> {
        (1..=u32::from(Self::MAX)).contains(&count).then_some(Self(count as u16))
    }

    /// The number itself.
    pub fn get(self) -> u16 {
        self.0
    }

    /// All slots in order.
    pub fn slots(self) -> impl DoubleEndedIterator<Item = Slot> + ExactSizeIterator {
        (0..self.0).map(Slot)
    }

    /// Returns the slot with this number, if there is one.
    pub fn slot(self, number: u64) -> Option<Slot> {
        (number < u64::from(self.0)).then_some(Slot(number as u16))
    }

    /// Returns the slot of `key`.
    pub fn of(self, key: &[u8]) -> Slot {
        Slot((crc32fast::hash(tag(key)) % u32::from(self.0)) as u16)
    }
}

impl TryFrom<u32> for SlotCount {
    type Error = String;
    fn try_from(count: u32) -> Result<Self, String> {
        Self::new(count)
            .ok_or_else(|| format!("the number of slots must be 1 to {}, not {count}", Self::MAX))
    }
}

impl From<SlotCount> for u32 {
    fn from(count: SlotCount) -> Self {
        u32::from(count.0)
    }
}

/// Returns the part of the key that is hashed.
pub fn tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&b| b == b'{') else { return key };
    let behind = &key[open + 1..];
    match behind.iter().position(|&b| b == b'}') {
        Some(close) => &behind[..close],
        None => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_codis() {
        let count = SlotCount::DEFAULT;
        for (key, slot) in
            [("foo", 289), ("key1", 80), ("key2", 490), ("key3", 380), ("{}x", 0), ("{tg}a", 758)]
        {
            assert_eq!(count.of(key.as_bytes()), Slot(slot), "{key}");
        }
    }

    #[test]
    fn the_tag_is_between_the_first_brace_and_the_next_closing_one() {
        for (key, want) in [
            ("a{b}c", "b"),
            ("a{b}{c}", "b"),
            ("a{{b}}", "{b"),
            ("a}b{c", "a}b{c"),
            ("}{x}", "x"),
            ("{", "{"),
            ("", ""),
        ] {
            assert_eq!(tag(key.as_bytes()), want.as_bytes(), "{key}");
        }
    }

    #[test]
    fn counts_have_limits() {
        assert!(SlotCount::new(0).is_none());
        assert!(SlotCount::new(16385).is_none());
        assert_eq!(SlotCount::new(16384).map(SlotCount::get), Some(16384));
        assert_eq!(SlotCount::new(1).map(|c| c.of(b"anything")), Some(Slot(0)));
    }
}
