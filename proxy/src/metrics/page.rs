//! The metrics page: what all workers have counted, summed when it is asked for.
//!
//! Every series exists from the start, at zero; of commands those in [`SHOWN`] do, the others from their first request on, which bounds the
//! number of series by the table of commands.

use super::{
    BOUNCES, BUCKETS_US, CONNECTS, Cell, Durations, GONE, HELD_ENDS, HOLDS, PRESSURE, REFUSED,
    REPEATS, RESULTS, WorkerMetrics,
};
use crate::shared::Shared;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Commands whose series exist before their first request.
const SHOWN: [&str; 17] = [
    "get", "set", "mget", "mset", "del", "incr", "exists", "expire", "hget", "hset", "lpush",
    "rpush", "lpop", "sadd", "zadd", "ping", "exec",
];

/// Adds the workers' numbers up for a registry.
pub(crate) struct Page {
    shared: Arc<Shared>,
    descriptions: Vec<Desc>,
}

impl Page {
    /// The error is a name that is no name: a bug in us.
    pub(crate) fn new(shared: Arc<Shared>) -> Result<Self, prometheus::Error> {
        let describe = |family: &MetricFamily| {
            let labels = family
                .get_metric()
                .first()
                .map(|m| m.get_label().iter().map(|l| l.name().to_owned()).collect());
            Desc::new(
                family.name().to_owned(),
                family.help().to_owned(),
                labels.unwrap_or_default(),
                HashMap::new(),
            )
        };
        let descriptions = families(&shared).iter().map(describe).collect::<Result<_, _>>()?;
        Ok(Self { shared, descriptions })
    }
}

impl Collector for Page {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        families(&self.shared)
    }
}

