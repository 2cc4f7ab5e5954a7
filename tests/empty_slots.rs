//! The fixed cost of a move: slots with next to nothing in them.

use harness::Company;
use harness::cluster::{Cluster, Settings};
use std::time::{Duration, Instant};

#[test]
fn a_thousand_almost_empty_slots_move_within_ten_seconds() {
    let cluster = Cluster::start_with(Settings { company: Company::Alone, ..Settings::default() });
    let begin = Instant::now();
    let moved = cluster.tool_json("migrate --slots 0-511 --to 2");
    let half = begin.elapsed();
    moved.unwrap();
    cluster.tool_json("migrate --slots 0-1023 --to 1").unwrap();
    let begin = Instant::now();
    let moved = cluster.tool_json("migrate --slots 0-1023 --to 2").unwrap();
    let took = begin.elapsed();
    println!("1024 slots in {took:?} (512 in {half:?}): {moved}");
    assert!(took <= Duration::from_secs(10), "{took:?}");
    assert_eq!(moved["arrived"], 1024);
}
