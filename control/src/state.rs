//! Everything the controller knows for good: what the store keeps, and how it changes.
//!
//! Pure. The rules that must hold after every change:
//! - a slot's epoch never falls, and `reserved` is at or above every epoch that was ever promised to a migration of it, failed ones included;
//! - a slot has at most one migration under way, and its owner changes only when that one settles;
//! - a move is forgotten only when the slot is whole at one node and the other copy is gone, or noted as [`Debris`].

mod change;
mod figures;
mod foreign;
mod plan;
mod ranges_text;
mod runs;

pub use change::Change;
pub use figures::{Figures, Spread, Stalls};
pub use foreign::ProxyRecord;
pub use plan::{Plan, PlanId};

use cluster::table::{Group as TableGroup, Owner};
use cluster::{Epoch, GroupId, Kind, MigrationId, Slot, SlotCount, SlotRanges, Table};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

/// How many events are remembered.
pub const HISTORY_MAX: usize = 1000;

/// How many plans that have ended are remembered.
pub const PLANS_ENDED_MAX: usize = 20;

/// The whole state of a cluster's controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The cluster's random id.
    pub cluster: String,
    pub slot_count: SlotCount,
    /// The slot table's version.
    pub version: u64,
    /// Whether the operator has paused everything.
    pub paused: bool,
    /// The ceiling for copying out of each node in bytes a second, 0 for none.
    pub pace_bytes: u64,
    pub groups: Vec<Group>,
    /// Proxies without whose word no slot leaves a node that is not ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proxies: Vec<ProxyRecord>,
    /// One record a slot, in order.
    #[serde(with = "runs")]
    pub slots: Vec<SlotRecord>,
    pub plans: Vec<Plan>,
    pub next_plan: PlanId,
    pub debris: Vec<Debris>,
    pub history: VecDeque<Event>,
}

/// A group of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub id: GroupId,
    /// Where its node listens, `host:port`.
    pub addr: String,
    /// The node's own id, learnt at the first contact; another one at this address is refused.
    pub node: Option<String>,
    /// What its node is, as configured.
    #[serde(default, skip_serializing_if = "Kind::is_ours")]
    pub kind: Kind,
}

/// What is known of one slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotRecord {
    pub epoch: Epoch,
    pub group: GroupId,
    /// The highest epoch ever promised to a migration of this slot.
    pub reserved: Epoch,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<Moving>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub want: Option<Want>,
}

/// A migration under way.
///
/// ```text
///   Open ──► Armed ──► Settled ──► (gone: the slot has moved)
///     │       │  ▲
///     └──► Undo ─┘ the source had granted already
///             └──────────────────► (gone: the slot is whole at the source)
/// ```
///
/// From a node that is not ours: `Open ──► Locked ──► Armed ──► Settled`, and `Undo` from the first two only. With keys that its own commands
/// cannot move:
///
/// ```text
///   Locked ──► Copying ──► Copied ──► Armed
///                 └──► Withdrawing ──► Undo
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moving {
    pub id: MigrationId,
    pub from: GroupId,
    pub to: GroupId,
    /// The epoch the target will own the slot with.
    pub epoch: Epoch,
    pub phase: Phase,
    /// When it was opened, in milliseconds since 1970.
    pub opened_ms: u64,
}

/// How far a migration is, as far as the store must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The nodes may copy. Neither has been told to arm. From a node that is not ours: the proxies look whether the slot can leave.
    Open,
    /// From a node that is not ours: the proxies lock the slot.
    Locked,
    /// From a node that is not ours: one proxy copies what the node cannot send, the others keep the slot locked.
    Copying,
    /// All of that is at the target. It is deleted at the source, and from now on the slot only goes forward.
    Copied,
    /// What was copied is deleted at the target, before anybody unlocks the slot.
    Withdrawing { reason: String },
    /// The nodes may hand the slot off by themselves at any moment. From a node that is not ours: keys are on their way.
    Armed,
    /// The target owns the slot; the old copy is still there.
    Settled,
    /// The source is being asked to call it off.
    Undo { reason: String },
}

impl Phase {
    /// What follows when it is called off. What has been copied must be deleted before the slot is unlocked.
    fn undone(&self, reason: String) -> Self {
        match self {
            Self::Copying | Self::Withdrawing { .. } => Self::Withdrawing { reason },
            _ => Self::Undo { reason },
        }
    }
}

/// What the operator wants of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    pub to: GroupId,
    /// Migrations that were opened for it and came to nothing.
    pub tries: u32,
    pub status: WantStatus,
}

/// Whether a wanted move is worked on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WantStatus {
    Active,
    Paused,
    /// Given up until the operator resumes it.
    Failed {
        reason: String,
    },
}

/// A staged copy that must still be dropped at a target whose migration was called off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debris {
    pub id: MigrationId,
    pub slot: Slot,
    pub group: GroupId,
}

/// One line of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    pub kind: EventKind,
    #[serde(with = "ranges_text")]
    pub slots: BTreeSet<Slot>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<GroupId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<GroupId>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    Founded,
    GroupAdded,
    GroupMoved,
    GroupRemoved,
    NodeLearnt,
    Planned,
    Opened,
    Armed,
    Settled,
    Moved,
    CalledOff,
    GrantedAfterAll,
    Whole,
    Failed,
    Aborted,
    Paused,
    Resumed,
    PaceSet,
    Locked,
    ProxyJoined,
    ProxyGone,
    Copying,
    Copied,
    Withdrawn,
    LeftBehind,
}

