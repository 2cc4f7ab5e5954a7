//! Slots of codis-server under our own controller.

use super::super::back::{fill, value};
use super::super::world::{Node, name, not_noticed, ok};
use super::world::{Parts, SLOTS, WITHOUT_TTL, World};
use crate::size::size;
use doubles::codis_server::Settings;
use protocol::frame::Value;
use std::time::Duration;

/// Under load, with a big key, the slots go this way from group 1 on.
fn goes(groups: &[Node], way: &[u32]) {
    let mut world = World::start_of(Parts::of(groups));
    let mut client = world.client();
    let big = name("Big", 2);
    for at in (0..size(5_000, 500_000)).step_by(500) {
        let members: Vec<String> = (at..at + 500).map(|n| format!("{n} member{n}")).collect();
        ok(&mut client, &format!("ZADD {big} {}", members.join(" ")));
    }
    let load = world.load(0, WITHOUT_TTL);
    for group in way {
        world.move_all(*group);
        let elsewhere = (1..=groups.len()).filter(|other| *other as u32 != *group);
        elsewhere.for_each(|other| assert_eq!(world.keys_of(other), 0, "in group {other}"));
    }
    not_noticed(&load.end());
    assert_eq!(ok(&mut client, &format!("ZCARD {big}")), Value::Int(size(5_000, 500_000)));
    world.all_run();
}

#[test]
fn slots_of_codis_server_move_and_come_home() {
    goes(&[Node::codis_server(), Node::codis_server()], &[2, 1]);
}

#[test]
fn slots_of_codis_server_go_to_ours_and_come_home() {
    goes(&[Node::codis_server(), Node::Ours], &[2, 1, 2]);
}

#[test]
fn every_key_of_codis_server_is_equal_at_ours_and_back() {
    let world = World::start_of(Parts::of(&[Node::codis_server(), Node::Ours]));
    let mut client = world.client();
    let keys = fill(&mut client);
    let before: Vec<_> = keys.iter().map(|key| value(&mut client, key)).collect();
    let ends = |key: &str| ok(&mut world.client(), &format!("PTTL {key}")).as_int().unwrap();
    let ttls: Vec<_> = keys.iter().map(|key| ends(key)).collect();
    for group in [2, 1] {
        world.move_all(group);
        for ((key, before), ttl) in keys.iter().zip(&before).zip(&ttls) {
            assert_eq!(&value(&mut client, key), before, "{key} in group {group}");
            let now = ends(key);
            let is_right =
                if *ttl < 0 { now == *ttl } else { (ttl - 30_000..=*ttl).contains(&now) };
            assert!(is_right, "{key} in group {group}: {ttl} ms, then {now} ms");
        }
    }
}

/// E2 as under a dashboard: a command whose first key is nowhere finds the second one, which is still at the source.
#[test]
fn a_command_of_several_keys_finds_those_that_have_not_moved() {
    let slow = Settings { pace: Duration::from_millis(20), ..Settings::default() };
    let world = World::start_of(Parts::of(&[Node::CodisServer(slow), Node::codis_server()]));
    let (mut client, tag) = (world.client(), name("Tag", 9));
    ok(&mut client, &format!("SADD {{{tag}}}src a b c"));
    world.tool(&format!("migrate --slots {SLOTS} --to 2 --detach")).unwrap();
    let union = format!("SUNION {{{tag}}}none {{{tag}}}src");
    while world.status().unwrap()["slots"]["settled"] != 1024 {
        assert_eq!(ok(&mut client, &union).as_items().map(<[_]>::len), Some(3));
    }
    assert_eq!(ok(&mut client, &union).as_items().map(<[_]>::len), Some(3));
}

#[test]
fn slots_do_not_go_to_nodes_of_another_kind() {
    let world = World::start_of(Parts::of(&[Node::codis_server(), Node::pika()]));
    let why = world.tool(&format!("migrate --slots {SLOTS} --to 2")).unwrap_err();
    assert!(why.contains("nodes of another kind"), "{why}");
}

/// What is said in the file is compared with what answers.
#[test]
fn a_group_that_is_not_what_its_kind_says_is_not_used() {
    let mut world = World::start_of(Parts::of(&[Node::codis_server()]));
    world.add_group_as(&Node::codis_server(), "pika");
    harness::eventually("it is refused", super::super::world::LIMIT, || {
        let status = world.tool("status").unwrap_or_else(|text| text);
        if status.contains("not what the group's kind says") { Ok(()) } else { Err(status) }
    });
}
