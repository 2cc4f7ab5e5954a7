//! Commands that are more than one request to one node: transactions, blocking, the whole keyspace; and those the proxy answers.

use crate::cluster::{Client, Cluster, bulk, ok, quick, until};
use crate::fake::Slot;
use ::cluster::Token;
use protocol::frame::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const FOO: u16 = 289;

fn queued() -> Value {
    Value::Simple("QUEUED".to_owned())
}

fn pong() -> Value {
    Value::Simple("PONG".to_owned())
}

// --- transactions

#[tokio::test]
async fn a_transaction_goes_out_as_one_request() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    client.send_all(&["multi", "set foo 1", "append foo 2", "get foo", "exec", "get foo"]).await;
    let replies = client.replies(6).await;
    assert_eq!(replies[..4], [ok(), queued(), queued(), queued()]);
    assert_eq!(replies[4], Value::Array(vec![ok(), Value::Int(2), bulk("12")]));
    assert_eq!(replies[5], bulk("12"));
    assert_eq!(c.nodes[0].said("EXEC"), 1);
}

#[tokio::test]
async fn what_the_proxy_answers_stands_in_its_place_within_a_transaction() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    client.send_all(&["multi", "ping", "set foo 1", "echo hi", "get foo", "ping", "exec"]).await;
    let replies = client.replies(7).await;
    assert_eq!(replies[6], Value::Array(vec![pong(), ok(), bulk("hi"), bulk("1"), pong()]));
    client.send_all(&["multi", "ping", "exec", "multi", "exec"]).await;
    let replies = client.replies(5).await;
    assert_eq!((&replies[2], &replies[4]), (&Value::Array(vec![pong()]), &Value::Array(vec![])));
    assert_eq!(c.nodes[0].said("EXEC"), 1, "nothing to ask a node");
}

#[tokio::test]
async fn a_transaction_waits_whole_for_its_slot_and_keeps_its_place() {
    let c = Cluster::start(2).await;
    let mut client = c.client().await;
    c.nodes[0].set(FOO, Slot::Sealed);
    c.nodes[1].set(FOO, Slot::Ready { token: Token(3) });
    client
        .send_all(&[
            "append foo a",
            "multi",
            "append foo b",
            "append foo c",
            "exec",
            "append foo d",
        ])
        .await;
    until("the first has bounced", || c.nodes[0].bounced() > 0).await;
    c.nodes[0]
        .set(FOO, Slot::Granted { epoch: 2, addr: c.nodes[1].addr.clone(), token: Some(Token(3)) });
    let replies = client.replies(6).await;
    assert_eq!(replies[4], Value::Array(vec![Value::Int(2), Value::Int(3)]));
    assert_eq!(c.nodes[1].get("foo").unwrap(), "abcd");
}

#[tokio::test]
async fn commands_are_checked_when_they_are_queued() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    for (bad, line) in [
        ("get", "ERR wrong number of arguments for 'get' command"),
        ("nosuch x", "ERR unknown command 'nosuch', with args beginning with: 'x' "),
        ("rename foo key1", "CROSSSLOT Keys in request don't hash to the same slot"),
        ("mget foo key1", "CROSSSLOT Keys in request don't hash to the same slot"),
        ("select 1", "ERR Command not allowed inside a transaction"),
    ] {
        client.send_all(&["multi", bad, "set foo 1", "exec"]).await;
        let replies = client.replies(4).await;
        assert_eq!(replies[1].as_error(), Some(line));
        assert_eq!(
            replies[3].as_error(),
            Some("EXECABORT Transaction discarded because of previous errors.")
        );
    }
    client.send_all(&["multi", "set foo 1", "set key1 1", "exec"]).await;
    let replies = client.replies(4).await;
    assert_eq!(
        replies[3].as_error(),
        Some("CROSSSLOT Keys in request don't hash to the same slot")
    );
    client.send_all(&["exec", "discard", "multi", "multi", "watch foo", "discard", "exec"]).await;
    let errors: Vec<_> =
        client.replies(7).await.iter().map(|r| r.as_error().unwrap_or("-").to_owned()).collect();
    let want = [
        "ERR EXEC without MULTI",
        "ERR DISCARD without MULTI",
        "-",
        "ERR MULTI calls can not be nested",
        "ERR WATCH inside MULTI is not allowed",
        "-",
        "ERR EXEC without MULTI",
    ];
    assert_eq!(errors, want);
    assert!(c.nodes[0].executed().is_empty());
}

