//! All slots move to the other group and back under checked writes, and no client notices.

use crate::size::size;
use harness::Company;
use harness::cluster::{Cluster, Settings};
use harness::load::{Load, Outcome};
use serde_json::Value as Json;

/// A client's worst latency may be that much above the same run without moves, milliseconds.
const ADDED_MAX_MS: f64 = 20.0;

/// `stall_write` as the nodes measure it, 99th percentile, microseconds.
const STALL_P99_MAX_US: u64 = 9_000;

/// Pairs of runs, without moves and with them. A machine that others use too has hiccups of its own, which hit either run of a pair; a pause
/// of ours is in every pair.
const PAIRS_MAX: usize = 3;

#[test]
fn no_client_notices_that_all_slots_move_and_come_back() {
    let cluster = Cluster::start_with(Settings { company: Company::Alone, ..Settings::default() });
    // All of them are in one group before they move to the other and back.
    cluster.tool_json("migrate --slots 0-1023 --to 1").unwrap();
    let words =
        format!("--rate 5000 --clients 16 --pipeline 16 --keys 10000 --seconds {}", size(15, 60));
    let mut added_ms = Vec::new();
    while added_ms.last().is_none_or(|&added| added > ADDED_MAX_MS) {
        assert!(
            added_ms.len() < PAIRS_MAX,
            "milliseconds added to the worst latency: {added_ms:?}"
        );
        let still = Load::start(&cluster.proxy, &words).finish();
        nothing_wrong(&still);
        let moving = load_while_all_moves(&cluster, &words);
        nothing_wrong(&moving);
        println!("with moves {}, without {}", figures(&moving), figures(&still));
        added_ms.push(worst_ms(&moving) - worst_ms(&still));
    }
    assert!(cluster.check_each_key_is_on_one_node() > 1000);
}

/// To and fro as long as the load lasts, at least once.
fn load_while_all_moves(cluster: &Cluster, words: &str) -> Outcome {
    let mut load = Load::start(&cluster.proxy, words);
    let mut rounds = 0;
    while load.runs() || rounds == 0 {
        for group in [2, 1] {
            let moved = cluster.tool_json(&format!("migrate --slots 0-1023 --to {group}")).unwrap();
            stalls_are_short(&moved);
        }
        rounds += 1;
    }
    load.finish()
}

/// What people look at when it fails.
fn figures(outcome: &Outcome) -> String {
    let report = &outcome.report;
    format!(
        "worst {:.1} ms (p99.9 {} µs, generator late by {} µs)",
        worst_ms(outcome),
        report["latency_us"]["p99_9"],
        report["generator"]["late_max_us"]
    )
}

pub(crate) fn nothing_wrong(outcome: &Outcome) {
    assert!(outcome.success, "{}", outcome.words);
}

fn worst_ms(outcome: &Outcome) -> f64 {
    let us = &outcome.report["latency_us"]["max"];
    us.as_f64().unwrap_or_else(|| panic!("no worst latency in {}", outcome.words)) / 1000.0
}

fn stalls_are_short(moved: &Json) {
    let p99 =
        moved["stall_write_us"]["p99"].as_u64().unwrap_or_else(|| panic!("no stall in {moved}"));
    println!("stall_write_us {}", moved["stall_write_us"]);
    assert_eq!(moved["arrived"], 1024, "{moved}");
    assert!(p99 <= STALL_P99_MAX_US, "{moved}");
}
