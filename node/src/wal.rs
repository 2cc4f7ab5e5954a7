//! When a write is safe to be told: the one place that flushes and syncs the log.
//!
//! A write batch goes into the log's buffer. Before any reply of a turn leaves, [`Wal::settle`] gives the buffer to the operating system, once
//! for all sessions that were ready in the same turn of their worker. Reads settle too: nobody sees a value that the death of the process
//! could undo. Invariant: [`Wal::wrote`] is called under the lock of the slot that was written, so whoever sees the value sees the count.

use crate::config::WalSync;
use crate::engine::{Engine, EngineError};
use crate::stats::{Count, Durations};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How far the log has got. Numbers count writes since the start.
#[derive(Clone, Debug, Default)]
struct Synced {
    writes: u64,
    /// The request for a sync that was served last, well or not.
    request: u64,
    failure: Option<EngineError>,
}

/// What the syncing thread is asked for.
#[derive(Debug, Default)]
struct Asked {
    request: u64,
    stop: bool,
}

/// The write-ahead log of a node.
#[derive(Debug)]
pub struct Wal {
    engine: Arc<Engine>,
    mode: WalSync,
    written: AtomicU64,
    flushed: AtomicU64,
    flushing: Mutex<()>,
    asked: Mutex<Asked>,
    ask: Condvar,
    synced: watch::Sender<Synced>,
    syncs: Syncs,
}

/// How the syncs went; counted by the syncing thread.
#[derive(Debug, Default)]
pub struct Syncs {
    pub took: Durations,
    pub failed: Count,
}

/// How long the syncing thread sleeps when nobody asks.
const EVERY_SECOND: Duration = Duration::from_secs(1);

impl Wal {
    /// Starts the thread that syncs.
    pub fn start(
        engine: Arc<Engine>,
        mode: WalSync,
    ) -> std::io::Result<(Arc<Self>, JoinHandle<()>)> {
        let wal = Arc::new(Self {
            engine,
            mode,
            written: AtomicU64::new(0),
            flushed: AtomicU64::new(0),
            flushing: Mutex::new(()),
            asked: Mutex::default(),
            ask: Condvar::new(),
            synced: watch::Sender::new(Synced::default()),
            syncs: Syncs::default(),
        });
        let thread = std::thread::Builder::new().name("wal-sync".to_owned());
        let its = wal.clone();
        let thread = thread.spawn(move || its.sync_until_stopped())?;
        Ok((wal, thread))
    }

    /// How the syncs went.
    pub fn syncs(&self) -> &Syncs {
        &self.syncs
    }

    /// Counts a batch that is in the log's buffer now. Called under the lock of the slot that was written.
    pub fn wrote(&self) {
        self.written.fetch_add(1, Release);
    }

    /// Waits until everything that was written or seen by the caller survives what the configured mode says it survives.
    ///
    /// # Cancel safety
    /// Safe to drop: nothing is undone by it.
    pub async fn settle(&self) -> Result<(), EngineError> {
        if self.mode == WalSync::Always {
            return if self.synced.borrow().writes < self.written.load(Acquire) {
                self.sync().await
            } else {
                Ok(())
            };
        }
        if self.unflushed() {
            // Other sessions of this worker that are ready run first: one flush serves them all.
            tokio::task::yield_now().await;
            self.flush()?;
        }
        Ok(())
    }

    /// Whether a write waits in the log's buffer.
    pub fn unflushed(&self) -> bool {
        self.flushed.load(Acquire) < self.written.load(Acquire)
    }

    /// Gives the log's buffer to the operating system, unless that was done since the last write.
    pub fn flush(&self) -> Result<(), EngineError> {
        let needed = self.written.load(Acquire);
        if self.flushed.load(Acquire) >= needed {
            return Ok(());
        }
        let _only_one = self.flushing.lock();
        if self.flushed.load(Acquire) >= needed {
            return Ok(());
        }
        let covered = self.written.load(Acquire);
        self.engine.flush_wal()?;
        self.flushed.fetch_max(covered, Release);
        Ok(())
    }

    /// Waits until everything written so far survives the loss of power. Callers at the same time share one sync.
    ///
    /// # Cancel safety
    /// Safe to drop: the sync happens anyway.
    pub async fn sync(&self) -> Result<(), EngineError> {
        let needed = self.written.load(Acquire);
        let mut synced = self.synced.subscribe();
        let request = {
            let mut asked = self.asked.lock();
            asked.request += 1;
            self.ask.notify_one();
            asked.request
        };
        let done = synced.wait_for(|s| s.request >= request || s.writes >= needed).await;
        let stopping = || EngineError::Unwritable("the node is stopping".to_owned());
        match done {
            Ok(synced) if synced.writes >= needed => Ok(()),
            Ok(synced) => Err(synced.failure.clone().unwrap_or_else(stopping)),
            Err(_) => Err(stopping()),
        }
    }

    /// Syncs for the last time and ends the thread.
    pub fn stop(&self) {
        self.asked.lock().stop = true;
        self.ask.notify_one();
    }

    fn sync_until_stopped(&self) {
        loop {
            let (request, stop) = {
                let mut asked = self.asked.lock();
                if asked.request == self.synced.borrow().request && !asked.stop {
                    match self.mode {
                        WalSync::EverySecond => {
                            self.ask.wait_for(&mut asked, EVERY_SECOND);
                        }
                        WalSync::Never | WalSync::Always => self.ask.wait(&mut asked),
                    }
                }
                (asked.request, asked.stop)
            };
            let writes = self.written.load(Acquire);
            let behind = self.synced.borrow().writes < writes;
            let asked_for = self.synced.borrow().request < request;
            if behind || asked_for || stop {
                self.sync_now(writes, request);
            }
            if stop {
                return;
            }
        }
    }

    fn sync_now(&self, writes: u64, request: u64) {
        let begin = Instant::now();
        let failure = self.engine.sync_wal().err();
        self.syncs.took.add(begin.elapsed());
        if let Some(failure) = &failure {
            self.syncs.failed.one();
            tracing::error!(error = %failure, "the log cannot be synced");
        } else {
            self.flushed.fetch_max(writes, Release);
        }
        self.synced.send_modify(|synced| {
            synced.request = request;
            if failure.is_none() {
                synced.writes = writes;
            }
            synced.failure = failure;
        });
    }
}
