//! What one node knows of one slot, and every way that can change: the heart of a migration.
//!
//! ```text
//!  source                                                       target
//!
//!  Unclaimed ──► Owned ◄─────────────┐                 Absent | Unclaimed ◄────────┐
//!                  │ export          │ abort                    │ import           │ drop,
//!                  ▼                 │                          ▼                  │ resolve (refused)
//!               Copying ─────────────┤                      Importing ─────────────┤
//!                  │ arm             │                          │ final            │
//!                  ▼                 │                          ▼                  │
//!        ┌───►  Armed ───────────────┤                ┌──►    Ready  ──────────────┘
//!        │ unseal  │ seal            │          final │         │ granted, or the token is presented
//!        └───── Sealed ──────────────┤   (attempt+1)  └─────────┤
//!                  │ grant           │                          ▼
//!                  ▼                 │ resolved(refused)      Owned (epoch+1)
//!               Granted        Doubt ┘
//!                  │ clean       │ resolved(owned)
//!                  ▼             └──► Granted
//!                Absent
//! ```
//!
//! An owner without keys, and one that is absent, become `Unclaimed` again when they hear that the slot is at a node which is not ours (`disclaim`).
//!
//! `Doubt` is what `Armed`, `Sealed` become when the node restarts: it asks the target before it serves.
//!
//! Four rules, each tested by removing it in `tests/model.rs`: before the grant the source alone decides; after it the target alone decides; a
//! party that crashed while armed asks before it serves; nothing resumes after the grant because time passed.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Raised by every change of a slot's owner and reserved anew for every migration, also for one that fails; never reused.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A migration's random name. Prints as 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MigrationId(pub u128);

/// A random number the target makes for each attempt; whoever presents it proves that the source granted. Prints as 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u128);

macro_rules! hex_id {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                (text.len() == 32)
                    .then(|| u128::from_str_radix(text, 16).ok().map(Self))
                    .flatten()
                    .ok_or_else(|| format!("\"{text}\" is not an id of 32 hex digits"))
            }
        }
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
hex_id!(MigrationId);
hex_id!(Token);

/// A node's address, `host:port`.
pub type Addr = String;

/// A migration as one of its two nodes knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Migration {
    pub id: MigrationId,
    /// The epoch the target will own the slot with.
    pub epoch: Epoch,
    /// The other node: the target as the source sees it, the source as the target sees it.
    pub peer: Addr,
}

/// What one node knows of one slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SlotState {
    /// No controller has spoken for the slot: a plain server serves it.
    Unclaimed,
    /// This node owns the slot.
    Owned { epoch: Epoch },
    /// Owned; its data goes out to a target. Volatile: after a restart it is `Owned`, the copy starts again.
    Copying { epoch: Epoch, out: Migration },
    /// Owned; the target has all but the last changes. Synced to disk before any seal.
    Armed { epoch: Epoch, out: Migration, attempt: u32 },
    /// Owned; writes wait. Volatile: after a restart it is `Doubt`.
    Sealed { epoch: Epoch, out: Migration, attempt: u32 },
    /// This node crashed while armed: only the target knows who owns the slot.
    Doubt { epoch: Epoch, out: Migration },
    /// Given away; the copy stays until the target's is durable.
    Granted { out: Migration, attempt: u32, token: Option<Token> },
    /// Owned elsewhere. `refused` is the migration this node has sworn never to become the owner through.
    Absent { epoch: Epoch, hint: Option<Addr>, refused: Option<MigrationId> },
    /// Data comes in; nobody may see it.
    Importing { from: Migration, last: Epoch },
    /// All of this attempt is applied; the source may grant it.
    Ready { from: Migration, last: Epoch, attempt: u32, token: Token },
}

/// What a request wants of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// May a request be executed here and now?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission<'a> {
    Execute,
    /// Not now; the same node will know.
    Hold,
    /// Never here again, unless the slot comes back.
    Moved {
        epoch: Epoch,
        addr: &'a str,
        token: Option<Token>,
    },
    /// Not here, and this node does not know where.
    Ask,
}

