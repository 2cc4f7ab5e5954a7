//! Requests on their way to one node: bytes to be written, and bytes kept until they are answered. Hot path.
//!
//! A request must be kept until its reply is in, because one that is turned away is sent again byte for byte. Small requests are copied one
//! after the other into segments; a long one is a segment of its own and shares the memory it arrived in. Pure: writes nothing.

use crate::inbox::LONG_BYTES;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::IoSlice;

/// A segment takes no more requests from this size on.
const SEGMENT_BYTES: usize = 64 * 1024;
/// The most pieces one write is given.
pub(crate) const PIECES: usize = 16;

/// Where a request is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    segment: u32,
    offset: u32,
    len: u32,
}

/// Segments of requests; the first bytes are written, the rest is not yet.
#[derive(Default)]
pub(crate) struct Outbox {
    segments: VecDeque<Segment>,
    /// The number of the first segment kept.
    first: u32,
    /// How many segments from the first are written whole.
    written: usize,
    /// How much of the next one is written.
    partly: usize,
    unsent: usize,
}

enum Segment {
    Small(Vec<u8>),
    Long(Bytes),
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Long(bytes) => bytes,
        }
    }
}

impl Outbox {
    /// Bytes that are not written yet.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent
    }

    /// Copies a request behind the others.
    pub(crate) fn push(&mut self, frame: &[u8]) -> Place {
        if frame.len() >= LONG_BYTES {
            return self.push_shared(Bytes::copy_from_slice(frame));
        }
        self.unsent += frame.len();
        let number = self.first.wrapping_add(self.segments.len() as u32);
        if let Some(Segment::Small(bytes)) = self.segments.back_mut()
            && bytes.len() + frame.len() <= SEGMENT_BYTES
        {
            let place = Place {
                segment: number.wrapping_sub(1),
                offset: bytes.len() as u32,
                len: frame.len() as u32,
            };
            bytes.extend_from_slice(frame);
            return place;
        }
        self.segments.push_back(Segment::Small(frame.to_vec()));
        Place { segment: number, offset: 0, len: frame.len() as u32 }
    }

    /// Puts a long request behind the others without copying it.
    pub(crate) fn push_shared(&mut self, frame: Bytes) -> Place {
        let segment = self.first.wrapping_add(self.segments.len() as u32);
        let len = frame.len();
        self.unsent += len;
        self.segments.push_back(Segment::Long(frame));
        Place { segment, offset: 0, len: len as u32 }
    }

    /// Fills `pieces` with what is to be written next and returns how many there are.
    pub(crate) fn pieces<'a>(&'a self, pieces: &mut [IoSlice<'a>; PIECES]) -> usize {
        let mut from = self.partly;
        let mut count = 0;
        for segment in self.segments.iter().skip(self.written) {
            let bytes = &segment.bytes()[from..];
            from = 0;
            if count == PIECES {
                break;
            }
            // The first may have been the last one once, and be written whole.
            if !bytes.is_empty() {
                pieces[count] = IoSlice::new(bytes);
                count += 1;
            }
        }
        count
    }

    /// Takes note that the next `len` bytes are written.
    pub(crate) fn sent(&mut self, len: usize) {
        self.unsent -= len;
        let mut left = self.partly + len;
        while let Some(segment) = self.segments.get(self.written) {
            let size = segment.bytes().len();
            // The last segment may grow again, so it is never counted as whole while it is the last.
            if left < size || self.written + 1 == self.segments.len() {
                break;
            }
            left -= size;
            self.written += 1;
        }
        self.partly = left;
    }

    /// The bytes of a request that is kept.
    pub(crate) fn frame(&self, place: Place) -> &[u8] {
        let index = place.segment.wrapping_sub(self.first) as usize;
        let from = place.offset as usize;
        self.segments.get(index).map_or(&[], |s| &s.bytes()[from..from + place.len as usize])
    }

    /// The bytes of a request that is kept, to be kept longer.
    pub(crate) fn copy(&self, place: Place) -> Bytes {
        let index = place.segment.wrapping_sub(self.first) as usize;
        match self.segments.get(index) {
            Some(Segment::Long(bytes)) => bytes.clone(),
            _ => Bytes::copy_from_slice(self.frame(place)),
        }
    }

    /// Whether any byte of the request was given to the system.
    pub(crate) fn is_begun(&self, place: Place) -> bool {
        let index = place.segment.wrapping_sub(self.first) as usize;
        index < self.written || (index == self.written && (place.offset as usize) < self.partly)
    }

    /// Forgets everything written before the oldest request that waits for its reply.
    pub(crate) fn release(&mut self, oldest: Option<Place>) {
        let Some(oldest) = oldest else {
            return self.release_all();
        };
        let answered = oldest.segment.wrapping_sub(self.first) as usize;
        for _ in 0..answered.min(self.written) {
            self.segments.pop_front();
            self.first = self.first.wrapping_add(1);
            self.written -= 1;
        }
    }

    fn release_all(&mut self) {
        if self.unsent > 0 {
            return;
        }
        // The usual end of a turn: one small segment, all of it answered. Its memory serves the next turn.
        self.first = self.first.wrapping_add(self.segments.len() as u32);
        self.segments.truncate(1);
        match self.segments.front_mut() {
            Some(Segment::Small(bytes)) => bytes.clear(),
            _ => self.segments.clear(),
        }
        self.written = 0;
        self.partly = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes at most `room` bytes, as a socket would.
    fn write(outbox: &mut Outbox, room: usize) -> Vec<u8> {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let count = outbox.pieces(&mut pieces);
        let written: Vec<u8> =
            pieces[..count].iter().flat_map(|p| p.iter().copied()).take(room).collect();
        outbox.sent(written.len());
        written
    }

    #[test]
    fn everything_is_written_once_and_in_order_whatever_the_socket_takes() {
        for room in [11, 1000, 40_000, 1 << 20] {
            let mut outbox = Outbox::default();
            let (mut wanted, mut got) = (Vec::new(), Vec::new());
            let mut places = VecDeque::new();
            for round in 0..200_u32 {
                let size = [3, 90, 20_000, 5_000][round as usize % 4];
                let frame: Vec<u8> = (0..size).map(|i| (i + round) as u8).collect();
                wanted.extend_from_slice(&frame);
                places.push_back((outbox.push(&frame), frame));
                if round % 3 == 0 {
                    got.extend(write(&mut outbox, room));
                }
                // Whatever is written whole may be answered.
                while let Some((place, frame)) = places.front() {
                    assert_eq!(outbox.frame(*place), frame);
                    assert_eq!(&outbox.copy(*place), frame);
                    if outbox.is_begun(*place) && outbox.unsent() == 0 {
                        places.pop_front();
                    } else {
                        break;
                    }
                }
                outbox.release(places.front().map(|p| p.0));
            }
            while outbox.unsent() > 0 {
                got.extend(write(&mut outbox, room));
            }
            assert_eq!(got, wanted);
        }
    }

    #[test]
    fn a_request_is_begun_once_its_first_byte_is_written() {
        let mut outbox = Outbox::default();
        let one = outbox.push(b"first");
        let two = outbox.push(b"second");
        assert!(!outbox.is_begun(one));
        write(&mut outbox, 5);
        assert!(outbox.is_begun(one) && !outbox.is_begun(two));
        write(&mut outbox, 1);
        assert!(outbox.is_begun(two));
    }

    #[test]
    fn memory_is_given_back_when_everything_is_answered() {
        let mut outbox = Outbox::default();
        for _ in 0..100 {
            outbox.push(&vec![1; 10_000]);
            outbox.push(&vec![2; 30_000]);
        }
        while outbox.unsent() > 0 {
            write(&mut outbox, usize::MAX);
        }
        outbox.release(None);
        assert!(outbox.segments.len() <= 1);
        let place = outbox.push(b"again");
        assert_eq!(outbox.frame(place), b"again");
        assert_eq!(write(&mut outbox, usize::MAX), b"again");
    }
}
