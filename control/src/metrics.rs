//! Every metric of the controller. All series exist from the start, at zero.

use crate::docs::Stages;
use crate::planner::stage;
use crate::state::{Change, State};
use cluster::GroupId;
use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};
use std::collections::BTreeSet;

/// Proxies, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Present {
    pub(crate) heard: usize,
    pub(crate) away: usize,
    /// Whose word a slot on its way waits for.
    pub(crate) awaited: usize,
}

/// One field a metric.
#[derive(Debug)]
pub(crate) struct Metrics {
    slots: IntGaugeVec,
    group_slots: IntGaugeVec,
    node_up: IntGaugeVec,
    migrations: IntCounterVec,
    migration_seconds: Histogram,
    moved_keys: IntCounter,
    moved_bytes: IntCounter,
    stall_write: Histogram,
    stall_write_max: Gauge,
    stall_read: Histogram,
    stall_read_max: Gauge,
    table_version: IntGauge,
    epoch_max: IntGauge,
    paused: IntGauge,
    pace_bytes: IntGauge,
    debris: IntGauge,
    plans: IntGauge,
    proxies: IntGaugeVec,
    proxies_awaited: IntGauge,
    pub(crate) store_sync: Histogram,
    pub(crate) store_errors: IntCounter,
    pub(crate) window_full: IntCounter,
    pub(crate) words_refused: IntCounter,
    pub(crate) requests_refused: IntCounter,
}

/// Stalls are to be below 9 ms: fine steps there.
const STALL_SECONDS: [f64; 14] = [
    0.000_25, 0.000_5, 0.001, 0.001_5, 0.002, 0.003, 0.005, 0.007, 0.009, 0.015, 0.025, 0.05, 0.1,
    1.0,
];

const RESULTS: [&str; 5] = ["moved", "called_off", "failed", "aborted", "left_behind"];

