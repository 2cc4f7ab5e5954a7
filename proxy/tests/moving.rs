//! Slots that move while clients write: order, stickiness, tokens, missed pushes, bounds.

use crate::cluster::{Cluster, bulk, ok, quick, until};
use crate::fake::{Manner, Slot};
use ::cluster::Token;
use protocol::frame::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

// `foo` is in slot 289, `key1` in 80.
const FOO: u16 = 289;
const KEY1: u16 = 80;

fn appends(key: &str, from: usize, to: usize) -> Vec<String> {
    (from..to).map(|i| format!("append {key} {i},")).collect()
}

fn written(from: usize, to: usize) -> String {
    (from..to).fold(String::new(), |text, i| text + &i.to_string() + ",")
}

#[tokio::test]
async fn writes_of_a_sealed_slot_wait_and_leave_in_order() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    assert_eq!(client.ask("append foo 0,").await, Value::Int(2));
    c.nodes[0].set(FOO, Slot::Sealed);
    client.send_all(&appends("foo", 1, 300)).await;
    until("all are held", || c.metric("held_requests") == 299).await;
    assert!(client.hears_nothing().await);
    assert_eq!(c.nodes[0].get("foo").unwrap(), "0,");
    let released = c.metric("held_requests_total{outcome=\"released\"}");
    c.nodes[0].set(FOO, Slot::Owned);
    let replies = client.replies(299).await;
    assert_eq!(c.metric("held_requests") + c.metric("held_bytes") + c.metric("held_slots"), 0);
    assert_eq!(c.metric("held_requests_total{outcome=\"released\"}") - released, 299);
    assert!(replies.iter().all(|r| matches!(r, Value::Int(_))), "{replies:?}");
    assert_eq!(c.nodes[0].get("foo").unwrap(), written(0, 300));
}

#[tokio::test]
async fn other_slots_go_on_and_replies_keep_the_order_of_requests() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    let mut other = c.client().await;
    c.nodes[0].set(FOO, Slot::Sealed);
    client.send_all(&["append foo a", "set key1 v", "get key1"]).await;
    until("key1 is written", || c.nodes[0].get("key1").is_some()).await;
    assert_eq!(other.ask("get key1").await, bulk("v"));
    assert!(client.hears_nothing().await, "the first request is not answered yet");
    c.nodes[0].set(FOO, Slot::Owned);
    assert_eq!(client.replies(3).await, [Value::Int(1), ok(), bulk("v")]);
}

#[tokio::test]
async fn reads_of_a_sealed_slot_are_served_unless_they_stand_behind_a_write() {
    let c = Cluster::start(1).await;
    let mut reader = c.client().await;
    c.nodes[0].set(FOO, Slot::Sealed);
    assert_eq!(reader.ask("get foo").await, Value::Null);
    let mut writer = c.client().await;
    writer.send_all(&["set foo 1", "get foo"]).await;
    until("the write has bounced", || c.nodes[0].bounced() > 0).await;
    assert!(writer.hears_nothing().await);
    c.nodes[0].set(FOO, Slot::Owned);
    assert_eq!(writer.replies(2).await, [ok(), bulk("1")]);
}

#[tokio::test]
async fn a_slot_that_opens_between_two_writes_does_not_reorder_them() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    let mut sent = 0;
    // Whenever the slot opens, some requests are bounced, some not yet read: only stickiness keeps them in order.
    for round in 0..30 {
        c.nodes[0].set(FOO, Slot::Sealed);
        client.send_all(&appends("foo", sent, sent + 10)).await;
        let bounced = c.nodes[0].bounced();
        until("a write has bounced", || c.nodes[0].bounced() >= bounced).await;
        if round % 2 == 0 {
            sleep(Duration::from_micros(300)).await;
        }
        c.nodes[0].set(FOO, Slot::Owned);
        client.send_all(&appends("foo", sent + 10, sent + 20)).await;
        sent += 20;
    }
    client.replies(sent).await;
    assert_eq!(c.nodes[0].get("foo").unwrap(), written(0, sent));
}

