//! All slots move to the other group and back under checked writes, and no client notices.

use crate::size::size;
use harness::Company;
use harness::cluster::{Cluster, Settings};
use harness::http::metric;
use harness::load::{Load, Outcome};
use harness::machine::Since;

/// A client's worst latency may be that much above the same run without moves, milliseconds.
const ADDED_MAX_MS: f64 = 20.0;

/// `stall_write` as the nodes measure it, 99th percentile, in seconds; a bound of their histogram.
const STALL_P99_MAX: &str = "0.009";

/// Pairs of runs, without moves and with them. A pause of ours is in every pair; a hiccup of the machine is not.
const PAIRS_MAX: usize = 3;

/// A machine on which others use more than that, in cores, says nothing of our latencies.
const OTHERS_MAX: f64 = 0.25;

#[test]
fn no_client_notices_that_all_slots_move_and_come_back() {
    let cluster = Cluster::start_with(Settings { company: Company::Alone, ..Settings::default() });
    // All of them are in one group before they move to the other and back.
    cluster.tool_json("migrate --slots 0-1023 --to 1").unwrap();
    let mut pairs = vec![Pair::run(&cluster)];
    while pairs.iter().all(|pair| pair.added_ms > ADDED_MAX_MS) && pairs.len() < PAIRS_MAX {
        pairs.push(Pair::run(&cluster));
    }
    assert!(cluster.check_each_key_is_on_one_node() > 1000);
    stalls_are_short(&cluster);
    if pairs.iter().all(|pair| pair.added_ms > ADDED_MAX_MS) {
        let nobody_could_say = pairs.iter().all(|pair| pair.others_cores > OTHERS_MAX);
        assert!(nobody_could_say && size(true, false), "added to the worst latency: {pairs:#?}");
        println!("NOT MEASURED: the worst latency, since others used the machine: {pairs:#?}");
    }
}

/// What moves add to the worst latency, and how much room others left us for saying so.
#[derive(Debug)]
#[expect(dead_code, reason = "the figures are shown when the test fails")]
struct Pair {
    added_ms: f64,
    others_cores: f64,
    worst_ms: [f64; 2],
    generator_late_ms: [f64; 2],
}

impl Pair {
    fn run(cluster: &Cluster) -> Self {
        let seconds = size(15, 60);
        let words =
            format!("--rate 5000 --clients 16 --pipeline 16 --keys 10000 --seconds {seconds}");
        let since = Since::now(&cluster.process_ids());
        let still = Load::start(&cluster.proxy, &words).finish();
        nothing_wrong(&still);
        let moving = load_while_all_moves(cluster, &words);
        nothing_wrong(&moving);
        let both = [&still, &moving];
        let pair = Self {
            added_ms: worst_ms(&moving) - worst_ms(&still),
            others_cores: since.cores_of_others(),
            worst_ms: both.map(worst_ms),
            generator_late_ms: both.map(|o| ms(&o.report["generator"]["late_max_us"])),
        };
        println!("{pair:?}");
        pair
    }
}

/// To and fro as long as the load lasts, at least once.
fn load_while_all_moves(cluster: &Cluster, words: &str) -> Outcome {
    let mut load = Load::start(&cluster.proxy, words);
    let mut rounds = 0;
    while load.runs() || rounds == 0 {
        for group in [2, 1] {
            let moved = cluster.tool_json(&format!("migrate --slots 0-1023 --to {group}")).unwrap();
            println!("stall_write_us {}", moved["stall_write_us"]);
            assert_eq!(moved["arrived"], 1024, "{moved}");
        }
        rounds += 1;
    }
    load.finish()
}

/// Of all handoffs of both nodes.
fn stalls_are_short(cluster: &Cluster) {
    let name = "slipway_node_handoff_stall_write_seconds";
    let sum = |name: &str, label: &str| -> f64 {
        cluster.node_admins.iter().map(|admin| metric(admin, name, label)).sum()
    };
    let within = sum(&format!("{name}_bucket"), &format!("le=\"{STALL_P99_MAX}\""));
    let all = sum(&format!("{name}_count"), "");
    println!("{within} of {all} handoffs within {STALL_P99_MAX} s");
    assert!(all >= 2048.0 && within >= all * 0.99, "{within} of {all} within {STALL_P99_MAX} s");
}

pub(crate) fn nothing_wrong(outcome: &Outcome) {
    assert!(outcome.success, "{}", outcome.words);
}

fn worst_ms(outcome: &Outcome) -> f64 {
    ms(&outcome.report["latency_us"]["max"])
}

/// Microseconds of a report, in milliseconds.
fn ms(us: &serde_json::Value) -> f64 {
    us.as_f64().unwrap_or_else(|| panic!("{us} is no number")) / 1000.0
}
