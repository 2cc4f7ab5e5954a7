//! From bytes to requests on their way. Hot path.

use super::replies::{Answered, Asked, Frame, Outcome};
use super::{Pause, Phase, Session, codis, lend_buffer};
use crate::gate::Room;
use crate::inbox::{Filled, Inbox, LONG_BYTES, View};
use crate::join::{Join, Rule};
use crate::local::{self, Asks, Mute};
use crate::metrics::{Gone, Refused};
use crate::plan::{self, Plan, plan};
use crate::request::{Again, Aim, Origin, Request, Slots};
use crate::routes::Way;
use crate::split::{Group, KeySlots, Whole};
use crate::upstream::Key;
use crate::worker::Worker;
use ::codis::commands::texts;
use cluster::Slot;
use protocol::ProtocolError;
use protocol::command::{Command, CommandId, Flags, RouteRule, lookup};
use protocol::reply::{Reply, errors};
use protocol::slicer::{Args, Sliced, slice_request};
use std::rc::Rc;
use std::time::Duration;

/// What a client gets that talks HTTP.
const HTTP_REFUSED: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 32\r\n\r\n\
    this port speaks Redis' protocol";

/// Whether a line is the first of an HTTP request: `GET /metrics HTTP/1.1`. POST is told by the slicer.
fn is_http(method: &[u8], version: Option<&[u8]>) -> bool {
    let methods = [&b"GET"[..], b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"];
    version.is_some_and(|version| version.starts_with(b"HTTP/1.")) && methods.contains(&method)
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is on its way, or answered.
    Done,
    /// It must wait; it is still there.
    Wait(Pause),
}

/// A request at the start of a view.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) frame: &'a [u8],
    pub(super) args: &'a Args,
    pub(super) command: &'static Command,
}

impl<'a> Found<'a> {
    pub(super) fn asked(&self, session: &Session, worker: &Worker) -> Asked {
        let muted = match session.mute.get() {
            Mute::No => false,
            Mute::Yes => true,
            Mute::Next => {
                session.mute.set(Mute::No);
                true
            }
        };
        Asked {
            command: self.command.id,
            started: worker.now(),
            bytes: self.frame.len() as u32,
            muted,
        }
    }

    pub(super) fn request(&self) -> plan::Request<'a> {
        plan::Request { frame: self.frame, args: self.args }
    }
}

impl Session {
    /// Takes every request that is whole and may be sent; returns how many bytes are left.
    pub(super) fn take_requests(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        inbox: &mut Inbox,
        scratch: &[u8],
        filled: &Filled,
    ) -> usize {
        let mut args = match self.partial.take() {
            Some(partial) => *partial,
            None => worker.args.take(),
        };
        let mut view = inbox.view(scratch, filled);
        let mut missing = 0;
        self.pause.set(Pause::None);
        while !view.bytes().is_empty() {
            if matches!(self.phase.get(), Phase::Closing(_) | Phase::Closed(_)) {
                // Nobody will look at the rest.
                let rest = view.bytes().len();
                view.consume(rest);
                break;
            }
            if self.is_window_full(worker) {
                self.pause.set(Pause::Window);
                break;
            }
            let step = match slice_request(view.bytes(), &worker.config.limits.request, &mut args) {
                Ok(Sliced::Request { len }) => {
                    self.take_request(worker, &mut view, len, &args, None)
                }
                Ok(Sliced::Inline { len, frame }) => {
                    self.take_request(worker, &mut view, len, &args, Some(&frame))
                }
                Ok(Sliced::Nothing { len }) => {
                    view.consume(len);
                    Step::Done
                }
                Ok(Sliced::Incomplete { at_least }) => {
                    missing = at_least;
                    break;
                }
                Err(ProtocolError::Http) => {
                    self.refuse_http(worker);
                    Step::Done
                }
                Err(e) => {
                    self.say_error(worker, format!("ERR {e}").as_bytes());
                    self.phase.set(Phase::Closing(Gone::Protocol));
                    Step::Done
                }
            };
            if let Step::Wait(pause) = step {
                self.pause.set(pause);
                break;
            }
        }
        let left = view.bytes().len();
        if missing == 0 {
            worker.has_finished(self);
        }
        inbox.expect(missing);
        if missing > 0 {
            *self.partial.borrow_mut() = Some(Box::new(args));
        } else {
            args.clear();
            worker.args.replace(args);
        }
        left
    }

