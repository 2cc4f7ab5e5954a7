//! Words between nodes that have no controller above them, and the operator's words for them (docs/WIRE.md §7).

use super::{argument, number, parsed, reply_of, slot, text};
use crate::error::CommandError;
use crate::shared::{Driver, Shared};
use crate::transfer::{self, Opened};
use bytes::Bytes;
use cluster::state::Migration;
use cluster::{Epoch, MigrationId};
use std::sync::Arc;

/// `OPEN M slot epoch source-addr source-node-id`: the slot's owner begins to move it here. Answers `[OPENED]`, or `[BEHIND, epoch]` if the
/// epoch must be above that one.
pub(super) async fn open(shared: &Arc<Shared>, args: &[Bytes]) -> Result<Vec<u8>, CommandError> {
    let id: MigrationId = parsed(argument(args, 0)?)?;
    let slot = slot(shared, argument(args, 1)?)?;
    let epoch = Epoch(number(argument(args, 2)?)?);
    let peer: String = text(argument(args, 3)?)?;
    check_not_myself(shared, argument(args, 4)?)?;
    if shared.driven_by_codis()? {
        shared.wal.sync().await?;
    }
    let opened = transfer::open(shared, slot, Migration { id, epoch, peer }).await;
    Ok(match opened.map_err(err)? {
        Opened::Yes => reply_of(|reply| {
            reply.array(1);
            reply.bulk(b"OPENED");
        }),
        Opened::Behind(epoch) => reply_of(|reply| {
            reply.array(2);
            reply.bulk(b"BEHIND");
            reply.int(epoch.0 as i64);
        }),
    })
}

/// `YIELD slot epoch owner-addr owner-node-id`: the owner says so, before proxies send requests of the slot here.
pub(super) async fn yield_slot(shared: &Shared, args: &[Bytes]) -> Result<Vec<u8>, CommandError> {
    let slot = slot(shared, argument(args, 0)?)?;
    let epoch = Epoch(number(argument(args, 1)?)?);
    let owner: String = text(argument(args, 2)?)?;
    check_not_myself(shared, argument(args, 3)?)?;
    shared.driven_by_codis()?;
    transfer::yield_to(shared, slot, owner, epoch).map_err(err)?;
    shared.wal.sync().await?;
    Ok(reply_of(|reply| reply.ok()))
}

/// `FORCEOWN slot [EMPTY]`: the operator decides that this node owns the slot, since its owner is gone for good. Answers the epoch and the
/// number of keys that are here. EMPTY is needed where only a part of the slot has come in: that part is dropped.
pub(super) async fn force_own(shared: &Shared, args: &[Bytes]) -> Result<Vec<u8>, CommandError> {
    let slot = slot(shared, argument(args, 0)?)?;
    let empty = args.get(1).is_some_and(|word| word.eq_ignore_ascii_case(b"EMPTY"));
    if shared.driver() == Driver::Slipway {
        return Err("ERR this node is driven by our controller, which decides who owns a slot: use `slipway slots`".into());
    }
    let keys = if empty { transfer::Partial::Drop } else { transfer::Partial::Refuse };
    let (epoch, keys) = transfer::force_own(shared, slot, keys).map_err(err)?;
    shared.wal.sync().await?;
    tracing::warn!(%slot, %epoch, keys, "the operator has made this node the owner of the slot");
    Ok(reply_of(|reply| {
        reply.array(2);
        reply.int(epoch.0 as i64);
        reply.int(keys as i64);
    }))
}

/// `DRIVER [none|codis]`: who says where slots go; with a word, the operator's decision that it is another one. Slots stay as they are.
pub(super) async fn driver(shared: &Shared, args: &[Bytes]) -> Result<Vec<u8>, CommandError> {
    if let Some(word) = args.first() {
        let driver = match word.to_ascii_lowercase().as_slice() {
            b"none" => Driver::None,
            b"codis" => Driver::Codis,
            _ => {
                return Err(
                    "ERR the driver is none or codis; our controller becomes it by CLAIM".into()
                );
            }
        };
        let mut identity = shared.identity.read().clone();
        (identity.driver, identity.cluster, identity.group) = (driver, None, None);
        shared.put_identity(identity)?;
        shared.wal.sync().await?;
    }
    let name = shared.driver().name();
    Ok(reply_of(|reply| reply.bulk(name.as_bytes())))
}

fn check_not_myself(shared: &Shared, node_id: &[u8]) -> Result<(), CommandError> {
    if shared.identity.read().node_id.as_bytes() == node_id {
        return Err("ERR destination address error: it is this node".into());
    }
    Ok(())
}

fn err(why: String) -> CommandError {
    format!("ERR {why}").into()
}
