//! The handoff of one slot between two nodes, with two proxies, a controller, their clients and what can go wrong: the parts put together,
//! and the properties.

use super::alphabet::{Alphabet, Event, Id, Move, News, Phase, SOURCE, TARGET, View};
use super::config::Pushes;
use super::config::{Begin, Config, Crash, Does, Stale};
use super::explore::{Model, Steps};
use super::world::{
    Control, Few, Flaw, Gate, Link, Node, OPS, Op, Proxy, Reply, Request, Set, Stage, Version,
    Word, World, bit,
};
use super::world::{Message, Resume};
use cluster::state::Persist;
use cluster::{Epoch, SlotState};

pub(crate) struct Handoff {
    pub(crate) config: Config,
    pub(crate) alphabet: Alphabet,
}

impl Handoff {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, alphabet: Alphabet::new(config.removed) }
    }

    pub(crate) fn view(&self, world: &World, node: usize) -> View {
        self.alphabet.view(world.nodes[node].slot)
    }

    pub(crate) fn power(&self) -> bool {
        self.config.crash == Crash::Power
    }

    pub(crate) fn writes(&self, op: u8) -> bool {
        self.client(op).is_some_and(|c| c.does == Does::Write)
    }

    pub(crate) fn client(&self, op: u8) -> Option<super::config::Client> {
        self.config.ops[usize::from(op)]
    }

    pub(crate) fn acknowledged(&self, world: &World) -> Set {
        (0..OPS as u8)
            .filter(|op| world.ops[usize::from(*op)] == Op::Done && self.writes(*op))
            .fold(0, |set, op| set | bit(op))
    }

    /// Applies an event to a node's slot. Returns false if the state refuses it.
    pub(crate) fn event(
        &mut self,
        world: &mut World,
        node: usize,
        event: Event,
        data: Option<Set>,
    ) -> bool {
        let after = self.alphabet.after(world.nodes[node].slot, event);
        if let Some((next, persist)) = after.next {
            self.enter(world, node, next, persist, data);
        }
        after.next.is_some()
    }

    /// A node's slot is in a new state: log it as surely as asked, and tell the connections that wait.
    pub(crate) fn enter(
        &mut self,
        world: &mut World,
        node: usize,
        next: Id,
        persist: Persist,
        data: Option<Set>,
    ) {
        let (was, is) = (self.view(world, node), self.alphabet.view(next));
        world.nodes[node].slot = next;
        world.nodes[node].told &= is.phase == Phase::Granted;
        let before = world.nodes[node].log.last();
        let data = data.unwrap_or(before.map_or(0, |v| v.data));
        let record = match (persist, before) {
            (Persist::No, Some(before)) => before.record,
            _ => next,
        };
        if before != Some(Version { record, data }) {
            self.append(world, node, Version { record, data });
        }
        if persist == Persist::Sync {
            sync(world, node);
        }
        if self.config.pushes == Pushes::None {
            return;
        }
        if is.writes() && !was.writes() {
            push(world, node, Reply::Open);
        } else if let (Phase::Granted, super::alphabet::Admit::Moved(news)) = (is.phase, is.write)
            && was.phase != Phase::Granted
        {
            push(world, node, Reply::Gone(news));
        }
    }

    pub(crate) fn append(&mut self, world: &mut World, node: usize, version: Version) {
        let log = &mut world.nodes[node].log;
        if !self.power() {
            log.clear();
        }
        log.push(version);
    }
}

/// Everything in the node's log is on disk: what waited for it leaves.
pub(crate) fn sync(world: &mut World, node: usize) {
    let log = &mut world.nodes[node].log;
    log.keep_from(log.len().saturating_sub(1));
    for links in &mut world.links {
        for reply in links[node].replies.as_mut_slice() {
            if let Reply::Unsynced(op) = *reply {
                *reply = Reply::Done(op);
            }
        }
    }
}

/// To each connection that was turned away.
fn push(world: &mut World, node: usize, news: Reply) {
    for links in &mut world.links {
        let link = &mut links[node];
        if link.sticky && !link.replies.is_full() && !link.replies.contains(news) {
            link.replies.push(news);
        }
    }
}

impl Model for Handoff {
    type State = World;

