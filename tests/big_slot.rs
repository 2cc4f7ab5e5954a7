//! The pause does not depend on what is in the slot.

use crate::size::size;
use cluster::SlotCount;
use harness::Company;
use harness::cluster::{Cluster, Settings};
use harness::resp::Client;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

/// How often each slot is moved for its figure.
const MOVES: usize = 20;

#[test]
fn a_slot_with_a_gibibyte_and_a_million_fields_stalls_no_longer_than_a_small_one() {
    // The writer that makes each pause count would have the gibibyte copied at leisure.
    let node = "[transfer]\ncopy_percent_beside_clients = 100";
    let cluster =
        Cluster::start_with(Settings { company: Company::Alone, node, ..Settings::default() });
    let (small, big) = ("{small}", "{big}");
    fill(&cluster.proxy, small, 1 << 20, 1_000);
    fill(&cluster.proxy, big, size(128 << 20, 1 << 30), size(200_000, 1_000_000));

    let small_us = stalls(&cluster, small);
    let big_us = stalls(&cluster, big);
    println!("stall_write_us small {small_us:?}, big {big_us:?}");
    let median = |us: &[u64]| us[us.len() / 2];
    // The same but for the noise of two shared cores.
    assert!(median(&big_us) <= median(&small_us) * 2 + 2_000, "small {small_us:?}, big {big_us:?}");
    // All but the slowest of twenty: one may meet a moment in which nobody ran.
    let worst = |us: &[u64]| us[us.len() - 2];
    assert!(
        worst(&big_us) <= 9_000.max(worst(&small_us) * 2),
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

/// The stalls of moving the slot of `tag` to and fro while it is written into, sorted, microseconds.
fn stalls(cluster: &Cluster, tag: &str) -> Vec<u64> {
    let slot = SlotCount::DEFAULT.of(tag.as_bytes());
    let writer = Writer::start(&cluster.proxy, tag);
    // It may begin in group 2 already: then the first one moves nothing.
    cluster.tool_json(&format!("migrate --slots {slot} --to 1")).unwrap();
    let mut stalls = Vec::new();
    for _ in 0..MOVES / 2 {
        for group in [2, 1] {
            let moved = cluster.tool_json(&format!("migrate --slots {slot} --to {group}")).unwrap();
            assert_eq!(moved["stall_write_us"]["count"], 1, "{moved}");
            stalls.push(moved["stall_write_us"]["max"].as_u64().unwrap());
        }
    }
    writer.finish();
    stalls.sort_unstable();
    stalls
}

/// A client that counts in the slot all the while, so that each pause has changes to send and a write that waits.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<i64>,
    addr: String,
    key: String,
}

impl Writer {
    fn start(addr: &str, tag: &str) -> Self {
        let (stop, key) = (Arc::new(AtomicBool::new(false)), format!("{tag}:counter"));
        let thread = {
            let (stop, addr, key) = (Arc::clone(&stop), addr.to_owned(), key.clone());
            std::thread::spawn(move || {
                let mut client = Client::connect(&addr).unwrap();
                let mut count = 0;
                while !stop.load(Relaxed) {
                    count += 1;
                    let reply = client.call(&[b"INCR", key.as_bytes()]).unwrap();
                    assert_eq!(reply.as_int(), Some(count), "each write once: {reply:?}");
                }
                count
            })
        };
        Self { stop, thread, addr: addr.to_owned(), key }
    }

    /// Everything it wrote is there.
    fn finish(self) {
        self.stop.store(true, Relaxed);
        let count = self.thread.join().unwrap();
        let found = Client::connect(&self.addr).unwrap().call(&[b"GET", self.key.as_bytes()]);
        assert_eq!(found.unwrap().as_str(), Some(count.to_string().as_str()));
    }
}
