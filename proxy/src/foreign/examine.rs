//! Whether a slot can move key by key, from a node that is not ours or to one (`docs/FOREIGN.md`, "Before a slot moves"), in two steps: [`examine`] before it is locked, and
//! [`prepare`] when it is.
//!
//! What would stop the move half-way, or silently damage a value, is said here with its remedy, and the slot stays where it is. Nothing is
//! changed at the nodes but the source's list of the slot's keys, which is made right, and the target's read cache, which is emptied of a slot
//! that comes home. Each step takes at most `foreign.examine_timeout`; clients of the slot wait for the second only.

mod letters;
mod node;
mod noted;
mod ours;
mod refusal;
mod relist;
mod slot;

pub(crate) use letters::drop_absent;
pub(crate) use node::line;
pub use node::{Node, look as look_at_node};
pub use refusal::Refusal;
pub use slot::{Depth, Seen, WrongLetters, look as look_at_slot};
pub(in crate::foreign) use slot::{
    Kind, Pages, hyperloglogs, kinds, rounded, shown, tag_hash, text,
};

use super::carry;
use super::known::Known;
use super::link::{Link, LinkError};
use crate::config::Config;
use crate::dialect::Dialect;
use cluster::Slot;
use protocol::frame::Value;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A slot that is to move.
#[derive(Clone, Copy, Debug)]
pub struct Move<'a> {
    pub slot: Slot,
    /// Addresses as filled.
    pub source: &'a str,
    pub target: &'a str,
    pub copier: Copier,
}

/// Whether keys that the nodes' commands cannot move are copied by us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Copier {
    /// Under a dashboard: they are in the way.
    #[default]
    None,
    /// Our own controller has named a proxy that does it.
    Named,
}

/// How the slot's keys can leave the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// By the synchronous commands, key by key.
    Sync,
    /// By the node's own migration only: the target wants a password, and the synchronous commands tell none.
    Async,
}

/// A slot that may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    pub path: Path,
    /// Keys the source lists of the slot; expired ones are among them.
    pub keys: u64,
    /// Listed keys beyond `foreign.examine_keys_max`; of them not all were looked at.
    pub unseen: u64,
    /// It has keys that must be copied.
    pub needs_copier: bool,
}

/// Asks both nodes. A refusal stands until somebody does something, unless it [`Refusal::is_passing`].
///
/// # Cancel safety
/// May be dropped: what it has found is lost, what `known` has learnt stays.
pub async fn examine(
    config: &Arc<Config>,
    known: &Arc<Known>,
    moved: Move<'_>,
) -> Result<Ready, Refusal> {
    in_time(config, examine_all(config, known, moved)).await
}

/// Sees to it that the source lists every key of the slot that is written, and that none is listed which cannot move. The slot is locked, so
/// that nothing is added behind it; other proxies may lock it a moment later. Returns whether there is now something for a copier.
///
/// # Cancel safety
/// As [`examine`].
pub async fn prepare(
    config: &Arc<Config>,
    known: &Known,
    moved: Move<'_>,
) -> Result<bool, Refusal> {
    in_time(config, prepare_all(config, known, moved)).await
}

async fn in_time<T>(
    config: &Config,
    asked: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let patience = config.foreign.examine_timeout;
    timeout(patience, asked).await.unwrap_or(Err(Refusal::Late { patience }))
}

async fn examine_all(
    config: &Arc<Config>,
    known: &Arc<Known>,
    moved: Move<'_>,
) -> Result<Ready, Refusal> {
    let (source, target) = tokio::join!(open(config, moved.source), open(config, moved.target));
    let (mut source, mut target) = (source?, target?);
    match (source.dialect(), target.dialect()) {
        (Dialect::Pika, Dialect::Pika | Dialect::Slipway) => {}
        (Dialect::CodisServer, Dialect::CodisServer | Dialect::Slipway) => {}
        (Dialect::Slipway, Dialect::Pika | Dialect::CodisServer) => {}
        (from_is, to_is) => {
            let (from, to) = (moved.source.to_owned(), moved.target.to_owned());
            return Err(Refusal::Pair { from, from_is, to, to_is });
        }
    }
    let (from, to) = tokio::join!(
        node::look(&mut source, moved.source, moved.slot),
        node::look(&mut target, moved.target, moved.slot)
    );
    let (from, to) = (from?, to?);
    from.check(config.slot_count)?;
    to.check(config.slot_count)?;
    let path = path(config, moved, &from).await?;
    from.check_idle()?;
    // What takes a while at one of them goes on at the other: a dashboard asks again after seconds.
    let (from_lists, to_lists, cleared) = tokio::join!(
        known.await_index(config, &from),
        known.await_index(config, &to),
        known.clear_cache(&mut target, &to, moved.slot)
    );
    from_lists.and(to_lists).and(cleared)?;
    if path == Path::Async {
        let now = node::look(&mut source, moved.source, moved.slot).await?;
        // Somebody else's SLOTSRELOAD would list again what has just left, and the node's own migration goes by the list.
        if now.is_reloading {
            return Err(Refusal::Reloading { node: now.addr, seconds: now.reload_seconds });
        }
    }
    slot::check_absent(&mut target, moved).await?;
    if source.dialect() == Dialect::Slipway {
        ours::check(config, (&mut source, &mut target), moved).await?;
    }
    let depth = depth(config, WrongLetters::Leave);
    let failed = in_words(moved.source);
    let seen = slot::look(&mut source, moved.slot, depth).await.map_err(&failed)?;
    let mut findings = seen.findings;
    if from.dialect == Dialect::Pika {
        let noted = known.noted(moved.slot);
        let count = &known.listed.before;
        findings
            .extend(noted::list(&mut source, moved.slot, &noted, count).await.map_err(&failed)?);
    }
    let needs_copier = match findings.into_iter().next() {
        None => false,
        Some(finding) if moved.copier == Copier::Named && is_carried(&finding) => {
            let (to, bounds) = (target.dialect(), carry::Bounds::of(config));
            let listed = carry::list(&mut source, moved.slot, to, bounds);
            // The copier must list them behind the lock.
            match timeout(config.foreign.examine_timeout / 2, listed).await {
                Ok(listed) => _ = listed.map_err(&failed)??,
                Err(_) => return Err(finding),
            }
            true
        }
        Some(finding) => return Err(finding),
    };
    let unseen = from.keys.saturating_sub(config.foreign.examine_keys_max as u64);
    Ok(Ready { path, keys: from.keys, unseen, needs_copier })
}

