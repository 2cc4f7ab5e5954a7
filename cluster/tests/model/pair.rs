//! Commands over two slots, both on their way from one node to another: a small model beside the large one.
//!
//! One session sends w0 to slot A, then m1 to A and B, then w2 to B, over one connection a node. A node lets a command into all of its slots
//! or into none; the proxy cuts a command that was turned away into one part a slot. No crashes here: the question is order and repetition.

mod world;

use super::alphabet::{Admit, Alphabet, Event, Move, News, Phase, SOURCE, TARGET, View};
use super::explore::{Model, Steps};
use super::world::{Few, Flaw, Gate, Message, Op, Resume};
use cluster::{Epoch, SlotState};
use world::{Gated, Link, Reply, Request, Side, World};
use world::{apply, label, learn, name, of, send, settle, slot_name, turned_away};

/// The slots of each operation, a bit each.
const SLOTS: [u8; 3] = [0b01, 0b11, 0b10];

/// A rule of commands over several slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PairRule {
    /// A command that is turned away closes each of its slots for the connection. Removed: only the one that turned it away.
    ClosesEach,
    /// A command enters all its slots before it is executed. Removed: it is executed slot by slot.
    EntersAll,
}

pub(crate) struct Pair {
    pub(crate) removed: Option<PairRule>,
    /// How often each slot may be sealed.
    pub(crate) attempts: u8,
    alphabet: Alphabet,
}

impl Pair {
    pub(crate) fn new(removed: Option<PairRule>, attempts: u8) -> Self {
        Self { removed, attempts, alphabet: Alphabet::new(None) }
    }

    fn view(&self, world: &World, node: u8, slot: u8) -> View {
        self.alphabet.view(world.slots[usize::from(node)][usize::from(slot)].state)
    }

    fn event(&mut self, world: &mut World, node: u8, slot: u8, event: Event) -> bool {
        let side = &mut world.slots[usize::from(node)][usize::from(slot)];
        let after = self.alphabet.after(side.state, event);
        if let Some((next, _)) = after.next {
            side.state = next;
        }
        after.next.is_some()
    }

    /// The session's next operation: whole, if all its slots are open and at one node, else one part a slot.
    fn client(world: &World, steps: &mut Steps<World>) {
        let Some(op) = (0..3_u8).find(|op| world.parts[usize::from(*op)].contains(&Op::Idle))
        else {
            return;
        };
        let mut next = *world;
        let slots = SLOTS[usize::from(op)];
        let mut here = of(slots).map(|slot| world.gates[usize::from(slot)]);
        let first = here.next();
        let whole = first.is_some_and(|f| {
            f.gate == Gate::Open
                && here.all(|g| g.gate == Gate::Open && g.route.node == f.route.node)
        });
        if whole {
            send(&mut next, op, slots);
        } else {
            for slot in of(slots) {
                if world.gates[usize::from(slot)].gate == Gate::Open {
                    send(&mut next, op, 1 << slot);
                } else {
                    next.parts[usize::from(op)][usize::from(slot)] = Op::Held;
                }
            }
        }
        steps.work(next, || format!("the client sends {}", label(op)));
    }

    fn proxy(&mut self, world: &World, steps: &mut Steps<World>) {
        for node in [SOURCE, TARGET] {
            let mut next = *world;
            let replies = &mut next.links[usize::from(node)].replies;
            if replies.is_empty() {
                continue;
            }
            match replies.remove(0) {
                Reply::Done { op, slots } => {
                    of(slots)
                        .for_each(|slot| next.parts[usize::from(op)][usize::from(slot)] = Op::Done);
                    settle(&mut next);
                    steps.work(next, || {
                        format!("the proxy gets from {}: {} is done", name(node), label(op))
                    });
                }
                Reply::Bounced { op, slots, by, news } => {
                    turned_away(&mut next, op, slots);
                    if let Some(news) = news {
                        learn(&mut next, by, node, news);
                    }
                    settle(&mut next);
                    steps.work(next, || {
                        format!(
                            "the proxy gets from {}: {} was turned away by {}",
                            name(node),
                            label(op),
                            slot_name(by)
                        )
                    });
                }
            }
        }
        for slot in 0..2 {
            self.release(world, slot, steps);
        }
    }

