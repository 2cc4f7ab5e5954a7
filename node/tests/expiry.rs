//! Keys that expire: gone to the millisecond, swept soon after.

use crate::harness::{Server, eventually};
use std::thread::sleep;
use std::time::{Duration, Instant};

#[test]
fn a_key_is_there_until_its_millisecond_and_gone_from_then_on() {
    let server = Server::start();
    let mut client = server.client();
    let begun = Instant::now();
    client.say("SET k v PX 60");
    let mut gone = None;
    while gone.is_none() {
        let before = begun.elapsed();
        if client.say("GET k") == "nil" {
            gone = Some((before, begun.elapsed()));
        }
    }
    let (_, after) = gone.unwrap();
    assert!(after >= Duration::from_millis(59), "gone after {after:?}");
    assert!(after < Duration::from_millis(90), "still there after {after:?}");
    assert_eq!(client.say("TTL k"), ":-2");
    assert_eq!(client.say("EXISTS k"), ":0");
    assert_eq!(client.say("TYPE k"), "none");
}

#[test]
fn an_expired_key_is_a_new_key_to_whoever_writes_it() {
    let server = Server::start();
    let mut client = server.client();
    for line in ["RPUSH k a b c", "PEXPIRE k 1"] {
        client.say(line);
    }
    sleep(Duration::from_millis(5));
    assert_eq!(client.say("SADD k m"), ":1", "no WRONGTYPE from the past");
    assert_eq!(client.say("TTL k"), ":-1");
    assert_eq!(client.say("DBSIZE"), ":1");
}

#[test]
fn what_expires_is_swept_and_no_longer_counted() {
    let server = Server::start();
    let mut client = server.client();
    for number in 0..500 {
        client.say(&format!("SET k{number} v PX {}", 1 + number % 50));
        client.say(&format!("SET kept{number} v"));
    }
    client.say("HSET h f v");
    client.say("PEXPIRE h 20");
    eventually("the sweep has passed", || client.say("DBSIZE") == ":500");
    assert!(client.say("INFO keyspace").contains("db0:keys=500,expires=0"));
}

#[test]
fn expiry_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start_on(directory.path(), |_| {});
    let mut client = server.client();
    client.say("SET k v PXAT 4000000000123");
    client.say("HSET h f v");
    client.say("PEXPIREAT h 4000000000456");
    client.say("SET gone v PX 20");
    server.stop();
    drop(server);
    sleep(Duration::from_millis(25));
    let server = Server::start_on(directory.path(), |_| {});
    let mut client = server.client();
    assert_eq!(client.say("PEXPIRETIME k"), ":4000000000123");
    assert_eq!(client.say("PEXPIRETIME h"), ":4000000000456");
    assert_eq!(client.say("GET gone"), "nil");
}
