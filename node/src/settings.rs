//! What CONFIG GET shows and CONFIG SET changes while the node runs.
//!
//! Few parameters have an effect here. Others that clients and test suites set (encodings, persistence, eviction) are accepted, remembered and
//! shown again; the rest is refused by name, as Redis does.

use crate::config::Config;
use parking_lot::RwLock;
pub use protocol::glob::matches;
use service::config_file::{self, RewriteError, Setting};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Accepted without effect, with Redis' default: what the store does instead is its own business.
const REMEMBERED: &[(&str, &str)] = &[
    ("active-defrag", "no"),
    ("activedefrag", "no"),
    ("activerehashing", "yes"),
    ("appendfsync", "everysec"),
    ("appendonly", "no"),
    ("auto-aof-rewrite-percentage", "100"),
    ("bind", "* -::*"),
    (
        "client-output-buffer-limit",
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
    ),
    ("client-query-buffer-limit", "1073741824"),
    ("close-on-oom", "no"),
    ("hash-max-listpack-entries", "128"),
    ("hash-max-listpack-value", "64"),
    ("hash-max-ziplist-entries", "128"),
    ("hash-max-ziplist-value", "64"),
    ("hll-sparse-max-bytes", "3000"),
    ("hz", "10"),
    ("latency-monitor-threshold", "0"),
    ("latency-tracking", "yes"),
    ("lazyfree-lazy-user-del", "no"),
    ("lazyfree-lazy-user-flush", "no"),
    ("list-compress-depth", "0"),
    ("list-max-listpack-size", "-2"),
    ("list-max-ziplist-size", "-2"),
    ("loglevel", "notice"),
    ("lua-time-limit", "5000"),
    ("masterauth", ""),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    ("maxmemory-samples", "5"),
    ("min-slaves-to-write", "0"),
    ("min-replicas-to-write", "0"),
    ("notify-keyspace-events", ""),
    ("port", "0"),
    ("proto-max-bulk-len", "536870912"),
    ("repl-diskless-sync", "yes"),
    ("replica-read-only", "yes"),
    ("save", ""),
    ("set-max-intset-entries", "512"),
    ("slave-read-only", "yes"),
    ("stop-writes-on-bgsave-error", "yes"),
    ("stream-node-max-bytes", "4096"),
    ("stream-node-max-entries", "100"),
    ("tcp-keepalive", "300"),
    ("zset-max-listpack-entries", "128"),
    ("zset-max-listpack-value", "64"),
    ("zset-max-ziplist-entries", "128"),
    ("zset-max-ziplist-value", "64"),
];

/// Fixed while the node runs.
const FIXED: &[&str] = &["databases", "dir", "maxclients", "slot-count", "wal-sync"];

/// The parameters of a running node.
#[derive(Debug)]
pub struct Settings {
    values: RwLock<BTreeMap<String, String>>,
    password: RwLock<Option<String>>,
    /// Seconds a plain client may be silent; 0: for ever.
    idle_seconds: AtomicU64,
    slowlog_micros: AtomicI64,
    slowlog_entries_max: AtomicU64,
}

impl Settings {
    /// As configured.
    pub fn new(config: &Config) -> Self {
        let mut values: BTreeMap<String, String> =
            REMEMBERED.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let wal_sync = match config.wal_sync {
            crate::config::WalSync::Never => "never",
            crate::config::WalSync::EverySecond => "every-second",
            crate::config::WalSync::Always => "always",
        };
        let own = [
            ("databases", config.databases.to_string()),
            ("dir", config.data.display().to_string()),
            ("maxclients", config.clients_max.to_string()),
            ("slot-count", config.slot_count.get().to_string()),
            ("wal-sync", wal_sync.to_owned()),
            ("requirepass", config.password.clone().unwrap_or_default()),
            ("timeout", config.idle_timeout.as_secs().to_string()),
            ("slowlog-log-slower-than", config.slow_us_min.to_string()),
            ("slowlog-max-len", config.slow_len_max.to_string()),
        ];
        values.extend(own.map(|(k, v)| (k.to_owned(), v)));
        Self {
            values: RwLock::new(values),
            password: RwLock::new(config.password.clone().filter(|p| !p.is_empty())),
            idle_seconds: AtomicU64::new(config.idle_timeout.as_secs()),
            slowlog_micros: AtomicI64::new(config.slow_us_min),
            slowlog_entries_max: AtomicU64::new(config.slow_len_max),
        }
    }

