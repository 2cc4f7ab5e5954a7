//! Looks once a second at what the workers have counted, and keeps what the last hour was like.
//!
//! Memory: of each command that was ever sent 16 KiB, of each worker that had it 2 KiB more, and 8 bytes for each bucket of milliseconds that was
//! not empty in one of the 180 steps kept. Twenty commands take about 1 MiB; every command there is, with every bucket in use all
//! the time, 90 MiB.

use super::usage;
use super::window::{Series, Step, Window};
use crate::metrics::{BUCKETS, WorkerMetrics};
use crate::shared::Shared;
use arc_swap::ArcSwap;
use codis::model::RusageRaw;
use parking_lot::Mutex;
use protocol::command::{Flags, table};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often.
const PERIOD: Duration = Duration::from_secs(1);

/// What was seen, and what may be read of it.
#[derive(Debug)]
pub(crate) struct History {
    sampler: Mutex<Sampler>,
    view: ArcSwap<View>,
    since: ArcSwap<Since>,
}

/// What the last second has left. Whoever reads it waits for nobody.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) at: Option<SystemTime>,
    /// In cores.
    pub(super) cpu: f64,
    pub(super) usage: RusageRaw,
    pub(super) all: OfCommand,
    /// By the command's index; `None` for those never sent.
    pub(super) commands: Vec<Option<OfCommand>>,
}

/// Of one command.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OfCommand {
    /// In the order of `WINDOWS_S`.
    pub(super) windows: [Window; 5],
    pub(super) max_us: u64,
}

/// What the counters said when they were reset; zero from the start.
#[derive(Debug, Default)]
pub(super) struct Since {
    pub(super) commands: Vec<Counts>,
    pub(super) sessions: u64,
    pub(super) fails: u64,
}

/// What all workers have counted of one command since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) calls: u64,
    pub(super) us: u64,
    pub(super) errors: u64,
    pub(super) lost: u64,
}

impl Counts {
    /// Of the command with this index.
    pub(super) fn of(workers: &[Arc<WorkerMetrics>], index: usize) -> Self {
        let mut counts = Self::default();
        for command in workers.iter().filter_map(|worker| worker.commands.get(index)) {
            let errors: u64 = command.results[1..].iter().map(|result| result.get()).sum();
            counts.calls += command.results[0].get() + errors;
            counts.errors += errors;
            counts.us += command.duration.sum_us.get();
            counts.lost += command.lost.get();
        }
        counts
    }

    pub(super) fn since(self, before: Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(before.calls),
            us: self.us.saturating_sub(before.us),
            errors: self.errors.saturating_sub(before.errors),
            lost: self.lost.saturating_sub(before.lost),
        }
    }
}

/// Failures that belong to no command: clients refused, sent away, or gone before they had read everything.
pub(super) fn fails(workers: &[Arc<WorkerMetrics>]) -> u64 {
    let of = |worker: &Arc<WorkerMetrics>| {
        worker.clients_refused.get() + worker.broken_off.get() + worker.unread.get()
    };
    workers.iter().map(of).sum()
}

/// Clients that came, those that were refused too.
pub(super) fn sessions(workers: &[Arc<WorkerMetrics>]) -> u64 {
    workers.iter().map(|w| w.clients_accepted.get() + w.clients_refused.get()).sum()
}

#[derive(Debug)]
struct Sampler {
    last: Instant,
    usage: RusageRaw,
    commands: Vec<Option<Box<Followed>>>,
    all: Series,
}

/// A command that was sent at least once.
#[derive(Debug)]
struct Followed {
    series: Series,
    us: u64,
    buckets: [u64; BUCKETS],
    /// It may wait for other clients, and how long says nothing of us.
    waits: bool,
}

impl History {
    pub(crate) fn new() -> Self {
        let usage = usage::read();
        let view = View { at: Some(SystemTime::now()), usage, ..View::default() };
        let sampler =
            Sampler { last: Instant::now(), usage, commands: Vec::new(), all: Series::default() };
        Self {
            sampler: Mutex::new(sampler),
            view: ArcSwap::from_pointee(view),
            since: ArcSwap::default(),
        }
    }

    pub(super) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    pub(super) fn since(&self) -> Arc<Since> {
        self.since.load_full()
    }

    /// Another second is over. `period`: of the fork's longest delay.
    pub(crate) fn sample(&self, workers: &[Arc<WorkerMetrics>], period: Duration) {
        let mut sampler = self.sampler.lock();
        self.view.store(Arc::new(sampler.sample(workers, period)));
    }

