//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! Commands are kept here and checked as they come; EXEC sends them as one request, `SLIPWAY EXEC`, to the owner of their one slot. So a
//! handoff never splits a transaction, and a bounce turns all of it away. Watched versions are kept here too, and go along.

use super::replies::Asked;
use super::requests::{Found, Step};
use super::state::Watched;
use super::{Pause, Session};
use crate::gate::Room;
use crate::join::{Join, Rule};
use crate::local::{self, Asks};
use crate::plan::{self, Plan, Refusal};
use crate::request::{Again, Origin, Request, Slots};
use crate::session::replies::{Frame, Outcome};
use crate::split::{KeySlots, raw_args};
use crate::worker::Worker;
use cluster::Slot;
use protocol::command::{Command, Flags, RouteRule};
use protocol::frame::decode;
use protocol::reply::{Reply, errors};
use std::rc::Rc;

/// Commands between MULTI and EXEC.
#[derive(Debug, Default)]
pub(super) struct Multi {
    queued: Vec<Queued>,
    bytes: usize,
    /// A command was refused, so EXEC will be.
    aborted: bool,
    /// The one slot of all keys so far.
    slot: Option<Slot>,
    /// Keys are in several slots.
    crosses: bool,
    reads_only: bool,
}

#[derive(Debug)]
struct Queued {
    command: &'static Command,
    argc: usize,
    /// Every argument with its length.
    args: Vec<u8>,
    runs: Runs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runs {
    AtNode,
    Here,
}

const ASIDE: &str = "ERR Command not allowed inside a transaction";

impl Session {
    /// Whether commands are kept for EXEC.
    pub(super) fn is_in_multi(&self) -> bool {
        self.state.borrow().multi.is_some()
    }

    /// The transaction is spoilt: a command was refused.
    pub(super) fn spoil_multi(&self) {
        if let Some(multi) = &mut self.state.borrow_mut().multi {
            multi.aborted = true;
        }
    }

    /// A command of the transaction family.
    pub(super) fn transact(self: &Rc<Self>, worker: &Rc<Worker>, found: &Found<'_>) -> Step {
        let name = found.command.name;
        if name != "multi" && self.state.borrow().watching > 0 {
            return Step::Wait(Pause::Barrier);
        }
        let in_multi = self.is_in_multi();
        match (name, in_multi) {
            ("multi", true) => self.refuse(worker, found, errors::NESTED_MULTI.as_bytes()),
            ("watch", true) => self.refuse(worker, found, errors::WATCH_INSIDE_MULTI.as_bytes()),
            ("exec", false) => self.refuse(worker, found, errors::EXEC_WITHOUT_MULTI.as_bytes()),
            ("discard", false) => {
                self.refuse(worker, found, errors::DISCARD_WITHOUT_MULTI.as_bytes())
            }
            ("multi", false) => {
                let multi = Multi { reads_only: true, ..Multi::default() };
                self.state.borrow_mut().multi = Some(Box::new(multi));
                self.set_special();
                self.say(worker, found.asked(self, worker), b"+OK\r\n", None);
            }
            ("watch", false) => return self.watch(worker, found),
            ("exec", true) => return self.exec(worker, found),
            // DISCARD, and UNWATCH outside of MULTI.
            (_, _) => {
                self.end_multi();
                self.say(worker, found.asked(self, worker), b"+OK\r\n", None);
            }
        }
        Step::Done
    }

    /// Keeps a command for EXEC.
    pub(super) fn queue(self: &Rc<Self>, worker: &Rc<Worker>, found: &Found<'_>) {
        match self.queueable(worker, found) {
            Err(line) => {
                self.spoil_multi();
                self.refuse(worker, found, &line);
            }
            Ok((runs, slot)) => {
                let queued = Queued {
                    command: found.command,
                    argc: found.args.len(),
                    args: raw_args(found.frame, found.args, 0, found.args.len()).to_vec(),
                    runs,
                };
                if let Some(multi) = &mut self.state.borrow_mut().multi {
                    multi.bytes += queued.args.len();
                    multi.crosses |= slot.is_some() && multi.slot.is_some() && slot != multi.slot;
                    multi.slot = multi.slot.or(slot);
                    multi.reads_only &= found.command.is_repeat_safe() || runs == Runs::Here;
                    multi.queued.push(queued);
                }
                self.say(worker, found.asked(self, worker), b"+QUEUED\r\n", None);
            }
        }
    }