impl State {
    /// A new cluster: the slots lie in equal runs over the groups.
    pub fn found(
        cluster: String,
        slot_count: SlotCount,
        groups: &[(GroupId, String)],
        at_ms: u64,
    ) -> Self {
        let count = usize::from(slot_count.get());
        let owner = |slot: usize| groups[slot * groups.len() / count].0;
        let record = |slot| SlotRecord {
            epoch: Epoch(1),
            group: owner(slot),
            reserved: Epoch(1),
            moving: None,
            want: None,
        };
        let mut state = Self {
            cluster,
            slot_count,
            version: 1,
            paused: false,
            pace_bytes: 0,
            groups: groups
                .iter()
                .map(|(id, addr)| Group {
                    id: *id,
                    addr: addr.clone(),
                    node: None,
                    kind: Kind::default(),
                })
                .collect(),
            proxies: Vec::new(),
            slots: (0..count).map(record).collect(),
            plans: Vec::new(),
            next_plan: PlanId(1),
            debris: Vec::new(),
            history: VecDeque::new(),
        };
        state.note(Event::new(at_ms, EventKind::Founded).slots(slot_count.slots()));
        state
    }

    /// The slot table as proxies see it.
    pub fn table(&self) -> Table {
        Table {
            version: self.version,
            cluster: self.cluster.clone(),
            groups: self
                .groups
                .iter()
                .map(|g| TableGroup { id: g.id, addr: g.addr.clone(), kind: g.kind })
                .collect(),
            slots: self.slots.iter().map(|s| Owner { epoch: s.epoch, group: s.group }).collect(),
            leaving: self.leaving(),
        }
    }

    /// Returns a group by its number.
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.iter().find(|g| g.id == id)
    }

    /// Returns the record of a slot.
    pub fn slot(&self, slot: Slot) -> Option<&SlotRecord> {
        self.slots.get(usize::from(slot.0))
    }

    /// The records with their slots, in order.
    pub fn records(&self) -> impl Iterator<Item = (Slot, &SlotRecord)> {
        self.slot_count.slots().zip(&self.slots)
    }

    /// The migrations under way with their slots.
    pub fn migrations(&self) -> impl Iterator<Item = (Slot, &Moving)> {
        self.records().filter_map(|(slot, record)| Some((slot, record.moving.as_ref()?)))
    }

    /// Returns what is wrong with the state, if anything: a file with a good checksum may still come from elsewhere.
    pub fn check(&self) -> Result<(), String> {
        if self.slots.len() != usize::from(self.slot_count.get()) {
            return Err(format!(
                "it has {} slot records for {} slots",
                self.slots.len(),
                self.slot_count.get()
            ));
        }
        self.table().check()?;
        for (slot, record) in self.records() {
            let promised = record.moving.as_ref().map_or(Epoch(0), |m| m.epoch);
            if record.reserved < record.epoch.max(promised) {
                return Err(format!("slot {slot} has an epoch that was never reserved"));
            }
            let groups = record
                .moving
                .iter()
                .flat_map(|m| [m.from, m.to])
                .chain(record.want.iter().map(|w| w.to));
            for group in groups {
                if self.group(group).is_none() {
                    return Err(format!(
                        "slot {slot} is to move to or from group {group}, which does not exist"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Adds a line to the history. A line that differs from the last in nothing but the slots is merged into it: a batch is one line.
    fn note(&mut self, event: Event) {
        if let Some(last) =
            self.history.iter_mut().rev().take(8).find(|last| last.same_but_slots(&event))
        {
            last.slots.extend(event.slots);
            return;
        }
        if self.history.len() >= HISTORY_MAX {
            self.history.pop_front();
        }
        self.history.push_back(event);
    }
}

impl SlotRecord {
    /// Whether the slot is in this group, or on its way there or from there, or wanted there.
    pub fn concerns(&self, group: GroupId) -> bool {
        self.group == group
            || self.moving.as_ref().is_some_and(|m| m.from == group || m.to == group)
            || self.want.as_ref().is_some_and(|w| w.to == group)
    }

    /// Whether the operator's wish is being worked on, or would be if nothing were paused.
    pub fn wanted(&self) -> Option<&Want> {
        self.want.as_ref().filter(|w| w.status == WantStatus::Active)
    }
}

impl Event {
    fn new(at_ms: u64, kind: EventKind) -> Self {
        Self { at_ms, kind, slots: BTreeSet::new(), from: None, to: None, detail: String::new() }
    }

    fn slots(mut self, slots: impl IntoIterator<Item = Slot>) -> Self {
        self.slots.extend(slots);
        self
    }

    fn path(mut self, from: GroupId, to: GroupId) -> Self {
        self.from = Some(from);
        self.to = Some(to);
        self
    }

    fn to(mut self, to: GroupId) -> Self {
        self.to = Some(to);
        self
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    fn same_but_slots(&self, other: &Self) -> bool {
        (self.at_ms, self.kind, self.from, self.to)
            == (other.at_ms, other.kind, other.from, other.to)
            && self.detail == other.detail
    }

    /// The slots as people write them.
    pub fn ranges(&self) -> SlotRanges {
        self.slots.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests;
