//! A slot moves between two nodes while a client of the source writes into it.

use crate::harness::{Client, Server, eventually};
use cluster::SlotCount;
use serde_json::Value as Json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

const M: &str = "000000000000000000000000000000a1";

struct Pair {
    source: Server,
    target: Server,
}

impl Pair {
    /// Two nodes of one cluster; the first owns everything.
    fn start() -> Self {
        let pair = Self { source: Server::start(), target: Server::start() };
        let mut control = link(&pair.source);
        assert_eq!(control.say("SLIPWAY CLAIM c 1"), "OK");
        assert_eq!(control.say("SLIPWAY ASSIGN 1 OWNED 0-1023"), ":1024");
        let mut control = link(&pair.target);
        assert_eq!(control.say("SLIPWAY CLAIM c 2"), "OK");
        assert_eq!(control.say(&format!("SLIPWAY ASSIGN 1 {} 0-1023", pair.source.addr)), ":1024");
        pair
    }

    fn open(&self, slot: u16) {
        let mut target = link(&self.target);
        assert_eq!(target.say(&format!("SLIPWAY IMPORT {M} {slot} 2 {}", self.source.addr)), "OK");
        let mut source = link(&self.source);
        assert_eq!(source.say(&format!("SLIPWAY EXPORT {M} {slot} 2 {}", self.target.addr)), "OK");
    }

    fn arm(&self) {
        assert_eq!(link(&self.target).say(&format!("SLIPWAY ARM {M}")), "[OK]");
        assert_eq!(link(&self.source).say(&format!("SLIPWAY ARM {M}")), "[OK]");
    }

    fn report(&self) -> Json {
        let answer = link(&self.source).say(&format!("SLIPWAY MOVES {M}"));
        serde_json::from_str(answer.trim_matches(['[', ']'])).unwrap()
    }

    fn reaches(&self, phase: &str) {
        eventually(phase, || self.report()["phase"] == phase);
    }
}

fn link(server: &Server) -> Client {
    let mut client = server.client();
    let answer = client.say("SLIPWAY LINK control test - 1024");
    assert!(answer.ends_with(":1024]"), "{answer}");
    client
}

fn slot_of(key: &str) -> u16 {
    SlotCount::DEFAULT.of(key.as_bytes()).0
}

#[test]
fn every_write_of_before_during_and_after_the_copy_is_at_the_new_owner() {
    let pair = Pair::start();
    let mut client = pair.source.client();
    for i in 0..20_000 {
        client.ask(&[b"SET", format!("{{t}}:{i}").as_bytes(), &[b'v'; 100]]);
    }
    (0..20_000).for_each(|_| assert_eq!(client.reply().as_str(), Some("OK")));
    assert_eq!(client.say("SET {t}:gone soon PX 3600000"), "OK");

    // A writer that goes on until it is turned away.
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (mut client, stop) = (pair.source.client(), stop.clone());
        move || {
            let mut count = 0;
            loop {
                let reply = client.say("INCR {t}:counter");
                if reply.starts_with('-') {
                    stop.store(true, Relaxed);
                    return (count, reply);
                }
                count += 1;
                assert_eq!(reply, format!(":{count}"));
            }
        }
    });

    pair.open(slot_of("{t}"));
    pair.reaches("copied");
    assert!(!stop.load(Relaxed), "the copy turns nobody away");
    pair.arm();
    pair.reaches("owned");
    let (count, refused) = writer.join().unwrap();
    assert!(refused.starts_with("-MOVED") || refused.starts_with("-TRYAGAIN"), "{refused}");

    let mut client = pair.target.client();
    assert_eq!(
        client.say("GET {t}:counter"),
        count.to_string(),
        "acknowledged increments, no more and no less"
    );
    assert_eq!(client.say("GET {t}:19999").len(), 100);
    assert_eq!(client.say("GET {t}:gone"), "soon");
    assert_eq!(pair.target.shared.slots.cell(cluster::Slot(slot_of("{t}"))).read().keys(), 20_002);
    assert_eq!(client.say("INCR {t}:counter"), format!(":{}", count + 1));
    let stall = pair.report()["stall_write_us"].as_u64().unwrap();
    println!("{count} increments, stall {stall} us, {}", pair.report());

    assert_eq!(link(&pair.target).say(&format!("SLIPWAY DURABLE {}:2", slot_of("{t}"))), "OK");
    assert_eq!(link(&pair.source).say(&format!("SLIPWAY CLEAN {M}")), "OK");
    let moved = pair.source.client().say("GET {t}:0");
    assert_eq!(moved, format!("-MOVED {} {}", slot_of("{t}"), pair.target.addr));
}

#[test]
fn a_migration_that_is_called_off_leaves_everything_at_the_source() {
    let pair = Pair::start();
    let mut client = pair.source.client();
    assert_eq!(client.say("SET {t}:a 1"), "OK");
    pair.open(slot_of("{t}"));
    pair.reaches("copied");
    assert_eq!(link(&pair.source).say(&format!("SLIPWAY ABORT {M}")), "OK");
    assert_eq!(link(&pair.target).say(&format!("SLIPWAY DROP {M}")), "OK");
    assert_eq!(client.say("INCR {t}:a"), ":2");
    let late = link(&pair.target).say(&format!(
        "SLIPWAY IMPORT {M} {} 2 {}",
        slot_of("{t}"),
        pair.source.addr
    ));
    assert!(late.contains("was called off here"), "{late}");
    assert!(!link(&pair.source).say(&format!("SLIPWAY ARM {M}")).starts_with("[OK"));
}

#[test]
fn a_link_is_bounced_in_order_until_it_resumes_at_the_new_owner() {
    let pair = Pair::start();
    let slot = slot_of("{t}");
    let mut proxy = link(&pair.source);
    assert_eq!(proxy.say("SET {t}:a 1"), "OK");
    pair.open(slot);
    pair.reaches("copied");
    pair.arm();
    pair.reaches("owned");
    let moved = proxy.say("INCR {t}:a");
    let words: Vec<_> = moved.split(' ').collect();
    assert_eq!(&words[..4], ["-XMOVED", &slot.to_string(), "2", &pair.target.addr.to_string()]);
    // Sticky, whatever it asks for.
    assert!(proxy.say("GET {t}:b").starts_with("-XMOVED"));
    let mut owner = link(&pair.target);
    assert_eq!(owner.say(&format!("SLIPWAY RESUME {slot} {}", words[4])), "OK");
    assert_eq!(owner.say("INCR {t}:a"), ":2");
}