async fn prepare_all(config: &Config, known: &Known, moved: Move<'_>) -> Result<bool, Refusal> {
    let mut source = open(config, moved.source).await?;
    match source.dialect() {
        Dialect::Pika => {}
        Dialect::Slipway => {
            let mut target = open(config, moved.target).await?;
            ours::check(config, (&mut source, &mut target), moved).await?;
            return Ok(false);
        }
        _ => return Ok(false),
    }
    let failed = in_words(moved.source);
    let noted = known.noted(moved.slot);
    let count = &known.listed.locked;
    let mut findings =
        noted::list(&mut source, moved.slot, &noted, count).await.map_err(&failed)?;
    if config.node_password.is_some() {
        // It migrates the slot by itself.
        findings.extend(letters::put_right(&mut source, moved.slot).await.map_err(&failed)?);
    }
    // Behind what a copier carries there may be something that is in the way.
    let findings_max = if moved.copier == Copier::Named { usize::MAX } else { 1 };
    let depth = Depth { findings_max, ..depth(config, WrongLetters::Cure) };
    let seen = slot::look_again(&mut source, moved.slot, depth).await.map_err(&failed)?;
    let is_carried = |finding: &Refusal| moved.copier == Copier::Named && is_carried(finding);
    findings.extend(seen.findings);
    let (carried, others): (Vec<Refusal>, _) = findings.into_iter().partition(is_carried);
    others.into_iter().next().map_or(Ok(!carried.is_empty()), Err)
}

/// Whether a copier does what stands in the way.
fn is_carried(finding: &Refusal) -> bool {
    matches!(finding, Refusal::Score { .. } | Refusal::Stream { .. } | Refusal::HyperLogLog { .. })
}

fn depth(config: &Config, wrong_letters: WrongLetters) -> Depth {
    Depth {
        keys_max: config.foreign.examine_keys_max,
        scores: config.foreign.fractional_scores,
        wrong_letters,
        findings_max: 1,
    }
}

async fn open(config: &Config, node: &str) -> Result<Link, Refusal> {
    Link::open(config, node, config.foreign.examine_timeout).await.map_err(in_words(node))
}

/// A node that cannot be asked.
fn in_words(node: &str) -> impl Fn(LinkError) -> Refusal {
    move |error| {
        let why = match error {
            LinkError::Connect { why, .. } => why,
            other => other.to_string(),
        };
        Refusal::Unreachable { node: node.to_owned(), why }
    }
}

/// Looks at the target as the source's synchronous commands will see it: without a password. Its own migration tells its own password.
async fn path(config: &Config, moved: Move<'_>, from: &Node) -> Result<Path, Refusal> {
    if from.dialect != Dialect::Pika {
        return Ok(Path::Sync);
    }
    let failed = in_words(moved.target);
    let stream = TcpStream::connect(moved.target).await;
    let stream = stream.map_err(|error| failed(LinkError::Lost(error.to_string())))?;
    let mut bare = Link::over(stream, config.foreign.examine_timeout);
    // Pika writes `ERR NOAUTH …`.
    let is_refused = |answer: &Value| answer.as_error().is_some_and(|e| e.contains("NOAUTH"));
    if !is_refused(&bare.ask(&[b"TYPE", b"a"]).await.map_err(&failed)?) {
        return Ok(Path::Sync);
    }
    let answer = bare.ask(&[b"AUTH", from.password.as_bytes()]).await.map_err(&failed)?;
    // Pika 4.0 takes any word for a password, but none for no AUTH at all.
    if from.password.is_empty() || answer.as_error().is_some() {
        let (from, to) = (moved.source.to_owned(), moved.target.to_owned());
        return Err(Refusal::Password { from, to });
    }
    Ok(Path::Async)
}
