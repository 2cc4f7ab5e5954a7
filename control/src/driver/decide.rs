//! What the store shall be told: decisions from what is stored and what is seen.

use super::say::objection;
use super::watch::Around;
use super::window::{Door, Window};
use super::{Driver, Peer, Status, Watch};
use crate::driver::now_ms;
use crate::state::{Change, Moving, Phase, WantStatus};
use crate::step::{Mark, Step};
use cluster::{GroupId, Kind, MigrationId, Slot};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The longest pause between two migrations of one wish.
const RETRY_PAUSE_MAX: Duration = Duration::from_mins(1);

/// Slots of nodes that are not ours which are looked at while others are on their way, for each pair of groups: clients do not notice.
const LOOKED_AT_AHEAD: usize = 1;

/// Nodes that have been away for too long, with the reason.
pub(super) type Lost = BTreeMap<GroupId, String>;

impl Driver {
    pub(super) fn decide(&mut self, now: Instant) -> Vec<Change> {
        let state = Arc::clone(&self.state);
        let lost = self.lost(now);
        let mut batch = self.learn_nodes();
        batch.extend(self.former_proxies(now));
        let still_fits = |change: &Change| match change {
            Change::Adopted { slot, .. } => state.slot(*slot).is_some_and(|r| r.moving.is_none()),
            _ => true,
        };
        batch.extend(self.found.drain(..).filter(still_fits));
        let is_by_proxies = |m: &&Moving| state.is_by_proxies(m.from, m.to);
        let by_proxies = state.migrations().map(|(_, m)| m).filter(is_by_proxies);
        let mut door = Door::new(self.limits.foreign_slots_moving_max, by_proxies);
        for (slot, moving) in state.migrations() {
            let Some(Step::Store(mark)) = self.next(slot, moving, &lost, now) else { continue };
            if mark == Mark::Locked && !door.enter(moving.from, moving.to) {
                if let Some(watch) = self.watches.get_mut(&slot) {
                    watch.awaited = "it can leave; others are on their way";
                }
                continue;
            }
            batch.extend(self.change(slot, moving, mark, now));
        }
        self.give_up(&lost, &mut batch);
        if !state.paused {
            self.begin(now, &mut batch);
        }
        batch
    }

    /// What is next for one migration; nothing if it is to be left alone.
    pub(super) fn next(
        &mut self,
        slot: Slot,
        moving: &Moving,
        lost: &Lost,
        now: Instant,
    ) -> Option<Step> {
        if self.state.is_by_proxies(moving.from, moving.to) {
            return Some(self.next_by_proxies(slot, moving, lost, now));
        }
        let record = self.state.slot(slot)?;
        let paused = self.state.paused
            || record.want.as_ref().is_some_and(|w| w.status == WantStatus::Paused);
        let around = Around {
            now,
            paused,
            progress_at: self.peers.get(&moving.from).map_or(now, |p| p.progress_at),
            source_lost: lost.get(&moving.from).map(String::as_str),
            target_lost: lost.get(&moving.to).map(String::as_str),
        };
        let watch = self.watches.get_mut(&slot)?;
        (!watch.is_hushed(now)).then(|| watch.next(moving, &around, &self.limits))
    }

    fn change(&mut self, slot: Slot, moving: &Moving, mark: Mark, now: Instant) -> Vec<Change> {
        match mark {
            Mark::Locked => vec![Change::Locked { slot }],
            Mark::Copying => vec![Change::Copying { slot }],
            Mark::Copied => vec![Change::Copied { slot }],
            Mark::Withdrawn => vec![Change::Withdrawn { slot }],
            Mark::LeftBehind => vec![Change::LeftBehind { slot }],
            Mark::Armed => vec![Change::Armed { slot }],
            Mark::Settled => vec![Change::Settled { slot }],
            Mark::GrantedAfterAll => vec![Change::GrantedAfterAll { slot }],
            Mark::CalledOff(reason) => vec![Change::CalledOff { slot, reason }],
            Mark::Moved => {
                let mut figures = self.watches.get(&slot).map(Watch::figures).unwrap_or_default();
                if self.state.is_by_proxies(moving.from, moving.to) {
                    figures.keys = self.proxies.keys(moving.id);
                    self.peers.values_mut().for_each(|peer| peer.slots_are_new = true);
                }
                figures.took_ms = now_ms().saturating_sub(moving.opened_ms);
                vec![Change::Moved { slot, figures }]
            }
            Mark::Whole => self.whole(slot, moving, now),
        }
    }

