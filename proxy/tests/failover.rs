//! A real failover: a primary, its replica, sentinels, and a proxy's watcher of them.

use crate::cluster::{Cluster, bulk, ok, quick};
use crate::codis::upstream;
use crate::fake::FakeNode;
use crate::programs::{Program, becomes, redis, say, sentinel};
use codis::model::Slot;
use proxy::Config;
use proxy::config::Nodes;
use proxy::dashboard::Router;
use proxy::dashboard::sentinels::Sentinels;
use std::sync::Arc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// One group of a product, a proxy before it, and its watcher.
struct Group {
    primary: Program,
    replica: Program,
    proxy: Cluster,
    router: Arc<Router>,
    watcher: Arc<Sentinels>,
    _stop: DropGuard,
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
        // Only its address is of interest.
        let mut node = FakeNode::start().await;
        node.addr = primary.addr();
        let config = Config { codis: Some(Arc::new(upstream())), nodes: Nodes::Foreign, ..quick() };
        let proxy = Cluster::before(vec![node], config);
        let router = Arc::clone(proxy.router.as_ref().unwrap());
        let slot = |id| Slot {
            id,
            backend_addr: format!("localhost:{of}"),
            backend_addr_group_id: 3,
            ..Slot::default()
        };
        router.fill((0..1024).map(slot).collect()).await.unwrap();
        router.start().unwrap();
        let watcher = Arc::new(Sentinels::new());
        let stop = CancellationToken::new();
        let (ours, told, routing) = (Arc::clone(&watcher), stop.clone(), Arc::clone(&router));
        tokio::spawn(async move { ours.run("demo", routing, told).await });
        Self { primary, replica, proxy, router, watcher, _stop: stop.drop_guard() }
    }

    fn known(&self) -> Option<String> {
        self.watcher.stats().masters.get("3").cloned()
    }

    fn routed(&self) -> String {
        self.router.slots()[7].backend_addr.clone()
    }
}

#[tokio::test]
async fn a_failover_is_followed_and_another_name_of_the_same_server_is_none() {
    let group = Group::start().await;
    let mut client = group.proxy.client().await;
    assert_eq!(client.ask("set foo before").await, ok());
    let guard = sentinel("demo-3", group.primary.port).await;
    becomes("the sentinel knows the replica", async || {
        let said = say(&guard.addr(), "SENTINEL replicas demo-3").await;
        said.contains(&group.replica.port.to_string())
    })
    .await;
    group.watcher.set(vec![guard.addr(), guard.addr()], false);
    becomes("the primary is known", async || group.known() == Some(group.primary.addr())).await;
    assert!(!group.router.switched(), "localhost is the same server");
    becomes("the sentinel agrees to fail over", async || {
        say(&guard.addr(), "SENTINEL FAILOVER demo-3").await.starts_with("+OK")
    })
    .await;
    becomes("slots are routed anew", async || group.routed() == group.replica.addr()).await;
    assert_eq!(group.known(), Some(group.replica.addr()));
    assert!(group.router.switched());
    becomes("the new primary takes writes", async || client.ask("set foo after").await == ok())
        .await;
    assert_eq!(client.ask("get foo").await, bulk("after"));
    assert!(say(&group.replica.addr(), "GET foo").await.contains("after"));
    assert_eq!(group.watcher.stats().servers.len(), 2);
    group.watcher.set(Vec::new(), false);
    becomes("an empty list forgets", async || group.watcher.stats().masters.is_empty()).await;
}

#[tokio::test]
async fn less_than_a_majority_of_sentinels_is_not_believed() {
    let group = Group::start().await;
    let guard = sentinel("demo-3", group.replica.port).await;
    let gone = vec![guard.addr(), "127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned()];
    group.watcher.set(gone, false);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(group.watcher.stats().masters.is_empty() && !group.router.switched());
    // The same one alone is all of them.
    group.watcher.set(vec![guard.addr()], false);
    becomes("it is believed", async || !group.watcher.stats().masters.is_empty()).await;
}
