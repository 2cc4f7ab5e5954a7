//! Slots that leave a Pika: the fill that moves them is held back, and requests follow their keys (`docs/FOREIGN.md`).

use crate::cluster::{Client, Cluster, PATIENCE, bulk, quick, until};
use crate::fake::FakeNode;
use codis::Flavour;
use codis::config::Config as Codis;
use codis::model::{ForwardMethod, Slot};
use doubles::pika::Settings;
use doubles::{Running, codis_server, pika};
use protocol::frame::Value;
use proxy::Config;
use proxy::dashboard::Router;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::time::Instant;

const SLOT: i64 = 289;
/// Of `key1`.
const KEY1: i64 = 80;

/// A proxy before two foreign nodes, with every slot at the first.
struct World {
    cluster: Cluster,
    source: Running,
    target: Running,
    method: ForwardMethod,
}

fn config() -> Config {
    let codis = Codis::defaults(Flavour::Fork);
    let mut config = Config { codis: Some(Arc::new(codis)), workers: 2, ..quick() };
    config.upstream.reply_timeout = PATIENCE;
    config.foreign.fill_wait = PATIENCE;
    config
}

async fn free() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

impl World {
    async fn of_pikas(config: Config, settings: Settings) -> Self {
        let source = pika::start(free().await, settings.clone()).unwrap();
        let target = pika::start(free().await, settings).unwrap();
        Self::before(config, source, target).await
    }

    async fn of_codis_servers() -> Self {
        let node = || async {
            codis_server::start(free().await, codis_server::Settings::default()).unwrap()
        };
        Self::before(config(), node().await, node().await).await
    }

    async fn before(config: Config, source: Running, target: Running) -> Self {
        let cluster = Cluster::before(vec![FakeNode::start_plain().await], config);
        let world = Self { cluster, source, target, method: ForwardMethod::SemiAsync };
        let all = (0..1024).map(|id| world.at_source(id)).collect();
        world.router().fill(all).await.unwrap();
        world.router().start().unwrap();
        world
    }

    fn router(&self) -> Arc<Router> {
        Arc::clone(self.cluster.router.as_ref().unwrap())
    }

    fn at_source(&self, id: i64) -> Slot {
        let backend_addr = self.source.address().to_string();
        Slot { id, backend_addr, backend_addr_group_id: 1, ..Slot::default() }
    }

    fn at_target(&self, id: i64) -> Slot {
        let backend_addr = self.target.address().to_string();
        Slot { id, backend_addr, backend_addr_group_id: 2, ..Slot::default() }
    }

    fn migrating(&self, id: i64) -> Slot {
        let migrate_from = self.source.address().to_string();
        let forward_method = self.method;
        Slot { migrate_from, migrate_from_group_id: 1, forward_method, ..self.at_target(id) }
    }

    /// Locked at every proxy, and nothing moves yet; as often as it takes.
    async fn prepare(&self, id: i64) {
        let end = Instant::now() + PATIENCE;
        let prepared = Slot { locked: true, ..self.migrating(id) };
        while let Err(why) = self.router().fill(vec![prepared.clone()]).await {
            assert!(Instant::now() < end, "{why}");
            self.router().fill(vec![self.at_source(id)]).await.unwrap();
        }
    }

    /// As the dashboard does it.
    async fn move_slot(&self, id: i64) {
        self.prepare(id).await;
        self.router().fill(vec![self.migrating(id)]).await.unwrap();
        self.finish(id).await;
    }

    /// Once every proxy has let the slot go.
    async fn finish(&self, id: i64) {
        self.migrate(id).await;
        self.router().fill(vec![self.at_target(id)]).await.unwrap();
    }

    /// What the dashboard asks of the source.
    async fn migrate(&self, id: i64) {
        let mut source = self.direct(&self.source).await;
        let (host, port) = (self.target.address().ip(), self.target.address().port());
        let line = format!("slotsmgrttagslot-async {host} {port} 1000 200 1000000 {id} 500");
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = source.ask(&line).await;
            if answer.as_items().is_some_and(|items| items[1] == Value::Int(0)) {
                return;
            }
            assert!(Instant::now() < end, "{answer:?}");
        }
    }

    async fn direct(&self, node: &Running) -> Client {
        let mut client = Client::connect(node.address()).await;
        // Where there is no password this is an error, and changes nothing.
        client.ask(&format!("auth {SECRET}")).await;
        client
    }

    /// Clients write lists while the slot moves; everything that was acknowledged is at the target then, once.
    async fn moves_under_writes(&self) {
        let keys = keys(64);
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut writers = Vec::new();
        for addr in self.cluster.addrs.iter().cycle().take(8) {
            let number = writers.len();
            let client = Client::connect(*addr).await;
            writers.push(tokio::spawn(write(client, number, keys.clone(), stopped.clone())));
        }
        let written = || self.cluster.metric("requests_total{command=\"rpush\",result=\"ok\"}");
        until("lists are written", || written() > 500).await;
        self.prepare(SLOT).await;
        self.router().fill(vec![self.migrating(SLOT)]).await.unwrap();
        let asked = || self.cluster.metric("passage_asks_total");
        until("requests have asked for their keys", || asked() > 0).await;
        self.finish(SLOT).await;
        stop.send(true).unwrap();
        let mut written = 0;
        for writer in writers {
            written += writer.await.unwrap();
        }
        let (mut elements, mut left) = (0, 0);
        let mut target = self.direct(&self.target).await;
        let mut source = self.direct(&self.source).await;
        for key in &keys {
            elements += target.ask(&format!("llen {key}")).await.as_int().unwrap();
            let range = source.ask(&format!("slotsinfo {SLOT} 1")).await;
            left += i64::from(range != Value::Array(Vec::new()));
        }
        assert_eq!((elements, left), (written, 0));
    }
}

