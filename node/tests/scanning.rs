//! SCAN and its kin: whatever is there all the time is returned.

use crate::harness::{Client, Server};
use protocol::frame::Value;
use std::collections::BTreeSet;

/// Pages until the cursor is 0; `between` runs between them.
fn scan(
    client: &mut Client,
    before: &str,
    after: &str,
    mut between: impl FnMut(&mut Client),
) -> (Vec<String>, usize) {
    let (mut cursor, mut found, mut pages) = ("0".to_owned(), Vec::new(), 0);
    loop {
        let Value::Array(page) = client.call(format!("{before} {cursor} {after}").trim()) else {
            panic!("no page")
        };
        found.extend(
            page[1].as_items().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()),
        );
        cursor = page[0].as_str().unwrap().to_owned();
        pages += 1;
        if cursor == "0" {
            return (found, pages);
        }
        between(client);
    }
}

#[test]
fn scan_returns_every_key_once_when_nothing_changes() {
    let server = Server::start();
    let mut client = server.client();
    for number in 0..1_000 {
        client.say(&format!("SET key:{number} v"));
        client.say(&format!("SADD {{one-slot}}:{number} m"));
    }
    let (found, pages) = scan(&mut client, "SCAN", "COUNT 37", |_| {});
    assert_eq!(found.len(), 2_000);
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 2_000);
    assert!(pages >= 2_000 / 37);
    assert_eq!(scan(&mut client, "SCAN", "TYPE set COUNT 100", |_| {}).0.len(), 1_000);
    assert_eq!(scan(&mut client, "SCAN", "MATCH key:1? COUNT 100", |_| {}).0.len(), 10);
    assert_eq!(client.call("KEYS *").as_items().unwrap().len(), 2_000);
}

#[test]
fn scan_returns_what_stays_while_other_keys_come_and_go() {
    let server = Server::start();
    let mut client = server.client();
    for number in 0..500 {
        client.say(&format!("SET stays:{number} v"));
        client.say(&format!("SET goes:{number} v"));
    }
    let mut step = 0;
    let (found, _) = scan(&mut client, "SCAN", "COUNT 20", |client| {
        for _ in 0..10 {
            client.say(&format!("DEL goes:{step}"));
            client.say(&format!("SET comes:{step} v"));
            step += 1;
        }
    });
    let found: BTreeSet<_> = found.into_iter().collect();
    assert!((0..500).all(|number| found.contains(&format!("stays:{number}"))));
}

#[test]
fn a_forgotten_position_makes_a_scan_longer_and_never_wrong() {
    let server = Server::start_with(|config| config.cursor_bytes_max = 1);
    let mut client = server.client();
    for number in 0..300 {
        client.say(&format!("SET {{s}}{number} v"));
        client.say(&format!("HSET other {number} v"));
    }
    let mut meanwhile = server.client();
    let mut rounds = 0;
    let (found, _) = scan(&mut client, "SCAN", "COUNT 100", |_| {
        rounds += 1;
        if rounds % 4 == 1 {
            // Drives the scan's position out.
            meanwhile.say("HSCAN other 0 COUNT 10");
        }
    });
    let found: BTreeSet<_> = found.into_iter().collect();
    assert_eq!(found.len(), 301);
}

#[test]
fn elements_of_large_collections_come_in_pages() {
    let server = Server::start();
    let mut client = server.client();
    for number in 0..1_000 {
        client.say(&format!("HSET h f{number} {number}"));
        client.say(&format!("SADD s m{number}"));
        client.say(&format!("ZADD z {number} m{number}"));
    }
    for (command, per_element) in [("HSCAN h", 2), ("SSCAN s", 1), ("ZSCAN z", 2)] {
        let (found, pages) = scan(&mut client, command, "COUNT 50", |_| {});
        assert_eq!(found.len(), 1_000 * per_element, "{command}");
        assert!(pages >= 20, "{command}");
        assert_eq!(
            scan(&mut client, command, "MATCH ?99", |_| {}).0.len(),
            per_element,
            "{command}"
        );
    }
}

#[test]
fn slots_are_shown_as_codis_and_pika_show_them() {
    let server = Server::start();
    let mut client = server.client();
    client.say("SET key1 v");
    client.say("HSET {key1}h f v");
    client.say("RPUSH key2 a");
    assert_eq!(client.say("SLOTSHASHKEY key1 key2 key3"), "[:80 :490 :380]");
    assert_eq!(client.say("SLOTSINFO"), "[[:80 :2] [:490 :1]]");
    assert_eq!(client.say("SLOTSINFO 81 100"), "[]");
    assert_eq!(client.say("SLOTSSCAN 80 0"), "[0 [kkey1 h{key1}h]]");
    assert_eq!(client.say("SLOTSINFO 5000"), "-ERR invalid slot begin = 5000");
    assert!(client.say("SLOTSSCAN abc 0").starts_with("-ERR invalid slot"));
    assert_eq!(client.say("SLOTSDEL 80"), "[[:80 :0]]");
    assert_eq!(client.say("SLOTSINFO"), "[[:490 :1]]");
    assert_eq!(client.say("DBSIZE"), ":1");
}
