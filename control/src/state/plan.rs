//! One request of the operator, "these slots to that group", and what became of it.

use super::{Figures, Stalls, ranges_text};
use cluster::{GroupId, Slot};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A plan's number, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanId(pub u64);

impl std::fmt::Display for PlanId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One request of the operator. Each of its slots is in exactly one of `open`, `arrived`, `failed`, `aborted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub id: PlanId,
    pub to: GroupId,
    /// Milliseconds since 1970.
    pub created_ms: u64,
    pub ended_ms: Option<u64>,
    /// Waiting or moving.
    #[serde(with = "ranges_text")]
    pub open: BTreeSet<Slot>,
    /// At the target, recorded, durable, and the old copy gone.
    #[serde(with = "ranges_text")]
    pub arrived: BTreeSet<Slot>,
    #[serde(with = "ranges_text")]
    pub aborted: BTreeSet<Slot>,
    pub failed: BTreeMap<Slot, String>,
    pub keys: u64,
    pub bytes: u64,
    pub stall_write: Stalls,
    pub stall_read: Stalls,
}

impl Plan {
    pub(super) fn new(id: PlanId, to: GroupId, created_ms: u64) -> Self {
        Self {
            id,
            to,
            created_ms,
            ended_ms: None,
            open: BTreeSet::new(),
            arrived: BTreeSet::new(),
            aborted: BTreeSet::new(),
            failed: BTreeMap::new(),
            keys: 0,
            bytes: 0,
            stall_write: Stalls::default(),
            stall_read: Stalls::default(),
        }
    }

    /// How many slots the plan has.
    pub fn slots(&self) -> usize {
        self.open.len() + self.arrived.len() + self.aborted.len() + self.failed.len()
    }

    /// A migration of one of the slots has come to its end.
    pub(super) fn slot_arrived(&mut self, slot: Slot, to: GroupId, figures: &Figures) {
        if to != self.to || !self.open.remove(&slot) {
            return;
        }
        self.arrived.insert(slot);
        self.keys += figures.keys;
        self.bytes += figures.bytes;
        figures.stall_write_us.into_iter().for_each(|us| self.stall_write.add(us));
        figures.stall_read_us.into_iter().for_each(|us| self.stall_read.add(us));
    }

    pub(super) fn slot_failed(&mut self, slot: Slot, reason: &str) {
        if self.open.remove(&slot) {
            self.failed.insert(slot, reason.to_owned());
        }
    }

    pub(super) fn slot_aborted(&mut self, slot: Slot) {
        if self.open.remove(&slot) || self.failed.remove(&slot).is_some() {
            self.aborted.insert(slot);
        }
    }

    /// Calling the slot's migration off came too late.
    pub(super) fn slot_goes_after_all(&mut self, slot: Slot, to: GroupId) {
        if to == self.to && self.aborted.remove(&slot) {
            self.open.insert(slot);
            self.ended_ms = None;
        }
    }

    /// A failed slot is tried again.
    pub(super) fn slot_resumed(&mut self, slot: Slot, to: GroupId) {
        if to == self.to && self.failed.remove(&slot).is_some() {
            self.open.insert(slot);
            self.ended_ms = None;
        }
    }

    /// Notes the end when nothing is left to do.
    pub(super) fn close(&mut self, at_ms: u64) {
        if self.open.is_empty() && self.ended_ms.is_none() {
            self.ended_ms = Some(at_ms);
        }
    }
}
