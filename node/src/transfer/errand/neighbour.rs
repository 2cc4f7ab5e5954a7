//! What a node that moves slots for a dashboard asks of the target, and tells it.

use super::super::change;
use super::super::of_slot;
use super::super::peer::{Peer, PeerError};
use crate::shared::Shared;
use cluster::{Slot, SlotState};
use protocol::frame::Value;
use std::sync::Arc;
use tokio::time::timeout;

/// The slot is not here. Is it at the target?
pub(super) async fn elsewhere(
    shared: &Shared,
    slot: Slot,
    target: &str,
    hint: Option<&str>,
) -> Result<(), String> {
    let peer = shared.transfers.bulk(target);
    let number = slot.to_string();
    let there = match ask(shared, &peer, &[b"SLIPWAY", b"WHERE", number.as_bytes()]).await {
        Ok(answer) => {
            let state = answer.as_items().and_then(|items| items.first()).and_then(Value::as_str);
            matches!(state, Some("owned" | "sealed"))
        }
        // Nobody to ask: what this node has granted counts.
        Err(_) => hint == Some(target),
    };
    if there {
        return Ok(());
    }
    let hint = hint.unwrap_or("nobody knows whom");
    Err(of_slot(
        slot,
        format!(
            "this node gave it to {hint}, and {target} does not own it: assign it to the group of {hint} first, or, if that node is gone for good, make this one the owner with `SLIPWAY FORCEOWN {slot}`"
        ),
    ))
}

/// Before requests of the slot are sent to the target although this node owns it (sync migration): the target is told who the owner is.
pub(crate) async fn announce(shared: &Arc<Shared>, slot: Slot, target: &str) -> Result<(), String> {
    {
        let inner = shared.slots.cell(slot).read();
        if !matches!(inner.state, SlotState::Unclaimed | SlotState::Owned { .. }) {
            return Ok(());
        }
    }
    if shared.transfers.announced.lock().get(&slot).is_some_and(|to| to == target) {
        return Ok(());
    }
    if shared.driven_by_codis().map_err(|e| e.line().into_owned())? {
        shared.wal.sync().await.map_err(|e| e.to_string())?;
    }
    change::step(shared, slot, |state| state.claim()).map_err(|e| of_slot(slot, e))?;
    let peer = shared.transfers.bulk(target);
    let number = slot.to_string();
    let epoch = shared.slots.cell(slot).read().state.epoch().to_string();
    let node_id = shared.identity.read().node_id.clone();
    let args: [&[u8]; 6] = [
        b"SLIPWAY",
        b"YIELD",
        number.as_bytes(),
        epoch.as_bytes(),
        shared.config.addr.as_bytes(),
        node_id.as_bytes(),
    ];
    ask(shared, &peer, &args).await.map_err(|e| not_taken(slot, target, &e))?;
    shared.transfers.announced.lock().insert(slot, target.to_owned());
    Ok(())
}

/// What the dashboard shows its operator.
pub(super) fn not_taken(slot: Slot, target: &str, error: &PeerError) -> String {
    let text = error.to_string();
    if text.to_ascii_lowercase().contains("unknown command") {
        return of_slot(
            slot,
            format!(
                "{target} is not a Slipway node, and this node moves slots to Slipway nodes only: choose another group"
            ),
        );
    }
    match error {
        PeerError::Refused { text, .. } => {
            let text = text.strip_prefix("ERR ").unwrap_or(text);
            let text = text.strip_prefix(&of_slot(slot, "")).unwrap_or(text);
            of_slot(slot, format!("{target} does not take it: {text}"))
        }
        _ => of_slot(slot, text),
    }
}

pub(super) async fn ask(shared: &Shared, peer: &Peer, args: &[&[u8]]) -> Result<Value, PeerError> {
    let limit = shared.transfers.limits.call_timeout;
    match timeout(limit, peer.call(args)).await {
        Ok(answer) => answer,
        Err(_) => Err(PeerError::Broken {
            addr: peer.addr().to_owned(),
            why: format!("no answer within {limit:?}"),
        }),
    }
}
