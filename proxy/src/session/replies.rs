//! The replies of one session: they leave in the order of the requests, whenever they come. Hot path.
//!
//! The reply to the oldest request goes straight to the output; one that comes too early waits in its place. Pure: writes to no socket.

use crate::join::Join;
use bytes::Bytes;
use protocol::command::CommandId;
use protocol::reply::Version;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use tokio::time::Instant;

/// Early replies up to this many bytes share one buffer.
const STAGED_BYTES_MAX: usize = 64 * 1024;
/// Buffers larger than this are not kept for later.
pub(crate) const KEPT_BYTES_MAX: usize = 64 * 1024;
/// The most pieces one write is given.
const PIECES: usize = 16;

/// A reply on its way through.
pub(crate) enum Frame<'a> {
    /// Copied once.
    Short(&'a [u8]),
    /// Shared with the memory it arrived in.
    Long(Bytes),
}

impl Frame<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes) => bytes,
            Self::Long(bytes) => bytes,
        }
    }
}

/// What is known of a request when its place is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) command: CommandId,
    pub(crate) started: Instant,
    /// The request's length.
    pub(crate) bytes: u32,
    /// The client does not want the reply.
    pub(crate) muted: bool,
}

/// A request that is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) asked: Asked,
    pub(crate) outcome: Outcome,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    /// The node answered with an error.
    ErrorReply,
    /// We did.
    ProxyError,
    /// We did, because time was up.
    Timeout,
}

/// The replies of one session.
#[derive(Default)]
pub(crate) struct Replies {
    window: VecDeque<Place>,
    /// The number of the oldest request that is not answered.
    first: u32,
    output: Output,
    staged: Vec<u8>,
    /// Bytes of requests that are not answered.
    waiting_bytes: usize,
    /// Bytes of replies that came early.
    early_bytes: usize,
}

struct Place {
    state: State,
    asked: Asked,
}

enum State {
    Waiting,
    /// Came early, in the buffer.
    Staged {
        at: u32,
        len: u32,
    },
    /// Came early and is long.
    Long(Box<Bytes>),
    /// Some parts are still to come.
    Joining(Box<Join>),
}

impl Replies {
    /// How many requests are not answered, or their replies not in the output.
    pub(crate) fn in_flight(&self) -> usize {
        self.window.len()
    }

