//! What can go wrong: crashes, broken connections, a controller that forgets, an operator who changes his mind.

use super::alphabet::{Event, Phase};
use super::config::Driver;
use super::control::{ARMED, receiver};
use super::explore::Steps;
use super::handoff::Handoff;
use super::proxy::name;
use super::world::{Gate, Op, Reply, Request, Resume, Stage, World};

impl Handoff {
    pub(crate) fn faults(&mut self, world: &World, steps: &mut Steps<World>) {
        for n in 0..2 {
            self.crash(world, n, steps);
            for p in 0..2 {
                self.reset(world, p, n, steps);
            }
        }
        if world.left.control > 0 && world.control.step > 0 {
            let mut next = *world;
            next.left.control -= 1;
            next.control.step = 0;
            steps.fault(next, || "C crashes and starts again from its record".into());
        }
        if let (Stage::Open(m), true) = (world.control.stage, world.left.aborts > 0) {
            let mut next = *world;
            next.left.aborts -= 1;
            next.control.stage = Stage::Off(m);
            next.control.step = 0;
            steps.fault(next, || "the operator calls the migration off".into());
        }
    }

    fn crash(&mut self, world: &World, n: usize, steps: &mut Steps<World>) {
        if !world.nodes[n].up {
            let mut next = *world;
            next.nodes[n].up = true;
            steps.work(next, || format!("{} starts again", name(n)));
            return;
        }
        if world.left.crashes[n] == 0 {
            return;
        }
        let mut dead = *world;
        dead.left.crashes[n] -= 1;
        dead.nodes[n].up = false;
        dead.nodes[n].ghosts.clear();
        dead.nodes[n].off = 0;
        dead.nodes[n].told = false;
        for p in 0..2 {
            self.broken_link(&mut dead, p, n);
        }
        dead.late.retain(|word| receiver(world, word) != n);
        self.restarted(&dead, n, "its process dies", steps);
        let all = dead.nodes[n].log.len();
        let fewest = if self.power() { 1 } else { all + 1 };
        for kept in fewest..=all {
            let mut next = dead;
            next.nodes[n].log.keep_to(kept);
            next.nodes[n].log.keep_from(kept - 1);
            let how = format!("it loses power, and {} of its log's records", all - kept);
            self.restarted(&next, n, &how, steps);
        }
    }

    /// The node will be what its log makes of it.
    fn restarted(&mut self, world: &World, n: usize, how: &str, steps: &mut Steps<World>) {
        let mut next = *world;
        let Some(last) = next.nodes[n].log.last() else { return };
        if let Some((slot, _)) = self.alphabet.after(last.record, Event::Restarted).next {
            next.nodes[n].slot = slot;
        }
        self.forget_errand(&mut next, n);
        let state = self.alphabet.state(next.nodes[n].slot);
        steps.fault(next, || {
            format!("{} goes down: {how}; what is left: {}", name(n), state.name())
        });
    }

    /// A source that drives its own migration knows of it only what its record says.
    fn forget_errand(&self, world: &mut World, n: usize) {
        let m = match world.control.stage {
            Stage::Open(m) | Stage::Off(m) | Stage::Settled(m) => m,
            Stage::Idle => return,
        };
        if self.config.driver == Driver::Controller || world.control.source(m) != n {
            return;
        }
        let view = self.view(world, n);
        if view.is(Phase::Granted, m) || view.is(Phase::Doubt, m) {
            world.control.stage = Stage::Open(m);
            world.control.step = ARMED;
        } else {
            world.control.stage = Stage::Idle;
            world.control.step = 0;
        }
    }

    fn reset(&mut self, world: &World, p: usize, n: usize, steps: &mut Steps<World>) {
        let link = world.links[p][n];
        if world.left.resets == 0 || link.is_idle() {
            return;
        }
        let mut next = *world;
        next.left.resets -= 1;
        self.broken_link(&mut next, p, n);
        steps.fault(next, || format!("the connection of proxy {p} to {} breaks", name(n)));
        // The node may have read the requests, and find out later.
        let heard = matches!(link.requests.first(), Some(Request { resume, .. }) if !link.sticky || resume != Resume::No);
        if heard && world.nodes[n].ghosts.is_empty() {
            for request in link.requests.as_slice().iter().take(2) {
                next.nodes[n].ghosts.push(*request);
            }
            steps.fault(next, || {
                format!("the connection of proxy {p} to {} breaks, unnoticed there", name(n))
            });
        }
    }

    /// A write in flight: its fate is unknown, its client gets an error. A read: once more.
    fn broken_link(&self, world: &mut World, p: usize, n: usize) {
        let link = world.links[p][n];
        let requests = link.requests.as_slice().iter().map(|request| request.op);
        let replies = link.replies.as_slice().iter().filter_map(|r| match *r {
            Reply::Done(op)
            | Reply::Unsynced(op)
            | Reply::Hold(op)
            | Reply::Moved(op, _)
            | Reply::Ask(op) => Some(op),
            Reply::Open | Reply::Gone(_) => None,
        });
        for op in requests.chain(replies).chain(link.inside) {
            world.ops[usize::from(op)] = if self.writes(op) { Op::Failed } else { Op::Held };
            let proxy = &mut world.proxies[p];
            if !self.writes(op) && proxy.gate == Gate::Open {
                proxy.gate = Gate::Go;
                proxy.resume = true;
            }
        }
        let link = &mut world.links[p][n];
        link.sticky = false;
        link.inside = None;
        link.requests.clear();
        link.replies.clear();
        self.settle(world, p);
    }
}