    /// Everything counts from here.
    pub(super) fn reset(&self, workers: &[Arc<WorkerMetrics>]) {
        let mut sampler = self.sampler.lock();
        // What has come since the last sample is over, too.
        sampler.sample(workers, PERIOD);
        sampler.all = Series::default();
        for followed in sampler.commands.iter_mut().flatten() {
            followed.series = Series::default();
        }
        let alive: u64 = workers.iter().map(|worker| worker.clients.get()).sum();
        self.since.store(Arc::new(Since {
            commands: (0..=table().len()).map(|index| Counts::of(workers, index)).collect(),
            sessions: sessions(workers).saturating_sub(alive),
            fails: fails(workers),
        }));
        let before = self.view.load_full();
        let commands = before.commands.iter().map(|of| of.map(|_| OfCommand::default())).collect();
        let view = View {
            at: before.at,
            cpu: before.cpu,
            usage: before.usage,
            commands,
            ..View::default()
        };
        self.view.store(Arc::new(view));
    }
}

impl Sampler {
    fn sample(&mut self, workers: &[Arc<WorkerMetrics>], period: Duration) -> View {
        let now = Instant::now();
        let took = now.saturating_duration_since(std::mem::replace(&mut self.last, now));
        let (usage, before) = (usage::read(), self.usage);
        self.usage = usage;
        self.commands.resize_with(table().len() + 1, || None);
        let mut all = Step { took, ..Step::default() };
        let mut commands = Vec::with_capacity(self.commands.len());
        for (index, followed) in self.commands.iter_mut().enumerate() {
            let second = follow(workers, index, followed, took);
            let of = followed.as_mut().zip(second).map(|(followed, second)| {
                followed.series.push(&second);
                all.add_beside(&second);
                of_command(&followed.series, period)
            });
            commands.push(of);
        }
        self.all.push(&all);
        let busy_ns = usage.utime + usage.stime - before.utime - before.stime;
        View {
            at: Some(SystemTime::now()),
            cpu: busy_ns as f64 / (took.as_nanos().max(1) as f64),
            usage,
            all: of_command(&self.all, period),
            commands,
        }
    }
}

fn of_command(series: &Series, period: Duration) -> OfCommand {
    OfCommand { windows: series.windows(), max_us: series.max_us(period) }
}

/// What has come of one command since the last time; nothing if it was never sent.
fn follow(
    workers: &[Arc<WorkerMetrics>],
    index: usize,
    followed: &mut Option<Box<Followed>>,
    took: Duration,
) -> Option<Step> {
    let of_worker = |worker: &'_ Arc<WorkerMetrics>| {
        Some(Arc::clone(worker))
            .filter(|w| w.delays.as_ref().is_some_and(|d| d[index].get().is_some()))
    };
    let having: Vec<_> = workers.iter().filter_map(of_worker).collect();
    if having.is_empty() {
        return None;
    }
    let followed = followed.get_or_insert_with(|| {
        let waits = table().get(index).is_some_and(|c| c.flags.contains(Flags::BLOCKING));
        Box::new(Followed { series: Series::default(), us: 0, buckets: [0; BUCKETS], waits })
    });
    let mut step = Step { took, ..Step::default() };
    let mut buckets = [0; BUCKETS];
    let mut us = 0;
    for worker in &having {
        us += worker.commands[index].duration.sum_us.get();
        let Some(delays) = worker.delays.as_ref().and_then(|delays| delays[index].get()) else {
            continue;
        };
        buckets.iter_mut().zip(&delays.buckets).for_each(|(sum, cell)| *sum += cell.get());
        step.max_us = step.max_us.max(delays.take_max_us());
    }
    for (at, (now, before)) in buckets.iter().zip(&followed.buckets).enumerate() {
        let new = now - before;
        if new > 0 {
            step.calls += new;
            step.delays.push((at as u16, u32::try_from(new).unwrap_or(u32::MAX)));
        }
    }
    step.us = us.saturating_sub(followed.us);
    (followed.us, followed.buckets) = (us, buckets);
    if followed.waits {
        step.delays = vec![(0, u32::try_from(step.calls).unwrap_or(u32::MAX))];
        (step.us, step.max_us) = (0, 0);
    }
    Some(step)
}

/// Samples until `stop`.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let Some(history) = &shared.history else { return };
    let mut seconds = interval(PERIOD);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once.
    seconds.tick().await;
    let sampling = async {
        loop {
            seconds.tick().await;
            history.sample(&shared.metrics, shared.live.max_delay_period());
        }
    };
    stop.run_until_cancelled(sampling).await;
}
