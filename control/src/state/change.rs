//! Every way the stored state can change. A change that makes no sense in the state it meets is refused, and nothing is changed.

use super::ProxyRecord;
use super::{
    Debris, Event, EventKind, Figures, Group, Moving, PLANS_ENDED_MAX, Phase, Plan, PlanId, State,
    Want, WantStatus,
};
use crate::Error;
use cluster::{Epoch, GroupId, Kind, MigrationId, Slot};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One change. As JSON it is kept in the store's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    GroupAdded {
        id: GroupId,
        addr: String,
    },
    /// The group's node listens elsewhere now.
    GroupMoved {
        id: GroupId,
        addr: String,
    },
    /// A group that has nothing is not there any more.
    GroupRemoved {
        id: GroupId,
    },
    /// The first contact with a group's node.
    NodeLearnt {
        id: GroupId,
        node: String,
    },
    /// What the group's node is, as configured.
    GroupIs {
        id: GroupId,
        kind: Kind,
    },
    /// A proxy routes by our table from now on.
    ProxyJoined {
        proxy: ProxyRecord,
    },
    /// A proxy serves nobody any more.
    ProxyGone {
        boot: String,
    },
    /// The operator wants these slots in that group.
    Planned {
        slots: BTreeSet<Slot>,
        to: GroupId,
    },
    /// A migration begins; its epoch is reserved.
    Opened {
        slot: Slot,
        id: MigrationId,
    },
    /// A target has a migration that the store does not know: the store was put back from a backup. It is called off.
    Adopted {
        slot: Slot,
        id: MigrationId,
        to: GroupId,
        epoch: Epoch,
    },
    /// From now on the proxies lock a slot that leaves a node which is not ours.
    Locked {
        slot: Slot,
    },
    /// Every proxy has locked it: one of them copies what the node cannot send.
    Copying {
        slot: Slot,
    },
    /// All of that is at the target. The slot only goes forward.
    Copied {
        slot: Slot,
    },
    /// None of it is at the target any more.
    Withdrawn {
        slot: Slot,
    },
    /// Some of it may be at the target, which could not be asked: the slot is unlocked all the same.
    LeftBehind {
        slot: Slot,
    },
    /// From now on the nodes may be told to arm.
    Armed {
        slot: Slot,
    },
    /// The target owns the slot.
    Settled {
        slot: Slot,
    },
    /// The target's copy is durable and the source's is gone.
    Moved {
        slot: Slot,
        figures: Figures,
    },
    /// The source shall be asked to call the migration off.
    CalledOff {
        slot: Slot,
        reason: String,
    },
    /// The source cannot call it off: it has granted.
    GrantedAfterAll {
        slot: Slot,
    },
    /// The source has called it off and owns the slot; the target's staged copy is debris.
    Whole {
        slot: Slot,
    },
    /// Debris was dropped.
    Dropped {
        id: MigrationId,
    },
    /// The wish is given up.
    Failed {
        slot: Slot,
        reason: String,
    },
    /// The operator's words. Without slots they are about everything.
    Paused {
        slots: Option<BTreeSet<Slot>>,
    },
    Resumed {
        slots: Option<BTreeSet<Slot>>,
    },
    Aborted {
        slots: Option<BTreeSet<Slot>>,
    },
    PaceSet {
        bytes: u64,
    },
}

impl State {
    /// Applies one change.
    pub fn apply(&mut self, change: Change, at_ms: u64) -> Result<(), Error> {
        match change {
            Change::GroupAdded { id, addr } => self.group_added(id, addr, at_ms),
            Change::GroupMoved { id, addr } => self.group_moved(id, &addr, at_ms),
            Change::GroupRemoved { id } => self.group_removed(id, at_ms)?,
            Change::NodeLearnt { id, node } => self.node_learnt(id, &node, at_ms),
            Change::GroupIs { id, kind } => self.group_is(id, kind),
            Change::ProxyJoined { proxy } => self.proxy_joined(proxy, at_ms),
            Change::ProxyGone { boot } => self.proxy_gone(&boot, at_ms),
            Change::Locked { slot } => self.locked(slot, at_ms)?,
            Change::Copying { slot } => self.copy_goes_on(slot, Phase::Copying, at_ms)?,
            Change::Copied { slot } => self.copy_goes_on(slot, Phase::Copied, at_ms)?,
            Change::Withdrawn { slot } => self.unlocked(slot, EventKind::Withdrawn, at_ms)?,
            Change::LeftBehind { slot } => self.unlocked(slot, EventKind::LeftBehind, at_ms)?,
            Change::Planned { slots, to } => self.planned(slots, to, at_ms)?,
            Change::Opened { slot, id } => self.opened(slot, id, at_ms)?,
            Change::Adopted { slot, id, to, epoch } => {
                self.adopted(slot, id, (to, epoch), at_ms)?;
            }
            Change::Armed { slot } => self.armed(slot, at_ms)?,
            Change::Settled { slot } => self.settled(slot, at_ms)?,
            Change::Moved { slot, figures } => self.moved(slot, &figures, at_ms)?,
            Change::CalledOff { slot, reason } => self.called_off(slot, reason, at_ms)?,
            Change::GrantedAfterAll { slot } => self.granted_after_all(slot, at_ms)?,
            Change::Whole { slot } => self.whole(slot, at_ms)?,
            Change::Dropped { id } => self.debris.retain(|d| d.id != id),
            Change::Failed { slot, reason } => self.failed(slot, &reason, at_ms)?,
            Change::Paused { slots } => self.pause(slots, at_ms)?,
            Change::Resumed { slots } => self.resume(slots, at_ms)?,
            Change::Aborted { slots } => self.abort(slots, at_ms)?,
            Change::PaceSet { bytes } => {
                self.pace_bytes = bytes;
                self.note(Event::new(at_ms, EventKind::PaceSet).detail(format!("{bytes} bytes/s")));
            }
        }
        Ok(())
    }