    fn start(&mut self) -> World {
        let (source, target) = (SOURCE as usize, TARGET as usize);
        let owned = self.alphabet.id(&SlotState::Owned { epoch: Epoch(1) });
        let hint = (self.config.stale != Stale::Lost).then(|| super::alphabet::address(SOURCE));
        let absent = self.alphabet.id(&SlotState::Absent { epoch: Epoch(1), hint, refused: None });
        let blank = Request { op: 0, resume: Resume::No };
        let node = |slot| {
            let mut log = Few::new(Version { record: slot, data: 0 });
            log.push(Version { record: slot, data: 0 });
            Node { up: true, slot, told: false, off: 0, log, ghosts: Few::new(blank) }
        };
        let link = Link {
            sticky: false,
            inside: None,
            requests: Few::new(blank),
            replies: Few::new(Reply::Open),
        };
        let proxy = |node, epoch| Proxy {
            route: News { node, epoch, token: 0 },
            gate: Gate::Open,
            resume: false,
        };
        let second =
            if self.config.stale == Stale::No { proxy(SOURCE, 1) } else { proxy(TARGET, 0) };
        let control = Control {
            owner: SOURCE,
            epoch: 1,
            stage: Stage::Idle,
            started: 0,
            sources: 0,
            step: 0,
        };
        let mut world = World {
            nodes: [node(owned), node(absent)],
            links: [[link; 2]; 2],
            proxies: [proxy(SOURCE, 1), second],
            ops: self.config.ops.map(|op| if op.is_some() { Op::Idle } else { Op::None }),
            before: [0; OPS],
            control,
            messages: Few::new(Message::Resolve(Move(0))),
            late: Few::new(Word::Import(Move(0))),
            left: self.config.faults,
            flaw: None,
        };
        if self.config.begin == Begin::Armed {
            let m = Move(0);
            self.event(&mut world, target, Event::Import(m, SOURCE), None);
            self.event(&mut world, source, Event::Export(m, TARGET), None);
            sync(&mut world, target);
            self.event(&mut world, source, Event::Arm(m), None);
            world.control = Control {
                stage: Stage::Open(m),
                started: 1,
                step: super::control::ARMED,
                ..world.control
            };
        }
        world
    }

    fn steps(&mut self, world: &World, steps: &mut Steps<World>) {
        self.clients(world, steps);
        self.proxies(world, steps);
        self.nodes(world, steps);
        self.transfer(world, steps);
        self.control(world, steps);
        self.faults(world, steps);
    }

    fn canonical(&self, world: &mut World) {
        self.forget(world);
    }

    fn broken(&self, world: &World) -> Option<String> {
        let acknowledged = self.acknowledged(world);
        let views = [self.view(world, 0), self.view(world, 1)];
        if (0..2).all(|n| world.nodes[n].up && views[n].writes()) {
            return Some("two nodes execute writes".into());
        }
        for n in 0..2 {
            // After the grant the copy that counts is the one that is READY for it.
            let granted = views[n].phase == Phase::Ready
                && views[n].migration.is_some_and(|m| {
                    let other = &views[1 - n];
                    other.is(Phase::Granted, m) && other.attempt == views[n].attempt
                });
            let counts = (world.nodes[n].up && views[n].owns) || granted;
            let lost = acknowledged & !world.nodes[n].data();
            if counts && lost != 0 {
                return Some(format!("an acknowledged write is lost: w{}", lost.trailing_zeros()));
            }
        }
        match world.flaw {
            Some(Flaw::Twice(op)) => return Some(format!("w{op} is applied twice")),
            Some(Flaw::Order(op)) => {
                return Some(format!("operations of one session are out of order: {op}"));
            }
            Some(Flaw::Stale(op)) => {
                return Some(format!("r{op} misses what was acknowledged before it began"));
            }
            None => {}
        }
        let calm = self.config.faults.resets == 0 && self.config.faults.crashes == [0, 0];
        (calm && world.ops.contains(&Op::Failed))
            .then(|| "a client saw an error, and nothing was broken".into())
    }

    fn sight(&self, world: &World) -> String {
        self.sketch(world)
    }

    fn finished(&self, world: &World) -> bool {
        let owner = usize::from(world.control.owner);
        let (has, other) = (self.view(world, owner), self.view(world, 1 - owner));
        world.control.stage == Stage::Idle
            && world.ops.iter().all(|op| op.is_over())
            && world.nodes.iter().all(|node| node.up)
            && has.phase == Phase::Owned
            && other.phase == Phase::Absent
    }
}
