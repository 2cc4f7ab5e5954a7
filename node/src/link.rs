//! Connections from our own parts: bounce words, sticky pairs, pushes (docs/WIRE.md §1–3).
//!
//! After the first bounce of a (connection, slot) pair every later request of that pair is bounced too, until RESUME: else a pipeline would be
//! reordered. A link is registered with the slot under the slot's lock when it is bounced, so it hears of every change after that.

use cluster::state::Admission;
use cluster::{Epoch, Slot, Token};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use tokio::sync::Notify;

/// Pushes that wait for a link that does not read; more are dropped, since a push only shortens a wait.
const PUSH_BYTES_MAX: usize = 256 << 10;

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    closed: bool,
}

/// What is to be pushed to one link, from any thread.
#[derive(Debug, Default)]
pub struct Pushes {
    queue: Mutex<Queue>,
    arrived: Notify,
}

impl Pushes {
    /// Queues a frame.
    pub fn push(&self, frame: &[u8]) {
        let mut queue = self.queue.lock();
        if queue.closed || queue.bytes.len() + frame.len() > PUSH_BYTES_MAX {
            return;
        }
        queue.bytes.extend_from_slice(frame);
        drop(queue);
        self.arrived.notify_one();
    }

    /// Moves what is queued to the end of `out`.
    pub fn drain_into(&self, out: &mut Vec<u8>) {
        let mut queue = self.queue.lock();
        out.extend_from_slice(&queue.bytes);
        queue.bytes.clear();
    }

    /// Returns when something has been queued since the last call.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Whether the link still exists.
    pub fn is_open(&self) -> bool {
        !self.queue.lock().closed
    }

    fn close(&self) {
        self.queue.lock().closed = true;
    }
}

/// What a session knows as a link.
#[derive(Debug, Default)]
pub struct Link {
    pub pushes: Arc<Pushes>,
    sticky: BTreeSet<Slot>,
}

impl Link {
    /// Whether a request of one of these slots must be bounced whatever the slot's state is; returns the first of them.
    pub fn stuck(&self, slots: &[Slot]) -> Option<Slot> {
        if self.sticky.is_empty() {
            None
        } else {
            slots.iter().copied().find(|slot| self.sticky.contains(slot))
        }
    }

    /// From now on requests of these slots are bounced.
    pub fn stick(&mut self, slots: &[Slot]) {
        self.sticky.extend(slots);
    }

    /// Requests of the slot are judged by its state again.
    pub fn resume(&mut self, slot: Slot) {
        self.sticky.remove(&slot);
    }

    /// The slots that are stuck.
    pub fn sticky(&self) -> impl Iterator<Item = Slot> + '_ {
        self.sticky.iter().copied()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.pushes.close();
    }
}

/// Writes the bounce word for a link.
pub fn bounce(out: &mut Vec<u8>, slot: Slot, admission: &Admission<'_>) {
    let written = match admission {
        Admission::Execute | Admission::Hold => write!(out, "-XHOLD {slot}\r\n"),
        Admission::Moved { epoch, addr, token } => {
            write!(out, "-XMOVED {slot} {epoch} {addr} {}\r\n", token_or_dash(*token))
        }
        Admission::Ask => write!(out, "-XASK {slot}\r\n"),
    };
    debug_assert!(written.is_ok(), "writing to memory");
}

/// Writes what a plain client gets for a slot that is not served here.
pub fn redirect(out: &mut Vec<u8>, slot: Slot, admission: &Admission<'_>) {
    let written = match admission {
        Admission::Moved { addr, .. } => write!(out, "-MOVED {slot} {addr}\r\n"),
        Admission::Execute | Admission::Hold => {
            write!(out, "-TRYAGAIN slot {slot} is moving, try again in a moment\r\n")
        }
        Admission::Ask => write!(
            out,
            "-CLUSTERDOWN slot {slot} is not served here: connect to the proxy instead\r\n"
        ),
    };
    debug_assert!(written.is_ok(), "writing to memory");
}

fn token_or_dash(token: Option<Token>) -> String {
    token.map_or_else(|| "-".to_owned(), |token| token.to_string())
}

/// `["slipway", "open", slot]`
pub fn open_push(slot: Slot) -> Vec<u8> {
    format!(">3\r\n$7\r\nslipway\r\n$4\r\nopen\r\n:{slot}\r\n").into_bytes()
}

/// `["slipway", "moved", slot, epoch, addr, token-or--]`
pub fn moved_push(slot: Slot, epoch: Epoch, addr: &str, token: Option<Token>) -> Vec<u8> {
    let token = token_or_dash(token);
    let (a, t) = (addr.len(), token.len());
    format!(">6\r\n$7\r\nslipway\r\n$5\r\nmoved\r\n:{slot}\r\n:{epoch}\r\n${a}\r\n{addr}\r\n${t}\r\n{token}\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_page() {
        let text = |admission: &Admission<'_>| {
            let mut out = Vec::new();
            bounce(&mut out, Slot(7), admission);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(&Admission::Hold), "-XHOLD 7\r\n");
        assert_eq!(text(&Admission::Ask), "-XASK 7\r\n");
        let moved = Admission::Moved { epoch: Epoch(3), addr: "h:1", token: None };
        assert_eq!(text(&moved), "-XMOVED 7 3 h:1 -\r\n");
        let moved = Admission::Moved { epoch: Epoch(3), addr: "h:1", token: Some(Token(255)) };
        assert_eq!(text(&moved), format!("-XMOVED 7 3 h:1 {:032x}\r\n", 255));
    }

    #[test]
    fn pushes_are_frames() {
        use protocol::frame::{Value, decode};
        let bulk = |text: &'static str| Value::Bulk(bytes::Bytes::from_static(text.as_bytes()));
        let (value, _) = decode(&open_push(Slot(9))).unwrap().unwrap();
        assert_eq!(value, Value::Push(vec![bulk("slipway"), bulk("open"), Value::Int(9)]));
        let (value, _) = decode(&moved_push(Slot(9), Epoch(2), "h:1", None)).unwrap().unwrap();
        assert_eq!(
            value,
            Value::Push(vec![
                bulk("slipway"),
                bulk("moved"),
                Value::Int(9),
                Value::Int(2),
                bulk("h:1"),
                bulk("-")
            ])
        );
    }

    #[test]
    fn a_link_that_does_not_read_costs_bounded_memory() {
        let pushes = Pushes::default();
        for _ in 0..100_000 {
            pushes.push(&open_push(Slot(1)));
        }
        let mut out = Vec::new();
        pushes.drain_into(&mut out);
        assert!(out.len() <= PUSH_BYTES_MAX);
    }
}
