//! What Pika's own commands cannot move is carried, and nothing of it is lost whatever comes between.

use super::{Node, Pair, config, list_of, slot};
use protocol::frame::Value;
use proxy::foreign::carry::{Errand, Trouble, run};
use proxy::foreign::examine::{Copier, Move, Ready, Refusal};
use std::sync::Arc;

impl Pair {
    fn with_copier(&self, key: &str) -> Move<'_> {
        Move { copier: Copier::Named, ..self.moved(key) }
    }

    async fn carry(&self, key: &str, errand: Errand) -> Result<(), Trouble> {
        run(&self.config, self.with_copier(key), errand, || true).await
    }

    fn carried_bytes_max(&mut self, bytes: u64) {
        let mut config = config();
        config.foreign.carried_bytes_max = bytes;
        self.config = Arc::new(config);
    }

    /// Members with scores, in their order.
    async fn both(&mut self, key: &str) -> [Vec<String>; 2] {
        let asked = format!("ZRANGE {key} 0 -1 WITHSCORES");
        let texts = |answer: Value| {
            let items = answer.as_items().unwrap().iter();
            items.map(|item| item.as_str().unwrap().to_owned()).collect()
        };
        [texts(self.source.ask(&asked).await), texts(self.target.ask(&asked).await)]
    }
}

/// Whether a slot's list has the key as a sorted set.
async fn is_listed(node: &mut Node, key: &str) -> bool {
    is_listed_as(node, key, 'z').await
}

async fn is_listed_as(node: &mut Node, key: &str, letter: char) -> bool {
    let answer =
        node.ask(&format!("SSCAN {} 0 MATCH {letter}{key} COUNT 1000", list_of(key))).await;
    answer.as_items().and_then(|both| both[1].as_items()).is_some_and(|found| !found.is_empty())
}

/// A sorted set of more members than one page.
fn large(key: &str) -> String {
    let pairs: Vec<String> = (0..2500).map(|i| format!("{}.1234567{i} m{i}", i / 7)).collect();
    format!("ZADD {key} {}", pairs.join(" "))
}

#[tokio::test]
async fn scores_arrive_to_the_last_bit_and_then_leave_the_source() {
    let mut pair = Pair::new().await;
    pair.source
        .ask_all(&[
            "ZADD {a}z 0.1234567890123 m 1e-07 n -3.25 o 1e+300 p",
            "EXPIRE {a}z 1000",
            "ZADD {a}exact 1.5 m",
            &large("{a}large"),
        ])
        .await;
    let examined = pair.examine_with(pair.with_copier("{a}")).await;
    assert!(matches!(examined, Ok(Ready { needs_copier: true, .. })), "{examined:?}");
    for _ in 0..2 {
        pair.carry("{a}", Errand::Copy).await.unwrap();
        for (key, members) in [("{a}z", 4), ("{a}large", 2500)] {
            let [source, target] = pair.both(key).await;
            assert!(source == target && source.len() == 2 * members, "{key}");
        }
    }
    assert_eq!(pair.target.ask("EXISTS {a}exact").await, Value::Int(0), "Pika moves it");
    for _ in 0..2 {
        pair.carry("{a}", Errand::Clear).await.unwrap();
    }
    // TTL is wrong of what the read cache of a Pika has.
    let left = pair.target.ask("PTTL {a}z").await.as_int().unwrap() / 1000;
    assert!((990..=1000).contains(&left), "{left}");
    for key in ["{a}z", "{a}large"] {
        assert_eq!(pair.source.ask(&format!("EXISTS {key}")).await, Value::Int(0));
        assert!(!is_listed(&mut pair.source, key).await);
        assert!(is_listed(&mut pair.target, key).await);
    }
    assert_eq!(pair.source.ask("ZSCORE {a}exact m").await.as_str(), Some("1.5"));
}