    // --- groups

    fn group_added(&mut self, id: GroupId, addr: String, at_ms: u64) {
        self.version += 1;
        self.note(Event::new(at_ms, EventKind::GroupAdded).to(id).detail(addr.clone()));
        self.groups.push(Group { id, addr, node: None, kind: Kind::default() });
    }

    fn group_moved(&mut self, id: GroupId, addr: &str, at_ms: u64) {
        self.version += 1;
        self.note(Event::new(at_ms, EventKind::GroupMoved).to(id).detail(addr));
        for group in self.groups.iter_mut().filter(|g| g.id == id) {
            addr.clone_into(&mut group.addr);
        }
    }

    fn group_removed(&mut self, id: GroupId, at_ms: u64) -> Result<(), Error> {
        let slots = self.slot_count.slots();
        if let Some((slot, _)) = slots.zip(&self.slots).find(|(_, record)| record.concerns(id)) {
            return refuse(slot, "it is in a group that shall go");
        }
        self.version += 1;
        self.groups.retain(|g| g.id != id);
        self.debris.retain(|d| d.group != id);
        self.note(Event::new(at_ms, EventKind::GroupRemoved).to(id));
        Ok(())
    }

    fn node_learnt(&mut self, id: GroupId, node: &str, at_ms: u64) {
        self.note(Event::new(at_ms, EventKind::NodeLearnt).to(id).detail(node));
        for group in self.groups.iter_mut().filter(|g| g.id == id) {
            group.node = Some(node.to_owned());
        }
    }

    // --- one migration

    fn opened(&mut self, slot: Slot, id: MigrationId, at_ms: u64) -> Result<(), Error> {
        let record = self.record(slot)?;
        let Some(to) = record.wanted().map(|w| w.to) else {
            return refuse(slot, "nobody wants it moved");
        };
        if record.moving.is_some() {
            return refuse(slot, "it is moving already");
        }
        if record.group == to {
            return refuse(slot, "it is there already");
        }
        let (from, epoch) = (record.group, Epoch(record.epoch.max(record.reserved).0 + 1));
        record.reserved = epoch;
        record.moving = Some(Moving { id, from, to, epoch, phase: Phase::Open, opened_ms: at_ms });
        self.tell_proxies(from, to);
        self.note(Event::new(at_ms, EventKind::Opened).slots([slot]).path(from, to));
        Ok(())
    }

    fn adopted(
        &mut self,
        slot: Slot,
        id: MigrationId,
        to: (GroupId, Epoch),
        at_ms: u64,
    ) -> Result<(), Error> {
        let (to, epoch) = to;
        let record = self.record(slot)?;
        if record.moving.is_some() || record.group == to || epoch <= record.epoch {
            return refuse(slot, "the migration is none of a store that was put back");
        }
        let (from, reason) = (record.group, "it was not in the store".to_owned());
        record.reserved = record.reserved.max(epoch);
        let phase = Phase::Undo { reason: reason.clone() };
        record.moving = Some(Moving { id, from, to, epoch, phase, opened_ms: at_ms });
        self.note(
            Event::new(at_ms, EventKind::CalledOff).slots([slot]).path(from, to).detail(reason),
        );
        Ok(())
    }

