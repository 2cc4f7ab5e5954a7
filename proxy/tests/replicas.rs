//! Reads at replicas that a codis-dashboard fills: who is read, who is not, and what clients see of one that fails.

use crate::cluster::{Client, Cluster, PATIENCE, bulk, ok, quick, until};
use crate::fake::{FakeNode, Manner};
use codis::Flavour;
use codis::config::{Config as Codis, Span};
use codis::model::Slot;
use protocol::frame::Value;
use proxy::Config;
use proxy::dashboard::Router;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

// `foo` is in slot 289, `key1` in 80.
const FOO: i64 = 289;

fn config(change: impl FnOnce(&mut Codis)) -> Config {
    let mut codis = Codis::defaults(Flavour::Upstream);
    codis.backend_ping_period = Span::parse("1s").unwrap();
    change(&mut codis);
    let mut config = Config { codis: Some(Arc::new(codis)), ..quick() };
    config.upstream.reply_timeout = PATIENCE;
    config
}

/// A primary, and replicas behind it.
async fn nodes(replicas: usize) -> Vec<FakeNode> {
    let mut nodes = vec![FakeNode::start_plain().await];
    for _ in 0..replicas {
        nodes.push(FakeNode::start_replica().await);
    }
    nodes
}

fn router(c: &Cluster) -> Arc<Router> {
    Arc::clone(c.router.as_ref().unwrap())
}

/// The slot at the first node, read at those of these numbers, by level.
fn slot(c: &Cluster, id: i64, levels: &[&[usize]]) -> Slot {
    let addrs = |level: &&[usize]| level.iter().map(|&n| c.nodes[n].addr.clone()).collect();
    Slot {
        id,
        backend_addr: c.nodes[0].addr.clone(),
        backend_addr_group_id: 1,
        replica_groups: levels.iter().map(addrs).collect(),
        ..Slot::default()
    }
}

async fn fill(c: &Cluster, levels: &[&[usize]]) {
    router(c).fill((0..1024).map(|id| slot(c, id, levels)).collect()).await.unwrap();
}

/// Online; every slot is at the first node and read at those of these numbers. Each knows itself by `who`.
async fn serving(c: &Cluster, levels: &[&[usize]]) -> Client {
    fill(c, levels).await;
    router(c).start().unwrap();
    for (number, node) in c.nodes.iter().enumerate() {
        for key in ["foo", "key1", "key2", "key3"] {
            node.put(key, &number.to_string());
        }
    }
    c.client().await
}

/// Waits until a replica may be read, or may not.
async fn becomes(c: &Cluster, node: usize, fit: u64) {
    let series = format!("replica_fit{{node=\"{}\"}}", c.nodes[node].addr);
    until(&format!("{series} is {fit}"), || c.metric(&series) == fit).await;
}

