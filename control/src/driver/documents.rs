//! The documents of the API: what is stored and seen, for people and programs.

use super::orders::Denied;
use super::peer::Status as PeerStatus;
use super::{Driver, now_ms};
use crate::docs::{
    Failure, Group, HistoryLine, MoveView, Moves, NodeState, PlanView, SlotRun, Stage, Stages,
    Status,
};
use crate::planner::{refusal, stage};
use crate::state::{Plan, PlanId, SlotRecord, WantStatus};
use cluster::{GroupId, Slot, SlotRanges};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

impl Driver {
    pub(super) fn status(&self) -> Status {
        let state = &self.state;
        let mut slots = Stages::default();
        state.slots.iter().for_each(|r| slots.count(stage(r, state.paused)));
        let groups: Vec<Group> = state.groups.iter().map(|g| self.group(g)).collect();
        let mut troubles: Vec<String> =
            self.store_error.iter().map(|(error, _)| format!("the store: {error}")).collect();
        for group in &groups {
            if let Some(error) = &group.error {
                troubles.push(format!("group {}'s node at {}: {error}", group.id, group.addr));
            }
        }
        let proxies = self.proxies.view(&self.state, &self.limits, Instant::now());
        for proxy in proxies.iter().filter(|p| p.is_away) {
            troubles.push(format!(
                "proxy {} has not been heard of for {} s: no slot leaves a node that is not ours without its word. If it is gone for good: slipway \
                 forget-proxy {}",
                proxy.name,
                proxy.silent_ms / 1000,
                proxy.name
            ));
        }
        if slots.failed > 0 {
            let count = slots.failed;
            troubles.push(format!("{count} slots could not be moved: `slipway slots` says why, `slipway resume` tries again"));
        }
        Status {
            cluster: state.cluster.clone(),
            slot_count: state.slot_count.get().into(),
            table_version: state.version,
            paused: state.paused,
            pace_bytes: state.pace_bytes,
            troubles,
            groups,
            proxies,
            slots,
            plans: state.plans.iter().filter(|p| p.ended_ms.is_none()).map(|p| p.id).collect(),
        }
    }

    fn group(&self, group: &crate::state::Group) -> Group {
        let moving = || self.state.migrations().map(|(_, m)| m);
        let (node_state, error) = match self.peers.get(&group.id).map(|p| &p.status) {
            Some(PeerStatus::Up) => (NodeState::Up, None),
            Some(PeerStatus::Greeting(_) | PeerStatus::Claiming(_)) => (NodeState::Greeting, None),
            Some(PeerStatus::Unwanted { why }) => (NodeState::Unwanted, Some(why.clone())),
            Some(PeerStatus::Away { why }) => (NodeState::Away, Some(why.clone())),
            None => (NodeState::Away, None),
        };
        Group {
            id: group.id,
            addr: group.addr.clone(),
            node: group.node.clone(),
            kind: group.kind,
            state: node_state,
            error,
            slots: self.state.slots.iter().filter(|s| s.group == group.id).count(),
            arriving: moving().filter(|m| m.to == group.id).count(),
            leaving: moving().filter(|m| m.from == group.id).count(),
        }
    }

    pub(super) fn slots(&self) -> Vec<SlotRun> {
        let mut runs: Vec<(SlotRun, Vec<Slot>)> = Vec::new();
        for (slot, record) in self.state.records() {
            let run = self.run_of(slot, record);
            match runs.last_mut().filter(|(last, _)| *last == run) {
                Some((_, slots)) => slots.push(slot),
                None => runs.push((run, vec![slot])),
            }
        }
        let named = |(run, slots): (SlotRun, Vec<Slot>)| SlotRun { slots: text(slots), ..run };
        runs.into_iter().map(named).collect()
    }

    fn run_of(&self, slot: Slot, record: &SlotRecord) -> SlotRun {
        let failed = record.want.as_ref().and_then(|w| match &w.status {
            WantStatus::Failed { reason } => Some(reason.clone()),
            _ => None,
        });
        let told = || self.watches.get(&slot).and_then(|w| w.error()).map(str::to_owned);
        let to =
            record.moving.as_ref().map(|m| m.to).or_else(|| record.want.as_ref().map(|w| w.to));
        SlotRun {
            slots: String::new(),
            group: record.group,
            epoch: record.epoch,
            stage: stage(record, self.state.paused),
            to,
            error: failed.or_else(told).or_else(|| self.proxies.why(record.moving.as_ref()?.id)),
        }
    }

    pub(super) fn moves(&self, plan: Option<PlanId>) -> Result<Moves, Denied> {
        let of_plan = |slot: Slot, p: &Plan| p.open.contains(&slot);
        let plans: Vec<&Plan> =
            self.state.plans.iter().filter(|p| plan.is_none_or(|id| id == p.id)).collect();
        if let (Some(id), true) = (plan, plans.is_empty()) {
            let error = format!("there is no plan {id}, or it ended long ago");
            return Err(Denied::Missing(refusal(
                error,
                "`slipway status` lists the plans that run",
            )));
        }
        let concerns = |slot: Slot| plan.is_none() || plans.iter().any(|p| of_plan(slot, p));
        Ok(Moves {
            plans: plans.iter().map(|p| self.plan_view(p)).collect(),
            moving: self.move_views().filter(|m| concerns(m.slot)).collect(),
        })
    }