#[tokio::test]
async fn a_missed_push_only_costs_a_moment() {
    let c = Cluster::start(1).await;
    c.nodes[0].push_nothing();
    let mut client = c.client().await;
    c.nodes[0].set(FOO, Slot::Sealed);
    client.send_all(&appends("foo", 0, 20)).await;
    until("the node was asked", || c.nodes[0].said("WHERE") > 1).await;
    c.nodes[0].set(FOO, Slot::Owned);
    client.replies(20).await;
    assert_eq!(c.nodes[0].get("foo").unwrap(), written(0, 20));
}

#[tokio::test]
async fn a_grant_is_followed_with_its_token_first() {
    let c = Cluster::start(2).await;
    let token = Token(0xabc);
    let mut client = c.client().await;
    c.nodes[0].set(FOO, Slot::Sealed);
    c.nodes[1].set(FOO, Slot::Ready { token });
    client.send_all(&appends("foo", 0, 50)).await;
    until("the writes have bounced", || c.nodes[0].bounced() > 0).await;
    c.nodes[0]
        .set(FOO, Slot::Granted { epoch: 2, addr: c.nodes[1].addr.clone(), token: Some(token) });
    client.replies(50).await;
    assert_eq!(c.nodes[1].get("foo").unwrap(), written(0, 50));
    assert_eq!(c.nodes[0].get("foo"), None);
    assert_eq!(c.nodes[1].slot(FOO), Slot::Owned);
    assert_eq!(c.nodes[1].bounced(), 0, "the token came before the first request");
    let resume = format!("RESUME {FOO} {token}");
    assert_eq!(c.nodes[1].words().iter().filter(|w| **w == resume).count(), 1);
}

#[tokio::test]
async fn a_grant_whose_push_was_missed_is_learnt_from_the_bounce_or_from_where() {
    for granted_first in [true, false] {
        let c = Cluster::start(2).await;
        c.nodes[0].push_nothing();
        let grant =
            Slot::Granted { epoch: 2, addr: c.nodes[1].addr.clone(), token: Some(Token(7)) };
        c.nodes[1].set(FOO, Slot::Ready { token: Token(7) });
        let mut client = c.client().await;
        if granted_first {
            c.nodes[0].set(FOO, grant.clone());
        } else {
            c.nodes[0].set(FOO, Slot::Sealed);
        }
        client.send_all(&appends("foo", 0, 50)).await;
        until("the writes have bounced", || c.nodes[0].bounced() > 0).await;
        c.nodes[0].set(FOO, grant);
        client.replies(50).await;
        assert_eq!(c.nodes[1].get("foo").unwrap(), written(0, 50));
    }
}

#[tokio::test]
async fn an_old_table_costs_one_hop() {
    let c = Cluster::start(2).await;
    c.nodes[0].set(FOO, Slot::Granted { epoch: 9, addr: c.nodes[1].addr.clone(), token: None });
    let mut client = c.client().await;
    assert_eq!(client.ask("set foo 1").await, ok());
    assert_eq!(client.ask("get foo").await, bulk("1"));
    assert_eq!(c.nodes[0].bounced(), 1, "what was learnt is kept");
    assert_eq!(c.nodes[1].executed(), ["set foo 1", "get foo"]);
    // The table that comes now is older than what the node said.
    c.publish(2, |_| (0, 5));
    sleep(Duration::from_millis(20)).await;
    assert_eq!(client.ask("get foo").await, bulk("1"));
    assert_eq!(c.nodes[0].bounced(), 1);
}

#[tokio::test]
async fn a_node_that_does_not_know_sends_us_to_the_table() {
    let c = Cluster::start(2).await;
    c.nodes[0].set(FOO, Slot::Absent);
    let mut client = c.client().await;
    client.send("set foo 1").await;
    c.source.refresh.notified().await;
    c.publish(2, |slot| if slot == FOO { (1, 2) } else { (0, 1) });
    assert_eq!(client.reply().await, ok());
    assert_eq!(c.nodes[1].executed(), ["set foo 1"]);
}

