//! What is found out about foreign nodes before a slot moves, on doubles of Pika and codis-server and on a real `redis-server`.
//!
//! With `PIKA_SOURCE` and `PIKA_TARGET`, `HOST:PORT`, those are used in place of two doubles, and emptied before each test: by hand, on real Pikas,
//! one test at a time, of those that need nothing only a double does.

mod carry;

use crate::cluster::{Client, Cluster, ok, quick};
use crate::codis::upstream;
use crate::fake::FakeNode;
use crate::plain::Redis;
use cluster::{Slot, SlotCount};
use codis::model;
use doubles::pika::{Fault, Settings};
use doubles::{Running, codis_server, pika};
use protocol::frame::Value;
use proxy::config::FractionalScores;
use proxy::foreign::examine::{Copier, Move, Path, Ready, Refusal, examine, look_at_node, prepare};
use proxy::foreign::known::Known;
use proxy::foreign::link::Link;
use proxy::{Config, Dialect};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

const PATIENCE: Duration = Duration::from_secs(20);

fn config() -> Config {
    Config { codis: Some(Arc::new(upstream())), ..quick() }
}

async fn free() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// A node, and a connection to it.
struct Node {
    addr: String,
    link: Link,
    _running: Option<Running>,
}

impl Node {
    async fn pika(settings: Settings) -> Self {
        let running = pika::start(free().await, settings).unwrap();
        Self::of(running, &config()).await
    }

    async fn codis_server() -> Self {
        let running = codis_server::start(free().await, codis_server::Settings::default()).unwrap();
        Self::of(running, &config()).await
    }

    async fn of(running: Running, config: &Config) -> Self {
        let addr = running.address().to_string();
        let link = Link::open(config, &addr, PATIENCE).await.unwrap();
        Self { addr, link, _running: Some(running) }
    }

    /// One that somebody else has started.
    async fn named(variable: &str) -> Option<Self> {
        let addr = std::env::var(variable).ok()?;
        let link = Link::open(&config(), &addr, PATIENCE).await.unwrap();
        let mut node = Self { addr, link, _running: None };
        node.ask_all(&["FLUSHALL"]).await;
        Some(node)
    }

    async fn ask(&mut self, line: &str) -> Value {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.link.ask(&words).await.unwrap()
    }

    async fn ask_all(&mut self, lines: &[&str]) {
        for line in lines {
            let answer = self.ask(line).await;
            assert!(answer.as_error().is_none(), "{line}: {answer:?}");
        }
    }
}

/// Two Pikas, and what a proxy knows of them.
struct Pair {
    config: Arc<Config>,
    known: Arc<Known>,
    source: Node,
    target: Node,
}

impl Pair {
    async fn new() -> Self {
        Self::with(Settings::default(), config()).await
    }

    async fn with(settings: Settings, config: Config) -> Self {
        let source = match Node::named("PIKA_SOURCE").await {
            Some(node) => node,
            None => Node::pika(settings).await,
        };
        let target = match Node::named("PIKA_TARGET").await {
            Some(node) => node,
            None => Node::pika(Settings::default()).await,
        };
        Self { config: Arc::new(config), known: Arc::default(), source, target }
    }

    /// Both steps, once the nodes' lists of keys are whole and a cache is empty.
    async fn examine(&self, key: &str) -> Result<Ready, Refusal> {
        self.examine_with(self.moved(key)).await
    }

