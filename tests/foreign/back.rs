//! Back from a node of ours to a Pika or a codis-server: no client notices, nothing is lost, and what cannot go is refused by name.

use super::world::{LIMIT, Node, Parts, World, name, names, not_noticed, ok};
use codis::model::ForwardMethod;
use codis::records::SlotState;
use doubles::pika;
use harness::double::keys_of;
use harness::eventually;
use harness::resp::Client;
use protocol::frame::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) const SLOT: u16 = 7;

fn load_for(node: &Node) -> &'static str {
    match node {
        Node::CodisServer(_) => "--server codis-server",
        _ => "--server pika",
    }
}

/// The slots go from one node to the other and come home, twice, under load.
fn there_and_back(source: Node, target: Node, method: ForwardMethod) {
    let kind = load_for(if matches!(source, Node::Ours) { &target } else { &source });
    let mut world = World::start(Parts { source, target, method, ..Parts::default() });
    // Each move of a Pika costs a time to live a second or so, and the load allows for one move.
    let without_ttl = "strings=4,counters=2,hashes=3,lists=3,sets=2,zsets=2,multi=2,missing=1";
    let load = world.load(0, &format!("{kind} --mix {without_ttl}"));
    for group in [2, 1, 2, 1] {
        assert_eq!(world.move_all(group), usize::try_from(World::slots()).unwrap());
        if group == 2 { world.source_is_empty() } else { world.target_is_empty() }
    }
    not_noticed(&load.end());
    world.all_run();
}

#[test]
fn slots_of_pika_go_to_ours_and_come_home_by_semi_async() {
    there_and_back(Node::pika(), Node::Ours, ForwardMethod::SemiAsync);
}

#[test]
fn slots_of_pika_go_to_ours_and_come_home_by_sync() {
    there_and_back(Node::pika(), Node::Ours, ForwardMethod::Sync);
}

#[test]
fn slots_of_codis_server_go_to_ours_and_come_home_by_semi_async() {
    there_and_back(Node::codis_server(), Node::Ours, ForwardMethod::SemiAsync);
}

#[test]
fn slots_of_codis_server_go_to_ours_and_come_home_by_sync() {
    there_and_back(Node::codis_server(), Node::Ours, ForwardMethod::Sync);
}

#[test]
fn slots_of_ours_go_to_pika_and_come_home() {
    there_and_back(Node::Ours, Node::pika(), ForwardMethod::SemiAsync);
}

#[test]
fn slots_of_ours_go_to_codis_server_and_come_home() {
    there_and_back(Node::Ours, Node::codis_server(), ForwardMethod::SemiAsync);
}

/// Everything of a key but when it is gone.
pub(super) fn value(client: &mut Client, key: &str) -> (String, Value) {
    let kind = ok(client, &format!("TYPE {key}")).as_str().unwrap().to_owned();
    let words = match kind.as_str() {
        "string" => format!("GET {key}"),
        "list" => format!("LRANGE {key} 0 -1"),
        "hash" => format!("HGETALL {key}"),
        "set" => format!("SMEMBERS {key}"),
        "zset" => format!("ZRANGE {key} 0 -1 WITHSCORES"),
        other => panic!("{key} is {other}"),
    };
    let value = ok(client, &words);
    (kind, value)
}

/// Keys of every type in [`SLOT`], small ones and such that go in pieces, some that expire.
pub(super) fn fill(client: &mut Client) -> Vec<String> {
    let mut keys = Vec::new();
    for (at, key) in names("Kind", SLOT).take(12).enumerate() {
        let many = if at % 2 == 0 { 3 } else { 1500 };
        let words =
            |word: &dyn Fn(usize) -> String| (0..many).map(word).collect::<Vec<_>>().join(" ");
        let filled = match at / 2 {
            0 => format!("SET {key} {}", "x".repeat(many * 100)),
            1 => format!("RPUSH {key} {}", words(&|n| format!("e{}", n % 7))),
            2 => format!("HMSET {key} {}", words(&|n| format!("f{n} v{n}"))),
            3 => format!("SADD {key} {}", words(&|n| format!("m{n}"))),
            4 => format!("ZADD {key} {}", words(&|n| format!("{}.5 m{n}", n as i64 - 700))),
            _ => format!("SADD {key} {}", words(&|n| format!("{n}"))),
        };
        ok(client, &filled);
        if at % 3 == 0 {
            assert_eq!(ok(client, &format!("EXPIRE {key} {}", 1000 + at)), Value::Int(1));
        }
        keys.push(key);
    }
    keys
}

