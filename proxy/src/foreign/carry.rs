//! What the commands of a Pika cannot move as it is, carried by us: read at the source, written at the target, compared, and deleted at the source
//! (`docs/FOREIGN.md`, "What is copied"). Only under our own controller, and only while every proxy has the slot locked: nobody else writes at
//! either side, so that whatever was begun by a process that is gone can be done anew, or taken back.
//!
//! What is to be carried is looked up at the source each time, never remembered. Invariant: nothing is deleted at the source that is not equal at
//! the target at that moment.

mod sorted_set;

use super::examine::{Move, Refusal, drop_absent, shown};
use super::link::{Link, LinkError};
use crate::config::Config;
use cluster::Slot;
use protocol::frame::Value;

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
    let bytes_max = match errand {
        Errand::Copy => config.foreign.carried_bytes_max,
        // It has been copied.
        Errand::Withdraw | Errand::Clear => u64::MAX,
    };
    let keys = list(&mut source, moved.slot, bytes_max).await?;
    let keys = keys.map_err(|refusal| Trouble::Refused(Box::new(refusal)))?;
    tracing::info!(slot = %moved.slot, keys = keys.len(), ?errand, "keys are carried");
    let mut ends = Ends { moved, source, target };
    for key in keys {
        if !is_wanted() {
            return Err(Trouble::CalledOff);
        }
        match errand {
            Errand::Copy => ends.copy(&key).await?,
            Errand::Withdraw => ends.withdraw(&key).await?,
            Errand::Clear => ends.clear(&key).await?,
        }
    }
    Ok(())
}

/// The keys of a slot that must be carried. A refusal if one cannot be, or if they are more than `bytes_max`.
pub(super) async fn list(
    source: &mut Link,
    slot: Slot,
    bytes_max: u64,
) -> Result<Result<Vec<Vec<u8>>, Refusal>, LinkError> {
    sorted_set::list(source, slot, bytes_max).await
}

impl Ends<'_> {
    async fn copy(&mut self, key: &[u8]) -> Result<(), Trouble> {
        sorted_set::copy(self, key).await?;
        if sorted_set::is_equal(self, key).await? {
            return Ok(());
        }
        Err(Trouble::Differs { key: shown(key), node: self.moved.target.to_owned() })
    }

    async fn withdraw(&mut self, key: &[u8]) -> Result<(), Trouble> {
        let answer = self.target.ask(&[b"DEL", key]).await?;
        done(self.moved.target, "DEL", &answer)
    }

    async fn clear(&mut self, key: &[u8]) -> Result<(), Trouble> {
        if !sorted_set::is_equal(self, key).await? {
            self.copy(key).await?;
        }
        let answer = self.source.ask(&[b"DEL", key]).await?;
        done(self.moved.source, "DEL", &answer)?;
        let member = [&[sorted_set::LETTER], key].concat();
        Ok(drop_absent(&mut self.source, self.moved.slot, &member).await?)
    }
}

/// Takes an error reply for what it is.
fn done(node: &str, command: &'static str, answer: &Value) -> Result<(), Trouble> {
    let Some(error) = answer.as_error() else { return Ok(()) };
    Err(Trouble::Answer { node: node.to_owned(), command, answer: error.to_owned() })
}
