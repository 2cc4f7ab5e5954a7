//! The slot table: which group owns each slot, and since which epoch.
//!
//! The controller writes it, proxies read it. It is a hint: nodes own the truth about their slots and correct a proxy whose table is old.

use crate::{Epoch, MigrationId, Slot, SlotCount};
use serde::{Deserialize, Serialize};

/// A group's number, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupId(pub u32);

impl std::fmt::Display for GroupId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A group as proxies see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub id: GroupId,
    /// Where its primary listens, `host:port`.
    pub addr: String,
    #[serde(default, skip_serializing_if = "Kind::is_ours")]
    pub kind: Kind,
}

/// What a group's node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Ours: it owns the truth about its slots.
    #[default]
    Slipway,
    /// The proxies see to it that its slots move (`docs/FOREIGN.md`).
    Pika,
    /// As Pika.
    CodisServer,
}

impl Kind {
    /// Whether the node is ours.
    pub fn is_ours(&self) -> bool {
        *self == Self::Slipway
    }
}

/// A slot on its way from a node that is not ours, which every proxy must follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    pub slot: Slot,
    pub id: MigrationId,
    pub to: GroupId,
    pub stage: LeavingStage,
    /// The proxy, by its boot, that copies what the nodes' own commands cannot move. Without one such keys are in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copier: Option<String>,
}

/// What the proxies are to do about it. Each says when it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeavingStage {
    /// Look whether it can leave; clients go on.
    Examine,
    /// Lock it and wait for what is on its way. It may still stay.
    Prepare,
    /// It is locked; the copier copies what the nodes cannot move, and compares both sides. It may still stay.
    Copy,
    /// It will stay: the copier deletes at the target what it has copied. It is locked.
    Withdraw,
    /// All is at the target that the nodes cannot move: the copier deletes it at the source. It is locked, and never taken back.
    Clear,
    /// Requests follow their keys, and the rest is swept. Never taken back.
    Migrate,
}

/// Who owns one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub epoch: Epoch,
    pub group: GroupId,
}

/// A consistent picture of the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Raised by each change of anything in the table.
    pub version: u64,
    /// The cluster's id; nodes of another cluster are refused.
    pub cluster: String,
    pub groups: Vec<Group>,
    /// One entry a slot, in order.
    pub slots: Vec<Owner>,
    /// Slots that leave nodes which are not ours, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<Leaving>,
}

impl Table {
    /// How many slots the cluster has; nothing if the table is malformed.
    pub fn slot_count(&self) -> Option<SlotCount> {
        SlotCount::new(u32::try_from(self.slots.len()).ok()?)
    }

    /// Returns the owner of a slot.
    pub fn owner(&self, slot: Slot) -> Option<Owner> {
        self.slots.get(usize::from(slot.0)).copied()
    }

    /// Returns a group by its number.
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.iter().find(|g| g.id == id)
    }

    /// Returns what is wrong with the table, if anything.
    pub fn check(&self) -> Result<(), String> {
        if self.slot_count().is_none() {
            return Err(format!(
                "the table has {} slots, 1 to {} are possible",
                self.slots.len(),
                SlotCount::MAX
            ));
        }
        for (slot, owner) in self.slots.iter().enumerate() {
            if self.group(owner.group).is_none() {
                return Err(format!(
                    "slot {slot} belongs to group {}, which does not exist",
                    owner.group
                ));
            }
        }
        for Leaving { slot, to, .. } in &self.leaving {
            if self.owner(*slot).is_none() || self.group(*to).is_none() {
                return Err(format!(
                    "slot {slot} leaves for group {to}: one of them does not exist"
                ));
            }
        }
        Ok(())
    }
}
