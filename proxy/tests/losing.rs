//! Nodes that die, hang and come back: what was not sent is kept, a read is repeated, a write is never executed twice.

use crate::cluster::{Cluster, bulk, ok, quick, until};
use crate::fake::{Manner, Slot};
use protocol::frame::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const FOO: u16 = 289;

#[tokio::test]
async fn requests_wait_for_a_node_that_is_away_for_a_moment() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    assert_eq!(client.ask("set foo 0").await, ok());
    c.lose(0).await;
    client.send_all(&["append foo 1", "append foo 2", "get foo", "mset key1 a key2 b"]).await;
    assert!(client.hears_nothing().await);
    c.nodes[0].start_again().await;
    assert_eq!(client.replies(4).await, [Value::Int(2), Value::Int(3), bulk("012"), ok()]);
}

#[tokio::test]
async fn requests_wait_for_a_node_that_is_not_there_yet() {
    let node = crate::fake::FakeNode::start().await;
    node.stop().await;
    let c = Cluster::before(vec![node], quick());
    let mut client = c.client().await;
    client.send_all(&["set foo 1", "get foo"]).await;
    assert!(client.hears_nothing().await);
    c.nodes[0].start_again().await;
    assert_eq!(client.replies(2).await, [ok(), bulk("1")]);
}

#[tokio::test]
async fn a_node_that_stays_away_is_named_in_one_error_a_request() {
    let mut config = quick();
    config.hold.node_down = Duration::from_millis(200);
    let c = Cluster::with(1, config).await;
    let mut client = c.client().await;
    assert_eq!(client.ask("set foo 0").await, ok());
    c.lose(0).await;
    let began = Instant::now();
    client.send_all(&["set foo 1", "get foo", "mget foo key1"]).await;
    for reply in client.replies(3).await {
        let line = reply.as_error().unwrap().to_owned();
        assert!(
            line.starts_with(&format!("ERR slipway: node {} is down", c.nodes[0].addr)),
            "{line}"
        );
    }
    assert!(began.elapsed() >= Duration::from_millis(150));
    // From now on the answer is immediate, until the node is back.
    let began = Instant::now();
    assert!(client.ask("set foo 2").await.as_error().is_some());
    assert!(began.elapsed() < Duration::from_millis(100));
    c.nodes[0].start_again().await;
    let end = Instant::now() + crate::cluster::PATIENCE;
    while client.ask("set foo 3").await != ok() {
        assert!(Instant::now() < end);
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(client.ask("get foo").await, bulk("3"));
}

#[tokio::test]
async fn a_write_of_unknown_fate_is_one_error_and_is_never_sent_again() {
    for manner in [Manner::DropAfter, Manner::DropBefore] {
        let c = Cluster::start(1).await;
        let mut client = c.client().await;
        assert_eq!(client.ask("set foo x").await, ok());
        c.nodes[0].behave(manner);
        let reply = client.ask("append foo y").await;
        let line = reply.as_error().unwrap().to_owned();
        let wanted = format!(
            "ERR slipway: connection to node {} lost, the write may or may not have been executed",
            c.nodes[0].addr
        );
        assert_eq!(line, wanted);
        let want = if manner == Manner::DropAfter { "xy" } else { "x" };
        assert_eq!(client.ask("get foo").await, bulk(want));
    }
}

#[tokio::test]
async fn a_read_of_unknown_fate_is_sent_again() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    assert_eq!(client.ask("mset foo x key1 y").await, ok());
    for manner in [Manner::DropAfter, Manner::DropBefore] {
        c.nodes[0].behave(manner);
        assert_eq!(client.ask("get foo").await, bulk("x"));
        c.nodes[0].behave(manner);
        assert_eq!(client.ask("mget foo key1").await, Value::Array(vec![bulk("x"), bulk("y")]));
    }
}

#[tokio::test]
async fn what_stands_behind_a_lost_write_is_neither_lost_nor_overtaken() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    assert_eq!(client.ask("set foo 0").await, ok());
    c.nodes[0].behave(Manner::Mute);
    client.send_all(&["append foo 1", "get foo", "get foo"]).await;
    until("all are executed", || c.nodes[0].executed().len() == 4).await;
    c.nodes[0].behave(Manner::Good);
    c.nodes[0].cut();
    let replies = client.replies(3).await;
    assert!(replies[0].as_error().unwrap().contains("may or may not have been executed"));
    assert_eq!(replies[1..], [bulk("01"), bulk("01")]);
}

#[tokio::test]
async fn a_node_that_dies_while_its_slot_is_held_does_not_lose_the_held() {
    let c = Cluster::start(1).await;
    c.nodes[0].set(FOO, Slot::Sealed);
    let mut client = c.client().await;
    client.send_all(&["append foo 1", "append foo 2"]).await;
    until("both have bounced", || c.nodes[0].bounced() >= 1).await;
    c.nodes[0].stop().await;
    c.nodes[0].set(FOO, Slot::Doubt);
    c.nodes[0].start_again().await;
    client.send("append foo 3").await;
    until("the node is asked again", || c.nodes[0].said("LINK") == 2).await;
    c.nodes[0].set(FOO, Slot::Owned);
    assert_eq!(client.replies(3).await, [Value::Int(1), Value::Int(2), Value::Int(3)]);
    assert_eq!(c.nodes[0].get("foo").unwrap(), "123");
}

#[tokio::test]
async fn requests_for_a_dead_node_follow_the_table_to_the_new_owner() {
    let c = Cluster::start(2).await;
    let mut client = c.client().await;
    assert_eq!(client.ask("set foo 0").await, ok());
    c.lose(0).await;
    client.send_all(&["append foo 1", "append foo 2"]).await;
    c.publish(2, |_| (1, 2));
    assert_eq!(client.replies(2).await, [Value::Int(1), Value::Int(2)]);
    assert_eq!(c.nodes[1].get("foo").unwrap(), "12");
}

#[tokio::test]
async fn a_node_that_says_nothing_is_given_up() {
    let mut config = quick();
    config.upstream.reply_timeout = Duration::from_millis(300);
    let c = Cluster::with(1, config).await;
    let mut client = c.client().await;
    assert_eq!(client.ask("set foo 0").await, ok());
    c.nodes[0].behave(Manner::Mute);
    let reply = client.ask("append foo 1").await;
    assert!(reply.as_error().unwrap().contains("may or may not have been executed"), "{reply:?}");
    c.nodes[0].behave(Manner::Good);
    assert_eq!(client.ask("get foo").await, bulk("01"));
}

#[tokio::test]
async fn a_node_with_another_number_of_slots_is_not_used() {
    let mut config = quick();
    config.slot_count = ::cluster::SlotCount::new(16).unwrap();
    config.hold.node_down = Duration::from_millis(100);
    let node = crate::fake::FakeNode::start().await;
    let table = crate::cluster::table(std::slice::from_ref(&node), 1, |_| (0, 1));
    let small = ::cluster::Table { slots: table.slots[..16].to_vec(), ..table };
    let c = Cluster::with_table(vec![node], config, small);
    let mut client = c.client().await;
    let reply = client.ask("set foo 1").await;
    let line = reply.as_error().unwrap();
    assert!(line.contains("slot count differs: the node has 1024, we have 16"), "{line}");
    assert!(c.nodes[0].executed().is_empty());
}