    /// WHERE, then RESUME and what was held of one slot.
    fn release(&mut self, world: &World, slot: u8, steps: &mut Steps<World>) {
        let at = usize::from(slot);
        let gated = world.gates[at];
        if world.parts.iter().any(|parts| parts[at] == Op::Sent) {
            return;
        }
        let mut next = *world;
        if gated.gate == Gate::Wait {
            let view = self.view(world, gated.route.node, slot);
            match view.write {
                Admit::Execute => next.gates[at].gate = Gate::Go,
                Admit::Moved(news) if learn(&mut next, slot, gated.route.node, news) => {}
                _ => return,
            }
            steps.work(next, || {
                format!("the proxy asks {} WHERE {}", name(gated.route.node), slot_name(slot))
            });
        } else if gated.gate == Gate::Go {
            next.gates[at].gate = Gate::Open;
            for op in (0..3).filter(|op| world.parts[usize::from(*op)][at] == Op::Held) {
                send(&mut next, op, 1 << slot);
            }
            steps.work(next, || {
                format!(
                    "the proxy sends RESUME {} and what it held to {}",
                    slot_name(slot),
                    name(gated.route.node)
                )
            });
        }
    }

    /// The next request of a connection.
    fn node(&mut self, world: &World, node: u8, steps: &mut Steps<World>) {
        let mut next = *world;
        let link = &mut next.links[usize::from(node)];
        if link.requests.is_empty() {
            return;
        }
        let Request { op, slots, resume } = link.requests.remove(0);
        for slot in of(slots) {
            let how = resume[usize::from(slot)];
            if how != Resume::No {
                next.slots[usize::from(node)][usize::from(slot)].sticky = false;
            }
            if let Resume::Token(token) = how {
                self.event(&mut next, node, slot, Event::Presented(token));
            }
        }
        let by = of(slots).find(|slot| !self.admits(&next, node, *slot));
        let done = match by {
            None => slots,
            // Executed where it can be, before the other slot turns it away.
            Some(by) if self.removed == Some(PairRule::EntersAll) => slots & !(1 << by),
            Some(_) => 0,
        };
        of(done).for_each(|slot| apply(&mut next, node, slot, op));
        let reply = by.map_or(Reply::Done { op, slots }, |by| {
            let closes = if self.removed == Some(PairRule::ClosesEach) { 1 << by } else { slots };
            of(closes)
                .for_each(|slot| next.slots[usize::from(node)][usize::from(slot)].sticky = true);
            let Admit::Moved(news) = self.view(&next, node, by).write else {
                return Reply::Bounced { op, slots, by, news: None };
            };
            Reply::Bounced { op, slots, by, news: Some(news) }
        });
        next.links[usize::from(node)].replies.push(reply);
        let what = if by.is_some() { "turns away" } else { "executes" };
        steps.work(next, || format!("{} {what} {}", name(node), label(op)));
    }

    fn admits(&self, world: &World, node: u8, slot: u8) -> bool {
        !world.slots[usize::from(node)][usize::from(slot)].sticky
            && self.view(world, node, slot).writes()
    }

    /// Each slot is handed off by itself.
    fn transfer(&mut self, world: &World, slot: u8, steps: &mut Steps<World>) {
        let m = Move(slot);
        let view = self.view(world, SOURCE, slot);
        let data = world.slots[usize::from(SOURCE)][usize::from(slot)].data;
        let mut next = *world;
        if view.phase == Phase::Armed
            && view.attempt < self.attempts
            && self.event(&mut next, SOURCE, slot, Event::Seal(m))
        {
            next.messages.insert(Message::Final(m, view.attempt + 1, data));
            steps.work(next, || format!("S seals {} and sends FINAL", slot_name(slot)));
        }
        let mut next = *world;
        let may = view.attempt < self.attempts;
        if may && self.event(&mut next, SOURCE, slot, Event::Unseal(m, view.attempt)) {
            steps.work(next, || format!("S gives the attempt up for {}", slot_name(slot)));
        }
    }

