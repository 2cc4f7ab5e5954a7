//! Every metric of a node. All series exist from the start, at zero, but for the latency of commands nobody has sent.
//!
//! Nothing is counted here: whoever asks for the page has the counters of the workers added up and the rest looked at. Several nodes may be in
//! one registry: `node`, the address others reach it at, tells them apart; `group` is empty until the node is taken into a cluster.

mod moves;
mod store;

use crate::command;
use crate::exec::is_served;
use crate::shared::Shared;
use crate::slots::{Counts, SlotInner};
use crate::stats::BOUNDS_SECONDS;
use parking_lot::Mutex;
use prometheus::Registry;
use protocol::command::{Command, table};
use service::metrics::{Page, register as register_page};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

/// The states of a slot, by `SlotState::name`.
const STATES: [&str; 9] =
    ["unclaimed", "owned", "sealed", "doubt", "granted", "absent", "refused", "importing", "ready"];

/// Adds a node's metrics to `registry`. They are gone from its page when the node is.
pub fn register(shared: &Arc<Shared>, registry: &Registry) -> Result<(), prometheus::Error> {
    let labels = [("node", shared.config.addr.as_str())];
    let seen = Mutex::new(Vec::new());
    let shared = Arc::downgrade(shared);
    register_page(registry, &labels, move |page| write(&shared, &seen, page))
}

fn write(shared: &Weak<Shared>, seen: &Mutex<Vec<Seen>>, page: &mut Page) {
    let Some(shared) = shared.upgrade() else { return };
    page.label("group", shared.identity.read().group.as_deref().unwrap_or_default());
    process(&shared, page);
    clients(&shared, page);
    commands(&shared, page);
    keys(&shared, page);
    slots(&shared, &mut seen.lock(), page);
    moves::write(&shared, page);
    store::write(&shared, page);
}

fn process(shared: &Shared, page: &mut Page) {
    let identity = shared.identity.read().clone();
    let cluster = identity.cluster.unwrap_or_default();
    page.gauge(
        "slipway_node_info",
        "Always 1; the labels say which node it is.",
        ["node_id", "cluster"],
    )
    .put([&identity.node_id, &cluster], 1);
    page.gauge(
        "slipway_node_start_time_seconds",
        "When the node was started, seconds since 1970.",
        [],
    )
    .put_real([], shared.stats.started_ms as f64 / 1e3);
}

fn clients(shared: &Shared, page: &mut Page) {
    let stats = &shared.stats;
    page.gauge(
        "slipway_node_client_connections",
        "Connections open now, those of proxies and other nodes included.",
        [],
    )
    .put([], shared.clients.len() as u64);
    page.gauge(
        "slipway_node_client_connections_limit",
        "Connections that may be open at once.",
        [],
    )
    .put([], shared.config.clients_max as u64);
    page.gauge(
        "slipway_node_blocked_clients",
        "Clients in a command that waits for a key, those of proxies included; never more than connections.",
        [],
    )
    .put([], shared.clients.blocked.load(Relaxed) as u64);
    page.counter(
        "slipway_node_client_connections_total",
        "Connections, by what became of them.",
        ["result"],
    )
    .put(["accepted"], stats.sum(|w| &w.connections))
    .put(["refused"], stats.sum(|w| &w.connections_refused));
    page.counter("slipway_node_receive_bytes_total", "Bytes read from connections.", [])
        .put([], stats.sum(|w| &w.bytes_in));
    page.counter("slipway_node_send_bytes_total", "Bytes written to connections.", [])
        .put([], stats.sum(|w| &w.bytes_out));
    page.counter(
        "slipway_node_turns_total",
        "Turns of sessions: commands divided by turns is the depth of pipelines.",
        [],
    )
    .put([], stats.sum(|w| &w.turns));
    page.counter(
        "slipway_node_output_waits_total",
        "Times a client's requests waited because it did not read its replies.",
        [],
    )
    .put([], stats.sum(|w| &w.output_waits));
    page.counter(
        "slipway_node_relayed_total",
        "Requests of other parties' connections for slots of other nodes, by what became of them; failed: answered with an error of this node.",
        ["result"],
    )
    .put(["ok"], stats.sum(|w| &w.relayed).saturating_sub(stats.sum(|w| &w.relays_failed)))
    .put(["failed"], stats.sum(|w| &w.relays_failed));
}

