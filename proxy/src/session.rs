//! One client: reads what has arrived, sends every whole request on its way, writes replies in order. Hot path.
//!
//! A session lives on one worker. Its task reads; replies are written at the end of a turn (`turn.rs`), by the task only what the socket
//! would not take at once. When something must wait (a bound, or a command that may not overtake others), what was read stays in the inbox.

mod alone;
mod codis;
mod pika;
pub(crate) mod replies;
mod requests;
mod socket;
mod state;
mod transaction;

pub(crate) use state::State;

use crate::inbox::{Filled, Inbox};
use crate::local::Mute;
use crate::metrics::{Gone, Pressure};
use crate::registry::Card;
use crate::request::FlavourIndex;
use crate::split::Part;
use crate::worker::Worker;
use alone::Alone;
use protocol::reply::Version;
use protocol::slicer::Args;
use replies::{Answered, Flushed, Frame, Outcome, Replies};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Reads of one session in one turn.
const READS_A_TURN: usize = 4;

/// One client's connection.
pub(crate) struct Session {
    pub(crate) id: u64,
    worker: Rc<Worker>,
    pub(crate) card: Arc<Card>,
    pub(crate) state: RefCell<State>,
    /// Requests are looked at more closely than usual.
    is_special: Cell<bool>,
    pub(crate) mute: Cell<Mute>,
    pub(crate) flavour: Cell<FlavourIndex>,
    pub(crate) version: Cell<Version>,
    stream: RefCell<Option<TcpStream>>,
    inbox: RefCell<Inbox>,
    /// How far the request at the start of the inbox is understood.
    partial: RefCell<Option<Box<Args>>>,
    replies: RefCell<Replies>,
    phase: Cell<Phase>,
    pause: Cell<Pause>,
    /// A command that runs alone: nothing else is sent until it has ended.
    alone: RefCell<Option<Alone>>,
    waker: RefCell<Option<Waker>>,
    touched: Cell<bool>,
    /// Something waits for replies to leave.
    waits: Cell<bool>,
    heard: Cell<Instant>,
    /// The bytes the worker knows of.
    accounted: Cell<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// No more is read; what was read is answered.
    Finishing(Gone),
    /// No more is read or looked at; what was sent is answered.
    Closing(Gone),
    /// Over.
    Closed(Gone),
}

/// Why requests that were read wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// They do not: more bytes are needed.
    None,
    /// Enough are on their way.
    Window,
    /// The next one may not overtake those on their way.
    Barrier,
    /// The slot of the next one is held, and no more may be held.
    Stalled,
}

/// A request that took long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slow {
    pub(crate) took: Duration,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}", self.id)
    }
}

impl Session {
    pub(crate) fn new(worker: &Rc<Worker>, stream: TcpStream) -> Rc<Self> {
        socket::prepare(&stream, &worker.config);
        let id = worker.shared.clients.next_id();
        let (peer, local) = (stream.peer_addr().ok(), stream.local_addr().ok());
        let state = State::new(worker);
        Rc::new(Self {
            id,
            card: Arc::new(Card::new(id, worker.number, peer, local, worker.now())),
            is_special: Cell::new(!state.authenticated),
            mute: Cell::default(),
            state: RefCell::new(state),
            worker: Rc::clone(worker),
            flavour: Cell::default(),
            version: Cell::default(),
            stream: RefCell::new(Some(stream)),
            inbox: RefCell::default(),
            partial: RefCell::default(),
            replies: RefCell::default(),
            phase: Cell::new(Phase::Open),
            pause: Cell::new(Pause::None),
            alone: RefCell::default(),
            waker: RefCell::default(),
            touched: Cell::new(false),
            waits: Cell::new(false),
            heard: Cell::new(worker.now()),
            accounted: Cell::new(0),
        })
    }

    pub(crate) fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    /// Serves the client until it is gone.
    pub(crate) async fn run(self: Rc<Self>, worker: Rc<Worker>) {
        let gone = poll_fn(|cx| {
            let polled = self.poll(cx, &worker);
            self.account(&worker);
            polled
        });
        let gone = gone.await;
        self.phase.set(Phase::Closed(gone));
        self.count_lost(&worker);
        self.stop_alone();
        self.stream.take();
        self.inbox.take();
        worker.account(self.accounted.replace(0), 0);
        worker.has_finished(&self);
        worker.forget(&self, gone);
    }

    // --- replies

    /// Brings a reply. Returns the request if it took long.
    pub(crate) fn deliver(
        self: &Rc<Self>,
        worker: &Worker,
        number: u32,
        part: u16,
        frame: Frame<'_>,
    ) -> Option<Slow> {
        self.bring(worker, number, part, frame, None)
    }

    /// Answers a request with an error of our own; `line` is without `-`.
    pub(crate) fn fail(
        self: &Rc<Self>,
        worker: &Worker,
        number: u32,
        part: u16,
        line: &str,
        outcome: Outcome,
    ) {
        let line = if worker.is_codis() { codis::failure(line) } else { line.into() };
        let frame = format!("-{line}\r\n");
        self.bring(worker, number, part, Frame::Short(frame.as_bytes()), Some(outcome));
        self.failed(worker);
    }