fn every_key_is_equal(source: Node, target: Node) {
    let world = World::start(Parts { source, target, ..Parts::default() });
    let mut client = world.client();
    let keys = fill(&mut client);
    let ends = |client: &mut Client, key: &str| ok(client, &format!("TTL {key}")).as_int().unwrap();
    // First: Pika caches a list with a time to live of a thousand times as much.
    let ttls: Vec<_> = keys.iter().map(|key| ends(&mut client, key)).collect();
    let before: Vec<_> = keys.iter().map(|key| value(&mut client, key)).collect();
    for group in [2, 1] {
        world.dashboard.create_action(SLOT.into(), group).unwrap();
        assert_eq!(world.run(), 1);
        for ((key, before), ttl) in keys.iter().zip(&before).zip(&ttls) {
            let now = ends(&mut client, key);
            assert_eq!(&value(&mut client, key), before, "{key} in group {group}");
            // What has gone by since, and a second a move.
            let is_right = if *ttl < 0 { now == *ttl } else { (ttl - 30..=ttl + 1).contains(&now) };
            assert!(is_right, "{key}: {now} of {ttl}");
        }
    }
    let slot = i64::from(SLOT);
    assert_eq!(keys_of(&mut world.source.client(), slot..=slot), keys.len() as i64);
    assert_eq!(keys_of(&mut world.target.client(), slot..=slot), 0);
}

#[test]
fn every_key_of_pika_is_equal_at_ours_and_back() {
    every_key_is_equal(Node::pika(), Node::Ours);
}

#[test]
fn every_key_of_codis_server_is_equal_at_ours_and_back() {
    every_key_is_equal(Node::codis_server(), Node::Ours);
}

/// The move of [`SLOT`] to the target is refused with these words, and nothing has moved; it moves once `cure` was said to the source.
fn refused(target: Node, spoil: &[String], words: &[&str], cure: &[String]) {
    let world = World::start(Parts { source: Node::Ours, target, ..Parts::default() });
    let mut source = world.source.client();
    ok(&mut world.client(), &format!("SET {} v", name("Other", SLOT)));
    spoil.iter().for_each(|line| _ = ok(&mut source, line));
    world.dashboard.create_action(SLOT.into(), 2).unwrap();
    let why = world.dashboard.finish(SLOT.into()).unwrap_err();
    assert!(words.iter().all(|word| why.contains(word)), "{words:?}: {why}");
    let slot = i64::from(SLOT);
    assert_eq!(world.store.records().slot(slot).action.state, SlotState::Preparing);
    assert_eq!(keys_of(&mut world.target.client(), slot..=slot), 0);
    cure.iter().for_each(|line| _ = ok(&mut source, line));
    assert_eq!(world.run(), 1);
    assert_eq!(keys_of(&mut world.target.client(), slot..=slot), 1);
}

#[test]
fn a_hyperloglog_is_refused_by_name_on_its_way_to_pika() {
    let key = name("Visitors", SLOT);
    let spoil = [format!("PFADD {key} a b c")];
    refused(Node::pika(), &spoil, &[&key, "HyperLogLog"], &[format!("DEL {key}")]);
}

#[test]
fn a_score_of_minus_infinity_is_refused_by_name_on_its_way_to_pika() {
    let key = name("Scores", SLOT);
    let spoil = [format!("ZADD {key} 1 a -inf b")];
    refused(Node::pika(), &spoil, &[&key, "-inf for b"], &[format!("DEL {key}")]);
}

