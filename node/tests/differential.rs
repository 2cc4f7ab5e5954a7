//! The same generated commands to a node and to Debian's redis-server, and every reply compared.
//!
//! `SLIPWAY_DIFFERENTIAL_COMMANDS` sets how many (30,000 if it is not set), `SLIPWAY_DIFFERENTIAL_SEED` repeats a run. What may differ is in
//! [`allowed`], with the reason.

mod allowed;
mod generate;
pub(crate) mod oracle;

use crate::harness::client::show;
use crate::harness::{Client, Server};
use generate::{Command, Generator};
use oracle::Oracle;
use protocol::frame::Value;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// A run ends early when it has found so many.
const DIFFERENCES_MAX: usize = 30;

/// Commands sent before their replies are read.
const BATCH: usize = 40;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_reply_is_redis_own_resp2() {
    compare("2", 0);
}

#[test]
fn every_reply_is_redis_own_resp3() {
    compare("3", 1);
}

fn compare(version: &str, salt: u64) {
    let seed = number("SLIPWAY_DIFFERENTIAL_SEED").unwrap_or_else(rand::random) ^ salt;
    let commands = number("SLIPWAY_DIFFERENTIAL_COMMANDS").unwrap_or(30_000);
    println!("SLIPWAY_DIFFERENTIAL_SEED={}", seed ^ salt);
    let (node, redis) = (Server::start(), Oracle::start());
    let (mut ours, mut theirs) = (node.client(), redis.client());
    for client in [&mut ours, &mut theirs] {
        client.call(&format!("HELLO {version}"));
    }
    let mut generator = Generator::new(StdRng::seed_from_u64(seed));
    let (mut done, mut batches, mut differences) = (0, 0, Vec::new());
    while done < commands {
        let batch: Vec<Command> = generator.batch(BATCH);
        for client in [&mut ours, &mut theirs] {
            batch.iter().for_each(|command| client.ask(&command.words()));
        }
        for command in &batch {
            let (our, their) = (ours.reply(), theirs.reply());
            if !allowed::same(command, &our, &their) {
                differences.push(format!(
                    "{command}\n  ours:  {}\n  Redis: {}",
                    show(&our),
                    show(&their)
                ));
            }
            done += 1;
        }
        assert!(
            differences.len() < DIFFERENCES_MAX,
            "after {done} commands:\n{}",
            differences.join("\n")
        );
        if !differences.is_empty() {
            // What follows from a difference is no news.
            [&mut ours, &mut theirs].map(|client| client.call("FLUSHALL"));
            continue;
        }
        take_some(&mut generator, &mut ours, &mut theirs);
        batches += 1;
        if batches % 50 == 0 {
            compare_everything(&mut ours, &mut theirs);
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    compare_everything(&mut ours, &mut theirs);
}

/// Commands with a random answer: what the node took, Redis must have had, and is told to give up too.
fn take_some(generator: &mut Generator, ours: &mut Client, theirs: &mut Client) {
    let (key, count) = generator.spop();
    let their_size = theirs.call_bytes(&[b"SCARD", key.as_bytes()]);
    let our = ours.call_bytes(&[b"SPOP", key.as_bytes(), count.to_string().as_bytes()]);
    let (Value::Int(size), Some(taken)) = (their_size, our.as_items()) else { return };
    assert_eq!(taken.len() as i64, size.min(count), "SPOP {key} {count}");
    for member in taken {
        let removed = theirs.call_bytes(&[b"SREM", key.as_bytes(), member.as_bytes().unwrap()]);
        assert_eq!(removed, Value::Int(1), "SPOP {key}: Redis did not have {}", show(member));
    }
}

/// Every key with its type, its expiry and its value.
fn compare_everything(ours: &mut Client, theirs: &mut Client) {
    let (our_keys, their_keys) = (sorted(ours.call("KEYS *")), sorted(theirs.call("KEYS *")));
    assert_eq!(our_keys, their_keys, "KEYS *");
    assert_eq!(ours.call("DBSIZE"), Value::Int(our_keys.len() as i64), "DBSIZE");
    for key in our_keys {
        let key = key.as_bytes();
        let kind = ours.call_bytes(&[b"TYPE", key]);
        assert_eq!(kind, theirs.call_bytes(&[b"TYPE", key]));
        let expiry =
            [ours.call_bytes(&[b"PEXPIRETIME", key]), theirs.call_bytes(&[b"PEXPIRETIME", key])];
        assert!(
            allowed::near(&expiry[0], &expiry[1], 2_000),
            "expiry of {}: {expiry:?}",
            String::from_utf8_lossy(key)
        );
        let words: &[&[u8]] = match kind.as_str().unwrap() {
            "string" => &[b"GET", key],
            "hash" => &[b"HGETALL", key],
            "list" => &[b"LRANGE", key, b"0", b"-1"],
            "set" => &[b"SMEMBERS", key],
            "zset" => &[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"],
            other => panic!("{other}"),
        };
        let (our, their) = (ours.call_bytes(words), theirs.call_bytes(words));
        let ordered = !matches!(words[0], b"HGETALL" | b"SMEMBERS");
        let same = if ordered {
            allowed::positive_zeros(&our) == allowed::positive_zeros(&their)
        } else {
            allowed::same_unordered(&our, &their, words[0] == b"HGETALL")
        };
        assert!(
            same,
            "{}\n  ours:  {}\n  Redis: {}",
            String::from_utf8_lossy(key),
            show(&our),
            show(&their)
        );
        let length: &[u8] = match words[0] {
            b"HGETALL" => b"HLEN",
            b"LRANGE" => b"LLEN",
            b"SMEMBERS" => b"SCARD",
            b"ZRANGE" => b"ZCARD",
            _ => b"STRLEN",
        };
        assert_eq!(
            ours.call_bytes(&[length, key]),
            theirs.call_bytes(&[length, key]),
            "{}",
            String::from_utf8_lossy(length)
        );
    }
}

fn sorted(keys: Value) -> Vec<String> {
    let items = keys.as_items().unwrap().iter();
    let mut keys: Vec<String> =
        items.map(|key| String::from_utf8_lossy(key.as_bytes().unwrap()).into_owned()).collect();
    keys.sort();
    keys
}