    fn queueable(
        &self,
        worker: &Worker,
        found: &Found<'_>,
    ) -> Result<(Runs, Option<Slot>), Refusal> {
        let bytes = self.state.borrow().multi.as_ref().map_or(0, |m| m.bytes) + found.frame.len();
        let limit = worker.config.limits.request.frame_bytes_max;
        if bytes > limit {
            return Err(format!("ERR a transaction of more than {limit} bytes").into_bytes());
        }
        if found.command.flags.contains(Flags::NO_MULTI) {
            return Err(ASIDE.into());
        }
        found.command.subcommand_of(found.frame, found.args).map_err(|error| error.line())?;
        let arity_fits = found.command.check_arity(found.args.len());
        if arity_fits && found.command.key_positions(found.frame, found.args).is_err() {
            // Which keys it means cannot be told: the node says so in its place among the replies, as Redis does.
            return Ok((Runs::AtNode, None));
        }
        let mut slots = KeySlots::new();
        let planned = plan::plan(found.command, found.request(), worker.routes.count, &mut slots)?;
        match planned {
            Plan::Answer | Plan::Transaction if local::fits_transaction(found.command.name) => {
                Ok((Runs::Here, None))
            }
            Plan::Answer | Plan::Transaction => Err(ASIDE.into()),
            Plan::Send(slot) | Plan::Private(slot) => {
                let has_keys =
                    plan::slots_of(found.command, found.request(), worker.routes.count, &mut slots)
                        .is_ok();
                Ok((Runs::AtNode, (has_keys && !slots.is_empty()).then_some(slot)))
            }
            Plan::Split(_) => Err(errors::CROSS_SLOT.into()),
            Plan::FanOut(_) => {
                let why = "within a transaction it would have to be atomic over all nodes";
                Err(errors::refused(found.command.name, why).into_bytes())
            }
        }
    }

    fn exec(self: &Rc<Self>, worker: &Rc<Worker>, found: &Found<'_>) -> Step {
        let slot = match self.exec_slot(worker) {
            Ok(slot) => slot,
            Err(line) => {
                self.end_multi();
                self.refuse(worker, found, &line);
                return Step::Done;
            }
        };
        let goes_out = {
            let state = self.state.borrow();
            !state.watched.is_empty()
                || state.multi.iter().any(|m| m.queued.iter().any(|q| q.runs == Runs::AtNode))
        };
        if goes_out && worker.room(slot, self) == Room::None {
            return Step::Wait(Pause::Stalled);
        }
        let Some(multi) = self.state.borrow_mut().multi.take() else { return Step::Done };
        let watched = std::mem::take(&mut self.state.borrow_mut().watched);
        let (join, frame) = self.unit(worker, &multi, &watched);
        let asked = Asked { bytes: frame.len() as u32, ..found.asked(self, worker) };
        if !goes_out {
            let mut out = Vec::new();
            join.finish(self.version.get(), &mut out);
            self.say(worker, asked, &out, None);
            return Step::Done;
        }
        let here = multi.queued.iter().any(|q| q.runs == Runs::Here);
        let number = if here { self.open_join(asked, join) } else { self.open(asked) };
        let request = Request {
            again: if multi.reads_only { Again::May } else { Again::MustNot },
            ..self.to_slot(slot, number, 0, found.command)
        };
        worker.send(request, Frame::Short(&frame));
        Step::Done
    }

    pub(super) fn end_multi(&self) {
        let mut state = self.state.borrow_mut();
        state.multi = None;
        state.watched.clear();
    }

    /// The slot of everything in the transaction.
    fn exec_slot(&self, worker: &Worker) -> Result<Slot, Refusal> {
        let state = self.state.borrow();
        let Some(multi) = &state.multi else { return Err(errors::EXEC_WITHOUT_MULTI.into()) };
        if multi.aborted {
            return Err(errors::EXEC_ABORT.into());
        }
        let slot = multi.slot.or(state.watched.first().map(|w| w.slot)).unwrap_or(Slot(0));
        if multi.crosses || state.watched.iter().any(|w| w.slot != slot) {
            return Err(errors::CROSS_SLOT.into());
        }
        if !worker.is_ours(worker.routes.route(slot).node)
            && multi.queued.iter().any(|q| q.runs == Runs::AtNode)
        {
            return Err(errors::refused("exec", "transactions need nodes of slipway").into_bytes());
        }
        Ok(slot)
    }