#[tokio::test]
async fn a_watched_key_that_changes_cancels_the_transaction() {
    let c = Cluster::start(1).await;
    let (mut client, mut other) = (c.client().await, c.client().await);
    client.send_all(&["set foo 1", "watch foo", "multi", "set foo 2", "exec"]).await;
    assert_eq!(client.replies(5).await[4], Value::Array(vec![ok()]));
    assert_eq!(client.ask("watch foo").await, ok());
    assert_eq!(other.ask("set foo 3").await, ok());
    client.send_all(&["multi", "ping", "set foo 4", "exec", "get foo"]).await;
    let replies = client.replies(5).await;
    assert_eq!(replies[3..], [Value::Null, bulk("3")]);
    // EXEC, DISCARD and UNWATCH forget.
    client.send_all(&["watch foo", "unwatch", "set foo 5", "multi", "set foo 6", "exec"]).await;
    assert_eq!(client.replies(6).await[5], Value::Array(vec![ok()]));
    client
        .send_all(&["watch foo key1", "watch foo", "watch key1", "multi", "get foo", "exec"])
        .await;
    let replies = client.replies(6).await;
    assert!(replies[0].as_error().unwrap().starts_with("CROSSSLOT"));
    assert!(replies[5].as_error().unwrap().starts_with("CROSSSLOT"));
}

// --- blocking

#[tokio::test]
async fn a_blocked_client_blocks_nobody_else() {
    let c = Cluster::start(1).await;
    let (mut client, mut other) = (c.client().await, c.client().await);
    client.send_all(&["set key1 1", "blpop foo 0", "get key1"]).await;
    assert_eq!(client.reply().await, ok());
    until("it blocks", || c.nodes[0].executed().len() == 2).await;
    assert_eq!(other.ask("get key1").await, bulk("1"));
    assert!(client.hears_nothing().await, "what stands behind it waits");
    assert_eq!(other.ask("set foo x").await, ok());
    assert_eq!(client.replies(2).await, [Value::Array(vec![bulk("foo"), bulk("x")]), bulk("1")]);
    assert_eq!(client.ask("blpop foo 0.05").await, Value::Null);
}

#[tokio::test]
async fn a_blocked_command_follows_its_slot_with_the_time_that_is_left() {
    let c = Cluster::start(2).await;
    let mut client = c.client().await;
    let began = Instant::now();
    client.send("blpop foo 0.6").await;
    until("it blocks", || c.nodes[0].executed().len() == 1).await;
    sleep(Duration::from_millis(200)).await;
    c.nodes[1].set(FOO, Slot::Ready { token: Token(9) });
    c.nodes[0]
        .set(FOO, Slot::Granted { epoch: 2, addr: c.nodes[1].addr.clone(), token: Some(Token(9)) });
    until("it blocks at the new owner", || c.nodes[1].executed().len() == 1).await;
    let left: f64 = c.nodes[1].executed()[0].rsplit(' ').next().unwrap().parse().unwrap();
    assert!(left < 0.45, "{left}");
    assert_eq!(client.reply().await, Value::Null);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(590) && took < Duration::from_millis(1500), "{took:?}");
    client.send("blpop foo 0").await;
    until("it blocks again", || c.nodes[1].executed().len() == 2).await;
    let mut other = c.client().await;
    assert_eq!(other.ask("set foo y").await, ok());
    assert_eq!(client.reply().await, Value::Array(vec![bulk("foo"), bulk("y")]));
}

