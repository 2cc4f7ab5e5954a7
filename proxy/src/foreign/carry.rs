//! What the commands of a Pika cannot move as it is, carried by us: read at the source, written at the target, compared, and deleted at the source
//! (`docs/FOREIGN.md`, "What is copied"). Only under our own controller, and only while every proxy has the slot locked: nobody else writes at
//! either side, so that whatever was begun by a process that is gone can be done anew, or taken back.
//!
//! What is to be carried is looked up at the source each time, never remembered. Invariant: nothing is deleted at the source that is not equal at
//! the target at that moment.

mod sketch;
mod sorted_set;
mod stream;

use super::examine::{Move, Pages, Refusal, drop_absent, shown};
use super::link::{Link, LinkError};
use crate::config::Config;
use crate::dialect::Dialect;
use cluster::Slot;
use protocol::frame::Value;
use service::failpoint::{self, Injected};
use sorted_set::Look;

/// What is to be done about the keys that must be carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Put them at the target, and compare. What the target has of them is replaced.
    Copy,
    /// Delete at the target what may have been copied.
    Withdraw,
    /// Delete at the source what is equal at the target, and make it so before if need be.
    Clear,
}

impl Errand {
    /// The place where a test can stop or fail it, after each key.
    fn fail_point(self) -> &'static str {
        match self {
            Self::Copy => "foreign.carried.copied",
            Self::Withdraw => "foreign.carried.withdrawn",
            Self::Clear => "foreign.carried.cleared",
        }
    }
}

/// Why an errand was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Trouble {
    /// It may be done the next time.
    #[error("{0}")]
    Link(#[from] LinkError),
    #[error("{0}")]
    Refused(Box<Refusal>),
    #[error("{key} is not the same at {node} after it was copied there; the slot cannot move")]
    Differs { key: String, node: String },
    #[error("{node} answers {command} with {answer}")]
    Answer { node: String, command: &'static str, answer: String },
    #[error(transparent)]
    Injected(#[from] Injected),
    /// Nobody wants it any more.
    #[error("called off")]
    CalledOff,
}

impl Trouble {
    /// Whether trying again may help.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Link(_))
    }
}

/// What must be carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sketch,
    SortedSet,
    Stream,
}

/// How much may be carried of a slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    bytes_max: u64,
    /// Registers of HyperLogLogs that are not 0.
    registers_max: usize,
}

impl Bounds {
    const NONE: Self = Self { bytes_max: u64::MAX, registers_max: usize::MAX };

    pub(super) fn of(config: &Config) -> Self {
        let foreign = &config.foreign;
        let (bytes_max, registers_max) = (foreign.carried_bytes_max, foreign.carried_registers_max);
        Self { bytes_max, registers_max }
    }
}

/// A key that must be carried.
#[derive(Clone, Debug)]
pub(super) struct Cargo {
    key: Vec<u8>,
    kind: Kind,
}

/// Both sides of a slot.
struct Ends<'a> {
    moved: Move<'a>,
    source: Link,
    target: Link,
}

/// Does an errand. `is_wanted` is asked before each key.
///
/// # Cancel safety
/// Not safe to drop: what was sent may still be carried out.
pub async fn run(
    config: &Config,
    moved: Move<'_>,
    errand: Errand,
    is_wanted: impl Fn() -> bool,
) -> Result<(), Trouble> {
    let patience = config.foreign.examine_timeout;
    let mut source = Link::open(config, moved.source, patience).await?;
    let target = Link::open(config, moved.target, patience).await?;
    // Nothing of this errand is to arrive when it has been given up.
    source.forget_what_is_unsent()?;
    target.forget_what_is_unsent()?;
    let bounds = match errand {
        Errand::Copy => Bounds::of(config),
        // It has been copied.
        Errand::Withdraw | Errand::Clear => Bounds::NONE,
    };
    let keys = list(&mut source, moved.slot, target.dialect(), bounds).await?;
    let keys = keys.map_err(|refusal| Trouble::Refused(Box::new(refusal)))?;
    tracing::info!(slot = %moved.slot, keys = keys.len(), ?errand, "keys are carried");
    let mut ends = Ends { moved, source, target };
    for cargo in keys {
        if !is_wanted() {
            return Err(Trouble::CalledOff);
        }
        match errand {
            Errand::Copy => ends.copy(&cargo).await?,
            Errand::Withdraw => ends.withdraw(&cargo).await?,
            Errand::Clear => ends.clear(&cargo).await?,
        }
        failpoint::check(errand.fail_point())?;
    }
    Ok(())
}