#[tokio::test]
async fn what_was_copied_can_be_taken_back_and_the_slot_can_leave_again() {
    let mut pair = Pair::new().await;
    pair.source.ask_all(&["ZADD z 0.1234567890123 m"]).await;
    pair.carry("z", Errand::Copy).await.unwrap();
    let examined = pair.examine_with(pair.with_copier("z")).await;
    assert!(matches!(examined, Err(Refusal::TargetHolds { .. })), "{examined:?}");
    for _ in 0..2 {
        pair.carry("z", Errand::Withdraw).await.unwrap();
    }
    assert_eq!(pair.target.ask("EXISTS z").await, Value::Int(0));
    assert_eq!(pair.source.ask("ZCARD z").await, Value::Int(1));
    let examined = pair.examine_with(pair.with_copier("z")).await;
    assert!(matches!(examined, Ok(Ready { needs_copier: true, .. })), "{examined:?}");
}

#[tokio::test]
async fn nothing_is_deleted_at_the_source_that_is_not_equal_at_the_target() {
    let mut pair = Pair::new().await;
    pair.source.ask_all(&["ZADD z 0.1234567890123 m 2 n"]).await;
    pair.carry("z", Errand::Copy).await.unwrap();
    pair.target.ask_all(&["ZADD z 0.123457 m", "ZADD z 1 more"]).await;
    let [before, _] = pair.both("z").await;
    pair.carry("z", Errand::Clear).await.unwrap();
    assert_eq!(pair.both("z").await, [vec![], before]);
}

#[tokio::test]
async fn more_than_clients_can_wait_for_is_refused_by_name_before_anything_is_locked() {
    let mut pair = Pair::new().await;
    pair.source.ask_all(&["ZADD z 0.1234567890123 m 2 n"]).await;
    pair.carried_bytes_max(64);
    let examined = pair.examine_with(pair.with_copier("z")).await;
    let Err(Refusal::TooMuchToCopy { key, .. }) = &examined else { panic!("{examined:?}") };
    assert_eq!(key, "z");
    let said = pair.carry("z", Errand::Copy).await;
    assert!(matches!(&said, Err(Trouble::Refused(_))), "{said:?}");
    assert_eq!(pair.target.ask("EXISTS z").await, Value::Int(0));
}

#[tokio::test]
async fn a_set_with_infinite_scores_beside_inexact_ones_is_named() {
    for infinite in ["inf", "-inf"] {
        let mut pair = Pair::new().await;
        let line = format!("ZADD z {infinite} n");
        pair.source.ask_all(&["ZADD z 0.1234567890123 m", &line]).await;
        let examined = pair.examine_with(pair.with_copier("z")).await;
        assert!(matches!(&examined, Err(Refusal::Score { key, .. }) if key == "z"), "{examined:?}");
    }
}

#[tokio::test]
async fn a_copy_that_nobody_wants_any_more_ends() {
    let mut pair = Pair::new().await;
    pair.source.ask_all(&["ZADD z 0.1234567890123 m"]).await;
    let said = run(&pair.config, pair.with_copier("z"), Errand::Copy, || false).await;
    assert!(matches!(said, Err(Trouble::CalledOff)), "{said:?}");
    assert_eq!(pair.target.ask("EXISTS z").await, Value::Int(0));
}

/// All there is to see of a stream.
async fn stream(node: &mut Node, key: &str) -> String {
    let [entries, info] =
        ["XRANGE KEY - +", "XINFO STREAM KEY"].map(|line| line.replace("KEY", key));
    let (entries, info) = (node.ask(&entries).await, node.ask(&info).await);
    let fields: Vec<&str> = info.as_items().unwrap().iter().filter_map(Value::as_str).collect();
    let at = fields.iter().position(|field| *field == "last-generated-id").unwrap();
    format!("{entries:?}, last {}", fields[at + 1])
}