    fn deliver(&mut self, world: &World, at: usize, steps: &mut Steps<World>) {
        let mut next = *world;
        let message = next.messages.remove(at);
        let slot = message.migration().0;
        let fits = match message {
            Message::Final(m, attempt, data) => {
                // Each READY has a token of its own.
                let token = 1 + slot * 8 + attempt;
                let fits = self.event(&mut next, TARGET, slot, Event::Ready(m, attempt, token));
                if fits {
                    next.slots[usize::from(TARGET)][usize::from(slot)].data = data;
                    next.messages.insert(Message::Ready(m, attempt, token));
                }
                fits
            }
            Message::Ready(m, attempt, token) => {
                let fits = self.event(&mut next, SOURCE, slot, Event::Grant(m, attempt, token));
                if fits {
                    next.messages.insert(Message::Grant(m, attempt));
                }
                fits
            }
            Message::Grant(m, attempt) => {
                self.event(&mut next, TARGET, slot, Event::Granted(m, attempt))
            }
            Message::Resolve(_) | Message::Resolved(..) => false,
        };
        if fits {
            steps.work(next, || format!("{message} arrives"));
        }
    }
}

impl Model for Pair {
    type State = World;

    fn start(&mut self) -> World {
        let owned = self.alphabet.id(&SlotState::Owned { epoch: Epoch(1) });
        let absent =
            self.alphabet.id(&SlotState::Absent { epoch: Epoch(1), hint: None, refused: None });
        let side = |state| Side { state, data: 0, sticky: false };
        let route = News { node: SOURCE, epoch: 1, token: 0 };
        let blank = Request { op: 0, slots: 0, resume: [Resume::No; 2] };
        let link =
            Link { requests: Few::new(blank), replies: Few::new(Reply::Done { op: 0, slots: 0 }) };
        let part = |slots: u8, slot: u8| if slots >> slot & 1 == 1 { Op::Idle } else { Op::None };
        let mut world = World {
            slots: [[side(owned); 2], [side(absent); 2]],
            links: [link; 2],
            gates: [Gated { route, gate: Gate::Open, resume: false }; 2],
            parts: SLOTS.map(|slots| [part(slots, 0), part(slots, 1)]),
            messages: Few::new(Message::Resolve(Move(0))),
            flaw: None,
        };
        for slot in 0..2 {
            let m = Move(slot);
            self.event(&mut world, TARGET, slot, Event::Import(m, SOURCE));
            self.event(&mut world, SOURCE, slot, Event::Export(m, TARGET));
            self.event(&mut world, SOURCE, slot, Event::Arm(m));
        }
        world
    }

    fn steps(&mut self, world: &World, steps: &mut Steps<World>) {
        Self::client(world, steps);
        self.proxy(world, steps);
        for node in [SOURCE, TARGET] {
            self.node(world, node, steps);
        }
        for slot in 0..2 {
            self.transfer(world, slot, steps);
        }
        for at in 0..world.messages.len() {
            self.deliver(world, at, steps);
        }
    }

    fn canonical(&self, _: &mut World) {}

    fn broken(&self, world: &World) -> Option<String> {
        if (0..2)
            .any(|slot| [SOURCE, TARGET].iter().all(|node| self.view(world, *node, slot).writes()))
        {
            return Some("two nodes execute writes".into());
        }
        match world.flaw? {
            Flaw::Twice(op) => Some(format!("{} is applied twice", label(op))),
            Flaw::Order(op) | Flaw::Stale(op) => Some(format!("{} is out of order", label(op))),
        }
    }

    fn finished(&self, world: &World) -> bool {
        world.parts.iter().flatten().all(|part| part.is_over())
            && (0..2).all(|slot| self.view(world, TARGET, slot).phase == Phase::Owned)
    }

    fn sight(&self, world: &World) -> String {
        let side = |node: u8, slot: u8| {
            self.alphabet.state(world.slots[usize::from(node)][usize::from(slot)].state).name()
        };
        format!("A: S {}, T {}; B: S {}, T {}", side(0, 0), side(1, 0), side(0, 1), side(1, 1))
    }
}
