//! Dashboards that die, nodes that restart, passwords, a slot that cannot finish.

use super::world::{LIMIT, Node, Parts, World, name, names, not_noticed, ok};
use crate::moves_under_load::nothing_wrong;
use codis::records::SlotState;
use doubles::pika;
use harness::dashboard::DEATHS;
use harness::eventually;
use harness::http::metric;
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
    let mut world = World::start(with_password(pika::Settings::default()));
    let load = world.load(0, "--server pika --reply-ms-max 60000");
    assert_eq!(world.move_all(2), usize::try_from(World::slots()).unwrap());
    // Writes may wait for their slot.
    nothing_wrong(&load.end());
    world.source_is_empty();
    world.all_run();
}

/// Between nodes with a password, which migrate their slots by themselves.
fn with_password(settings: pika::Settings) -> Parts {
    let settings = pika::Settings { password: "secret".to_owned(), ..settings };
    Parts { source: Node::Pika(settings.clone()), target: Node::Pika(settings), ..Parts::default() }
}

/// Of a list that has expired Pika keeps an entry, and when its migration comes to that it says DEL to the target.
#[test]
fn a_list_made_anew_while_its_slot_moves_is_not_deleted_by_the_nodes_own_migration() {
    const SLOT: u16 = 3;
    let world = World::start(with_password(pika::Settings::default()));
    let (mut client, mut source) = (world.client(), world.source.client());
    // The nodes are known from then on, so that nothing is put off.
    world.dashboard.create_action(0, 2).unwrap();
    assert_eq!(world.run(), 1);
    let keys: Vec<String> = names("Queue", SLOT).take(40).collect();
    for key in &keys {
        ok(&mut client, &format!("RPUSH {key} old"));
        // After the slot is locked, or the entries would have been put right then.
        ok(&mut client, &format!("EXPIRE {key} 2"));
    }
    world.dashboard.create_action(SLOT.into(), 2).unwrap();
    while world.dashboard.advance(SLOT.into()).unwrap() != SlotState::Migrating {}
    eventually("the lists have expired", LIMIT, || {
        let gone = |key: &String| {
            let probe = format!("PKSCANRANGE list {key} {key} LIMIT 1");
            let answer = ok(&mut source, &probe);
            answer.as_items().is_some_and(|items| items[1].as_items() == Some(&[]))
        };
        if keys.iter().all(gone) { Ok(()) } else { Err("not all".to_owned()) }
    });
    std::thread::scope(|scope| {
        // What is asked for before the node's migration begins.
        let writes = scope.spawn(|| {
            let mut client = world.client();
            keys.iter().for_each(|key| _ = ok(&mut client, &format!("RPUSH {key} new")));
        });
        eventually("something is asked of the source", LIMIT, || {
            let asks = metric(&world.proxies[0].admin, "slipway_proxy_passage_asks_total", "");
            if asks > 0.0 { Ok(()) } else { Err("nothing is".to_owned()) }
        });
        assert_eq!(world.run(), 1);
        writes.join().unwrap();
    });
    for key in &keys {
        let list = ok(&mut client, &format!("LRANGE {key} 0 -1"));
        assert_eq!(list, Value::Array(vec![Value::Bulk("new".into())]), "{key}");
    }
    world.source_is_empty();
}

/// Pika's own migration believes the letter of an entry, and deletes the key when it is done with that.
#[test]
fn what_was_of_another_type_once_is_not_damaged_by_the_nodes_own_migration() {
    const SLOT: u16 = 4;
    // One exchange for each entry: keys are deleted behind each.
    let settings = pika::Settings { keys_per_exchange: 1, ..Default::default() };
    let world = World::start(with_password(settings));
    let mut client = world.client();
    let types = ["SET @ v", "HSET @ f v", "RPUSH @ v", "SADD @ v", "ZADD @ 1 v"];
    let reads = ["GET @", "HGETALL @", "LRANGE @ 0 -1", "SMEMBERS @", "ZRANGE @ 0 -1 WITHSCORES"];
    let pairs = (0..25).map(|n| (n / 5, n % 5)).filter(|(was, is)| was != is);
    let (mut keys, mut written) = (names("Was", SLOT), Vec::new());
    for (was, is) in pairs {
        let key = keys.next().unwrap();
        let key = if is % 2 == 0 { key } else { name(&format!("{{{key}}}"), SLOT) };
        ok(&mut client, &types[was].replace('@', &key));
        ok(&mut client, &format!("EXPIRE {key} 1"));
        written.push((key, is));
    }
    for (key, is) in &mut written {
        eventually("it has expired", LIMIT, || match client.command(&format!("EXISTS {key}"))? {
            Value::Int(0) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        ok(&mut client, &types[*is].replace('@', key));
    }
    let before: Vec<Value> =
        written.iter().map(|(key, is)| ok(&mut client, &reads[*is].replace('@', key))).collect();
    world.dashboard.create_action(SLOT.into(), 2).unwrap();
    assert_eq!(world.run(), 1);
    for ((key, is), before) in written.iter().zip(before) {
        assert_eq!(ok(&mut client, &reads[*is].replace('@', key)), before, "{key}");
    }
    world.source_is_empty();
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
