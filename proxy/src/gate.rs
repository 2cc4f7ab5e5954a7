//! Keeps the requests of slots that nobody serves at the moment, in order, and sends them on when somebody does.
//!
//! What is decided is in [`hold`]; here it is carried out. One gate a worker. Bounds: a slot's requests and all bytes (past them sessions
//! are no longer read), time (past it each request gets one error), requests on their way while a hold is released.

mod crossing;
mod hold;
mod passage;
mod timer;

pub(crate) use crossing::{Crossed, keys_of};
pub(crate) use hold::{Hold, Stage, Stuck};
pub(crate) use passage::{Means, PlacedKey, Verdict};
pub(crate) use timer::run as run_timer;

use crate::dialect::Dialect;
use crate::metrics::{HeldEnd, HoldKind, Pressure, Refused, Repeat};
use crate::request::{FlavourIndex, Kept, Origin, Request, Slots};
use crate::routes::{NOBODY, NodeIndex, Way};
use crate::session::Session;
use crate::session::replies::{Frame, Outcome};
use crate::split::{Group, KeySlots, Part, Whole};
use crate::upstream::Key;
use crate::words::{Bounce, Moved, News, Word};
use crate::worker::Worker;
use cluster::route::Route;
use cluster::{Epoch, Slot};
use codis::commands::texts::SLOT_NOT_READY;
use protocol::slicer::{Args, slice_request};
use service::failpoint;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;

/// All holds of one worker.
#[derive(Default)]
pub(crate) struct Gate {
    holds: HashMap<Slot, Hold>,
    bytes: usize,
    /// Sessions that are not read because of a bound.
    stalled: Vec<Rc<Session>>,
    /// Tells the timer that there is something to wait for.
    begun: Rc<Notify>,
}

/// Whether a request may be taken on now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Enough,
    None,
}

impl Gate {
    /// Returns the hold of the slot; begins one if there is none.
    fn hold(&mut self, worker: &Worker, slot: Slot, kind: HoldKind) -> &mut Hold {
        self.holds.entry(slot).or_insert_with(|| {
            worker.routes.hold(slot);
            worker.metrics.holds[kind as usize].add(1);
            worker.metrics.holds_open.add(1);
            self.begun.notify_one();
            Hold::new(kind, worker.routes.route(slot), worker.now(), worker.config.hold.soft)
        })
    }

    /// Takes note of a request that is no longer held.
    fn let_go(&mut self, worker: &Worker, kept: &Kept, end: HeldEnd) {
        self.bytes -= kept.frame.len();
        let metrics = &worker.metrics;
        metrics.held.sub(1);
        metrics.held_bytes.set(self.bytes as u64);
        metrics.held_ended[end as usize].add(1);
        if let Some(since) = kept.request.held_since {
            metrics.held_duration.observe(worker.now() - since);
        }
    }

    fn take_on(&mut self, worker: &Worker, kept: &mut Kept) {
        kept.request.held_since.get_or_insert(worker.now());
        self.bytes += kept.frame.len();
        let metrics = &worker.metrics;
        metrics.held.add(1);
        metrics.held_max.raise(metrics.held.get());
        metrics.held_bytes.set(self.bytes as u64);
    }

    /// Ends the hold of a slot that holds nothing and waits for nothing.
    fn end_if_empty(&mut self, worker: &Worker, slot: Slot) {
        if self
            .holds
            .get(&slot)
            .is_some_and(|h| h.len() == 0 && h.stage != Stage::Draining && !h.is_kept())
        {
            self.holds.remove(&slot);
            worker.routes.open(slot);
            worker.metrics.holds_open.sub(1);
        }
        if !self.stalled.is_empty() && self.bytes < worker.held_bytes_max {
            for session in self.stalled.drain(..) {
                session.wake();
            }
        }
    }
}

impl Worker {
    /// Whether the gate has room for a request of the slot. If not, the session is woken when there may be.
    pub(crate) fn room(&self, slot: Slot, session: &Rc<Session>) -> Room {
        if self.routes.way(slot) != Way::Held {
            return Room::Enough;
        }
        let mut gate = self.gate.borrow_mut();
        let requests_max = self.config.hold.requests_per_slot_max;
        if gate.bytes < self.held_bytes_max
            && gate.holds.get(&slot).is_none_or(|h| h.len() < requests_max)
        {
            return Room::Enough;
        }
        if !gate.stalled.iter().any(|s| Rc::ptr_eq(s, session)) {
            gate.stalled.push(Rc::clone(session));
            self.metrics.back_pressure[Pressure::Hold as usize].add(1);
        }
        Room::None
    }

