//! From a signal to an exit code.
//!
//! ```text
//!   running ── SIGTERM, SIGINT or begin() ──► draining ── all tasks ended ─────────────────────────► Drained
//!                                                │
//!                                                ├── grace is over ─► abandoning (bounded) ────────► GraceOver
//!                                                └── a second signal ──────────────────────────────► Forced
//! ```
//!
//! *Draining*: take nothing new, finish what was read. *Abandoning*: drop what is left. Both are tokens, and the first is a child of the
//! second, so whoever watches only `draining` ends in either case.

use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long tasks may take to notice that they are abandoned.
const ABANDON: Duration = Duration::from_secs(1);

/// The stop of one process: hand clones to whatever runs.
#[derive(Clone, Debug)]
pub struct Shutdown {
    abandoning: CancellationToken,
    draining: CancellationToken,
    tasks: TaskTracker,
    grace: Duration,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All tasks finished their work: exit code 0.
    Drained,
    /// This many tasks were dropped when the grace was over: exit code 3.
    GraceOver { tasks: usize },
    /// A second signal of this number came while draining: exit code 128 + number, as a shell reports it.
    Forced { signal: u8 },
}

impl Shutdown {
    /// Tasks get `grace` to finish once draining has begun.
    pub fn new(grace: Duration) -> Self {
        let abandoning = CancellationToken::new();
        let draining = abandoning.child_token();
        Self { abandoning, draining, tasks: TaskTracker::new(), grace }
    }

    /// Cancelled when nothing new is to be taken and what was read is to be finished.
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Cancelled when what is left is to be dropped.
    pub fn abandoning(&self) -> &CancellationToken {
        &self.abandoning
    }

    /// The tasks that are waited for; spawn on it, from any runtime.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Begins to drain, as a signal would.
    pub fn begin(&self) {
        self.draining.cancel();
    }

    /// Runs until a signal comes or [`begin`](Self::begin) is called, then through the steps above.
    ///
    /// A first signal is caught from the first poll on: call it before anything is said to be ready.
    pub async fn run(&self) -> std::io::Result<Ended> {
        let mut signals = Signals::new()?;
        tokio::select! {
            number = signals.next() => {
                tracing::info!(signal = number, grace = ?self.grace, "stopping: finishing what was read; a second signal ends at once");
            }
            () = self.draining.cancelled() => tracing::info!(grace = ?self.grace, "stopping: finishing what was read"),
        }
        self.begin();
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => Ok(Ended::Drained),
            number = signals.next() => {
                tracing::warn!(signal = number, tasks = self.tasks.len(), "second signal: ending at once");
                self.abandoning.cancel();
                Ok(Ended::Forced { signal: number })
            }
            () = tokio::time::sleep(self.grace) => Ok(self.abandon().await),
        }
    }

    async fn abandon(&self) -> Ended {
        let tasks = self.tasks.len();
        tracing::warn!(tasks, grace = ?self.grace, "the grace is over: dropping what is left");
        self.abandoning.cancel();
        if tokio::time::timeout(ABANDON, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                tasks = self.tasks.len(),
                "some tasks did not notice that they were abandoned"
            );
        }
        Ended::GraceOver { tasks }
    }
}

impl Ended {
    /// The exit code of the process.
    pub fn code(self) -> ExitCode {
        match self {
            Self::Drained => ExitCode::SUCCESS,
            Self::GraceOver { .. } => ExitCode::from(3),
            Self::Forced { signal } => ExitCode::from(128 + signal),
        }
    }
}

/// The two signals that ask a process to end: what a supervisor sends and what Ctrl-C sends.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> u8 {
        let kind = tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        };
        kind.as_raw_value() as u8
    }
}

#[cfg(test)]
mod tests;