#[tokio::test]
async fn the_owner_in_the_table_is_tried_although_its_epoch_is_not_higher() {
    // A grant was lost with both nodes: the old owner serves again with the old epoch, the new one denies.
    let c = Cluster::start(2).await;
    let mut client = c.client().await;
    c.nodes[1].set(FOO, Slot::Absent);
    c.nodes[0]
        .set(FOO, Slot::Granted { epoch: 2, addr: c.nodes[1].addr.clone(), token: Some(Token(1)) });
    client.send("set foo 1").await;
    until("the new owner has refused", || c.nodes[1].bounced() > 0).await;
    c.nodes[0].set(FOO, Slot::Owned);
    assert_eq!(client.reply().await, ok());
    assert_eq!(c.nodes[0].get("foo").unwrap(), "1");
    // The same when the one that denies names the old owner, with the old epoch.
    c.nodes[0].set(FOO, Slot::Granted { epoch: 3, addr: c.nodes[1].addr.clone(), token: None });
    c.nodes[1].set(FOO, Slot::Granted { epoch: 1, addr: c.nodes[0].addr.clone(), token: None });
    client.send("set foo 2").await;
    until("the new owner has refused again", || c.nodes[1].bounced() > 1).await;
    c.nodes[0].set(FOO, Slot::Owned);
    assert_eq!(client.reply().await, ok());
    assert_eq!(c.nodes[0].get("foo").unwrap(), "2");
}

#[tokio::test]
async fn nodes_that_point_at_each_other_do_not_spin_us() {
    let mut config = quick();
    config.hold.timeout = Duration::from_millis(600);
    config.hold.soft = Duration::from_millis(600);
    let c = Cluster::with(2, config).await;
    c.nodes[0].set(FOO, Slot::Granted { epoch: 3, addr: c.nodes[1].addr.clone(), token: None });
    c.nodes[1].set(FOO, Slot::Granted { epoch: 3, addr: c.nodes[0].addr.clone(), token: None });
    let mut client = c.client().await;
    let reply = client.ask("set foo 1").await;
    assert!(reply.as_error().unwrap().starts_with("TRYAGAIN slot 289 is moving"), "{reply:?}");
    let bounces = c.nodes[0].bounced() + c.nodes[1].bounced();
    assert!(bounces < 60, "{bounces} bounces");
}

#[tokio::test]
async fn a_long_hold_asks_the_source_to_give_up() {
    let mut config = quick();
    config.hold.soft = Duration::from_millis(30);
    let c = Cluster::with(1, config).await;
    c.nodes[0].set(FOO, Slot::Sealed);
    let mut client = c.client().await;
    let began = Instant::now();
    assert_eq!(client.ask("set foo 1").await, ok());
    assert!(began.elapsed() >= Duration::from_millis(30));
    assert_eq!(c.nodes[0].said("UNSEAL"), 1);
}

#[tokio::test]
async fn a_hold_without_an_end_is_one_clear_error_a_request() {
    let mut config = quick();
    config.hold.timeout = Duration::from_millis(300);
    config.hold.soft = Duration::from_millis(300);
    let c = Cluster::with(1, config).await;
    c.nodes[0].set(FOO, Slot::Doubt);
    let mut client = c.client().await;
    client.send_all(&["set foo 1", "get key1", "set foo 2"]).await;
    let replies = client.replies(3).await;
    for index in [0, 2] {
        assert_eq!(replies[index].as_error(), Some("TRYAGAIN slot 289 is moving, held for 0 s"));
    }
    assert_eq!(replies[1], Value::Null);
    // It goes on by itself once the slot is there.
    c.nodes[0].set(FOO, Slot::Owned);
    assert_eq!(client.ask("set foo 3").await, ok());
    assert_eq!(c.nodes[0].executed(), ["get key1", "set foo 3"]);
    assert_eq!(c.metric("errors_total{reason=\"hold_timeout\"}"), 2);
    assert_eq!(c.metric("held_requests_total{outcome=\"timeout\"}"), 2);
}

#[tokio::test]
async fn parts_of_a_command_are_joined_whatever_happens_to_each() {
    let c = Cluster::start(2).await;
    let mut client = c.client().await;
    // Both slots are on one connection, so the command bounces whole and is cut.
    c.nodes[0].set(FOO, Slot::Sealed);
    c.nodes[1].set(FOO, Slot::Ready { token: Token(5) });
    client
        .send_all(&["mset foo 1 key1 2 key2 3", "mget key1 foo key2 none foo", "del foo key1"])
        .await;
    until("the command has bounced", || c.nodes[0].bounced() > 0).await;
    until("what is not held is done", || c.nodes[0].get("key2").is_some()).await;
    assert!(client.hears_nothing().await);
    c.nodes[0]
        .set(FOO, Slot::Granted { epoch: 2, addr: c.nodes[1].addr.clone(), token: Some(Token(5)) });
    let replies = client.replies(3).await;
    let values = [bulk("2"), bulk("1"), bulk("3"), Value::Null, bulk("1")];
    assert_eq!(replies, [ok(), Value::Array(values.to_vec()), Value::Int(2)]);
    assert_eq!((c.nodes[0].get("key1"), c.nodes[1].get("foo")), (None, None));
}

