//! INFO: Redis' names where something here is what they say, so that tools read it.

use super::super::connection::REDIS_VERSION;
use super::super::{Outcome, Request};
use crate::exec::is_served;
use crate::session::Session;
use crate::shared::Shared;
use crate::slots::{Counts, now_ms};
use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

/// Sections in the order in which they are shown, and whether INFO alone shows them.
const SECTIONS: &[(&str, bool)] = &[
    ("server", true),
    ("clients", true),
    ("memory", true),
    ("persistence", true),
    ("stats", true),
    ("replication", true),
    ("cpu", true),
    ("modules", true),
    ("commandstats", false),
    ("errorstats", true),
    ("slots", true),
    ("cluster", true),
    ("keyspace", true),
];

pub(super) fn info(session: &mut Session, request: Request<'_>) -> Outcome {
    let wanted: Vec<Vec<u8>> = request.from(1).map(<[u8]>::to_ascii_lowercase).collect();
    let asks = |name: &str| wanted.iter().any(|word| word == name.as_bytes());
    let (everything, default) =
        (asks("all") || asks("everything"), wanted.is_empty() || asks("default"));
    let mut text = String::new();
    for (name, shown) in SECTIONS {
        if everything || default && *shown || asks(name) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            section(&session.shared, name, &mut text);
        }
    }
    session.reply().verbatim(&text);
    Ok(())
}

fn section(shared: &Shared, name: &str, text: &mut String) {
    let title = name[..1].to_ascii_uppercase() + &name[1..];
    let title = if name == "cpu" { "CPU".to_owned() } else { title };
    let mut lines = Lines(text);
    lines.0.push_str(&format!("# {title}\r\n"));
    match name {
        "server" => server(shared, &mut lines),
        "clients" => {
            lines.line("connected_clients", shared.clients.len());
            lines.line("maxclients", shared.config.clients_max);
            lines.line("blocked_clients", shared.clients.blocked.load(Relaxed));
        }
        "memory" => memory(shared, &mut lines),
        "persistence" => {
            lines.line("loading", 0);
            lines.line("async_loading", 0);
            lines.line("rdb_bgsave_in_progress", 0);
            lines.line("aof_enabled", 0);
        }
        "stats" => stats(shared, &mut lines),
        "replication" => {
            lines.line("role", "master");
            lines.line("connected_slaves", 0);
            // Without it Pika's dashboard takes a node for one that can never be a master.
            lines.line("is_eligible_for_master_election", true);
            lines.line("slave_priority", 100);
            lines.line("slave_repl_offset", 0);
            lines.line("master_repl_offset", 0);
            lines.line("master_replid", &shared.identity.read().node_id);
        }
        "cpu" => cpu(&mut lines),
        "commandstats" => command_stats(shared, &mut lines),
        "slots" => {
            lines.line("slot_count", shared.slot_count().get());
            lines.line(
                "slots_served",
                shared.slots.iter().filter(|(_, cell)| is_served(&cell.read())).count(),
            );
            lines.line("slot_driver", shared.driver().name());
            lines.line("relayed_requests", shared.stats.sum(|w| &w.relayed));
            lines.line("relays_failed", shared.stats.sum(|w| &w.relays_failed));
        }
        "cluster" => lines.line("cluster_enabled", 0),
        "keyspace" => keyspace(shared, &mut lines),
        _ => {}
    }
}

/// `name:value` lines.
struct Lines<'a>(&'a mut String);

impl Lines<'_> {
    fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        let written = write!(self.0, "{name}:{value}\r\n");
        debug_assert!(written.is_ok(), "writing to memory");
    }
}

fn server(shared: &Shared, lines: &mut Lines<'_>) {
    let seconds = now_ms().saturating_sub(shared.stats.started_ms) / 1000;
    lines.line("redis_version", REDIS_VERSION);
    lines.line("slipway_version", env!("CARGO_PKG_VERSION"));
    lines.line("redis_mode", "standalone");
    lines.line("os", std::env::consts::OS);
    lines.line("arch_bits", usize::BITS);
    lines.line("process_id", std::process::id());
    lines.line("run_id", &shared.identity.read().node_id);
    lines.line("boot_id", &shared.boot_id);
    lines.line("tcp_port", shared.config.addr.rsplit(':').next().unwrap_or_default());
    lines.line("uptime_in_seconds", seconds);
    lines.line("uptime_in_days", seconds / 86_400);
}

