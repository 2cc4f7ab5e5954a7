//! The pause does not depend on what is in the slot.

use crate::size::size;
use cluster::SlotCount;
use harness::cluster::Cluster;
use harness::resp::Client;
use serde_json::Value as Json;

/// How often each slot is moved for its figure.
const MOVES: usize = 10;

#[test]
fn a_slot_with_a_gibibyte_and_a_million_fields_stalls_no_longer_than_a_small_one() {
    let cluster = Cluster::start();
    let (small, big) = ("{small}", "{big}");
    fill(&cluster.proxy, small, 1 << 20, 1_000);
    fill(&cluster.proxy, big, size(128 << 20, 1 << 30), size(200_000, 1_000_000));

    let small_us = stalls(&cluster, small);
    let big_us = stalls(&cluster, big);
    println!("stall_write_us small {small_us:?}, big {big_us:?}");
    let median = |us: &[u64]| us[us.len() / 2];
    // The same but for the noise of two shared cores.
    assert!(median(&big_us) <= median(&small_us) * 2 + 2_000, "small {small_us:?}, big {big_us:?}");
    assert!(
        *big_us.last().unwrap() <= 9_000.max(small_us.last().unwrap() * 2),
        "small {small_us:?}, big {big_us:?}"
    );
}

/// Strings of 64 KiB and one hash, all in the slot of `tag`.
fn fill(addr: &str, tag: &str, bytes: usize, fields: usize) {
    let mut client = Client::connect(addr).unwrap();
    let value = vec![b'v'; 64 << 10];
    for i in 0..bytes / value.len() {
        let key = format!("{tag}:{i}");
        client.call(&[b"SET", key.as_bytes(), &value]).unwrap();
    }
    let key = format!("{tag}:hash");
    for begin in (0..fields).step_by(1000) {
        let names: Vec<String> = (begin..begin + 1000).map(|i| format!("field:{i}")).collect();
        let mut args: Vec<&[u8]> = vec![b"HSET", key.as_bytes()];
        for name in &names {
            args.extend([name.as_bytes(), b"value"]);
        }
        client.call(&args).unwrap();
    }
}

/// The stalls of moving the slot of `tag` to and fro, sorted, microseconds.
fn stalls(cluster: &Cluster, tag: &str) -> Vec<u64> {
    let slot = SlotCount::DEFAULT.of(tag.as_bytes());
    let mut stalls = Vec::new();
    for i in 0..MOVES {
        // Whatever group it is in, it goes to the other and back.
        for group in [2, 1] {
            let moved = cluster.tool_json(&format!("migrate --slots {slot} --to {group}")).unwrap();
            let max = &moved["stall_write_us"]["max"];
            if let Json::Number(us) = max {
                stalls.push(us.as_u64().unwrap());
            }
        }
        assert!(stalls.len() > i, "no stall was reported");
    }
    stalls.sort_unstable();
    stalls
}