#[test]
fn a_hyperloglog_goes_to_codis_server_and_counts_there() {
    let parts = Parts { source: Node::Ours, target: Node::codis_server(), ..Parts::default() };
    let world = World::start(parts);
    let (mut client, key) = (world.client(), name("Visitors", SLOT));
    ok(&mut client, &format!("PFADD {key} a b c"));
    world.dashboard.create_action(SLOT.into(), 2).unwrap();
    assert_eq!(world.run(), 1);
    assert_eq!(ok(&mut client, &format!("STRLEN {key}")), Value::Int(27));
}

#[test]
fn keys_of_a_database_that_the_target_does_not_have_are_refused() {
    let key = name("Far", SLOT);
    // A Pika has eight.
    let spoil = ["SELECT 12".to_owned(), format!("SET {key} v")];
    let cure = [format!("DEL {key}")];
    refused(Node::pika(), &spoil, &["1 keys of slot 7 in database 12"], &cure);
}

#[test]
fn a_slot_does_not_go_where_it_would_be_mixed_with_what_is_there() {
    let key = name("Old", SLOT);
    let world = World::start_after(Parts { source: Node::Ours, ..Parts::default() }, |_| {});
    ok(&mut world.client(), &format!("SET {key} new"));
    ok(&mut world.target.client(), &format!("SET {key} old"));
    world.dashboard.create_action(SLOT.into(), 2).unwrap();
    let why = world.dashboard.finish(SLOT.into()).unwrap_err();
    assert!(why.contains(&key), "{why}");
    assert_eq!(ok(&mut world.client(), &format!("GET {key}")).as_str(), Some("new"));
}

#[test]
fn the_same_where_the_target_is_ours() {
    let key = name("Old", SLOT);
    let world = World::start(Parts { target: Node::Ours, ..Parts::default() });
    ok(&mut world.client(), &format!("SET {key} new"));
    ok(&mut world.target.client(), &format!("SET {key} old"));
    world.dashboard.create_action(SLOT.into(), 2).unwrap();
    let why = world.dashboard.finish(SLOT.into()).unwrap_err();
    assert!(why.contains(&key), "{why}");
    assert_eq!(ok(&mut world.client(), &format!("GET {key}")).as_str(), Some("new"));
}

#[test]
fn a_big_key_goes_in_pieces_while_others_are_served() {
    let parts = Parts { source: Node::Ours, target: Node::pika(), ..Parts::default() };
    let mut world = World::start(parts);
    let mut client = world.client();
    let big = name("Big", SLOT);
    for at in (0..20_000).step_by(500) {
        let members: Vec<String> = (at..at + 500).map(|n| format!("m{n}")).collect();
        ok(&mut client, &format!("SADD {big} {}", members.join(" ")));
    }
    let load = world.load(0, "--server pika");
    world.dashboard.create_action(SLOT.into(), 2).unwrap();
    assert_eq!(world.run(), 1);
    not_noticed(&load.end());
    assert_eq!(ok(&mut client, &format!("SCARD {big}")), Value::Int(20_000));
    world.all_run();
}

/// A connection as proxies of ours have them.
fn link(world: &World) -> Client {
    let mut client = world.source.client();
    ok(&mut client, "SLIPWAY LINK proxy test - 1024");
    client
}

fn to_target(world: &World, command: &str, more: &str) -> String {
    let (host, port) = world.target.addr().rsplit_once(':').unwrap();
    format!("{command} {host} {port} 5000 {more}")
}