    fn armed(&mut self, slot: Slot, at_ms: u64) -> Result<(), Error> {
        let (from, to) = self.phase(slot, Phase::Armed, |p| {
            matches!(p, Phase::Open | Phase::Locked | Phase::Copied)
        })?;
        self.tell_proxies(from, to);
        self.note(Event::new(at_ms, EventKind::Armed).slots([slot]).path(from, to));
        Ok(())
    }

    /// The target's word is the truth whatever we had wanted: this is legal in every phase.
    fn settled(&mut self, slot: Slot, at_ms: u64) -> Result<(), Error> {
        let (from, to) = self.phase(slot, Phase::Settled, |p| *p != Phase::Settled)?;
        self.plans.iter_mut().for_each(|p| p.slot_goes_after_all(slot, to));
        let record = self.record(slot)?;
        record.group = to;
        if let Some(moving) = &record.moving {
            record.epoch = moving.epoch;
        }
        self.version += 1;
        self.note(Event::new(at_ms, EventKind::Settled).slots([slot]).path(from, to));
        Ok(())
    }

    fn moved(&mut self, slot: Slot, figures: &Figures, at_ms: u64) -> Result<(), Error> {
        let record = self.record(slot)?;
        let Some(moving) = record.moving.take_if(|m| m.phase == Phase::Settled) else {
            return refuse(slot, "it has not settled");
        };
        record.want.take_if(|w| w.to == moving.to);
        self.plans.iter_mut().for_each(|p| p.slot_arrived(slot, moving.to, figures));
        self.close_plans(at_ms);
        self.note(Event::new(at_ms, EventKind::Moved).slots([slot]).path(moving.from, moving.to));
        Ok(())
    }

    fn called_off(&mut self, slot: Slot, reason: String, at_ms: u64) -> Result<(), Error> {
        let moving = self.record(slot)?.moving.as_ref();
        let undo = moving.map_or(Phase::Open, |moving| moving.phase.undone(reason.clone()));
        let may_end =
            |p: &Phase| matches!(p, Phase::Open | Phase::Locked | Phase::Copying | Phase::Armed);
        let (from, to) = self.phase(slot, undo, may_end)?;
        self.tell_proxies(from, to);
        self.note(
            Event::new(at_ms, EventKind::CalledOff).slots([slot]).path(from, to).detail(reason),
        );
        Ok(())
    }

    fn granted_after_all(&mut self, slot: Slot, at_ms: u64) -> Result<(), Error> {
        let (from, to) = self.phase(slot, Phase::Armed, |p| matches!(p, Phase::Undo { .. }))?;
        self.plans.iter_mut().for_each(|p| p.slot_goes_after_all(slot, to));
        self.note(Event::new(at_ms, EventKind::GrantedAfterAll).slots([slot]).path(from, to));
        Ok(())
    }

    fn whole(&mut self, slot: Slot, at_ms: u64) -> Result<(), Error> {
        let record = self.record(slot)?;
        let Some(moving) = record.moving.take_if(|m| matches!(m.phase, Phase::Undo { .. })) else {
            return refuse(slot, "it was not called off");
        };
        let Phase::Undo { reason } = moving.phase else {
            return refuse(slot, "it was not called off");
        };
        if let Some(want) = record.want.as_mut().filter(|w| w.to == moving.to) {
            want.tries += 1;
        }
        // Somebody wished it back before it had left.
        if record.want.take_if(|w| w.to == moving.from).is_some() {
            self.plans
                .iter_mut()
                .for_each(|p| p.slot_arrived(slot, moving.from, &Figures::default()));
            self.close_plans(at_ms);
        }
        if !self.is_by_proxies(moving.from, moving.to) {
            self.debris.push(Debris { id: moving.id, slot, group: moving.to });
        }
        self.note(
            Event::new(at_ms, EventKind::Whole)
                .slots([slot])
                .path(moving.from, moving.to)
                .detail(reason),
        );
        Ok(())
    }

    fn failed(&mut self, slot: Slot, reason: &str, at_ms: u64) -> Result<(), Error> {
        let record = self.record(slot)?;
        let Some(want) = &mut record.want else { return refuse(slot, "nobody wants it moved") };
        let to = want.to;
        want.status = WantStatus::Failed { reason: reason.to_owned() };
        self.plans.iter_mut().filter(|p| p.to == to).for_each(|p| p.slot_failed(slot, reason));
        self.close_plans(at_ms);
        self.note(Event::new(at_ms, EventKind::Failed).slots([slot]).to(to).detail(reason));
        Ok(())
    }

    // --- the operator's words