#[tokio::test]
async fn streams_arrive_with_their_ids_and_nothing_stands_in_the_way_at_the_source() {
    let mut pair = Pair::new().await;
    pair.source
        .ask_all(&[
            "XADD {a}s 1-1 f v g w",
            "XADD {a}s 5-0 f v",
            "XADD {a}s 7-3 f v",
            "XDEL {a}s 5-0 7-3",
            "XADD {a}empty 9-9 f v",
            "XDEL {a}empty 9-9",
            "XADD {a}gone 1-1 f v",
            "DEL {a}gone",
            "SET {a}k v",
        ])
        .await;
    for i in 1..1200 {
        pair.source.ask_all(&[&format!("XADD {{a}}long {}-{} f {i}", i / 700 + 1, i)]).await;
    }
    let examined = pair.examine_with(pair.with_copier("{a}")).await;
    assert!(matches!(examined, Ok(Ready { needs_copier: true, .. })), "{examined:?}");
    let mut seen = Vec::new();
    for _ in 0..2 {
        pair.carry("{a}", Errand::Copy).await.unwrap();
        for key in ["{a}s", "{a}empty", "{a}long"] {
            seen.push(stream(&mut pair.source, key).await);
            assert_eq!(seen.last(), Some(&stream(&mut pair.target, key).await), "{key}");
        }
    }
    assert!(seen[0].ends_with("last 7-3") && seen[1].ends_with("last 9-9"), "{seen:?}");
    for _ in 0..2 {
        pair.carry("{a}", Errand::Clear).await.unwrap();
    }
    for (key, original) in ["{a}s", "{a}empty", "{a}long"].iter().zip(&seen) {
        assert_eq!(original, &stream(&mut pair.target, key).await);
    }
    for key in ["{a}s", "{a}empty", "{a}long", "{a}gone"] {
        let kind = pair.source.ask(&format!("TYPE {key}")).await;
        assert!(!kind.as_str().unwrap().starts_with("stream"), "{key}");
        assert_eq!(pair.source.ask(&format!("EXISTS {key}")).await, Value::Int(0));
    }
    // Without a copier the rest can leave.
    for key in ["{a}s", "{a}empty", "{a}long"] {
        let lines = [format!("DEL {key}"), format!("SET {key} 1"), format!("DEL {key}")];
        pair.target.ask_all(&lines.each_ref().map(String::as_str)).await;
    }
    let examined = pair.examine("{a}").await;
    assert!(matches!(examined, Ok(Ready { needs_copier: false, keys: 1, .. })), "{examined:?}");
    let port = pair.target.addr.rsplit_once(':').unwrap().1;
    let go = format!("SLOTSMGRTTAGONE 127.0.0.1 {port} 5000 {{a}}k");
    assert_eq!(pair.source.ask(&go).await, Value::Int(1));
}

/// A PFADD of this many elements.
fn many(key: &str, elements: usize) -> String {
    let elements: Vec<String> = (0..elements).map(|i| format!("e{i}")).collect();
    format!("PFADD {key} {}", elements.join(" "))
}

/// The registers of a HyperLogLog, past the read cache.
async fn registers(node: &mut Node, key: &str) -> Value {
    node.ask_all(&["MULTI", &format!("GET {key}")]).await;
    node.ask("EXEC").await
}

#[tokio::test]
async fn hyperloglogs_arrive_register_by_register_and_then_leave_the_source() {
    let mut pair = Pair::new().await;
    pair.examine("{a}").await.unwrap();
    pair.source.ask_all(&["PFADD {a}h old", "EXPIRE {a}h 1000", "GET {a}h"]).await;
    for from in 0..5 {
        let elements: Vec<String> = (0..200).map(|i| format!("{from}-{i}")).collect();
        pair.source.ask_all(&[&format!("PFADD {{a}}h {}", elements.join(" "))]).await;
    }
    pair.source
        .ask_all(&["GET {a}h", "PEXPIRE {a}h 1000000", "PFADD {a}empty", "SET {a}k v"])
        .await;
    // The read cache keeps what GET has seen of one that ends, whatever is added.
    pair.source.ask_all(&["PFADD {a}cached a b", "EXPIRE {a}cached 1000", "GET {a}cached"]).await;
    pair.source.ask_all(&["PFADD {a}cached c d e f"]).await;
    for key in ["{a}h", "{a}empty", "{a}cached"] {
        pair.known.note(&pair.config, slot(key), key.as_bytes());
    }
    let examined = pair.examine_with(pair.with_copier("{a}")).await;
    assert!(matches!(examined, Ok(Ready { needs_copier: true, .. })), "{examined:?}");
    let keys = ["{a}h", "{a}empty", "{a}cached"];
    let mut seen = Vec::new();
    for _ in 0..2 {
        pair.carry("{a}", Errand::Copy).await.unwrap();
        for key in keys {
            seen.push(registers(&mut pair.source, key).await);
            assert!(seen.last() == Some(&registers(&mut pair.target, key).await), "{key}");
        }
    }
    assert_eq!(pair.target.ask("EXISTS {a}k").await, Value::Int(0), "Pika moves it");
    for _ in 0..2 {
        pair.carry("{a}", Errand::Clear).await.unwrap();
    }
    for (key, original) in keys.iter().zip(&seen) {
        assert!(registers(&mut pair.target, key).await == *original, "{key}");
        assert_eq!(pair.source.ask(&format!("EXISTS {key}")).await, Value::Int(0));
        assert!(!is_listed_as(&mut pair.source, key, 'k').await);
        assert!(is_listed_as(&mut pair.target, key, 'k').await);
    }
    let left = pair.target.ask("PTTL {a}h").await.as_int().unwrap();
    assert!((980_000..=1_000_000).contains(&left), "{left}");
    assert_eq!(pair.target.ask("PTTL {a}empty").await, Value::Int(-1));
    assert_eq!(pair.target.ask("PFCOUNT {a}empty").await, Value::Int(0));
    assert_eq!(pair.target.ask("PFCOUNT {a}cached").await, Value::Int(6));
    assert_eq!(pair.source.ask("GET {a}k").await.as_str(), Some("v"));
}

