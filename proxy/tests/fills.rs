//! Slots that a codis-dashboard fills: held, drained, swapped, released; plain nodes and nodes of ours.

use crate::cluster::{Client, Cluster, PATIENCE, bulk, ok, quick, until};
use crate::fake::{FakeNode, Manner, Slot as At};
use codis::Flavour;
use codis::config::Config as Codis;
use codis::model::Slot;
use protocol::frame::Value;
use proxy::Config;
use proxy::dashboard::{Phase, Router};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

// `foo` is in slot 289, `key1` in 80.
const FOO: i64 = 289;
const KEY1: i64 = 80;

fn config() -> Config {
    let codis = Codis::defaults(Flavour::Upstream);
    let mut config = Config { codis: Some(Arc::new(codis)), ..quick() };
    config.upstream.reply_timeout = PATIENCE;
    config
}

async fn plain(nodes: usize) -> Cluster {
    let mut started = Vec::new();
    for _ in 0..nodes {
        started.push(FakeNode::start_plain().await);
    }
    Cluster::before(started, config())
}

fn router(c: &Cluster) -> Arc<Router> {
    Arc::clone(c.router.as_ref().unwrap())
}

/// Every node is a group of its own.
fn group(node: &FakeNode) -> i64 {
    node.addr.rsplit(':').next().unwrap().parse().unwrap()
}

fn at(id: i64, node: &FakeNode) -> Slot {
    let (backend_addr, backend_addr_group_id) = (node.addr.clone(), group(node));
    Slot { id, backend_addr, backend_addr_group_id, ..Slot::default() }
}

fn locked(slot: Slot) -> Slot {
    Slot { locked: true, ..slot }
}

fn moving(id: i64, from: &FakeNode, to: &FakeNode) -> Slot {
    Slot { migrate_from: from.addr.clone(), migrate_from_group_id: group(from), ..at(id, to) }
}

fn all_at(node: &FakeNode) -> Vec<Slot> {
    (0..1024).map(|id| at(id, node)).collect()
}

/// Online, with every slot at the first node.
async fn serving(c: &Cluster) -> Client {
    router(c).fill(all_at(&c.nodes[0])).await.unwrap();
    router(c).start().unwrap();
    let mut client = c.client().await;
    assert_eq!(client.ask("set key1 up").await, ok());
    client
}

fn appends(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|i| format!("append foo {i},")).collect()
}

fn written(from: usize, to: usize) -> String {
    (from..to).fold(String::new(), |text, i| text + &i.to_string() + ",")
}

fn held(c: &Cluster) -> u64 {
    c.metric("holds_total{reason=\"fill\"}")
}

#[tokio::test]
async fn nobody_is_served_before_the_start_and_no_slot_before_its_fill() {
    let c = plain(1).await;
    let mut early = c.client().await;
    assert_eq!(early.reply().await.as_error(), Some("ERR router is not online"));
    assert!(early.try_reply().await.is_none());
    router(&c).start().unwrap();
    let mut client = c.client().await;
    let offline = Some("ERR handle request, slot is not ready, may be offline");
    assert_eq!(client.ask("get foo").await.as_error(), offline);
    assert_eq!(client.ask("blpop foo 1").await.as_error(), offline);
    router(&c).fill(vec![at(FOO, &c.nodes[0])]).await.unwrap();
    assert_eq!(client.ask("set foo 1").await, ok());
    assert_eq!(client.ask("get key1").await.as_error(), offline);
    router(&c).close().await;
    assert_eq!(client.ask("get foo").await.as_error(), offline);
    let why = router(&c).fill(vec![at(FOO, &c.nodes[0])]).await;
    assert_eq!(why.unwrap_err(), "use of closed router");
    assert_eq!(router(&c).phase(), Phase::Closed);
}

#[tokio::test]
async fn a_full_fill_is_quick_and_the_same_again_costs_nothing() {
    let c = plain(1).await;
    let began = Instant::now();
    let mut client = serving(&c).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let (before, accepted) = (held(&c), c.nodes[0].accepted());
    for _ in 0..20 {
        router(&c).fill(all_at(&c.nodes[0])).await.unwrap();
    }
    // Who may be read changes nobody's way.
    let replicas = vec![vec![c.nodes[0].addr.clone()]];
    let with = all_at(&c.nodes[0]).into_iter();
    let with: Vec<_> = with.map(|slot| Slot { replica_groups: replicas.clone(), ..slot }).collect();
    router(&c).fill(with.clone()).await.unwrap();
    assert_eq!(*router(&c).slots(), with);
    assert_eq!(client.ask("get key1").await, bulk("up"));
    assert_eq!((held(&c), c.nodes[0].accepted()), (before, accepted));
}

