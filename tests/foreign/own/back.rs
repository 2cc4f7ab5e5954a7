//! Slots of ours go to foreign groups under our own controller, and come back, to the same node or to another one.

use super::super::back::{SLOT, fill, value};
use super::super::world::{LIMIT, Node, name, not_noticed, ok};
use super::world::{Parts, SLOTS, WITHOUT_TTL, World};
use harness::eventually;
use protocol::frame::Value;

/// Under load the slots go this way, from group 1 on.
fn goes(groups: &[Node], way: &[u32]) {
    let mut world = World::start_of(Parts::of(groups));
    let load = world.load(0, WITHOUT_TTL);
    for group in way {
        world.move_all(*group);
        let elsewhere = (1..=groups.len()).filter(|other| *other as u32 != *group);
        elsewhere.for_each(|other| assert_eq!(world.keys_of(other), 0, "in group {other}"));
    }
    not_noticed(&load.end());
    world.all_run();
}

#[test]
fn slots_of_ours_go_to_pika_and_come_home() {
    goes(&[Node::Ours, Node::pika()], &[2, 1, 2, 1]);
}

/// A node that heard whose the slots were forgets it while they are at a Pika, and the handoff between nodes of ours goes on from there.
#[test]
fn slots_come_back_from_pika_to_another_node_of_ours() {
    goes(&[Node::Ours, Node::Ours, Node::pika()], &[3, 2, 1, 3, 1, 2]);
}

#[test]
fn every_key_is_equal_at_pika_and_back() {
    let world = World::start_of(Parts::of(&[Node::Ours, Node::pika()]));
    let mut client = world.client();
    let keys = fill(&mut client);
    let ends = |key: &str| ok(&mut world.client(), &format!("TTL {key}")).as_int().unwrap();
    // First: Pika caches a list with a time to live of a thousand times as much.
    let ttls: Vec<_> = keys.iter().map(|key| ends(key)).collect();
    let before: Vec<_> = keys.iter().map(|key| value(&mut client, key)).collect();
    for group in [2, 1] {
        world.move_all(group);
        for ((key, before), ttl) in keys.iter().zip(&before).zip(&ttls) {
            let now = ends(key);
            assert_eq!(&value(&mut client, key), before, "{key} in group {group}");
            let is_right = if *ttl < 0 { now == *ttl } else { (ttl - 30..=ttl + 1).contains(&now) };
            assert!(is_right, "{key} in group {group}: {ttl} s, then {now} s");
        }
    }
}

#[test]
fn what_cannot_go_to_pika_is_refused_by_name_and_stays() {
    let world = World::start_of(Parts::of(&[Node::Ours, Node::pika()]));
    let key = name("Visitors", SLOT);
    ok(&mut world.client(), &format!("PFADD {key} a b c"));
    let why = world.tool(&format!("migrate --slots {SLOTS} --to 2")).unwrap_err();
    assert!(why.contains(&key) && why.contains("HyperLogLog"), "{why}");
    assert_eq!(ok(&mut world.client(), &format!("PFCOUNT {key}")), Value::Int(3));
    ok(&mut world.client(), &format!("DEL {key}"));
    world.tool("resume").unwrap();
    world.settled(2, 528);
}

/// At each step the controller is killed while slots leave a node of ours.
#[test]
fn a_controller_that_dies_goes_on_with_moves_of_ours() {
    for point in ["foreign.locked.after", "control.armed.after", "control.settled.after"] {
        println!("--- {point}");
        let fail = format!("{point}=kill@1");
        let parts = Parts { fail, ..Parts::of(&[Node::Ours, Node::pika()]) };
        let mut world = World::start_of(parts);
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

/// It would go on sending to our node: so no slot leaves that before it was started anew.
#[test]
fn a_proxy_that_was_started_before_the_first_foreign_group_keeps_slots_at_our_node() {
    let mut world = World::start_of(Parts::of(&[Node::Ours]));
    world.add_group(&Node::pika());
    let why = world.tool(&format!("migrate --slots {SLOTS} --to 2")).unwrap_err();
    assert!(why.contains("start it anew"), "{why}");
    world.proxies[0].process.stop();
    world.proxies[0].process.start("");
    world.wait_for(0);
    let load = world.load(0, "");
    world.tool("resume").unwrap();
    world.settled(2, 16);
    not_noticed(&load.end());
    world.all_run();
}