    /// The parameters whose name fits one of the patterns.
    pub fn find(&self, patterns: &[&[u8]]) -> Vec<(String, String)> {
        let lower: Vec<Vec<u8>> = patterns.iter().map(|p| p.to_ascii_lowercase()).collect();
        let values = self.values.read();
        let fits = values
            .iter()
            .filter(|(name, _)| lower.iter().any(|pattern| matches(pattern, name.as_bytes())));
        fits.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Changes parameters, all or none. The error is the line the client gets.
    pub fn set(&self, pairs: &[(&[u8], &[u8])]) -> Result<(), String> {
        let pairs: Vec<(String, String)> = pairs
            .iter()
            .map(|(k, v)| {
                (
                    String::from_utf8_lossy(k).to_ascii_lowercase(),
                    String::from_utf8_lossy(v).into_owned(),
                )
            })
            .collect();
        let mut values = self.values.write();
        for (index, (name, value)) in pairs.iter().enumerate() {
            let failed = |why: &str| {
                Err(format!(
                    "ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"
                ))
            };
            if !values.contains_key(name) {
                return Err(format!(
                    "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
                ));
            }
            if FIXED.contains(&name.as_str()) {
                return failed("can't set immutable config");
            }
            if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                return failed("duplicate parameter");
            }
            let is_number =
                matches!(name.as_str(), "timeout" | "slowlog-log-slower-than" | "slowlog-max-len");
            if is_number && value.parse::<i64>().ok().is_none_or(|n| n < -1) {
                return failed("argument couldn't be parsed into an integer");
            }
        }
        for (name, value) in pairs {
            let number = value.parse::<i64>().unwrap_or(0);
            match name.as_str() {
                "requirepass" => {
                    *self.password.write() = Some(value.clone()).filter(|p| !p.is_empty())
                }
                "timeout" => self.idle_seconds.store(number.max(0) as u64, Relaxed),
                "slowlog-log-slower-than" => self.slowlog_micros.store(number, Relaxed),
                "slowlog-max-len" => self.slowlog_entries_max.store(number.max(0) as u64, Relaxed),
                _ => {}
            }
            values.insert(name, value);
        }
        Ok(())
    }

    /// Writes what [`Settings::set`] can change and has an effect into the node's file, under the file's own names. Blocks until the disk has it.
    pub fn rewrite(&self, file: &Path) -> Result<(), RewriteError> {
        let integer = |n: u64| Setting::Integer(i64::try_from(n).unwrap_or(i64::MAX));
        let settings = [
            ("password", self.password().map_or(Setting::Default, Setting::Text)),
            ("idle_ms_max", integer(self.idle_seconds() * 1000)),
            ("slow_log.slower_than_us", Setting::Integer(self.slowlog_micros())),
            ("slow_log.len_max", integer(self.slowlog_entries_max() as u64)),
        ];
        config_file::rewrite(file, &settings)
    }

    /// What AUTH must say, if anything.
    pub fn password(&self) -> Option<String> {
        self.password.read().clone()
    }

    /// How long a plain client may be silent.
    pub fn idle_seconds(&self) -> u64 {
        self.idle_seconds.load(Relaxed)
    }

    /// Commands that take at least so long are logged; negative: none.
    pub fn slowlog_micros(&self) -> i64 {
        self.slowlog_micros.load(Relaxed)
    }

    /// How many slow commands are kept.
    pub fn slowlog_entries_max(&self) -> usize {
        self.slowlog_entries_max.load(Relaxed) as usize
    }
}
