//! Requests within requests and requests for other nodes: what a codis-proxy wraps, what another node relays, and what this node relays itself
//! (docs/WIRE.md §7).
//!
//! While one is on its way the requests behind it wait, so a connection's requests are executed in their order wherever their slots are.

use super::turn::Later;
use super::{Session, with_scratch};
use crate::command::{self, Outcome, Request, Run};
use crate::error::CommandError;
use crate::exec::{self, Call, Caller, Done, Pace, SlotList};
use crate::link::bounce;
use crate::relay::{self, Address, Answer, Place, Relayed};
use crate::shared::Driver;
use crate::transfer;
use crate::txn::{Reads, Txn};
use cluster::Slot;
use cluster::state::{Access, Admission};
use protocol::command::{Command, Flags, lookup};
use protocol::number::parse_int;
use protocol::reply::{Version, errors};
use protocol::request::encode_request;
use protocol::slicer::{Args, Limits, slice_request};
use std::time::Duration;
use tokio::time::Instant;

/// How long a wrapped command waits for the end of a handoff before the proxy is told to try again.
const HANDOFF_WAIT: Duration = Duration::from_millis(10);

/// The first pause while a slot is between two nodes, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// Nodes that may name another one before there is a pause: two that name each other are not asked without end.
const HOPS_MAX: u32 = 3;

/// Who asks, and so how a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A codis-proxy: SLOTSMGRT-EXEC-WRAPPER.
    Wrapper,
    /// Another node: SLIPWAY RELAY.
    Node,
}

/// A request within a request.
#[derive(Clone, Debug)]
pub(crate) struct Inner {
    asker: Asker,
    command: &'static Command,
    slots: SlotList,
    db: u8,
    version: Version,
    frame: Vec<u8>,
}

/// A request for a slot that is not here.
#[derive(Clone, Debug)]
pub(crate) struct Outer {
    command: &'static Command,
    slots: SlotList,
}

impl Session {
    /// `SLOTSMGRT-EXEC-WRAPPER key command…`: `[2, reply]` if it was executed, `[1, text]` in a handoff, `[0, text]` if the slot's owner is another.
    pub(crate) fn wrapped(&mut self, request: Request<'_>) -> Outcome {
        let args = request.args.behind(2);
        let inner = Request { frame: request.frame, args: &args };
        let (start, db, version) = (self.out.len(), self.db, self.version);
        if let Err(error) = self.run_inner(Asker::Wrapper, inner, (db, version)) {
            self.out.truncate(start);
            self.out.extend_from_slice(EXECUTED);
            self.reply().error(error.line().as_bytes());
        }
        Ok(())
    }

    /// `SLIPWAY RELAY db version token command…`: executed, or turned away with the words for links.
    pub(crate) fn relayed(&mut self, request: Request<'_>) -> Outcome {
        if self.link.is_none() {
            return Err("ERR SLIPWAY RELAY is a word of links".into());
        }
        let db = parse_int(request.get(2)).and_then(|n| u8::try_from(n).ok());
        let db = db.filter(|db| *db < self.shared.config.databases);
        let db = db.ok_or("ERR DB index is out of range")?;
        let version = if request.get(3) == b"3" { Version::Resp3 } else { Version::Resp2 };
        let args = request.args.behind(5);
        let inner = Request { frame: request.frame, args: &args };
        if let Ok(token) = String::from_utf8_lossy(request.get(4)).parse()
            && let Some(command) = lookup(inner.get(0))
            && let [slot] = exec::slots_of(&self.shared, command, inner)?.as_slice()
        {
            transfer::presented(&self.shared, *slot, token);
        }
        self.run_inner(Asker::Node, inner, (db, version))
    }

    fn run_inner(
        &mut self,
        asker: Asker,
        request: Request<'_>,
        (db, version): (u8, Version),
    ) -> Outcome {
        let name = request.get(0);
        let command = lookup(name).ok_or_else(|| {
            let text = errors::unknown_command(name, request.from(1));
            CommandError::from(String::from_utf8_lossy(&text).into_owned())
        })?;
        let run = check_inner(command, request)?;
        // Its reply acknowledges a write, if it is one.
        if let Some(last) = self.unsettled.last_mut() {
            last.1 |= command.is_write();
        }
        self.stats.command(command.id).calls.one();
        if let Run::Session(function) = run {
            if !matches!(command.name, "ping" | "echo" | "time") || asker == Asker::Node {
                return Err(format!("ERR command '{}' cannot be wrapped", command.name).into());
            }
            self.out.extend_from_slice(EXECUTED);
            return function(self, request);
        }
        let slots = exec::slots_of(&self.shared, command, request)?;
        let start = self.out.len();
        if self.is_long(command, request, &slots) {
            let frame = encode(request);
            let inner = Inner { asker, command, slots, db, version, frame };
            self.later = Some(Later::Inner(inner));
            return Ok(());
        }
        if asker == Asker::Wrapper
            && slots.iter().any(|&slot| self.shared.transfers.away().is_leaving(slot))
        {
            return self.say_whether_left(command, request, &slots);
        }
        if asker == Asker::Wrapper {
            self.out.extend_from_slice(EXECUTED);
        }
        let caller = Caller { db, version, link: None };
        let call = Call { command, run, request };
        let done = with_scratch(|scratch| {
            exec::run(&self.shared, scratch, caller, call, (&slots, Pace::Short), &mut self.out)
        });
        match done {
            Done::Executed(_) => self.finish(command, done),
            Done::TurnedAway(_) => {
                self.out.truncate(start);
                let may_wait = asker == Asker::Wrapper && self.first_elsewhere(&slots).is_none();
                if may_wait {
                    let frame = encode(request);
                    let inner = Inner { asker, command, slots, db, version, frame };
                    self.later = Some(Later::Inner(inner));
                } else {
                    self.turn_away_inner(asker, command, &slots);
                }
            }
        }
        Ok(())
    }