    /// The commands that are not answered, or whose replies are not in the output.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = CommandId> {
        self.window.iter().map(|place| place.asked.command)
    }

    /// Bytes of requests that are not answered.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Bytes of replies that the client has not taken.
    pub(crate) fn unread_bytes(&self) -> usize {
        self.output.len + self.early_bytes
    }

    /// The bytes that are ready to leave.
    pub(crate) fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Takes the next place and returns its number.
    pub(crate) fn open(&mut self, asked: Asked) -> u32 {
        self.take_place(asked, State::Waiting)
    }

    /// Takes the next place for a request that is sent in parts.
    pub(crate) fn open_join(&mut self, asked: Asked, join: Join) -> u32 {
        self.take_place(asked, State::Joining(Box::new(join)))
    }

    fn take_place(&mut self, asked: Asked, state: State) -> u32 {
        self.waiting_bytes += asked.bytes as usize;
        self.window.push_back(Place { state, asked });
        self.first.wrapping_add(self.window.len() as u32 - 1)
    }

    /// Writes a reply of our own in its turn.
    pub(crate) fn answer(&mut self, asked: Asked, write: impl FnOnce(&mut Vec<u8>)) {
        if self.window.is_empty() {
            let before = self.output.tail.len();
            write(&mut self.output.tail);
            self.output.len += self.output.tail.len() - before;
            return;
        }
        let at = self.staged.len();
        write(&mut self.staged);
        let len = self.staged.len() - at;
        self.early_bytes += len;
        // Nobody waits for it: it counts as answered.
        self.take_place(
            Asked { bytes: 0, ..asked },
            State::Staged { at: at as u32, len: len as u32 },
        );
    }

    /// The parts of a request that is being joined.
    pub(crate) fn join(&mut self, number: u32) -> Option<&mut Join> {
        match self.window.get_mut(number.wrapping_sub(self.first) as usize) {
            Some(Place { state: State::Joining(join), .. }) => Some(join),
            _ => None,
        }
    }

    /// Brings the reply to request `number`, or to its part `part`. Returns the request once it is answered.
    pub(crate) fn deliver(
        &mut self,
        number: u32,
        part: u16,
        frame: Frame<'_>,
        version: Version,
    ) -> Option<Answered> {
        let index = number.wrapping_sub(self.first) as usize;
        let place = self.window.get_mut(index)?;
        let asked = place.asked;
        let State::Joining(join) = &mut place.state else {
            return Some(self.settle(index, asked, frame));
        };
        if !join.take(part, frame.bytes()) {
            return None;
        }
        let State::Joining(join) = std::mem::replace(&mut place.state, State::Waiting) else {
            return None;
        };
        let mut joined = Vec::new();
        join.finish(version, &mut joined);
        Some(self.settle(index, asked, Frame::Long(Bytes::from(joined))))
    }

    fn settle(&mut self, index: usize, asked: Asked, frame: Frame<'_>) -> Answered {
        let outcome =
            if frame.bytes().first() == Some(&b'-') { Outcome::ErrorReply } else { Outcome::Ok };
        let frame = if asked.muted { Frame::Short(&[]) } else { frame };
        self.waiting_bytes -= asked.bytes as usize;
        if index == 0 {
            self.output.push(frame);
            self.first = self.first.wrapping_add(1);
            self.window.pop_front();
            self.advance();
        } else {
            self.early_bytes += frame.bytes().len();
            let state = self.stage(frame);
            if let Some(place) = self.window.get_mut(index) {
                place.state = state;
            }
        }
        Answered { asked, outcome }
    }

    fn stage(&mut self, frame: Frame<'_>) -> State {
        match frame {
            Frame::Short(bytes) if self.staged.len() < STAGED_BYTES_MAX => {
                let at = self.staged.len() as u32;
                self.staged.extend_from_slice(bytes);
                State::Staged { at, len: bytes.len() as u32 }
            }
            Frame::Short(bytes) => State::Long(Box::new(Bytes::copy_from_slice(bytes))),
            Frame::Long(bytes) => State::Long(Box::new(bytes)),
        }
    }

    /// Moves replies that came early to the output, as far as their turn has come.
    fn advance(&mut self) {
        while let Some(place) = self.window.front_mut() {
            match std::mem::replace(&mut place.state, State::Waiting) {
                State::Staged { at, len } => {
                    let (at, len) = (at as usize, len as usize);
                    self.early_bytes -= len;
                    self.output.push(Frame::Short(&self.staged[at..at + len]));
                }
                State::Long(bytes) => {
                    self.early_bytes -= bytes.len();
                    self.output.push(Frame::Long(*bytes));
                }
                state => {
                    place.state = state;
                    return;
                }
            }
            self.first = self.first.wrapping_add(1);
            self.window.pop_front();
        }
        self.staged.clear();
        if self.staged.capacity() > KEPT_BYTES_MAX {
            self.staged = Vec::new();
        }
    }
}

/// Bytes on their way to the client.
#[derive(Default)]
pub(crate) struct Output {
    /// Whole pieces in front of `tail`.
    pieces: VecDeque<Bytes>,
    tail: Vec<u8>,
    /// How much of the first piece, or of the tail, is written.
    written: usize,
    len: usize,
}

/// What a write has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    All,
    Part,
}

impl Output {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn push(&mut self, frame: Frame<'_>) {
        self.len += frame.bytes().len();
        match frame {
            Frame::Short(bytes) => self.tail.extend_from_slice(bytes),
            Frame::Long(bytes) if bytes.len() < crate::inbox::LONG_BYTES => {
                self.tail.extend_from_slice(&bytes)
            }
            Frame::Long(bytes) => {
                if !self.tail.is_empty() {
                    self.pieces.push_back(Bytes::from(std::mem::take(&mut self.tail)));
                }
                self.pieces.push_back(bytes);
            }
        }
    }

