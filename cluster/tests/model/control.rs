//! The controller: its record survives everything, what it remembers beside it survives nothing; every word can be sent again.
//!
//! A word and its answer are one step: what the controller does upon an answer that came late is what it does later. An answer that never
//! comes is the same word again; a word that comes after it was given up is a *late word*.

use super::alphabet::{Event, Move, Phase};
use super::config::{Driver, Then};
use super::explore::{Kind, Steps};
use super::handoff::{Handoff, sync};
use super::proxy::name;
use super::rules::Rule;
use super::world::{Stage, Word, World};
use cluster::state::Persist;

/// Steps of an open migration: import, export, arm the target, arm the source, and then.
pub(crate) const ARMED: u8 = 4;
/// The target owns, and that is on its disk: it can be recorded.
const DURABLE: u8 = 5;

impl Handoff {
    pub(crate) fn control(&mut self, world: &World, steps: &mut Steps<World>) {
        match world.control.stage {
            Stage::Idle => self.begin(world, steps),
            Stage::Open(m) => self.open(world, m, steps),
            Stage::Off(m) => self.call_off(world, m, steps),
            Stage::Settled(m) => self.clean_up(world, m, steps),
        }
        for at in 0..world.late.len() {
            let word = world.late.as_slice()[at];
            let mut next = *world;
            next.late.remove(at);
            let n = receiver(world, word);
            if world.nodes[n].up && self.obey(&mut next, word) {
                steps.fault(next, || format!("{} gets a late {word}", name(n)));
            }
        }
    }

    fn begin(&mut self, world: &World, steps: &mut Steps<World>) {
        let control = world.control;
        let again = control.started == 0 || self.config.then == Then::Back || control.owner == 0;
        if control.started < self.config.migrations && again {
            let m = Move(control.started);
            let mut next = *world;
            next.control.stage = Stage::Open(m);
            next.control.started += 1;
            next.control.sources |= control.owner << m.0;
            next.control.step = 0;
            steps.work(next, || format!("C opens {m} to {}", name(1 - usize::from(control.owner))));
        }
    }

    fn open(&mut self, world: &World, m: Move, steps: &mut Steps<World>) {
        let (source, target) = (world.control.source(m), world.control.target(m));
        let (from, to) = (self.view(world, source), self.view(world, target));
        let up = [world.nodes[0].up, world.nodes[1].up];
        let mut next = *world;
        let owned = up[target] && to.owns && to.epoch == m.epoch();
        if owned && world.control.step != DURABLE && self.config.removed != Some(Rule::DurableFirst)
        {
            next.control.step = DURABLE;
            if self.config.removed != Some(Rule::CleanWaits) {
                self.durable(&mut next, target);
            }
            steps.work(next, || format!("{} owns, C makes it DURABLE there", name(target)));
            return;
        }
        if owned || world.control.step == DURABLE {
            next.control.stage = Stage::Settled(m);
            next.control.owner = target as u8;
            next.control.epoch = m.epoch().0 as u8;
            next.control.step = 0;
            steps.work(next, || format!("C records that {} owns", name(target)));
            return;
        }
        let word = match world.control.step {
            0 => Word::Import(m),
            1 => Word::Export(m),
            2 => Word::Arm(m, target as u8),
            3 => Word::Arm(m, source as u8),
            _ => return self.watch(world, m, steps),
        };
        let n = receiver(world, word);
        if !up[n] {
            return;
        }
        if self.obey(&mut next, word) {
            next.control.step += 1;
        } else if n == source
            && matches!(from.phase, Phase::Granted | Phase::Doubt)
            && from.migration == Some(m)
        {
            next.control.step = ARMED;
        } else if n == source
            && from.migration != Some(m)
            && world.control.step == 3
            && self.config.driver == Driver::Controller
        {
            next.control.step = 1;
        } else {
            next.control.stage = Stage::Off(m);
            next.control.step = 0;
        }
        say(world, &next, word, steps);
    }

    /// Armed: nothing to do unless a node has left the migration.
    fn watch(&mut self, world: &World, m: Move, steps: &mut Steps<World>) {
        let (source, target) = (world.control.source(m), world.control.target(m));
        let (from, to) = (self.view(world, source), self.view(world, target));
        let mut next = *world;
        let forgets = self.config.driver == Driver::Source;
        if world.nodes[source].up && from.migration != Some(m) && forgets {
            next.control.stage = Stage::Off(m);
            next.control.step = 0;
            steps.work(next, || format!("{} sees that it is not in {m}", name(source)));
        } else if world.nodes[source].up && from.migration != Some(m) {
            next.control.step = 1;
            steps.work(next, || format!("C sees that {} is not in {m}", name(source)));
        } else if world.nodes[target].up && to.migration != Some(m) {
            next.control.stage = Stage::Off(m);
            next.control.step = 0;
            steps.work(next, || format!("C sees that {} is not in {m}", name(target)));
        }
    }

