//! Who a proxy is and how it is: the model, the overview, the fork's command statistics, and failures.

use super::{CommandStats, Slot, Stats, is_default};
use crate::config::Config;
use serde::{Deserialize, Serialize};

/// Who a proxy is. The dashboard keeps it, and dials `admin_addr` from then on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Model {
    /// Given by the dashboard, in its own copy.
    #[serde(skip_serializing_if = "is_default")]
    pub id: i64,
    pub token: String,
    /// A moment as Go prints it: [`GoTime`](crate::time::GoTime).
    pub start_time: String,
    pub admin_addr: String,
    pub proto_type: String,
    pub proxy_addr: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jodis_path: String,
    pub product_name: String,
    pub pid: i64,
    /// The working directory.
    pub pwd: String,
    /// What `uname -a` says.
    pub sys: String,
    /// The fork's; zero where it is not told.
    #[serde(skip_serializing_if = "is_default")]
    pub max_slot_num: i64,
    pub hostname: String,
    pub datacenter: String,
}

/// Everything: `GET /proxy`, and the body of JSON reports.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    pub version: String,
    pub compile: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Config>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<Stats>,
    /// Left out of reports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<Slot>,
}

/// `GET /proxy/cmdinfo/…` of the fork.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CmdInfo {
    pub total: i64,
    pub fails: i64,
    pub redis: RedisErrors,
    pub qps: i64,
    pub cmd: Vec<CommandStats>,
}

/// Error replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RedisErrors {
    pub errors: i64,
}

/// The body of an answer with status 800.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RemoteError {
    #[serde(rename = "Cause")]
    pub cause: String,
    #[serde(rename = "Stack")]
    pub stack: Option<Vec<StackLine>>,
}

/// Where a Go program failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct StackLine {
    pub name: String,
    pub file: String,
    pub line: i64,
}

impl RemoteError {
    /// The status that goes with it.
    pub const STATUS: u16 = 800;

    /// A failure, without a stack.
    pub fn new(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), stack: None }
    }

    /// Reads the body of an answer, if its status is one of failure: 800 or 1500.
    pub fn read(status: u16, body: &[u8]) -> Option<String> {
        matches!(status, 800 | 1500).then(|| match serde_json::from_slice::<Self>(body) {
            Ok(error) if !error.cause.is_empty() => error.cause,
            _ => "remote error is empty".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Flavour;
    use crate::json::pretty;

    const MODEL: &str = r#"{
    "token": "15fba3007f3c6ee0887749681cb82307",
    "start_time": "2018-11-05 12:00:00.123456789 +0800 CST",
    "admin_addr": "10.0.0.5:11080",
    "proto_type": "tcp4",
    "proxy_addr": "10.0.0.5:19000",
    "product_name": "codis-demo",
    "pid": 4242,
    "pwd": "/srv/codis",
    "sys": "Linux host5 5.10.0 #1 SMP x86_64 GNU/Linux",
    "hostname": "host5",
    "datacenter": ""
}"#;

    #[test]
    fn a_model_is_written_as_it_is_read() {
        let model: Model = serde_json::from_str(MODEL).unwrap();
        assert_eq!(pretty(&model), MODEL);
        let all = Model { id: 3, jodis_path: "/jodis/x".to_owned(), max_slot_num: 1024, ..model };
        let keys: Vec<_> =
            ["\"id\": 3,", "\"jodis_path\"", "\"max_slot_num\": 1024", "\"hostname\""]
                .iter()
                .map(|key| pretty(&all).find(key).unwrap())
                .collect();
        assert!(keys.is_sorted());
    }

    #[test]
    fn failures_have_a_cause_and_no_stack() {
        let body = pretty(&RemoteError::new("missing loglevel"));
        assert_eq!(body, "{\n    \"Cause\": \"missing loglevel\",\n    \"Stack\": null\n}");
        assert_eq!(RemoteError::read(800, body.as_bytes()).as_deref(), Some("missing loglevel"));
        let go = br#"{"Cause":"x","Stack":[{"Name":"f","File":"a.go","Line":7}]}"#;
        assert_eq!(RemoteError::read(1500, go).as_deref(), Some("x"));
        assert_eq!(RemoteError::read(800, b"").as_deref(), Some("remote error is empty"));
        assert_eq!(RemoteError::read(200, go), None);
    }

    #[test]
    fn an_overview_has_its_parts_in_order() {
        let overview = Overview {
            version: "v".to_owned(),
            compile: "c".to_owned(),
            config: Some(Config::defaults(Flavour::Upstream)),
            model: Some(Model::default()),
            stats: Some(Stats::default()),
            slots: vec![Slot::default()],
        };
        let text = pretty(&overview);
        let places =
            ["\"version\"", "\"compile\"", "\"config\"", "\"model\"", "\"stats\"", "\"slots\""]
                .map(|key| text.find(key).unwrap());
        assert!(places.is_sorted());
        let report = pretty(&Overview { slots: Vec::new(), ..overview });
        assert!(!report.contains("\"slots\""));
    }
}