    /// The slot's keys leave one by one for a node that is not ours: none is touched here any more.
    fn say_whether_left(
        &mut self,
        command: &'static Command,
        request: Request<'_>,
        slots: &[Slot],
    ) -> Outcome {
        let keys = command.key_positions(request.frame, request.args).unwrap_or_default();
        let keys = keys.iter().map(|&at| request.get(at as usize));
        let mut refusal = Vec::new();
        let is_here = with_scratch(|scratch| {
            let entered = exec::enter(&self.shared, slots, Access::Read, None, &mut refusal);
            let Ok(entered) = entered else { return Ok(true) };
            let mut txn = Txn::new(&self.shared, scratch, entered, self.db, Reads::Committed);
            for key in keys {
                if txn.meta(key)?.is_some() {
                    return Ok(true);
                }
            }
            Ok::<bool, CommandError>(false)
        })?;
        if is_here {
            self.say_not_here(1, "the key leaves for another node at this moment");
        } else {
            self.say_not_here(0, "the key is at another node");
        }
        Ok(())
    }

    /// A request within a request that takes long, or waits for the end of a handoff.
    pub(super) async fn run_inner_later(&mut self, inner: Inner) {
        let until = Instant::now() + HANDOFF_WAIT;
        let access = exec::access(inner.command);
        while inner.asker == Asker::Wrapper
            && relay::place(&self.shared, &inner.slots, access) == Place::Between
            && Instant::now() < until
        {
            self.shared.slot(inner.slots[0]).wait_change(PAUSES.0).await;
        }
        let start = self.out.len();
        if inner.asker == Asker::Wrapper {
            self.out.extend_from_slice(EXECUTED);
        }
        let of = (inner.db, inner.version);
        let slots = inner.slots.clone();
        let call = super::turn::LongCall { command: inner.command, slots, frame: inner.frame, of };
        match self.run_elsewhere(call, None).await {
            Some(done @ Done::Executed(_)) => self.finish(inner.command, done),
            Some(Done::TurnedAway(_)) => {
                self.out.truncate(start);
                self.turn_away_inner(inner.asker, inner.command, &inner.slots);
            }
            None => {}
        }
    }

    /// The first slot that another node is known to own.
    fn first_elsewhere(&self, slots: &[Slot]) -> Option<Slot> {
        slots.iter().copied().find(|&slot| transfer::is_handed_over(&self.shared, slot))
    }

    fn turn_away_inner(&mut self, asker: Asker, command: &Command, slots: &[Slot]) {
        self.stats.bounce(command.id.0);
        let elsewhere = self.first_elsewhere(slots);
        match asker {
            Asker::Wrapper if elsewhere.is_some() => {
                self.say_not_here(0, "the slot is owned by another node");
            }
            Asker::Wrapper => {
                self.say_not_here(1, "the slot is handed over at this moment");
            }
            Asker::Node => {
                let access = exec::access(command);
                let turned_away = |slot: &&Slot| {
                    self.shared.slot(**slot).read().state.admit(access) != Admission::Execute
                };
                let slot = slots.iter().find(turned_away).or(slots.first()).copied();
                let slot = slot.unwrap_or(Slot(0));
                let inner = self.shared.slot(slot).read();
                bounce(&mut self.out, slot, &inner.state.admit(access));
            }
        }
    }

    fn say_not_here(&mut self, number: i64, text: &str) {
        let mut reply = self.reply();
        reply.array(2);
        reply.int(number);
        reply.bulk(text.as_bytes());
    }

    /// Whether a request that is turned away here is to be passed on instead of answered.
    pub(super) fn passes_on(&self) -> bool {
        self.link.is_none() && self.shared.driver() == Driver::Codis
    }