#[rustfmt::skip]
fn families(shared: &Shared) -> Vec<MetricFamily> {
    let mut sum = Sum { workers: &shared.metrics, families: Vec::new() };
    let limits = &shared.config.limits;
    sum.gauge("client_connections", "Clients that are connected.", |m| &m.clients);
    sum.fixed("client_connections_limit", "Clients that may be connected.", shared.live.clients_max() as f64);
    sum.pair("client_connections_total", "Clients that came.", "result", [
        ("accepted", |m| &m.clients_accepted), ("maxclients", |m| &m.clients_refused),
    ]);
    sum.counter("clients_unread_total", "Clients that were gone before they had read all of their replies.", |m| &m.unread);
    sum.counters("client_disconnects_total", "Clients that left, by reason.", "reason", &GONE, |m| &m.gone);
    sum.counter("client_receive_bytes_total", "Bytes read from clients.", |m| &m.receive_bytes);
    sum.counter("client_send_bytes_total", "Bytes written to clients.", |m| &m.send_bytes);
    sum.gauge("unanswered_bytes", "Bytes of requests without an answer, and of replies that clients have not read.", |m| &m.unanswered_bytes);
    sum.fixed("unanswered_bytes_limit", "From there on only clients with nothing unanswered are read.", limits.process_unanswered_bytes_max as f64);
    sum.counters("back_pressure_total", "How often a client was not read because of a limit.", "limit", &PRESSURE, |m| &m.back_pressure);
    sum.commands("requests_total", "Requests answered; error_reply: by the node, proxy_error and timeout: by the proxy.");
    sum.durations("request_duration_seconds", "From a request's last byte to its reply in the client's queue.");
    sum.counters("errors_total", "Errors the proxy itself gave to clients, by reason.", "reason", &REFUSED, |m| &m.refused);
    sum.counter("slow_requests_total", "Requests over the threshold of the slow log.", |m| &m.slow);
    sum.counter("request_parts_total", "Parts of requests over several slots.", |m| &m.fanout_parts);
    sum.counters("bounces_total", "Requests that a node turned away, by word. Clients see none of them.", "word", &BOUNCES, |m| &m.bounces);
    sum.counters("repeats_total", "Requests sent again, by what had become of the first sending.", "reason", &REPEATS, |m| &m.repeats);
    sum.counter("replica_requests_total", "Reads sent to replicas.", |m| &m.replica_requests);
    sum.reasons("replica_ejections_total", "How often a replica that was read was so no more, by reason.", &shared.replicas.ejections());
    sum.counter("redirects_total", "Slots a node sent us elsewhere for.", |m| &m.redirects);
    if let Some(router) = &shared.router {
        let moves = router.moves();
        sum.fixed("foreign_slots_moving", "Slots that leave nodes which are not ours, right now.", moves.moving as f64);
        sum.fixed_counter("foreign_slots_moved_total", "Slots that have left nodes which are not ours.", moves.arrived);
        sum.fixed_counter("foreign_keys_swept_total", "Keys that were moved because their slot moves; those that requests asked for are passage_asks.", moves.keys_moved);
        sum.fixed_counter("foreign_fills_put_off_total", "Fills that were answered with 800 because their slot was not empty in time; the dashboard repeats them.", moves.put_off);
        let listed = &router.known().listed;
        sum.fixed_counter("foreign_noted_keys_listed_total", "Keys written by commands which list nothing, that their node was made to list before their slot was locked.", listed.before.load(Relaxed));
        sum.fixed_counter("foreign_noted_keys_listed_locked_total", "The same, while clients of the slot waited.", listed.locked.load(Relaxed));
    }
    sum.counter("strays_total", "Slots that a node has granted to another than the codis-dashboard says; the nodes are followed.", |m| &m.strays);
    sum.counter("pushes_total", "News from nodes about slots.", |m| &m.pushes);
    sum.counter("slot_questions_total", "How often a node was asked where a slot is.", |m| &m.where_asked);
    sum.counter("passage_asks_total", "Keys that a foreign node was told to move because a request needs them.", |m| &m.passage_asks);
    sum.counter("passage_repeats_total", "How often a foreign node could not move a key; it was told again.", |m| &m.passage_repeats);
    sum.counter("unseal_requests_total", "How often a node was asked to give a handoff up.", |m| &m.unseals);
    sum.counter("table_refreshes_total", "How often a newer slot table was asked for.", |m| &m.refreshes);
    sum.highest("table_version", "The version of the slot table.", |m| &m.table_version);
    sum.counters("holds_total", "Slots that were held, by reason.", "reason", &HOLDS, |m| &m.holds);
    sum.gauge("held_slots", "Slots that are held.", |m| &m.holds_open);
    sum.gauge("held_requests", "Requests that are held.", |m| &m.held);
    sum.highest("held_requests_max", "The most requests one worker has held.", |m| &m.held_max);
    sum.gauge("held_bytes", "Bytes of requests that are held.", |m| &m.held_bytes);
    sum.fixed("held_bytes_limit", "Bytes of requests that may be held.", shared.config.hold.bytes_max as f64);
    sum.counters("held_requests_total", "Requests that are no longer held, by how they went on.", "outcome", &HELD_ENDS, |m| &m.held_ended);
    sum.histogram("held_request_duration_seconds", "How long requests were held.", |m| &m.held_duration);
    sum.gauge("blocked_clients", "Clients in a command that blocks.", |m| &m.blocked);
    sum.gauge("node_connections", "Shared connections to nodes that are up.", |m| &m.connections);
    sum.gauge("node_private_connections", "Connections to nodes for one command at a time, in use.", |m| &m.private_connections);
    sum.counter("node_private_connections_full_total", "Attempts to take one when as many were in use as a worker may have; the command waits and tries again.", |m| &m.private_full);
    sum.counters("node_connects_total", "Attempts to connect to a node, by result.", "result", &CONNECTS, |m| &m.connects);
    sum.counter("node_connections_lost_total", "Connections to nodes that broke.", |m| &m.connections_lost);
    sum.counter("node_send_bytes_total", "Bytes written to nodes.", |m| &m.node_send_bytes);
    sum.counter("node_receive_bytes_total", "Bytes read from nodes.", |m| &m.node_receive_bytes);
    let up = shared.nodes.iter().map(|node| (node.key().clone(), if node.value().load(Relaxed) > 0 { 1.0 } else { 0.0 }));
    sum.labelled("node_up", "Whether any worker has a connection to the node.", "node", &up.collect::<Vec<_>>());
    let fit = shared.replicas.fitness().into_iter().map(|(node, is_fit)| (node, f64::from(u8::from(is_fit))));
    sum.labelled("replica_fit", "Whether the replica may be read.", "node", &fit.collect::<Vec<_>>());
    sum.families
}

