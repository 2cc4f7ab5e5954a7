//! Changes a slot under its lock: its state, its incarnation, its counts, and what goes to disk with them, as one or not at all.

use crate::encoding::Prefix;
use crate::engine::{Batch, EngineError};
use crate::shared::Shared;
use crate::slots::{self, Counts, SlotInner};
use cluster::state::{Next, Persist, Refused};
use cluster::{Slot, SlotState};
use parking_lot::RwLockWriteGuard;
use std::time::Duration;

/// Why a slot did not change.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// The event makes no sense in the state the slot is in.
    #[error("{0}")]
    Refused(String),
    /// The new state could not be written; the old one holds.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Others held the slot for longer than the caller would wait.
    #[error("the slot is busy")]
    Busy,
}

impl From<Refused> for ChangeError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused.to_string())
    }
}

/// One step of the state machine. With [`Persist::Sync`] the caller syncs the log before it tells anybody.
pub(crate) fn step(
    shared: &Shared,
    slot: Slot,
    step: impl FnOnce(SlotState) -> Next,
) -> Result<Persist, ChangeError> {
    change(shared, slot, |inner, _| {
        let (next, persist) = step(inner.state.clone())?;
        inner.state = next;
        Ok(persist)
    })
}

/// Any change. The record is added to the batch if `change` says that it must be kept.
pub(crate) fn change<F>(shared: &Shared, slot: Slot, change: F) -> Result<Persist, ChangeError>
where
    F: FnOnce(&mut SlotInner, &mut Batch) -> Result<Persist, ChangeError>,
{
    locked(shared, slot, shared.slots.cell(slot).write(), change)
}

/// As [`change`], if the lock is to be had in that time.
pub(crate) fn within<F>(
    shared: &Shared,
    slot: Slot,
    limit: Duration,
    change: F,
) -> Result<Persist, ChangeError>
where
    F: FnOnce(&mut SlotInner, &mut Batch) -> Result<Persist, ChangeError>,
{
    let inner = shared.slots.cell(slot).try_write_for(limit).ok_or(ChangeError::Busy)?;
    locked(shared, slot, inner, change)
}

fn locked<F>(
    shared: &Shared,
    slot: Slot,
    mut inner: RwLockWriteGuard<'_, SlotInner>,
    change: F,
) -> Result<Persist, ChangeError>
where
    F: FnOnce(&mut SlotInner, &mut Batch) -> Result<Persist, ChangeError>,
{
    let before = (inner.state.clone(), inner.incarnation, inner.counts.clone());
    let mut batch = Batch::default();
    let done = change(&mut inner, &mut batch).and_then(|persist| {
        if persist != Persist::No {
            shared.slots.put_record_in(&mut batch, slot, &inner)?;
        }
        if !batch.is_empty() {
            shared.engine.write(&batch)?;
            shared.wal.wrote();
        }
        Ok(persist)
    });
    match done {
        Ok(_) if before.0 != inner.state => {
            tracing::debug!(%slot, from = before.0.name(), to = inner.state.name(), "slot changed");
            shared.slots.tell(slot, &mut inner);
        }
        Ok(_) => {}
        Err(_) => (inner.state, inner.incarnation, inner.counts) = before,
    }
    done
}

/// Deletes everything of one life of a slot, its counts included.
pub(crate) fn drop_incarnation(
    shared: &Shared,
    batch: &mut Batch,
    slot: Slot,
    incarnation: u32,
) -> Result<(), EngineError> {
    slots::drop_incarnation(&shared.engine, batch, Prefix::new(slot, incarnation))
}

/// Puts a life's key counts.
pub(crate) fn put_counts(
    shared: &Shared,
    batch: &mut Batch,
    slot: Slot,
    incarnation: u32,
    db: u8,
    counts: Counts,
) -> Result<(), EngineError> {
    slots::put_counts(&shared.engine, batch, Prefix::new(slot, incarnation), db, counts)
}
