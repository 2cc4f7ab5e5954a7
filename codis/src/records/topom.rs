//! What a dashboard tells of its product: `GET /topom` and its parts, as far as a check or an adoption needs it. Fields we do not know are passed
//! over.

use super::{GroupRecord, SlotRecord};
use crate::identity::dashboard_xauth;
use crate::model::{Model, RemoteError, Stats};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The path of a call that needs the product's xauth: `api_path("demo", "slots", "")`.
pub fn api_path(product: &str, call: &str, rest: &str) -> String {
    let end = if rest.is_empty() { String::new() } else { format!("/{rest}") };
    format!("/api/topom/{call}/{}{end}", dashboard_xauth(product))
}

/// Everything: `GET /topom`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Topom {
    pub version: String,
    pub compile: String,
    pub config: DashboardConfig,
    pub model: TopomModel,
    pub stats: TopomStats,
}

/// Its settings, as far as they matter to others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DashboardConfig {
    pub coordinator_name: String,
    pub coordinator_addr: String,
    pub product_name: String,
    /// `sync` or `semi-async`.
    pub migration_method: String,
    pub migration_parallel_slots: i64,
    /// The fork's; zero where it is not told, and then it is 1024.
    pub max_slot_num: i64,
}

/// The dashboard's model: `GET /api/topom/model`, and its record in the coordinator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TopomModel {
    pub token: String,
    pub start_time: String,
    pub admin_addr: String,
    pub product_name: String,
    pub pid: i64,
    pub pwd: String,
    pub sys: String,
}

/// The state of the product: `GET /topom/stats`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct TopomStats {
    pub closed: bool,
    pub slots: Vec<SlotRecord>,
    pub group: TopomGroups,
    pub proxy: TopomProxies,
    pub slot_action: SlotActionStats,
}

/// Groups, and what their servers said.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct TopomGroups {
    pub models: Vec<GroupRecord>,
    /// By address.
    pub stats: BTreeMap<String, GroupStats>,
}

/// The fields of INFO, all texts.
pub type GroupStats = Polled<BTreeMap<String, String>>;

/// Proxies, and what they said.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct TopomProxies {
    pub models: Vec<Model>,
    /// By token.
    pub stats: BTreeMap<String, ProxyStats>,
}

/// The statistics of a proxy.
pub type ProxyStats = Polled<Stats>;

/// What came of the last poll.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Polled<T> {
    pub stats: Option<T>,
    pub error: Option<RemoteError>,
    pub unixtime: i64,
    pub timeout: bool,
}

impl<T> Default for Polled<T> {
    fn default() -> Self {
        Self { stats: None, error: None, unixtime: 0, timeout: false }
    }
}

impl<T> Polled<T> {
    /// Why there is no answer, if there is none: what the console of Codis paints red.
    pub fn fault(&self) -> Option<String> {
        match (&self.error, &self.stats) {
            (Some(error), _) => Some(error.cause.clone()),
            _ if self.timeout => Some("it did not answer in time".to_owned()),
            (None, None) => Some("it has not answered yet".to_owned()),
            _ => None,
        }
    }
}

/// Moves that are under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SlotActionStats {
    /// Microseconds.
    pub interval: i64,
    pub disabled: bool,
    pub progress: Progress,
    /// How many move at this moment.
    pub executor: i64,
}

/// One text for all slots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Progress {
    pub status: String,
}

impl Topom {
    /// Reads the answer of a dashboard.
    pub fn read(body: &[u8]) -> Result<Self, crate::Error> {
        let refused =
            |error| crate::Error::Body(format!("this is no answer of a codis-dashboard: {error}"));
        serde_json::from_slice(body).map_err(refused)
    }

    /// How many slots the product has.
    pub fn slots(&self) -> i64 {
        if self.config.max_slot_num > 0 { self.config.max_slot_num } else { 1024 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::SlotState;

    const TOPOM: &str = r#"{
        "version": "v", "compile": "c",
        "config": {"product_name": "codis-demo", "migration_method": "semi-async", "migration_timeout": "30s", "max_slot_num": 64},
        "model": {"token": "t", "admin_addr": "10.0.0.2:18080", "product_name": "codis-demo", "pid": 77},
        "stats": {
            "closed": false,
            "slots": [{"id": 0, "group_id": 1, "action": {}}, {"id": 1, "group_id": 1, "action": {"state": "prepared", "target_id": 2}}],
            "group": {
                "models": [{"id": 1, "servers": [{"server": "10.0.0.11:6379", "datacenter": "", "action": {}, "replica_group": false}],
                    "promoting": {}, "out_of_sync": false}],
                "stats": {"10.0.0.11:6379": {"stats": {"maxmemory": "0"}, "unixtime": 1541390400}}
            },
            "proxy": {
                "models": [{"id": 1, "token": "p1", "admin_addr": "10.0.0.5:11080"}, {"id": 2, "token": "p2"}, {"id": 3, "token": "p3"}],
                "stats": {
                    "p1": {"stats": {"online": true, "closed": false}, "unixtime": 1541390400},
                    "p2": {"error": {"Cause": "connection refused", "Stack": null}, "unixtime": 1541390400},
                    "p3": {"unixtime": 1541390400, "timeout": true}
                }
            },
            "slot_action": {"interval": 100, "disabled": false, "progress": {"status": "[OK] Slot[0579]@DB[0]=1234"}, "executor": 1},
            "sentinels": {"model": {"out_of_sync": false}}
        }
    }"#;

    #[test]
    fn a_product_is_read() {
        let topom = Topom::read(TOPOM.as_bytes()).unwrap();
        assert_eq!((topom.slots(), topom.stats.slots[1].action.state), (64, SlotState::Prepared));
        let fault = |token: &str| topom.stats.proxy.stats[token].fault();
        assert_eq!(fault("p1"), None);
        assert_eq!(fault("p2").as_deref(), Some("connection refused"));
        assert_eq!(fault("p3").as_deref(), Some("it did not answer in time"));
        assert_eq!(topom.stats.group.stats["10.0.0.11:6379"].fault(), None);
        assert_eq!(topom.stats.slot_action.progress.status, "[OK] Slot[0579]@DB[0]=1234");
        assert_eq!(Topom::read(b"{}").unwrap().slots(), 1024);
        assert!(Topom::read(b"<html>").is_err());
    }

    #[test]
    fn calls_carry_the_products_xauth() {
        assert_eq!(
            api_path("codis-demo", "xping", ""),
            "/api/topom/xping/95b62887719520f17e312eaa76d28f2b"
        );
        let online = api_path("codis-demo", "proxy/online", "10.0.0.5:11080");
        assert_eq!(
            online,
            "/api/topom/proxy/online/95b62887719520f17e312eaa76d28f2b/10.0.0.5:11080"
        );
    }
}
