//! A real failover: a primary, its replica, sentinels, and a proxy's watcher of them.

use crate::programs::{Program, becomes, redis, say, sentinel};
use codis::Flavour;
use codis::config::Config as Codis;
use codis::model::Slot;
use proxy::dashboard::Router;
use proxy::dashboard::sentinels::Sentinels;
use proxy::{Config, Proxy};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// One group of a product, and what the watcher says of it.
struct Group {
    primary: Program,
    replica: Program,
    watcher: Arc<Sentinels>,
    switched: mpsc::Receiver<BTreeMap<i64, String>>,
    _stop: DropGuard,
}

fn router() -> Arc<Router> {
    let mut config = Config { workers: 1, ..Config::default() };
    config.codis = Some(Arc::new(Codis::defaults(Flavour::Upstream)));
    Proxy::new(config).unwrap().router().unwrap()
}

impl Group {
    async fn start() -> Self {
        let primary = redis(&[]).await;
        let of = primary.port.to_string();
        let replica =
            redis(&["--replicaof", "127.0.0.1", &of, "--repl-diskless-sync-delay", "0"]).await;
        becomes("the replica follows", async || {
            say(&replica.addr(), "INFO replication").await.contains("master_link_status:up")
        })
        .await;
        let router = router();
        let slot = Slot {
            id: 7,
            backend_addr: format!("localhost:{}", primary.port),
            backend_addr_group_id: 3,
            ..Slot::default()
        };
        router.fill(vec![slot]).await.unwrap();
        let watcher = Arc::new(Sentinels::new());
        let (sender, switched) = mpsc::channel(100);
        let stop = CancellationToken::new();
        let (ours, told) = (Arc::clone(&watcher), stop.clone());
        tokio::spawn(async move {
            let switch = |masters| {
                let sender = sender.clone();
                async move { sender.send(masters).await.map_err(|error| error.to_string()) }
            };
            ours.run("demo", (router, switch), told).await;
        });
        Self { primary, replica, watcher, switched, _stop: stop.drop_guard() }
    }
}

#[tokio::test]
async fn a_failover_is_followed_and_another_name_of_the_same_server_is_none() {
    let mut group = Group::start().await;
    let guard = sentinel("demo-3", group.primary.port).await;
    becomes("the sentinel knows the replica", async || {
        say(&guard.addr(), "SENTINEL replicas demo-3")
            .await
            .contains(&group.replica.port.to_string())
    })
    .await;
    group.watcher.set(vec![guard.addr(), guard.addr()], false);
    let known = |group: &Group| group.watcher.stats().masters.get("3").cloned();
    becomes("the primary is known", async || known(&group) == Some(group.primary.addr())).await;
    assert!(group.switched.try_recv().is_err(), "localhost is the same server");
    becomes("the sentinel agrees to fail over", async || {
        say(&guard.addr(), "SENTINEL FAILOVER demo-3").await.starts_with("+OK")
    })
    .await;
    let switched = group.switched.recv().await.unwrap();
    assert_eq!(switched, BTreeMap::from([(3, group.replica.addr())]));
    becomes("it is told", async || known(&group) == Some(group.replica.addr())).await;
    let stats = group.watcher.stats();
    assert_eq!((stats.servers.len(), stats.switched), (2, false));
    group.watcher.set(Vec::new(), false);
    becomes("an empty list forgets", async || group.watcher.stats().masters.is_empty()).await;
}

#[tokio::test]
async fn less_than_a_majority_of_sentinels_is_not_believed() {
    let mut group = Group::start().await;
    let guard = sentinel("demo-3", group.replica.port).await;
    let gone = vec![guard.addr(), "127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned()];
    group.watcher.set(gone, false);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(group.watcher.stats().masters.is_empty() && group.switched.try_recv().is_err());
    // The same one alone is all of them.
    group.watcher.set(vec![guard.addr()], false);
    becomes("it is believed", async || !group.watcher.stats().masters.is_empty()).await;
}
