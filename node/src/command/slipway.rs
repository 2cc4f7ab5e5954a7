//! The words between our own parts (docs/WIRE.md).
//!
//! LINK, RESUME, WHERE, WAITED, UNSEAL, WATCH and EXEC are answered at once, in order with the requests around them; what touches the disk or another node takes its
//! time while only this session waits.

mod driver;
mod reads;
mod transaction;
mod whole;

use super::{Outcome, Request, Run, Table};
use crate::error::CommandError;
use crate::link::Link;
use crate::session::Session;
use crate::shared::{Driver, Shared};
use crate::transfer;
use bytes::Bytes;
use cluster::{Epoch, Slot, SlotRanges, SlotState, Token};
use protocol::reply::{Reply, Version};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

pub(super) const TABLE: Table = &[("slipway", Run::Session(slipway))];

/// A word that takes time.
#[derive(Debug)]
pub(crate) struct Word {
    name: Bytes,
    args: Vec<Bytes>,
}

fn slipway(session: &mut Session, request: Request<'_>) -> Outcome {
    match request.get(1).to_ascii_uppercase().as_slice() {
        b"LINK" => link(session, request),
        b"RESUME" => resume(session, request),
        b"WHERE" => where_is(session, request),
        b"WAITED" => waited(session, request),
        b"EXEC" => transaction::exec(session, request),
        b"WATCH" => transaction::watch(session, request),
        b"RELAY" => session.relayed(request),
        b"UNSEAL" => {
            let slot = slot(&session.shared, request.get(2))?;
            let opened = transfer::unseal(&session.shared, slot);
            session.reply().int(i64::from(opened));
            Ok(())
        }
        _ => {
            let name = Bytes::copy_from_slice(request.get(1));
            let args = request.from(2).map(Bytes::copy_from_slice).collect();
            session.later(Word { name, args });
            Ok(())
        }
    }
}

/// `LINK role name cluster-id slot-count`
fn link(session: &mut Session, request: Request<'_>) -> Outcome {
    let shared = session.shared.clone();
    let (cluster, count): (String, u32) = (text(request.get(4))?, number(request.get(5))?);
    let ours = u32::from(shared.slot_count().get());
    if count != ours {
        return Err(
            format!("ERR slot count differs: this node has {ours}, you have {count}").into()
        );
    }
    let identity = shared.identity.read().clone();
    let known = identity.cluster.as_deref().unwrap_or("-");
    if cluster != "-" && known != "-" && cluster != known {
        return Err(format!("ERR this node belongs to cluster {known}, not to {cluster}").into());
    }
    session.link.get_or_insert_with(Link::default);
    let mut reply = session.reply();
    reply.array(4);
    reply.bulk(identity.node_id.as_bytes());
    reply.bulk(shared.boot_id.as_bytes());
    reply.bulk(known.as_bytes());
    reply.int(i64::from(ours));
    Ok(())
}

/// `RESUME slot [token]`
fn resume(session: &mut Session, request: Request<'_>) -> Outcome {
    let slot = slot(&session.shared, request.get(2))?;
    if request.len() > 3 && request.get(3) != b"-" {
        let token: Token = parsed(request.get(3))?;
        transfer::presented(&session.shared, slot, token);
    }
    if let Some(link) = &mut session.link {
        link.resume(slot);
        session.shared.slot(slot).forget(&link.pushes);
    }
    session.reply().ok();
    Ok(())
}

/// `WAITED milliseconds`
fn waited(session: &mut Session, request: Request<'_>) -> Outcome {
    if session.link.is_none() {
        return Err("ERR SLIPWAY WAITED is a word of links".into());
    }
    session.waited = Duration::from_millis(number(request.get(2))?);
    session.reply().ok();
    Ok(())
}

/// `WHERE slot`
fn where_is(session: &mut Session, request: Request<'_>) -> Outcome {
    let slot = slot(&session.shared, request.get(2))?;
    let state = session.shared.slot(slot).read().state.clone();
    let (addr, token) = match &state {
        SlotState::Granted { out, token, .. } => (Some(&out.peer), *token),
        SlotState::Absent { hint, .. } => (hint.as_ref(), None),
        _ => (None, None),
    };
    let mut reply = session.reply();
    reply.array(4);
    reply.bulk(state.name().as_bytes());
    reply.int(state.epoch().0 as i64);
    reply.bulk(addr.map_or("-", String::as_str).as_bytes());
    reply.bulk(token.map_or_else(|| "-".to_owned(), |t| t.to_string()).as_bytes());
    Ok(())
}

/// Answers a word that takes time.
pub(crate) async fn word(session: &mut Session, word: Word) {
    let shared = session.shared.clone();
    let args = &word.args;
    let answer = match word.name.to_ascii_uppercase().as_slice() {
        b"CLAIM" => claim(&shared, args).await,
        b"ASSIGN" => assign(&shared, args).await,
        b"DISCLAIM" => disclaim(&shared, args).await,
        b"STATE" => Ok(state(&shared)),
        b"OPEN" => driver::open(&shared, args).await,
        b"YIELD" => driver::yield_slot(&shared, args).await,
        b"FORCEOWN" => driver::force_own(&shared, args).await,
        b"DRIVER" => driver::driver(&shared, args).await,
        b"SCAN" => whole::scan(&shared, session.db, word.args).await,
        b"FLUSHDB" => whole::flush(&shared, args).await,
        name @ (b"KEYS" | b"DBSIZE" | b"RANDOMKEY") => {
            reads::read(&shared, session.db, name.to_vec(), word.args).await
        }
        name if transfer::is_ours(name) => {
            let reply = transfer::word(&shared, name, word.args).await;
            session.out.extend_from_slice(&reply);
            return;
        }
        name => {
            Err(format!("ERR SLIPWAY {} is no word of this node", String::from_utf8_lossy(name))
                .into())
        }
    };
    match answer {
        Ok(reply) => session.out.extend_from_slice(&reply),
        Err(error) => session.reply().error(error.line().as_bytes()),
    }
}

