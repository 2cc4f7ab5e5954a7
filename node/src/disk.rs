//! Room on the disk, and what happens without it.
//!
//! Below the reserve, commands that need space are refused before the store ever sees an error, so the store stays whole and DEL can make
//! room. If writing fails all the same, all writes are refused, reads go on, and the store is asked to resume as soon as there is room.

use crate::engine::{Engine, EngineError};
use crate::error::CommandError;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How often the room is looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// The disk under a node.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    reserve_bytes: u64,
    free_bytes: AtomicU64,
    size_bytes: AtomicU64,
    failed: AtomicBool,
}

impl Disk {
    /// The disk that holds `path`.
    pub fn new(path: PathBuf, reserve_bytes: u64) -> Self {
        let disk = Self {
            path,
            reserve_bytes,
            free_bytes: AtomicU64::new(u64::MAX),
            size_bytes: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        };
        disk.look();
        disk
    }

    /// Free bytes, as of a moment ago.
    pub fn free_bytes(&self) -> u64 {
        self.free_bytes.load(Relaxed)
    }

    /// How large it is.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes.load(Relaxed)
    }

    /// Whether a write has failed and none has been tried with success since.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// Whether commands that need space may run.
    pub fn has_room(&self) -> bool {
        self.free_bytes() >= self.reserve_bytes
    }

    /// What a command that needs space is told when there is no room.
    pub fn refusal(&self) -> CommandError {
        const MIB: u64 = 1 << 20;
        let (free, reserve) = (self.free_bytes() / MIB, self.reserve_bytes / MIB);
        format!(
            "MISCONF this node's disk has {free} MiB free and disk_reserve is {reserve} MiB: writes that need space are refused; \
             free space, move slots away, or delete keys (DEL works)"
        )
        .into()
    }

    /// A write has failed.
    pub fn note(&self, error: &EngineError) {
        if matches!(error, EngineError::Unwritable(_)) && !self.failed.swap(true, Relaxed) {
            tracing::error!(%error, "the disk refuses writes");
        }
    }

    /// Looks at the disk for ever, and resumes the store after a failure once there is room.
    pub async fn watch(self: Arc<Self>, engine: Arc<Engine>) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            self.look();
            if self.failed.load(Relaxed) && self.has_room() {
                let engine = engine.clone();
                let resumed = tokio::task::spawn_blocking(move || engine.resume()).await;
                if matches!(resumed, Ok(Ok(()))) {
                    self.failed.store(false, Relaxed);
                    tracing::info!("the disk takes writes again");
                }
            }
        }
    }

    fn look(&self) {
        match rustix::fs::statvfs(&self.path) {
            Ok(stat) => {
                self.free_bytes.store(stat.f_bavail.saturating_mul(stat.f_frsize), Relaxed);
                self.size_bytes.store(stat.f_blocks.saturating_mul(stat.f_frsize), Relaxed);
            }
            Err(error) => {
                tracing::warn!(%error, path = %self.path.display(), "cannot see how much room the disk has")
            }
        }
    }
}
