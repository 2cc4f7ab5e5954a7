//! Slots of Pika move under checked writes to exactly those slots, and no client notices.

use super::world::{LIMIT, Node, Parts, World, names, not_noticed, ok};
use codis::model::ForwardMethod;
use doubles::pika;
use std::time::Duration;

const FOR_PIKA: &str = "--server pika";

fn pika(senders: usize) -> Node {
    Node::Pika(pika::Settings { senders, ..pika::Settings::default() })
}

fn moves(method: ForwardMethod, senders: usize, proxies: usize) {
    let parts =
        Parts { source: pika(senders), target: pika(senders), method, proxies, ..Parts::default() };
    let mut world = World::start(parts);
    let loads: Vec<_> = (0..proxies).map(|proxy| world.load(proxy, FOR_PIKA)).collect();
    assert_eq!(world.move_all(2), usize::try_from(World::slots()).unwrap());
    for load in loads {
        not_noticed(&load.end());
    }
    world.source_is_empty();
    world.all_run();
}

#[test]
fn semi_async_moves_of_one_sender_are_not_noticed() {
    moves(ForwardMethod::SemiAsync, 1, 1);
}

#[test]
fn semi_async_moves_of_eight_senders_are_not_noticed() {
    moves(ForwardMethod::SemiAsync, 8, 1);
}

#[test]
fn sync_moves_of_one_sender_are_not_noticed() {
    moves(ForwardMethod::Sync, 1, 1);
}

#[test]
fn sync_moves_of_eight_senders_are_not_noticed() {
    moves(ForwardMethod::Sync, 8, 1);
}

#[test]
fn moves_behind_two_proxies_are_not_noticed() {
    moves(ForwardMethod::SemiAsync, 8, 2);
}

/// The fill is held back for as long as it may be, refused, and repeated.
#[test]
fn a_slot_that_takes_longer_than_a_fill_may_is_not_noticed() {
    let slow = pika::Settings { pace: Duration::from_millis(5), ..Default::default() };
    let proxy = "slipway_foreign_fill_wait_ms = 1000";
    let mut world = World::start(Parts { source: Node::Pika(slow), proxy, ..Parts::default() });
    let mut client = world.client();
    let keys: Vec<String> = names("Many", 3).take(1500).collect();
    for some in keys.chunks(100) {
        let pairs: Vec<String> = some.iter().map(|key| format!("{key} {key}")).collect();
        ok(&mut client, &format!("MSET {}", pairs.join(" ")));
    }
    let load = world.load(0, FOR_PIKA);
    world.dashboard.create_action(3, 2).unwrap();
    let moves = world.dashboard.run(LIMIT).unwrap();
    assert!(moves.done == 1 && moves.failures > 0, "{moves:?}");
    not_noticed(&load.end());
    for key in keys {
        assert_eq!(ok(&mut client, &format!("GET {key}")).as_str(), Some(key.as_str()));
    }
    assert_eq!(world.source.double().keys_of(3..=3), 0);
    world.all_run();
}

/// Pika's read cache keeps what has left: what is deleted elsewhere must not be seen again.
#[test]
fn slots_that_go_and_come_home_are_not_noticed() {
    let mut world = World::start(Parts::default());
    // Each move costs a time to live a second or so, and the load allows for one move.
    let without_ttl = "strings=4,counters=2,hashes=3,lists=3,sets=2,zsets=2,multi=2,missing=1";
    let load = world.load(0, &format!("{FOR_PIKA} --mix {without_ttl}"));
    for group in [2, 1, 2, 1] {
        assert_eq!(world.move_all(group), usize::try_from(World::slots()).unwrap());
    }
    not_noticed(&load.end());
    world.all_run();
}