    fn planned(&mut self, slots: BTreeSet<Slot>, to: GroupId, at_ms: u64) -> Result<(), Error> {
        let mut plan = Plan::new(self.next_plan, to, at_ms);
        self.next_plan = PlanId(self.next_plan.0 + 1);
        for &slot in &slots {
            let record = self.record(slot)?;
            if record.group == to && record.moving.is_none() {
                record.want = None;
                plan.arrived.insert(slot);
            } else {
                record.want = Some(Want { to, tries: 0, status: WantStatus::Active });
                plan.open.insert(slot);
            }
        }
        self.note(
            Event::new(at_ms, EventKind::Planned)
                .slots(slots)
                .to(to)
                .detail(format!("plan {}", plan.id)),
        );
        self.plans.push(plan);
        self.close_plans(at_ms);
        Ok(())
    }

    fn pause(&mut self, slots: Option<BTreeSet<Slot>>, at_ms: u64) -> Result<(), Error> {
        self.note(Event::new(at_ms, EventKind::Paused).slots(slots.iter().flatten().copied()));
        let Some(slots) = slots else {
            self.paused = true;
            return Ok(());
        };
        for slot in slots {
            if let Some(want) =
                self.record(slot)?.want.as_mut().filter(|w| w.status == WantStatus::Active)
            {
                want.status = WantStatus::Paused;
            }
        }
        Ok(())
    }

    /// Ends pauses and takes up what had failed.
    fn resume(&mut self, slots: Option<BTreeSet<Slot>>, at_ms: u64) -> Result<(), Error> {
        self.note(Event::new(at_ms, EventKind::Resumed).slots(slots.iter().flatten().copied()));
        if slots.is_none() {
            self.paused = false;
        }
        for slot in slots.unwrap_or_else(|| self.slot_count.slots().collect()) {
            let Some(want) = &mut self.record(slot)?.want else { continue };
            let to = want.to;
            *want = Want { to, tries: 0, status: WantStatus::Active };
            self.plans.iter_mut().for_each(|p| p.slot_resumed(slot, to));
        }
        Ok(())
    }

    fn abort(&mut self, slots: Option<BTreeSet<Slot>>, at_ms: u64) -> Result<(), Error> {
        let reason = "the operator aborted it";
        let strangers: Vec<GroupId> =
            self.groups.iter().filter(|g| !g.kind.is_ours()).map(|g| g.id).collect();
        // Proxies that had locked a slot let it go.
        self.version += u64::from(!strangers.is_empty());
        for slot in slots.unwrap_or_else(|| self.slot_count.slots().collect()) {
            let record = self.record(slot)?;
            let Some(want) = record.want.take() else { continue };
            // Past its settling a migration only goes forward: what is left of it is tidying up.
            let is_past = |m: &Moving| match m.phase {
                Phase::Settled | Phase::Copied => true,
                Phase::Armed => strangers.contains(&m.from) || strangers.contains(&m.to),
                _ => false,
            };
            if record.moving.as_ref().is_some_and(is_past) {
                record.want = Some(want);
                continue;
            }
            if let Some(moving) = &mut record.moving {
                moving.phase = moving.phase.undone(reason.to_owned());
            }
            self.plans.iter_mut().filter(|p| p.to == want.to).for_each(|p| p.slot_aborted(slot));
            self.note(Event::new(at_ms, EventKind::Aborted).slots([slot]).to(want.to));
        }
        self.close_plans(at_ms);
        Ok(())
    }

    // --- pieces

    fn record(&mut self, slot: Slot) -> Result<&mut super::SlotRecord, Error> {
        let no_such = Error::Refused { slot: slot.0, why: "it does not exist" };
        self.slots.get_mut(usize::from(slot.0)).ok_or(no_such)
    }

    /// Moves a migration on to `next` if it is in a phase that allows it; returns its groups.
    pub(super) fn phase(
        &mut self,
        slot: Slot,
        next: Phase,
        allowed: impl Fn(&Phase) -> bool,
    ) -> Result<(GroupId, GroupId), Error> {
        let Some(moving) = &mut self.record(slot)?.moving else {
            return refuse(slot, "it is not moving");
        };
        if !allowed(&moving.phase) {
            return refuse(slot, "its migration is in another phase");
        }
        moving.phase = next;
        Ok((moving.from, moving.to))
    }

    fn close_plans(&mut self, at_ms: u64) {
        self.plans.iter_mut().for_each(|p| p.close(at_ms));
        let mut ended = self.plans.iter().filter(|p| p.ended_ms.is_some()).count();
        self.plans.retain(|p| {
            let old = p.ended_ms.is_some() && ended > PLANS_ENDED_MAX;
            ended -= usize::from(old);
            !old
        });
    }
}

fn refuse<T>(slot: Slot, why: &'static str) -> Result<T, Error> {
    Err(Error::Refused { slot: slot.0, why })
}
