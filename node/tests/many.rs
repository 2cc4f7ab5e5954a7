//! Commands of several keys whose records are not in memory: read together, they are what each alone would be.

use crate::harness::Server;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// A key, and what there is to say of it.
struct Key {
    name: String,
    value: Option<String>,
    is_there: bool,
}

/// Nobody sweeps what has expired: commands must find it.
fn start(directory: &Path) -> Server {
    Server::start_on(directory, |config| config.expire_effort_percent = 0)
}

/// Fills a store with more keys than are read at once, of every kind and of all sizes, and returns a server on it that has read none of them yet.
fn cold(directory: &Path, tag: &str) -> (Server, Vec<Key>) {
    let mut server = start(directory);
    let mut client = server.client();
    let mut keys = Vec::new();
    for number in 0..100 {
        let name = format!("k{number}{tag}");
        let value = format!("{number:0width$}", width = [3, 300, 5_000, 20_000][number % 4]);
        let (line, value, is_there) = match number % 10 {
            0..6 => (format!("SET {name} {value}"), Some(value), true),
            6 => (format!("RPUSH {name} a b"), None, true),
            7 => (format!("SET {name} {value} PX 1"), None, false),
            8 => (format!("SET {name} {value} EX 1000"), Some(value), true),
            _ => (format!("EXISTS {name}"), None, false),
        };
        client.say(&line);
        keys.push(Key { name, value, is_there });
    }
    server.stop();
    drop(server);
    sleep(Duration::from_millis(5));
    (start(directory), keys)
}

fn line(command: &str, keys: &[&Key]) -> String {
    let names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
    format!("{command} {}", names.join(" "))
}

fn values(keys: &[&Key]) -> String {
    let values: Vec<_> = keys.iter().map(|key| key.value.as_deref().unwrap_or("nil")).collect();
    format!("[{}]", values.join(" "))
}

/// The keys with some of them twice: one after the other, and far apart.
fn with_some_twice(keys: &[Key]) -> Vec<&Key> {
    let twice = keys
        .iter()
        .enumerate()
        .flat_map(|(at, key)| std::iter::repeat_n(key, if at % 7 < 2 { 2 } else { 1 }));
    twice.chain(&keys[..20]).collect()
}

/// In one slot, and in many.
const TAGS: [&str; 2] = ["{t}", ""];

#[test]
fn mget_says_of_each_key_what_get_says_in_memory_or_not() {
    for tag in TAGS {
        let directory = tempfile::tempdir().unwrap();
        let (server, keys) = cold(directory.path(), tag);
        let mut client = server.client();
        let asked = with_some_twice(&keys);
        assert_eq!(client.say(&line("MGET", &asked[..2])), values(&asked[..2]), "two keys");
        assert_eq!(client.say(&line("MGET", &asked)), values(&asked), "most of them not in memory");
        assert_eq!(client.say(&line("MGET", &asked)), values(&asked), "most of them in memory");
        for key in keys.iter().filter(|key| key.value.is_some()) {
            assert_eq!(client.say(&format!("GET {}", key.name)), key.value.clone().unwrap());
        }
    }
}

#[test]
fn exists_and_del_count_keys_that_are_there_and_del_each_once() {
    for tag in TAGS {
        let directory = tempfile::tempdir().unwrap();
        let (mut server, keys) = cold(directory.path(), tag);
        let asked = with_some_twice(&keys);
        let there = asked.iter().filter(|key| key.is_there).count();
        assert_eq!(server.client().say(&line("EXISTS", &asked)), format!(":{there}"));
        server.stop();
        drop(server);
        let server = start(directory.path());
        let mut client = server.client();
        let there = keys.iter().filter(|key| key.is_there).count();
        assert_eq!(client.say(&line("DEL", &asked)), format!(":{there}"));
        assert_eq!(client.say(&line("EXISTS", &asked)), ":0");
        assert_eq!(client.say("DBSIZE"), ":0", "what had expired is gone, too");
    }
}

#[test]
fn a_transaction_sees_its_own_changes_among_what_is_read_together() {
    for tag in TAGS {
        let directory = tempfile::tempdir().unwrap();
        let (server, mut keys) = cold(directory.path(), tag);
        let mut client = server.client();
        let mget = line("MGET", &keys.iter().collect::<Vec<_>>());
        client.say("MULTI");
        client.say(&format!("DEL {0}", keys[0].name));
        client.say(&format!("SET {0} new", keys[40].name));
        client.say(&mget);
        client.say(&format!("SET {0} newer", keys[41].name));
        client.say(&format!("APPEND {0} !", keys[42].name));
        client.say(&mget);
        keys[0].value = None;
        keys[40].value = Some("new".to_owned());
        let first = values(&keys.iter().collect::<Vec<_>>());
        keys[41].value = Some("newer".to_owned());
        let value = keys[42].value.as_mut().unwrap();
        value.push('!');
        let length = value.len();
        let second = values(&keys.iter().collect::<Vec<_>>());
        assert_eq!(client.say("EXEC"), format!("[:1 OK {first} OK :{length} {second}]"));
        assert_eq!(client.say(&mget), second);
    }
}

#[test]
fn a_large_value_comes_whole_from_memory_and_from_disk() {
    let directory = tempfile::tempdir().unwrap();
    let sizes = [0, 1, 1_000, 1_024, 4_096, 70_000, 1 << 20, 5 << 20];
    let value = |size: usize| "0123456789".repeat(size / 10 + 1)[..size].to_owned();
    for _ in 0..2 {
        let server = start(directory.path());
        let mut client = server.client();
        for (at, size) in sizes.into_iter().enumerate() {
            if client.say(&format!("EXISTS v{at}")) == ":0" {
                client.say(&format!("SET v{at} {}", value(size)));
            }
            assert!(client.say(&format!("GET v{at}")) == value(size), "{size} bytes");
            assert!(client.say(&format!("GETRANGE v{at} -7 -1")).len() == size.min(7));
        }
        let all = sizes.map(value).join(" ");
        assert!(client.say("MGET v0 v1 v2 v3 v4 v5 v6 v7") == format!("[{all}]"));
    }
}

#[test]
fn mset_replaces_keys_of_every_kind_and_the_last_value_counts() {
    for tag in TAGS {
        let directory = tempfile::tempdir().unwrap();
        let (server, keys) = cold(directory.path(), tag);
        let mut client = server.client();
        assert_eq!(client.say(&format!("MSETNX new{tag} 1 {} 2", keys[60].name)), ":0");
        assert_eq!(client.say(&format!("MSETNX new{tag} 1 newer{tag} 2")), ":1");
        let asked = with_some_twice(&keys);
        let pairs = asked.iter().enumerate().map(|(at, key)| format!("{} value{at}", key.name));
        let pairs = pairs.collect::<Vec<_>>().join(" ");
        assert_eq!(client.say(&format!("MSET {pairs}")), "OK");
        let last = |key: &Key| asked.iter().rposition(|asked| asked.name == key.name).unwrap();
        let values: Vec<_> = keys.iter().map(|key| format!("value{}", last(key))).collect();
        let mget = line("MGET", &keys.iter().collect::<Vec<_>>());
        assert_eq!(client.say(&mget), format!("[{}]", values.join(" ")));
        assert_eq!(client.say("DBSIZE"), format!(":{}", keys.len() + 2));
    }
}