    /// Keeps a new request of one slot that is held, or whose node cannot be reached.
    pub(crate) fn keep(self: &Rc<Self>, slot: Slot, mut kept: Kept) {
        let mut gate = self.gate.borrow_mut();
        if let Way::Open(node) = self.routes.way(slot) {
            if self.health.is_given_up(node, self.now(), self.config.hold.node_down) {
                self.ask_elsewhere(slot, node);
                return self.fail_node_down(&kept.request.origin, node);
            }
            gate.hold(self, slot, HoldKind::NodeDown).cut_off(node, self.routes.route(slot));
        }
        gate.take_on(self, &mut kept);
        if let Some(hold) = gate.holds.get_mut(&slot) {
            let was_idle = hold.due_at().is_none() && hold.len() == 0;
            hold.keep(kept);
            if was_idle {
                // Nothing but this request's time will be up: the timer does not know of it yet.
                gate.begun.notify_one();
            }
        }
        drop(gate);
        self.settle(slot);
    }

    /// A request was turned away on connection `by`. Its slots are to be settled when all that came with it is taken back.
    pub(crate) fn turned_away(self: &Rc<Self>, by: Key, mut kept: Kept, bounce: Bounce) {
        failpoint::hit("proxy.bounced");
        kept.request.hops += 1;
        tracing::debug!(slot = %bounce.slot, node = %self.routes.addr(by.node), word = ?bounce.word, "a request was turned away");
        self.metrics.bounces[bounce.word.kind() as usize].add(1);
        self.metrics.repeats[Repeat::Bounced as usize].add(1);
        let slots = kept.request.slots.clone();
        // Held before anything is learnt: what is on its way must be back before the new route is used.
        let mut of_named = Stuck::Already;
        for &slot in slots.as_slice() {
            let stuck = self.gate.borrow_mut().hold(self, slot, HoldKind::Bounce).stuck(by);
            if slot == bounce.slot {
                of_named = stuck;
            }
        }
        // Of the slots that are only stuck along with another one nothing is known: they are tried when their requests are back.
        let says_nothing = of_named == Stuck::Already && bounce.word == Word::Hold;
        match bounce.word {
            Word::Hold => {}
            Word::Moved(moved) => self.learn(by.node, bounce.slot, &moved),
            Word::Ask => self.look_up(by.node, bounce.slot),
        }
        let belief = self.routes.route(bounce.slot);
        if !says_nothing && let Some(hold) = self.gate.borrow_mut().holds.get_mut(&bounce.slot) {
            hold.found_closed(belief);
        }
        self.take_back(kept);
    }

    /// A connection to this node is lost; these requests may be sent again.
    pub(crate) fn cut_off(self: &Rc<Self>, node: NodeIndex, requests: Vec<Kept>) {
        let slots: Vec<Slot> =
            requests.iter().flat_map(|k| k.request.slots.as_slice().to_vec()).collect();
        for kept in requests {
            for &slot in kept.request.slots.as_slice() {
                let belief = self.routes.route(slot);
                self.gate.borrow_mut().hold(self, slot, HoldKind::NodeDown).cut_off(node, belief);
            }
            self.take_back(kept);
        }
        for slot in slots {
            self.settle(slot);
        }
    }

    /// Puts a request that came back in front of those that came meanwhile; one over several slots is cut first.
    fn take_back(&self, kept: Kept) {
        let cut = match &kept.request.slots {
            Slots::None => return,
            Slots::One(slot) => vec![(*slot, kept)],
            Slots::Many(_) => self.cut(&kept),
        };
        let mut gate = self.gate.borrow_mut();
        for (slot, mut kept) in cut {
            gate.take_on(self, &mut kept);
            if let Some(hold) = gate.holds.get_mut(&slot) {
                hold.take_back(kept, self.now());
            }
            failpoint::hit("proxy.held");
        }
    }

    /// Cuts a part of a client's request into one part a slot.
    pub(crate) fn cut(&self, kept: &Kept) -> Vec<(Slot, Kept)> {
        let Origin::Client { session, number, part } = &kept.request.origin else {
            return Vec::new();
        };
        let mut args = Args::new();
        let sliced = slice_request(&kept.frame, &self.config.limits.request, &mut args);
        let command = args.get(&kept.frame, 0).and_then(protocol::command::lookup);
        let (Ok(_), Some(command)) = (sliced, command) else { return Vec::new() };
        let mut slots = KeySlots::new();
        let request = crate::plan::Request { frame: &kept.frame, args: &args };
        if crate::plan::slots_of(command, request, self.routes.count, &mut slots).is_err() {
            return Vec::new();
        }
        let parts = Whole { frame: &kept.frame, args: &args, slots: &slots }.split(Group::Alone);
        let numbers = session.cut(*number, *part, &parts);
        parts
            .into_iter()
            .zip(numbers)
            .filter_map(|(part, number_of_part)| one_slot_of(kept, part, number_of_part))
            .collect()
    }

