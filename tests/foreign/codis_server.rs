//! Slots of codis-server: moved under load, and its two wrong results.

use super::world::{LIMIT, Node, Parts, World, name, names, not_noticed, ok};
use crate::size::size;
use codis::model::ForwardMethod;
use codis::records::SlotState;
use doubles::codis_server::Settings;
use harness::eventually;
use protocol::frame::Value;
use std::time::Duration;

/// All keys of this hash tag are in this slot.
const SLOT: u16 = 9;

fn parts(method: ForwardMethod, source: Settings, target: Settings) -> Parts {
    Parts {
        source: Node::CodisServer(source),
        target: Node::CodisServer(target),
        method,
        ..Parts::default()
    }
}

fn moves(method: ForwardMethod) {
    let mut world = World::start(parts(method, Settings::default(), Settings::default()));
    let mut client = world.client();
    let big = name("Big", 2);
    for at in (0..size(5_000, 500_000)).step_by(500) {
        let members: Vec<String> = (at..at + 500).map(|n| format!("{n} member{n}")).collect();
        ok(&mut client, &format!("ZADD {big} {}", members.join(" ")));
    }
    let load = world.load(0, "--server codis-server");
    assert_eq!(world.move_all(2), usize::try_from(World::slots()).unwrap());
    not_noticed(&load.end());
    assert_eq!(ok(&mut client, &format!("ZCARD {big}")), Value::Int(size(5_000, 500_000)));
    world.all_run();
}

#[test]
fn semi_async_moves_are_not_noticed() {
    moves(ForwardMethod::SemiAsync);
}

#[test]
fn sync_moves_are_not_noticed() {
    moves(ForwardMethod::Sync);
}

/// E1: a batch is applied at the target and its acknowledgement is lost; the key is deleted, and must not be back.
#[test]
fn a_deleted_key_does_not_come_back_from_a_batch_whose_acknowledgement_was_lost() {
    let loses = Settings { loses_acks: true, ..Settings::default() };
    let world = World::start(parts(ForwardMethod::SemiAsync, Settings::default(), loses));
    let mut client = world.client();
    let key = name("Account", SLOT);
    ok(&mut client, &format!("SET {key} old"));
    world.dashboard.create_action(SLOT.into(), 2).unwrap();
    while world.dashboard.advance(SLOT.into()).unwrap() != SlotState::Prepared {}
    let why = world.dashboard.advance(SLOT.into()).unwrap_err();
    assert!(why.contains("1 keys left"), "{why}");
    assert_eq!(ok(&mut world.target.client(), &format!("GET {key}")), Value::Bulk("old".into()));
    ok(&mut world.target.client(), "DOUBLE LOSE-ACKS 0");
    // The source waits for the acknowledgement for as long as its order says, and lets nobody else move a key meanwhile.
    eventually("the key is deleted", LIMIT, || match client.command(&format!("DEL {key}"))? {
        Value::Int(1) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(ok(&mut client, &format!("GET {key}")), Value::Null);
    assert_eq!(world.run(), 1);
    assert_eq!(ok(&mut client, &format!("GET {key}")), Value::Null);
}

/// E2: the wrapper looks at the first key alone.
#[test]
fn a_command_of_several_keys_finds_those_that_are_still_at_the_source() {
    let world = World::start(parts(
        ForwardMethod::SemiAsync,
        Settings { pace: Duration::from_millis(20), ..Settings::default() },
        Settings::default(),
    ));
    let mut client = world.client();
    let tag = name("Tag", SLOT);
    ok(&mut client, &format!("SADD {{{tag}}}src a b c"));
    world.dashboard.create_action(SLOT.into(), 2).unwrap();
    while world.dashboard.advance(SLOT.into()).unwrap() != SlotState::Migrating {}
    let union = format!("SUNION {{{tag}}}none {{{tag}}}src");
    assert_eq!(ok(&mut client, &union).as_items().map(<[_]>::len), Some(3));
    let stored = client.command(&format!("SUNIONSTORE {{{tag}}}dst {{{tag}}}src")).unwrap();
    match &stored {
        Value::Int(3) => {}
        Value::Error(why) if why.contains("SUNIONSTORE") => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(world.run(), 1);
    assert_eq!(ok(&mut client, &format!("SCARD {{{tag}}}src")), Value::Int(3));
}

/// E3: what comes behind a move on its connection is answered before it, so one key's answer may be taken for another's.
#[test]
fn what_many_clients_write_at_once_is_not_replaced_by_what_comes_over() {
    let slow = Settings { pace: Duration::from_millis(2), ..Settings::default() };
    let world = World::start(parts(ForwardMethod::SemiAsync, slow, Settings::default()));
    let keys: Vec<String> = names("Balance", SLOT).take(320).collect();
    let mut client = world.client();
    keys.iter().for_each(|key| _ = ok(&mut client, &format!("SET {key} old")));
    world.dashboard.create_action(SLOT.into(), 2).unwrap();
    std::thread::scope(|scope| {
        let moved = scope.spawn(|| world.run());
        for keys in keys.chunks(2) {
            let world = &world;
            scope.spawn(move || {
                // In one packet, so that both are asked for at once.
                let mut client = world.client();
                let words = keys.iter().rev().map(|key| format!("SET {key} new\r\n"));
                client.send(words.collect::<String>().as_bytes()).unwrap();
                for key in keys {
                    assert_eq!(client.reply().unwrap().as_str(), Some("OK"), "{key}");
                }
            });
        }
        assert_eq!(moved.join().unwrap(), 1);
    });
    for key in &keys {
        assert_eq!(ok(&mut client, &format!("GET {key}")), Value::Bulk("new".into()), "{key}");
    }
}