/// Where a number stands among a worker's.
type Of = fn(&WorkerMetrics) -> &Cell;

/// Families of metrics, each the sum over all workers.
struct Sum<'a> {
    workers: &'a [Arc<WorkerMetrics>],
    families: Vec<MetricFamily>,
}

impl Sum<'_> {
    fn of(&self, cell: impl Fn(&WorkerMetrics) -> &Cell) -> f64 {
        self.workers.iter().map(|m| cell(m).get()).sum::<u64>() as f64
    }

    fn add(&mut self, (name, help): (&str, &str), kind: MetricType, metrics: Vec<Metric>) {
        let mut family = MetricFamily::default();
        family.set_name(format!("slipway_proxy_{name}"));
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.families.push(family);
    }

    fn counter(&mut self, name: &str, help: &str, cell: impl Fn(&WorkerMetrics) -> &Cell) {
        let value = self.of(cell);
        self.add((name, help), MetricType::COUNTER, vec![count(&[], value)]);
    }

    fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[&str; N],
        cells: impl Fn(&WorkerMetrics) -> &[Cell; N],
    ) {
        let one = |(index, value): (usize, &&str)| {
            count(&[(label, value)], self.of(|m| &cells(m)[index]))
        };
        let metrics = values.iter().enumerate().map(one).collect();
        self.add((name, help), MetricType::COUNTER, metrics);
    }

    fn reasons(&mut self, name: &str, help: &str, counts: &[(&str, u64)]) {
        let one = |(reason, number): &(&str, u64)| count(&[("reason", reason)], *number as f64);
        self.add((name, help), MetricType::COUNTER, counts.iter().map(one).collect());
    }

    fn pair<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        cells: [(&str, Of); N],
    ) {
        let metrics =
            cells.iter().map(|(value, cell)| count(&[(label, value)], self.of(cell))).collect();
        self.add((name, help), MetricType::COUNTER, metrics);
    }

    fn gauge(&mut self, name: &str, help: &str, cell: impl Fn(&WorkerMetrics) -> &Cell) {
        let value = self.of(cell);
        self.fixed(name, help, value);
    }

    fn highest(&mut self, name: &str, help: &str, cell: impl Fn(&WorkerMetrics) -> &Cell) {
        let value = self.workers.iter().map(|m| cell(m).get()).max().unwrap_or(0);
        self.fixed(name, help, value as f64);
    }

    fn fixed(&mut self, name: &str, help: &str, value: f64) {
        self.add((name, help), MetricType::GAUGE, vec![level(&[], value)]);
    }

    fn fixed_counter(&mut self, name: &str, help: &str, value: u64) {
        self.add((name, help), MetricType::COUNTER, vec![count(&[], value as f64)]);
    }

    fn labelled(&mut self, name: &str, help: &str, label: &str, values: &[(String, f64)]) {
        let metrics = values.iter().map(|(name, value)| level(&[(label, name)], *value)).collect();
        self.add((name, help), MetricType::GAUGE, metrics);
    }

    fn histogram(&mut self, name: &str, help: &str, of: impl Fn(&WorkerMetrics) -> &Durations) {
        let all: Vec<&Durations> = self.workers.iter().map(|m| of(m)).collect();
        let metric = distribution(&[], &all);
        self.add((name, help), MetricType::HISTOGRAM, vec![metric]);
    }

    /// The commands that are shown: their names and indices.
    fn shown(&self) -> Vec<(&'static str, usize)> {
        let table = protocol::command::table();
        let used = |index: usize| {
            self.workers.iter().any(|m| m.commands[index].results.iter().any(|r| r.get() > 0))
        };
        let shown = table.iter().map(|command| (command.name, command.id.index()));
        shown.filter(|(name, index)| SHOWN.contains(name) || used(*index)).collect()
    }

    fn commands(&mut self, name: &str, help: &str) {
        let mut metrics = Vec::new();
        for (command, index) in self.shown() {
            for (nth, result) in RESULTS.iter().enumerate() {
                let value = self.of(|m| &m.commands[index].results[nth]);
                metrics.push(count(&[("command", command), ("result", result)], value));
            }
        }
        self.add((name, help), MetricType::COUNTER, metrics);
    }

    fn durations(&mut self, name: &str, help: &str) {
        let mut metrics = Vec::new();
        for (command, index) in self.shown() {
            let all: Vec<&Durations> =
                self.workers.iter().map(|m| &m.commands[index].duration).collect();
            metrics.push(distribution(&[("command", command)], &all));
        }
        self.add((name, help), MetricType::HISTOGRAM, metrics);
    }
}

