//! Counters of one node, in plain cells a worker each.
//!
//! A worker only adds to its own cells, without locked instructions; whoever asks sums over the workers.

use protocol::command::{Command, CommandId, lookup, table};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A counter with one writer.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds; called by one thread only.
    pub fn add(&self, number: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(number), Relaxed);
    }

    /// Adds one.
    pub fn one(&self) {
        self.add(1);
    }

    /// What it stands at.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}

/// Upper bounds of the buckets of [`Durations`], in nanoseconds.
const BOUNDS_NANOS: [u64; 16] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    300_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    3_000_000_000,
];

/// The same in seconds, as they are shown.
pub const BOUNDS_SECONDS: [f64; 16] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0,
    2.0, 3.0,
];

/// How long something took, each time; with one writer.
#[derive(Debug, Default)]
pub struct Durations {
    /// By [`BOUNDS_SECONDS`], not cumulative; the last is for what is above all.
    buckets: [Count; BOUNDS_NANOS.len() + 1],
    nanos: Count,
}

impl Durations {
    /// Adds one; called by one thread only.
    pub fn add(&self, took: Duration) {
        let nanos = took.as_nanos() as u64;
        let bucket =
            BOUNDS_NANOS.iter().position(|&bound| nanos <= bound).unwrap_or(BOUNDS_NANOS.len());
        self.buckets[bucket].one();
        self.nanos.add(nanos);
    }

    /// How many there were, by bucket.
    pub fn buckets(&self) -> [u64; BOUNDS_NANOS.len() + 1] {
        std::array::from_fn(|bucket| self.buckets[bucket].get())
    }

    /// All together, in nanoseconds.
    pub fn nanos(&self) -> &Count {
        &self.nanos
    }

    fn reset(&self) {
        self.buckets.iter().chain([&self.nanos]).for_each(Count::reset);
    }
}

/// Counters of one command.
#[derive(Debug, Default)]
pub struct CommandCounts {
    pub calls: Count,
    pub took: Durations,
    /// Calls whose reply was an error.
    pub failed: Count,
    /// Calls that were refused before they ran.
    pub rejected: Count,
    /// Calls that were turned away unexecuted, because a slot is not served here.
    pub bounced: Count,
}

/// Counters of one worker.
#[derive(Debug)]
pub struct WorkerStats {
    commands: Box<[CommandCounts]>,
    pub connections: Count,
    pub connections_refused: Count,
    pub bytes_in: Count,
    pub bytes_out: Count,
    pub turns: Count,
    pub hits: Count,
    pub misses: Count,
    pub expired: Count,
    pub bounced: Count,
    pub errors: Count,
    /// Requests that were sent on to another node, since their slot is there.
    pub relayed: Count,
    /// Those of them that were answered with an error of ours.
    pub relays_failed: Count,
    /// Times a client's requests waited because it did not read its replies.
    pub output_waits: Count,
}

impl Default for WorkerStats {
    fn default() -> Self {
        Self {
            commands: table().iter().map(|_| CommandCounts::default()).collect(),
            connections: Count::default(),
            connections_refused: Count::default(),
            bytes_in: Count::default(),
            bytes_out: Count::default(),
            turns: Count::default(),
            hits: Count::default(),
            misses: Count::default(),
            expired: Count::default(),
            bounced: Count::default(),
            errors: Count::default(),
            relayed: Count::default(),
            relays_failed: Count::default(),
            output_waits: Count::default(),
        }
    }
}

impl WorkerStats {
    /// The counters of a command.
    pub fn command(&self, id: CommandId) -> &CommandCounts {
        &self.commands[id.index()]
    }

    /// A request was turned away unexecuted; `command` is the table's index of what the client sent last.
    pub fn bounce(&self, command: u16) {
        self.bounced.one();
        if let Some(counts) = self.commands.get(usize::from(command)) {
            counts.bounced.one();
        }
    }
}

/// The counters of all workers.
#[derive(Debug)]
pub struct Stats {
    workers: Vec<Arc<WorkerStats>>,
    /// Keys that the sweep found expired.
    pub swept: Count,
    pub started_ms: u64,
}

impl Stats {
    /// For so many workers.
    pub fn new(workers: usize) -> Self {
        let workers = (0..workers).map(|_| Arc::default()).collect();
        Self { workers, swept: Count::default(), started_ms: crate::slots::now_ms() }
    }

    /// One worker's.
    pub fn worker(&self, index: usize) -> Arc<WorkerStats> {
        self.workers[index].clone()
    }

    /// The sum of one counter over all workers.
    pub fn sum(&self, of: impl Fn(&WorkerStats) -> &Count) -> u64 {
        self.workers.iter().map(|worker| of(worker).get()).sum()
    }

    /// Requests that were called but for our own parts' words to each other.
    pub fn requests_of_clients(&self) -> u64 {
        let sum = |worker: &Arc<WorkerStats>| -> u64 {
            let own =
                lookup(b"SLIPWAY").map_or(0, |command| worker.command(command.id).calls.get());
            let all: u64 = worker.commands.iter().map(|command| command.calls.get()).sum();
            all.saturating_sub(own)
        };
        self.workers.iter().map(sum).sum()
    }

    /// How long a command took, over all workers: the buckets, and the sum in seconds.
    pub fn took(&self, id: CommandId) -> ([u64; BOUNDS_NANOS.len() + 1], f64) {
        let mut sums = [0; BOUNDS_NANOS.len() + 1];
        for worker in &self.workers {
            for (sum, count) in sums.iter_mut().zip(worker.command(id).took.buckets()) {
                *sum += count;
            }
        }
        (sums, self.sum(|w| &w.command(id).took.nanos) as f64 / 1e9)
    }

    /// The commands that were called, with calls, nanoseconds, rejected and failed calls.
    pub fn by_command(&self) -> Vec<(&'static Command, [u64; 4])> {
        let sums = table().iter().map(|command| {
            let sum = |of: fn(&CommandCounts) -> &Count| self.sum(|w| of(w.command(command.id)));
            (
                command,
                [
                    sum(|c| &c.calls),
                    sum(|c| &c.took.nanos),
                    sum(|c| &c.rejected),
                    sum(|c| &c.failed),
                ],
            )
        });
        sums.filter(|(_, sums)| sums.iter().any(|&n| n > 0)).collect()
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&self) {
        for worker in &self.workers {
            worker.commands.iter().for_each(|command| command.took.reset());
            let commands =
                worker.commands.iter().flat_map(|c| [&c.calls, &c.failed, &c.rejected, &c.bounced]);
            let own = [
                &worker.connections,
                &worker.connections_refused,
                &worker.bytes_in,
                &worker.bytes_out,
                &worker.hits,
            ];
            commands
                .chain(own)
                .chain([&worker.misses, &worker.expired, &worker.bounced, &worker.errors])
                .for_each(Count::reset);
        }
    }
}
