//! The one migration thread of a Pika, with its one slot, and what asks it: SLOTSMGRTTAGSLOT-ASYNC, SLOTSMGRT-EXEC-WRAPPER, STATUS, CANCEL.
//!
//! States (`pika-node-contract.md` §2.5; `pika-live.md` §2, 4.6):
//!
//! ```text
//!          ASYNC, or a wrapper of its slot                  slot set empty, or a key failed
//!   idle ──────────────────────────────────► migrating ───────────────────────────────────► idle
//!                                               │  ▲
//!                                        CANCEL │  │ a wrapper: the thread ends at once, and the state stays
//!                                               ▼  │ `migrating` until the process ends (wedged)
//!                                             cancelled
//! ```
//!
//! The slot number is set by an accepted ASYNC alone and never reset. The state lock is held by a wrapper, by STATUS and by the end of the
//! thread; ASYNC only tries it.

mod round;

use super::Pika;
use super::data::Data;
use super::settings::Fault;
use super::sync_move::Target;
use crate::commands::{Refused, int};
use crate::store::Bytes;
use parking_lot::Mutex;
use protocol::reply::errors;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::index;

/// A type letter and a key.
type Filed = (u8, Bytes);

#[derive(Debug)]
pub(crate) struct Migrator {
    /// The state lock.
    job: tokio::sync::Mutex<Job>,
    queues: Mutex<Queues>,
    wake: Notify,
    /// A round has been asked for.
    requested: AtomicBool,
    /// Set by CANCEL, reset by the next ASYNC that starts the thread.
    exit: AtomicBool,
    /// The thread is between its start and its end.
    runs: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Job {
    target: Target,
    keys: usize,
    slot: i64,
    migrating: bool,
    moved: usize,
}

#[derive(Debug, Default)]
struct Queues {
    /// To be sent.
    keys: VecDeque<Filed>,
    /// Asked for by wrappers; not emptied at the end of a slot.
    asked: VecDeque<Filed>,
    /// Of this round, sent or not.
    round: BTreeSet<Filed>,
}

impl Default for Migrator {
    fn default() -> Self {
        let target = Target { host: "none".to_owned(), port: 0, limit: Duration::from_secs(3) };
        Self {
            job: Job { target, keys: 0, slot: -1, migrating: false, moved: 0 }.into(),
            queues: Mutex::default(),
            wake: Notify::new(),
            requested: AtomicBool::new(false),
            exit: AtomicBool::new(false),
            runs: AtomicBool::new(false),
            thread: Mutex::default(),
        }
    }
}

impl Migrator {
    fn notify(&self) {
        self.requested.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }

    /// Waits for the thread before, which has ended or is about to.
    async fn join(&self) {
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            let _ = thread.await;
        }
    }

    /// Whether SIGTERM would be without effect: real Pika hangs then.
    pub(super) fn is_wedged(&self) -> bool {
        let migrating = self.job.try_lock().is_ok_and(|job| job.migrating);
        migrating && !self.runs.load(Ordering::SeqCst)
    }

    /// As after a restart of the process.
    pub(super) async fn reset(&self) {
        self.exit.store(true, Ordering::SeqCst);
        self.notify();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            thread.abort();
            let _ = thread.await;
        }
        let fresh = Self::default();
        *self.job.lock().await = fresh.job.into_inner();
        *self.queues.lock() = Queues::default();
        self.requested.store(false, Ordering::SeqCst);
        self.exit.store(false, Ordering::SeqCst);
        self.runs.store(false, Ordering::SeqCst);
    }
}

fn positive(word: &[u8], least: i64) -> Result<i64, Refused> {
    int(word).filter(|number| *number >= least).ok_or(Refused::from(errors::NOT_INTEGER))
}

impl Pika {
    /// SLOTSMGRTTAGSLOT-ASYNC host port ms maxbulks maxbytes slot numkeys: how many keys are left before this call's work.
    pub(super) async fn order(self: &Arc<Self>, words: &[Bytes]) -> Result<i64, Refused> {
        let host = String::from_utf8_lossy(&words[1]).to_lowercase();
        let port = positive(&words[2], 1)?;
        if self.is_self(&host, port as u16) {
            return Err("ERR destination address error".into());
        }
        let limit = Duration::from_millis(positive(&words[3], 1)?.unsigned_abs());
        positive(&words[4], 1)?;
        positive(&words[5], 1)?;
        let slot = positive(&words[6], 0)?;
        if self.data().slots().slot(slot.unsigned_abs()).is_none() {
            return Err(errors::NOT_INTEGER.into());
        }
        let keys = positive(&words[7], 0)? as usize;
        let target = Target { host, port: port as u16, limit };
        let left = {
            let data = &mut *self.data();
            if !data.settings.slotmigrate {
                return Err("ERR please open slotmigrate and reload slot".into());
            }
            index::count(&mut data.store, slot)
        };
        let Some(left) = left else { return Ok(0) };
        if self.start_or_notify(target, slot, keys).await {
            Ok(left as i64)
        } else {
            Err("ERR Slot batch migrating keys error, may be currently migrating".into())
        }
    }

