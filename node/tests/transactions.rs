//! MULTI, EXEC, WATCH.

use crate::harness::Server;
use std::thread::sleep;
use std::time::Duration;

#[test]
fn commands_of_a_transaction_see_each_other_and_nobody_sees_half_of_it() {
    let server = Server::start();
    let (mut client, mut other) = (server.client(), server.client());
    assert_eq!(client.say("MULTI"), "OK");
    for line in [
        "SET a 1",
        "INCR a",
        "RPUSH l x y z",
        "LPOP l",
        "LRANGE l 0 -1",
        "SADD s m",
        "SMEMBERS s",
        "ZADD z 2 b 1 a",
        "ZRANGE z 0 -1",
        "HSET h f v",
        "DEL h",
        "HGETALL h",
        "KEYS a",
        "DBSIZE",
    ] {
        assert_eq!(client.say(line), "QUEUED", "{line}");
    }
    assert_eq!(other.say("EXISTS a l s z"), ":0");
    assert_eq!(client.say("EXEC"), "[OK :2 :3 x [y z] :1 [m] :2 [a b] :1 :1 [] [a] :4]");
    assert_eq!(other.say("GET a"), "2");
}

#[test]
fn a_transaction_with_an_error_runs_the_rest_and_a_spoiled_one_nothing() {
    let server = Server::start();
    let mut client = server.client();
    for line in ["SET s text", "MULTI", "INCR s", "SET t 1"] {
        client.say(line);
    }
    assert_eq!(client.say("EXEC"), "[-ERR value is not an integer or out of range OK]");
    for line in ["MULTI", "SET u 1", "NOSUCH"] {
        client.say(line);
    }
    assert!(client.say("EXEC").starts_with("-EXECABORT"));
    assert_eq!(client.say("GET u"), "nil");
    assert_eq!(client.say("EXEC"), "-ERR EXEC without MULTI");
    assert_eq!(client.say("DISCARD"), "-ERR DISCARD without MULTI");
}

#[test]
fn a_watched_key_that_changes_in_any_way_spoils_the_transaction() {
    let server = Server::start();
    let (mut client, mut other) = (server.client(), server.client());
    let attempt = |client: &mut crate::harness::Client, change: &mut dyn FnMut()| {
        client.say("WATCH k w");
        change();
        client.say("MULTI");
        client.say("SET out 1");
        client.say("EXEC")
    };
    assert_eq!(attempt(&mut client, &mut || {}), "[OK]");
    for change in [
        "SET k 1",
        "SET k 1",
        "APPEND k x",
        "EXPIRE k 100",
        "PERSIST k",
        "DEL k",
        "HSET k f v",
        "HSET k f w",
        "HDEL k f",
        "RPUSH k a",
        "RENAME k w",
        "RENAME w k",
        "FLUSHALL",
    ] {
        assert_eq!(attempt(&mut client, &mut || drop(other.say(change))), "nil", "{change}");
    }
    for harmless in [
        "SET elsewhere 1",
        "GET k",
        "DEL k",
        "EXPIRE k 5",
        "SELECT 1",
        "SET k in-another-database",
        "SELECT 0",
        "FLUSHALL",
    ] {
        assert_eq!(attempt(&mut client, &mut || drop(other.say(harmless))), "[OK]", "{harmless}");
    }
    assert_eq!(client.say("UNWATCH"), "OK");
}

#[test]
fn a_watched_key_that_expires_spoils_the_transaction() {
    let server = Server::start();
    let mut client = server.client();
    for line in ["SET k 1 PX 30", "WATCH k"] {
        client.say(line);
    }
    sleep(Duration::from_millis(40));
    for line in ["MULTI", "PING"] {
        client.say(line);
    }
    assert_eq!(client.say("EXEC"), "nil");
}

#[test]
fn what_is_not_watched_any_more_is_forgotten() {
    let server = Server::start();
    let mut client = server.client();
    let watched = |server: &Server| {
        server.shared.slots.iter().any(|(_, cell)| !cell.read().watched.is_empty())
    };
    for lines in [
        &["WATCH a b c", "UNWATCH"][..],
        &["WATCH a", "MULTI", "EXEC"],
        &["WATCH a", "MULTI", "DISCARD"],
        &["WATCH a", "RESET"],
    ] {
        client.say(lines[0]);
        assert!(watched(&server));
        lines[1..].iter().for_each(|line| drop(client.say(line)));
        assert!(!watched(&server), "{lines:?}");
    }
    client.say("WATCH a");
    drop(client);
    crate::harness::eventually("a closed session lets go", || !watched(&server));
}

#[test]
fn select_within_a_transaction_counts_from_there_on() {
    let server = Server::start();
    let mut client = server.client();
    for line in ["MULTI", "SET k zero", "SELECT 1", "SET k one", "EXEC"] {
        client.say(line);
    }
    assert_eq!(client.say("GET k"), "one");
    client.say("SELECT 0");
    assert_eq!(client.say("GET k"), "zero");
    for line in ["MULTI", "SELECT 1", "SET k un", "SELECT 0", "SET k nul", "EXEC"] {
        client.say(line);
    }
    assert_eq!(client.say("GET k"), "nul");
}
