//! Bytes that have arrived on one socket and are not consumed yet. Hot path.
//!
//! An idle connection keeps no buffer: a read goes into the worker's scratch memory, and only what is left of it (a request cut in half, or
//! requests that must wait) is kept. Once much is left, or a long frame is on its way, reads go into a buffer of the connection's own,
//! and a long frame leaves it as [`Bytes`] without having been copied.

use bytes::{Buf, Bytes, BytesMut};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

/// From this size on a frame is not copied but shared, and a rest is not moved through the scratch memory.
pub(crate) const LONG_BYTES: usize = 16 * 1024;
/// The least room a read into a buffer of one's own is given.
const READ_BYTES: usize = 64 * 1024;

/// What is left unconsumed of one socket.
#[derive(Default)]
pub(crate) struct Inbox {
    rest: BytesMut,
    /// How many more bytes the frame at the start of `rest` needs, as far as known.
    missing: usize,
}

/// Where the unconsumed bytes are.
pub(crate) enum Filled {
    /// The first so many bytes of the scratch memory.
    Scratch(usize),
    /// In the inbox itself.
    Own,
    /// The peer sends no more.
    End,
}

impl Inbox {
    /// Bytes kept.
    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    /// Says that the frame at the start needs at least so many bytes more.
    pub(crate) fn expect(&mut self, missing: usize) {
        self.missing = missing;
    }

    /// Reads once.
    pub(crate) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
        scratch: &mut [u8],
    ) -> Poll<io::Result<Filled>> {
        let kept = self.rest.len();
        if kept + self.missing < LONG_BYTES {
            let mut room = ReadBuf::new(&mut scratch[kept..]);
            ready!(Pin::new(stream).poll_read(cx, &mut room))?;
            let read = room.filled().len();
            if read == 0 {
                return Poll::Ready(Ok(Filled::End));
            }
            if kept > 0 {
                scratch[..kept].copy_from_slice(&self.rest);
                self.rest.clear();
            }
            return Poll::Ready(Ok(Filled::Scratch(kept + read)));
        }
        if self.rest.capacity() - kept < self.missing.clamp(1, READ_BYTES) {
            self.rest.reserve(self.missing.max(READ_BYTES));
        }
        match ready!(poll_read_buf(Pin::new(stream), cx, &mut self.rest))? {
            0 => Poll::Ready(Ok(Filled::End)),
            _ => Poll::Ready(Ok(Filled::Own)),
        }
    }

    /// The bytes to be consumed, after a fill or between two.
    pub(crate) fn view<'a>(&'a mut self, scratch: &'a [u8], filled: &Filled) -> View<'a> {
        match filled {
            Filled::Scratch(len) => View::Scratch(&scratch[..*len]),
            Filled::Own | Filled::End => View::Own(&mut self.rest),
        }
    }

    /// Keeps the `left` bytes that a view has left, and gives memory back when there are none.
    pub(crate) fn settle(&mut self, scratch: &[u8], filled: &Filled, left: usize) {
        if let Filled::Scratch(len) = *filled
            && left > 0
        {
            self.rest.extend_from_slice(&scratch[len - left..len]);
        }
        if self.rest.is_empty() {
            self.missing = 0;
            if self.rest.capacity() > 0 {
                self.rest = BytesMut::new();
            }
        }
    }
}

/// The unconsumed bytes, consumed from the front.
pub(crate) enum View<'a> {
    Scratch(&'a [u8]),
    Own(&'a mut BytesMut),
}

impl View<'_> {
    /// All unconsumed bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Scratch(bytes) => bytes,
            Self::Own(bytes) => bytes,
        }
    }

    /// Drops the first `len` bytes.
    pub(crate) fn consume(&mut self, len: usize) {
        match self {
            Self::Scratch(bytes) => *bytes = &bytes[len..],
            Self::Own(bytes) => bytes.advance(len),
        }
    }

    /// Takes the first `len` bytes, without copying them if they are in a buffer of the connection's own.
    pub(crate) fn take(&mut self, len: usize) -> Bytes {
        match self {
            Self::Scratch(bytes) => {
                let taken = Bytes::copy_from_slice(&bytes[..len]);
                *bytes = &bytes[len..];
                taken
            }
            Self::Own(bytes) => bytes.split_to(len).freeze(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A socket that gives what is asked of it in pieces.
    struct Pieces(VecDeque<Vec<u8>>);

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            room: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let Some(piece) = self.0.front_mut() else { return Poll::Ready(Ok(())) };
            let take = piece.len().min(room.remaining());
            room.put_slice(&piece[..take]);
            piece.drain(..take);
            if piece.is_empty() {
                self.0.pop_front();
            }
            Poll::Ready(Ok(()))
        }
    }

    /// Frames of a length in four digits and so many bytes.
    fn consume(inbox: &mut Inbox, scratch: &[u8], filled: &Filled, out: &mut Vec<Bytes>) {
        let mut view = inbox.view(scratch, filled);
        let mut missing = 0;
        while let Some(header) = view.bytes().get(..6) {
            let len: usize = std::str::from_utf8(header).unwrap().parse().unwrap();
            if view.bytes().len() < 6 + len {
                missing = 6 + len - view.bytes().len();
                break;
            }
            view.consume(6);
            out.push(view.take(len));
        }
        let left = view.bytes().len();
        inbox.expect(missing);
        inbox.settle(scratch, filled, left);
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_the_socket_cuts_them() {
        let frames: Vec<Vec<u8>> = [0, 5, 70_000, 3, 16_384, 16_383, 200_000, 1]
            .iter()
            .map(|&size| (0..size).map(|i| (i % 251) as u8).collect())
            .collect();
        let all: Vec<u8> = frames
            .iter()
            .flat_map(|f| [format!("{:06}", f.len()).as_bytes(), f].concat())
            .collect();
        for piece in [7, 1000, 65_536, all.len()] {
            let mut socket = Pieces(all.chunks(piece).map(<[u8]>::to_vec).collect());
            let (mut inbox, mut scratch, mut got) =
                (Inbox::default(), vec![0; 64 * 1024], Vec::new());
            let mut cx = Context::from_waker(std::task::Waker::noop());
            loop {
                let Poll::Ready(filled) = inbox.poll_fill(&mut cx, &mut socket, &mut scratch)
                else {
                    panic!("never pending")
                };
                let filled = filled.unwrap();
                if matches!(filled, Filled::End) {
                    break;
                }
                consume(&mut inbox, &scratch, &filled, &mut got);
            }
            assert_eq!(got, frames, "pieces of {piece}");
            assert_eq!((inbox.len(), inbox.rest.capacity()), (0, 0), "nothing is kept");
        }
    }
}