    /// False if the state lock is held or another slot or target is on its way.
    async fn start_or_notify(self: &Arc<Self>, target: Target, slot: i64, keys: usize) -> bool {
        let Ok(mut job) = self.migrator.job.try_lock() else { return false };
        let same =
            (&job.target.host, job.target.port, job.slot) == (&target.host, target.port, slot);
        if job.migrating && !same {
            return false;
        }
        job.target = target;
        job.keys = keys;
        if !job.migrating {
            job.slot = slot;
            self.migrator.exit.store(false, Ordering::SeqCst);
            self.start_thread(&mut job).await;
        }
        self.migrator.notify();
        true
    }

    async fn start_thread(self: &Arc<Self>, job: &mut Job) {
        self.migrator.join().await;
        job.migrating = true;
        self.migrator.runs.store(true, Ordering::SeqCst);
        let thread = tokio::spawn(round::thread(Arc::clone(self), job.clone()));
        *self.migrator.thread.lock() = Some(thread);
    }

    /// SLOTSMGRT-EXEC-WRAPPER: 0, 1 or −1, given twice.
    pub(super) async fn wrap(self: &Arc<Self>, key: &[u8]) -> i64 {
        let (key, other_slot) = {
            let data: &Data = &self.data();
            let lower = data.has(Fault::LowerCase);
            let key = if lower { key.to_ascii_lowercase() } else { key.to_vec() };
            (key, data.has(Fault::OtherSlot))
        };
        let mut job = self.migrator.job.lock().await;
        let (letter, slot) = {
            let data = &mut *self.data();
            data.tick();
            (data.looked_up(&key), i64::from(data.slots().of(&key).0))
        };
        let Some(letter) = letter else { return 0 };
        if slot != job.slot {
            return if other_slot { -1 } else { 1 };
        }
        if !job.migrating {
            if !self.data().has(Fault::CancelWedges) {
                self.migrator.exit.store(false, Ordering::SeqCst);
            }
            self.start_thread(&mut job).await;
        }
        let queues = &mut *self.migrator.queues.lock();
        let filed = (letter, key);
        if !queues.asked.contains(&filed) && !queues.round.contains(&filed) {
            queues.asked.push_back(filed);
            self.migrator.notify();
        }
        1
    }

    /// SLOTSMGRT-ASYNC-STATUS: its five lines.
    pub(super) async fn status(&self) -> [String; 5] {
        let job = self.migrator.job.lock().await;
        let (address, numbers) = if job.migrating {
            let queued = self.migrator.queues.lock().keys.len();
            let left = index::count(&mut self.data().store, job.slot).unwrap_or(0) + queued;
            let address = format!("{}:{}", job.target.host, job.target.port);
            (address, [job.slot, job.moved as i64, left as i64])
        } else {
            (":-1".to_owned(), [-1; 3])
        };
        let word = if job.migrating { "yes" } else { "no" };
        [
            format!("dest server: {address}"),
            format!("slot number: {}", numbers[0]),
            format!("migrating  : {word}"),
            format!("moved keys : {}", numbers[1]),
            format!("remain keys: {}", numbers[2]),
        ]
    }

    /// Since when a slot migrates, for INFO: whether it does.
    pub(super) fn is_migrating(&self) -> bool {
        // Held is as good as yes: the lock is held only around the thread's work.
        self.migrator.job.try_lock().map_or(true, |job| job.migrating)
    }

    /// SLOTSMGRT-ASYNC-CANCEL: waits for the thread to end.
    pub(super) async fn cancel(&self) {
        if self.migrator.runs.load(Ordering::SeqCst) {
            self.migrator.exit.store(true, Ordering::SeqCst);
            self.migrator.notify();
            self.migrator.join().await;
        }
    }
}