    fn bring(
        self: &Rc<Self>,
        worker: &Worker,
        number: u32,
        part: u16,
        frame: Frame<'_>,
        outcome: Option<Outcome>,
    ) -> Option<Slow> {
        if matches!(self.phase.get(), Phase::Closed(_)) {
            return None;
        }
        let answered = {
            let mut replies = self.replies.borrow_mut();
            lend_buffer(worker, &mut replies);
            replies.deliver(number, part, frame, self.version.get())?
        };
        self.touch(worker);
        let answered = Answered { outcome: outcome.unwrap_or(answered.outcome), ..answered };
        let took = worker.now().saturating_duration_since(answered.asked.started);
        worker.metrics.answered(answered, took);
        let slow = took.as_micros() as u64 >= worker.shared.live.slow_us();
        slow.then_some(Slow { took })
    }

    /// There is something to write, or room for more, at the end of the turn.
    fn touch(self: &Rc<Self>, worker: &Worker) {
        if !self.touched.replace(true) {
            worker.turn.reply(self);
        }
    }

    /// A part of a request is sent in smaller ones; returns their numbers.
    pub(crate) fn cut(&self, number: u32, part: u16, parts: &[Part]) -> Vec<u16> {
        let mut replies = self.replies.borrow_mut();
        let Some(join) = replies.join(number) else { return Vec::new() };
        let items = join.withdraw(part);
        let of_whole =
            |p: &Part| p.items.iter().filter_map(|&i| items.get(i as usize).copied()).collect();
        parts.iter().map(|p| join.add(of_whole(p))).collect()
    }

    /// Writes what is ready, and lets go on what waited for it. The end of a turn.
    pub(crate) fn flush(self: &Rc<Self>, worker: &Worker) {
        self.touched.set(false);
        let written = {
            let mut replies = self.replies.borrow_mut();
            let written = self.write(worker, &mut replies);
            if let Some(buffer) = replies.output().reclaim() {
                worker.give_back(buffer);
            }
            written
        };
        self.account(worker);
        match written {
            Ok(Flushed::All) if !self.waits.get() => {}
            Ok(Flushed::All | Flushed::Part) => self.wake(),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.wake(),
            Err(_) => self.close(Gone::Io),
        }
    }

    fn write(&self, worker: &Worker, replies: &mut Replies) -> io::Result<Flushed> {
        let stream = self.stream.borrow();
        let Some(stream) = stream.as_ref() else { return Ok(Flushed::All) };
        replies.output().write(|pieces| {
            let wrote = match pieces {
                [one] => stream.try_write(one),
                several => stream.try_write_vectored(several),
            }?;
            worker.metrics.send_bytes.add(wrote as u64);
            Ok(wrote)
        })
    }

    /// Nobody will get what is still to come.
    fn count_lost(&self, worker: &Worker) {
        let mut replies = self.replies.borrow_mut();
        replies.unanswered().for_each(|command| worker.metrics.lost(command));
        if !replies.output().is_empty() {
            worker.metrics.unread.add(1);
        }
    }

    fn account(&self, worker: &Worker) {
        let replies = self.replies.borrow();
        let bytes = replies.waiting_bytes() + replies.unread_bytes() + self.inbox.borrow().len();
        worker.account(self.accounted.replace(bytes), bytes);
    }

    // --- the task

    /// Lets the task look again.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Ends the session now.
    pub(crate) fn close(&self, gone: Gone) {
        self.phase.set(Phase::Closed(gone));
        self.wake();
    }

    /// The worker ends: closes the socket.
    pub(crate) fn cut_off(&self) {
        self.phase.set(Phase::Closed(Gone::Stop));
        self.stream.take();
    }

    /// Ends the session once what was read is answered.
    pub(crate) fn finish(&self) {
        if self.phase.get() == Phase::Open {
            self.end_of_input(Gone::Stop);
            self.wake();
        }
    }

    pub(crate) fn is_idle(&self, now: Instant, idle_max: Duration) -> bool {
        self.replies.borrow().in_flight() == 0
            && now.saturating_duration_since(self.heard.get()) > idle_max
    }