    fn is_window_full(&self, worker: &Worker) -> bool {
        let replies = self.replies.borrow();
        let limits = &worker.config.limits;
        replies.in_flight() >= limits.session_in_flight_max
            || replies.unread_bytes() >= limits.session_reply_bytes_max
            || self.is_alone()
    }

    fn take_request(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        view: &mut View<'_>,
        len: usize,
        args: &Args,
        inline: Option<&[u8]>,
    ) -> Step {
        let frame = inline.unwrap_or(&view.bytes()[..len]);
        let name = args.get(frame, 0).unwrap_or_default();
        if inline.is_some() && is_http(name, args.get(frame, 2)) {
            self.refuse_http(worker);
            view.consume(len);
            return Step::Done;
        }
        let Some(command) = lookup(name) else {
            self.refuse_unknown(worker, name, args.iter(frame).skip(1));
            view.consume(len);
            return Step::Done;
        };
        let found = Found { frame, args, command };
        if self.is_special.get() && self.take_special(worker, &found) {
            view.consume(len);
            return Step::Done;
        }
        if worker.dialects.has_pika()
            && let Some(step) = self.take_for_pika(worker, &found)
        {
            if step == Step::Done {
                view.consume(len);
            }
            return step;
        }
        let mut slots = KeySlots::new();
        let step = match plan(command, found.request(), worker.routes.count, &mut slots) {
            Ok(Plan::Send(slot)) => {
                if worker.room(slot, self) == Room::None {
                    return Step::Wait(Pause::Stalled);
                }
                let number = self.open(found.asked(self, worker));
                let request = self.to_slot(slot, number, 0, command);
                if len >= LONG_BYTES && inline.is_none() {
                    worker.send(request, Frame::Long(view.take(len)));
                    return Step::Done;
                }
                worker.send(request, Frame::Short(frame));
                Step::Done
            }
            Ok(Plan::Split(rule)) => self.send_parts(worker, &found, rule, &slots),
            Ok(Plan::Answer | Plan::FanOut(_)) if codis::names_backend(worker, &found) => {
                self.ask_backend(worker, &found)
            }
            Ok(Plan::Answer) => self.answer_locally(worker, &found),
            Ok(Plan::Transaction) => self.transact(worker, &found),
            Ok(Plan::FanOut(_)) => self.fan_out(worker, &found),
            Ok(Plan::Private(slot)) => self.block(worker, &found, slot),
            Err(_) if worker.has_strangers() && codis::is_sent_elsewhere(&found) => {
                self.send_elsewhere(worker, &found)
            }
            Err(line) => {
                self.refuse_unlooked(worker, &found, &line);
                Step::Done
            }
        };
        if step == Step::Done {
            view.consume(len);
        }
        step
    }

    /// What is different before AUTH and between MULTI and EXEC. Returns whether the request is answered.
    fn take_special(self: &Rc<Self>, worker: &Rc<Worker>, found: &Found<'_>) -> bool {
        let authenticated = self.state.borrow().authenticated;
        let in_multi = self.is_in_multi();
        self.is_special.set(!authenticated || in_multi);
        if !authenticated && !found.command.flags.contains(Flags::NO_AUTH) {
            self.refuse(worker, found, errors::NO_AUTH.as_bytes());
            return true;
        }
        let at_once = found.command.route == RouteRule::Transaction
            && found.command.name != "unwatch"
            || matches!(found.command.name, "quit" | "reset");
        if in_multi && !at_once {
            self.queue(worker, found);
            return true;
        }
        false
    }