fn reply_of(write: impl FnOnce(&mut Reply<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut Reply::new(&mut out, Version::Resp2));
    out
}

/// `CLAIM cluster-id group`: synced before it is answered.
async fn claim(shared: &Shared, args: &[Bytes]) -> Result<Vec<u8>, CommandError> {
    let (cluster, group): (String, String) = (text(argument(args, 0)?)?, text(argument(args, 1)?)?);
    let mut identity = shared.identity.read().clone();
    if identity.driver == Driver::Codis {
        return Err("ERR this node is driven by a codis-dashboard: `slipway adopt` takes a whole product over, `SLIPWAY DRIVER none` frees one node".into());
    }
    if let Some(owner) = identity.cluster.as_ref().filter(|owner| **owner != cluster) {
        return Err(format!(
            "ERR this node belongs to cluster {owner}: use another node, or an empty data directory"
        )
        .into());
    }
    if identity.cluster.is_none() || identity.group.as_ref() != Some(&group) {
        (identity.cluster, identity.group) = (Some(cluster), Some(group));
        identity.driver = Driver::Slipway;
        shared.put_identity(identity)?;
        shared.wal.sync().await?;
    }
    Ok(reply_of(|reply| reply.ok()))
}

/// `ASSIGN epoch OWNED|addr ranges`: only slots nobody has spoken for change; synced before it is answered.
async fn assign(shared: &Shared, args: &[Bytes]) -> Result<Vec<u8>, CommandError> {
    let epoch = Epoch(number(argument(args, 0)?)?);
    let owner: String = text(argument(args, 1)?)?;
    let ranges: SlotRanges = parsed(argument(args, 2)?)?;
    transfer::check_not_codis(shared).map_err(|why| CommandError::from(format!("ERR {why}")))?;
    ranges.check(shared.slot_count()).map_err(|e| CommandError::from(format!("ERR {e}")))?;
    let hint = (owner != "OWNED").then_some(owner);
    let mut changed = 0;
    for slot in ranges.iter() {
        // A slot that has an owner keeps it: that is no error.
        changed +=
            i64::from(shared.slots.step(slot, |state| state.assign(epoch, hint.clone())).is_ok());
    }
    if changed > 0 {
        shared.wal.sync().await?;
    }
    Ok(reply_of(|reply| reply.int(changed)))
}

/// `DISCLAIM epoch ranges`: slots of which there is no key here, and that are at a node which is not ours; synced before it is answered.
async fn disclaim(shared: &Shared, args: &[Bytes]) -> Result<Vec<u8>, CommandError> {
    let epoch = Epoch(number(argument(args, 0)?)?);
    let ranges: SlotRanges = parsed(argument(args, 1)?)?;
    transfer::check_not_codis(shared).map_err(|why| CommandError::from(format!("ERR {why}")))?;
    ranges.check(shared.slot_count()).map_err(|e| CommandError::from(format!("ERR {e}")))?;
    let mut changed = 0;
    for slot in ranges.iter() {
        changed += i64::from(transfer::disclaim(shared, slot, epoch));
    }
    if changed > 0 {
        shared.wal.sync().await?;
    }
    Ok(reply_of(|reply| reply.int(changed)))
}

/// `STATE`: who this node is and what it knows of its slots.
fn state(shared: &Shared) -> Vec<u8> {
    let mut by_state: BTreeMap<(&str, u64), Vec<Slot>> = BTreeMap::new();
    for (slot, cell) in shared.slots.iter() {
        let state = &cell.read().state;
        by_state.entry((state.name(), state.epoch().0)).or_default().push(slot);
    }
    let slots: Vec<_> = by_state
        .into_iter()
        .map(|((state, epoch), slots)| {
            let ranges = slots.into_iter().collect::<SlotRanges>().to_string();
            serde_json::json!({ "state": state, "epoch": epoch, "slots": ranges })
        })
        .collect();
    let identity = shared.identity.read();
    let text = serde_json::json!({
        "node": identity.node_id,
        "boot": shared.boot_id,
        "cluster": identity.cluster,
        "group": identity.group,
        "driver": identity.driver,
        "slots": slots,
    });
    reply_of(|reply| reply.bulk(text.to_string().as_bytes()))
}

fn argument(args: &[Bytes], index: usize) -> Result<&[u8], CommandError> {
    args.get(index).map(AsRef::as_ref).ok_or_else(|| "ERR an argument is missing".into())
}

fn parsed<T: FromStr>(bytes: &[u8]) -> Result<T, CommandError> {
    let text = String::from_utf8_lossy(bytes);
    text.parse().map_err(|_| format!("ERR \"{text}\" cannot stand there").into())
}

fn number<T: FromStr>(bytes: &[u8]) -> Result<T, CommandError> {
    parsed(bytes)
}

fn text(bytes: &[u8]) -> Result<String, CommandError> {
    parsed(bytes)
}

fn slot(shared: &Shared, bytes: &[u8]) -> Result<Slot, CommandError> {
    let number = number(bytes)?;
    shared
        .slot_count()
        .slot(number)
        .ok_or_else(|| format!("ERR slot {number} does not exist").into())
}