    /// A node says something about a slot that it was not sent a request for.
    pub(crate) fn news(self: &Rc<Self>, from: NodeIndex, slot: Slot, news: News) {
        tracing::debug!(%slot, node = %self.routes.addr(from), ?news, "news of a slot");
        match news {
            News::Open(epoch) => {
                let belief = self.routes.route(slot);
                if let Some(epoch) = epoch.filter(|&e| belief.node != from && e > belief.epoch) {
                    self.take_route(slot, Some(from), Route { node: from, epoch, token: None });
                } else if belief.node == from
                    && let Some(hold) = self.gate.borrow_mut().holds.get_mut(&slot)
                {
                    hold.opened();
                }
            }
            News::NotYet => return,
            News::Moved(moved) => self.learn(from, slot, &moved),
            News::Unknown => self.look_up(from, slot),
        }
        self.settle(slot);
    }

    /// A node names the owner of a slot.
    pub(crate) fn learn(&self, from: NodeIndex, slot: Slot, moved: &Moved) {
        let node = match &self.shared.router {
            // If it is down, its group may have another primary by now.
            Some(router) => {
                let named = self.routes.node(&moved.addr);
                let is_down = self.health.given_up_at(named, Duration::ZERO).is_some();
                let current = is_down.then(|| self.routes.node(&router.current(&moved.addr)));
                let node = current.unwrap_or(named);
                // Nodes of ours hand slots to nodes of ours.
                self.dialects.learn(node, Dialect::Slipway);
                node
            }
            None => self.routes.node(&moved.addr),
        };
        let news = Route { node, epoch: moved.epoch, token: moved.token };
        if self.take_route(slot, Some(from), news) {
            self.note_stray(from, slot, &moved.addr);
            self.metrics.redirects.add(1);
            failpoint::hit("proxy.moved");
        }
    }

    /// A node does not know where a slot is: the table may, or a newer one.
    pub(crate) fn look_up(&self, from: NodeIndex, slot: Slot) {
        let known = match &self.shared.router {
            Some(_) => Some(Route { node: self.fills.hint(slot), epoch: Epoch(0), token: None }),
            None => self.routes.in_table(&self.source.tables.borrow(), slot),
        };
        if let Some(news) = known {
            self.take_route(slot, Some(from), news);
        }
        self.refresh();
    }

    /// Takes in a route, `from` a node or from the table. Requests on their way by the old one are awaited first.
    pub(crate) fn take_route(
        &self,
        slot: Slot,
        from: Option<NodeIndex>,
        news: Route<NodeIndex>,
    ) -> bool {
        if !self.routes.is_news(slot, from, news) {
            return false;
        }
        if self.routes.in_flight(slot) > 0 {
            self.gate.borrow_mut().hold(self, slot, HoldKind::Route);
        }
        self.routes.set(slot, news);
        true
    }

    /// A connection to this node is up: whatever waits for the node may go.
    pub(crate) fn connected(self: &Rc<Self>, node: NodeIndex) {
        let waiting: Vec<Slot> = {
            let mut gate = self.gate.borrow_mut();
            let of_node = gate.holds.iter_mut().filter(|(_, h)| {
                h.kind == HoldKind::NodeDown && h.closed_by() == Some(node)
                    || h.passes_from() == Some(node)
            });
            let open = |(&slot, hold): (&Slot, &mut Hold)| {
                if hold.closed_by() == Some(node) {
                    hold.opened();
                }
                slot
            };
            of_node.map(open).collect()
        };
        for slot in waiting {
            self.settle(slot);
        }
    }

    /// Nothing of the slot leaves from now on.
    pub(crate) fn lock(&self, slot: Slot) {
        self.gate.borrow_mut().hold(self, slot, HoldKind::Fill).lock();
    }

    /// What waits for the slot may leave.
    pub(crate) fn unlock(self: &Rc<Self>, slot: Slot) {
        if let Some(hold) = self.gate.borrow_mut().holds.get_mut(&slot) {
            hold.unlock();
        }
        self.settle(slot);
        self.gate.borrow_mut().end_if_empty(self, slot);
    }

    /// The nodes that slots leave key by key.
    pub(crate) fn sources(&self) -> Vec<NodeIndex> {
        self.gate.borrow().holds.values().filter_map(Hold::passes_from).collect()
    }

    /// Whether whoever fills the slots has locked this one.
    pub(crate) fn is_locked(&self, slot: Slot) -> bool {
        self.gate.borrow().holds.get(&slot).is_some_and(Hold::is_locked)
    }

