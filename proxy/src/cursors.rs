//! Where scans of the keyspace have come to, behind the numbers that clients hold.
//!
//! A client's cursor is 64 bits: the slot in the lowest 14, above them the number of a position within the slot, 0 at its start. Positions
//! are the node's and may be long, so they are remembered under a hash of themselves, the oldest forgotten first. A number that is not
//! known (any more, or to this proxy) means the start of its slot: then some keys come twice, and none is missed.

use bytes::Bytes;
use cluster::Slot;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

const SLOT_BITS: u32 = 14;
const POSITION_BITS: u32 = 48;
/// Positions remembered, and their bytes.
const POSITIONS_MAX: usize = 16 * 1024;
const BYTES_MAX: usize = 16 << 20;

/// What a node says at the start of a slot.
pub(crate) const START: &[u8] = b"0";

/// The remembered positions of a proxy.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    positions: HashMap<u64, Bytes>,
    order: VecDeque<u64>,
    bytes: usize,
}

impl Cursors {
    /// The number a client gets for a position.
    pub(crate) fn number(&self, slot: Slot, position: &[u8]) -> u64 {
        let mut number = 0;
        if position != START {
            let mut hasher = DefaultHasher::new();
            (slot, position).hash(&mut hasher);
            number = (hasher.finish() & ((1 << POSITION_BITS) - 1)).max(1);
            self.keep(number, position);
        }
        number << SLOT_BITS | u64::from(slot.0)
    }

    fn keep(&self, number: u64, position: &[u8]) {
        let mut kept = self.kept.lock();
        if kept.positions.insert(number, Bytes::copy_from_slice(position)).is_none() {
            kept.order.push_back(number);
            kept.bytes += position.len();
        }
        while kept.order.len() > POSITIONS_MAX || kept.bytes > BYTES_MAX && kept.order.len() > 1 {
            let oldest = kept.order.pop_front().and_then(|number| kept.positions.remove(&number));
            kept.bytes -= oldest.map_or(0, |position| position.len());
        }
    }

    /// The slot and the position a client's number stands for.
    pub(crate) fn position(&self, number: u64) -> (Slot, Bytes) {
        let slot = Slot((number & ((1 << SLOT_BITS) - 1)) as u16);
        let kept = self.kept.lock();
        let position = kept.positions.get(&(number >> SLOT_BITS)).cloned();
        (slot, position.unwrap_or(Bytes::from_static(START)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_positions() {
        let cursors = Cursors::default();
        let number = cursors.number(Slot(16383), b"xaffe");
        assert!(number < 1 << 62);
        assert_eq!(cursors.position(number), (Slot(16383), Bytes::from_static(b"xaffe")));
        assert_eq!(cursors.number(Slot(7), START), 7);
        assert_eq!(cursors.position(7), (Slot(7), Bytes::from_static(START)));
    }

    #[test]
    fn what_is_forgotten_means_the_start_of_the_slot() {
        let cursors = Cursors::default();
        let first = cursors.number(Slot(3), b"x00");
        for i in 0..POSITIONS_MAX {
            cursors.number(Slot(4), format!("x{i}").as_bytes());
        }
        assert_eq!(cursors.position(first), (Slot(3), Bytes::from_static(START)));
        assert!(cursors.kept.lock().positions.len() <= POSITIONS_MAX);
        cursors.number(Slot(1), &vec![b'x'; BYTES_MAX]);
        assert!(cursors.kept.lock().bytes <= BYTES_MAX);
    }
}
