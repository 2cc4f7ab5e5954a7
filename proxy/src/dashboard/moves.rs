//! Slots that leave nodes which are not ours: one sweep each, from the fill that lets it go until the one that says where it is.

use crate::foreign::sweep::{self, Job, Swept};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

/// By slot.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    moves: Mutex<BTreeMap<i64, Move>>,
    /// Keys that sweeps of the past have moved.
    moved: AtomicU64,
    /// Slots that have arrived.
    arrived: AtomicU64,
    /// Fills that were told to come again.
    put_off: AtomicU64,
}

/// One slot on its way.
#[derive(Debug)]
struct Move {
    job: Job,
    began: Instant,
    progress: watch::Receiver<Swept>,
    task: AbortHandle,
    is_over: bool,
}

impl Drop for Move {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a slot's way over is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing of it has begun.
    None,
    Moving,
    /// The target has all of it, and every worker knows.
    Over,
}

/// What has been counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) moving: u64,
    pub(crate) arrived: u64,
    pub(crate) keys_moved: u64,
    pub(crate) put_off: u64,
}

/// A dashboard does nothing for so long after a fill was refused.
const DASHBOARD_PAUSE: Duration = Duration::from_secs(5);

async fn is_empty(progress: &mut watch::Receiver<Swept>, end: Instant) -> bool {
    matches!(timeout_at(end, progress.wait_for(|swept| swept.is_empty)).await, Ok(Ok(_)))
}

/// How long the rest of the keys will take, if they go as those before did.
fn rest(left: u64, moved: u64, took: Duration) -> Option<Duration> {
    let keys = u32::try_from(moved).ok().filter(|moved| *moved > 0)?;
    Some((took / keys).saturating_mul(u32::try_from(left).ok()?))
}

impl Moves {
    /// How far the slot is on this way.
    pub(crate) fn stage(&self, slot: i64, source: &str, target: &str) -> Stage {
        match self.moves.lock().get(&slot) {
            Some(m) if m.job.source != source || m.job.target != target => Stage::None,
            Some(m) if m.is_over => Stage::Over,
            Some(_) => Stage::Moving,
            None => Stage::None,
        }
    }

    /// The workers let requests of the slot over; the rest of it is to follow.
    pub(crate) fn begin(&self, job: Job) {
        let slot = i64::from(job.slot);
        if self.stage(slot, &job.source, &job.target) != Stage::None {
            return;
        }
        let (sender, progress) = watch::channel(Swept::default());
        tracing::info!(slot, source = job.source, target = job.target, "a slot moves, key by key");
        let task = tokio::spawn(sweep::run(job.clone(), sender)).abort_handle();
        let began = Move { job, began: Instant::now(), progress, task, is_over: false };
        self.moves.lock().insert(slot, began);
    }

    /// The slot is filled as something else. Returns the node to which it was moving.
    pub(crate) fn forget(&self, slot: i64) -> Option<String> {
        let m = self.moves.lock().remove(&slot)?;
        self.moved.fetch_add(m.progress.borrow().moved, Relaxed);
        if !m.is_over {
            tracing::warn!(
                slot,
                source = m.job.source,
                target = m.job.target,
                "a slot was filled anew before all of it had moved: what had moved is at the target"
            );
        }
        Some(m.job.target.clone())
    }

    /// Nothing is to be moved any more.
    pub(crate) fn end(&self) {
        self.moves.lock().clear();
    }

    /// Waits until the source has nothing of the slot any more, until `end`, and for at most [`DASHBOARD_PAUSE`] more if it will have come
    /// so far by then. The error is for the dashboard.
    pub(crate) async fn emptied(&self, slot: i64, end: Instant) -> Result<(), String> {
        let under_way = {
            let moves = self.moves.lock();
            moves.get(&slot).map(|m| (m.progress.clone(), m.job.clone(), m.began))
        };
        let Some((mut progress, job, began)) = under_way else { return Ok(()) };
        if is_empty(&mut progress, end).await {
            return Ok(());
        }
        let mut left = sweep::count(&job).await;
        let moved = progress.borrow().moved;
        if let Ok(some) = left
            && rest(some, moved, began.elapsed()).is_some_and(|rest| rest <= DASHBOARD_PAUSE)
        {
            if is_empty(&mut progress, end + DASHBOARD_PAUSE).await {
                return Ok(());
            }
            left = sweep::count(&job).await;
        }
        self.put_off.fetch_add(1, Relaxed);
        let left = left.map_or_else(
            |why| format!("keys left at {} ({why})", job.source),
            |left| format!("{left} keys left at {}", job.source),
        );
        let Swept { moved, trouble, .. } = progress.borrow().clone();
        let mut line = format!("slot {slot}: {left}, moving, {moved} moved");
        if let Some(trouble) = trouble {
            line = format!("{line}; {trouble}");
        }
        Err(line)
    }

    /// Keys that the slot's sweep has moved, and why it does not go on.
    pub(crate) fn progress(&self, slot: i64) -> (u64, Option<String>) {
        let moves = self.moves.lock();
        let Some(m) = moves.get(&slot) else { return (0, None) };
        let Swept { moved, trouble, .. } = m.progress.borrow().clone();
        (moved, trouble)
    }

    /// Every worker routes the slot to the target.
    pub(crate) fn arrived(&self, slot: i64) {
        if let Some(m) = self.moves.lock().get_mut(&slot) {
            m.is_over = true;
            self.arrived.fetch_add(1, Relaxed);
            let (moved, ms) = (m.progress.borrow().moved, m.began.elapsed().as_millis() as u64);
            tracing::info!(slot, moved, ms, "a slot has moved");
        }
    }

    pub(crate) fn counted(&self) -> Counted {
        let moves = self.moves.lock();
        let under_way: u64 = moves.values().map(|m| m.progress.borrow().moved).sum();
        Counted {
            moving: moves.values().filter(|m| !m.is_over).count() as u64,
            arrived: self.arrived.load(Relaxed),
            keys_moved: self.moved.load(Relaxed) + under_way,
            put_off: self.put_off.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_takes_as_long_as_what_has_moved() {
        let took = Duration::from_secs(5);
        assert_eq!(rest(200, 1000, took), Some(Duration::from_secs(1)));
        assert_eq!(rest(200, 0, took), None, "nobody knows");
        assert_eq!(rest(0, 10, took), Some(Duration::ZERO));
    }
}
