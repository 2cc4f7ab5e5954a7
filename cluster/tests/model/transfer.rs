//! Source and target: seal, FINAL, READY, grant, GRANT; and RESOLVE after a crash. Messages may be late, lost, doubled, overtaken.

use super::alphabet::{Event, Move, Phase};
use super::config::Ownership;
use super::control::let_go;
use super::explore::{Kind, Steps};
use super::handoff::Handoff;
use super::proxy::name;
use super::rules::Rule;
use super::world::{Message, World};

impl Handoff {
    pub(crate) fn transfer(&mut self, world: &World, steps: &mut Steps<World>) {
        for n in (0..2).filter(|n| world.nodes[*n].up) {
            self.drive(world, n, steps);
        }
        for at in 0..world.messages.len() {
            let message = world.messages.as_slice()[at];
            let mut next = *world;
            next.messages.remove(at);
            if self.config.losses == super::config::Losses::Some {
                steps.fault(next, || format!("{message} is lost"));
            }
            self.deliver(&next, message, Kind::Work, steps);
            if world.left.doubles > 0 {
                let mut next = *world;
                next.left.doubles -= 1;
                self.deliver(&next, message, Kind::Fault, steps);
            }
        }
    }

    /// What a node that is a migration's source does by itself.
    fn drive(&mut self, world: &World, n: usize, steps: &mut Steps<World>) {
        let view = self.view(world, n);
        let Some(m) = view.migration else { return };
        let data = world.nodes[n].data();
        let peer = self.view(world, 1 - n);
        match view.phase {
            Phase::Armed if view.attempt < self.config.attempts => {
                self.decide(world, n, Event::Seal(m), "seals", steps);
            }
            Phase::Sealed => {
                if !writers_inside(world, n) || self.config.removed == Some(Rule::SealDrains) {
                    send(world, n, Message::Final(m, view.attempt, data), steps);
                }
                if view.attempt < self.config.attempts {
                    self.decide(
                        world,
                        n,
                        Event::Unseal(m, view.attempt),
                        "gives the attempt up",
                        steps,
                    );
                }
            }
            Phase::Granted => self.repeat_grant(world, n, m, steps),
            Phase::Doubt => send(world, n, Message::Resolve(m), steps),
            Phase::Ready | Phase::Importing if peer.is(Phase::Granted, m) => {
                self.confirm(world, n, view.phase, steps);
            }
            _ => {}
        }
        if view.phase == Phase::Granted && self.config.removed == Some(Rule::NoResumeByTime) {
            self.decide(world, n, Event::TimedOut, "has waited long enough and resumes", steps);
        }
    }

    /// After the grant: GRANT until OWNED. A target that has lost its tail in a crash gets it again, for the same attempt.
    fn repeat_grant(&mut self, world: &World, n: usize, m: Move, steps: &mut Steps<World>) {
        let (view, peer) = (self.view(world, n), self.view(world, 1 - n));
        if world.nodes[n].told || view.attempt == 0 {
            return;
        }
        let forgetful = self.config.removed == Some(Rule::FinalAgain);
        match peer.phase {
            _ if peer.owns && world.nodes[1 - n].up && self.may_fall_back(world, 1 - n) => {
                let mut next = *world;
                next.nodes[n].told = true;
                steps.work(next, || format!("{} hears OWNED", name(n)));
            }
            Phase::Ready
                if peer.migration == Some(m) && (peer.attempt == view.attempt || forgetful) =>
            {
                send(world, n, Message::Grant(m, view.attempt), steps);
            }
            Phase::Ready | Phase::Importing if peer.migration == Some(m) => {
                send(world, n, Message::Final(m, view.attempt, world.nodes[n].data()), steps);
            }
            _ => {}
        }
    }

    /// Whether an owner can lose the record that makes it one: if not, nobody has to remember that it has said so.
    fn may_fall_back(&self, world: &World, n: usize) -> bool {
        world.left.crashes[n] > 0
            && (self.power() || self.config.ownership == Ownership::WithTheFirstWrite)
    }

    /// CONFIRM: a target that has come back without what it had tells a source that thinks it is done.
    fn confirm(&mut self, world: &World, n: usize, phase: Phase, steps: &mut Steps<World>) {
        let asks = phase == Phase::Ready || self.config.removed != Some(Rule::TargetAsks);
        let source = &world.nodes[1 - n];
        if asks && source.up && source.told {
            let mut next = *world;
            next.nodes[1 - n].told = false;
            steps.work(next, || format!("{} asks {} CONFIRM", name(n), name(1 - n)));
        }
    }