    /// The slot is whole at its owner: try again later, or give up.
    fn whole(&mut self, slot: Slot, moving: &Moving, now: Instant) -> Vec<Change> {
        let mut changes = vec![Change::Whole { slot }];
        let want =
            self.state.slot(slot).and_then(|r| r.want.as_ref()).filter(|w| w.to == moving.to);
        if let (Some(want), Phase::Undo { reason }) = (want, &moving.phase) {
            let tries = want.tries + 1;
            if tries >= self.limits.tries_max && want.status == WantStatus::Active {
                let reason = format!("given up after {tries} tries: {reason}");
                changes.push(Change::Failed { slot, reason });
            } else {
                let pause =
                    self.limits.retry_pause * 2_u32.saturating_pow(tries.saturating_sub(1).min(16));
                self.retry_at.insert(slot, now + pause.min(RETRY_PAUSE_MAX));
            }
        }
        changes
    }

    /// Nodes that say for the first time who they are.
    fn learn_nodes(&self) -> Vec<Change> {
        let greeting = |(id, peer): (&GroupId, &Peer)| match &peer.status {
            Status::Greeting(hello) if objection(&self.state, *id, hello).is_none() => {
                let known = self.state.group(*id)?.node.is_some();
                (!known).then(|| Change::NodeLearnt { id: *id, node: hello.node.clone() })
            }
            _ => None,
        };
        self.peers.iter().filter_map(greeting).collect()
    }

    /// Wishes that wait for a node which has been away for too long.
    fn give_up(&self, lost: &Lost, batch: &mut Vec<Change>) {
        if lost.is_empty() {
            return;
        }
        for (slot, record) in self.state.records() {
            let Some(want) = record.wanted().filter(|_| record.moving.is_none()) else { continue };
            if let Some(reason) = lost.get(&record.group).or_else(|| lost.get(&want.to)) {
                batch.push(Change::Failed { slot, reason: reason.clone() });
            }
        }
    }

    /// Opens as many migrations as the window has room for.
    fn begin(&mut self, now: Instant, batch: &mut Vec<Change>) {
        let state = Arc::clone(&self.state);
        self.retry_at.retain(|_, at| *at > now);
        let littered: HashSet<(Slot, GroupId)> =
            state.debris.iter().map(|d| (d.slot, d.group)).collect();
        let adopted: HashSet<Slot> = batch.iter().filter_map(adopted_slot).collect();
        let under_way = || state.migrations().map(|(_, m)| m);
        let mut window = Window::new(self.limits.slots_moving_max, under_way());
        let narrow_max = self.limits.foreign_slots_moving_max + LOOKED_AT_AHEAD;
        let mut narrow = Window::new(narrow_max, under_way());
        // Who migrates by itself, and has a slot to migrate already.
        let by_itself = |group: GroupId| {
            self.has_password && state.group(group).is_some_and(|g| g.kind == Kind::Pika)
        };
        let mut busy: HashSet<GroupId> = under_way().map(|m| m.from).collect();
        let is_up = |group: &GroupId| self.peers.get(group).is_some_and(|p| p.status == Status::Up);
        for (slot, record) in state.records() {
            let Some(to) = record.wanted().map(|w| w.to) else { continue };
            let ready = record.moving.is_none()
                && record.group != to
                && is_up(&record.group)
                && is_up(&to)
                && !self.retry_at.contains_key(&slot)
                && !littered.contains(&(slot, to))
                && !adopted.contains(&slot);
            let by_proxies = state.is_by_proxies(record.group, to);
            let window = if by_proxies { &mut narrow } else { &mut window };
            let may = !by_proxies
                || self.may_go_by_proxies(record.group, to, now)
                    && !(by_itself(record.group) && busy.contains(&record.group));
            if ready && may && window.enter(record.group, to) {
                busy.insert(record.group);
                batch.push(Change::Opened { slot, id: MigrationId(rand::random()) });
            }
        }
        if window.was_full || narrow.was_full {
            self.metrics.window_full.inc();
        }
    }

    /// The nodes that have been away for too long, and what to say of them.
    pub(super) fn lost(&self, now: Instant) -> Lost {
        let limit = self.limits.node_away_max;
        let lost = |(id, peer): (&GroupId, &Peer)| {
            let (since, why) = peer.trouble()?;
            let text =
                || format!("group {id}'s node at {} has been away for {limit:?}: {why}", peer.addr);
            (now - since > limit).then(|| (*id, text()))
        };
        self.peers.iter().filter_map(lost).collect()
    }
}

fn adopted_slot(change: &Change) -> Option<Slot> {
    match change {
        Change::Adopted { slot, .. } => Some(*slot),
        _ => None,
    }
}
