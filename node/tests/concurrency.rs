//! Several connections at once: read-modify-write loses nothing, and several keys change as one.

use crate::harness::Server;
use protocol::frame::Value;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

const CLIENTS: usize = 8;
const ROUNDS: usize = 1_500;

#[test]
fn no_increment_of_any_kind_is_lost() {
    let server = Server::start();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = server.client();
                for _ in 0..ROUNDS {
                    client.ask(&[b"INCR", b"n"]);
                    client.ask(&[b"HINCRBY", b"h", b"f", b"1"]);
                    client.ask(&[b"ZINCRBY", b"z", b"1", b"m"]);
                    client.ask(&[b"APPEND", b"s", b"x"]);
                    client.ask(&[b"RPUSH", b"l", b"x"]);
                    (0..5).for_each(|_| assert!(client.reply().as_error().is_none()));
                }
            });
        }
    });
    let mut client = server.client();
    let all = (CLIENTS * ROUNDS).to_string();
    assert_eq!(client.say("GET n"), all);
    assert_eq!(client.say("HGET h f"), all);
    assert_eq!(client.say("ZSCORE z m"), all);
    assert_eq!(client.say("STRLEN s"), format!(":{all}"));
    assert_eq!(client.say("LLEN l"), format!(":{all}"));
    assert_eq!(client.say("DBSIZE"), ":5");
}

#[test]
fn every_element_that_is_popped_was_pushed_once() {
    let server = Server::start();
    let popped: Vec<i64> = thread::scope(|scope| {
        for worker in 0..CLIENTS / 2 {
            let server = &server;
            scope.spawn(move || {
                let mut client = server.client();
                for round in 0..ROUNDS {
                    client.call_bytes(&[
                        b"RPUSH",
                        b"q",
                        (worker * ROUNDS + round).to_string().as_bytes(),
                    ]);
                }
            });
        }
        let poppers: Vec<_> = (0..CLIENTS / 2)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = server.client();
                    let mut mine = Vec::new();
                    while mine.len() < ROUNDS {
                        mine.extend(client.call("LPOP q").as_int());
                    }
                    mine
                })
            })
            .collect();
        poppers.into_iter().flat_map(|popper| popper.join().unwrap()).collect()
    });
    let mut sorted = popped;
    sorted.sort_unstable();
    assert_eq!(sorted, (0..(CLIENTS / 2 * ROUNDS) as i64).collect::<Vec<_>>());
}

#[test]
fn keys_of_several_slots_change_as_one() {
    let server = Server::start();
    let done = AtomicBool::new(false);
    server.client().say("MSET a 0 b 0 c 0");
    thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let server = &server;
                scope.spawn(move || {
                    let mut client = server.client();
                    for round in 0..ROUNDS {
                        let value = format!("{writer}-{round}");
                        // In different orders: locks are taken in one.
                        let line = match round % 3 {
                            0 => format!("MSET a {value} b {value} c {value}"),
                            1 => format!("MSET c {value} b {value} a {value}"),
                            _ => format!("MSET b {value} a {value} c {value}"),
                        };
                        assert_eq!(client.say(&line), "OK");
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut client = server.client();
            while !done.load(Relaxed) {
                let Value::Array(values) = client.call("MGET a b c") else { panic!("no array") };
                assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
            }
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Relaxed);
    });
}

#[test]
fn a_command_over_many_records_holds_up_nobody_else() {
    let server = Server::start_with(|config| config.workers = 1);
    let mut client = server.client();
    let members: Vec<String> = (0..60_000).map(|n| format!("member:{n}")).collect();
    for chunk in members.chunks(1_000) {
        for key in ["{t}a", "{t}b"] {
            let mut words: Vec<&[u8]> = vec![b"SADD", key.as_bytes()];
            words.extend(chunk.iter().map(std::string::String::as_bytes));
            client.call_bytes(&words);
        }
    }
    let mut other = server.client();
    other.call("PING");
    client.ask(&[b"SUNIONSTORE", b"{t}c", b"{t}a", b"{t}b"]);
    // The only worker answers others while the union is being made, those that read its slot excepted.
    let mut answered = 0;
    client.stream_timeout(std::time::Duration::from_millis(1));
    let reply = loop {
        if let Some(reply) = client.poll_reply() {
            break reply;
        } else {
            assert_eq!(other.say("SET elsewhere x"), "OK");
            answered += 1;
        }
    };
    assert_eq!(reply, Value::Int(60_000));
    assert!(answered > 3, "only {answered} requests were answered meanwhile");
    assert_eq!(other.say("SCARD {t}c"), ":60000");
}