#[test]
fn two_movers_of_one_key_take_turns_and_nobody_else_may_move_it() {
    let parts = Parts { source: Node::Ours, target: Node::pika(), ..Parts::default() };
    let world = World::start(parts);
    let key = name("List", SLOT);
    let elements: Vec<String> = (0..2000).map(|n| n.to_string()).collect();
    ok(&mut world.source.client(), &format!("RPUSH {key} {}", elements.join(" ")));
    let order = to_target(&world, "SLOTSMGRTTAGONE", &key);
    // A codis-proxy, and a dashboard without proxies of ours.
    let batch = to_target(&world, "SLOTSMGRTTAGSLOT-ASYNC", &format!("200 33554432 {SLOT} 100"));
    for order in [&order, &batch] {
        let Value::Error(why) = world.source.client().command(order).unwrap() else {
            panic!("{order} is carried out")
        };
        assert!(why.contains("is not a Slipway node"), "{why}");
    }
    let moved: i64 = std::thread::scope(|scope| {
        let movers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| ok(&mut link(&world), &order).as_int().unwrap()))
            .collect();
        movers.into_iter().map(|mover| mover.join().unwrap()).sum()
    });
    assert_eq!(moved, 1);
    let list = ok(&mut world.target.client(), &format!("LRANGE {key} 0 -1"));
    let there: Vec<_> = list.as_items().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(there, elements);
    // Of what is not here a codis-proxy is told to ask there; of what is, to ask again.
    let wrapped = |key: &str| {
        let answer =
            ok(&mut world.source.client(), &format!("SLOTSMGRT-EXEC-WRAPPER {key} GET {key}"));
        answer.as_items().unwrap()[0].as_int()
    };
    assert_eq!(wrapped(&key), Some(0));
    let other = name("Other", SLOT);
    ok(&mut world.source.client(), &format!("SET {other} v"));
    assert_eq!(wrapped(&other), Some(1));
    assert_eq!(ok(&mut link(&world), &batch), Value::Array(vec![Value::Int(1), Value::Int(0)]));
    // Now the dashboard may ask whether all has moved.
    assert_eq!(ok(&mut world.source.client(), &batch), Value::Array(vec![Value::Int(0); 2]));
}

#[test]
fn a_key_that_does_not_arrive_stays_whole() {
    let parts = Parts { source: Node::Ours, target: Node::pika(), ..Parts::default() };
    let world = World::start(parts);
    let key = name("Kept", SLOT);
    let (mut source, mut client) = (world.source.client(), link(&world));
    ok(&mut source, &format!("SET {key} v"));
    for (nowhere, why) in [("127.0.0.1 1", "cannot reach"), ("127.0.0.1 OWN", "neither a Pika")] {
        let own = world.source.addr().rsplit_once(':').unwrap().1;
        let nowhere = nowhere.replace("OWN", own);
        let answer = client.command(&format!("SLOTSMGRTTAGONE {nowhere} 5000 {key}")).unwrap();
        let Value::Error(line) = answer else { panic!("{answer:?}") };
        assert!(line.contains(why), "{line}");
    }
    assert_eq!(ok(&mut source, &format!("GET {key}")).as_str(), Some("v"));
    let order = to_target(&world, "SLOTSMGRTTAGONE", &key);
    assert_eq!(ok(&mut client, &order), Value::Int(1));
    assert_eq!(ok(&mut client, &order), Value::Int(0), "it is gone");
    assert_eq!(ok(&mut source, &format!("EXISTS {key}")), Value::Int(0));
}

#[test]
fn what_a_failed_attempt_has_left_of_a_key_that_expires_meanwhile_is_taken_away() {
    let slow = pika::Settings { stall: Duration::from_millis(100), ..Default::default() };
    let parts = Parts { source: Node::Ours, target: Node::Pika(slow), ..Parts::default() };
    let world = World::start(parts);
    let key = name("Ends", SLOT);
    let (mut source, mut client) = (world.source.client(), link(&world));
    // Pika is told the next whole second, which is nearly one later.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    ok(&mut source, &format!("RPUSH {key} v"));
    assert_eq!(ok(&mut source, &format!("PEXPIREAT {key} {}", now * 1000 + 2100)), Value::Int(1));
    let (host, port) = world.target.addr().rsplit_once(':').unwrap();
    let order = |ms: u32| format!("SLOTSMGRTTAGONE {host} {port} {ms} {key}");
    let answer = client.command(&order(20)).unwrap();
    assert!(answer.as_error().is_some(), "{answer:?}");
    let mut target = world.target.client();
    eventually("part of it is there", LIMIT, || match ok(&mut target, &format!("EXISTS {key}")) {
        Value::Int(1) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    eventually("it expires", LIMIT, || match ok(&mut source, &format!("EXISTS {key}")) {
        Value::Int(0) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(ok(&mut client, &order(5000)), Value::Int(0), "it is gone");
    assert_eq!(ok(&mut target, &format!("EXISTS {key}")), Value::Int(0));
}