    /// ABORT at the source, then DROP at the target.
    fn call_off(&mut self, world: &World, m: Move, steps: &mut Steps<World>) {
        let word = if world.control.step == 0 { Word::Abort(m) } else { Word::Drop(m) };
        let n = receiver(world, word);
        if !world.nodes[n].up {
            return;
        }
        let mut next = *world;
        let phase = self.view(world, n).phase;
        if self.obey(&mut next, word) {
            next.control.step += 1;
        } else if matches!(phase, Phase::Granted | Phase::Absent) {
            next.control.stage = Stage::Open(m);
            next.control.step = ARMED;
        } else {
            return;
        }
        if next.control.step == 2 && next.control.stage == Stage::Off(m) {
            next.control.stage = Stage::Idle;
            next.control.step = 0;
        }
        say(world, &next, word, steps);
    }

    /// CLEAN at the source.
    fn clean_up(&mut self, world: &World, m: Move, steps: &mut Steps<World>) {
        let target = world.control.target(m);
        let mut next = *world;
        if self.config.removed == Some(Rule::DurableFirst) && world.control.step == 0 {
            let to = self.view(world, target);
            if world.nodes[target].up && to.owns && to.epoch >= m.epoch() {
                self.durable(&mut next, target);
                next.control.step = 1;
                steps.work(next, || format!("C makes it DURABLE at {}", name(target)));
            }
            return;
        }
        if world.nodes[world.control.source(m)].up && self.obey(&mut next, Word::Clean(m)) {
            next.control.stage = Stage::Idle;
            next.control.step = 0;
            say(world, &next, Word::Clean(m), steps);
        }
    }

    /// The owner's record, if only memory has it yet, and everything before it reach the disk.
    fn durable(&mut self, world: &mut World, n: usize) {
        let persist = if self.config.removed == Some(Rule::OwnershipLogged) {
            Persist::No
        } else {
            Persist::Sync
        };
        let slot = world.nodes[n].slot;
        self.enter(world, n, slot, persist, None);
        sync(world, n);
    }

    /// Whether the node did it.
    fn obey(&mut self, world: &mut World, word: Word) -> bool {
        let n = receiver(world, word);
        let peer = 1 - n as u8;
        let view = self.view(world, n);
        let off = self.config.removed != Some(Rule::OffIsOff)
            && world.nodes[n].off >> word.migration().0 & 1 == 1;
        match word {
            Word::Import(_) | Word::Export(_) if off => false,
            Word::Import(m) if self.config.driver == Driver::Source => {
                self.event_with_data(world, n, Event::Open(m, peer))
            }
            Word::Import(m) => self.event_with_data(world, n, Event::Import(m, peer)),
            Word::Export(m) => self.event(world, n, Event::Export(m, peer), None),
            Word::Arm(m, _)
                if matches!(view.phase, Phase::Importing | Phase::Ready)
                    && view.migration == Some(m) =>
            {
                if self.config.removed != Some(Rule::TargetArmed) {
                    sync(world, n);
                }
                true
            }
            Word::Arm(m, _) => self.event(world, n, Event::Arm(m), None),
            Word::Abort(m) => self.event(world, n, Event::Abort(m), None) && let_go(world, n, m),
            // Of a migration that the node has never heard of, while it still has the copy of one that the source has forgotten.
            Word::Drop(m)
                if self.config.driver == Driver::Source
                    && matches!(view.phase, Phase::Importing | Phase::Ready)
                    && view.migration != Some(m) =>
            {
                let_go(world, n, m)
            }
            Word::Drop(m) => {
                self.event_with_data(world, n, Event::Dropped(m)) && let_go(world, n, m)
            }
            Word::Clean(m) => self.event_with_data(world, n, Event::Clean(m)),
        }
    }

    /// An event that, if it changes the state, leaves the node without data of the slot.
    fn event_with_data(&mut self, world: &mut World, n: usize, event: Event) -> bool {
        let Some((next, persist)) = self.alphabet.after(world.nodes[n].slot, event).next else {
            return false;
        };
        let data = self.dropped_data(world, n, next);
        self.enter(world, n, next, persist, data);
        true
    }

    /// The copy goes with the state that needed it.
    pub(crate) fn dropped_data(
        &self,
        world: &World,
        n: usize,
        next: super::alphabet::Id,
    ) -> Option<u8> {
        let (was, is) = (self.view(world, n), self.alphabet.view(next));
        let another = was.phase != is.phase || was.migration != is.migration;
        (another && matches!(is.phase, Phase::Absent | Phase::Importing)).then_some(0)
    }
}

/// The node remembers that it let go.
pub(crate) fn let_go(world: &mut World, n: usize, m: Move) -> bool {
    world.nodes[n].off |= 1 << m.0;
    true
}

/// The node a word is for.
pub(crate) fn receiver(world: &World, word: Word) -> usize {
    match word {
        Word::Export(m) | Word::Abort(m) | Word::Clean(m) => world.control.source(m),
        Word::Import(m) | Word::Drop(m) => world.control.target(m),
        Word::Arm(_, n) => usize::from(n),
    }
}

fn say(world: &World, next: &World, word: Word, steps: &mut Steps<World>) {
    let n = receiver(world, word);
    steps.work(*next, || format!("C sends {word} to {}", name(n)));
    if world.left.late > 0 && !world.late.contains(word) {
        let mut next = *world;
        next.left.late -= 1;
        next.late.insert(word);
        steps.add(Kind::Fault, next, || {
            format!("C sends {word} to {}, and gives up waiting", name(n))
        });
    }
}