    async fn examine_with(&self, moved: Move<'_>) -> Result<Ready, Refusal> {
        let end = Instant::now() + PATIENCE;
        loop {
            let said = self.examine_once(moved).await;
            let is_passing =
                matches!(said, Err(Refusal::Reloading { .. } | Refusal::CacheBusy { .. }));
            if !is_passing || Instant::now() > end {
                return said;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn moved(&self, key: &str) -> Move<'_> {
        let (source, target) = (&self.source.addr, &self.target.addr);
        Move { slot: slot(key), source, target, copier: Copier::None }
    }

    async fn examine_once(&self, moved: Move<'_>) -> Result<Ready, Refusal> {
        let ready = examine(&self.config, &self.known, moved).await?;
        prepare(&self.config, &self.known, moved).await?;
        Ok(ready)
    }
}

fn slot(key: &str) -> Slot {
    SlotCount::DEFAULT.of(key.as_bytes())
}

#[tokio::test]
async fn each_node_is_taken_for_what_it_is() {
    let redis = Redis::start().await;
    let ours = FakeNode::start().await;
    let (pika, codis) = (Node::pika(Settings::default()).await, Node::codis_server().await);
    for (addr, dialect) in [
        (&pika.addr, Dialect::Pika),
        (&codis.addr, Dialect::CodisServer),
        (&redis.addr.to_string(), Dialect::Plain),
        (&ours.addr, Dialect::Slipway),
    ] {
        let link = Link::open(&config(), addr, PATIENCE).await.unwrap();
        assert_eq!(link.dialect(), dialect, "{addr}");
    }
}

#[tokio::test]
async fn another_program_at_the_address_is_noticed_at_the_next_connection() {
    let node = Node::pika(Settings::default()).await;
    let addr = node.addr.clone();
    assert_eq!(node.link.dialect(), Dialect::Pika);
    drop(node);
    let end = Instant::now() + PATIENCE;
    let listener = loop {
        match TcpListener::bind(&addr).await {
            Ok(listener) => break listener,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        sleep(Duration::from_millis(5)).await;
    };
    let _codis = codis_server::start(listener, codis_server::Settings::default()).unwrap();
    let link = Link::open(&config(), &addr, PATIENCE).await.unwrap();
    assert_eq!(link.dialect(), Dialect::CodisServer);
}

#[tokio::test]
async fn a_slot_of_keys_of_every_movable_type_may_move() {
    let mut pair = Pair::new().await;
    pair.source
        .ask_all(&["SET {a}k v", "HSET {a}h f v", "RPUSH {a}l v", "SADD {a}s m", "ZADD {a}z 1.5 m"])
        .await;
    assert_eq!(
        pair.examine("{a}").await,
        Ok(Ready { path: Path::Sync, keys: 5, unseen: 0, needs_copier: false })
    );
}

#[tokio::test]
async fn no_slot_moves_before_the_nodes_lists_of_keys_are_whole() {
    let settings = Settings { background: Duration::from_millis(600), ..Settings::default() };
    let mut pair = Pair::with(settings, config()).await;
    pair.source.ask_all(&["PSETEX key 1000000 v"]).await;
    let said = pair.examine_once(pair.moved("key")).await;
    assert!(
        matches!(&said, Err(refusal @ Refusal::Reloading { .. }) if refusal.is_passing()),
        "{said:?}"
    );
    assert!(pair.examine("key").await.is_ok());
    let listed = pair.source.ask(&format!("SMEMBERS {}", list_of("key"))).await;
    assert_eq!(listed, array(&["kkey"]), "what no command lists is listed now");
}

#[tokio::test]
async fn a_list_that_others_have_made_anew_again_and_again_is_whole_all_the_same() {
    let settings = Settings { background: Duration::from_millis(30), ..Settings::default() };
    let pair = Pair::with(settings, config()).await;
    let mut other = Link::open(&config(), &pair.source.addr, PATIENCE).await.unwrap();
    let others = tokio::spawn(async move {
        loop {
            other.ask(&[b"SLOTSRELOAD"]).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
    });
    assert!(pair.examine("key").await.is_ok());
    others.abort();
}

#[tokio::test]
async fn a_node_that_keeps_no_list_of_keys_is_named() {
    let settings = Settings { slotmigrate: false, ..Settings::default() };
    let mut pair = Pair::with(settings, config()).await;
    let node = pair.source.addr.clone();
    assert_eq!(pair.examine("key").await, Err(Refusal::SlotmigrateOff { node }));
    pair.source.ask_all(&["SET key v", "CONFIG SET slotmigrate yes"]).await;
    pair.examine("key").await.unwrap();
    let listed = pair.source.ask(&format!("SMEMBERS {}", list_of("key"))).await;
    assert_eq!(listed, array(&["kkey"]));
}

#[tokio::test]
async fn a_node_with_another_number_of_slots_is_named() {
    let settings = Settings { slots: SlotCount::new(512).unwrap(), ..Settings::default() };
    let pair = Pair::with(settings, config()).await;
    let (node, theirs) = (pair.source.addr.clone(), "512".to_owned());
    assert_eq!(pair.examine("key").await, Err(Refusal::SlotCount { node, theirs, ours: 1024 }));
}

#[tokio::test]
async fn a_stream_is_named_until_it_is_gone() {
    let mut pair = Pair::new().await;
    pair.source.ask_all(&["SET {a}k v", "XADD {a}st 1-1 f v"]).await;
    assert_eq!(pair.examine("{a}").await, Err(Refusal::Stream { key: "{a}st".to_owned() }));
    // A stream that is deleted is in the way still, until the key was something else.
    pair.source.ask_all(&["DEL {a}st", "SET {a}st v", "DEL {a}st"]).await;
    assert!(pair.examine("{a}").await.is_ok());
    assert!(!Refusal::Stream { key: String::new() }.is_passing());
}

#[tokio::test]
async fn a_key_that_is_listed_as_what_it_is_not_is_listed_anew() {
    let mut pair = Pair::new().await;
    pair.source
        .ask_all(&[
            "RPUSH {a}from v w",
            "RPOPLPUSH {a}from {a}to",
            "HSET {a}h f v",
            "SET {a}h v",
            "EXPIRE {a}h 1000",
        ])
        .await;
    pair.examine("{a}").await.unwrap();
    for key in ["{a}", "{a}h", "{a}to"] {
        let (host, port) = pair.target.addr.split_once(':').unwrap();
        let moved = pair.source.ask(&format!("SLOTSMGRTTAGONE {host} {port} 1000 {key}")).await;
        assert!(moved.as_error().is_none(), "{key}: {moved:?}");
    }
    assert_eq!(pair.target.ask("LRANGE {a}to 0 -1").await, array(&["w"]));
    assert_eq!(pair.target.ask("LRANGE {a}from 0 -1").await, array(&["v"]));
    let lives = pair.target.ask("TTL {a}h").await.as_int().unwrap();
    assert!((900..=1000).contains(&lives), "{lives}");
}

#[tokio::test]
async fn keys_of_commands_that_list_nothing_are_listed_before_their_slot_moves() {
    let mut pair = Pair::new().await;
    pair.examine("{a}").await.unwrap();
    pair.source
        .ask_all(&[
            "SADD {a}s m n",
            "SUNIONSTORE {a}set {a}s",
            "ZADD {a}z 1.5 m",
            "ZINTERSTORE {a}zset 1 {a}z",
            "SET {a}k v",
            "BITOP NOT {a}string {a}k",
            "RPUSH {a}l v",
            "RPOPLPUSH {a}l {a}list",
            "DEL {a}s {a}z {a}k",
        ])
        .await;
    for key in ["{a}set", "{a}zset", "{a}string", "{a}list", "{a}gone"] {
        pair.known.note(&pair.config, slot(key), key.as_bytes());
    }
    pair.examine("{a}").await.unwrap();
    let listed = pair.source.ask(&format!("SMEMBERS {}", list_of("{a}"))).await;
    assert_eq!(listed, array(&["k{a}string", "l{a}l", "l{a}list", "s{a}set", "z{a}zset"]));
}

#[tokio::test]
async fn a_hyperloglog_is_named_listed_or_not() {
    let mut pair = Pair::new().await;
    let found = Refusal::HyperLogLog { key: "{a}h".to_owned() };
    pair.examine("{a}").await.unwrap();
    pair.source.ask_all(&["PFADD {a}h x y"]).await;
    pair.known.note(&pair.config, slot("{a}"), b"{a}h");
    assert_eq!(pair.examine("{a}").await, Err(found.clone()));
    assert_eq!(pair.source.ask("PFCOUNT {a}h").await, Value::Int(2), "it is what it was");
    // Another proxy, which has noted nothing.
    pair.known = Arc::default();
    assert_eq!(pair.examine("{a}").await, Err(found));
}

#[tokio::test]
async fn when_too_many_keys_are_noted_the_nodes_list_theirs_anew() {
    let mut config = config();
    config.foreign.noted_keys_max = 4;
    let mut pair = Pair::with(Settings::default(), config).await;
    pair.examine("{a}").await.unwrap();
    pair.source.ask_all(&["SADD {a}s m", "SUNIONSTORE {a}set {a}s"]).await;
    pair.known.note(&pair.config, slot("{a}"), b"{a}set");
    for key in 0..6 {
        let key = format!("{{b}}{key}");
        pair.known.note(&pair.config, slot(&key), key.as_bytes());
    }
    assert_eq!(pair.known.noted(slot("{a}")).len(), 1, "the older half is not forgotten yet");
    pair.known.note(&pair.config, slot("{b}"), b"{b}last");
    assert_eq!(pair.known.noted(slot("{a}")).len(), 0);
    pair.examine("{a}").await.unwrap();
    let listed = pair.source.ask(&format!("SMEMBERS {}", list_of("{a}"))).await;
    assert_eq!(listed, array(&["s{a}s", "s{a}set"]), "the node has listed its keys anew");
}

/// A proxy with a Pika behind, a client of it, and a connection past it.
async fn behind_proxy() -> (Cluster, Client, Node) {
    let pika = match Node::named("PIKA_SOURCE").await {
        Some(node) => node,
        None => Node::pika(Settings::default()).await,
    };
    let mut node = FakeNode::start().await;
    node.addr.clone_from(&pika.addr);
    let at = |id| model::Slot { id, backend_addr: pika.addr.clone(), ..model::Slot::default() };
    let c = Cluster::before(vec![node], config());
    let router = c.router.as_ref().unwrap();
    router.fill((0..1024).map(at).collect()).await.unwrap();
    router.start().unwrap();
    let client = c.client().await;
    (c, client, pika)
}

#[tokio::test]
async fn commands_that_list_nothing_are_said_in_words_that_do() {
    let (_c, mut client, mut pika) = behind_proxy().await;
    for (line, reply) in [
        ("PSETEX {a}p 100000 v", ok()),
        ("DECR {a}d", Value::Int(-1)),
        ("GEOADD {a}g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", Value::Int(2)),
    ] {
        assert_eq!(client.ask(line).await, reply, "{line}");
    }
    let listed = pika.ask(&format!("SMEMBERS {}", list_of("{a}"))).await;
    assert_eq!(listed, array(&["k{a}d", "k{a}p", "z{a}g"]));
    assert_eq!(client.ask("GET {a}d").await, Value::Bulk(b"-1".to_vec().into()));
    assert_eq!(client.ask("PTTL {a}p").await.as_int().map(|ms| ms > 90_000), Some(true));
    let score = client.ask("ZSCORE {a}g Palermo").await;
    assert_eq!(score, Value::Bulk(b"3479099956230698".to_vec().into()));
}

#[tokio::test]
async fn what_harms_a_pika_does_not_reach_it() {
    let (_c, mut client, mut pika) = behind_proxy().await;
    client.ask("SET k v").await;
    for line in ["BLPOP k 1", "BRPOP k 1", "DBSIZE", "XINFO HELP", "ZADD z nan m", "SLOTSDEL 1"] {
        let said = client.ask(line).await;
        let is_ours = said.as_error().is_some_and(|line| line.starts_with("ERR slipway: "));
        assert!(is_ours, "{line}: {said:?}");
    }
    assert_eq!(client.ask("GET k").await, Value::Bulk(b"v".to_vec().into()));
    assert_eq!(pika.ask("EXISTS k").await, Value::Int(1), "it lives");
}

/// The list of a slot's keys.
fn list_of(key: &str) -> String {
    format!("_internal:slotkey:4migrate:{}", slot(key))
}

fn array(texts: &[&str]) -> Value {
    Value::Array(texts.iter().map(|text| Value::Bulk(text.as_bytes().to_vec().into())).collect())
}

#[tokio::test]
async fn a_score_that_would_be_rounded_is_named_unless_that_is_allowed() {
    let mut pair = Pair::new().await;
    pair.source.ask_all(&["ZADD z 1.5 m 0.1234567890123 n"]).await;
    let said = pair.examine("z").await;
    let Err(Refusal::Score { key, member, rounded, .. }) = &said else { panic!("{said:?}") };
    assert_eq!((key.as_str(), member.as_str(), rounded.as_str()), ("z", "n", "0.123457"));
    let mut config = config();
    config.foreign.fractional_scores = FractionalScores::Round;
    pair.config = Arc::new(config);
    assert!(pair.examine("z").await.is_ok());
}

#[tokio::test]
async fn of_a_large_slot_so_many_keys_are_looked_at_as_is_set() {
    let mut config = config();
    config.foreign.examine_keys_max = 1;
    let mut pair = Pair::with(Settings::default(), config).await;
    for key in 0..600 {
        pair.source.ask_all(&[&format!("SET {{a}}{key} v")]).await;
    }
    let ready = pair.examine("{a}").await.unwrap();
    assert_eq!((ready.keys, ready.unseen), (600, 599));
    pair.source.ask_all(&["XADD {a}last 1-1 f v"]).await;
    assert!(matches!(pair.examine("{a}").await, Err(Refusal::Stream { .. })));
}

#[tokio::test]
async fn a_target_that_has_keys_of_the_slot_is_named() {
    let mut pair = Pair::new().await;
    pair.source.ask_all(&["HSET {a}h f v"]).await;
    pair.target.ask_all(&["SET {a}gone v PX 1", "HSET {a}h g w"]).await;
    let (node, key) = (pair.target.addr.clone(), "{a}h".to_owned());
    let held = Refusal::TargetHolds { node, slot: slot("{a}"), key };
    assert_eq!(pair.examine("{a}").await, Err(held));
    pair.target.ask_all(&["DEL {a}h"]).await;
    assert!(pair.examine("{a}").await.is_ok());
}

#[tokio::test]
async fn a_node_without_slots_is_named() {
    let mut pair = Pair::new().await;
    let redis = Redis::start().await;
    pair.target.addr = redis.addr.to_string();
    let said = pair.examine("key").await;
    assert!(matches!(&said, Err(Refusal::Pair { to_is: Dialect::Plain, .. })), "{said:?}");
}

#[tokio::test]
async fn a_node_that_is_down_is_named() {
    let mut pair = Pair::new().await;
    // Nobody listens there any more.
    pair.target.addr = free().await.local_addr().unwrap().to_string();
    let said = pair.examine("key").await;
    let Err(Refusal::Unreachable { node, .. }) = said else { panic!("{said:?}") };
    assert_eq!(node, pair.target.addr);
}

#[tokio::test]
async fn a_source_that_migrates_by_itself_is_waited_for() {
    let mut pair = Pair::new().await;
    pair.source.ask_all(&["SET key v", "SET other v", "DOUBLE PACE 20000"]).await;
    let (host, port) = pair.target.addr.split_once(':').unwrap();
    let number = slot("other");
    let order = format!("SLOTSMGRTTAGSLOT-ASYNC {host} {port} 1000 200 1000000 {number} 10");
    assert!(pair.examine("key").await.is_ok());
    pair.source.ask_all(&[&order]).await;
    let said = pair.examine("key").await;
    let Err(Refusal::Migrating { slot, target, .. }) = said else { panic!("{said:?}") };
    assert_eq!((slot, target), (number.to_string(), pair.target.addr.clone()));
}

/// What it would list again has just left, and the migration goes by the list.
#[tokio::test]
async fn keys_are_not_listed_anew_beside_a_migration_of_the_nodes_own() {
    let mut pair = Pair::new().await;
    let (host, port) = pair.target.addr.split_once(':').unwrap();
    let number = slot("other");
    let order = format!("SLOTSMGRTTAGSLOT-ASYNC {host} {port} 1000 200 1000000 {number} 10");
    pair.source.ask_all(&["SET other v", "DOUBLE PACE 300", &order]).await;
    pair.known.attach(&pair.config, &pair.source.addr);
    let addr = pair.source.addr.clone();
    let mut link = Link::open(&pair.config, &addr, PATIENCE).await.unwrap();
    let mut looks = 0;
    loop {
        let node = look_at_node(&mut link, &addr, number).await.unwrap();
        if node.migrating.is_none() {
            break;
        }
        assert_eq!((node.is_reloading, node.reload_began.as_str()), (false, ""));
        looks += 1;
        sleep(Duration::from_millis(5)).await;
    }
    assert!(looks > 1, "{looks}");
    assert!(pair.examine("key").await.is_ok(), "it is listed now");
}

/// Between nodes with a password.
#[tokio::test]
async fn a_node_that_lists_its_keys_anew_for_somebody_else_migrates_no_slot_by_itself() {
    let mut config = config();
    config.node_password = Some("secret".to_owned());
    let pause = Duration::from_millis(200);
    let settings =
        || Settings { password: "secret".to_owned(), background: pause, ..Settings::default() };
    let (source, target) = (
        Node::of(pika::start(free().await, settings()).unwrap(), &config).await,
        Node::of(pika::start(free().await, settings()).unwrap(), &config).await,
    );
    let mut pair = Pair { config: Arc::new(config), known: Arc::default(), source, target };
    assert!(pair.examine("key").await.is_ok());
    pair.source.ask_all(&["SLOTSRELOAD"]).await;
    let said = pair.examine_once(pair.moved("key")).await;
    assert!(matches!(said, Err(Refusal::Reloading { .. })), "{said:?}");
    assert!(pair.examine("key").await.is_ok());
}

#[tokio::test]
async fn a_password_leaves_only_the_nodes_own_migration() {
    let mut config = config();
    config.node_password = Some("secret".to_owned());
    let settings = || Settings { password: "secret".to_owned(), ..Settings::default() };
    let (source, target) = (
        Node::of(pika::start(free().await, settings()).unwrap(), &config).await,
        Node::of(pika::start(free().await, settings()).unwrap(), &config).await,
    );
    let pair = Pair { config: Arc::new(config), known: Arc::default(), source, target };
    assert_eq!(pair.examine("key").await.unwrap().path, Path::Async);
}

#[tokio::test]
async fn the_cache_is_emptied_for_a_slot_that_comes_home_and_for_no_other() {
    let mut settings = Settings { cleared_shown: Duration::from_millis(1), ..Settings::default() };
    settings.faults.add(Fault::CacheGhosts);
    let mut pair = Pair::with(settings.clone(), config()).await;
    pair.target = Node::pika(settings).await;
    assert!(pair.examine("key").await.is_ok());
    // A ghost of a slot that has left.
    pair.target.ask_all(&["SETEX key 100 v", "GET key", "CONFIG SET slotmigrate yes"]).await;
    let (host, port) = pair.source.addr.split_once(':').unwrap();
    pair.target.ask_all(&[&format!("SLOTSMGRTTAGONE {host} {port} 1000 key")]).await;
    pair.source.ask_all(&["DEL key"]).await;
    let ghost = Value::Bulk(b"v".to_vec().into());
    assert!(pair.examine("key").await.is_ok());
    assert_eq!(pair.target.ask("GET key").await, ghost, "nobody has said that the slot left");
    pair.known.left(&pair.target.addr, slot("key"));
    assert!(pair.examine("other").await.is_ok());
    assert_eq!(pair.target.ask("GET key").await, ghost, "another slot comes");
    assert!(pair.examine("key").await.is_ok());
    assert_eq!(pair.target.ask("GET key").await, Value::Null);
}

#[tokio::test]
async fn a_cache_that_another_proxy_has_just_emptied_is_emptied_again_and_the_slot_refused_meanwhile()
 {
    let mut pair = Pair::new().await;
    assert!(pair.examine("key").await.is_ok());
    let other = std::mem::take(&mut pair.known);
    assert!(Refusal::CacheBusy { node: pair.target.addr.clone() }.is_passing());
    let began = Instant::now();
    assert!(pair.examine("key").await.is_ok());
    // Whether it had begun did not show.
    assert!(began.elapsed() >= Duration::from_millis(100));
    // Both would go on for ever if each had to begin anew whenever the other had.
    pair.known = other;
    assert!(pair.examine_once(pair.moved("key")).await.is_ok());
}

#[tokio::test]
async fn a_codis_server_is_asked_little() {
    let mut pair = Pair::new().await;
    (pair.source, pair.target) = (Node::codis_server().await, Node::codis_server().await);
    pair.source.ask_all(&["SET key v", "ZADD {key}z 0.123456789 m"]).await;
    assert_eq!(pair.examine("key").await.map(|ready| ready.path), Ok(Path::Sync));
}

#[tokio::test]
async fn a_string_as_long_as_a_hyperloglog_may_move() {
    let mut pair = Pair::new().await;
    pair.source.ask_all(&["SETRANGE key 131071 x"]).await;
    assert_eq!(pair.source.ask("STRLEN key").await, Value::Int(131_072));
    let said = pair.examine("key").await;
    let is_plain = pair.source.ask("PFCOUNT key").await.as_error().is_some();
    assert_eq!(said.is_ok(), is_plain, "{said:?}");
}
