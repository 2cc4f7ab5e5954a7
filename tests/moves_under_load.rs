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

#[test]
fn no_client_notices_that_all_slots_move_and_come_back() {
    let cluster = Cluster::start_with(Settings { company: Company::Alone, ..Settings::default() });
    let seconds = size(15, 60);
    let words = format!("--rate 5000 --clients 16 --pipeline 16 --keys 10000 --seconds {seconds}");

    let still = Load::start(&cluster.proxy, &words).finish();
    nothing_wrong(&still);

    let mut load = Load::start(&cluster.proxy, &words);
    let mut rounds = 0;
    while load.runs() {
        for group in [2, 1] {
            let moved = cluster.tool_json(&format!("migrate --slots 0-1023 --to {group}")).unwrap();
            stalls_are_short(&moved);
        }
        rounds += 1;
    }
    let moving = load.finish();
    nothing_wrong(&moving);
    assert!(rounds >= 1);

    let (worst, worst_still) = (worst_ms(&moving), worst_ms(&still));
    println!("rounds {rounds}, worst latency {worst} ms, without moves {worst_still} ms");
    assert!(worst <= worst_still + ADDED_MAX_MS, "{worst} ms, and {worst_still} ms without moves");
    assert!(cluster.check_each_key_is_on_one_node() > 1000);
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
    assert!(p99 <= STALL_P99_MAX_US, "{moved}");
}