    /// From now on requests are looked at more closely: MULTI was said, or a password is wanted.
    pub(crate) fn set_special(&self) {
        self.is_special.set(true);
    }

    pub(super) fn open(&self, asked: Asked) -> u32 {
        self.replies.borrow_mut().open(asked)
    }

    pub(super) fn open_join(&self, asked: Asked, join: Join) -> u32 {
        self.replies.borrow_mut().open_join(asked, join)
    }

    /// How many requests are not answered.
    pub(crate) fn in_flight(&self) -> usize {
        self.replies.borrow().in_flight()
    }

    pub(super) fn to_slot(
        self: &Rc<Self>,
        slot: Slot,
        number: u32,
        part: u16,
        command: &Command,
    ) -> Request {
        Request {
            origin: Origin::Client { session: Rc::clone(self), number, part },
            slots: Slots::One(slot),
            again: Again::of(command),
            aim: self.worker.reads.aim(command),
            flavour: self.flavour.get(),
            held_since: None,
            hops: 0,
        }
    }

    /// Sends a request over several slots: one part a connection, and one for each slot that is not settled.
    fn send_parts(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        found: &Found<'_>,
        rule: Rule,
        slots: &[Slot],
    ) -> Step {
        if slots.iter().any(|&slot| worker.room(slot, self) == Room::None) {
            return Step::Wait(Pause::Stalled);
        }
        let flavour = self.flavour.get();
        let connection = |key: Key| u32::from(key.node.0) << 16 | u32::from(key.lane);
        let at_owner = |slot: Slot| match worker.routes.way(slot) {
            Way::Open(node) => {
                let key = worker.key(node, slot, flavour);
                if worker.upstream(key).is_up() {
                    Group::Connection(connection(key))
                } else {
                    Group::Alone(slot)
                }
            }
            Way::Held | Way::Offline => Group::Alone(slot),
        };
        let aim = worker.reads.aim(found.command);
        let group_of = |slot: Slot| match at_owner(slot) {
            Group::Connection(owner) if aim == Aim::Read => {
                let replica = worker.replica(slot, flavour).map(|r| connection(r.key));
                Group::Read { owner, replica }
            }
            group => group,
        };
        let parts = Whole { frame: found.frame, args: found.args, slots }.split(group_of);
        worker.metrics.fanout_parts.add(parts.len() as u64);
        let mut join = Join::new(rule, slots.len());
        for part in &parts {
            join.add(part.items.clone());
        }
        let number = self.open_join(found.asked(self, worker), join);
        for (index, part) in parts.into_iter().enumerate() {
            let mut request = self.to_slot(part.slots[0], number, index as u16, found.command);
            if part.slots.len() > 1 {
                request.slots = Slots::Many(part.slots.into_boxed_slice());
            }
            worker.send(request, Frame::Short(&part.frame));
        }
        Step::Done
    }

    fn answer_locally(self: &Rc<Self>, worker: &Rc<Worker>, found: &Found<'_>) -> Step {
        if local::waits(found.command.name) && self.in_flight() > 0 {
            return Step::Wait(Pause::Barrier);
        }
        let asked = found.asked(self, worker);
        let mute = self.mute.get();
        let mut out = Vec::new();
        let asks = Asks { session: self, worker, request: found.request(), command: found.command };
        let after = local::answer(&asks, &mut out);
        // Whoever switches replies off gets none to that, and whoever switches them on gets one.
        let muted = if self.mute.get() == mute { asked.muted } else { self.mute.get() != Mute::No };
        self.say(worker, Asked { muted, ..asked }, &out, None);
        match after {
            local::After::Stay => {}
            local::After::Close => self.phase.set(Phase::Closing(Gone::Client)),
        }
        Step::Done
    }