    /// Decides what comes next for a slot, and does it.
    pub(crate) fn settle(self: &Rc<Self>, slot: Slot) {
        self.time_out(slot);
        let mut gate = self.gate.borrow_mut();
        let gate = &mut *gate;
        let Some(hold) = gate.holds.get_mut(&slot) else { return };
        let belief = self.routes.route(slot);
        let before = hold.stage;
        if hold.is_locked() && self.routes.in_flight(slot) == 0 && !hold.is_asking() {
            self.fills.drained();
        }
        if hold.decide(self.routes.in_flight(slot), belief, self.now()) != Stage::Releasing {
            return;
        }
        if before != Stage::Releasing {
            for key in hold.take_sticky() {
                self.resume(slot, key, belief);
            }
        }
        if hold.passes_from().is_some() {
            return self.cross(gate, slot, belief.node);
        }
        while self.routes.in_flight(slot) < self.config.hold.drain_in_flight_max {
            let Some(hold) = gate.holds.get_mut(&slot) else { break };
            let Some(next) = hold.next() else { break };
            if belief.node == NOBODY {
                let failed: Vec<_> = hold.take_all().collect();
                for kept in failed {
                    gate.let_go(self, &kept, HeldEnd::NodeDown);
                    self.fail_offline(&kept.request.origin);
                }
                break;
            }
            let key = self.key(belief.node, slot, next.request.flavour);
            let upstream = self.upstream(key);
            if !upstream.is_up() {
                hold.stop_release(belief);
                break;
            }
            if belief.token.is_some() && hold.presents(key) {
                self.resume(slot, key, belief);
            }
            let Some(kept) = hold.pop() else { break };
            gate.let_go(self, &kept, HeldEnd::Released);
            self.routes.enter(slot);
            upstream.send(self, kept.request, Frame::Long(kept.frame));
            failpoint::hit("proxy.released");
        }
        gate.end_if_empty(self, slot);
    }

    /// Tells the node behind a connection to take requests of the slot again.
    fn resume(self: &Rc<Self>, slot: Slot, key: Key, belief: Route<NodeIndex>) {
        let upstream = self.upstream(key);
        if !upstream.is_up() {
            return;
        }
        let number = slot.to_string();
        match belief.token.filter(|_| key.node == belief.node) {
            Some(token) => {
                upstream.say(
                    self,
                    Origin::Nobody,
                    &["SLIPWAY", "RESUME", &number, &token.to_string()],
                );
            }
            None => upstream.say(self, Origin::Nobody, &["SLIPWAY", "RESUME", &number]),
        }
    }

    /// Something happened that may have changed what the gate waits for.
    pub(crate) fn wake_timer(&self) {
        self.gate.borrow().begun.notify_one();
    }

    /// Answers a request with an error of our own.
    pub(crate) fn fail(&self, origin: &Origin, line: &str, outcome: Outcome) {
        match origin {
            Origin::Client { session, number, part } => {
                session.fail(self, *number, *part, line, outcome)
            }
            Origin::Watch { session, number, .. } => {
                session.watch_failed(self, *number, line, outcome)
            }
            Origin::Nobody | Origin::Where(_) | Origin::Passage(..) => {}
        }
    }

    /// The owner that nodes name is down: the node that is filled may have been made the owner since.
    fn ask_elsewhere(self: &Rc<Self>, slot: Slot, down: NodeIndex) {
        let hint = self.fills.hint(slot);
        if hint == NOBODY || hint == down || !self.is_ours(hint) {
            return;
        }
        let upstream = self.upstream(self.key(hint, slot, FlavourIndex::default()));
        if upstream.is_up() && self.fills.may_ask(slot, self.now()) {
            self.metrics.where_asked.add(1);
            upstream.say(self, Origin::Where(slot), &["SLIPWAY", "WHERE", &slot.to_string()]);
        }
    }

    /// Answers a request of a slot that nobody serves.
    pub(crate) fn fail_offline(&self, origin: &Origin) {
        self.metrics.refused[Refused::Other as usize].add(1);
        self.fail(origin, SLOT_NOT_READY, Outcome::ProxyError);
    }

    /// Answers a request whose node has been down for too long.
    pub(crate) fn fail_node_down(&self, origin: &Origin, node: NodeIndex) {
        self.metrics.refused[Refused::NodeDown as usize].add(1);
        let why = self.health.why(node);
        let line = format!("ERR slipway: node {} is down: {why}", self.routes.addr(node));
        self.fail(origin, &line, Outcome::ProxyError);
    }
}

fn one_slot_of(whole: &Kept, part: Part, number: u16) -> Option<(Slot, Kept)> {
    let slot = *part.slots.first()?;
    let mut request: Request = whole.request.clone();
    request.slots = Slots::One(slot);
    if let Origin::Client { part, .. } = &mut request.origin {
        *part = number;
    }
    Some((slot, Kept { request, frame: part.frame.into() }))
}