    /// The request that runs the transaction, and what becomes of its reply.
    fn unit(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        multi: &Multi,
        watched: &[Watched],
    ) -> (Join, Vec<u8>) {
        let mut join = Join::new(Rule::Array, multi.queued.len());
        let mut items = crate::join::Items::new();
        let (mut body, mut words) = (Vec::new(), 0);
        let mut word = |body: &mut Vec<u8>, bytes: &[u8]| {
            words += 1;
            Reply::new(body, protocol::reply::Version::Resp2).bulk(bytes);
        };
        let at_node = multi.queued.iter().filter(|q| q.runs == Runs::AtNode).count();
        for text in ["SLIPWAY", "EXEC", &at_node.to_string(), &watched.len().to_string()] {
            word(&mut body, text.as_bytes());
        }
        for key in watched {
            word(&mut body, &key.key);
            word(&mut body, &key.version);
        }
        let mut of_commands = 0;
        for (item, queued) in multi.queued.iter().enumerate() {
            match queued.runs {
                Runs::AtNode => {
                    word(&mut body, queued.argc.to_string().as_bytes());
                    body.extend_from_slice(&queued.args);
                    of_commands += queued.argc;
                    items.push(item as u32);
                }
                Runs::Here => join.preset(item as u32, &self.run_here(worker, queued)),
            }
        }
        if !items.is_empty() || !watched.is_empty() {
            join.add(items);
        }
        let mut frame = format!("*{}\r\n", words + of_commands).into_bytes();
        frame.append(&mut body);
        (join, frame)
    }

    fn run_here(self: &Rc<Self>, worker: &Rc<Worker>, queued: &Queued) -> Vec<u8> {
        let mut frame = format!("*{}\r\n", queued.argc).into_bytes();
        frame.extend_from_slice(&queued.args);
        let mut args = protocol::slicer::Args::new();
        let mut out = Vec::new();
        let sliced =
            protocol::slicer::slice_request(&frame, &worker.config.limits.request, &mut args);
        if sliced.is_ok() {
            let request = plan::Request { frame: &frame, args: &args };
            local::answer(
                &Asks { session: self, worker, request, command: queued.command },
                &mut out,
            );
        }
        out
    }

    fn watch(self: &Rc<Self>, worker: &Rc<Worker>, found: &Found<'_>) -> Step {
        let slot = match plan::one_slot(found.command, found.request(), worker.routes.count) {
            Ok(slot) if worker.is_ours(worker.routes.route(slot).node) => slot,
            Ok(_) => {
                self.refuse(
                    worker,
                    found,
                    errors::refused("watch", "transactions need nodes of slipway").as_bytes(),
                );
                return Step::Done;
            }
            Err(line) => {
                self.refuse(worker, found, &line);
                return Step::Done;
            }
        };
        if worker.room(slot, self) == Room::None {
            return Step::Wait(Pause::Stalled);
        }
        let keys: Vec<Box<[u8]>> = found.args.iter(found.frame).skip(1).map(Into::into).collect();
        let mut frame =
            format!("*{}\r\n$7\r\nSLIPWAY\r\n$5\r\nWATCH\r\n", found.args.len() + 1).into_bytes();
        frame.extend_from_slice(raw_args(found.frame, found.args, 1, found.args.len() - 1));
        let number = self.open(found.asked(self, worker));
        self.state.borrow_mut().watching += 1;
        let request = Request {
            origin: Origin::Watch { session: Rc::clone(self), number, keys: keys.into() },
            again: Again::May,
            ..self.to_slot(slot, number, 0, found.command)
        };
        debug_assert!(
            matches!(request.slots, Slots::One(_)) && found.command.route == RouteRule::Transaction
        );
        worker.send(request, Frame::Short(&frame));
        Step::Done
    }

    /// A WATCH cannot be carried out.
    pub(crate) fn watch_failed(
        self: &Rc<Self>,
        worker: &Worker,
        number: u32,
        line: &str,
        outcome: Outcome,
    ) {
        self.state.borrow_mut().watching -= 1;
        self.fail(worker, number, 0, line, outcome);
    }

    /// The versions of watched keys have come, or an error instead.
    pub(crate) fn watched(
        self: &Rc<Self>,
        worker: &Worker,
        number: u32,
        keys: &[Box<[u8]>],
        reply: &[u8],
    ) {
        self.state.borrow_mut().watching -= 1;
        if reply.first() == Some(&b'-') {
            self.deliver(worker, number, 0, Frame::Short(reply));
            return;
        }
        let versions = decode(reply).ok().flatten();
        let versions =
            versions.as_ref().and_then(|(value, _)| value.as_items()).unwrap_or_default();
        if versions.len() != keys.len() {
            self.fail(
                worker,
                number,
                0,
                "ERR slipway: a node's answer to WATCH makes no sense",
                Outcome::ProxyError,
            );
            return;
        }
        let new = keys.iter().zip(versions).map(|(key, version)| Watched {
            slot: worker.routes.count.of(key),
            key: key.clone(),
            version: version.as_bytes().unwrap_or_default().into(),
        });
        self.state.borrow_mut().watched.extend(new);
        self.deliver(worker, number, 0, Frame::Short(b"+OK\r\n"));
    }
}
