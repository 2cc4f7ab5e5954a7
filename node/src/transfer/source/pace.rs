//! The ceiling of copying out of this node, bytes per second.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A token bucket of one second's depth at most a tenth of a second ahead.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// 0: no ceiling.
    bytes_per_second: AtomicU64,
    /// When the next byte may leave.
    free_at: Mutex<Option<Instant>>,
    /// Wakes who waits for a turn that the old ceiling gave.
    changed: Notify,
}

impl Pace {
    pub(crate) fn set(&self, bytes_per_second: u64) {
        self.bytes_per_second.store(bytes_per_second, Ordering::Relaxed);
        *self.free_at.lock() = None;
        self.changed.notify_waiters();
    }

    pub(crate) fn get(&self) -> u64 {
        self.bytes_per_second.load(Ordering::Relaxed)
    }

    /// Waits until `bytes` may leave.
    ///
    /// # Cancel safety
    /// Dropped half-way, the bytes count as having left.
    pub(crate) async fn wait(&self, bytes: usize) {
        let rate = self.get();
        if rate == 0 {
            return;
        }
        let mut changed = std::pin::pin!(self.changed.notified());
        changed.as_mut().enable();
        let turn = {
            let mut free_at = self.free_at.lock();
            let now = Instant::now();
            let turn = free_at.map_or(now, |t| t.max(now));
            *free_at = Some(turn + Duration::from_secs_f64(bytes as f64 / rate as f64));
            turn
        };
        tokio::select! {
            () = tokio::time::sleep_until(turn) => {}
            () = changed => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_leave_no_faster_than_the_ceiling() {
        let pace = Pace::default();
        let start = Instant::now();
        pace.wait(1 << 30).await;
        assert_eq!(start.elapsed(), Duration::ZERO, "no ceiling");
        pace.set(1000);
        for _ in 0..5 {
            pace.wait(500).await;
        }
        assert_eq!(
            start.elapsed(),
            Duration::from_secs(2),
            "the fifth leaves when the fourth has been paid for"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_ceiling_holds_from_now_on() {
        let pace = std::sync::Arc::new(Pace::default());
        pace.set(1);
        pace.wait(3600).await;
        let waiting = tokio::spawn({
            let pace = pace.clone();
            async move { pace.wait(1).await }
        });
        tokio::task::yield_now().await;
        let start = Instant::now();
        pace.set(0);
        waiting.await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO, "nobody sleeps out the hour of the old one");
    }
}
