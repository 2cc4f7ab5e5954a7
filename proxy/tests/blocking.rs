//! Commands that block: called off without losing anything, sent again only if nothing was executed, bounded like everything.

use crate::cluster::{Client, Cluster, bulk, ok, quick, until};
use crate::fake::Slot;
use ::cluster::Token;
use protocol::frame::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const FOO: u16 = 289;

fn served() -> Value {
    Value::Array(vec![bulk("foo"), bulk("x")])
}

async fn id_of(client: &mut Client) -> i64 {
    client.ask("client id").await.as_int().unwrap()
}

#[tokio::test]
async fn a_client_that_is_unblocked_hears_it_and_takes_nothing() {
    let c = Cluster::start(1).await;
    let (mut client, mut other) = (c.client().await, c.client().await);
    let id = id_of(&mut client).await;
    let unblocked = "UNBLOCKED client unblocked via CLIENT UNBLOCK".to_owned();
    for (round, (how, want)) in
        [("", Value::Null), (" TIMEOUT", Value::Null), (" error", Value::Error(unblocked))]
            .into_iter()
            .enumerate()
    {
        client.send("blpop foo 0").await;
        until("it blocks", || c.nodes[0].executed().len() == round + 1).await;
        let list = other.ask("client list").await;
        let text = list.as_str().unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("id={id} "))).unwrap();
        assert!(line.contains(" flags=b "), "{line}");
        assert_eq!(c.metric("blocked_clients"), 1);
        assert_eq!(other.ask(&format!("client unblock {id}{how}")).await, Value::Int(1));
        assert_eq!(client.reply().await, want);
        assert_eq!(other.ask(&format!("client unblock {id}{how}")).await, Value::Int(0));
        assert_eq!(c.metric("blocked_clients"), 0);
    }
    assert_eq!(other.ask("set foo x").await, ok());
    assert_eq!(other.ask("get foo").await, bulk("x"), "nobody takes it");
    let refused = other.ask("client unblock 1 whatever").await;
    let want = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR";
    assert_eq!(refused.as_error(), Some(want));
    let refused = other.ask("client unblock x").await;
    assert_eq!(refused.as_error(), Some("ERR value is not an integer or out of range"));
}

#[tokio::test]
async fn a_proxy_that_stops_ends_the_waits_with_a_word() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    client.send_all(&["blpop foo 0", "get foo"]).await;
    until("it blocks", || c.nodes[0].executed().len() == 1).await;
    c.stop.cancel();
    let reply = client.reply().await;
    assert!(reply.as_error().unwrap().starts_with("ERR slipway: the proxy is stopping; nothing"));
    assert_eq!(client.reply().await, Value::Null, "what was read is answered");
    assert_eq!(client.try_reply().await, None);
}

#[tokio::test]
async fn so_many_commands_block_and_one_more_waits_for_its_turn() {
    let mut config = quick();
    config.upstream.private_max = 1;
    config.hold.soft = Duration::from_millis(100);
    config.hold.timeout = Duration::from_millis(300);
    let c = Cluster::with(1, config).await;
    let (mut first, mut second) = (c.client().await, c.client().await);
    first.send("blpop foo 0").await;
    until("it blocks", || c.nodes[0].executed().len() == 1).await;
    assert_eq!(c.metric("node_private_connections"), 1);
    let reply = second.ask("blpop foo 0").await;
    let line = reply.as_error().unwrap();
    assert!(line.contains("upstream.private_max"), "{line}");
    assert!(c.metric("node_private_connections_full_total") > 0);
    assert_eq!(c.nodes[0].executed().len(), 1);
    second.send("blpop foo 0").await;
    until("it waits", || c.metric("blocked_clients") == 2).await;
    drop(first);
    until("its turn has come", || c.nodes[0].executed().len() == 2).await;
    assert_eq!(c.client().await.ask("set foo x").await, ok());
    assert_eq!(second.reply().await, served());
    until("all are given back", || c.metric("node_private_connections") == 0).await;
}

