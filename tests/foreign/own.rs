//! Slots of Pika move under our own controller: `slipway migrate`, no codis-dashboard, and no client notices.

mod adopt;
mod back;
mod codis_server;
mod copied;
mod passwords;
mod world;

use super::world::{LIMIT, Node, name, not_noticed, ok};
use harness::eventually;
use world::{SLOTS, World};

#[test]
fn slots_of_pika_move_by_slipway_migrate() {
    let mut world = World::start(&Node::pika(), 1);
    let load = world.load(0, "");
    world.move_all(2);
    not_noticed(&load.end());
    world.settled(2, 528);
    assert_eq!(world.keys_of(1), 0);
    let status = world.tool("status").unwrap();
    assert!(status.contains("up (Pika)") && status.contains("proxy "), "{status}");
    world.all_run();
}

/// What clients see after each of several ways is what they wrote: a cache that remembers what has left is emptied.
#[test]
fn slots_go_and_come_home_behind_two_proxies() {
    let mut world = World::start(&Node::pika(), 2);
    let without_ttl = "strings=4,counters=2,hashes=3,lists=3,sets=2,zsets=2,multi=2,missing=1";
    let load = world.load(0, &format!("--mix {without_ttl}"));
    for group in [2, 1, 2] {
        world.move_all(group);
    }
    not_noticed(&load.end());
    world.settled(2, 528);
    world.all_run();
}

#[test]
fn slots_of_pika_move_to_a_node_of_ours() {
    let mut world = World::start(&Node::Ours, 1);
    let load = world.load(0, "");
    world.move_all(2);
    not_noticed(&load.end());
    world.settled(2, 528);
    assert_eq!(world.keys_of(1), 0);
    world.all_run();
}

/// At each of its steps the controller is killed, and started again: the moves go on.
#[test]
fn a_controller_that_dies_goes_on_with_the_moves() {
    for point in [
        "control.opened.after",
        "foreign.locked.before",
        "foreign.locked.after",
        "control.armed.before",
        "control.armed.after",
        "control.settled.before",
        "control.settled.after",
        "control.moved.after",
    ] {
        println!("--- {point}");
        let mut world = World::start_dying(&Node::pika(), 1, &format!("{point}=kill@1"));
        let load = world.load(0, "");
        world.tool(&format!("migrate --slots {SLOTS} --to 2 --detach")).unwrap();
        eventually("the controller dies", LIMIT, || {
            world.control.ended().map(|_| ()).ok_or_else(|| "it lives".to_owned())
        });
        world.control.start("");
        world.settled(2, 528);
        not_noticed(&load.end());
        world.all_run();
    }
}

/// While a proxy is away nothing leaves without its word; it is named, comes back as another process, and the moves go on.
#[test]
fn a_proxy_that_dies_is_waited_for_until_it_is_started_again() {
    let mut world = World::start(&Node::pika(), 2);
    let load = world.load(0, "");
    world.proxies[1].process.kill();
    world.tool(&format!("migrate --slots {SLOTS} --to 2 --detach")).unwrap();
    eventually("the proxy is missed", LIMIT, || {
        let status = world.tool("status").unwrap_or_else(|text| text);
        if status.contains("has not been heard of") { Ok(()) } else { Err(status) }
    });
    assert_eq!(world.status().unwrap()["groups"][1]["slots"], 512);
    world.proxies[1].process.start("");
    world.settled(2, 528);
    not_noticed(&load.end());
    world.all_run();
}

#[test]
fn a_proxy_that_is_gone_for_good_can_be_forgotten() {
    let mut world = World::start(&Node::pika(), 2);
    // They are listed in the order in which they came.
    let status = world.status().unwrap();
    let names = status["proxies"].as_array().unwrap().iter().map(|proxy| proxy["name"].as_str());
    let proxy = names.flatten().find(|name| name.ends_with(&world.proxies[1].addr)).unwrap();
    let why = world.tool(&format!("forget-proxy {proxy}")).unwrap_err();
    assert!(why.contains("was heard"), "{why}");
    world.proxies[1].process.kill();
    world.tool(&format!("migrate --slots {SLOTS} --to 2 --detach")).unwrap();
    eventually("it is forgotten", LIMIT, || world.tool(&format!("forget-proxy {proxy}")));
    let forgotten = world.proxies.pop();
    world.settled(2, 528);
    world.all_run();
    drop(forgotten);
}

/// Whoever stops says so, and nobody waits for it.
#[test]
fn a_proxy_that_stops_is_not_waited_for() {
    let mut world = World::start(&Node::pika(), 2);
    let mut stopped = world.proxies.pop().unwrap();
    stopped.process.stop();
    world.move_all(2);
    world.settled(2, 528);
    world.all_run();
}

/// One slot cannot leave: it stays where it is and says why, the others move; with the remedy it moves as well.
#[test]
fn a_slot_that_cannot_leave_stays_with_the_name_of_the_key() {
    let mut world = World::start(&Node::pika(), 1);
    let key = name("Scores", 5);
    ok(&mut world.client(), &format!("ZADD {key} -inf low 0.1234567 high"));
    let load = world.load(0, "");
    let why = world.tool(&format!("migrate --slots {SLOTS} --to 2")).unwrap_err();
    assert!(why.contains(&key) && why.contains("score"), "{why}");
    assert_eq!(world.status().unwrap()["groups"][1]["slots"], 527);
    let mut source = world.servers[0].client();
    ok(&mut source, &format!("DEL {key}"));
    world.tool("resume").unwrap();
    world.settled(2, 528);
    not_noticed(&load.end());
    world.all_run();
}
