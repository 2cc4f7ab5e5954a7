//! What nodes are told: each that waits for nothing gets one batch.

use super::job::{Ends, Job, Named};
use super::{Driver, Status};
use crate::link::Hello;
use crate::state::{Moving, State};
use crate::step::{Role, Step, Word};
use cluster::{GroupId, MigrationId, Slot};
use service::failpoint;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::time::Instant;

impl Driver {
    /// Gives each node that waits for nothing its next batch.
    pub(super) fn say(&mut self, now: Instant) {
        let state = Arc::clone(&self.state);
        self.greet(now);
        let mut jobs: BTreeMap<GroupId, Job> = BTreeMap::new();
        let free: Vec<GroupId> =
            self.peers.iter().filter(|(_, p)| p.is_free()).map(|(id, _)| *id).collect();
        for &id in &free {
            let job = jobs.entry(id).or_default();
            self.poll(id, &state, job, now);
            self.sweep(id, &state, job, now);
        }
        self.words(&state, &mut jobs, now);
        for (id, job) in jobs {
            if let Some(peer) = self.peers.get_mut(&id).filter(|_| !job.is_empty()) {
                peer.send(job);
            }
        }
    }

    /// Nodes that have said who they are: are they the right ones?
    fn greet(&mut self, now: Instant) {
        for (id, peer) in &mut self.peers {
            let Status::Greeting(hello) = &peer.status else { continue };
            if let Some(why) = objection(&self.state, *id, hello) {
                if peer.is_news(&why) {
                    tracing::error!(group = %id, addr = peer.addr, "{why}");
                }
                peer.refuse(why, now);
                continue;
            }
            // Its name must be on disk before it is claimed.
            let Some(group) = self.state.group(*id).filter(|g| g.node.is_some()) else { continue };
            peer.status = Status::Claiming(hello.clone());
            peer.send(Job::greet(&self.state, group));
        }
    }

    fn poll(&mut self, id: GroupId, state: &State, job: &mut Job, now: Instant) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if std::mem::take(&mut peer.pace_is_new) {
            job.pace(state.pace_bytes);
        }
        if let Some(group) = state.group(id).filter(|_| std::mem::take(&mut peer.slots_are_new)) {
            job.assign(state, group);
        }
        if peer.polled_at + self.limits.poll_time > now || !self.is_due(id, now) {
            return;
        }
        let is_asked = |slot: Slot, m: &Moving| {
            let role = self.role_of(m, id)?;
            self.watches.get(&slot)?.is_nearly_due(role, now).then_some(m.id)
        };
        let ids: Vec<MigrationId> =
            state.migrations().filter_map(|(slot, m)| is_asked(slot, m)).collect();
        if let Some(peer) = self.peers.get_mut(&id).filter(|_| !ids.is_empty()) {
            peer.polled_at = now;
            job.moves(&ids);
        }
    }

    fn is_due(&self, group: GroupId, now: Instant) -> bool {
        self.look_at(group, now).is_some_and(|at| at <= now)
    }

    /// What a group's node is for a migration that it knows.
    fn role_of(&self, moving: &Moving, group: GroupId) -> Option<Role> {
        match group {
            _ if self.state.is_by_proxies(moving.from, moving.to) => None,
            source if source == moving.from => Some(Role::Source),
            target if target == moving.to => Some(Role::Target),
            _ => None,
        }
    }

    /// When a group's node is to be asked for its migrations; nothing if it has none.
    pub(super) fn look_at(&self, group: GroupId, now: Instant) -> Option<Instant> {
        let of = |(slot, m): (Slot, &Moving)| {
            Some(self.watches.get(&slot)?.look_at(self.role_of(m, group)?, now))
        };
        self.state.migrations().filter_map(of).min()
    }

    /// Copies that were called off and still lie at the target.
    fn sweep(&mut self, id: GroupId, state: &State, job: &mut Job, now: Instant) {
        self.debris_at.retain(|_, at| *at > now);
        for debris in
            state.debris.iter().filter(|d| d.group == id && !self.debris_at.contains_key(&d.id))
        {
            failpoint::hit("control.drop");
            job.drop(debris);
        }
    }

    fn words(&mut self, state: &State, jobs: &mut BTreeMap<GroupId, Job>, now: Instant) {
        let lost = self.lost(now);
        let mut batches: BTreeMap<(GroupId, u8), (Word, Vec<Named>)> = BTreeMap::new();
        for (slot, moving) in state.migrations() {
            let Some(Step::Say(word)) = self.next(slot, moving, &lost, now) else { continue };
            let to = if word.role() == Role::Source { moving.from } else { moving.to };
            let Some(job) = jobs.get_mut(&to) else { continue };
            failpoint::hit(word.fail_point());
            if let Some(watch) = self.watches.get_mut(&slot) {
                watch.stir();
            }
            let named = Named { slot, id: moving.id, epoch: moving.epoch };
            let alone = self.watches.get(&slot).is_some_and(|w| w.alone);
            if word.takes_many() && !alone {
                batches
                    .entry((to, batch_key(word)))
                    .or_insert_with(|| (word, Vec::new()))
                    .1
                    .push(named);
                continue;
            }
            let addr = |group: GroupId| state.group(group).map_or("", |g| &g.addr);
            let ends = Ends { source: addr(moving.from), target: addr(moving.to) };
            job.one(word, named, ends);
        }
        for ((to, _), (word, named)) in batches {
            jobs.entry(to).or_default().many(word, named);
        }
    }
}

/// Why the node that answers is not the one of this group, if so.
pub(super) fn objection(state: &State, id: GroupId, hello: &Hello) -> Option<String> {
    let group = state.group(id)?;
    if hello.cluster != "-" && hello.cluster != state.cluster {
        return Some(format!(
            "the node at {} belongs to another cluster ({}, ours is {}): give group {id} the address of its own node",
            group.addr, hello.cluster, state.cluster
        ));
    }
    if let Some(other) =
        state.groups.iter().find(|g| g.id != id && g.node.as_deref() == Some(&hello.node))
    {
        return Some(format!(
            "the node at {} is the node of group {} (id {}): give group {id} the address of its own node",
            group.addr, other.id, hello.node
        ));
    }
    match &group.node {
        Some(node) if *node != hello.node => Some(format!(
            "the node at {} is not the one group {id} had: its id is {}, and {node} is expected. Start the node with the data directory \
             it had, or give the group the address where it listens now",
            group.addr, hello.node
        )),
        _ => None,
    }
}

/// Words that go into one batch.
fn batch_key(word: Word) -> u8 {
    match word {
        Word::Arm(Role::Target) => 0,
        Word::Arm(Role::Source) => 1,
        Word::Durable => 2,
        _ => 3,
    }
}
