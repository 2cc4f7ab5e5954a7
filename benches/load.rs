//! Our own load: many connections on few threads, pipelines, closed or open loop, a histogram of latencies.
//!
//! It counts its own CPU time apart, so that one can see whether it was the load that set the pace. It checks no values: it counts replies,
//! errors and nulls.

mod connection;
mod driver;
mod template;

pub(crate) use template::{NUMBER, Template, Traffic};

use anyhow::{Context, Result};
use driver::Driver;
use hdrhistogram::Histogram;
use std::time::Duration;

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// Each client sends a pipeline when the last one is answered, for so long.
    Closed { pipeline: usize, time: Duration },
    /// The same until so many requests are answered.
    Until { pipeline: usize, requests: u64 },
    /// So many requests a second over all clients for so long, at random moments, whatever the answers do. Latency counts from the moment
    /// a request was due.
    Open { rate: f64, time: Duration },
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Requests answered.
    pub(crate) requests: u64,
    /// How many of the answers were errors, and what the first one said.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    /// How many said that there is nothing.
    pub(crate) nulls: u64,
    pub(crate) time: Duration,
    /// Nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// CPU time of the load itself.
    pub(crate) cpu: Duration,
}

impl Outcome {
    fn new() -> Result<Self> {
        Ok(Self {
            requests: 0,
            errors: 0,
            first_error: None,
            nulls: 0,
            time: Duration::ZERO,
            latency: Histogram::new_with_max(driver::LATENCY_NANOS_MAX, 3)?,
            cpu: Duration::ZERO,
        })
    }

    /// Puts another run's to it.
    pub(crate) fn add(&mut self, other: &Self) -> Result<()> {
        self.requests += other.requests;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or_else(|| other.first_error.clone());
        self.nulls += other.nulls;
        self.time = self.time.max(other.time);
        self.latency.add(&other.latency)?;
        self.cpu += other.cpu;
        Ok(())
    }

    /// Milliseconds within which this share of the requests was answered.
    pub(crate) fn millis(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e6
    }
}

/// Connections that are open.
pub(crate) struct Fleet {
    drivers: Vec<Driver>,
}

impl Fleet {
    /// Connects so many clients, served by so many threads.
    pub(crate) fn connect(addr: &str, clients: usize, threads: usize) -> Result<Self> {
        let threads = threads.clamp(1, clients.max(1));
        let share = |thread: usize| clients / threads + usize::from(thread < clients % threads);
        let drivers = (0..threads).map(|thread| Driver::connect(addr, share(thread), thread));
        let drivers = drivers.collect::<Result<_>>().with_context(|| format!("connect to {addr}"));
        Ok(Self { drivers: drivers? })
    }

    /// Sends, and waits until everything is answered.
    pub(crate) fn run(&mut self, traffic: &Traffic, pace: Pace) -> Result<Outcome> {
        let pace = pace.divided(self.drivers.len());
        let mut outcome = Outcome::new()?;
        if let [driver] = self.drivers.as_mut_slice() {
            return driver.run(traffic.clone(), pace);
        }
        std::thread::scope(|scope| {
            let running = self.drivers.iter_mut().map(|driver| {
                let traffic = traffic.clone();
                scope.spawn(move || driver.run(traffic, pace))
            });
            for thread in running.collect::<Vec<_>>() {
                let part = thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
                outcome.add(&part)?;
            }
            Ok(outcome)
        })
    }
}

impl Pace {
    /// The share of one of so many threads.
    fn divided(self, threads: usize) -> Self {
        match self {
            Self::Closed { .. } => self,
            Self::Until { pipeline, requests } => {
                Self::Until { pipeline, requests: requests.div_ceil(threads as u64) }
            }
            Self::Open { rate, time } => Self::Open { rate: rate / threads as f64, time },
        }
    }
}
