//! `node.toml` as written. The file `config/node.toml` is the manual.

use super::Settings;
use crate::file::{Request, ms, set};
use anyhow::{Result, bail};
use cluster::SlotCount;
use node::{Config, WalSync};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// The file; what is missing has its default.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    data: PathBuf,
    listen: String,
    admin: String,
    addr: Option<String>,
    workers: Option<usize>,
    slots: Option<u32>,
    databases: Option<u8>,
    password: Option<String>,
    wal_sync: Option<WalSync>,
    memory_bytes: Option<u64>,
    open_files_max: Option<u32>,
    background_jobs: Option<u32>,
    bulk_threads: Option<usize>,
    bulk_elements_min: Option<u64>,
    disk_reserve_bytes: Option<u64>,
    clients_max: Option<usize>,
    idle_ms_max: Option<u64>,
    output_bytes_max: Option<usize>,
    queue_bytes_max: Option<usize>,
    cursor_bytes_max: Option<usize>,
    expire_effort_percent: Option<u32>,
    stop_grace_ms: Option<u64>,
    #[serde(default)]
    request: Request,
    #[serde(default)]
    slow_log: SlowLog,
    #[serde(default)]
    transfer: Transfer,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlowLog {
    slower_than_us: Option<i64>,
    len_max: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    chunk_bytes: Option<usize>,
    capture_bytes_max: Option<usize>,
    tail_bytes_max: Option<usize>,
    drain_us_max: Option<u64>,
    handoff_budget_us: Option<u64>,
    handoff_pause_ms: Option<u64>,
    handoff_attempts_max: Option<u32>,
    copies_at_once: Option<usize>,
    copy_percent_beside_clients: Option<u32>,
    copy_starts_max: Option<u32>,
    call_ms_max: Option<u64>,
    relay_ms_max: Option<u64>,
    clock_offset_ms_max: Option<u64>,
}

impl File {
    /// Refuses what cannot be, naming the key and what is allowed.
    pub(super) fn check(self) -> Result<Settings> {
        let addr = self.addr.unwrap_or_else(|| self.listen.clone());
        if addr.starts_with("0.0.0.0:") || addr.starts_with("[::]:") {
            bail!(
                "listen is {addr}, which no other party can connect to: set addr to the host:port where they reach this node"
            );
        }
        let mut config = Config::new(self.data, addr);
        if let Some(n) = self.slots {
            let Some(count) = SlotCount::new(n) else {
                bail!("slots is {n}: 1 to {} are possible", SlotCount::MAX)
            };
            config.slot_count = count;
        }
        set(&mut config.workers, self.workers);
        set(&mut config.databases, self.databases);
        config.password = self.password;
        set(&mut config.wal_sync, self.wal_sync);
        set(&mut config.memory_bytes, self.memory_bytes);
        set(&mut config.open_files_max, self.open_files_max);
        set(&mut config.background_jobs, self.background_jobs);
        set(&mut config.bulk_threads, self.bulk_threads);
        set(&mut config.bulk_elements_min, self.bulk_elements_min);
        set(&mut config.disk_reserve_bytes, self.disk_reserve_bytes);
        set(&mut config.clients_max, self.clients_max);
        set(&mut config.idle_timeout, ms(self.idle_ms_max));
        set(&mut config.output_bytes_max, self.output_bytes_max);
        set(&mut config.queue_bytes_max, self.queue_bytes_max);
        set(&mut config.cursor_bytes_max, self.cursor_bytes_max);
        set(&mut config.expire_effort_percent, self.expire_effort_percent);
        set(&mut config.stop_grace, ms(self.stop_grace_ms));
        self.request.into(&mut config.limits);
        self.transfer.into(&mut config.transfer);
        set(&mut config.slow_us_min, self.slow_log.slower_than_us);
        set(&mut config.slow_len_max, self.slow_log.len_max);
        config.check()?;
        Ok(Settings { listen: self.listen, admin: self.admin, config })
    }
}

impl Transfer {
    fn into(self, limits: &mut node::transfer::Limits) {
        set(&mut limits.chunk_bytes, self.chunk_bytes);
        set(&mut limits.capture_bytes_max, self.capture_bytes_max);
        set(&mut limits.tail_bytes_max, self.tail_bytes_max);
        set(&mut limits.drain_max, self.drain_us_max.map(Duration::from_micros));
        set(&mut limits.handoff_budget, self.handoff_budget_us.map(Duration::from_micros));
        set(&mut limits.handoff_pause, ms(self.handoff_pause_ms));
        set(&mut limits.handoff_attempts_max, self.handoff_attempts_max);
        set(&mut limits.copies_at_once, self.copies_at_once);
        set(&mut limits.copy_percent_beside_clients, self.copy_percent_beside_clients);
        set(&mut limits.copy_starts_max, self.copy_starts_max);
        set(&mut limits.call_timeout, ms(self.call_ms_max));
        set(&mut limits.relay_max, ms(self.relay_ms_max));
        set(&mut limits.clock_offset_max, ms(self.clock_offset_ms_max));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANUAL: &str = include_str!("../../../config/node.toml");

    #[test]
    fn the_manual_is_a_valid_file_with_the_defaults() {
        let settings = toml::from_str::<File>(MANUAL).unwrap().check().unwrap();
        let mut defaults = Config::new("/var/lib/slipway/node", "127.0.0.1:7001");
        // These depend on the machine, so the manual has them as comments.
        defaults.workers = settings.config.workers;
        defaults.background_jobs = settings.config.background_jobs;
        assert_eq!(format!("{:?}", settings.config), format!("{defaults:?}"));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let base = "data = \"d\"\nlisten = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:2\"\n";
        let refused = |text: String| match toml::from_str::<File>(&text) {
            Err(error) => error.to_string(),
            Ok(file) => file.check().map(|_| ()).unwrap_err().to_string(),
        };
        assert!(refused(format!("{base}worker = 1\n")).contains("worker"));
        assert!(refused(format!("{base}workers = 0\n")).contains("workers"));
        assert!(refused(format!("{base}slots = 0\n")).contains("slots is 0"));
        assert!(refused(format!("{base}wal_sync = \"often\"\n")).contains("often"));
        assert!(refused(format!("{base}[transfer]\nx = 1\n")).contains('x'));
        let open = "data = \"d\"\nlisten = \"0.0.0.0:1\"\nadmin = \"127.0.0.1:2\"\n";
        assert!(refused(open.to_owned()).contains("set addr"));
    }
}