    /// Refuses a request before it is looked at: that ends or spoils a transaction.
    pub(super) fn refuse_unlooked(
        self: &Rc<Self>,
        worker: &Worker,
        found: &Found<'_>,
        line: &[u8],
    ) {
        if found.command.name != "exec" {
            self.spoil_multi();
            return self.refuse(worker, found, line);
        }
        self.end_multi();
        let line = errors::exec_refused(&String::from_utf8_lossy(line));
        self.refuse(worker, found, line.as_bytes());
    }

    pub(super) fn refuse(self: &Rc<Self>, worker: &Worker, found: &Found<'_>, line: &[u8]) {
        let line = &*if worker.is_codis() {
            codis::refusal(found, worker.routes.count, line)
        } else {
            line.into()
        };
        worker.metrics.refused[Refused::of(line) as usize].add(1);
        let mut out = Vec::new();
        Reply::new(&mut out, self.version.get()).error(line);
        self.say(worker, found.asked(self, worker), &out, Some(Outcome::ProxyError));
        if line.starts_with(b"ERR handle ") {
            self.failed(worker);
        }
    }

    fn refuse_unknown<'b>(
        self: &Rc<Self>,
        worker: &Worker,
        name: &[u8],
        args: impl Iterator<Item = &'b [u8]>,
    ) {
        // A browser that is made to talk to us must not get its body executed.
        if name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:") {
            return self.refuse_http(worker);
        }
        Self::count_unknown(worker, self.nothing_asked(worker));
        worker.metrics.refused[Refused::Unknown as usize].add(1);
        self.spoil_multi();
        if worker.is_codis()
            && let Some(line) = codis::unknown(name)
        {
            self.say_error(worker, line.as_bytes());
            return self.failed(worker);
        }
        if !self.state.borrow().authenticated {
            let line = if worker.is_codis() { texts::NO_AUTH } else { errors::NO_AUTH };
            return self.say_error(worker, line.as_bytes());
        }
        self.say_error(worker, &errors::unknown_command(name, args));
    }

    /// Somebody talks HTTP.
    fn refuse_http(self: &Rc<Self>, worker: &Worker) {
        worker.metrics.refused[Refused::Http as usize].add(1);
        tracing::debug!(client = self.id, "HTTP where a command should be; connection closed");
        let nothing = Asked { muted: false, ..self.nothing_asked(worker) };
        Self::count_unknown(worker, nothing);
        self.put(worker, nothing, HTTP_REFUSED);
        self.phase.set(Phase::Closing(Gone::Protocol));
    }

    /// No command has the name.
    fn count_unknown(worker: &Worker, asked: Asked) {
        worker.metrics.answered(Answered { asked, outcome: Outcome::ProxyError }, Duration::ZERO);
    }

    /// Writes an error that belongs to no command, in its turn.
    fn say_error(self: &Rc<Self>, worker: &Worker, line: &[u8]) {
        let mut out = Vec::new();
        Reply::new(&mut out, self.version.get()).error(line);
        self.put(worker, self.nothing_asked(worker), &out);
    }

    fn nothing_asked(&self, worker: &Worker) -> Asked {
        let muted = self.mute.get() != Mute::No;
        Asked { command: CommandId(u16::MAX), started: worker.now(), bytes: 0, muted }
    }

    /// Writes a reply of our own, in its turn.
    pub(super) fn say(
        self: &Rc<Self>,
        worker: &Worker,
        asked: Asked,
        reply: &[u8],
        outcome: Option<Outcome>,
    ) {
        let of_reply = if reply.first() == Some(&b'-') { Outcome::ErrorReply } else { Outcome::Ok };
        self.put(worker, asked, reply);
        let answered = Answered { asked, outcome: outcome.unwrap_or(of_reply) };
        worker.metrics.answered(answered, Duration::ZERO);
    }

    fn put(self: &Rc<Self>, worker: &Worker, asked: Asked, reply: &[u8]) {
        if asked.muted {
            return;
        }
        let mut replies = self.replies.borrow_mut();
        lend_buffer(worker, &mut replies);
        replies.answer(asked, |to| to.extend_from_slice(reply));
        drop(replies);
        self.touch(worker);
    }
}
