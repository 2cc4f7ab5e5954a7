//! What the controller is told of a migration: one JSON object, answered by MOVES.

use cluster::{Epoch, MigrationId, Slot};
use serde::{Deserialize, Serialize};

/// Which of the two nodes speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    #[default]
    Source,
    Target,
}

/// Where the migration is, as this node sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    // Source.
    #[default]
    Copying,
    /// The target has everything but the changes of the last moment: ready to be armed.
    Copied,
    Armed,
    Sealed,
    Granted,
    /// This node crashed while armed and asks the target.
    Doubt,
    /// The source owns the slot and has given the migration up; `error` says why.
    Failed,
    // Target.
    Importing,
    Ready,
    // Both.
    /// The target is the owner.
    Owned,
    /// The target never will be through this migration.
    Refused,
    Unknown,
}

/// Attempts that were given up before the grant, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aborts {
    /// Writers did not leave in time.
    pub drain: u32,
    /// READY did not come in time.
    pub budget: u32,
    /// A proxy or the operator asked.
    pub asked: u32,
    /// The link broke or the target refused.
    pub link: u32,
    /// Too much came between the last round of the stream and the seal.
    pub tail: u32,
}

/// What MOVES answers for one migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub id: MigrationId,
    pub slot: Slot,
    pub epoch: Epoch,
    pub role: Role,
    pub phase: Phase,
    /// Keys copied (source) or taken in (target), and what is expected in all.
    pub keys: u64,
    pub keys_estimated: u64,
    /// Bytes of records, likewise.
    pub bytes: u64,
    pub bytes_estimated: u64,
    /// Captured and not yet sent.
    pub lag_bytes: u64,
    /// How often the copy started.
    pub starts: u32,
    pub attempt: u32,
    pub aborts: Aborts,
    /// From the seal to the target's answer to GRANT: an upper bound of the time nobody executed writes.
    pub stall_write_us: Option<u64>,
    /// From the grant to that answer.
    pub stall_read_us: Option<u64>,
    pub error: Option<String>,
}

impl Report {
    pub(crate) fn new(id: MigrationId, slot: Slot, epoch: Epoch, role: Role, phase: Phase) -> Self {
        Self {
            id,
            slot,
            epoch,
            role,
            phase,
            keys: 0,
            keys_estimated: 0,
            bytes: 0,
            bytes_estimated: 0,
            lag_bytes: 0,
            starts: 0,
            attempt: 0,
            aborts: Aborts::default(),
            stall_write_us: None,
            stall_read_us: None,
            error: None,
        }
    }
}
