//! One slot of a transaction: its lock, its time, and what its keys have become so far.

use crate::encoding::{Meta, Prefix};
use crate::shared::Shared;
use crate::slots::{Cell, Counts, SlotInner};
use crate::transfer::records::Payload;
use cluster::Slot;
use parking_lot::{RwLockReadGuard, RwLockWriteGuard};
use smallvec::SmallVec;
use std::cell::OnceCell;

/// A slot's lock, held.
#[derive(Debug)]
pub enum Guard<'a> {
    Shared(RwLockReadGuard<'a, SlotInner>),
    Exclusive(RwLockWriteGuard<'a, SlotInner>),
    /// Let go: the transaction reads a snapshot.
    Released,
}

impl Guard<'_> {
    /// The slot, unless it was let go.
    pub fn inner(&self) -> Option<&SlotInner> {
        match self {
            Self::Shared(inner) => Some(inner),
            Self::Exclusive(inner) => Some(inner),
            Self::Released => None,
        }
    }
}

/// One slot of a transaction.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) slot: Slot,
    pub(super) cell: &'a Cell,
    pub(super) incarnation: u32,
    pub(super) prefix: Prefix,
    pub(super) clock_ahead_ms: u64,
    /// The time for the slot, once somebody has asked: most commands do not.
    pub(super) now_ms: OnceCell<u64>,
    pub(super) guard: Guard<'a>,
    /// Key counts of the selected database, once the slot was let go.
    pub(super) keys_when_released: Counts,
    /// Changes of key counts by database: keys, and those that expire.
    pub(super) counts: SmallVec<[(u8, i64, i64); 1]>,
    pub(super) captured: Option<Payload>,
    /// The keys that change, if somebody watches keys of the slot, or waits for them.
    pub(super) changed: Option<Vec<(u8, Vec<u8>)>>,
}

impl<'a> Part<'a> {
    /// Nothing if the slot was let go.
    pub(super) fn new(shared: &'a Shared, slot: Slot, guard: Guard<'a>) -> Option<Self> {
        let cell = shared.slot(slot);
        let inner = guard.inner()?;
        Some(Self {
            slot,
            cell,
            incarnation: inner.incarnation,
            prefix: inner.prefix(slot),
            clock_ahead_ms: inner.clock_ahead_ms,
            now_ms: OnceCell::new(),
            keys_when_released: Counts::default(),
            counts: SmallVec::new(),
            captured: inner.capture.is_some().then(Payload::default),
            changed: is_heard(cell, inner).then(Vec::new),
            guard,
        })
    }

    /// The time for the slot, in milliseconds since 1970: the same throughout the transaction.
    pub(super) fn now_ms(&self) -> u64 {
        *self.now_ms.get_or_init(|| crate::slots::now_ms() + self.clock_ahead_ms)
    }

    pub(super) fn is_expired(&self, meta: &Meta) -> bool {
        meta.expire_ms != 0 && meta.expired(self.now_ms())
    }

    /// How many keys a database has, without this transaction's changes.
    pub(super) fn committed(&self, db: u8) -> Counts {
        match self.guard.inner() {
            Some(inner) => inner.counts.get(usize::from(db)).copied().unwrap_or_default(),
            None => self.keys_when_released,
        }
    }

    /// The batch is written: what it changed is told to all who keep count.
    pub(super) fn tell(&mut self) {
        let Guard::Exclusive(inner) = &mut self.guard else { return };
        for &(db, keys, expires) in &self.counts {
            if let Some(counts) = inner.counts.get_mut(usize::from(db)) {
                counts.keys = counts.keys.saturating_add_signed(keys);
                counts.expires = counts.expires.saturating_add_signed(expires);
            }
        }
        if let (Some(captured), Some(capture)) = (&self.captured, &inner.capture) {
            for record in captured.records().flatten() {
                capture.add(record);
            }
        }
        for (db, key) in self.changed.take().into_iter().flatten() {
            inner.watched.changed(db, key);
        }
    }
}

/// Whether somebody wants to know which keys of the slot change.
fn is_heard(cell: &Cell, inner: &SlotInner) -> bool {
    !inner.watched.is_empty() || !cell.waiters.is_empty()
}
