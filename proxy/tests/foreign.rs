//! Slots that leave a Pika: the fill that moves them is held back, and requests follow their keys (`docs/FOREIGN.md`).

use crate::cluster::{Client, Cluster, PATIENCE, quick, until};
use crate::fake::FakeNode;
use codis::Flavour;
use codis::config::Config as Codis;
use codis::model::Slot;
use doubles::Running;
use doubles::pika::{self, Settings};
use protocol::frame::Value;
use proxy::Config;
use proxy::dashboard::Router;
use std::sync::Arc;
use tokio::net::TcpListener;

const SLOT: i64 = 289;

/// A proxy before two Pikas, with every slot at the first.
struct World {
    cluster: Cluster,
    source: Running,
    target: Running,
}

fn config() -> Config {
    let codis = Codis::defaults(Flavour::Fork);
    let mut config = Config { codis: Some(Arc::new(codis)), workers: 2, ..quick() };
    config.upstream.reply_timeout = PATIENCE;
    config.foreign.fill_wait = PATIENCE;
    config
}

async fn double(settings: Settings) -> Running {
    pika::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), settings).unwrap()
}

impl World {
    async fn start(config: Config, settings: Settings) -> Self {
        let (source, target) = (double(settings.clone()).await, double(settings).await);
        let cluster = Cluster::before(vec![FakeNode::start_plain().await], config);
        let world = Self { cluster, source, target };
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
        Slot { migrate_from, migrate_from_group_id: 1, ..self.at_target(id) }
    }

    /// As the dashboard does it.
    async fn move_slot(&self, id: i64) {
        self.router().fill(vec![Slot { locked: true, ..self.at_source(id) }]).await.unwrap();
        self.router().fill(vec![Slot { locked: true, ..self.migrating(id) }]).await.unwrap();
        self.router().fill(vec![self.migrating(id)]).await.unwrap();
        self.router().fill(vec![self.at_target(id)]).await.unwrap();
    }

    async fn ask_target(&self, line: &str) -> Value {
        Client::connect(self.target.address()).await.ask(line).await
    }
}

/// Keys of the slot without a hash tag.
fn keys(number: usize) -> Vec<String> {
    let count = ::cluster::SlotCount::DEFAULT;
    let all = (0..).map(|i| format!("k{i}"));
    all.filter(|key| i64::from(count.of(key.as_bytes()).0) == SLOT).take(number).collect()
}

#[tokio::test]
async fn a_slot_of_a_pika_moves_under_writes_and_nothing_is_lost() {
    let w = World::start(config(), Settings::default()).await;
    let keys = keys(64);
    let mut writers = Vec::new();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    for addr in w.cluster.addrs.iter().cycle().take(8) {
        let (mut client, keys, stopped) =
            (Client::connect(*addr).await, keys.clone(), stopped.clone());
        let number = writers.len();
        writers.push(tokio::spawn(async move {
            let mut written = 0;
            while !*stopped.borrow() {
                let key = &keys[(written * 7 + number) % keys.len()];
                let reply = client.ask(&format!("rpush {key} {number}:{written}")).await;
                assert!(reply.as_int().is_some_and(|len| len > 0), "{reply:?}");
                written += 1;
            }
            written
        }));
    }
    until("lists are written", || {
        w.cluster.metric("requests_total{command=\"rpush\",result=\"ok\"}") > 500
    })
    .await;
    w.move_slot(SLOT).await;
    stop.send(true).unwrap();
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    let mut elements = 0;
    for key in &keys {
        elements += w.ask_target(&format!("llen {key}")).await.as_int().unwrap();
    }
    assert_eq!(elements, written as i64);
    assert!(w.cluster.metric("passage_asks_total") > 0);
    assert_eq!(w.cluster.metric("foreign_slots_moved_total"), 1);
}
