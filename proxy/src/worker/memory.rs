//! The bytes of a worker's sessions: what they may have unanswered all together, and the buffers they lend each other.

use super::Worker;
use crate::session::Session;
use crate::session::replies::KEPT_BYTES_MAX;
use std::rc::Rc;

/// Buffers kept for sessions that have something to write.
const SPARES_MAX: usize = 256;

impl Worker {
    /// Bytes of requests and replies of all sessions have changed.
    pub(crate) fn account(&self, before: usize, after: usize) {
        let all = self.unanswered_bytes.get() + after - before;
        self.unanswered_bytes.set(all);
        self.metrics.unanswered_bytes.set(all as u64);
        if all < self.unanswered_bytes_max {
            self.starved.borrow_mut().drain(..).for_each(|session| session.wake());
        }
    }

    /// The session is woken when there is room again.
    pub(crate) fn starve(&self, session: &Rc<Session>) {
        let mut starved = self.starved.borrow_mut();
        if !starved.iter().any(|s| Rc::ptr_eq(s, session)) {
            starved.push(Rc::clone(session));
        }
    }

    /// Whether the session is the one that may go past the limit to finish its request.
    pub(crate) fn may_finish(&self, session: &Session) -> bool {
        let chosen = self.finishing.get().unwrap_or(session.id);
        self.finishing.set(Some(chosen));
        chosen == session.id
    }

    /// The session has no half request any more.
    pub(crate) fn has_finished(&self, session: &Session) {
        if self.finishing.get() == Some(session.id) {
            self.finishing.set(None);
            self.starved.borrow_mut().drain(..).for_each(|session| session.wake());
        }
    }

    /// Whether sessions that have something unanswered should not be read.
    pub(crate) fn is_full(&self) -> bool {
        self.unanswered_bytes.get() >= self.unanswered_bytes_max
    }

    /// A buffer for replies.
    pub(crate) fn spare(&self) -> Option<Vec<u8>> {
        self.spares.borrow_mut().pop()
    }

    /// Takes back a buffer that is no longer needed.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        let mut spares = self.spares.borrow_mut();
        if spares.len() < SPARES_MAX && buffer.capacity() <= KEPT_BYTES_MAX {
            buffer.clear();
            spares.push(buffer);
        }
    }
}
