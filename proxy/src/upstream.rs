//! One pipelined connection to one node: requests out, replies matched in order. Hot path.
//!
//! Requests are given to a connection only while it is up; while it is not, they wait at the gate. Writing happens once a turn of the worker
//! (`turn.rs`); this task reads, and writes what the socket would not take at once.

mod handshake;
mod matching;

pub(crate) use handshake::{Flavour, connect};

use crate::dialect::Dialect;
use crate::gate::Verdict;
use crate::inbox::{Filled, Inbox, LONG_BYTES};
use crate::metrics::{Connect, Refused, Repeat, Unfit};
use crate::outbox::PIECES;
use crate::request::{Again, Aim, FlavourIndex, Kept, Origin, Request, Slots};
use crate::routes::{NodeIndex, Way};
use crate::session::replies::{Frame, Outcome};
use crate::worker::Worker;
use cluster::Slot;
use matching::{Aftermath, Core, Pending};
use protocol::ProtocolError;
use protocol::request::encode_request;
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Reads of one connection in one turn, so that a busy node does not starve the others.
const READS_A_TURN: usize = 8;

/// Which connection: requests of one slot in one flavour always take the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) node: NodeIndex,
    /// The slot modulo the number of connections.
    pub(crate) lane: u16,
    pub(crate) flavour: FlavourIndex,
}

/// One connection, or the attempt to have one.
pub(crate) struct Upstream {
    pub(crate) key: Key,
    up: Cell<bool>,
    dirty: Cell<bool>,
    retired: Cell<bool>,
    core: RefCell<Core>,
    inbox: RefCell<Inbox>,
    stream: RefCell<Option<TcpStream>>,
    waker: RefCell<Option<Waker>>,
    broken: RefCell<Option<Lost>>,
    /// When the node last said something, or was last asked something while it owed nothing.
    heard: Cell<Instant>,
}

/// Why a connection is gone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error("the node closed the connection")]
    Closed,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the node answers nonsense: {0}")]
    Protocol(#[from] ProtocolError),
    #[error("the node sent a reply nobody waits for")]
    Unasked,
    #[error("no reply for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("no slot is there any more")]
    Retired,
}

impl Upstream {
    pub(crate) fn new(key: Key, now: Instant) -> Self {
        Self {
            key,
            up: Cell::new(false),
            dirty: Cell::new(false),
            retired: Cell::new(false),
            core: RefCell::default(),
            inbox: RefCell::default(),
            stream: RefCell::new(None),
            waker: RefCell::new(None),
            broken: RefCell::new(None),
            heard: Cell::new(now),
        }
    }

    /// Whether requests may be given to it.
    pub(crate) fn is_up(&self) -> bool {
        self.up.get()
    }

    /// Sends a request at the end of the turn. Its slots have been entered.
    pub(crate) fn send(self: &Rc<Self>, worker: &Worker, request: Request, frame: Frame<'_>) {
        let core = &mut *self.core.borrow_mut();
        if core.pending.is_empty() {
            self.heard.set(worker.now());
        }
        let place = match frame {
            Frame::Short(bytes) => core.outbox.push(bytes),
            Frame::Long(bytes) if bytes.len() < LONG_BYTES => core.outbox.push(&bytes),
            Frame::Long(bytes) => core.outbox.push_shared(bytes),
        };
        core.pending.push_back(Pending { request, place });
        if !self.dirty.replace(true) {
            worker.turn.write(self);
        }
    }

    /// Sends a word of our own.
    pub(crate) fn say(self: &Rc<Self>, worker: &Worker, origin: Origin, words: &[&str]) {
        let words: SmallVec<[&[u8]; 4]> = words.iter().map(|w| w.as_bytes()).collect();
        self.say_bytes(worker, origin, &words);
    }

    /// Sends a request of our own.
    pub(crate) fn say_bytes(self: &Rc<Self>, worker: &Worker, origin: Origin, words: &[&[u8]]) {
        let mut frame = Vec::with_capacity(128);
        encode_request(&mut frame, words);
        let request = Request {
            origin,
            slots: Slots::None,
            again: Again::MustNot,
            aim: Aim::Owner,
            flavour: self.key.flavour,
            held_since: None,
            hops: 0,
        };
        self.send(worker, request, Frame::Short(&frame));
    }