#[tokio::test]
async fn a_node_that_dies_under_a_blocked_command_is_one_error_and_no_second_execution() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    client.send("blpop foo 0").await;
    until("it blocks", || c.nodes[0].executed().len() == 1).await;
    c.lose(0).await;
    let reply = client.reply().await;
    let line = reply.as_error().unwrap();
    assert!(line.contains("may or may not have been executed"), "{line}");
    c.nodes[0].start_again().await;
    assert_eq!(client.ask("set foo x").await, ok());
    assert_eq!(client.ask("get foo").await, bulk("x"));
    assert_eq!(c.nodes[0].executed().iter().filter(|line| line.starts_with("blpop")).count(), 1);
}

#[tokio::test]
async fn a_blocked_command_waits_for_a_node_that_is_away_for_a_moment() {
    let c = Cluster::start(1).await;
    let (mut client, mut other) = (c.client().await, c.client().await);
    // One connection of the pool dies with the node: it must not be taken for a good one.
    assert_eq!(client.ask("blpop foo 0.01").await, Value::Null);
    c.lose(0).await;
    let began = Instant::now();
    client.send("blpop foo 5").await;
    assert!(client.hears_nothing().await);
    sleep(Duration::from_millis(100)).await;
    c.nodes[0].start_again().await;
    until("it blocks", || c.nodes[0].executed().len() == 2).await;
    let left: f64 = c.nodes[0].executed()[1].rsplit(' ').next().unwrap().parse().unwrap();
    assert!(left <= 5.0 - 0.1 && left > 5.0 - began.elapsed().as_secs_f64() - 0.1, "{left}");
    assert_eq!(other.ask("set foo x").await, ok());
    assert_eq!(client.reply().await, served());
}

#[tokio::test]
async fn a_blocked_command_keeps_its_place_at_the_new_owner() {
    let c = Cluster::start(2).await;
    let (mut client, mut other) = (c.client().await, c.client().await);
    client.send("blpop foo 0").await;
    until("it blocks", || c.nodes[0].executed().len() == 1).await;
    sleep(Duration::from_millis(30)).await;
    c.nodes[1].set(FOO, Slot::Ready { token: Token(9) });
    c.nodes[0]
        .set(FOO, Slot::Granted { epoch: 2, addr: c.nodes[1].addr.clone(), token: Some(Token(9)) });
    until("it blocks at the new owner", || c.nodes[1].executed().len() == 1).await;
    let words = c.nodes[1].words();
    let waited = words.iter().find_map(|line| line.strip_prefix("WAITED ")).unwrap();
    assert!(waited.parse::<u64>().unwrap() >= 30, "{waited}");
    assert_eq!(c.nodes[0].said("WAITED"), 0);
    assert_eq!(other.ask("set foo x").await, ok());
    assert_eq!(client.reply().await, served());
}

#[tokio::test]
async fn two_nodes_that_send_a_blocked_command_to_and_fro_are_not_believed_for_ever() {
    let mut config = quick();
    config.hold.soft = Duration::from_millis(100);
    config.hold.timeout = Duration::from_millis(300);
    let c = Cluster::with(2, config).await;
    for (node, other, epoch) in [(0, 1, 2), (1, 0, 3)] {
        let addr = c.nodes[other].addr.clone();
        c.nodes[node].set(FOO, Slot::Granted { epoch, addr, token: None });
    }
    let mut client = c.client().await;
    let reply = client.ask("blpop foo 0").await;
    assert!(reply.as_error().unwrap().starts_with("TRYAGAIN slot 289"), "{reply:?}");
}

#[tokio::test]
async fn keys_of_several_slots_are_refused_by_name() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    for line in ["blpop foo key1 0", "blmove foo key1 left right 0", "bzmpop 0 2 foo key1 min"] {
        let reply = client.ask(line).await;
        assert!(reply.as_error().unwrap().starts_with("CROSSSLOT"), "{line}: {reply:?}");
    }
    assert_eq!(c.nodes[0].executed().len(), 0);
}
