//! A node's door: every request asks the slot's state whether it may be executed here and now.

use super::alphabet::{Admit, Event, Phase};
use super::config::{Ownership, Writes};
use super::explore::Steps;
use super::handoff::{Handoff, sync};
use super::proxy::name;
use super::rules::Rule;
use super::world::{Answer, Flaw, OPS, Op, Reply, Request, Resume, Version, World, bit};
use cluster::state::Persist;

impl Handoff {
    pub(crate) fn nodes(&mut self, world: &World, steps: &mut Steps<World>) {
        for n in (0..2).filter(|n| world.nodes[*n].up) {
            for p in 0..2 {
                self.serve(world, n, p, steps);
            }
            self.serve_ghost(world, n, steps);
            let waits = |links: &[super::world::Link; 2]| {
                links[n].replies.as_slice().iter().any(|r| matches!(r, Reply::Unsynced(_)))
            };
            if world.nodes[n].log.len() > 1 || world.links.iter().any(waits) {
                let mut next = *world;
                sync(&mut next, n);
                steps.work(next, || format!("{} syncs its log", name(n)));
            }
        }
    }

    /// The next request of a link.
    fn serve(&mut self, world: &World, n: usize, p: usize, steps: &mut Steps<World>) {
        let mut next = *world;
        let link = &mut next.links[p][n];
        if link.replies.is_full() {
            return;
        }
        if let Some(op) = link.inside.take() {
            let reply = self.execute(&mut next, n, op);
            next.links[p][n].replies.push(reply);
            steps.work(next, || format!("{} applies {}", name(n), self.label(op)));
            return;
        }
        if link.requests.is_empty() {
            return;
        }
        let Request { op, resume } = link.requests.remove(0);
        let what = self.run(&mut next, n, p, op, resume);
        steps.work(next, || format!("{} {what} {}", name(n), self.label(op)));
    }

    fn run(
        &mut self,
        world: &mut World,
        n: usize,
        p: usize,
        op: u8,
        resume: Resume,
    ) -> &'static str {
        if resume != Resume::No {
            world.links[p][n].sticky = false;
        }
        let admit = self.admit(world, n, op, resume);
        let link = &mut world.links[p][n];
        if admit != Admit::Execute || link.sticky {
            link.sticky = self.config.removed != Some(Rule::StickyBounce);
            link.replies.push(match admit {
                Admit::Execute | Admit::Hold => Reply::Hold(op),
                Admit::Moved(news) => Reply::Moved(op, news),
                Admit::Ask => Reply::Ask(op),
            });
            return "turns away";
        }
        if self.config.writes == Writes::TwoSteps && self.writes(op) {
            link.inside = Some(op);
            return "lets in";
        }
        let reply = self.execute(world, n, op);
        world.links[p][n].replies.push(reply);
        "executes"
    }

    /// A request that the node had read before its connection broke. Nobody waits for the reply.
    fn serve_ghost(&mut self, world: &World, n: usize, steps: &mut Steps<World>) {
        let Some(Request { op, resume }) = world.nodes[n].ghosts.first() else { return };
        let mut next = *world;
        next.nodes[n].ghosts.remove(0);
        if self.admit(&mut next, n, op, resume) == Admit::Execute {
            self.execute(&mut next, n, op);
        } else {
            next.nodes[n].ghosts.clear();
        }
        steps.fault(next, || {
            format!("{} reads {} from the broken connection", name(n), self.label(op))
        });
        let mut next = *world;
        next.nodes[n].ghosts.clear();
        steps.work(next, || format!("{} notices the broken connection", name(n)));
    }

    /// RESUME's token, then the state's word.
    fn admit(&mut self, world: &mut World, n: usize, op: u8, resume: Resume) -> Admit {
        if let Resume::Token(token) = resume {
            self.owner(world, n, Event::Presented(token));
        }
        let view = self.view(world, n);
        if let (Phase::Ready, Some(Rule::GrantNeeded), Some(m)) =
            (view.phase, self.config.removed, view.migration)
        {
            self.owner(world, n, Event::Granted(m, view.attempt));
        }
        let view = self.view(world, n);
        if self.writes(op) { view.write } else { view.read }
    }

    /// The grant, or its proof, makes a node the owner. Returns false if the state refuses.
    pub(crate) fn owner(&mut self, world: &mut World, n: usize, event: Event) -> bool {
        let Some((next, persist)) = self.alphabet.after(world.nodes[n].slot, event).next else {
            return false;
        };
        let persist =
            if self.config.ownership == Ownership::AtOnce { persist } else { Persist::No };
        self.enter(world, n, next, persist, None);
        true
    }

    /// Applies a write, or reads; notes what must not be.
    fn execute(&mut self, world: &mut World, n: usize, op: u8) -> Reply {
        let Some(last) = world.nodes[n].log.last() else { return Reply::Hold(op) };
        let behind = self.client(op).and_then(|c| c.behind);
        if let Some(first) = behind
            && self.writes(first)
            && world.ops[usize::from(first)] != Op::Failed
            && last.data & bit(first) == 0
        {
            world.flaw = Some(Flaw::Order(op));
        }
        if !self.writes(op) {
            if world.before[usize::from(op)] & !last.data != 0 {
                world.flaw = Some(Flaw::Stale(op));
            }
            return Reply::Done(op);
        }
        if last.data & bit(op) != 0 {
            world.flaw = Some(Flaw::Twice(op));
        }
        for later in 0..OPS as u8 {
            let follows = self.client(later).is_some_and(|c| c.behind == Some(op));
            if follows && last.data & bit(later) != 0 && world.ops[usize::from(op)] != Op::Failed {
                world.flaw = Some(Flaw::Order(op));
            }
        }
        // The owner's record rides in the batch, unless that rule is removed.
        let forgets = self.config.removed == Some(Rule::OwnershipLogged);
        let live = world.nodes[n].slot;
        let rides = self.config.ownership == Ownership::WithTheFirstWrite
            && self.alphabet.view(live).phase == Phase::Owned;
        let record = if rides && !forgets { live } else { last.record };
        self.append(world, n, Version { record, data: last.data | bit(op) });
        if self.power() { Reply::Unsynced(op) } else { Reply::Done(op) }
    }

    /// What WHERE says.
    pub(crate) fn place(&self, world: &World, n: usize) -> Answer {
        let view = self.view(world, n);
        match (view.phase, view.write) {
            (Phase::Sealed, _) | (_, Admit::Hold) => Answer::Wait,
            (_, Admit::Execute) => Answer::Here,
            (_, Admit::Moved(news)) => Answer::Elsewhere(news),
            (_, Admit::Ask) => Answer::Unknown,
        }
    }
}
