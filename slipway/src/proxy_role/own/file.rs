//! `proxy.toml` as written. The file `config/proxy.toml` is the manual.

use super::Settings;
use crate::file::{Request, Scores, ms, set};
use anyhow::{Result, bail};
use cluster::SlotCount;
use proxy::Config;
use proxy::config::WholeCluster;
use serde::Deserialize;
use std::time::Duration;

/// The file; what is missing has its default.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    listen: String,
    admin: String,
    controller: String,
    name: Option<String>,
    workers: Option<usize>,
    slots: Option<u32>,
    client_password: Option<String>,
    node_password: Option<String>,
    databases: Option<u32>,
    client_idle_ms_max: Option<u64>,
    stop_grace_ms: Option<u64>,
    whole_cluster_commands: Option<bool>,
    #[serde(default)]
    request: Request,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    hold: Hold,
    #[serde(default)]
    upstream: Upstream,
    #[serde(default)]
    foreign: Foreign,
    #[serde(default)]
    slow_log: SlowLog,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the keys of the file")]
struct Limits {
    clients_max: Option<usize>,
    session_unanswered_bytes_max: Option<usize>,
    session_in_flight_max: Option<usize>,
    session_reply_bytes_max: Option<usize>,
    process_unanswered_bytes_max: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hold {
    requests_per_slot_max: Option<usize>,
    bytes_max: Option<usize>,
    soft_ms: Option<u64>,
    timeout_ms: Option<u64>,
    node_down_ms: Option<u64>,
    drain_in_flight_max: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Upstream {
    connections: Option<u16>,
    connect_ms_max: Option<u64>,
    reply_ms_max: Option<u64>,
    retry_pause_ms_max: Option<u64>,
    private_idle_max: Option<usize>,
    private_max: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Foreign {
    fill_wait_ms: Option<u64>,
    move_timeout_ms: Option<u64>,
    sweep_in_flight_max: Option<usize>,
    gone_keys_max: Option<usize>,
    asks_in_flight_max: Option<usize>,
    probed_keys_max: Option<u64>,
    examine_timeout_ms: Option<u64>,
    examine_keys_max: Option<usize>,
    noted_keys_max: Option<usize>,
    fractional_scores: Option<Scores>,
    carried_bytes_max: Option<u64>,
    carried_registers_max: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlowLog {
    slower_than_us: Option<i64>,
    len_max: Option<usize>,
}

impl File {
    /// Refuses what cannot be, naming the key and what is allowed.
    pub(super) fn check(self) -> Result<Settings> {
        let mut config = Config::default();
        if let Some(n) = self.slots {
            let Some(count) = SlotCount::new(n) else {
                bail!("slots is {n}: 1 to {} are possible", SlotCount::MAX)
            };
            config.slot_count = count;
        }
        set(&mut config.name, self.name);
        set(&mut config.workers, self.workers);
        config.client_password = self.client_password;
        config.node_password = self.node_password;
        set(&mut config.databases, self.databases);
        set(&mut config.client_idle_max, ms(self.client_idle_ms_max));
        set(&mut config.stop_grace, ms(self.stop_grace_ms));
        let served = |yes| if yes { WholeCluster::Served } else { WholeCluster::Refused };
        set(&mut config.whole_cluster, self.whole_cluster_commands.map(served));
        self.request.into(&mut config.limits.request);
        self.limits.into(&mut config.limits);
        self.hold.into(&mut config.hold);
        self.upstream.into(&mut config.upstream);
        self.foreign.into(&mut config.foreign);
        self.slow_log.into(&mut config.slow_log);
        config.check()?;
        Ok(Settings { listen: self.listen, admin: self.admin, controller: self.controller, config })
    }
}

impl Limits {
    fn into(self, limits: &mut proxy::config::Limits) {
        set(&mut limits.clients_max, self.clients_max);
        set(&mut limits.session_unanswered_bytes_max, self.session_unanswered_bytes_max);
        set(&mut limits.session_in_flight_max, self.session_in_flight_max);
        set(&mut limits.session_reply_bytes_max, self.session_reply_bytes_max);
        set(&mut limits.process_unanswered_bytes_max, self.process_unanswered_bytes_max);
    }
}

impl Hold {
    fn into(self, hold: &mut proxy::config::Hold) {
        set(&mut hold.requests_per_slot_max, self.requests_per_slot_max);
        set(&mut hold.bytes_max, self.bytes_max);
        set(&mut hold.soft, ms(self.soft_ms));
        set(&mut hold.timeout, ms(self.timeout_ms));
        set(&mut hold.node_down, ms(self.node_down_ms));
        set(&mut hold.drain_in_flight_max, self.drain_in_flight_max);
    }
}

impl Upstream {
    fn into(self, upstream: &mut proxy::config::Upstream) {
        set(&mut upstream.connections, self.connections);
        set(&mut upstream.connect_timeout, ms(self.connect_ms_max));
        set(&mut upstream.reply_timeout, ms(self.reply_ms_max));
        set(&mut upstream.retry_pause_max, ms(self.retry_pause_ms_max));
        set(&mut upstream.private_idle_max, self.private_idle_max);
        set(&mut upstream.private_max, self.private_max);
    }
}

impl Foreign {
    fn into(self, foreign: &mut proxy::config::Foreign) {
        set(&mut foreign.fill_wait, ms(self.fill_wait_ms));
        set(&mut foreign.move_timeout, ms(self.move_timeout_ms));
        set(&mut foreign.sweep_in_flight_max, self.sweep_in_flight_max);
        set(&mut foreign.gone_keys_max, self.gone_keys_max);
        set(&mut foreign.asks_in_flight_max, self.asks_in_flight_max);
        set(&mut foreign.probed_keys_max, self.probed_keys_max);
        set(&mut foreign.examine_timeout, ms(self.examine_timeout_ms));
        set(&mut foreign.examine_keys_max, self.examine_keys_max);
        set(&mut foreign.noted_keys_max, self.noted_keys_max);
        set(&mut foreign.fractional_scores, self.fractional_scores.map(Scores::into));
        set(&mut foreign.carried_bytes_max, self.carried_bytes_max);
        set(&mut foreign.carried_registers_max, self.carried_registers_max);
    }
}

impl SlowLog {
    /// A negative threshold switches the log off, as in Redis.
    fn into(self, slow_log: &mut proxy::config::SlowLog) {
        let threshold = |us: i64| u64::try_from(us).ok().map(Duration::from_micros);
        set(&mut slow_log.slower_than, self.slower_than_us.map(threshold));
        set(&mut slow_log.len_max, self.len_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANUAL: &str = include_str!("../../../../config/proxy.toml");

    #[test]
    fn the_manual_is_a_valid_file_with_the_defaults() {
        let settings = toml::from_str::<File>(MANUAL).unwrap().check().unwrap();
        // This depends on the machine, so the manual has it as a comment.
        let defaults = Config { workers: settings.config.workers, ..Config::default() };
        assert_eq!(format!("{:?}", settings.config), format!("{defaults:?}"));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let base =
            "listen = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:2\"\ncontroller = \"127.0.0.1:3\"\n";
        let refused = |text: String| match toml::from_str::<File>(&text) {
            Err(error) => error.to_string(),
            Ok(file) => file.check().map(|_| ()).unwrap_err().to_string(),
        };
        assert!(refused(format!("{base}worker = 1\n")).contains("worker"));
        assert!(refused(format!("{base}workers = 0\n")).contains("workers"));
        assert!(refused(format!("{base}slots = 99999\n")).contains("slots is 99999"));
        assert!(refused(format!("{base}[hold]\nsoft = 1\n")).contains("soft"));
        assert!(refused("listen = \"127.0.0.1:1\"\n".to_owned()).contains("admin"));
    }

    #[test]
    fn a_negative_threshold_switches_the_slow_log_off() {
        let base =
            "listen = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:2\"\ncontroller = \"127.0.0.1:3\"\n";
        let file: File =
            toml::from_str(&format!("{base}[slow_log]\nslower_than_us = -1\n")).unwrap();
        assert!(file.check().unwrap().config.slow_log.slower_than.is_none());
    }
}