#[tokio::test]
async fn fills_under_a_pipeline_lose_and_reorder_nothing() {
    let c = plain(2).await;
    let mut client = serving(&c).await;
    // One store behind both: what a fill reorders would show.
    let mut sent = 0;
    for round in 0..20 {
        client.send_all(&appends(sent, sent + 50)).await;
        sent += 50;
        let (old, new) = (&c.nodes[round % 2], &c.nodes[(round + 1) % 2]);
        router(&c).fill(vec![locked(at(FOO, new))]).await.unwrap();
        // Locked: whatever was written is written, and nothing comes to either.
        let before = (old.executed().len(), new.executed().len());
        client.send_all(&appends(sent, sent + 10)).await;
        sent += 10;
        old.hand_over(new, FOO as u16);
        assert_eq!((old.executed().len(), new.executed().len()), before);
        router(&c).fill(vec![at(FOO, new)]).await.unwrap();
    }
    let replies = client.replies(sent).await;
    assert!(replies.iter().all(|reply| matches!(reply, Value::Int(_))), "{replies:?}");
    assert_eq!(c.nodes[0].get("foo").unwrap(), written(0, sent));
}

#[tokio::test]
async fn what_is_on_its_way_is_answered_by_the_old_node_before_the_fill_returns() {
    let c = plain(2).await;
    let mut client = serving(&c).await;
    c.nodes[0].behave(Manner::Mute);
    client.send("append foo a").await;
    until("it is at the node", || c.nodes[0].get("foo").is_some()).await;
    let (router, slot) = (router(&c), at(FOO, &c.nodes[1]));
    let fill = tokio::spawn(async move { router.fill(vec![slot]).await });
    client.send("append foo b").await;
    assert!(client.hears_nothing().await && !fill.is_finished());
    // Meanwhile whoever asks is answered, by what holds.
    assert_eq!(self::router(&c).slots()[FOO as usize], at(FOO, &c.nodes[0]));
    c.nodes[0].behave(Manner::Good);
    fill.await.unwrap().unwrap();
    assert_eq!(client.replies(2).await, [Value::Int(1), Value::Int(1)]);
    assert_eq!(c.nodes[0].get("foo").unwrap() + &c.nodes[1].get("foo").unwrap(), "ab");
}

#[tokio::test]
async fn a_locked_slot_waits_and_others_flow() {
    let c = plain(1).await;
    let mut client = serving(&c).await;
    let mut other = c.client().await;
    router(&c).fill(vec![locked(at(FOO, &c.nodes[0]))]).await.unwrap();
    assert!(router(&c).slots()[FOO as usize].locked);
    client.send_all(&appends(0, 100)).await;
    assert!(client.hears_nothing().await);
    assert_eq!(other.ask("get key1").await, bulk("up"));
    router(&c).fill(vec![at(FOO, &c.nodes[0])]).await.unwrap();
    client.replies(100).await;
    assert_eq!(c.nodes[0].get("foo").unwrap(), written(0, 100));
}

#[tokio::test]
async fn a_locked_slot_gives_each_request_one_error_when_its_time_is_up() {
    let mut config = config();
    config.hold.timeout = Duration::from_millis(100);
    config.hold.soft = Duration::from_millis(50);
    let c = Cluster::before(vec![FakeNode::start_plain().await], config);
    let mut client = serving(&c).await;
    router(&c).fill(vec![locked(at(FOO, &c.nodes[0]))]).await.unwrap();
    client.send_all(&appends(0, 3)).await;
    for reply in client.replies(3).await {
        assert!(reply.as_error().unwrap().starts_with("TRYAGAIN slot 289"), "{reply:?}");
    }
    router(&c).fill(vec![at(FOO, &c.nodes[0])]).await.unwrap();
    assert_eq!(client.ask("append foo x").await, Value::Int(1));
}

#[tokio::test]
async fn a_slot_that_is_emptied_answers_what_it_held() {
    let c = plain(1).await;
    let mut client = serving(&c).await;
    router(&c).fill(vec![locked(at(FOO, &c.nodes[0]))]).await.unwrap();
    client.send_all(&["append foo a", "get foo", "mget foo key1"]).await;
    assert!(client.hears_nothing().await);
    router(&c).fill(vec![Slot::offline(FOO)]).await.unwrap();
    for reply in client.replies(3).await {
        let text = "ERR handle request, slot is not ready, may be offline";
        assert_eq!(reply.as_error(), Some(text));
    }
    assert_eq!(client.ask("get key1").await, bulk("up"));
}