    /// Writes once, or until everything is written or the socket takes no more.
    pub(crate) fn write(
        &mut self,
        mut socket: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<Flushed> {
        while self.len > 0 {
            let wrote = {
                let mut slices = [IoSlice::new(&[]); PIECES];
                let (mut count, mut from) = (0, self.written);
                for bytes in self
                    .pieces
                    .iter()
                    .map(|p| &p[..])
                    .chain(std::iter::once(&self.tail[..]))
                    .take(PIECES)
                {
                    slices[count] = IoSlice::new(&bytes[from..]);
                    from = 0;
                    count += 1;
                }
                let given: usize = slices[..count].iter().map(|s| s.len()).sum();
                let wrote = socket(&slices[..count])?;
                if wrote < given {
                    self.advance(wrote);
                    return Ok(Flushed::Part);
                }
                wrote
            };
            self.advance(wrote);
        }
        Ok(Flushed::All)
    }

    fn advance(&mut self, wrote: usize) {
        self.len -= wrote;
        let mut left = self.written + wrote;
        while let Some(piece) = self.pieces.front() {
            if left < piece.len() {
                break;
            }
            left -= piece.len();
            self.pieces.pop_front();
        }
        self.written = left;
        if self.len == 0 {
            self.tail.clear();
            self.written = 0;
        }
    }

    /// Whether replies would go into a buffer that has yet to be allocated.
    pub(crate) fn wants_buffer(&self) -> bool {
        self.tail.capacity() == 0
    }

    /// Gives it a buffer that was used before.
    pub(crate) fn lend(&mut self, buffer: Vec<u8>) {
        self.tail = buffer;
    }

    /// Takes its buffer when nothing is in it.
    pub(crate) fn reclaim(&mut self) -> Option<Vec<u8>> {
        (self.len == 0 && self.tail.capacity() > 0).then(|| std::mem::take(&mut self.tail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(bytes: u32) -> Asked {
        Asked { command: CommandId(0), started: Instant::now(), bytes, muted: false }
    }

    /// What a socket that takes at most `room` bytes a time gets.
    fn written(replies: &mut Replies, room: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !replies.output().is_empty() {
            let write = |pieces: &[IoSlice<'_>]| {
                let mut left = room;
                for piece in pieces {
                    let take = piece.len().min(left);
                    all.extend_from_slice(&piece[..take]);
                    left -= take;
                }
                Ok(room - left)
            };
            replies.output().write(write).unwrap();
        }
        all
    }

    #[test]
    fn replies_leave_in_the_order_of_requests_whenever_they_come() {
        let long = vec![b'x'; 40_000];
        for room in [1000, 33_000, usize::MAX] {
            for turn in 0..24 {
                // Every order in which four replies can come.
                let mut order = vec![0, 1, 2, 3];
                let (mut left, mut turn) = (turn, turn);
                for place in (1..4).rev() {
                    order.swap(place, left % (place + 1));
                    left /= place + 1;
                }
                turn += 1;
                let texts: [&[u8]; 4] = [b"+a\r\n", &long, b"-ERR c\r\n", b"$1\r\nd\r\n"];
                let mut replies = Replies::default();
                let first = replies.open(asked(10));
                for _ in 1..4 {
                    replies.open(asked(10));
                }
                for &index in &order {
                    let frame = if index == 1 {
                        Frame::Long(Bytes::from(long.clone()))
                    } else {
                        Frame::Short(texts[index])
                    };
                    let answered =
                        replies.deliver(first + index as u32, 0, frame, Version::Resp2).unwrap();
                    assert_eq!(answered.outcome == Outcome::ErrorReply, index == 2);
                }
                assert_eq!((replies.in_flight(), replies.waiting_bytes()), (0, 0), "{turn}");
                assert_eq!(replies.unread_bytes(), texts.concat().len());
                assert_eq!(written(&mut replies, room), texts.concat());
                assert_eq!(replies.unread_bytes(), 0);
            }
        }
    }

    #[test]
    fn an_answer_of_our_own_waits_for_its_turn() {
        let mut replies = Replies::default();
        let first = replies.open(asked(5));
        replies.answer(asked(7), |out| out.extend_from_slice(b"+PONG\r\n"));
        assert!(replies.output().is_empty());
        assert_eq!(replies.waiting_bytes(), 5, "what is answered waits for nobody");
        replies.deliver(first, 0, Frame::Short(b"+OK\r\n"), Version::Resp2);
        replies.answer(asked(7), |out| out.extend_from_slice(b"+LAST\r\n"));
        assert_eq!(written(&mut replies, usize::MAX), b"+OK\r\n+PONG\r\n+LAST\r\n");
    }

    #[test]
    fn a_muted_reply_is_not_written_and_an_unknown_one_is_ignored() {
        let mut replies = Replies::default();
        let first = replies.open(Asked { muted: true, ..asked(5) });
        assert!(replies.deliver(first + 9, 0, Frame::Short(b"+X\r\n"), Version::Resp2).is_none());
        assert!(replies.deliver(first, 0, Frame::Short(b"+OK\r\n"), Version::Resp2).is_some());
        assert!(replies.output().is_empty());
    }
}