fn commands(shared: &Shared, page: &mut Page) {
    let stats = &shared.stats;
    let served = || table().iter().filter(|c| command::find(c.id).is_some());
    let mut totals = page.counter(
        "slipway_node_commands_total",
        "Commands by name and result; rejected: refused before they ran; bounced: turned away unexecuted, since the slot is not served here.",
        ["command", "result"],
    );
    for command in served() {
        let sum = |of: fn(&crate::stats::CommandCounts) -> &crate::stats::Count| {
            stats.sum(|w| of(w.command(command.id)))
        };
        let (failed, bounced) = (sum(|c| &c.failed), sum(|c| &c.bounced));
        // The counters are read one after the other while they grow.
        let ok = sum(|c| &c.calls).saturating_sub(failed + bounced);
        totals
            .put([command.name, "ok"], ok)
            .put([command.name, "error_reply"], failed)
            .put([command.name, "rejected"], sum(|c| &c.rejected))
            .put([command.name, "bounced"], bounced);
    }
    let mut durations = page.histogram(
        (
            "slipway_node_command_duration_seconds",
            "Time from a command's turn to its reply being written to the buffer.",
        ),
        ["command"],
        &BOUNDS_SECONDS,
    );
    let took = |c: &Command| {
        Some((c.name, stats.took(c.id))).filter(|(_, (buckets, _))| buckets.iter().any(|&n| n > 0))
    };
    for (name, (buckets, seconds)) in served().filter_map(took) {
        durations.put([name], buckets, seconds);
    }
    page.counter(
        "slipway_node_error_replies_total",
        "Error replies of all commands, unknown ones included.",
        [],
    )
    .put([], stats.sum(|w| &w.errors));
}

fn keys(shared: &Shared, page: &mut Page) {
    let stats = &shared.stats;
    page.counter("slipway_node_keyspace_hits_total", "Keys that reads found.", [])
        .put([], stats.sum(|w| &w.hits));
    page.counter("slipway_node_keyspace_misses_total", "Keys that reads did not find.", [])
        .put([], stats.sum(|w| &w.misses));
    page.counter(
        "slipway_node_expired_keys_total",
        "Keys deleted since their time was over, by who met them first.",
        ["by"],
    )
    .put(["access"], stats.sum(|w| &w.expired))
    .put(["sweep"], stats.swept.get());
}

/// One slot, when it was looked at last.
#[derive(Clone, Debug)]
struct Seen {
    state: &'static str,
    /// By database, if the slot is served here.
    counts: Option<Box<[Counts]>>,
    capture_bytes: u64,
}

impl Seen {
    fn of(inner: &SlotInner) -> Self {
        Self {
            state: inner.state.name(),
            counts: is_served(inner).then(|| inner.counts.clone()),
            capture_bytes: inner.capture.as_ref().map_or(0, |capture| capture.bytes() as u64),
        }
    }
}

/// A slot that a long command has locked counts as it was the last time: who scrapes never waits for it.
fn slots(shared: &Shared, seen: &mut Vec<Seen>, page: &mut Page) {
    let never = Seen { state: STATES[0], counts: None, capture_bytes: 0 };
    seen.resize(usize::from(shared.slot_count().get()), never);
    for ((_, cell), seen) in shared.slots.iter().zip(seen.iter_mut()) {
        if let Some(inner) = cell.try_read() {
            *seen = Seen::of(&inner);
        }
    }
    let mut states = BTreeMap::from(STATES.map(|state| (state, 0)));
    let mut sums = vec![Counts::default(); usize::from(shared.config.databases)];
    for slot in seen.iter() {
        *states.entry(slot.state).or_default() += 1;
        for (sum, counts) in sums.iter_mut().zip(slot.counts.iter().flatten()) {
            sum.keys += counts.keys;
            sum.expires += counts.expires;
        }
    }
    let mut slots = page.gauge(
        "slipway_node_slots",
        "Slots by the state they have on this node; the sum is the number of slots.",
        ["state"],
    );
    for (state, count) in states {
        slots.put([state], count);
    }
    // The first database always, others once they have keys.
    let used = || {
        sums.iter()
            .enumerate()
            .filter(|(db, sum)| *db == 0 || sum.keys > 0)
            .map(|(db, sum)| (db.to_string(), sum))
    };
    let mut keys = page.gauge("slipway_node_keys", "Keys in slots that this node serves.", ["db"]);
    for (db, sum) in used() {
        keys.put([&db], sum.keys);
    }
    let mut expiring =
        page.gauge("slipway_node_expiring_keys", "Those of them that will expire.", ["db"]);
    for (db, sum) in used() {
        expiring.put([&db], sum.expires);
    }
    page.gauge(
        "slipway_node_migration_lag_bytes",
        "Changes of slots on their way out that wait to be sent.",
        [],
    )
    .put([], seen.iter().map(|slot| slot.capture_bytes).sum());
}