    /// Writes what there is to write, as far as the socket takes it.
    pub(crate) fn flush(&self, worker: &Worker) {
        self.dirty.set(false);
        match self.try_write(worker) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.wake(),
            Err(e) => {
                *self.broken.borrow_mut() = Some(Lost::Io(e));
                self.wake();
            }
        }
    }

    fn try_write(&self, worker: &Worker) -> io::Result<()> {
        let stream = self.stream.borrow();
        let Some(stream) = stream.as_ref() else { return Ok(()) };
        let core = &mut *self.core.borrow_mut();
        while core.outbox.unsent() > 0 {
            let wrote = {
                let mut pieces = [IoSlice::new(&[]); PIECES];
                let count = core.outbox.pieces(&mut pieces);
                match &pieces[..count] {
                    [one] => stream.try_write(one)?,
                    several => stream.try_write_vectored(several)?,
                }
            };
            worker.metrics.node_send_bytes.add(wrote as u64);
            core.outbox.sent(wrote);
        }
        Ok(())
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Whether the node has owed a reply for longer than `patience`.
    pub(crate) fn is_silent(&self, now: Instant, patience: Duration) -> bool {
        !self.core.borrow().pending.is_empty()
            && now.saturating_duration_since(self.heard.get()) > patience
    }

    /// Ends the connection.
    pub(crate) fn abandon(&self, why: Lost) {
        *self.broken.borrow_mut() = Some(why);
        self.wake();
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.core.borrow().pending.is_empty()
    }

    /// No slot is at this node any more: the connection ends, and is not made again.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
        self.abandon(Lost::Retired);
    }

    /// The worker ends: closes the socket, forgets what is on its way.
    pub(crate) fn cut_off(&self) {
        self.up.set(false);
        self.stream.take();
        self.core.take();
    }

    /// Keeps the connection up, until it is retired.
    pub(crate) async fn run(self: Rc<Self>, worker: Rc<Worker>) {
        let mut pause = Duration::ZERO;
        worker.shared.node_up(&worker.routes.addr(self.key.node), 0);
        loop {
            let addr = worker.routes.addr(self.key.node);
            match connect(&worker.config, &addr, worker.flavour(self.key.flavour)).await {
                Ok((stream, dialect)) => {
                    worker.tick();
                    pause = Duration::ZERO;
                    self.begin(&worker, stream, dialect);
                    let lost = poll_fn(|cx| self.poll(cx, &worker)).await;
                    worker.tick();
                    self.end(&worker, &lost);
                }
                Err((kind, why)) => {
                    worker.tick();
                    worker.metrics.connects[kind as usize].add(1);
                    worker.health.down(self.key.node, worker.now(), why);
                    worker.refresh();
                    pause = (pause * 2).clamp(
                        RETRY_FIRST,
                        worker.config.upstream.retry_pause_max.max(RETRY_FIRST),
                    );
                }
            }
            if self.retired.get() {
                worker.health.up(self.key.node);
                worker.shared.node_unused(&worker.routes.addr(self.key.node));
                return;
            }
            worker.wake_timer();
            tokio::time::sleep(jittered(pause)).await;
        }
    }

    fn begin(self: &Rc<Self>, worker: &Rc<Worker>, stream: TcpStream, dialect: Dialect) {
        worker.metrics.connects[Connect::Ok as usize].add(1);
        worker.metrics.connections.add(1);
        worker.shared.node_up(&worker.routes.addr(self.key.node), 1);
        *self.stream.borrow_mut() = Some(stream);
        self.core.borrow_mut().dialect = dialect;
        worker.learn_dialect(self.key.node, dialect);
        self.heard.set(worker.now());
        self.up.set(true);
        worker.health.up(self.key.node);
        worker.connected(self.key.node);
    }

    /// The connection is lost: what surely did not leave, and what only reads, goes back to the gate; the rest has an unknown fate.
    fn end(self: &Rc<Self>, worker: &Rc<Worker>, why: &Lost) {
        self.up.set(false);
        *self.stream.borrow_mut() = None;
        *self.inbox.borrow_mut() = Inbox::default();
        let core = std::mem::take(&mut *self.core.borrow_mut());
        worker.metrics.connections.sub(1);
        worker.metrics.connections_lost.add(1);
        worker.health.down(self.key.node, worker.now(), why.to_string());
        let addr = worker.routes.addr(self.key.node);
        worker.shared.node_down(&addr);
        tracing::warn!(node = %addr, reason = %why, unanswered = core.pending.len(), "connection to node lost");
        let mut again = Vec::new();
        let mut unread = Vec::new();
        let mut back: SmallVec<[Slot; 8]> = SmallVec::new();
        let lost = |why: &Lost| Verdict::Again(format!("connection to node {addr} lost: {why}"));
        for Pending { request, place } in core.pending {
            for &slot in request.slots.as_slice() {
                if worker.leave(request.aim, slot) == Way::Held {
                    back.push(slot);
                }
            }
            if matches!(request.slots, Slots::None) {
                if let Origin::Passage(slot, keys) = request.origin {
                    for key in keys.iter() {
                        let key = (self.key.flavour, Rc::clone(key));
                        worker.passage_answered(slot, key, lost(why));
                    }
                    back.push(slot);
                }
                continue;
            }
            if request.aim == Aim::Replica {
                unread.push(Kept { request, frame: core.outbox.copy(place) });
                continue;
            }
            let repeat = match (core.outbox.is_begun(place), request.again) {
                (false, _) => Repeat::Unsent,
                (true, Again::May) => Repeat::Read,
                (true, Again::MustNot) => {
                    worker.metrics.refused[Refused::UnknownFate as usize].add(1);
                    let line = format!(
                        "ERR slipway: connection to node {addr} lost, the write may or may not have been executed"
                    );
                    worker.fail(&request.origin, &line, Outcome::ProxyError);
                    continue;
                }
            };
            worker.metrics.repeats[repeat as usize].add(1);
            again.push(Kept { request, frame: core.outbox.copy(place) });
        }
        worker.cut_off(self.key.node, again);
        worker.replica_failed(self.key.node, Unfit::Lost, unread);
        for slot in back {
            worker.settle(slot);
        }
    }

    fn poll(self: &Rc<Self>, cx: &mut Context<'_>, worker: &Rc<Worker>) -> Poll<Lost> {
        let mut waker = self.waker.borrow_mut();
        if waker.as_ref().is_none_or(|w| !w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        drop(waker);
        if let Some(lost) = self.broken.borrow_mut().take() {
            return Poll::Ready(lost);
        }
        worker.tick();
        if !self.dirty.get()
            && let Poll::Ready(Err(e)) = self.poll_write(cx, worker)
        {
            return Poll::Ready(Lost::Io(e));
        }
        if let Err(lost) = ready!(self.poll_read(cx, worker)) {
            return Poll::Ready(lost);
        }
        // There may be more to read, after the others.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_write(&self, cx: &mut Context<'_>, worker: &Worker) -> Poll<io::Result<()>> {
        while self.core.borrow().outbox.unsent() > 0 {
            match self.stream.borrow().as_ref() {
                Some(stream) => ready!(stream.poll_write_ready(cx))?,
                None => return Poll::Ready(Ok(())),
            }
            match self.try_write(worker) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                other => other?,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        worker: &Rc<Worker>,
    ) -> Poll<Result<(), Lost>> {
        for _ in 0..READS_A_TURN {
            let mut aftermath = Aftermath::default();
            let read = {
                let inbox = &mut *self.inbox.borrow_mut();
                let scratch = &mut *worker.scratch.borrow_mut();
                let filled = match self.stream.borrow_mut().as_mut() {
                    Some(stream) => ready!(inbox.poll_fill(cx, stream, scratch))?,
                    None => Filled::End,
                };
                if matches!(filled, Filled::End) {
                    return Poll::Ready(Err(Lost::Closed));
                }
                self.heard.set(worker.now());
                self.take_replies(worker, inbox, scratch, &filled, &mut aftermath)
            };
            self.follow_up(worker, aftermath);
            read?;
        }
        Poll::Ready(Ok(()))
    }

    fn take_replies(
        &self,
        worker: &Worker,
        inbox: &mut Inbox,
        scratch: &[u8],
        filled: &Filled,
        aftermath: &mut Aftermath,
    ) -> Result<(), Lost> {
        let core = &mut *self.core.borrow_mut();
        let mut view = inbox.view(scratch, filled);
        let before = view.bytes().len();
        while let Some(len) = core.scan.scan(view.bytes())? {
            core.reply(worker, &mut view, len, aftermath)?;
            if view.bytes().is_empty() {
                break;
            }
        }
        let left = view.bytes().len();
        worker.metrics.node_receive_bytes.add((before - left) as u64);
        inbox.settle(scratch, filled, left);
        let oldest = core.pending.front().map(|p| p.place);
        core.outbox.release(oldest);
        Ok(())
    }

    /// What could not be done while the replies were read.
    fn follow_up(self: &Rc<Self>, worker: &Rc<Worker>, aftermath: Aftermath) {
        // All that came back is taken back before any of it leaves again: else a later one would go first.
        let mut back = aftermath.back;
        for (kept, bounce) in aftermath.bounced {
            back.extend_from_slice(kept.request.slots.as_slice());
            worker.turned_away(self.key, kept, bounce);
        }
        if !aftermath.unread.is_empty() {
            worker.replica_failed(self.key.node, Unfit::Refused, aftermath.unread);
        }
        for (slot, news) in aftermath.news {
            worker.news(self.key.node, slot, news);
        }
        for (slot, key, verdict) in aftermath.passages {
            worker.passage_answered(slot, (self.key.flavour, key), verdict);
            if !back.contains(&slot) {
                back.push(slot);
            }
        }
        for slot in back {
            worker.settle(slot);
        }
    }
}

/// The first pause before another attempt to connect.
const RETRY_FIRST: Duration = Duration::from_millis(5);

/// Between half of a pause and all of it, so that many do not come at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}
