//! INFO: Redis' names where the proxy can say what they mean, and a section of our own.

use super::{Asks, REDIS_VERSION};
use crate::metrics::WorkerMetrics;
use crate::shared::Shared;
use protocol::reply::Reply;
use std::fmt::Write;
use std::time::UNIX_EPOCH;

/// Sections in the order they are shown.
const SECTIONS: [&str; 11] = [
    "Server",
    "Clients",
    "Memory",
    "Persistence",
    "Stats",
    "Replication",
    "CPU",
    "Modules",
    "Errorstats",
    "Cluster",
    "Slipway",
];

pub(super) fn info(asks: &Asks<'_>, reply: &mut Reply<'_>) {
    let wanted: Vec<Vec<u8>> = asks.args(1).map(<[u8]>::to_ascii_lowercase).collect();
    let all = wanted.is_empty()
        || wanted.iter().any(|word| matches!(word.as_slice(), b"all" | b"default" | b"everything"));
    let mut text = String::new();
    for name in SECTIONS {
        if all || wanted.iter().any(|word| *word == name.to_ascii_lowercase().as_bytes()) {
            let gap = if text.is_empty() { "" } else { "\r\n" };
            let _ = write!(text, "{gap}# {name}\r\n");
            section(&asks.worker.shared, name, &mut text);
        }
    }
    reply.verbatim(&text);
}

fn section(shared: &Shared, name: &str, text: &mut String) {
    let mut line = |key: &str, value: &dyn std::fmt::Display| {
        let _ = write!(text, "{key}:{value}\r\n");
    };
    let sum = |of: fn(&WorkerMetrics) -> u64| shared.metrics.iter().map(|m| of(m)).sum::<u64>();
    match name {
        "Server" => {
            let up_s = shared.started.elapsed().as_secs();
            line("redis_version", &REDIS_VERSION);
            line("redis_mode", &"standalone");
            line("os", &std::env::consts::OS);
            line("arch_bits", &usize::BITS);
            line("process_id", &std::process::id());
            line("run_id", &shared.run_id);
            line("uptime_in_seconds", &up_s);
            line("uptime_in_days", &(up_s / 86_400));
            line("server_time_usec", &UNIX_EPOCH.elapsed().unwrap_or_default().as_micros());
        }
        "Clients" => {
            line("connected_clients", &shared.clients.open());
            line("maxclients", &shared.live.clients_max());
            line("blocked_clients", &sum(|m| m.blocked.get()));
        }
        "Memory" => {
            line("maxmemory", &0);
            line("maxmemory_policy", &"noeviction");
        }
        "Persistence" => {
            line("loading", &0);
            line("async_loading", &0);
        }
        "Stats" => {
            line("total_connections_received", &sum(|m| m.clients_accepted.get()));
            line("rejected_connections", &sum(|m| m.clients_refused.get()));
            line("total_commands_processed", &sum(WorkerMetrics::requests));
            line("total_net_input_bytes", &sum(|m| m.receive_bytes.get()));
            line("total_net_output_bytes", &sum(|m| m.send_bytes.get()));
            line("total_error_replies", &sum(WorkerMetrics::errors));
        }
        "Replication" => {
            line("role", &"master");
            line("connected_slaves", &0);
        }
        "Cluster" => line("cluster_enabled", &0),
        "Slipway" => {
            line("proxy_name", &shared.config.name);
            line("proxy_version", &env!("CARGO_PKG_VERSION"));
            line("workers", &shared.config.workers);
            line("slots", &shared.config.slot_count.get());
            line("held_requests", &sum(|m| m.held.get()));
            line("held_slots", &sum(|m| m.holds_open.get()));
            line("redirects", &sum(|m| m.redirects.get()));
        }
        _ => {}
    }
}