/// The keys of a slot that must be carried. A refusal if one cannot be, or if they are more than the bounds.
pub(super) async fn list(
    source: &mut Link,
    slot: Slot,
    target: Dialect,
    bounds: Bounds,
) -> Result<Result<Vec<Cargo>, Refusal>, LinkError> {
    let Bounds { bytes_max, registers_max } = bounds;
    let (mut found, mut total, mut registers) = (Vec::new(), 0, 0);
    let too_much = |key: &[u8]| Refusal::TooMuchToCopy { slot, key: shown(key), bytes_max };
    for key in stream::keys(source, slot).await? {
        if target != Dialect::Pika {
            return Ok(Err(Refusal::Stream { key: shown(&key) }));
        }
        total += stream::size(source, &key, bytes_max).await?;
        if total > bytes_max {
            return Ok(Err(too_much(&key)));
        }
        found.push(Cargo { key, kind: Kind::Stream });
    }
    for key in sketch::keys(source, slot).await? {
        let count = match sketch::size(source, &key).await? {
            Some(count) if target == Dialect::Pika => count,
            _ => return Ok(Err(Refusal::HyperLogLog { key: shown(&key) })),
        };
        registers += count;
        if registers > registers_max {
            return Ok(Err(Refusal::TooManyRegisters { slot, key: shown(&key), registers_max }));
        }
        total += sketch::REGISTERS as u64;
        if total > bytes_max {
            return Ok(Err(too_much(&key)));
        }
        found.push(Cargo { key, kind: Kind::Sketch });
    }
    let mut pages = Pages::new(slot, "z*");
    while let Some(members) = pages.next(source).await? {
        for member in members {
            let key = &member[1..];
            let bytes = match sorted_set::look(source, key).await? {
                Look::Exact => continue,
                Look::Infinite(refusal) => return Ok(Err(refusal)),
                Look::Inexact { bytes } => bytes,
            };
            total += bytes;
            if total > bytes_max {
                return Ok(Err(too_much(key)));
            }
            found.push(Cargo { key: key.to_vec(), kind: Kind::SortedSet });
        }
    }
    Ok(Ok(found))
}

impl Ends<'_> {
    async fn copy(&mut self, cargo: &Cargo) -> Result<(), Trouble> {
        match cargo.kind {
            Kind::Sketch => sketch::copy(self, &cargo.key).await?,
            Kind::SortedSet => sorted_set::copy(self, &cargo.key).await?,
            Kind::Stream => stream::copy(self, &cargo.key).await?,
        }
        if self.is_equal(cargo).await? {
            return Ok(());
        }
        Err(Trouble::Differs { key: shown(&cargo.key), node: self.moved.target.to_owned() })
    }

    async fn is_equal(&mut self, cargo: &Cargo) -> Result<bool, Trouble> {
        match cargo.kind {
            Kind::Sketch => sketch::is_equal(self, &cargo.key).await,
            Kind::SortedSet => sorted_set::is_equal(self, &cargo.key).await,
            Kind::Stream => stream::is_equal(self, &cargo.key).await,
        }
    }

    async fn withdraw(&mut self, cargo: &Cargo) -> Result<(), Trouble> {
        let (node, slot) = (self.moved.target, self.moved.slot);
        match cargo.kind {
            Kind::SortedSet => done(node, "DEL", &self.target.ask(&[b"DEL", &cargo.key]).await?),
            Kind::Sketch => {
                remove(node, &mut self.target, slot, (sketch::LETTER, &cargo.key)).await
            }
            Kind::Stream => stream::remove(node, &mut self.target, slot, &cargo.key).await,
        }
    }

    async fn clear(&mut self, cargo: &Cargo) -> Result<(), Trouble> {
        if !self.is_equal(cargo).await? {
            self.copy(cargo).await?;
        }
        let (node, slot, key) = (self.moved.source, self.moved.slot, &cargo.key);
        match cargo.kind {
            Kind::Sketch => remove(node, &mut self.source, slot, (sketch::LETTER, key)).await,
            Kind::SortedSet => {
                remove(node, &mut self.source, slot, (sorted_set::LETTER, key)).await
            }
            Kind::Stream => stream::remove(node, &mut self.source, slot, key).await,
        }
    }
}

/// Deletes a key, and takes it off the node's lists.
async fn remove(
    node: &str,
    link: &mut Link,
    slot: Slot,
    (letter, key): (u8, &[u8]),
) -> Result<(), Trouble> {
    done(node, "DEL", &link.ask(&[b"DEL", key]).await?)?;
    Ok(drop_absent(link, slot, &[&[letter], key].concat()).await?)
}

/// How long a key will live, in milliseconds.
async fn left_ms(link: &mut Link, key: &[u8]) -> Result<Option<u64>, LinkError> {
    let left = link.ask(&[b"PTTL", key]).await?.as_int();
    Ok(left.and_then(|ms| u64::try_from(ms).ok()))
}

/// Takes an error reply for what it is.
fn done(node: &str, command: &'static str, answer: &Value) -> Result<(), Trouble> {
    let Some(error) = answer.as_error() else { return Ok(()) };
    Err(Trouble::Answer { node: node.to_owned(), command, answer: error.to_owned() })
}