#[tokio::test]
async fn slots_that_are_only_stuck_along_with_another_go_on_at_once() {
    let c = Cluster::start(1).await;
    c.nodes[0].push_nothing();
    c.nodes[0].set(FOO, Slot::Sealed);
    let mut client = c.client().await;
    client
        .send_all(&["mset foo 1 key1 2", "append key1 3", "append key1 4", "append key1 5"])
        .await;
    until("the other slot is served", || c.nodes[0].get("key1").is_some_and(|v| v == "2345")).await;
    assert!(!c.nodes[0].words().contains(&format!("WHERE {KEY1}")), "nothing to ask");
    c.nodes[0].set(FOO, Slot::Owned);
    assert_eq!(client.replies(4).await, [ok(), Value::Int(2), Value::Int(3), Value::Int(4)]);
}

#[tokio::test]
async fn a_command_over_a_held_slot_waits_only_for_that_part() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    c.nodes[0].set(FOO, Slot::Sealed);
    client.send("append foo 1").await;
    until("the slot is held", || c.nodes[0].bounced() > 0).await;
    let bounced = c.nodes[0].bounced();
    client.send("mset foo 2 key1 2").await;
    until("the other part is done", || c.nodes[0].get("key1").is_some()).await;
    assert_eq!(c.nodes[0].bounced(), bounced, "no request of a held slot is sent");
    c.nodes[0].set(FOO, Slot::Owned);
    assert_eq!(client.replies(2).await, [Value::Int(1), ok()]);
    assert_eq!(c.nodes[0].get("foo").unwrap(), "2");
}

#[tokio::test]
async fn a_new_table_waits_for_what_is_on_its_way_by_the_old_one() {
    let c = Cluster::start(2).await;
    let mut client = c.client().await;
    assert_eq!(client.ask("set foo 0").await, ok());
    c.nodes[0].behave(Manner::Mute);
    client.send_all(&appends("foo", 1, 5)).await;
    until("the node has executed them", || c.nodes[0].executed().len() == 5).await;
    c.publish(2, |slot| if slot == FOO { (1, 2) } else { (0, 1) });
    until("the table is taken in", || c.metric("table_version") == 2).await;
    client.send_all(&appends("foo", 5, 9)).await;
    until("the others are held", || c.metric("held_requests") == 4).await;
    assert_eq!(c.nodes[1].executed().len(), 0, "the first four are not back");
    c.nodes[0].behave(Manner::Good);
    client.replies(8).await;
    assert_eq!(c.nodes[1].get("foo").unwrap(), written(5, 9));
}

#[tokio::test]
async fn a_node_that_turns_a_release_away_is_asked_in_time() {
    let mut config = quick();
    config.hold.drain_in_flight_max = 1;
    // Nothing but the questions ends this hold.
    config.hold.timeout = Duration::from_secs(3600);
    config.hold.soft = Duration::from_secs(3600);
    let c = Cluster::with(2, config).await;
    let mut client = c.client().await;
    let granted = Slot::Granted { epoch: 2, addr: c.nodes[1].addr.clone(), token: None };
    c.nodes[0].set(KEY1, granted.clone());
    assert_eq!(client.ask("set key1 v").await, ok());
    c.nodes[0].set(FOO, granted);
    c.nodes[1].set(FOO, Slot::Sealed);
    c.nodes[1].push_nothing();
    c.nodes[1].behave(Manner::Mute);
    client.send_all(&appends("foo", 0, 2)).await;
    // The first is on its way for longer than the timer ever waits to ask; the second keeps the hold.
    until("the first of the release is turned away", || c.nodes[1].bounced() == 1).await;
    assert!(client.hears_nothing().await);
    c.nodes[1].behave(Manner::Good);
    until("the node was asked", || c.nodes[1].said("WHERE") > 1).await;
    c.nodes[1].set(FOO, Slot::Owned);
    client.replies(2).await;
    assert_eq!(c.nodes[1].get("foo").unwrap(), written(0, 2));
}