/// How surely a new state must be on disk before its effect is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persist {
    /// Not at all.
    No,
    /// In the log, in order with the data; no sync.
    Lazy,
    /// Synced before anybody is told.
    Sync,
}

/// What a forced owner's epoch is above all that are known.
const FORCED_EPOCHS: u64 = 1 << 16;

/// An event that makes no sense in the state the slot is in; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub &'static str);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The next state and how surely it must be kept.
pub type Next = Result<(SlotState, Persist), Refused>;

/// What RESOLVE answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The target owns the slot, or owned it and passed it on.
    Owned,
    /// The target never will, through this migration.
    Refused,
}

impl SlotState {
    /// A name for people and for metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unclaimed => "unclaimed",
            Self::Owned { .. } | Self::Copying { .. } | Self::Armed { .. } => "owned",
            Self::Sealed { .. } => "sealed",
            Self::Doubt { .. } => "doubt",
            Self::Granted { .. } => "granted",
            Self::Absent { refused: None, .. } => "absent",
            Self::Absent { refused: Some(_), .. } => "refused",
            Self::Importing { .. } => "importing",
            Self::Ready { .. } => "ready",
        }
    }

    /// The highest epoch of an owner this node knows of.
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::Unclaimed => Epoch(0),
            Self::Owned { epoch }
            | Self::Copying { epoch, .. }
            | Self::Armed { epoch, .. }
            | Self::Sealed { epoch, .. }
            | Self::Doubt { epoch, .. }
            | Self::Absent { epoch, .. } => *epoch,
            Self::Granted { out, .. } => out.epoch,
            Self::Importing { last, .. } | Self::Ready { last, .. } => *last,
        }
    }

    /// The migration this node takes part in.
    pub fn migration(&self) -> Option<&Migration> {
        match self {
            Self::Copying { out, .. }
            | Self::Armed { out, .. }
            | Self::Sealed { out, .. }
            | Self::Doubt { out, .. }
            | Self::Granted { out, .. } => Some(out),
            Self::Importing { from, .. } | Self::Ready { from, .. } => Some(from),
            Self::Unclaimed | Self::Owned { .. } | Self::Absent { .. } => None,
        }
    }

    fn is(&self, id: MigrationId) -> bool {
        self.migration().is_some_and(|m| m.id == id)
    }

    /// May a request be executed here and now?
    pub fn admit(&self, access: Access) -> Admission<'_> {
        match self {
            Self::Unclaimed | Self::Owned { .. } | Self::Copying { .. } | Self::Armed { .. } => {
                Admission::Execute
            }
            Self::Sealed { .. } if access == Access::Read => Admission::Execute,
            Self::Sealed { .. }
            | Self::Doubt { .. }
            | Self::Importing { .. }
            | Self::Ready { .. } => Admission::Hold,
            Self::Granted { out, token, .. } => {
                Admission::Moved { epoch: out.epoch, addr: &out.peer, token: *token }
            }
            Self::Absent { epoch, hint: Some(addr), .. } => {
                Admission::Moved { epoch: *epoch, addr, token: None }
            }
            Self::Absent { hint: None, .. } => Admission::Ask,
        }
    }

    /// Whether this node executes writes of the slot.
    pub fn writes(&self) -> bool {
        self.admit(Access::Write) == Admission::Execute
    }

    // --- both sides

    /// What is left of the state when the process dies and starts again from what it had persisted.
    pub fn restarted(self) -> Self {
        match self {
            Self::Copying { epoch, .. } => Self::Owned { epoch },
            Self::Armed { epoch, out, .. } | Self::Sealed { epoch, out, .. } => {
                Self::Doubt { epoch, out }
            }
            other => other,
        }
    }

    /// The controller says who owns a slot that nobody had spoken for.
    pub fn assign(self, epoch: Epoch, owner: Option<Addr>) -> Next {
        match (self, owner) {
            (Self::Unclaimed, None) => Ok((Self::Owned { epoch }, Persist::Sync)),
            (Self::Unclaimed, hint) => {
                Ok((Self::Absent { epoch, hint, refused: None }, Persist::Sync))
            }
            _ => Err(Refused("the slot has an owner already")),
        }
    }

    /// The controller says that the slot is at a node which is not ours, since `epoch`: from there it comes home as to a plain server. Only for a
    /// node that has no key of the slot.
    pub fn disclaim(self, epoch: Epoch) -> Next {
        match self {
            Self::Owned { epoch: known } | Self::Absent { epoch: known, .. } if known <= epoch => {
                Ok((Self::Unclaimed, Persist::Sync))
            }
            Self::Unclaimed => Ok((self, Persist::No)),
            _ => Err(Refused("the slot has a later owner, or moves")),
        }
    }

    // --- source

    /// OPEN at the source.
    pub fn export(self, out: Migration) -> Next {
        match self {
            Self::Owned { epoch } if out.epoch > epoch => {
                Ok((Self::Copying { epoch, out }, Persist::No))
            }
            Self::Owned { .. } => Err(Refused("the migration's epoch is not above the slot's")),
            state if state.is(out.id) => Ok((state, Persist::No)),
            Self::Absent { .. } | Self::Granted { .. } | Self::Unclaimed => {
                Err(Refused("the slot is not owned here"))
            }
            _ => Err(Refused("another migration of the slot is under way")),
        }
    }

    /// The copy is complete and verified; from now on a crash leaves this node in doubt.
    pub fn arm(self, id: MigrationId) -> Next {
        match self {
            Self::Copying { epoch, out } if out.id == id => {
                Ok((Self::Armed { epoch, out, attempt: 0 }, Persist::Sync))
            }
            state @ (Self::Armed { .. } | Self::Sealed { .. }) if state.is(id) => {
                Ok((state, Persist::Sync))
            }
            _ => Err(Refused("the migration is not copying here")),
        }
    }

    /// The pause begins: writes wait from now on. Attempts are numbered, so that an answer to an older one is known as such.
    pub fn seal(self, id: MigrationId) -> Next {
        match self {
            Self::Armed { epoch, out, attempt } if out.id == id => {
                Ok((Self::Sealed { epoch, out, attempt: attempt + 1 }, Persist::No))
            }
            _ => Err(Refused("the migration is not armed here")),
        }
    }

    /// The attempt is given up: legal only before the grant.
    pub fn unseal(self, id: MigrationId, attempt: u32) -> Next {
        match self {
            Self::Sealed { epoch, out, attempt: k } if out.id == id && k == attempt => {
                Ok((Self::Armed { epoch, out, attempt: k }, Persist::No))
            }
            _ => Err(Refused("the slot is not sealed by this attempt")),
        }
    }

    /// The target is READY for `attempt`: the slot is given away, for good.
    pub fn grant(self, id: MigrationId, attempt: u32, token: Token) -> Next {
        match self {
            Self::Sealed { out, attempt: k, .. } if out.id == id && k == attempt => {
                Ok((Self::Granted { out, attempt: k, token: Some(token) }, Persist::Lazy))
            }
            _ => Err(Refused("the slot is not sealed by this attempt")),
        }
    }

    /// The target's word ends the doubt.
    pub fn resolved(self, id: MigrationId, verdict: Verdict) -> Next {
        match self {
            Self::Doubt { out, .. } if out.id == id && verdict == Verdict::Owned => {
                Ok((Self::Granted { out, attempt: 0, token: None }, Persist::Lazy))
            }
            Self::Doubt { epoch, out } if out.id == id => {
                Ok((Self::Owned { epoch }, Persist::Lazy))
            }
            _ => Err(Refused("the slot is not in doubt about this migration")),
        }
    }

    /// The operator or the controller calls the migration off: legal only before the grant.
    pub fn abort(self, id: MigrationId) -> Next {
        match self {
            Self::Copying { epoch, out } if out.id == id => {
                Ok((Self::Owned { epoch }, Persist::No))
            }
            Self::Armed { epoch, out, .. } | Self::Sealed { epoch, out, .. } if out.id == id => {
                Ok((Self::Owned { epoch }, Persist::Sync))
            }
            state @ Self::Owned { .. } => Ok((state, Persist::No)),
            Self::Granted { .. } | Self::Absent { .. } => Err(Refused("granted")),
            Self::Doubt { .. } => Err(Refused("in doubt: the target is being asked")),
            _ => Err(Refused("the slot is not owned here")),
        }
    }

    /// The controller has recorded the new owner and its copy is durable: the old copy may go. Synced, since the controller says it once.
    pub fn clean(self, id: MigrationId) -> Next {
        match self {
            Self::Granted { out, .. } if out.id == id => Ok((
                Self::Absent { epoch: out.epoch, hint: Some(out.peer), refused: None },
                Persist::Sync,
            )),
            state @ Self::Absent { .. } => Ok((state, Persist::No)),
            _ => Err(Refused("the migration was not granted here")),
        }
    }

    // --- without a controller: the nodes open migrations themselves

    /// A plain server's slot becomes the node's own, so that it can give it away.
    pub fn claim(self) -> Next {
        match self {
            Self::Unclaimed => Ok((Self::Owned { epoch: Epoch(1) }, Persist::Lazy)),
            state @ (Self::Owned { .. }
            | Self::Copying { .. }
            | Self::Armed { .. }
            | Self::Sealed { .. }) => Ok((state, Persist::No)),
            _ => Err(Refused("the slot is not owned here")),
        }
    }

    /// The owner says that the slot is its own. Only for a node that has no key of the slot.
    pub fn yielded(self, owner: Addr, epoch: Epoch) -> Next {
        match self {
            Self::Unclaimed => {
                Ok((Self::Absent { epoch, hint: Some(owner), refused: None }, Persist::Sync))
            }
            state @ (Self::Absent { .. } | Self::Importing { .. } | Self::Ready { .. }) => {
                Ok((state, Persist::No))
            }
            _ => Err(Refused("the slot is owned here, or on its way out")),
        }
    }

    /// The owner opens a migration itself. Whoever calls it for a slot that is served here has seen that there is no key of it.
    ///
    /// A later migration of the same source takes the place of an earlier one: who opens a new one has called the old one off.
    pub fn open(self, from: Migration) -> Next {
        match self {
            Self::Unclaimed => Ok((Self::Importing { from, last: Epoch(0) }, Persist::Sync)),
            Self::Owned { epoch } if from.epoch > epoch => {
                Ok((Self::Importing { from, last: epoch }, Persist::Sync))
            }
            Self::Owned { .. } => Err(Refused("the migration's epoch is not above the slot's")),
            Self::Importing { from: old, last } | Self::Ready { from: old, last, .. }
                if old.id != from.id && old.peer == from.peer =>
            {
                if from.epoch > old.epoch {
                    Ok((Self::Importing { from, last }, Persist::Sync))
                } else {
                    Err(Refused("the migration's epoch is not above the one under way"))
                }
            }
            other => other.import(from),
        }
    }

    /// The highest epoch that anybody has used for this slot, as far as this node knows: also of a migration that may fail.
    pub fn epoch_used(&self) -> Epoch {
        self.epoch().max(self.migration().map_or(Epoch(0), |m| m.epoch))
    }

    /// The operator decides that this node owns the slot, because who owned it is gone for good. The epoch is far above all that the lost owner may
    /// have used since, so that this node's word wins if it comes back.
    pub fn force(self) -> Next {
        let epoch = Epoch(self.epoch_used().0.saturating_add(FORCED_EPOCHS));
        match self {
            state @ (Self::Owned { .. } | Self::Copying { .. } | Self::Armed { .. }) => {
                Ok((state, Persist::No))
            }
            Self::Sealed { .. } => Err(Refused("the slot is being handed off this moment")),
            _ => Ok((Self::Owned { epoch }, Persist::Sync)),
        }
    }

    // --- target

    /// OPEN at the target.
    pub fn import(self, from: Migration) -> Next {
        match self {
            Self::Absent { refused: Some(id), .. } if id == from.id => {
                Err(Refused("this node has refused this migration for good"))
            }
            Self::Absent { epoch, .. } if from.epoch <= epoch => {
                Err(Refused("the migration's epoch is not above the slot's"))
            }
            Self::Absent { epoch, .. } => {
                Ok((Self::Importing { from, last: epoch }, Persist::Lazy))
            }
            state @ (Self::Importing { .. } | Self::Ready { .. }) if state.is(from.id) => {
                Ok((state, Persist::No))
            }
            Self::Importing { .. } | Self::Ready { .. } => {
                Err(Refused("another migration of the slot comes in here"))
            }
            Self::Unclaimed => Err(Refused("the slot is unclaimed here: assign it first")),
            _ => Err(Refused("the slot is owned here, or on its way out")),
        }
    }

    /// Everything of `attempt` is applied. The state goes into the same write batch as the tail, so that it says the truth after a crash.
    pub fn ready(self, id: MigrationId, attempt: u32, token: Token) -> Next {
        match self {
            Self::Importing { from, last } if from.id == id => {
                Ok((Self::Ready { from, last, attempt, token }, Persist::Lazy))
            }
            Self::Ready { from, last, attempt: k, .. } if from.id == id && attempt > k => {
                Ok((Self::Ready { from, last, attempt, token }, Persist::Lazy))
            }
            state @ Self::Ready { attempt: k, .. } if state.is(id) && k == attempt => {
                Ok((state, Persist::No))
            }
            Self::Ready { .. } => Err(Refused("a later attempt is under way")),
            _ => Err(Refused("the migration does not come in here")),
        }
    }

    /// The source's grant arrived. The state must be in the log before the first write it allows is acknowledged.
    pub fn granted(self, id: MigrationId, attempt: u32) -> Next {
        match self {
            Self::Ready { from, attempt: k, .. } if from.id == id && k == attempt => {
                Ok((Self::Owned { epoch: from.epoch }, Persist::Lazy))
            }
            Self::Ready { .. } => Err(Refused("another attempt is ready")),
            _ => Err(Refused("no attempt is ready")),
        }
    }

    /// A redirected request presents the token: as good as the grant itself.
    pub fn presented(self, shown: Token) -> Next {
        match self {
            Self::Ready { from, token, .. } if token == shown => {
                Ok((Self::Owned { epoch: from.epoch }, Persist::Lazy))
            }
            _ => Err(Refused("no such attempt is ready")),
        }
    }

    /// "Who owns it?" The answer binds: a target that is not the owner now never will be through this migration.
    pub fn resolve(self, id: MigrationId, epoch: Epoch) -> (Self, Persist, Verdict) {
        match self {
            Self::Importing { from, last } | Self::Ready { from, last, .. } if from.id == id => (
                Self::Absent { epoch: last, hint: Some(from.peer), refused: Some(id) },
                Persist::Sync,
                Verdict::Refused,
            ),
            state @ (Self::Importing { .. } | Self::Ready { .. } | Self::Unclaimed) => {
                (state, Persist::Sync, Verdict::Refused)
            }
            Self::Absent { refused: Some(r), epoch, hint } if r == id => {
                (Self::Absent { refused: Some(r), epoch, hint }, Persist::Sync, Verdict::Refused)
            }
            // An epoch belongs to one migration, and a slot has one at a time: an owner's record at or past it means that it succeeded.
            state if state.epoch() >= epoch => (state, Persist::Sync, Verdict::Owned),
            Self::Absent { epoch, hint, .. } => {
                (Self::Absent { epoch, hint, refused: Some(id) }, Persist::Sync, Verdict::Refused)
            }
            state => (state, Persist::Sync, Verdict::Refused),
        }
    }

    /// The source has called the migration off: the staged copy goes. Synced, since the controller says it once.
    pub fn dropped(self, id: MigrationId) -> Next {
        match self {
            Self::Importing { from, last } | Self::Ready { from, last, .. } if from.id == id => {
                Ok((
                    Self::Absent { epoch: last, hint: Some(from.peer), refused: Some(id) },
                    Persist::Sync,
                ))
            }
            state @ Self::Absent { .. } => Ok((state, Persist::No)),
            _ => Err(Refused("owned")),
        }
    }
}

#[cfg(test)]
mod tests;
