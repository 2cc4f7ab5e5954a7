//! The statistics. A superset of both lines; integers are integers, `cpu` and `cpu_fraction` alone are numbers with a fraction.

use super::RedisErrors;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /proxy/stats`. A proxy that says `online: false` and `closed: false` is filled again by the dashboard every two seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    pub online: bool,
    pub closed: bool,
    pub sentinels: SentinelStats,
    pub ops: Ops,
    pub sessions: Sessions,
    pub rusage: Rusage,
    pub backend: Backend,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// Requests over the threshold of the slow log; the fork's.
    pub slow_cmd_count: i64,
}

/// What sentinels say, of a proxy that was told to ask them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SentinelStats {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
    /// By the number of the group.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub masters: BTreeMap<String, String>,
    /// A slot was routed anew by them since its last fill.
    #[serde(skip_serializing_if = "super::is_default")]
    pub switched: bool,
}

/// Requests since start or reset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ops {
    pub total: i64,
    pub fails: i64,
    pub redis: RedisErrors,
    /// Of the last full second.
    pub qps: i64,
    /// By name. Upstream leaves it out where nobody asked for it, the fork never does: `None` leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<CommandStats>>,
}

/// One command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CommandStats {
    /// Upper case; `ALL` for all of them together.
    pub opstr: String,
    /// Seconds: 1, 10, 60, 600 or 3600.
    pub interval: i64,
    /// Within the interval.
    pub total_calls: i64,
    pub total_usecs: i64,
    pub usecs_percall: i64,
    /// Since start.
    pub calls: i64,
    pub usecs: i64,
    pub fails: i64,
    /// Error replies.
    pub redis_errtype: i64,
    /// Microseconds.
    pub max_delay: i64,
    pub qps: i64,
    /// Milliseconds, as all that follow but the counts.
    pub avg: i64,
    pub tp90: i64,
    pub tp99: i64,
    pub tp999: i64,
    pub tp9999: i64,
    pub tp100: i64,
    /// Requests of the interval that took at least so long.
    pub delay50ms: i64,
    pub delay100ms: i64,
    pub delay200ms: i64,
    pub delay300ms: i64,
    pub delay500ms: i64,
    pub delay1s: i64,
    pub delay2s: i64,
    pub delay3s: i64,
}

/// Connections of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sessions {
    pub total: i64,
    pub alive: i64,
}

/// What the process uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rusage {
    /// A moment as Go prints it.
    pub now: String,
    /// In cores, over the last second.
    pub cpu: f64,
    /// Resident bytes.
    pub mem: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<RusageRaw>,
}

/// Times in nanoseconds, sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RusageRaw {
    pub utime: i64,
    pub stime: i64,
    pub cutime: i64,
    pub cstime: i64,
    pub num_threads: i64,
    pub vm_size: i64,
    pub vm_rss: i64,
}

/// How nodes are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backend {
    pub primary_only: bool,
}

/// What Go's runtime would say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Runtime {
    pub general: General,
    pub heap: Heap,
    pub gc: Gc,
    pub num_procs: i64,
    pub num_goroutines: i64,
    pub num_cgo_call: i64,
    pub mem_offheap: i64,
}

/// Of the allocator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct General {
    pub alloc: u64,
    pub sys: u64,
    pub lookups: u64,
    pub mallocs: u64,
    pub frees: u64,
}

/// Of the heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Heap {
    pub alloc: u64,
    pub sys: u64,
    pub idle: u64,
    pub inuse: u64,
    pub objects: u64,
}

/// Of the collector, which we have not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gc {
    pub num: u32,
    pub cpu_fraction: f64,
    pub total_pausems: u64,
}

/// What of the statistics is wanted: the last part of `/api/proxy/stats/:xauth/:flags`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatsFlags(pub i64);

impl StatsFlags {
    /// Everything, as without a flag on the paths for people.
    pub const ALL: Self = Self(7);

    /// Reads a decimal number; the error is Go's.
    pub fn parse(text: &str) -> Result<Self, String> {
        crate::gonumber::parse("ParseInt", text).map(Self)
    }

    /// `ops.cmd`.
    pub const fn commands(self) -> bool {
        self.0 & 1 != 0
    }

    /// `runtime`.
    pub const fn runtime(self) -> bool {
        self.0 & 4 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json, to_value};

    fn example() -> Value {
        json!({
            "online": true,
            "closed": false,
            "sentinels": {},
            "ops": {
                "total": 123_456, "fails": 2, "redis": {"errors": 7}, "qps": 1450,
                "cmd": [{
                    "opstr": "GET", "interval": 1, "total_calls": 0, "total_usecs": 0, "usecs_percall": 212,
                    "calls": 90_000, "usecs": 19_080_000, "fails": 0, "redis_errtype": 1, "max_delay": 0, "qps": 1200,
                    "avg": 0, "tp90": 5, "tp99": 5, "tp999": 10, "tp9999": 10, "tp100": 9,
                    "delay50ms": 0, "delay100ms": 0, "delay200ms": 0, "delay300ms": 0,
                    "delay500ms": 0, "delay1s": 0, "delay2s": 0, "delay3s": 0
                }]
            },
            "sessions": {"total": 311, "alive": 42},
            "rusage": {
                "now": "2018-11-05 12:10:00.1 +0800 CST", "cpu": 0.37, "mem": 73_400_320,
                "raw": {
                    "utime": 1_200_000_000, "stime": 300_000_000, "cutime": 0, "cstime": 0,
                    "num_threads": 9, "vm_size": 912_261_120, "vm_rss": 73_400_320
                }
            },
            "backend": {"primary_only": false},
            "slow_cmd_count": 3
        })
    }

    #[test]
    fn statistics_are_written_as_they_are_read() {
        let stats: Stats = serde_json::from_value(example()).unwrap();
        assert_eq!(to_value(&stats).unwrap(), example());
    }

    #[test]
    fn integers_have_no_fraction_and_the_poll_has_no_commands() {
        let stats = Stats { runtime: Some(Runtime::default()), ..Stats::default() };
        let text = crate::json::pretty(&stats);
        assert!(!text.contains('.') && !text.contains("\"cmd\""), "{text}");
        assert!(text.contains("\"num_goroutines\": 0"));
    }

    #[test]
    fn statistics_of_an_upstream_proxy_can_be_read() {
        let text = r#"{"online":true,"closed":false,"sentinels":{"servers":["s:1"],"masters":{"1":"m:1"},"switched":true},
            "ops":{"total":1,"fails":0,"redis":{"errors":0},"qps":0},"sessions":{"total":1,"alive":1},"rusage":{"now":"","cpu":0,"mem":1},
            "backend":{"primary_only":true}}"#;
        let stats: Stats = serde_json::from_str(text).unwrap();
        assert!(
            stats.online
                && stats.sentinels.switched
                && stats.backend.primary_only
                && stats.ops.cmd.is_none()
        );
    }

    #[test]
    fn flags_are_bits() {
        assert!(StatsFlags::parse("5").is_ok_and(|flags| flags.commands() && flags.runtime()));
        assert!(StatsFlags::parse("2").is_ok_and(|flags| !flags.commands() && !flags.runtime()));
        assert_eq!(
            StatsFlags::parse("x").unwrap_err(),
            r#"strconv.ParseInt: parsing "x": invalid syntax"#
        );
        assert!(StatsFlags::ALL.commands() && StatsFlags::ALL.runtime());
    }
}
