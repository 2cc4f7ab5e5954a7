//! Numbers that one worker writes and anybody may read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A number with one writer. A plain load and a plain store: no locked instruction, and no other core writes the line.
#[derive(Debug, Default)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    pub(crate) fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    pub(crate) fn raise(&self, n: u64) {
        if n > self.get() {
            self.set(n);
        }
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Upper bounds of the buckets of durations, in microseconds.
pub(crate) const BUCKETS_US: [u32; 16] = [
    100, 250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 300_000, 500_000,
    1_000_000, 2_000_000, 3_000_000,
];

/// How long things took.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    /// Not cumulative; the last is for what is longer than every bound.
    pub(crate) buckets: [Cell; BUCKETS_US.len() + 1],
    pub(crate) sum_us: Cell,
}

impl Durations {
    pub(crate) fn observe(&self, took: Duration) {
        let us = took.as_micros().min(u128::from(u32::MAX)) as u32;
        let bucket = BUCKETS_US.iter().position(|&bound| us <= bound).unwrap_or(BUCKETS_US.len());
        self.buckets[bucket].add(1);
        self.sum_us.add(u64::from(us));
    }
}
