//! The end of a turn: when all sockets that were ready have been read, everything is written at once. Hot path.
//!
//! The first who has something to write wakes this task; the runtime puts it behind all tasks that are ready already. So requests of many
//! sessions leave in one write to a node, and replies of several nodes in one write to a client.

use crate::session::Session;
use crate::upstream::Upstream;
use crate::worker::Worker;
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Who has something to write.
#[derive(Default)]
pub(crate) struct Turn {
    upstreams: RefCell<Vec<Rc<Upstream>>>,
    sessions: RefCell<Vec<Rc<Session>>>,
    waker: RefCell<Option<Waker>>,
}

impl Turn {
    /// The connection has requests to write. Called once a turn.
    pub(crate) fn write(&self, upstream: &Rc<Upstream>) {
        let mut upstreams = self.upstreams.borrow_mut();
        upstreams.push(Rc::clone(upstream));
        if upstreams.len() == 1 {
            self.wake();
        }
    }

    /// The session has replies to write, or room for more requests. Called once a turn.
    pub(crate) fn reply(&self, session: &Rc<Session>) {
        let mut sessions = self.sessions.borrow_mut();
        sessions.push(Rc::clone(session));
        if sessions.len() == 1 {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

/// Ends every turn of a worker, for ever.
pub(crate) async fn run(worker: Rc<Worker>) {
    let mut upstreams = Vec::new();
    let mut sessions = Vec::new();
    poll_fn(|cx| {
        let turn = &worker.turn;
        if turn.waker.borrow().is_none() {
            *turn.waker.borrow_mut() = Some(cx.waker().clone());
        }
        // Nodes first: they work while we write to clients.
        std::mem::swap(&mut upstreams, &mut *turn.upstreams.borrow_mut());
        for upstream in upstreams.drain(..) {
            upstream.flush(&worker);
        }
        std::mem::swap(&mut sessions, &mut *turn.sessions.borrow_mut());
        for session in sessions.drain(..) {
            session.flush(&worker);
        }
        Poll::<()>::Pending
    })
    .await;
}