    /// What turned a request away is forgotten; the session waits until some node has answered it.
    pub(super) fn pass_on(&mut self, command: &'static Command, slots: SlotList, start: usize) {
        self.out.truncate(start);
        self.later = Some(Later::Outer(Outer { command, slots }));
    }

    /// Follows a request's slots until a node executes it, or the time is up.
    pub(super) async fn relay(&mut self, outer: Outer, frame: &[u8], limits: &Limits) {
        let until = Instant::now() + self.shared.transfers.limits().relay_max;
        let Outer { command, slots } = outer;
        self.stats.relayed.one();
        let start = self.out.len();
        if let Err(error) = self.follow(command, &slots, (frame, limits), until).await {
            self.stats.relays_failed.one();
            self.out.truncate(start);
            self.reply().error(error.line().as_bytes());
            self.count_failure(command, start);
        }
    }

    async fn follow(
        &mut self,
        command: &'static Command,
        slots: &SlotList,
        (frame, limits): (&[u8], &Limits),
        until: Instant,
    ) -> Result<(), CommandError> {
        let mut args = Args::new();
        let sliced = slice_request(frame, limits, &mut args);
        debug_assert!(sliced.is_ok(), "it was sliced before");
        let args: Vec<&[u8]> = args.iter(frame).collect();
        let version = if self.version == Version::Resp3 { 3 } else { 2 };
        let request = Relayed { db: self.db, version, args: &args };
        let first = slots.first().copied().unwrap_or(Slot(0));
        let (mut known, mut pause, mut why) = (None::<Address>, PAUSES.0, String::new());
        let mut hops = 0;
        loop {
            let place = match known.take() {
                Some(address) => Place::There(address),
                None => relay::place(&self.shared, slots, exec::access(command)),
            };
            match place {
                Place::Here => {
                    if self.run_here(command, slots, frame).await {
                        return Ok(());
                    }
                }
                Place::Apart => return Err(relay::apart()),
                Place::Between => self.shared.slot(first).wait_change(pause).await,
                Place::There(address) => {
                    match relay::send(&self.shared, self.client.id, &address, request).await {
                        Answer::Reply(reply) => {
                            self.out.extend_from_slice(&reply);
                            return Ok(());
                        }
                        Answer::Elsewhere(next) => {
                            // It may be here by now: then that is looked at first.
                            known = next.filter(|next| !self.is_here_now(slots, next));
                        }
                        Answer::Unreachable(text) => why = text,
                        Answer::InDoubt(text) if command.is_write() => {
                            return Err(relay::in_doubt(first, &text));
                        }
                        Answer::InDoubt(text) => why = text,
                    }
                    hops += 1;
                    if known.is_none() || hops > HOPS_MAX {
                        self.shared.slot(first).wait_change(pause).await;
                    }
                }
            }
            if Instant::now() >= until {
                return Err(relay::expired(first, &why));
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// The other node says where the slot is; with the token this node may be the one.
    fn is_here_now(&self, slots: &[Slot], next: &Address) -> bool {
        if let (Some(token), [slot]) = (next.token, slots) {
            transfer::presented(&self.shared, *slot, token);
        }
        next.addr == self.shared.config.addr
            || slots.iter().all(|&slot| self.shared.slot(slot).read().state.writes())
    }

    /// Returns whether it was executed; its reply is written then.
    async fn run_here(
        &mut self,
        command: &'static Command,
        slots: &SlotList,
        frame: &[u8],
    ) -> bool {
        let start = self.out.len();
        let (slots, of) = (slots.clone(), (self.db, self.version));
        let call = super::turn::LongCall { command, slots, frame: frame.to_vec(), of };
        match self.run_elsewhere(call, None).await {
            Some(done @ Done::Executed(_)) => {
                self.finish(command, done);
                true
            }
            Some(Done::TurnedAway(_)) => {
                self.out.truncate(start);
                false
            }
            None => true,
        }
    }
}

/// The head of the reply of a wrapped command that was executed.
const EXECUTED: &[u8] = b"*2\r\n:2\r\n";

fn encode(request: Request<'_>) -> Vec<u8> {
    let args: Vec<&[u8]> = request.from(0).collect();
    let mut frame = Vec::new();
    encode_request(&mut frame, &args);
    frame
}

/// Whether a request may stand within another.
fn check_inner(command: &'static Command, request: Request<'_>) -> Result<Run, CommandError> {
    let Some(run) = command::find(command.id) else {
        let why = match command.route {
            protocol::command::RouteRule::Refused(why) => why,
            _ => "this node does not know it yet",
        };
        return Err(errors::refused(command.name, why).into());
    };
    if !command.check_arity(request.len()) {
        return Err(errors::arity(command.name).into());
    }
    if !command.subcommands.is_empty() && request.len() > 1 {
        command::subcommand(command.name, request)?;
    }
    if command.flags.contains(Flags::NO_MULTI) {
        return Err(format!("ERR command '{}' cannot be wrapped", command.name).into());
    }
    Ok(run)
}