    fn decide(
        &mut self,
        world: &World,
        n: usize,
        event: Event,
        what: &str,
        steps: &mut Steps<World>,
    ) {
        let mut next = *world;
        if self.event(&mut next, n, event, None) {
            steps.work(next, || format!("{} {what}", name(n)));
        }
    }

    /// A message arrives; if it means nothing to the node, that is as if it were lost.
    fn deliver(&mut self, world: &World, message: Message, kind: Kind, steps: &mut Steps<World>) {
        let control = world.control;
        let (Message::Final(m, ..) | Message::Ready(m, ..) | Message::Grant(m, _)) = message else {
            return self.deliver_doubt(world, message, kind, steps);
        };
        let n = if matches!(message, Message::Ready(..)) {
            control.source(m)
        } else {
            control.target(m)
        };
        let mut next = *world;
        let fits = next.nodes[n].up
            && match message {
                Message::Final(_, attempt, data) => self.ready(&mut next, n, (m, attempt), data),
                Message::Ready(_, attempt, token) => {
                    let fits = self.event(&mut next, n, Event::Grant(m, attempt, token), None);
                    let attempt = self.view(&next, n).attempt;
                    fits && insert(&mut next, Message::Grant(m, attempt))
                }
                Message::Grant(_, attempt) => self.owner(&mut next, n, Event::Granted(m, attempt)),
                Message::Resolve(_) | Message::Resolved(..) => false,
            };
        if fits {
            steps.add(kind, next, || format!("{} gets {message}{}", name(n), again(kind)));
        }
    }

    fn ready(&mut self, world: &mut World, n: usize, (m, attempt): (Move, u8), data: u8) -> bool {
        let was = world.nodes[n].slot;
        let running = self.view(world, n).attempt;
        let attempt = if self.config.removed == Some(Rule::AttemptsNumbered) && attempt <= running {
            running + 1
        } else {
            attempt
        };
        let Some((next, persist)) =
            self.alphabet.after(was, Event::Ready(m, attempt, self.fresh_token(world))).next
        else {
            return false;
        };
        if next != was {
            self.enter(world, n, next, persist, Some(data));
        }
        let view = self.view(world, n);
        insert(world, Message::Ready(m, view.attempt, view.token))
    }

    fn deliver_doubt(
        &mut self,
        world: &World,
        message: Message,
        kind: Kind,
        steps: &mut Steps<World>,
    ) {
        let mut next = *world;
        let (n, fits) = match message {
            Message::Resolve(m) => {
                let n = world.control.target(m);
                let after = self.alphabet.after(world.nodes[n].slot, Event::Resolve(m));
                let fits = match (after.next, after.verdict) {
                    (Some((state, persist)), Some(verdict)) if world.nodes[n].up => {
                        self.enter(
                            &mut next,
                            n,
                            state,
                            persist,
                            self.dropped_data(world, n, state),
                        );
                        insert(
                            &mut next,
                            Message::Resolved(m, verdict == cluster::state::Verdict::Owned),
                        )
                    }
                    _ => false,
                };
                (n, fits)
            }
            Message::Resolved(m, owned) => {
                let n = world.control.source(m);
                let fits =
                    next.nodes[n].up && self.event(&mut next, n, Event::Resolved(m, owned), None);
                (n, fits && (owned || let_go(&mut next, n, m)))
            }
            _ => return,
        };
        if fits {
            steps.add(kind, next, || format!("{} gets {message}{}", name(n), again(kind)));
        }
    }
}

fn writers_inside(world: &World, n: usize) -> bool {
    world.links.iter().any(|links| links[n].inside.is_some())
}

fn again(kind: Kind) -> &'static str {
    if kind == Kind::Fault { ", which stays under way" } else { "" }
}

fn send(world: &World, n: usize, message: Message, steps: &mut Steps<World>) {
    let mut next = *world;
    if insert(&mut next, message) {
        steps.work(next, || format!("{} sends {message}", name(n)));
    }
}

/// Returns true if there is room; a message that is under way already is not sent twice.
fn insert(world: &mut World, message: Message) -> bool {
    if world.messages.is_full() && !world.messages.contains(message) {
        return false;
    }
    world.messages.insert(message);
    true
}