    fn poll(self: &Rc<Self>, cx: &mut Context<'_>, worker: &Rc<Worker>) -> Poll<Gone> {
        if self.waker.borrow().as_ref().is_none_or(|w| !w.will_wake(cx.waker())) {
            *self.waker.borrow_mut() = Some(cx.waker().clone());
        }
        worker.tick();
        self.waits.set(false);
        if let Phase::Closed(gone) = self.phase.get() {
            return Poll::Ready(gone);
        }
        if !self.touched.get()
            && let Poll::Ready(Err(_)) = self.poll_write(cx, worker)
        {
            return Poll::Ready(Gone::Io);
        }
        if self.pause.get() != Pause::None && self.may_send() {
            self.go_on(worker);
        }
        for _ in 0..READS_A_TURN {
            if let Some(gone) = self.is_done() {
                return Poll::Ready(gone);
            }
            if !self.may_read(worker) {
                self.waits.set(true);
                return Poll::Pending;
            }
            self.waits.set(self.pause.get() != Pause::None);
            if let Err(gone) = ready!(self.poll_read(cx, worker)) {
                return Poll::Ready(gone);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_write(&self, cx: &mut Context<'_>, worker: &Worker) -> Poll<io::Result<()>> {
        loop {
            let mut replies = self.replies.borrow_mut();
            if replies.output().is_empty() {
                return Poll::Ready(Ok(()));
            }
            match self.stream.borrow().as_ref() {
                Some(stream) => ready!(stream.poll_write_ready(cx))?,
                None => return Poll::Ready(Ok(())),
            }
            match self.write(worker, &mut replies) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }

    fn poll_read(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        worker: &Rc<Worker>,
    ) -> Poll<Result<(), Gone>> {
        let inbox = &mut *self.inbox.borrow_mut();
        let scratch = &mut *worker.scratch.borrow_mut();
        let kept = inbox.len();
        let filled = match self.stream.borrow_mut().as_mut() {
            Some(stream) => match ready!(inbox.poll_fill(cx, stream, scratch)) {
                Ok(filled) => filled,
                Err(_) => return Poll::Ready(Err(Gone::Io)),
            },
            None => return Poll::Ready(Err(Gone::Io)),
        };
        if matches!(filled, Filled::End) {
            self.end_of_input(Gone::Client);
            return Poll::Ready(Ok(()));
        }
        if self.card.is_killed() {
            inbox.settle(scratch, &filled, 0);
            self.phase.set(Phase::Closing(Gone::Killed));
            return Poll::Ready(Ok(()));
        }
        self.heard.set(worker.now());
        self.card.heard(worker.now(), None);
        let view = inbox.view(scratch, &filled);
        worker.metrics.receive_bytes.add((view.bytes().len() - kept) as u64);
        if self.pause.get() == Pause::None || self.may_send() {
            let left = self.take_requests(worker, inbox, scratch, &filled);
            inbox.settle(scratch, &filled, left);
        } else {
            let left = view.bytes().len();
            inbox.settle(scratch, &filled, left);
        }
        Poll::Ready(Ok(()))
    }

    /// Goes on with what was read before.
    fn go_on(self: &Rc<Self>, worker: &Rc<Worker>) {
        let inbox = &mut *self.inbox.borrow_mut();
        let left = self.take_requests(worker, inbox, &[], &Filled::Own);
        inbox.settle(&[], &Filled::Own, left);
    }

    /// Whether the next request may be sent, as far as those before it are concerned.
    fn may_send(&self) -> bool {
        if self.is_alone() {
            return false;
        }
        let replies = self.replies.borrow();
        let limits = &self.worker.config.limits;
        match self.pause.get() {
            Pause::Barrier => replies.in_flight() == 0,
            // Half of the window, so that not every single reply wakes the session.
            Pause::Window => {
                replies.in_flight() <= limits.session_in_flight_max / 2
                    && replies.unread_bytes() <= limits.session_reply_bytes_max / 2
            }
            Pause::None | Pause::Stalled => true,
        }
    }

    fn may_read(self: &Rc<Self>, worker: &Worker) -> bool {
        if self.phase.get() != Phase::Open {
            return false;
        }
        if self.pause.get() == Pause::Stalled {
            return false;
        }
        let replies = self.replies.borrow();
        let unanswered = replies.waiting_bytes() + self.inbox.borrow().len();
        let pressure = if unanswered >= worker.config.limits.session_unanswered_bytes_max {
            Pressure::Session
        } else if worker.is_full() && (unanswered > 0 || replies.unread_bytes() > 0) {
            // Half a request frees no memory before the rest is there: one session may read it, else all might wait for each other.
            if replies.in_flight() == 0
                && self.pause.get() == Pause::None
                && worker.may_finish(self)
            {
                return true;
            }
            worker.starve(self);
            Pressure::Process
        } else {
            return true;
        };
        worker.metrics.back_pressure[pressure as usize].add(1);
        false
    }

    fn is_done(&self) -> Option<Gone> {
        let mut replies = self.replies.borrow_mut();
        let answered = replies.in_flight() == 0 && replies.output().is_empty();
        match self.phase.get() {
            Phase::Closed(gone) => Some(gone),
            Phase::Closing(gone) if answered => Some(gone),
            Phase::Finishing(gone) if answered && self.pause.get() == Pause::None => Some(gone),
            _ => None,
        }
    }
}

/// Gives the output a buffer that was used before, if it has none.
fn lend_buffer(worker: &Worker, replies: &mut Replies) {
    if replies.output().wants_buffer()
        && let Some(buffer) = worker.spare()
    {
        replies.output().lend(buffer);
    }
}
