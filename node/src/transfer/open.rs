//! What a node without a controller lets others do to its slots: OPEN, YIELD, and the operator's FORCEOWN (docs/WIRE.md §7); and DISCLAIM, by which
//! a controller says that a slot is at a node which is not ours (§4).
//!
//! A node that has keys of a slot never lets it go for another's word: two copies are for the operator to judge.

use super::change::{self, ChangeError};
use super::target::{self, leave_staging, put_sequence};
use super::{Peer, of_slot};
use crate::shared::Shared;
use crate::slots::{Counts, SlotInner};
use cluster::state::{Migration, Persist};
use cluster::{Epoch, MigrationId, Slot, SlotState};
use protocol::frame::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// What OPEN came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    Yes,
    /// The migration's epoch must be above this one.
    Behind(Epoch),
}

/// What becomes of a part of a slot that has come in, when this node is made its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Partial {
    Refuse,
    Drop,
}

/// OPEN: the slot's owner begins to move it here. Synced where this node served the slot before.
pub(crate) async fn open(
    shared: &Arc<Shared>,
    slot: Slot,
    from: Migration,
) -> Result<Opened, String> {
    shared.transfers.check_not_called_off(from.id)?;
    drop_what_nobody_sends(shared, slot, &from).await;
    settled(shared, slot).await;
    let (mut behind, mut replaced) = (None, None);
    let change = change::change(shared, slot, |inner, batch| {
        let used = inner.state.epoch_used();
        let is_known = inner.state.migration().is_some_and(|m| m.id == from.id);
        check_empty(shared, slot, inner, &from.peer)?;
        if !is_known && from.epoch <= used {
            behind = Some(used);
            return Ok(Persist::No);
        }
        let (next, persist) = inner.state.clone().open(from.clone())?;
        if next == inner.state {
            return Ok(Persist::No);
        }
        replaced = inner.state.migration().map(|m| m.id);
        change::drop_incarnation(shared, batch, slot, inner.incarnation)?;
        inner.state = next;
        inner.incarnation = shared.slots.new_incarnation();
        inner.counts.fill(Counts::default());
        put_sequence(shared, batch, slot, 0)?;
        Ok(persist)
    });
    let persist = change.map_err(|e| of_slot(slot, e))?;
    if let Some(epoch) = behind {
        return Ok(Opened::Behind(epoch));
    }
    if let Some(id) = replaced {
        target::refused(shared, id);
    }
    target::register(shared, slot, &from);
    if persist == Persist::Sync {
        shared.wal.sync().await.map_err(|e| e.to_string())?;
    }
    Ok(Opened::Yes)
}

fn check_empty(
    shared: &Shared,
    slot: Slot,
    inner: &SlotInner,
    source: &str,
) -> Result<(), ChangeError> {
    let keys = inner.keys();
    let serves = matches!(inner.state, SlotState::Unclaimed | SlotState::Owned { .. });
    if !serves || keys == 0 {
        return Ok(());
    }
    Err(ChangeError::Refused(format!(
        "node {} has {keys} keys of the slot already, and so has {source}: if those here may go, `SLOTSDEL {slot}` at {} deletes them",
        shared.config.addr, shared.config.addr
    )))
}

/// A slot that comes home may be on its last steps out: its old copy goes first.
async fn settled(shared: &Shared, slot: Slot) {
    let until = Instant::now() + shared.transfers.limits.call_timeout / 2;
    let cell = shared.slots.cell(slot);
    while matches!(cell.read().state, SlotState::Granted { .. }) && Instant::now() < until {
        cell.wait_change(Duration::from_millis(5)).await;
    }
}

/// A copy that comes in from another node than the one that opens now stands in its way only if that node still knows of it.
async fn drop_what_nobody_sends(shared: &Arc<Shared>, slot: Slot, from: &Migration) {
    let old = match &shared.slots.cell(slot).read().state {
        SlotState::Importing { from: old, .. } | SlotState::Ready { from: old, .. }
            if old.peer != from.peer =>
        {
            old.clone()
        }
        _ => return,
    };
    let peer = shared.transfers.express(&old.peer);
    if is_forgotten(shared, &peer, old.id).await
        && let Err(why) = target::dropped(shared, old.id)
    {
        tracing::warn!(%slot, why, "a copy that nobody sends cannot be dropped");
    }
}

/// Whether the source has no such migration any more, or says that it has failed: then it never will grant it.
async fn is_forgotten(shared: &Shared, peer: &Peer, id: MigrationId) -> bool {
    let id = id.to_string();
    let args: [&[u8]; 3] = [b"SLIPWAY", b"MOVES", id.as_bytes()];
    let answer = timeout(shared.transfers.limits.call_timeout, peer.call(&args)).await;
    let Ok(Ok(Value::Array(items))) = answer else { return false };
    let report = items.first().and_then(Value::as_str);
    let report = report.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    report.is_some_and(|r| matches!(r["phase"].as_str(), Some("unknown" | "failed")))
}

/// YIELD: the owner says so. The caller syncs before it answers.
pub(crate) fn yield_to(
    shared: &Shared,
    slot: Slot,
    owner: String,
    epoch: Epoch,
) -> Result<(), String> {
    let change = change::change(shared, slot, |inner, _| {
        check_empty(shared, slot, inner, &owner)?;
        let (next, persist) = inner.state.clone().yielded(owner, epoch)?;
        inner.state = next;
        Ok(persist)
    });
    change.map(drop).map_err(|e| of_slot(slot, e))
}

/// DISCLAIM: the slot is at a node that is not ours. One that has keys here, moves, or has a later owner stays as it is. Returns whether it has
/// changed; the caller syncs before it answers.
pub(crate) fn disclaim(shared: &Shared, slot: Slot, epoch: Epoch) -> bool {
    let change = change::change(shared, slot, |inner, _| {
        if inner.keys() > 0 {
            return Err(ChangeError::Refused("it has keys of the slot".to_owned()));
        }
        let (next, persist) = inner.state.clone().disclaim(epoch)?;
        inner.state = next;
        Ok(persist)
    });
    matches!(change, Ok(Persist::Sync))
}

/// FORCEOWN: returns the epoch and the keys that are here. The caller syncs before it answers.
pub(crate) fn force_own(
    shared: &Shared,
    slot: Slot,
    partial: Partial,
) -> Result<(Epoch, u64), String> {
    let mut left = None;
    let change = change::change(shared, slot, |inner, batch| {
        if matches!(inner.state, SlotState::Importing { .. }) {
            if partial == Partial::Refuse {
                return Err(ChangeError::Refused(format!(
                    "only a part of the slot has come in: `SLIPWAY FORCEOWN {slot} EMPTY` drops it and owns the slot without any key"
                )));
            }
            leave_staging(shared, inner, batch, slot)?;
        }
        let (next, persist) = inner.state.clone().force()?;
        if next != inner.state {
            left = inner.state.migration().map(|m| m.id);
            inner.capture = None;
            inner.state = next;
        }
        Ok(persist)
    });
    change.map_err(|e| of_slot(slot, e))?;
    if let Some(id) = left {
        target::refused(shared, id);
    }
    let inner = shared.slots.cell(slot).read();
    Ok((inner.state.epoch(), inner.keys()))
}
