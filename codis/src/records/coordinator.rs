//! Records of slots, groups and servers, and the paths of all.

use crate::model::is_default;
use serde::{Deserialize, Serialize};

/// Everything of a product.
pub fn product_path(product: &str) -> String {
    format!("{}/{product}", super::PRODUCTS_PATH)
}

/// The dashboard's model, which is its lock too.
pub fn topom_path(product: &str) -> String {
    format!("{}/topom", product_path(product))
}

/// A slot; a missing one is offline.
pub fn slot_path(product: &str, id: i64) -> String {
    format!("{}/slots/slot-{id:04}", product_path(product))
}

/// A group.
pub fn group_path(product: &str, id: i64) -> String {
    format!("{}/group/group-{id:04}", product_path(product))
}

/// A proxy's [`Model`](crate::model::Model).
pub fn proxy_path(product: &str, token: &str) -> String {
    format!("{}/proxy/proxy-{token}", product_path(product))
}

/// The [`Sentinels`](crate::model::Sentinels).
pub fn sentinel_path(product: &str) -> String {
    format!("{}/sentinel", product_path(product))
}

/// How far the move of a slot is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotState {
    #[default]
    #[serde(rename = "")]
    None,
    Pending,
    Preparing,
    Prepared,
    Migrating,
    Finished,
}

/// How far a server is made what its place in the group says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerActionState {
    #[default]
    #[serde(rename = "")]
    None,
    Pending,
    Syncing,
    Synced,
    SyncedFailed,
}

/// How far a promotion is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromotionState {
    #[default]
    #[serde(rename = "")]
    None,
    Preparing,
    Prepared,
    Finished,
}

/// A slot as the dashboard keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SlotRecord {
    pub id: i64,
    /// Zero: offline.
    pub group_id: i64,
    pub action: SlotAction,
}

/// The move of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SlotAction {
    /// The lowest is next.
    #[serde(skip_serializing_if = "is_default")]
    pub index: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub state: SlotState,
    #[serde(skip_serializing_if = "is_default")]
    pub target_id: i64,
}

/// A group as the dashboard keeps it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupRecord {
    pub id: i64,
    /// The first is the primary.
    pub servers: Vec<ServerRecord>,
    pub promoting: Promotion,
    pub out_of_sync: bool,
}

/// The promotion of a group's server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Promotion {
    #[serde(skip_serializing_if = "is_default")]
    pub index: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub state: PromotionState,
}

/// A server of a group; the last six fields are the fork's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerRecord {
    pub server: String,
    pub datacenter: String,
    pub action: ServerAction,
    /// May be read.
    pub replica_group: bool,
    /// `master` or `slave`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub role: String,
    #[serde(skip_serializing_if = "is_default")]
    pub binlog_file_num: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub binlog_offset: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub is_eligible_for_master_election: bool,
    /// 0 normal, 1 subjectively offline, 2 offline.
    #[serde(skip_serializing_if = "is_default")]
    pub state: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub recall_times: i64,
}

/// What is being done to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerAction {
    #[serde(skip_serializing_if = "is_default")]
    pub index: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub state: ServerActionState,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json, to_value};

    #[test]
    fn records_are_written_as_they_are_read() {
        let slot = json!({"id": 579, "group_id": 1, "action": {"index": 3, "state": "migrating", "target_id": 2}});
        let record: SlotRecord = from_value(slot.clone()).unwrap();
        assert_eq!((record.action.state, to_value(record).unwrap()), (SlotState::Migrating, slot));
        let group = json!({
            "id": 1,
            "servers": [
                {"server": "10.0.0.11:6379", "datacenter": "dc1", "action": {"state": "synced"}, "replica_group": true},
                {"server": "10.0.0.21:6379", "datacenter": "dc1", "action": {"index": 1, "state": "pending"}, "replica_group": false}
            ],
            "promoting": {"index": 1, "state": "preparing"},
            "out_of_sync": false
        });
        let record: GroupRecord = from_value(group.clone()).unwrap();
        assert_eq!(record.servers[0].action.state, ServerActionState::Synced);
        assert_eq!(
            (record.promoting.state, to_value(&record).unwrap()),
            (PromotionState::Preparing, group)
        );
    }

    #[test]
    fn what_is_empty_is_left_out() {
        assert_eq!(
            to_value(SlotRecord::default()).unwrap(),
            json!({"id": 0, "group_id": 0, "action": {}})
        );
        let fork: Value = json!({"server": "p:1", "role": "slave", "binlog_file_num": 7, "binlog_offset": 18_446_744_073_709_551_615_u64,
            "is_eligible_for_master_election": true, "state": 2, "recall_times": 3, "future": 1});
        let server: ServerRecord = from_value(fork).unwrap();
        assert_eq!((server.binlog_offset, server.state), (u64::MAX, 2));
        assert!(
            from_value::<SlotRecord>(json!({"id": 1, "action": {"state": "nonsense"}})).is_err()
        );
    }

    #[test]
    fn paths_are_those_of_codis() {
        assert_eq!(slot_path("demo", 7), "/codis3/demo/slots/slot-0007");
        assert_eq!(slot_path("demo", 12_345), "/codis3/demo/slots/slot-12345");
        assert_eq!(group_path("demo", 9999), "/codis3/demo/group/group-9999");
        assert_eq!(proxy_path("demo", "t"), "/codis3/demo/proxy/proxy-t");
        assert_eq!(topom_path("demo"), "/codis3/demo/topom");
        assert_eq!(sentinel_path("demo"), "/codis3/demo/sentinel");
    }
}
