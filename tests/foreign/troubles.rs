//! Dashboards that die, nodes that restart, passwords, a slot that cannot finish.

use super::world::{LIMIT, Node, Parts, World, name, names, not_noticed, ok};
use crate::moves_under_load::nothing_wrong;
use codis::records::SlotState;
use doubles::pika;
use harness::dashboard::DEATHS;
use harness::eventually;
use protocol::frame::Value;
use std::time::{Duration, Instant};

const FOR_PIKA: &str = "--server pika";

/// A reply that takes longer has waited for something.
const AT_ONCE: Duration = Duration::from_secs(2);

#[test]
fn a_dashboard_that_dies_at_any_step_is_followed_by_another_that_goes_on() {
    let mut world = World::start(Parts { proxies: 2, ..Parts::default() });
    let load = world.load(0, FOR_PIKA);
    for (slot, death) in (0..).zip(DEATHS) {
        world.dashboard.create_action(slot, 2).unwrap();
        world.dashboard.die_at(death);
        world.dashboard.run(LIMIT).unwrap_err();
        world.restart_dashboard();
        assert_eq!(world.run(), 1, "{death:?}");
    }
    not_noticed(&load.end());
    world.all_run();
}

#[test]
fn between_nodes_with_a_password_nothing_is_lost_and_nobody_sees_an_error() {
    let settings = pika::Settings { password: "secret".to_owned(), ..Default::default() };
    let parts = Parts {
        source: Node::Pika(settings.clone()),
        target: Node::Pika(settings),
        ..Parts::default()
    };
    let mut world = World::start(parts);
    let load = world.load(0, "--server pika --reply-ms-max 60000");
    assert_eq!(world.move_all(2), usize::try_from(World::slots()).unwrap());
    // Writes may wait for their slot.
    nothing_wrong(&load.end());
    world.source_is_empty();
    world.all_run();
}

/// What is in flight at the source when it goes is of unknown fate; nothing else is.
#[test]
fn a_source_that_restarts_in_mid_move_loses_nothing() {
    let slow = pika::Settings { pace: Duration::from_millis(2), ..Default::default() };
    let mut world = World::start(Parts { source: Node::Pika(slow), ..Parts::default() });
    let load = world.load(0, "--server pika --allow-unknown");
    world.dashboard.create_range(0..=World::slots() - 1, 2).unwrap();
    std::thread::scope(|scope| {
        let moves = scope.spawn(|| world.run());
        for at in 1..4 {
            eventually("some slots have moved", LIMIT, || {
                let records = world.store.records().clone();
                let moved = records.slots.values().filter(|slot| slot.group_id == 2).count();
                if moved >= at { Ok(()) } else { Err(format!("{moved}")) }
            });
            world.source.double().tell("RESTART");
        }
        assert_eq!(moves.join().unwrap(), usize::try_from(World::slots()).unwrap());
    });
    nothing_wrong(&load.end());
    world.source_is_empty();
    world.all_run();
}

/// Nodes close idle connections, also those on which keys were moved to them: the first move after that finds it broken.
#[test]
fn the_first_move_after_the_target_has_closed_its_connections_is_not_noticed() {
    let mut world = World::start(Parts::default());
    world.dashboard.create_action(0, 2).unwrap();
    ok(&mut world.client(), &format!("SET {} 1", name("key", 0)));
    assert_eq!(world.run(), 1);
    world.target.double().tell("RESTART");
    let load = world.load(0, FOR_PIKA);
    world.dashboard.create_range(1..=World::slots() - 1, 2).unwrap();
    assert_eq!(world.run(), usize::try_from(World::slots() - 1).unwrap());
    not_noticed(&load.end());
    world.all_run();
}

/// A stream gets into the slot behind the proxy's back, when it is too late to refuse the move.
#[test]
fn a_slot_that_cannot_finish_does_not_hang_its_other_keys() {
    let world = World::start(Parts::default());
    let mut client = world.client();
    let keys: Vec<String> = names("Key", 7).take(40).collect();
    keys.iter().for_each(|key| _ = ok(&mut client, &format!("SET {key} 1")));
    let dashboard = &world.dashboard;
    dashboard.create_action(7, 2).unwrap();
    while dashboard.advance(7).unwrap() != SlotState::Prepared {}
    let stream = name("Stream", 7);
    ok(&mut world.source.client(), &format!("XADD {stream} 1-1 field value"));
    // A fill is held back for 5 s before it is refused; clients go on meanwhile and after it.
    for _ in 0..2 {
        std::thread::scope(|scope| {
            let fill = scope.spawn(|| dashboard.advance(7));
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_secs(1) || !fill.is_finished() {
                for key in &keys {
                    let one = Instant::now();
                    assert!(matches!(client.command(&format!("INCR {key}")), Ok(Value::Int(_))));
                    assert!(one.elapsed() < AT_ONCE, "{key} took {:?}", one.elapsed());
                }
                let elsewhere = name("Elsewhere", 8);
                ok(&mut client, &format!("SET {elsewhere} 1"));
            }
            let why = fill.join().unwrap().unwrap_err();
            assert!(why.contains("slot 7") || why.contains("slot-[7]"), "{why}");
        });
    }
    ok(&mut world.source.client(), &format!("DEL {stream}"));
    assert_eq!(world.run(), 1);
    let numbers: Vec<i64> = keys
        .iter()
        .map(|key| ok(&mut client, &format!("GET {key}")).as_str().unwrap().parse().unwrap())
        .collect();
    assert!(numbers.iter().all(|n| *n == numbers[0] && *n > 2), "{numbers:?}");
}