impl Metrics {
    /// The error is that one of the names is in the registry already.
    pub(crate) fn new(registry: &Registry, groups: &[GroupId]) -> Result<Self, prometheus::Error> {
        let new = Registering(registry);
        let metrics = Self {
            slots: new.gauges("slots", "Slots by what happens to them.", "state")?,
            group_slots: new.gauges("group_slots", "Slots a group owns, as stored.", "group")?,
            node_up: new.gauges(
                "node_up",
                "Whether the group's node can be worked with.",
                "group",
            )?,
            migrations: new.counters(
                "migrations_total",
                "Migrations that ended, and wishes given up.",
                "result",
            )?,
            migration_seconds: new.histogram(
                "migration_seconds",
                "From a migration's opening to the removal of the old copy.",
                &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0],
            )?,
            moved_keys: new
                .counter("moved_keys_total", "Keys copied by migrations that succeeded.")?,
            moved_bytes: new
                .counter("moved_bytes_total", "Bytes copied by migrations that succeeded.")?,
            stall_write: new.histogram(
                "stall_write_seconds",
                "How long writes of a slot waited for its handoff, as its nodes measured.",
                &STALL_SECONDS,
            )?,
            stall_write_max: new.float(
                "stall_write_max_seconds",
                "The longest of them since the controller started.",
            )?,
            stall_read: new.histogram(
                "stall_read_seconds",
                "How long reads of a slot waited for its handoff, as its nodes measured.",
                &STALL_SECONDS,
            )?,
            stall_read_max: new.float(
                "stall_read_max_seconds",
                "The longest of them since the controller started.",
            )?,
            table_version: new.gauge("table_version", "Version of the slot table.")?,
            epoch_max: new.gauge("epoch_max", "The highest epoch of a slot.")?,
            paused: new.gauge("paused", "1 while the operator has paused everything.")?,
            pace_bytes: new.gauge(
                "pace_bytes",
                "Ceiling for copying out of each node, bytes a second; 0 for none.",
            )?,
            debris: new.gauge(
                "debris",
                "Staged copies of migrations that were called off, not dropped yet.",
            )?,
            plans: new.gauge("plans", "Plans that have not ended.")?,
            proxies: new.gauges(
                "proxies",
                "Proxies that are to speak before slots of nodes that are not ours move.",
                "state",
            )?,
            proxies_awaited: new.gauge(
                "proxies_awaited",
                "Those of them whose word a slot on its way waits for.",
            )?,
            store_sync: new.histogram(
                "store_sync_seconds",
                "Time to store one batch of changes.",
                &[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0],
            )?,
            store_errors: new.counter("store_errors_total", "Batches that could not be stored.")?,
            window_full: new.counter(
                "window_full_total",
                "Turns in which slots_moving_max kept a slot from beginning.",
            )?,
            words_refused: new.counter("words_refused_total", "Words that a node refused.")?,
            requests_refused: new.counter(
                "requests_refused_total",
                "Requests refused because requests_max waited.",
            )?,
        };
        for result in RESULTS {
            metrics.migrations.with_label_values(&[result]);
        }
        for state in ["heard", "away"] {
            metrics.proxies.with_label_values(&[state]);
        }
        for group in groups {
            metrics.node_up.with_label_values(&[&group.to_string()]);
        }
        Ok(metrics)
    }

    /// A batch was stored.
    pub(crate) fn changed(&self, batch: &[Change], state: &State) {
        let count =
            |result: &str, n: usize| self.migrations.with_label_values(&[result]).inc_by(n as u64);
        for change in batch {
            match change {
                Change::Moved { figures, .. } => {
                    count("moved", 1);
                    self.migration_seconds.observe(figures.took_ms as f64 / 1e3);
                    self.moved_keys.inc_by(figures.keys);
                    self.moved_bytes.inc_by(figures.bytes);
                    stall(&self.stall_write, &self.stall_write_max, figures.stall_write_us);
                    stall(&self.stall_read, &self.stall_read_max, figures.stall_read_us);
                }
                Change::CalledOff { .. } => count("called_off", 1),
                Change::LeftBehind { .. } => count("left_behind", 1),
                Change::Failed { .. } => count("failed", 1),
                Change::Aborted { slots } => {
                    count("aborted", slots.as_ref().map_or(0, BTreeSet::len));
                }
                _ => {}
            }
        }
        self.epoch_max.set(state.slots.iter().map(|s| s.epoch.0).max().unwrap_or(0) as i64);
    }

    /// What proxies are there now.
    pub(crate) fn proxies(&self, present: &Present) {
        let count = |state, n: usize| self.proxies.with_label_values(&[state]).set(n as i64);
        count("heard", present.heard);
        count("away", present.away);
        self.proxies_awaited.set(present.awaited as i64);
    }

    /// What is the case now.
    pub(crate) fn picture(&self, state: &State, nodes: impl Iterator<Item = (GroupId, bool)>) {
        let mut stages = Stages::default();
        let mut owned = vec![0; state.groups.len()];
        for record in &state.slots {
            stages.count(stage(record, state.paused));
            if let Some(index) = state.groups.iter().position(|g| g.id == record.group) {
                owned[index] += 1;
            }
        }
        for (name, count) in stages.named() {
            self.slots.with_label_values(&[name]).set(count as i64);
        }
        for (group, count) in state.groups.iter().zip(owned) {
            self.group_slots.with_label_values(&[&group.id.to_string()]).set(count);
        }
        for (group, up) in nodes {
            self.node_up.with_label_values(&[&group.to_string()]).set(up.into());
        }
        self.table_version.set(state.version as i64);
        self.paused.set(state.paused.into());
        self.pace_bytes.set(state.pace_bytes as i64);
        self.debris.set(state.debris.len() as i64);
        self.plans.set(state.plans.iter().filter(|p| p.ended_ms.is_none()).count() as i64);
    }
}

fn stall(histogram: &Histogram, max: &Gauge, micros: Option<u64>) {
    if let Some(micros) = micros {
        let seconds = micros as f64 / 1e6;
        histogram.observe(seconds);
        if seconds > max.get() {
            max.set(seconds);
        }
    }
}

/// Makes metrics and registers them.
struct Registering<'a>(&'a Registry);

impl Registering<'_> {
    fn keep<M: Collector + Clone + 'static>(&self, metric: M) -> Result<M, prometheus::Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.keep(IntGauge::with_opts(opts(name, help))?)
    }

    fn float(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.keep(Gauge::with_opts(opts(name, help))?)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.keep(IntCounter::with_opts(opts(name, help))?)
    }

    fn gauges(
        &self,
        name: &str,
        help: &str,
        label: &str,
    ) -> Result<IntGaugeVec, prometheus::Error> {
        self.keep(IntGaugeVec::new(opts(name, help), &[label])?)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        label: &str,
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.keep(IntCounterVec::new(opts(name, help), &[label])?)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> Result<Histogram, prometheus::Error> {
        let opts = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
        self.keep(Histogram::with_opts(opts)?)
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("slipway_control_{name}"), help)
}
