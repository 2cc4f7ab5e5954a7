//! What Pika's own commands cannot move is carried, and nothing of it is lost whatever comes between.

use super::{Node, Pair, config, list_of};
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

    async fn carried_bytes_max(&mut self, bytes: u64) {
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
    let answer = node.ask(&format!("SSCAN {} 0 MATCH z{key} COUNT 1000", list_of(key))).await;
    answer.as_items().and_then(|both| both[1].as_items()).is_some_and(|found| !found.is_empty())
}

/// A sorted set of more members than one page.
fn large(key: &str) -> String {
    let pairs: String = (0..2500).map(|i| format!(" {}.1234567{i} m{i}", i / 7)).collect();
    format!("ZADD {key}{pairs}")
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
    let left = pair.target.ask("TTL {a}z").await.as_int().unwrap();
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
    pair.carried_bytes_max(64).await;
    let examined = pair.examine_with(pair.with_copier("z")).await;
    let Err(Refusal::TooMuchToCopy { key, .. }) = &examined else { panic!("{examined:?}") };
    assert_eq!(key, "z");
    let said = pair.carry("z", Errand::Copy).await;
    assert!(matches!(&said, Err(Trouble::Refused(_))), "{said:?}");
    assert_eq!(pair.target.ask("EXISTS z").await, Value::Int(0));
}

#[tokio::test]
async fn a_set_with_infinite_scores_beside_inexact_ones_is_named() {
    let mut pair = Pair::new().await;
    pair.source.ask_all(&["ZADD z 0.1234567890123 m", "ZADD z inf n"]).await;
    let examined = pair.examine_with(pair.with_copier("z")).await;
    assert!(matches!(&examined, Err(Refusal::Score { key, .. }) if key == "z"), "{examined:?}");
}

#[tokio::test]
async fn a_copy_that_nobody_wants_any_more_ends() {
    let mut pair = Pair::new().await;
    pair.source.ask_all(&["ZADD z 0.1234567890123 m"]).await;
    let said = run(&pair.config, pair.with_copier("z"), Errand::Copy, || false).await;
    assert!(matches!(said, Err(Trouble::CalledOff)), "{said:?}");
    assert_eq!(pair.target.ask("EXISTS z").await, Value::Int(0));
}