fn memory(shared: &Shared, lines: &mut Lines<'_>) {
    let used = resident_bytes();
    lines.line("used_memory", used);
    lines.line("used_memory_rss", used);
    lines.line("maxmemory", 0);
    lines.line("maxmemory_policy", "noeviction");
    lines.line("store_memory_limit", shared.config.memory_bytes);
    lines.line("store_cache_bytes", shared.engine.cache_bytes());
    lines.line("store_write_buffer_bytes", shared.engine.number("rocksdb.cur-size-all-mem-tables"));
    lines.line("disk_free_bytes", shared.disk.free_bytes());
}

/// The process's resident memory (proc(5), statm counts pages of 4 KiB).
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn stats(shared: &Shared, lines: &mut Lines<'_>) {
    let calls: u64 = shared.stats.by_command().iter().map(|(_, sums)| sums[0]).sum();
    lines.line("total_connections_received", shared.stats.sum(|w| &w.connections));
    lines.line("total_commands_processed", calls);
    lines.line("total_net_input_bytes", shared.stats.sum(|w| &w.bytes_in));
    lines.line("total_net_output_bytes", shared.stats.sum(|w| &w.bytes_out));
    lines.line("rejected_connections", shared.stats.sum(|w| &w.connections_refused));
    lines.line("expired_keys", shared.stats.sum(|w| &w.expired) + shared.stats.swept.get());
    lines.line("evicted_keys", 0);
    lines.line("keyspace_hits", shared.stats.sum(|w| &w.hits));
    lines.line("keyspace_misses", shared.stats.sum(|w| &w.misses));
    lines.line("total_error_replies", shared.stats.sum(|w| &w.errors));
    lines.line("bounced_requests", shared.stats.sum(|w| &w.bounced));
    lines.line("output_waits", shared.stats.sum(|w| &w.output_waits));
}

fn cpu(lines: &mut Lines<'_>) {
    // Fields 14 and 15 of proc(5)'s stat, counted behind the name in brackets; in ticks of 10 ms.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let ticks: Vec<u64> =
        behind.split(' ').skip(12).take(2).filter_map(|n| n.parse().ok()).collect();
    let seconds = |at: usize| ticks.get(at).map_or(0.0, |&ticks| ticks as f64 / 100.0);
    lines.line("used_cpu_sys", format_args!("{:.6}", seconds(1)));
    lines.line("used_cpu_user", format_args!("{:.6}", seconds(0)));
}

fn command_stats(shared: &Shared, lines: &mut Lines<'_>) {
    for (command, [calls, nanos, rejected, failed]) in shared.stats.by_command() {
        let micros = nanos / 1000;
        let each = if calls == 0 { 0.0 } else { nanos as f64 / 1000.0 / calls as f64 };
        let text = format!(
            "calls={calls},usec={micros},usec_per_call={each:.2},rejected_calls={rejected},failed_calls={failed}"
        );
        lines.line(&format!("cmdstat_{}", command.name), text);
    }
}

fn keyspace(shared: &Shared, lines: &mut Lines<'_>) {
    let mut sums = vec![Counts::default(); usize::from(shared.config.databases)];
    for (_, cell) in shared.slots.iter() {
        let inner = cell.read();
        if is_served(&inner) {
            for (sum, counts) in sums.iter_mut().zip(&inner.counts) {
                sum.keys += counts.keys;
                sum.expires += counts.expires;
            }
        }
    }
    for (db, sum) in sums.iter().enumerate().filter(|(_, sum)| sum.keys > 0) {
        lines.line(
            &format!("db{db}"),
            format_args!("keys={},expires={},avg_ttl=0", sum.keys, sum.expires),
        );
    }
}