#[tokio::test]
async fn a_blocked_command_waits_for_a_slot_in_doubt_no_longer_than_its_time() {
    let c = Cluster::start(1).await;
    c.nodes[0].set(FOO, Slot::Doubt);
    let mut client = c.client().await;
    let began = Instant::now();
    assert_eq!(client.ask("blpop foo 0.1").await, Value::Null);
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_blocked_command_along() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    client.send("blpop foo 0").await;
    until("it blocks", || c.nodes[0].executed().len() == 1).await;
    let before = c.nodes[0].connections();
    drop(client);
    until("the connection is gone", || c.nodes[0].connections() < before).await;
    let mut other = c.client().await;
    assert_eq!(other.ask("set foo x").await, ok());
    assert_eq!(other.ask("get foo").await, bulk("x"));
}

// --- the whole keyspace

async fn filled(c: &Cluster, client: &mut Client) -> BTreeSet<String> {
    let keys: BTreeSet<String> = (0..200).map(|i| format!("key:{i}")).collect();
    for key in &keys {
        assert_eq!(client.ask(&format!("set {key} v")).await, ok());
    }
    assert!(c.nodes.iter().all(|n| !n.executed().is_empty()));
    keys
}

/// Two nodes, each with half of the slots.
async fn halves() -> Cluster {
    let c = Cluster::start(2).await;
    for slot in 0..1024 {
        let (owner, other) = if slot < 512 { (0, 1) } else { (1, 0) };
        let epoch = if slot < 512 { 1 } else { 2 };
        c.nodes[other]
            .set(slot, Slot::Granted { epoch, addr: c.nodes[owner].addr.clone(), token: None });
    }
    c.publish(2, |slot| if slot < 512 { (0, 1) } else { (1, 2) });
    c
}

