//! A request over several slots, cut into requests that each go to one place. Pure.

use crate::join::Items;
use cluster::Slot;
use protocol::slicer::Args;
use smallvec::SmallVec;

/// The slots of a request's keys, one a key, in the order of the keys.
pub(crate) type KeySlots = SmallVec<[Slot; 16]>;

/// Where a part goes: parts of one place travel as one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// The slot is settled: whatever else goes over the same connection may come along.
    Connection(u32),
    /// It is a read: the same goes for the replica, and for the owner if the replica should not take it.
    Read { owner: u32, replica: Option<u32> },
    /// The slot is held: it must be alone.
    Alone(Slot),
}

/// A request for some of the keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) group: Group,
    /// Which keys of the whole request.
    pub(crate) items: Items,
    /// Their slots, each once.
    pub(crate) slots: SmallVec<[Slot; 8]>,
    pub(crate) frame: Vec<u8>,
}

/// A request whose keys stand from argument 1 to the end in equal steps: MGET, MSET, DEL and the like.
pub(crate) struct Whole<'a> {
    pub(crate) frame: &'a [u8],
    pub(crate) args: &'a Args,
    pub(crate) slots: &'a [Slot],
}

impl Whole<'_> {
    /// Cuts the request; keys stay in their order within a part.
    pub(crate) fn split(&self, group_of: impl Fn(Slot) -> Group) -> Vec<Part> {
        let mut order: SmallVec<[(Group, u32); 16]> = self
            .slots
            .iter()
            .enumerate()
            .map(|(item, &slot)| (group_of(slot), item as u32))
            .collect();
        order.sort_unstable();
        order.chunk_by(|a, b| a.0 == b.0).map(|keys| self.part(keys)).collect()
    }

    fn part(&self, keys: &[(Group, u32)]) -> Part {
        let step = (self.args.len() - 1) / self.slots.len().max(1);
        let mut frame =
            Vec::with_capacity(self.frame.len() * keys.len() / self.slots.len().max(1) + 32);
        frame.push(b'*');
        frame.extend_from_slice(itoa::Buffer::new().format(1 + keys.len() * step).as_bytes());
        frame.extend_from_slice(b"\r\n");
        frame.extend_from_slice(self.raw(0, 1));
        let mut slots = SmallVec::new();
        for &(_, item) in keys {
            frame.extend_from_slice(self.raw(1 + item as usize * step, step));
            slots.push(self.slots[item as usize]);
        }
        slots.sort_unstable();
        slots.dedup();
        Part { group: keys[0].0, items: keys.iter().map(|k| k.1).collect(), slots, frame }
    }

    /// The bytes of `count` arguments from `first` on, with their lengths.
    fn raw(&self, first: usize, count: usize) -> &[u8] {
        raw_args(self.frame, self.args, first, count)
    }
}

/// The bytes of `count` arguments of a request from `first` on, with their lengths.
pub(crate) fn raw_args<'a>(frame: &'a [u8], args: &Args, first: usize, count: usize) -> &'a [u8] {
    let start = match first.checked_sub(1).and_then(|before| args.range(before)) {
        Some(before) => before.end + 2,
        None => frame.iter().position(|&b| b == b'\n').map_or(0, |end| end + 1),
    };
    let end = args.range(first + count - 1).map_or(start, |last| last.end + 2);
    frame.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::SlotCount;
    use protocol::request::encode_request;
    use protocol::slicer::{Limits, slice_request};

    fn split(words: &[&str], step: usize, group_of: impl Fn(Slot) -> Group) -> Vec<Part> {
        let words: Vec<&[u8]> = words.iter().map(|w| w.as_bytes()).collect();
        let mut frame = Vec::new();
        encode_request(&mut frame, &words);
        let mut args = Args::new();
        slice_request(&frame, &Limits::default(), &mut args).unwrap();
        let slots: KeySlots =
            words[1..].iter().step_by(step).map(|k| SlotCount::DEFAULT.of(k)).collect();
        Whole { frame: &frame, args: &args, slots: &slots }.split(group_of)
    }

    #[test]
    fn keys_of_one_connection_travel_together_and_keep_their_order() {
        // Slots: foo 289, key1 80, key2 490, key3 380.
        let parts = split(&["MGET", "foo", "key1", "key2", "key3", "foo"], 1, |s| {
            Group::Connection(u32::from(s.0 > 300))
        });
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[0].items.as_slice(), [0, 1, 4]);
        assert_eq!(parts[0].frame, b"*4\r\n$4\r\nMGET\r\n$3\r\nfoo\r\n$4\r\nkey1\r\n$3\r\nfoo\r\n");
        assert_eq!(parts[0].slots.as_slice(), [Slot(80), Slot(289)]);
        assert_eq!(parts[1].items.as_slice(), [2, 3]);
    }

    #[test]
    fn a_held_slot_is_alone_and_pairs_stay_together() {
        let parts = split(&["MSET", "foo", "1", "key1", "2", "key2", "3"], 2, |s| {
            if s == Slot(80) { Group::Alone(s) } else { Group::Connection(0) }
        });
        assert_eq!(
            parts[0].frame,
            b"*5\r\n$4\r\nMSET\r\n$3\r\nfoo\r\n$1\r\n1\r\n$4\r\nkey2\r\n$1\r\n3\r\n"
        );
        assert_eq!(parts[1].group, Group::Alone(Slot(80)));
        assert_eq!(parts[1].frame, b"*3\r\n$4\r\nMSET\r\n$4\r\nkey1\r\n$1\r\n2\r\n");
    }
}
