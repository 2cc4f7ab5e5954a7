//! Positions of scans, behind the numbers that clients hold.
//!
//! A cursor is a number of 64 bits, a position is a key of any length. So positions are remembered under a hash of themselves, the oldest
//! forgotten first. A number that is not known (any more, or on this node) is no error: the scan of that slot or collection starts again,
//! which keeps SCAN's promise, since every element that is there all the time is still returned, some twice.

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};

/// Bits of a cursor that name a position; the rest names the slot.
pub const POSITION_BITS: u32 = 48;

/// What one position costs besides its bytes.
const OVERHEAD: usize = 96;

#[derive(Debug, Default)]
struct Inner {
    positions: HashMap<u64, Box<[u8]>>,
    order: VecDeque<u64>,
    bytes: usize,
}

/// The remembered positions of a node.
#[derive(Debug)]
pub struct Cursors {
    inner: Mutex<Inner>,
    bytes_max: usize,
}

impl Cursors {
    /// Remembers up to so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { inner: Mutex::default(), bytes_max }
    }

    /// Remembers a position of what `owner` names; returns its number, of [`POSITION_BITS`], never 0.
    pub fn keep(&self, owner: &[u8], position: &[u8]) -> u64 {
        let seed = xxhash_rust::xxh3::xxh3_64(owner);
        let number = (xxhash_rust::xxh3::xxh3_64_with_seed(position, seed)
            & ((1 << POSITION_BITS) - 1))
            .max(1);
        let mut inner = self.inner.lock();
        if inner.positions.insert(number, position.into()).is_none() {
            inner.order.push_back(number);
            inner.bytes += position.len() + OVERHEAD;
        }
        while inner.bytes > self.bytes_max && inner.order.len() > 1 {
            let Some(oldest) = inner.order.pop_front() else { break };
            if let Some(position) = inner.positions.remove(&oldest) {
                inner.bytes -= position.len() + OVERHEAD;
            }
        }
        number
    }

    /// The position with this number, unless it is forgotten.
    pub fn find(&self, number: u64) -> Option<Box<[u8]>> {
        self.inner.lock().positions.get(&number).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_found_until_the_limit_drives_them_out() {
        let cursors = Cursors::new(10 * (OVERHEAD + 4));
        let numbers: Vec<_> = (0..20_u32).map(|n| cursors.keep(b"k", &n.to_be_bytes())).collect();
        assert!(cursors.find(numbers[0]).is_none());
        assert_eq!(cursors.find(numbers[19]).as_deref(), Some(&19_u32.to_be_bytes()[..]));
        assert_eq!(
            cursors.keep(b"k", &19_u32.to_be_bytes()),
            numbers[19],
            "the same position has the same number"
        );
        assert_ne!(cursors.keep(b"l", &19_u32.to_be_bytes()), numbers[19]);
    }
}
