//! How long the requests of one command took, fine enough to tell percentiles in milliseconds. Written by one worker, read once a second.
//!
//! Every bound of Codis' `delay50ms` to `delay3s` is a bound here, so that those counts are exact.

use super::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Where the steps begin and how wide they are, in milliseconds: about a thirtieth of the value from 50 on.
const STEPS: [(u32, u32); 11] = [
    (0, 1),
    (50, 2),
    (100, 5),
    (200, 10),
    (500, 20),
    (1_000, 50),
    (2_000, 100),
    (3_000, 250),
    (5_000, 500),
    (10_000, 5_000),
    (60_000, 60_000),
];
/// Longer than that is all the same.
const LAST_MS: u32 = 600_000;

/// How many buckets there are.
pub(crate) const BUCKETS: usize = {
    let (mut count, mut step) = (1, 0);
    while step < STEPS.len() {
        let end = if step + 1 < STEPS.len() { STEPS[step + 1].0 } else { LAST_MS };
        count += (end - STEPS[step].0).div_ceil(STEPS[step].1) as usize;
        step += 1;
    }
    count
};

/// The lower bounds of the buckets, in milliseconds; the last has no upper one.
pub(crate) static LOWER_MS: [u32; BUCKETS] = {
    let mut bounds = [0; BUCKETS];
    let (mut at, mut step, mut bound) = (0, 0, 0);
    while at < BUCKETS {
        if step + 1 < STEPS.len() && bound >= STEPS[step + 1].0 {
            step += 1;
        }
        bounds[at] = bound;
        bound += STEPS[step].1;
        at += 1;
    }
    bounds
};

/// The requests of one command at one worker.
#[derive(Debug)]
pub(crate) struct Delays {
    pub(crate) buckets: [Cell; BUCKETS],
    /// Of those since it was last taken.
    max_us: AtomicU64,
}

impl Default for Delays {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| Cell::default()), max_us: AtomicU64::new(0) }
    }
}

impl Delays {
    /// Counts a request. Hot path.
    pub(crate) fn observe(&self, took: Duration) {
        let us = took.as_micros() as u64;
        self.buckets[bucket(us)].add(1);
        if us > self.max_us.load(Relaxed) {
            self.max_us.fetch_max(us, Relaxed);
        }
    }

    /// The longest since this was last asked.
    pub(crate) fn take_max_us(&self) -> u64 {
        self.max_us.swap(0, Relaxed)
    }
}

/// Where a request of so many microseconds is counted.
pub(crate) fn bucket(us: u64) -> usize {
    let ms = us / 1000;
    // One step a millisecond up to there.
    if ms < 50 {
        ms as usize
    } else {
        LOWER_MS.partition_point(|&bound| u64::from(bound) <= ms) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_in_the_bucket_that_holds_it() {
        assert_eq!(LOWER_MS[0], 0);
        assert_eq!(LOWER_MS[BUCKETS - 1], LAST_MS);
        assert!(LOWER_MS.is_sorted());
        for bound in [50, 100, 200, 300, 500, 1000, 2000, 3000] {
            assert!(LOWER_MS.contains(&bound), "{bound}");
        }
        for ms in (0..5000).chain([59_999, 60_000, 599_999, 600_000, 9_000_000]) {
            for us in [ms * 1000, ms * 1000 + 999] {
                let bucket = bucket(us);
                assert!(u64::from(LOWER_MS[bucket]) <= ms);
                assert!(LOWER_MS.get(bucket + 1).is_none_or(|&next| ms < u64::from(next)));
            }
        }
    }

    #[test]
    fn the_longest_is_told_once() {
        let delays = Delays::default();
        for ms in [3, 70, 5] {
            delays.observe(Duration::from_millis(ms));
        }
        assert_eq!((delays.take_max_us(), delays.take_max_us()), (70_000, 0));
        assert_eq!(delays.buckets.iter().map(Cell::get).sum::<u64>(), 3);
    }
}