fn labels(pairs: &[(&str, &str)]) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    pairs.iter().map(pair).collect()
}

fn count(pairs: &[(&str, &str)], value: f64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value);
    let mut metric = Metric::from_label(labels(pairs));
    metric.set_counter(counter);
    metric
}

fn level(pairs: &[(&str, &str)], value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::from_label(labels(pairs));
    metric.set_gauge(gauge);
    metric
}

fn distribution(pairs: &[(&str, &str)], all: &[&Durations]) -> Metric {
    let mut buckets = Vec::new();
    let mut so_far = 0;
    for (index, bound) in BUCKETS_US.iter().enumerate() {
        so_far += all.iter().map(|d| d.buckets[index].get()).sum::<u64>();
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(f64::from(*bound) / 1e6);
        bucket.set_cumulative_count(so_far);
        buckets.push(bucket);
    }
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(
        so_far + all.iter().map(|d| d.buckets[BUCKETS_US.len()].get()).sum::<u64>(),
    );
    histogram.set_sample_sum(all.iter().map(|d| d.sum_us.get()).sum::<u64>() as f64 / 1e6);
    let mut metric = Metric::from_label(labels(pairs));
    metric.set_histogram(histogram);
    metric
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use prometheus::{Encoder, Registry, TextEncoder};
    use std::time::Duration;

    #[test]
    fn every_series_is_there_from_the_start_and_sums_all_workers() {
        let shared = Arc::new(Shared::new(Config { workers: 2, ..Config::default() }));
        let registry = Registry::new();
        registry.register(Box::new(Page::new(Arc::clone(&shared)).unwrap())).unwrap();
        let text = || {
            let mut out = Vec::new();
            TextEncoder::new().encode(&registry.gather(), &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let before = text();
        for line in [
            "slipway_proxy_requests_total{command=\"get\",result=\"proxy_error\"} 0",
            "slipway_proxy_held_requests_total{outcome=\"timeout\"} 0",
            "slipway_proxy_errors_total{reason=\"hold_timeout\"} 0",
            "slipway_proxy_request_duration_seconds_bucket{command=\"get\",le=\"0.001\"} 0",
        ] {
            assert!(before.contains(line), "{line}");
        }
        for metrics in &shared.metrics {
            metrics.held.add(3);
            let get = protocol::command::lookup(b"get").unwrap();
            let command = &metrics.commands[get.id.index()];
            command.results[0].add(1);
            command.duration.observe(Duration::from_micros(700));
            command.duration.observe(Duration::from_secs(9));
        }
        let after = text();
        for line in [
            "slipway_proxy_held_requests 6",
            "slipway_proxy_requests_total{command=\"get\",result=\"ok\"} 2",
            "slipway_proxy_request_duration_seconds_bucket{command=\"get\",le=\"0.0005\"} 0",
            "slipway_proxy_request_duration_seconds_bucket{command=\"get\",le=\"0.001\"} 2",
            "slipway_proxy_request_duration_seconds_count{command=\"get\"} 4",
        ] {
            assert!(after.contains(line), "{line}\n{after}");
        }
    }
}
