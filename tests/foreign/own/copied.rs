//! What Pika's own commands cannot move is copied by a proxy while its slot is locked, and nobody who dies or fails on the way loses any of it.

use super::super::world::{LIMIT, Node, name, not_noticed, ok};
use super::world::{SLOTS, WITHOUT_TTL, World};
use harness::eventually;
use protocol::frame::Value;

/// The slots that have such keys.
const WITH_KEYS: [u16; 3] = [2, 5, 11];

const KINDS: [&str; 3] = ["Scores", "Events", "Visitors"];

/// Puts such keys into some slots; what there is to see of them.
fn put(world: &World) -> Vec<(String, Value)> {
    let mut client = world.client();
    for slot in WITH_KEYS {
        let [scores, events, visitors] = KINDS.map(|kind| name(kind, slot));
        ok(&mut client, &format!("PFADD {visitors} a b c"));
        ok(&mut client, &format!("PFADD {visitors} d e"));
        ok(&mut client, &format!("ZADD {scores} 0.1234567890123 m 1e-07 n 2 o"));
        ok(&mut client, &format!("EXPIRE {scores} 10000"));
        for id in ["1-1", "1-2", "7-0"] {
            ok(&mut client, &format!("XADD {events} {id} field value"));
        }
        ok(&mut client, &format!("XDEL {events} 7-0"));
    }
    see(world)
}

fn see(world: &World) -> Vec<(String, Value)> {
    let mut client = world.client();
    let questions = WITH_KEYS.iter().flat_map(|&slot| {
        let [scores, events, visitors] = KINDS.map(|kind| name(kind, slot));
        [
            format!("ZRANGE {scores} 0 -1 WITHSCORES"),
            format!("XRANGE {events} - +"),
            format!("GET {visitors}"),
            format!("PFCOUNT {visitors}"),
        ]
    });
    questions.map(|asked| (asked.clone(), ok(&mut client, &asked))).collect()
}

/// All of it is at a group and nowhere else.
fn is_at(world: &World, group: usize) {
    for at in 1..=2 {
        let mut node = world.client_of(at);
        for key in WITH_KEYS.iter().flat_map(|&s| KINDS.map(|kind| name(kind, s))) {
            let there = ok(&mut node, &format!("EXISTS {key}"));
            assert_eq!(there, Value::Int(i64::from(at == group)), "{key} at group {at}");
        }
    }
}

#[test]
fn what_pika_cannot_move_goes_and_comes_home_behind_two_proxies() {
    let mut world = World::start(&Node::pika(), 2);
    let before = put(&world);
    let load = world.load(0, WITHOUT_TTL);
    for group in [2, 1, 2] {
        world.move_all(group);
        assert_eq!(see(&world), before);
        is_at(&world, group as usize);
    }
    not_noticed(&load.end());
    world.settled(2, 528);
    assert_eq!(world.keys_of(1), 0);
    world.all_run();
}

#[test]
fn a_controller_that_dies_while_keys_are_copied_goes_on() {
    for point in [
        "foreign.copying.before",
        "foreign.copying.after",
        "foreign.copied.before",
        "foreign.copied.after",
        "control.armed.before",
    ] {
        println!("--- {point}");
        let mut world = World::start_dying(&Node::pika(), 1, &format!("{point}=kill@1"));
        let before = put(&world);
        world.tool(&format!("migrate --slots {SLOTS} --to 2 --detach")).unwrap();
        eventually("the controller dies", LIMIT, || {
            world.control.ended().map(|_| ()).ok_or_else(|| "it lives".to_owned())
        });
        world.control.start("");
        world.settled(2, 528);
        assert_eq!(see(&world), before);
        is_at(&world, 2);
        world.all_run();
    }
}

/// The copier dies after its first key, at each of its errands; another proxy takes it up.
#[test]
fn another_proxy_goes_on_where_a_copier_dies() {
    for point in ["foreign.carried.copied", "foreign.carried.cleared"] {
        println!("--- {point}");
        let mut world = World::start(&Node::pika(), 2);
        let before = put(&world);
        for number in 0..2 {
            world.proxies[number].process.stop();
            world.proxies[number].process.start(&format!("{point}=kill@1"));
            world.wait_for(number);
        }
        world.tool(&format!("migrate --slots {SLOTS} --to 2 --detach")).unwrap();
        // Each dies once: the second when it has taken over.
        for _ in 0..2 {
            let mut dead = None;
            eventually("a copier dies", LIMIT, || {
                let ended = |number: &usize| world.proxies[*number].process.ended().is_some();
                dead = (0..2).find(ended);
                dead.map(|_| ()).ok_or_else(|| "both live".to_owned())
            });
            world.proxies[dead.unwrap()].process.start("");
        }
        world.settled(2, 528);
        assert_eq!(see(&world), before);
        is_at(&world, 2);
    }
}

/// Nothing of it has moved then, and the next try finds the target as it was.
#[test]
fn a_copy_that_fails_is_taken_back_and_made_again() {
    let mut world = World::start(&Node::pika(), 1);
    let before = put(&world);
    world.proxies[0].process.stop();
    world.proxies[0].process.start("foreign.carried.copied=error@2");
    world.wait_for(0);
    let load = world.load(0, WITHOUT_TTL);
    world.move_all(2);
    not_noticed(&load.end());
    assert_eq!(see(&world), before);
    is_at(&world, 2);
    let log = world.proxies[0].process.log();
    assert!(log.contains("errand=Withdraw"), "{log}");
    world.all_run();
}

/// Its clients wait for a moment only; what is at the target is named by the next look, with what to do, and then the slot moves.
#[test]
fn a_slot_whose_copies_cannot_be_taken_back_is_unlocked_all_the_same() {
    let mut world = World::start(&Node::pika(), 1);
    let before = put(&world);
    world.proxies[0].process.stop();
    // Of two keys copied the second one is never deleted.
    world.proxies[0]
        .process
        .start("foreign.carried.copied=error@2,foreign.carried.withdrawn=error");
    world.wait_for(0);
    let slot = WITH_KEYS[0];
    let load = world.load(0, WITHOUT_TTL);
    let refused = world.tool(&format!("migrate --slots {slot} --to 2")).unwrap_err();
    crate::moves_under_load::nothing_wrong(&load.end());
    assert!(refused.contains(&format!("SLOTSCLEANUP {slot}")), "{refused}");
    let history = world.tool("history").unwrap();
    assert!(history.contains("left behind"), "{history}");
    assert_eq!(see(&world), before);
    let metrics = harness::http::get(&world.admin, "/metrics").unwrap();
    assert!(
        metrics.contains("slipway_control_migrations_total{result=\"left_behind\"} 1"),
        "{metrics}"
    );

    ok(&mut world.client_of(2), &format!("SLOTSCLEANUP {slot}"));
    world.proxies[0].process.stop();
    world.proxies[0].process.start("");
    world.wait_for(0);
    world.tool(&format!("migrate --slots {slot} --to 2")).unwrap();
    assert_eq!(see(&world), before);
    world.all_run();
}