/// Waits until `foo` is read at this node.
async fn is_read_at(client: &mut Client, node: usize) {
    let mut last = Value::Null;
    for _ in 0..2000 {
        last = client.ask("get foo").await;
        if last == bulk(&node.to_string()) {
            return;
        }
        assert!(last.as_error().is_none(), "{last:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not read at {node}: {last:?}");
}

#[tokio::test]
async fn reads_go_to_the_replica_and_everything_else_to_the_primary() {
    let c = Cluster::before(nodes(1).await, config(|_| ()));
    let mut client = serving(&c, &[&[1]]).await;
    is_read_at(&mut client, 1).await;
    client.send_all(&["get key1", "mget foo key1 key2", "set foo w", "get foo"]).await;
    let three = Value::Array(vec![bulk("1"), bulk("1"), bulk("1")]);
    assert_eq!(client.replies(4).await, [bulk("1"), three, ok(), bulk("1")]);
    assert_eq!(c.nodes[0].get("foo").unwrap(), "w");
    // What Codis reads at primaries only, and what it does not know.
    for line in ["hscan foo 0", "touch foo", "append foo x"] {
        let before = c.nodes[0].executed().len();
        client.ask(line).await;
        assert_eq!(c.nodes[0].executed().len(), before + 1, "{line}");
    }
    assert!(
        c.nodes[1]
            .executed()
            .iter()
            .all(|l| ["get", "mget", "PING"].contains(&l.split(' ').next().unwrap()))
    );
    assert!(c.metric("replica_requests_total") >= 4);
}

#[tokio::test]
async fn with_primary_only_nobody_even_connects_to_a_replica() {
    let c = Cluster::before(nodes(1).await, config(|codis| codis.backend_primary_only = true));
    let mut client = serving(&c, &[&[1]]).await;
    for _ in 0..50 {
        assert_eq!(client.ask("get foo").await, bulk("0"));
    }
    assert_eq!((c.nodes[1].accepted(), c.metric("replica_requests_total")), (0, 0));
}

#[tokio::test]
async fn the_first_level_goes_first_and_the_others_wait_for_its_end() {
    let c = Cluster::before(nodes(3).await, config(|_| ()));
    let mut client = serving(&c, &[&[1], &[2, 3]]).await;
    is_read_at(&mut client, 1).await;
    becomes(&c, 2, 1).await;
    becomes(&c, 3, 1).await;
    let (two, three) = (c.nodes[2].count("get"), c.nodes[3].count("get"));
    for key in ["foo", "key1", "key2", "key3"] {
        assert_eq!(client.ask(&format!("get {key}")).await, bulk("1"));
    }
    assert_eq!((c.nodes[2].count("get"), c.nodes[3].count("get")), (two, three));
    c.nodes[1].stop().await;
    becomes(&c, 1, 0).await;
    let mut read = Vec::new();
    for key in ["foo", "key1", "key2", "key3"] {
        read.push(client.ask(&format!("get {key}")).await);
    }
    assert!(read.iter().all(|v| [bulk("2"), bulk("3")].contains(v)), "{read:?}");
    assert!(read.contains(&bulk("2")) && read.contains(&bulk("3")), "slots spread: {read:?}");
    // The slot chooses: again and again the same.
    for _ in 0..20 {
        assert_eq!(client.ask("get foo").await, read[0]);
    }
    c.nodes[1].start_again().await;
    is_read_at(&mut client, 1).await;
}

#[tokio::test]
async fn without_a_replica_that_is_well_the_primary_is_read() {
    let vitals = [
        ("role:slave\r\nmaster_link_status:down\r\n", "link_down"),
        ("role:slave\r\nmaster_link_status:up\r\nloading:1\r\n", "loading"),
        ("role:master\r\n", "no_replica"),
    ];
    let c = Cluster::before(nodes(1).await, config(|_| ()));
    c.nodes[1].say_of_itself(vitals[0].0);
    let mut client = serving(&c, &[&[1]]).await;
    until("it is asked", || c.nodes[1].count("PING") > 1).await;
    assert_eq!(c.nodes[1].count("get"), 0, "it was never well");
    for (info, reason) in vitals {
        c.nodes[1].say_of_itself("role:slave\r\nmaster_link_status:up\r\n");
        is_read_at(&mut client, 1).await;
        c.nodes[1].say_of_itself(info);
        becomes(&c, 1, 0).await;
        assert_eq!(client.ask("get foo").await, bulk("0"), "{info}");
        assert_eq!(c.metric(&format!("replica_ejections_total{{reason=\"{reason}\"}}")), 1);
    }
}

#[tokio::test]
async fn a_read_that_a_replica_turns_away_is_answered_by_the_primary() {
    for line in
        ["LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER is down"]
    {
        let c = Cluster::before(nodes(1).await, config(|_| ()));
        let mut client = serving(&c, &[&[1]]).await;
        is_read_at(&mut client, 1).await;
        let known = c.nodes[1].count("get");
        c.nodes[1].refuse(Some(line));
        client.send_all(&["get foo", "mget foo key1 key2", "set key3 w", "get key3"]).await;
        let three = Value::Array(vec![bulk("0"), bulk("0"), bulk("0")]);
        assert_eq!(client.replies(4).await, [bulk("0"), three, ok(), bulk("w")]);
        assert_eq!(c.metric("repeats_total{reason=\"replica\"}"), 3);
        assert_eq!(c.nodes[1].count("get"), known);
        let ejected: u64 = ["refused", "loading", "link_down"]
            .iter()
            .map(|reason| c.metric(&format!("replica_ejections_total{{reason=\"{reason}\"}}")))
            .sum();
        assert_eq!(ejected, 1);
        c.nodes[1].refuse(None);
        is_read_at(&mut client, 1).await;
    }
}

#[tokio::test]
async fn reads_on_their_way_to_a_replica_that_dies_are_answered_in_their_order() {
    let c = Cluster::before(nodes(1).await, config(|_| ()));
    let mut client = serving(&c, &[&[1]]).await;
    is_read_at(&mut client, 1).await;
    c.nodes[1].behave(Manner::Mute);
    let known = c.nodes[1].count("get");
    client.send_all(&["get foo", "set key1 w", "mget foo key1 key2", "get key2"]).await;
    until("they are there", || c.nodes[1].count("get") == known + 2).await;
    assert!(client.hears_nothing().await);
    c.nodes[1].stop().await;
    c.nodes[1].behave(Manner::Good);
    let three = Value::Array(vec![bulk("0"), bulk("w"), bulk("0")]);
    assert_eq!(client.replies(4).await, [bulk("0"), ok(), three, bulk("0")]);
    for _ in 0..100 {
        assert_eq!(client.ask("get foo").await, bulk("0"));
    }
    // Dropped once more while it is up: the same.
    c.nodes[1].start_again().await;
    is_read_at(&mut client, 1).await;
    c.nodes[1].behave(Manner::DropAfter);
    assert_eq!(client.ask("get foo").await, bulk("0"));
}

#[tokio::test]
async fn while_the_primary_is_down_replicas_are_read_on() {
    let c = Cluster::before(nodes(1).await, config(|_| ()));
    let mut client = serving(&c, &[&[1]]).await;
    is_read_at(&mut client, 1).await;
    let mut writer = c.client().await;
    c.lose(0).await;
    writer.send_all(&["set foo a", "append foo b"]).await;
    assert!(writer.hears_nothing().await, "held");
    for _ in 0..50 {
        assert_eq!(client.ask("get foo").await, bulk("1"));
    }
    c.nodes[0].start_again().await;
    assert_eq!(writer.replies(2).await, [ok(), Value::Int(2)]);
    assert_eq!(c.nodes[0].get("foo").unwrap(), "ab");
}

#[tokio::test]
async fn a_fill_waits_for_reads_at_replicas_and_a_locked_slot_is_read_nowhere() {
    let c = Cluster::before(nodes(1).await, config(|_| ()));
    let mut client = serving(&c, &[&[1]]).await;
    is_read_at(&mut client, 1).await;
    c.nodes[1].behave(Manner::Mute);
    let known = c.nodes[1].count("get");
    client.send("get foo").await;
    until("it is there", || c.nodes[1].count("get") == known + 1).await;
    let (of, locked) = (router(&c), Slot { locked: true, ..slot(&c, FOO, &[&[1]]) });
    let held = || c.metric("holds_total{reason=\"fill\"}");
    let before = held();
    let filling = tokio::spawn(async move { of.fill(vec![locked]).await });
    until("the fill holds the slot", || held() > before).await;
    let mut other = c.client().await;
    other.send("get foo").await;
    assert!(other.hears_nothing().await && !filling.is_finished());
    c.nodes[1].behave(Manner::Good);
    timeout(PATIENCE, filling).await.unwrap().unwrap().unwrap();
    assert_eq!(client.reply().await, bulk("1"));
    assert!(other.hears_nothing().await);
    router(&c).fill(vec![slot(&c, FOO, &[])]).await.unwrap();
    assert_eq!(other.reply().await, bulk("0"), "what was held is read at the primary");
    assert_eq!(client.ask("get foo").await, bulk("0"));
    assert_eq!(client.ask("get key1").await, bulk("1"), "only this slot's replica is gone");
}

#[tokio::test]
async fn a_replica_that_no_slot_names_any_more_is_let_go() {
    let c = Cluster::before(nodes(1).await, config(|_| ()));
    let mut client = serving(&c, &[&[1]]).await;
    is_read_at(&mut client, 1).await;
    c.nodes[1].behave(Manner::Mute);
    let known = c.nodes[1].count("get");
    client.send("get foo").await;
    until("it is there", || c.nodes[1].count("get") == known + 1).await;
    fill(&c, &[]).await;
    assert_eq!(c.client().await.ask("get foo").await, bulk("0"));
    c.nodes[1].behave(Manner::Good);
    assert_eq!(client.reply().await, bulk("1"));
    until("nobody is connected to it", || c.nodes[1].connections() == 0).await;
    until("nor is it told of", || !c.page().contains(&c.nodes[1].addr)).await;
    fill(&c, &[&[1]]).await;
    is_read_at(&mut client, 1).await;
}

#[tokio::test]
async fn a_primary_that_is_flagged_is_read_in_its_own_right_and_ours_is_nobodys_replica() {
    let mut all = nodes(0).await;
    all.push(FakeNode::start().await);
    let c = Cluster::before(all, config(|_| ()));
    c.nodes[1].say_of_itself("role:slave\r\nmaster_link_status:up\r\n");
    let mut client = serving(&c, &[&[0], &[1]]).await;
    until("it is asked", || c.nodes[1].count("PING") > 1).await;
    for _ in 0..20 {
        assert_eq!(client.ask("get foo").await, bulk("0"));
    }
    fill(&c, &[&[1]]).await;
    until("it is asked again", || c.nodes[1].count("PING") > 2).await;
    assert_eq!(client.ask("get foo").await, bulk("0"));
    assert_eq!((c.nodes[1].count("get"), c.metric("replica_requests_total")), (0, 0));
}

#[tokio::test]
async fn other_databases_and_resp3_are_read_at_replicas_too() {
    let c = Cluster::before(nodes(1).await, config(|_| ()));
    let mut client = serving(&c, &[&[1]]).await;
    is_read_at(&mut client, 1).await;
    assert_eq!(client.ask("select 3").await, ok());
    is_read_at(&mut client, 1).await;
    client.ask("hello 3").await;
    is_read_at(&mut client, 1).await;
}