#[tokio::test]
async fn keys_do_not_move_between_plain_nodes_and_the_slot_stays() {
    let c = plain(2).await;
    let mut client = serving(&c).await;
    let (from, to) = (&c.nodes[0], &c.nodes[1]);
    let why = router(&c).fill(vec![at(KEY1, to), locked(moving(FOO, from, to))]).await.unwrap_err();
    assert!(why.starts_with(&format!("slot 289: {} is not a Slipway node", from.addr)), "{why}");
    assert_eq!(router(&c).slots()[FOO as usize], at(FOO, from));
    assert_eq!(router(&c).slots()[KEY1 as usize], at(KEY1, to), "what came before is filled");
    assert_eq!(client.ask("set foo 1").await, ok());
    assert_eq!(from.get("foo").unwrap(), "1");
}

#[tokio::test]
async fn between_nodes_of_ours_locks_are_passed_over_and_the_nodes_followed() {
    let c = Cluster::with(2, config()).await;
    let (from, to) = (&c.nodes[0], &c.nodes[1]);
    let mut client = serving(&c).await;
    let foo = FOO as u16;
    to.set(foo, At::Granted { epoch: 1, addr: from.addr.clone(), token: None });
    let mut sent = 0;
    for slot in [locked(moving(FOO, from, to)), moving(FOO, from, to)] {
        router(&c).fill(vec![slot.clone()]).await.unwrap();
        assert_eq!(router(&c).slots()[FOO as usize], slot);
        client.send_all(&appends(sent, sent + 20)).await;
        client.replies(20).await;
        sent += 20;
    }
    assert_eq!(from.get("foo").unwrap(), written(0, sent));
    // The slot is granted under writes; the last fill comes later.
    from.hand_over(to, foo);
    to.set(foo, At::Owned);
    from.set(foo, At::Granted { epoch: 2, addr: to.addr.clone(), token: None });
    client.send_all(&appends(sent, sent + 20)).await;
    client.replies(20).await;
    sent += 20;
    router(&c).fill(vec![at(FOO, to)]).await.unwrap();
    client.send_all(&appends(sent, sent + 20)).await;
    client.replies(20).await;
    assert_eq!(to.get("foo").unwrap(), written(0, sent + 20));
    assert_eq!(c.metric("strays_total"), 0);
    // The dashboard is wrong: the owner is followed, and that is told.
    router(&c).fill(vec![at(FOO, from)]).await.unwrap();
    assert_eq!(
        client.ask("append foo x").await,
        Value::Int(written(0, sent + 20).len() as i64 + 1)
    );
    assert_eq!(c.metric("strays_total"), 1);
}

#[tokio::test]
async fn nodes_of_ours_and_plain_ones_stand_side_by_side() {
    let c = Cluster::before(vec![FakeNode::start().await, FakeNode::start_plain().await], config());
    let mut client = serving(&c).await;
    router(&c).fill(vec![at(FOO, &c.nodes[1])]).await.unwrap();
    client.send_all(&["set foo 1", "set key1 2", "mget foo key1"]).await;
    let replies = client.replies(3).await;
    assert_eq!(replies[2], Value::Array(vec![bulk("1"), bulk("2")]));
    assert_eq!(
        (c.nodes[1].get("foo"), c.nodes[0].get("key1")),
        (Some("1".into()), Some("2".into()))
    );
}

#[tokio::test]
async fn a_dead_address_does_not_keep_a_fill() {
    let c = plain(2).await;
    let mut client = serving(&c).await;
    c.nodes[1].stop().await;
    let began = Instant::now();
    router(&c).fill(vec![at(FOO, &c.nodes[1])]).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    client.send("set foo 1").await;
    c.nodes[1].start_again().await;
    assert_eq!(client.reply().await, ok());
}

#[tokio::test]
async fn a_command_that_blocks_is_called_off_and_said_to_the_new_node() {
    let c = plain(2).await;
    let mut client = serving(&c).await;
    client.send("blpop foo 0").await;
    until("it waits", || c.nodes[0].executed().iter().any(|line| line.starts_with("blpop"))).await;
    let fill = router(&c);
    timeout(PATIENCE, fill.fill(vec![at(FOO, &c.nodes[1])])).await.unwrap().unwrap();
    let mut other = c.client().await;
    assert_eq!(other.ask("set foo v").await, ok());
    assert_eq!(client.reply().await, Value::Array(vec![bulk("foo"), bulk("v")]));
    assert_eq!(c.nodes[0].get("foo"), None);
}

#[tokio::test]
async fn sentinels_change_primaries_until_a_dashboard_fills() {
    let c = plain(2).await;
    let mut client = serving(&c).await;
    let primaries = BTreeMap::from([(group(&c.nodes[0]), c.nodes[1].addr.clone())]);
    router(&c).switch_primaries(&primaries).await.unwrap();
    assert!(router(&c).switched());
    assert_eq!(client.ask("set foo 1").await, ok());
    assert_eq!(c.nodes[1].get("foo").unwrap(), "1");
    router(&c).fill(all_at(&c.nodes[1])).await.unwrap();
    assert!(!router(&c).switched());
}
