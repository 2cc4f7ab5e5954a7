//! Many requests in one packet: they are answered as if each had come alone, and clients that do so at the same time do not stop each other.

use crate::harness::client::show;
use crate::harness::{Client, Server};
use protocol::request::encode_request;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::thread;

/// Keys, and commands about them; `K` is the key, `N` a small number.
const KEYS: usize = 5;
const COMMANDS: [&str; 29] = [
    "SET K N",
    "SET K N",
    "SET K N XX GET",
    "SETNX K N",
    "INCR K",
    "APPEND K N",
    "SETRANGE K N x",
    "GETDEL K",
    "GET K",
    "HSET K f N",
    "HSET K fN N f N",
    "HINCRBY K f N",
    "HDEL K f fN",
    "HLEN K",
    "RPUSH K N N",
    "LPUSH K N",
    "LPOP K",
    "LRANGE K 0 -1",
    "LTRIM K 0 N",
    "SADD K N x",
    "SREM K N",
    "SCARD K",
    "ZADD K N N",
    "ZINCRBY K N N",
    "ZRANGE K 0 -1",
    "EXPIRE K 100",
    "PERSIST K",
    "DEL K",
    "TYPE K",
];

fn script(seed: u64) -> Vec<Vec<String>> {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut line = || {
        let key = format!("key:{}", chance.random_range(0..KEYS));
        let number = chance.random_range(0..4).to_string();
        let line = COMMANDS[chance.random_range(0..COMMANDS.len())];
        line.split(' ')
            .map(|word| match word {
                "K" => key.clone(),
                "N" => number.clone(),
                "fN" => format!("f{number}"),
                word => word.to_owned(),
            })
            .collect()
    };
    (0..400).map(|_| line()).collect()
}

fn frames(lines: &[Vec<String>]) -> Vec<u8> {
    let mut frames = Vec::new();
    for line in lines {
        let words: Vec<&[u8]> = line.iter().map(|word| word.as_bytes()).collect();
        encode_request(&mut frames, &words);
    }
    frames
}

fn replies(client: &mut Client, count: usize) -> Vec<String> {
    (0..count).map(|_| show(&client.reply())).collect()
}

#[test]
fn a_pipeline_is_answered_as_its_requests_are_one_by_one() {
    let server = Server::start();
    let mut client = server.client();
    for seed in 0..40 {
        let lines = script(seed);
        client.say("SELECT 1");
        client.say("FLUSHDB");
        let mut alone = Vec::new();
        for line in &lines {
            client.send(&frames(std::slice::from_ref(line)));
            alone.extend(replies(&mut client, 1));
        }
        let keys = client.say("DBSIZE");
        client.say("SELECT 2");
        client.say("FLUSHDB");
        client.send(&frames(&lines));
        let together = replies(&mut client, lines.len());
        for ((line, alone), together) in lines.iter().zip(&alone).zip(&together) {
            assert_eq!(alone, together, "{line:?}, seed {seed}");
        }
        assert_eq!(client.say("DBSIZE"), keys, "seed {seed}");
    }
}

#[test]
fn pipelines_over_the_same_slots_in_any_order_all_come_to_an_end() {
    const CLIENTS: usize = 6;
    const ROUNDS: usize = 200;
    let server = Server::start();
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let server = &server;
            scope.spawn(move || {
                let mut client = server.client();
                let mut lines: Vec<Vec<String>> = (0..24)
                    .map(|key| vec!["INCR".to_owned(), format!("n{key}")])
                    .chain((0..8).map(|key| {
                        vec!["HINCRBY".into(), format!("h{key}"), "f".into(), "1".into()]
                    }))
                    .collect();
                if number % 2 == 0 {
                    lines.reverse();
                }
                let frames = frames(&lines);
                for _ in 0..ROUNDS {
                    client.send(&frames);
                    let replies = replies(&mut client, lines.len());
                    assert!(replies.iter().all(|reply| reply.starts_with(':')), "{replies:?}");
                }
            });
        }
    });
    let mut client = server.client();
    let all = (CLIENTS * ROUNDS).to_string();
    (0..24).for_each(|key| assert_eq!(client.say(&format!("GET n{key}")), all));
    (0..8).for_each(|key| assert_eq!(client.say(&format!("HGET h{key} f")), all));
    assert_eq!(client.say("DBSIZE"), ":32");
}

#[test]
fn who_watches_or_waits_hears_of_writes_within_a_pipeline() {
    let server = Server::start();
    let (mut watcher, mut waiter, mut writer) = (server.client(), server.client(), server.client());
    watcher.say("WATCH c");
    watcher.say("MULTI");
    watcher.say("PING");
    waiter.ask(&[b"BLPOP", b"d", b"20"]);
    crate::harness::eventually("it waits", || {
        server.shared.slots.iter().any(|(_, c)| c.has_waiters())
    });
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let lines = ["SET a 1", "SET b 1", "SET c 1", "RPUSH d 1", "SET e 1"].map(words);
    writer.send(&frames(&lines));
    assert_eq!(replies(&mut writer, 5), ["OK", "OK", "OK", ":1", "OK"]);
    assert_eq!(waiter.say_reply(), "[d 1]");
    assert_eq!(watcher.say("EXEC"), "nil");
}
