//! What can differ between two moments of the model of commands over two slots.

use super::SLOTS;
use crate::model::alphabet::{Id, News, SOURCE};
use crate::model::world::{Few, Flaw, Gate, Message, Op, Resume, Set, bit};

#[derive(Clone, Copy, Hash)]
pub(crate) struct World {
    /// By node, then by slot.
    pub(crate) slots: [[Side; 2]; 2],
    /// By node.
    pub(crate) links: [Link; 2],
    /// By slot.
    pub(crate) gates: [Gated; 2],
    /// By operation, then by slot.
    pub(crate) parts: [[Op; 2]; 3],
    pub(crate) messages: Few<Message, 8>,
    pub(crate) flaw: Option<Flaw>,
}

/// One slot at one node.
#[derive(Clone, Copy, Hash)]
pub(crate) struct Side {
    pub(crate) state: Id,
    pub(crate) data: Set,
    pub(crate) sticky: bool,
}

#[derive(Clone, Copy, Hash)]
pub(crate) struct Link {
    pub(crate) requests: Few<Request, 4>,
    pub(crate) replies: Few<Reply, 4>,
}

#[derive(Clone, Copy, Hash, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) op: u8,
    pub(crate) slots: u8,
    /// By slot, before the operation.
    pub(crate) resume: [Resume; 2],
}

#[derive(Clone, Copy, Hash, PartialEq, Eq)]
pub(crate) enum Reply {
    Done {
        op: u8,
        slots: u8,
    },
    /// The slot that turned it away, and where that is, if the node knows.
    Bounced {
        op: u8,
        slots: u8,
        by: u8,
        news: Option<News>,
    },
}

#[derive(Clone, Copy, Hash)]
pub(crate) struct Gated {
    pub(crate) route: News,
    pub(crate) gate: Gate,
    pub(crate) resume: bool,
}

pub(crate) fn apply(world: &mut World, node: u8, slot: u8, op: u8) {
    let side = &mut world.slots[usize::from(node)][usize::from(slot)];
    let earlier = (0..op)
        .filter(|first| SLOTS[usize::from(*first)] >> slot & 1 == 1)
        .fold(0, |set, first| set | bit(first));
    if earlier & !side.data != 0 {
        world.flaw = Some(Flaw::Order(op));
    }
    if side.data & bit(op) != 0 {
        world.flaw = Some(Flaw::Twice(op));
    }
    side.data |= bit(op);
}

/// To the node of the slots' route; the first request after a hold says RESUME.
pub(crate) fn send(world: &mut World, op: u8, slots: u8) {
    let mut request = Request { op, slots, resume: [Resume::No; 2] };
    let mut to = SOURCE;
    for slot in of(slots) {
        let gated = &mut world.gates[usize::from(slot)];
        to = gated.route.node;
        if gated.resume {
            let token = gated.route.token;
            request.resume[usize::from(slot)] =
                if token == 0 { Resume::Plain } else { Resume::Token(token) };
        }
        gated.resume = false;
        world.parts[usize::from(op)][usize::from(slot)] = Op::Sent;
    }
    world.links[usize::from(to)].requests.push(request);
}

/// Each of its slots is held; from now on it is one part a slot.
pub(crate) fn turned_away(world: &mut World, op: u8, slots: u8) {
    for slot in of(slots) {
        world.parts[usize::from(op)][usize::from(slot)] = Op::Held;
        let gated = &mut world.gates[usize::from(slot)];
        gated.resume = true;
        if gated.gate == Gate::Open {
            gated.gate = Gate::Wait;
        }
    }
}

pub(crate) fn learn(world: &mut World, slot: u8, by: u8, news: News) -> bool {
    let gated = &mut world.gates[usize::from(slot)];
    let mut route = gated.route.route();
    let changed = route.denied(by, news.route());
    if changed {
        gated.route = News::of(route);
        gated.gate = Gate::Go;
        gated.resume = true;
    }
    changed
}

/// A gate that holds nothing and awaits nothing is open.
pub(crate) fn settle(world: &mut World) {
    for slot in 0..2 {
        if !world.parts.iter().any(|parts| matches!(parts[slot], Op::Held | Op::Sent)) {
            world.gates[slot].gate = Gate::Open;
        }
    }
}

pub(crate) fn of(slots: u8) -> impl Iterator<Item = u8> {
    (0..2).filter(move |slot| slots >> slot & 1 == 1)
}

pub(crate) fn label(op: u8) -> &'static str {
    ["w0 (A)", "m1 (A, B)", "w2 (B)"][usize::from(op)]
}

pub(crate) fn name(node: u8) -> &'static str {
    crate::model::proxy::name(usize::from(node))
}

pub(crate) fn slot_name(slot: u8) -> &'static str {
    if slot == 0 { "A" } else { "B" }
}