#[tokio::test]
async fn a_hyperloglog_that_was_copied_can_be_taken_back() {
    let mut pair = Pair::new().await;
    pair.source.ask_all(&["PFADD h a b c", "SETNX h v"]).await;
    pair.carry("h", Errand::Copy).await.unwrap();
    pair.carry("h", Errand::Withdraw).await.unwrap();
    assert_eq!(pair.target.ask("EXISTS h").await, Value::Int(0));
    assert!(!is_listed_as(&mut pair.target, "h", 'k').await);
    assert_eq!(pair.source.ask("PFCOUNT h").await, Value::Int(3));
    let examined = pair.examine_with(pair.with_copier("h")).await;
    assert!(matches!(examined, Ok(Ready { needs_copier: true, .. })), "{examined:?}");
}

#[tokio::test]
async fn hyperloglogs_that_take_too_long_or_cannot_be_made_are_refused_by_name() {
    let mut pair = Pair::new().await;
    pair.source.ask_all(&[&many("h", 40), "SETNX h v"]).await;
    let mut config = config();
    config.foreign.carried_registers_max = 30;
    pair.config = Arc::new(config);
    let examined = pair.examine_with(pair.with_copier("h")).await;
    let Err(Refusal::TooManyRegisters { key, .. }) = &examined else { panic!("{examined:?}") };
    assert_eq!(key, "h");
    let said = pair.carry("h", Errand::Copy).await;
    assert!(matches!(&said, Err(Trouble::Refused(_))), "{said:?}");
    assert_eq!(pair.target.ask("EXISTS h").await, Value::Int(0));
    // These raise one register to 15 and to 16, of which PFMERGE of Pika makes 31.
    let [lower, higher] = [[0x93, 0x4f, 0xa1, 0xe5], [0x9d, 0x76, 0xdb, 0xbb]];
    pair.source.ask_all(&["DEL h"]).await;
    pair.source.link.ask(&[b"PFADD", b"h", &lower]).await.unwrap();
    pair.source.link.ask(&[b"PFADD", b"other", &higher]).await.unwrap();
    pair.source.ask_all(&["PFMERGE h h other", "SETNX h v"]).await;
    let examined = pair.examine_with(pair.with_copier("h")).await;
    assert!(matches!(&examined, Err(Refusal::HyperLogLog { key }) if key == "h"), "{examined:?}");
}

#[tokio::test]
async fn a_stream_that_was_copied_can_be_taken_back() {
    let mut pair = Pair::new().await;
    pair.source.ask_all(&["XADD s 5-1 f v"]).await;
    pair.carry("s", Errand::Copy).await.unwrap();
    pair.carry("s", Errand::Withdraw).await.unwrap();
    assert_eq!(pair.target.ask("EXISTS s").await, Value::Int(0));
    let examined = pair.examine_with(pair.with_copier("s")).await;
    assert!(matches!(examined, Ok(Ready { needs_copier: true, .. })), "{examined:?}");
    pair.carry("s", Errand::Copy).await.unwrap();
    assert_eq!(stream(&mut pair.source, "s").await, stream(&mut pair.target, "s").await);
}
