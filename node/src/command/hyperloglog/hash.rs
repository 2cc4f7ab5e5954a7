//! Which register an element belongs to, and how rare it is there.
//!
//! MurmurHash64A is Austin Appleby's, in the public domain; the seed is Redis'.

use super::sketch::INDEX_BITS;

const SEED: u64 = 0xadc8_3b19;
const MULTIPLIER: u64 = 0xc6a4_a793_5bd1_e995;
const SHIFT: u32 = 47;

fn murmur(bytes: &[u8]) -> u64 {
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        word = (word ^ word >> SHIFT).wrapping_mul(MULTIPLIER);
        hash = (hash ^ word).wrapping_mul(MULTIPLIER);
    }
    if !rest.is_empty() {
        let rest = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        hash = (hash ^ rest).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ hash >> SHIFT).wrapping_mul(MULTIPLIER);
    hash ^ hash >> SHIFT
}

/// The register of an element, and the position of the first one among the other bits of its hash, lowest first and counted from 1.
pub(super) fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur(element);
    let rest = hash >> INDEX_BITS | 1 << (u64::BITS - INDEX_BITS);
    ((hash & ((1 << INDEX_BITS) - 1)) as usize, rest.trailing_zeros() as u8 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_redis() {
        // Read from the sketches that Redis 7.0.15 made of one element each.
        for (element, register, rank) in PLACES {
            assert_eq!(place(element.as_bytes()), (*register, *rank), "{element:?}");
        }
    }

    const PLACES: &[(&str, usize, u8)] = &[
        ("", 5938, 2),
        ("a", 12711, 2),
        ("hello", 9216, 1),
        ("1234567", 10327, 3),
        ("12345678", 10579, 3),
        ("123456789", 9293, 2),
        ("The quick brown fox", 13284, 1),
        ("\u{e9}", 13353, 1),
    ];
}