#[tokio::test]
async fn many_held_requests_leave_in_windows() {
    let mut config = quick();
    config.hold.drain_in_flight_max = 16;
    let c = Cluster::with(1, config).await;
    let mut client = c.client().await;
    c.nodes[0].set(FOO, Slot::Sealed);
    client.send("append foo 0,").await;
    until("the slot is held", || c.nodes[0].bounced() > 0).await;
    client.send_all(&appends("foo", 1, 800)).await;
    sleep(Duration::from_millis(50)).await;
    c.nodes[0].set(FOO, Slot::Owned);
    client.replies(800).await;
    assert_eq!(c.nodes[0].get("foo").unwrap(), written(0, 800));
    assert!(c.nodes[0].batch_max() <= 16, "{} at once", c.nodes[0].batch_max());
}

#[tokio::test]
async fn at_the_bound_sockets_are_not_read_and_nothing_is_lost() {
    let mut config = quick();
    config.hold.requests_per_slot_max = 10;
    let c = Cluster::with(1, config).await;
    c.nodes[0].set(FOO, Slot::Sealed);
    let mut first = c.client().await;
    first.send("append foo x").await;
    until("the slot is held", || c.metric("bounces_total{word=\"hold\"}") > 0).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = c.client().await;
        client.send_all(&vec!["append foo x"; 50]).await;
        clients.push(client);
    }
    until("sockets are not read", || c.metric("back_pressure_total{limit=\"hold\"}") >= 3).await;
    assert!(clients[3].hears_nothing().await);
    assert_eq!(c.metric("held_requests"), 10);
    c.nodes[0].set(FOO, Slot::Owned);
    for client in &mut clients {
        let replies = client.replies(50).await;
        assert!(replies.iter().all(|r| matches!(r, Value::Int(_))), "{replies:?}");
    }
    assert_eq!(c.nodes[0].get("foo").unwrap().len(), 201);
}

#[tokio::test]
async fn slots_that_move_to_and_fro_under_a_pipeline_lose_and_reorder_nothing() {
    let c = Cluster::start(2).await;
    let nodes = c.nodes.clone();
    let addrs = [c.nodes[0].addr.clone(), c.nodes[1].addr.clone()];
    for slot in [FOO, KEY1] {
        nodes[1].set(slot, Slot::Granted { epoch: 1, addr: addrs[0].clone(), token: None });
    }
    let mover = tokio::spawn(async move {
        for round in 0..60_u64 {
            let (from, to) = (round as usize % 2, 1 - round as usize % 2);
            for slot in [FOO, KEY1] {
                let token = Token(u128::from(round) + 1);
                nodes[from].set(slot, Slot::Sealed);
                sleep(Duration::from_micros(700)).await;
                if round % 5 == 3 {
                    nodes[from].set(slot, Slot::Owned);
                    sleep(Duration::from_micros(300)).await;
                    nodes[from].set(slot, Slot::Sealed);
                }
                // The data goes along: one list of values for both nodes.
                nodes[from].hand_over(&nodes[to], slot);
                nodes[to].set(slot, Slot::Ready { token });
                let grant =
                    Slot::Granted { epoch: round + 2, addr: addrs[to].clone(), token: Some(token) };
                nodes[from].set(slot, grant);
            }
            sleep(Duration::from_millis(2)).await;
            // The source's own grant: nobody needs to come with the token.
            for slot in [FOO, KEY1] {
                if nodes[to].slot(slot) != Slot::Owned {
                    nodes[to].set(slot, Slot::Owned);
                }
            }
        }
    });
    let mut writers = Vec::new();
    for (writer, key) in ["foo", "key1", "{foo}a", "{key1}b"].into_iter().enumerate() {
        let mut client = c.client().await;
        writers.push(tokio::spawn(async move {
            let mut sent = 0;
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(500) {
                client.send_all(&appends(key, sent, sent + 16)).await;
                for reply in client.replies(16).await {
                    assert!(matches!(reply, Value::Int(_)), "writer {writer}: {reply:?}");
                }
                sent += 16;
            }
            assert_eq!(client.ask(&format!("get {key}")).await, bulk(&written(0, sent)));
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    mover.await.unwrap();
}
