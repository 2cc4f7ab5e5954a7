//! What a node is told at its start, checked once.

use crate::error::Error;
use crate::transfer;
use cluster::SlotCount;
use protocol::slicer::Limits;
use std::path::PathBuf;
use std::time::Duration;

/// When the write-ahead log is synced to disk.
///
/// Whatever is chosen, an acknowledged write survives the death of the process: the log is given to the operating system before the reply
/// leaves. The choice is about the loss of power or of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WalSync {
    /// When the operating system likes: tens of seconds of writes may be lost with the power.
    Never,
    /// Once a second: up to a second of writes may be lost with the power.
    EverySecond,
    /// Before each acknowledgement: nothing is lost, and a write takes as long as a sync.
    Always,
}

/// A node's configuration. Every limit is here.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that CONFIG REWRITE writes to, if there is one.
    pub file: Option<PathBuf>,
    /// The directory of its data; made if missing.
    pub data: PathBuf,
    /// Where other parties reach this node, `host:port`.
    pub addr: String,
    /// Threads that serve clients.
    pub workers: usize,
    /// Slots of the cluster; fixed when the data directory is made.
    pub slot_count: SlotCount,
    /// Databases that SELECT knows.
    pub databases: u8,
    /// What clients must say with AUTH, if anything.
    pub password: Option<String>,
    pub wal_sync: WalSync,
    /// Memory for caches and write buffers together, in bytes.
    pub memory_bytes: u64,
    /// Files that the store may have open.
    pub open_files_max: u32,
    /// Threads that flush and compact.
    pub background_jobs: u32,
    /// Threads for commands that take long.
    pub bulk_threads: usize,
    /// Elements from which on a command counts as long and leaves the worker.
    pub bulk_elements_min: u64,
    /// Free bytes on the disk below which writes that need space are refused.
    pub disk_reserve_bytes: u64,
    /// Connections that may be open at once.
    pub clients_max: usize,
    /// How long a plain client may be silent; zero: for ever.
    pub idle_timeout: Duration,
    /// Bytes of replies a client may leave unread before its requests wait.
    pub output_bytes_max: usize,
    /// Bytes of commands a client may queue between MULTI and EXEC, or behind a command that waits for a key.
    pub queue_bytes_max: usize,
    /// Positions of SCAN, HSCAN, SSCAN and ZSCAN that are remembered, in bytes.
    pub cursor_bytes_max: usize,
    /// The share of one core that the sweep for expired keys may take, in per cent.
    pub expire_effort_percent: u32,
    /// What a request may be.
    pub limits: Limits,
    /// What moving slots may take.
    pub transfer: transfer::Limits,
    /// Commands that take at least so many microseconds are kept for SLOWLOG; negative: none.
    pub slow_us_min: i64,
    /// How many slow commands are kept.
    pub slow_len_max: u64,
    /// How long requests that were read may take to finish when the node stops.
    pub stop_grace: Duration,
}

impl Config {
    /// The defaults, for data in `data` reached at `addr`.
    pub fn new(data: impl Into<PathBuf>, addr: impl Into<String>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            file: None,
            data: data.into(),
            addr: addr.into(),
            workers: cores,
            slot_count: SlotCount::DEFAULT,
            databases: 16,
            password: None,
            wal_sync: WalSync::EverySecond,
            memory_bytes: 256 << 20,
            open_files_max: 2048,
            background_jobs: cores.clamp(2, 8) as u32,
            bulk_threads: 4,
            bulk_elements_min: 5_000,
            disk_reserve_bytes: 64 << 20,
            clients_max: 10_000,
            idle_timeout: Duration::ZERO,
            output_bytes_max: 64 << 20,
            queue_bytes_max: 512 << 20,
            cursor_bytes_max: 16 << 20,
            expire_effort_percent: 5,
            limits: Limits::default(),
            transfer: transfer::Limits::default(),
            slow_us_min: 10_000,
            slow_len_max: 128,
            stop_grace: Duration::from_secs(5),
        }
    }

    /// Refuses what cannot be, naming the key and what is allowed.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |text: &str| Err(Error::Config(text.to_owned()));
        if self.workers == 0 || self.workers > 256 {
            return refuse("workers must be 1 to 256");
        }
        if self.databases == 0 {
            return refuse("databases must be 1 to 255");
        }
        if self.memory_bytes < MEMORY_BYTES_MIN {
            return refuse("memory_bytes must be at least 16 MiB");
        }
        if self.bulk_threads == 0 || self.bulk_threads > 256 {
            return refuse("bulk_threads must be 1 to 256");
        }
        if self.clients_max == 0 {
            return refuse("clients_max must be at least 1");
        }
        if self.expire_effort_percent > 50 {
            return refuse("expire_effort_percent must be 0 to 50");
        }
        if !(1..=100).contains(&self.transfer.copy_percent_beside_clients) {
            return refuse("copy_percent_beside_clients must be 1 to 100");
        }
        Ok(())
    }
}

/// Below this the store would flush all the time.
const MEMORY_BYTES_MIN: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let good = Config::new("/tmp/x", "127.0.0.1:1");
        assert!(good.check().is_ok());
        let bad = [
            (Config { workers: 0, ..good.clone() }, "workers"),
            (Config { databases: 0, ..good.clone() }, "databases"),
            (Config { memory_bytes: 1, ..good.clone() }, "memory_bytes"),
            (Config { bulk_threads: 0, ..good.clone() }, "bulk_threads"),
            (Config { clients_max: 0, ..good.clone() }, "clients_max"),
            (Config { expire_effort_percent: 99, ..good }, "expire_effort_percent"),
        ];
        for (config, key) in bad {
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
