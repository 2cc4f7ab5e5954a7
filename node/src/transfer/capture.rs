//! The changes of a slot that the copy has already passed, in commit order.
//!
//! The copy walks the slot in the order of (family, key). While a chunk is being read, every change is captured; when the chunk's last key is known,
//! captured changes behind it are dropped again, since a later chunk reads them. So at any time exactly the changes at or before the bound are
//! kept, and applying chunk, then captured changes, then the next chunk gives the slot as it is.
//!
//! Writers hold the slot's lock when they call [`Capture::add`], so capture order is commit order.

use super::Family;
use super::records::{Payload, Record};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// How far the copy has come.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Bound {
    /// Nothing is copied yet.
    Start,
    /// Everything up to and with this key.
    At(Family, Vec<u8>),
    /// A chunk is being read, or the copy is complete: every change counts.
    Everything,
}

impl Bound {
    fn covers(&self, record: &Record<'_>) -> bool {
        match self {
            Self::Start => false,
            Self::At(family, key) => record.position() <= (*family, key),
            Self::Everything => true,
        }
    }
}

#[derive(Debug)]
struct Inner {
    bound: Bound,
    queue: Payload,
    /// More came than may be kept; the copy must start again.
    overflown: bool,
}

/// The queue between a slot's writers and its copier.
#[derive(Debug)]
pub(crate) struct Capture {
    inner: Mutex<Inner>,
    bytes_max: usize,
    /// Told when the queue is no longer empty.
    pub(crate) filled: Notify,
}

/// The queue held more than `capture_bytes_max`: writes come faster than the target takes them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("writes came faster than the target took them: more than {0} bytes waited")]
pub(crate) struct Overflown(pub(crate) usize);

impl Capture {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let inner = Inner { bound: Bound::Start, queue: Payload::default(), overflown: false };
        Self { inner: Mutex::new(inner), bytes_max, filled: Notify::new() }
    }

    /// Takes in a committed change. Called with the slot's lock held.
    pub(crate) fn add(&self, record: Record<'_>) {
        let mut inner = self.inner.lock();
        if inner.overflown || !inner.bound.covers(&record) {
            return;
        }
        let was_empty = inner.queue.is_empty();
        inner.queue.push(record);
        if inner.queue.len() > self.bytes_max {
            inner.overflown = true;
            inner.queue = Payload::default();
        }
        drop(inner);
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// A chunk is about to be read. Called with the slot's lock held, before the snapshot is taken.
    pub(crate) fn chunk_begins(&self) {
        self.inner.lock().bound = Bound::Everything;
    }

    /// The chunk ended with this key; nothing behind it has been read.
    pub(crate) fn chunk_ended(&self, family: Family, key: Vec<u8>) {
        let mut inner = self.inner.lock();
        let bound = Bound::At(family, key);
        inner.queue.retain(|record| bound.covers(record));
        inner.bound = bound;
    }

    /// Takes what has been captured since the last call.
    pub(crate) fn take(&self) -> Result<Payload, Overflown> {
        let mut inner = self.inner.lock();
        if inner.overflown {
            return Err(Overflown(self.bytes_max));
        }
        Ok(std::mem::take(&mut inner.queue))
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.inner.lock().queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &[u8]) -> Record<'_> {
        Record::Put { family: Family::Data, key, value: b"v" }
    }

    fn keys(capture: &Capture) -> Vec<Vec<u8>> {
        let payload = capture.take().unwrap();
        payload.records().map(|r| r.unwrap().position().1.to_vec()).collect()
    }

    #[test]
    fn exactly_the_changes_at_or_before_the_bound_are_kept() {
        let capture = Capture::new(1 << 20);
        capture.add(put(b"a"));
        assert!(keys(&capture).is_empty(), "the first chunk will read it");
        capture.chunk_begins();
        capture.add(put(b"b"));
        capture.add(put(b"m"));
        capture.add(put(b"x"));
        capture.chunk_ended(Family::Data, b"m".to_vec());
        capture.add(put(b"n"));
        capture.add(put(b"c"));
        capture.add(Record::Delete { family: Family::Meta, key: b"zzz" });
        capture.add(put(b"\xff"));
        assert_eq!(keys(&capture), [b"b".to_vec(), b"m".to_vec(), b"c".to_vec(), b"zzz".to_vec()]);
    }

    #[test]
    fn too_much_is_an_overflow_and_not_a_gap() {
        let capture = Capture::new(64);
        capture.chunk_begins();
        for _ in 0..10 {
            capture.add(put(b"key"));
        }
        assert_eq!(capture.take(), Err(Overflown(64)));
        capture.add(put(b"key"));
        assert_eq!(capture.take(), Err(Overflown(64)), "what was lost stays lost");
    }
}