fn texts(value: &Value) -> BTreeSet<String> {
    value.as_items().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_key_is_counted_and_listed_once() {
    let c = halves().await;
    let mut client = c.client().await;
    let keys = filled(&c, &mut client).await;
    client.send_all(&["set foo v", "dbsize", "del foo", "keys *"]).await;
    let replies = client.replies(4).await;
    assert_eq!(replies[1], Value::Int(201));
    assert_eq!(replies[3].as_items().unwrap().len(), 200);
    assert_eq!(texts(&replies[3]), keys);
    let key = client.ask("randomkey").await;
    assert!(keys.contains(key.as_str().unwrap()));
    assert_eq!(client.ask("flushdb async").await, ok());
    assert_eq!(client.ask("dbsize").await, Value::Int(0));
    assert_eq!(client.ask("randomkey").await, Value::Null);
    assert!(client.ask("flushall now").await.as_error().is_some());
}

#[tokio::test]
async fn a_slot_on_the_move_is_neither_missed_nor_counted_twice() {
    let c = halves().await;
    let mut client = c.client().await;
    let keys = filled(&c, &mut client).await;
    let moving = ::cluster::SlotCount::DEFAULT.of(b"key:7").0;
    let (from, to) = if moving < 512 { (0, 1) } else { (1, 0) };
    for question in ["dbsize", "keys *", "scan"] {
        let epoch = if question == "dbsize" {
            5
        } else if question == "keys *" {
            7
        } else {
            9
        };
        c.nodes[from].set(moving, Slot::Doubt);
        let asked = {
            let c_client = c.client().await;
            let question = question.to_owned();
            tokio::spawn(async move {
                let mut client = c_client;
                if question == "scan" {
                    scan(&mut client, "").await
                } else {
                    client.ask(&question).await
                }
            })
        };
        let bounced = c.nodes[from].bounced();
        until("the node has turned it away", || c.nodes[from].bounced() > bounced).await;
        c.nodes[from].hand_over(&c.nodes[to], moving);
        c.nodes[to].set(moving, Slot::Owned);
        c.nodes[from]
            .set(moving, Slot::Granted { epoch, addr: c.nodes[to].addr.clone(), token: None });
        let answer = asked.await.unwrap();
        match answer {
            Value::Int(count) => assert_eq!(count, 200),
            list => assert_eq!(texts(&list), keys),
        }
        // And back.
        c.nodes[to].hand_over(&c.nodes[from], moving);
        c.nodes[from].set(moving, Slot::Owned);
        c.nodes[to].set(
            moving,
            Slot::Granted { epoch: epoch + 1, addr: c.nodes[from].addr.clone(), token: None },
        );
    }
}

/// A whole SCAN, with an addition to each call.
async fn scan(client: &mut Client, options: &str) -> Value {
    let (mut cursor, mut found, mut calls) = ("0".to_owned(), Vec::new(), 0);
    loop {
        let reply = client.ask(format!("scan {cursor} {options}").trim()).await;
        let items = reply.as_items().unwrap_or_else(|| panic!("{reply:?}")).to_vec();
        items[0].as_str().unwrap().clone_into(&mut cursor);
        found.extend(items[1].as_items().unwrap().iter().cloned());
        calls += 1;
        assert!(calls < 10_000);
        if cursor == "0" {
            return Value::Array(found);
        }
    }
}

#[tokio::test]
async fn a_scan_returns_every_key_whatever_the_count() {
    let c = halves().await;
    let mut client = c.client().await;
    let keys = filled(&c, &mut client).await;
    for options in ["", "count 1", "count 7", "count 1000"] {
        let found = scan(&mut client, options).await;
        assert_eq!(texts(&found), keys, "{options}");
        assert_eq!(found.as_items().unwrap().len(), keys.len(), "{options}: none twice");
    }
    for bad in ["scan x", "scan 0 count 0", "scan 0 match", "scan 0 sort x"] {
        assert!(client.ask(bad).await.as_error().is_some(), "{bad}");
    }
    // A cursor this proxy never gave goes on at the start of its slot.
    let strange = (12_345_u64 << 14) | 0x258;
    let reply = client.ask(&format!("scan {strange} count 1000")).await;
    assert!(reply.as_items().is_some());
}

// --- what the proxy answers

#[tokio::test]
async fn resp3_and_databases_have_connections_of_their_own() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    assert_eq!(client.ask("set foo 1").await, ok());
    client
        .send_all(&[
            "get foo",
            "hello 3 setname me",
            "get foo",
            "select 3",
            "get foo",
            "client getname",
        ])
        .await;
    let replies = client.replies(6).await;
    let Value::Map(hello) = &replies[1] else { panic!("{:?}", replies[1]) };
    assert!(hello.contains(&(bulk("proto"), Value::Int(3))));
    assert_eq!((&replies[0], &replies[2], &replies[3]), (&bulk("1"), &bulk("1"), &ok()));
    assert_eq!(replies[4..], [bulk("1"), bulk("me")]);
    until("three links", || c.nodes[0].said("LINK") == 3).await;
    assert!(c.nodes[0].executed().iter().any(|line| line == "SELECT 3"));
    for bad in ["select 16", "select x", "hello 4", "hello x", "hello 2 nosuch"] {
        assert!(client.ask(bad).await.as_error().is_some(), "{bad}");
    }
}