const SECRET: &str = "secret";

/// Writes until it is told to stop; returns how many elements.
async fn write(
    mut client: Client,
    number: usize,
    keys: Vec<String>,
    stopped: tokio::sync::watch::Receiver<bool>,
) -> i64 {
    let mut written = 0;
    while !*stopped.borrow() {
        let key = &keys[(written * 7 + number) % keys.len()];
        let reply = client.ask(&format!("rpush {key} {number}:{written}")).await;
        assert!(reply.as_int().is_some_and(|len| len > 0), "{reply:?}");
        written += 1;
    }
    written as i64
}

/// Keys of the slot without a hash tag.
fn keys(number: usize) -> Vec<String> {
    let count = ::cluster::SlotCount::DEFAULT;
    let all = (0..).map(|i| format!("k{i}"));
    all.filter(|key| i64::from(count.of(key.as_bytes()).0) == SLOT).take(number).collect()
}

#[tokio::test]
async fn a_slot_of_a_pika_moves_under_writes_and_nothing_is_lost() {
    let w = World::of_pikas(config(), Settings::default()).await;
    w.moves_under_writes().await;
    assert_eq!(w.cluster.metric("foreign_slots_moved_total"), 1);
}

#[tokio::test]
async fn where_nodes_have_a_password_requests_wait_until_the_node_has_moved_their_keys() {
    let config = Config { node_password: Some(SECRET.to_owned()), ..config() };
    let settings = Settings { password: SECRET.to_owned(), ..Settings::default() };
    let w = World::of_pikas(config, settings).await;
    w.moves_under_writes().await;
    assert_eq!(w.cluster.metric("foreign_slots_moved_total"), 0, "it moves by itself");

    // A key that is not there does not wait for the others.
    let mut client = Client::connect(w.cluster.addrs[0]).await;
    w.prepare(KEY1).await;
    w.router().fill(vec![w.migrating(KEY1)]).await.unwrap();
    assert_eq!(client.ask("incr key1").await, Value::Int(1));
    assert_eq!(w.direct(&w.target).await.ask("get key1").await, bulk("1"));
    assert_eq!(w.cluster.metric("held_requests_total{outcome=\"timeout\"}"), 0);
}

#[tokio::test]
async fn a_slot_of_a_codis_server_moves_under_writes_and_nothing_is_lost() {
    let w = World::of_codis_servers().await;
    w.moves_under_writes().await;
    assert_eq!(w.cluster.metric("foreign_slots_moved_total"), 1);
}

#[tokio::test]
async fn slots_that_come_home_bring_nothing_back_that_was_deleted_elsewhere() {
    let mut w = World::of_pikas(config(), Settings::default()).await;
    let mut client = Client::connect(w.cluster.addrs[0]).await;
    let slots = [("key1", KEY1), ("foo", SLOT), ("key2", 490)];
    for (key, _) in slots {
        for line in ["setex KEY 1000 old", "hset {KEY}h f old", "rpush {KEY}l old"] {
            assert!(client.ask(&line.replace("KEY", key)).await.as_error().is_none());
        }
    }
    let read = ["get KEY", "hget {KEY}h f", "lrange {KEY}l 0 -1"];
    let nothing = [Value::Null, Value::Null, Value::Array(Vec::new())];
    for home in [false, true, false, true] {
        for (key, slot) in slots {
            for line in read {
                // What is read is cached.
                client.ask(&line.replace("KEY", key)).await;
            }
            w.move_slot(slot).await;
        }
        for (key, _) in slots {
            for (line, nothing) in read.iter().zip(&nothing) {
                let reply = client.ask(&line.replace("KEY", key)).await;
                assert_eq!(reply == *nothing, home, "{line} of {key}: {reply:?}");
            }
            let lines = ["del KEY {KEY}h {KEY}l", "setex KEY 1000 new", "hset {KEY}h f new"];
            let lines = if home { &lines[1..] } else { &lines[..1] };
            for line in lines.iter().chain(home.then_some(&"rpush {KEY}l new")) {
                assert!(client.ask(&line.replace("KEY", key)).await.as_int() != Some(0));
            }
        }
        std::mem::swap(&mut w.source, &mut w.target);
    }
}
