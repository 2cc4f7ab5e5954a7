//! Nodes without a controller: what a codis-dashboard orders, what an old codis-proxy sends, and who owns a slot when nobody has told the node.

use crate::harness::{Client, Server, eventually};
use cluster::SlotCount;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

mod crashes;
mod ownership;
mod proxies;
mod restarts;
mod restores;

/// The slot of a key.
fn slot_of(key: &str) -> u16 {
    SlotCount::DEFAULT.of(key.as_bytes()).0
}

/// A connection of a part of ours.
fn link(server: &Server) -> Client {
    let mut client = server.client();
    let answer = client.say("SLIPWAY LINK proxy test - 1024");
    assert!(answer.ends_with(":1024]"), "{answer}");
    client
}

/// The dashboard's order, semi-async.
fn order(slot: u16, target: &Server) -> String {
    let addr = target.addr;
    format!("SLOTSMGRTTAGSLOT-ASYNC {} {} 5000 200 33554432 {slot} 500", addr.ip(), addr.port())
}

/// The dashboard's order, sync.
fn order_sync(slot: u16, target: &Server) -> String {
    format!("SLOTSMGRTTAGSLOT {} {} 30000 {slot}", target.addr.ip(), target.addr.port())
}

/// As the dashboard's executor: again until nothing is left; returns how often it asked.
fn drive(source: &mut Client, order: &str) -> usize {
    let begin = Instant::now();
    for count in 1.. {
        let answer = source.call(order);
        let items = answer.as_items().unwrap_or_else(|| panic!("{order}: {answer:?}"));
        assert_eq!(items.len(), 2);
        if items[1].as_int() == Some(0) {
            return count;
        }
        assert!(items[1].as_int() > Some(0), "{answer:?}");
        assert!(begin.elapsed() < Duration::from_secs(60), "{order} does not come to an end");
    }
    0
}

fn state(server: &Server, slot: u16) -> String {
    link(server).say(&format!("SLIPWAY WHERE {slot}"))
}

fn driver(server: &Server) -> String {
    link(server).say("SLIPWAY DRIVER")
}

/// The error that an order comes to; a busy machine may say first that it is under way.
fn refusal(source: &Server, order: &str) -> String {
    let mut answer = String::new();
    eventually("the order is refused", || {
        answer = source.client().say(order);
        assert!(!answer.ends_with(" :0]"), "{order}: {answer}");
        answer.starts_with('-')
    });
    answer
}