#[tokio::test]
async fn nothing_is_served_before_the_password() {
    let config = proxy::Config { client_password: Some("secret".to_owned()), ..quick() };
    let c = Cluster::with(1, config).await;
    let mut client = c.client().await;
    for line in ["get foo", "ping", "nosuch", "client id", "multi"] {
        assert_eq!(
            client.ask(line).await.as_error(),
            Some("NOAUTH Authentication required."),
            "{line}"
        );
    }
    assert!(client.ask("hello 3").await.as_error().unwrap().starts_with("NOAUTH HELLO"));
    assert!(client.ask("auth wrong").await.as_error().unwrap().starts_with("WRONGPASS"));
    assert!(client.ask("auth other secret").await.as_error().unwrap().starts_with("WRONGPASS"));
    assert_eq!(client.ask("auth secret").await, ok());
    assert_eq!(client.ask("get foo").await, Value::Null);
    let mut other = c.client().await;
    assert!(matches!(other.ask("hello 3 auth default secret").await, Value::Map(_)));
    assert_eq!(other.ask("get foo").await, Value::Null);
    assert_eq!(other.ask("config set requirepass other").await, ok());
    let mut third = c.client().await;
    assert!(third.ask("auth secret").await.as_error().is_some());
    assert_eq!(third.ask("auth other").await, ok());
}

#[tokio::test]
async fn clients_can_be_listed_named_muted_and_ended() {
    let c = Cluster::start(1).await;
    let (mut client, mut other) = (c.client().await, c.client().await);
    assert_eq!(client.ask("client setname one").await, ok());
    let Value::Int(id) = other.ask("client id").await else { panic!("an id") };
    let list = client.ask("client list").await;
    let list = list.as_str().unwrap();
    assert_eq!(list.lines().count(), 2);
    assert!(list.contains("name=one ") && list.contains(&format!("id={id} ")));
    client
        .send_all(&[
            "client reply skip",
            "ping",
            "echo a",
            "client reply off",
            "get foo",
            "echo b",
            "client reply on",
            "echo c",
        ])
        .await;
    assert_eq!(client.replies(3).await, [bulk("a"), ok(), bulk("c")]);
    assert_eq!(client.ask(&format!("client kill id {id}")).await, Value::Int(1));
    assert_eq!(other.try_reply().await, None);
}

#[tokio::test]
async fn settings_can_be_read_and_some_changed() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    let pair = |name: &str, value: &str| Value::Array(vec![bulk(name), bulk(value)]);
    assert_eq!(client.ask("config get appendonly").await, pair("appendonly", "no"));
    assert_eq!(client.ask("config get max*-policy").await, pair("maxmemory-policy", "noeviction"));
    assert_eq!(client.ask("config set slowlog-log-slower-than 0 maxclients 77").await, ok());
    assert_eq!(client.ask("config get maxclients").await, pair("maxclients", "77"));
    assert_eq!(client.ask("get foo").await, Value::Null);
    let Value::Array(slow) = client.ask("slowlog get").await else { panic!("a list") };
    assert!(
        slow.iter()
            .any(|entry| entry.as_items().unwrap()[3]
                == Value::Array(vec![bulk("get"), bulk("foo")])),
        "{slow:?}"
    );
    for bad in [
        "config set maxmemory 5",
        "config set nosuch 1",
        "config set maxclients 0",
        "config set maxclients x",
        "config nosuch",
    ] {
        assert!(client.ask(bad).await.as_error().is_some(), "{bad}");
    }
    let info = client.ask("info").await;
    let info = info.as_str().unwrap().to_owned();
    for line in
        ["loading:0\r\n", "redis_version:7.0.15\r\n", "role:master\r\n", "cluster_enabled:0\r\n"]
    {
        assert!(info.contains(line), "{line}");
    }
    assert!(matches!(client.ask("command count").await, Value::Int(count) if count > 100));
    assert_eq!(
        client.ask("slotshashkey foo key1").await,
        Value::Array(vec![Value::Int(289), Value::Int(80)])
    );
}

#[tokio::test]
async fn a_reset_makes_a_session_as_new() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    client
        .send_all(&["hello 3 setname x", "select 2", "multi", "reset", "client getname", "exec"])
        .await;
    let replies = client.replies(6).await;
    assert_eq!(replies[3], Value::Simple("RESET".to_owned()));
    assert_eq!(replies[4], Value::Null);
    assert_eq!(replies[5].as_error(), Some("ERR EXEC without MULTI"));
}
