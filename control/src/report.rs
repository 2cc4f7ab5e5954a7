//! What nodes say of migrations: the JSON objects that MOVES answers, and WHERE.
//!
//! Every field but the id may be missing: a node of another version is still understood as far as it goes.

use cluster::{Epoch, MigrationId, Slot};
use serde::Deserialize;

/// What one node says of one migration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Report {
    pub id: MigrationId,
    pub slot: Slot,
    pub epoch: Epoch,
    pub phase: NodePhase,
    pub keys: u64,
    pub keys_estimated: u64,
    pub bytes: u64,
    pub bytes_estimated: u64,
    pub lag_bytes: u64,
    pub starts: u32,
    pub attempt: u32,
    pub stall_write_us: Option<u64>,
    pub stall_read_us: Option<u64>,
    pub error: Option<String>,
}

/// Where a migration is, as one of its nodes sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodePhase {
    /// Source: the copy runs.
    Copying,
    /// Source: the target has all but the last changes, verified.
    Copied,
    /// Source: may hand off at any moment.
    Armed,
    /// Source: writes wait.
    Sealed,
    /// Source: given away for good.
    Granted,
    /// Source: crashed while armed, asks the target.
    Doubt,
    /// Source: owns the slot and has given the migration up.
    Failed,
    /// Target: data comes in.
    Importing,
    /// Target: everything is there, the grant is awaited.
    Ready,
    /// Target: owns the slot.
    Owned,
    /// Target: never will own it through this migration.
    Refused,
    /// The node does not know the migration, or says something this version does not.
    #[default]
    #[serde(other)]
    Unknown,
}

/// What a node says of a slot: the answer to WHERE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    pub state: String,
    pub epoch: Epoch,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            id: MigrationId(0),
            slot: Slot(0),
            epoch: Epoch(0),
            phase: NodePhase::Unknown,
            keys: 0,
            keys_estimated: 0,
            bytes: 0,
            bytes_estimated: 0,
            lag_bytes: 0,
            starts: 0,
            attempt: 0,
            stall_write_us: None,
            stall_read_us: None,
            error: None,
        }
    }
}

impl Report {
    /// Bytes that are still to be copied; nothing while the node has not estimated.
    pub fn bytes_left(&self) -> Option<u64> {
        let over = !matches!(self.phase, NodePhase::Copying);
        if over {
            Some(0)
        } else {
            (self.bytes_estimated > 0).then(|| self.bytes_estimated.saturating_sub(self.bytes))
        }
    }
}

impl Whereabouts {
    /// Whether the node owns the slot through a migration that promised `epoch`, or did before it passed the slot on.
    pub fn owned_since(&self, epoch: Epoch) -> bool {
        self.epoch >= epoch
            && matches!(self.state.as_str(), "owned" | "sealed" | "doubt" | "granted")
    }

    /// Whether the node has nothing of the slot any more and knows that it went with `epoch`.
    pub fn absent_since(&self, epoch: Epoch) -> bool {
        self.epoch >= epoch && matches!(self.state.as_str(), "absent" | "refused")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_and_unknown_fields_are_no_trouble() {
        let report: Report =
            serde_json::from_str(r#"{"id":"0000000000000000000000000000002a","new":1}"#).unwrap();
        assert_eq!((report.id, report.phase), (MigrationId(42), NodePhase::Unknown));
        let report: Report =
            serde_json::from_str(r#"{"phase":"copied","stall_write_us":null,"keys":7}"#).unwrap();
        assert_eq!(
            (report.phase, report.keys, report.stall_write_us),
            (NodePhase::Copied, 7, None)
        );
        let report: Report = serde_json::from_str(r#"{"phase":"something new"}"#).unwrap();
        assert_eq!(report.phase, NodePhase::Unknown);
    }

    #[test]
    fn what_is_left_is_known_once_it_was_estimated() {
        let mut report = Report { phase: NodePhase::Copying, bytes: 70, ..Report::default() };
        assert_eq!(report.bytes_left(), None);
        report.bytes_estimated = 100;
        assert_eq!(report.bytes_left(), Some(30));
        report.phase = NodePhase::Copied;
        assert_eq!(report.bytes_left(), Some(0));
    }
}