    fn move_views(&self) -> impl Iterator<Item = MoveView> {
        let now = now_ms();
        self.state.migrations().map(move |(slot, moving)| {
            let watch = self.watches.get(&slot);
            let report = watch.and_then(|w| w.source.report.clone()).unwrap_or_default();
            MoveView {
                slot,
                id: moving.id,
                from: moving.from,
                to: moving.to,
                epoch: moving.epoch,
                stage: self
                    .state
                    .slot(slot)
                    .map_or(Stage::Settled, |r| stage(r, self.state.paused)),
                awaited: watch.map_or("", |w| w.awaited).to_owned(),
                elapsed_ms: now.saturating_sub(moving.opened_ms),
                keys: report.keys.max(self.proxies.keys(moving.id)),
                keys_estimated: report.keys_estimated,
                bytes: report.bytes,
                bytes_estimated: report.bytes_estimated,
                lag_bytes: report.lag_bytes,
                attempt: report.attempt,
                error: watch
                    .and_then(|w| w.error())
                    .map(str::to_owned)
                    .or_else(|| self.proxies.why(moving.id)),
            }
        })
    }

    fn plan_view(&self, plan: &Plan) -> PlanView {
        let mut view = PlanView {
            id: plan.id,
            to: plan.to,
            ended: plan.ended_ms.is_some(),
            paused: self.state.paused,
            elapsed_ms: plan.ended_ms.unwrap_or_else(now_ms).saturating_sub(plan.created_ms),
            slots: plan.slots(),
            arrived: plan.arrived.len(),
            aborted: plan.aborted.len(),
            failed: failures(plan),
            stages: Stages::default(),
            keys: plan.keys,
            bytes: plan.bytes,
            done_permille: 1000,
            stall_write_us: plan.stall_write.spread(),
            stall_read_us: plan.stall_read.spread(),
            notes: self.notes(plan),
        };
        let mut done = 1000 * (plan.slots() - plan.open.len()) as u64;
        for slot in &plan.open {
            let Some(record) = self.state.slot(*slot) else { continue };
            view.stages.count(stage(record, self.state.paused));
            let Some(report) = self.watches.get(slot).and_then(|w| w.source.report.as_ref()) else {
                continue;
            };
            view.keys += report.keys;
            view.bytes += report.bytes;
            done += 950 * report.bytes.min(report.bytes_estimated) / report.bytes_estimated.max(1);
        }
        view.done_permille = (done / plan.slots().max(1) as u64) as u32;
        view
    }

    /// What keeps this plan's slots from moving.
    fn notes(&self, plan: &Plan) -> Vec<String> {
        if plan.ended_ms.is_some() {
            return Vec::new();
        }
        let now = Instant::now();
        let groups: BTreeSet<GroupId> = plan
            .open
            .iter()
            .filter_map(|s| self.state.slot(*s))
            .flat_map(|r| [r.group, plan.to].into_iter().chain(r.moving.iter().map(|m| m.from)))
            .collect();
        let away = groups.iter().filter_map(|id| {
            let peer = self.peers.get(id)?;
            let (since, why) = peer.trouble()?;
            Some(format!(
                "group {id}'s node at {} away for {} s: {why}",
                peer.addr,
                (now - since).as_secs()
            ))
        });
        let paused = self.state.paused.then(|| "paused: `slipway resume` goes on".to_owned());
        let store = self.store_error.as_ref().map(|(error, _)| format!("the store: {error}"));
        let told = plan
            .open
            .iter()
            .filter_map(|s| Some(format!("slot {s}: {}", self.watches.get(s)?.error()?)));
        let strangers = self.notes_of_proxies(plan.open.iter().copied());
        away.chain(paused).chain(store).chain(told.take(3)).chain(strangers).collect()
    }

    pub(super) fn history(&self) -> Vec<HistoryLine> {
        let line = |event: &crate::state::Event| HistoryLine {
            at_ms: event.at_ms,
            kind: event.kind,
            slots: event.ranges().to_string(),
            from: event.from,
            to: event.to,
            detail: event.detail.clone(),
        };
        self.state.history.iter().map(line).collect()
    }
}

fn failures(plan: &Plan) -> Vec<Failure> {
    let mut by_reason: BTreeMap<&str, Vec<Slot>> = BTreeMap::new();
    for (slot, reason) in &plan.failed {
        by_reason.entry(reason).or_default().push(*slot);
    }
    by_reason
        .into_iter()
        .map(|(reason, slots)| Failure { slots: text(slots), reason: reason.to_owned() })
        .collect()
}

fn text(slots: impl IntoIterator<Item = Slot>) -> String {
    slots.into_iter().collect::<SlotRanges>().to_string()
}
