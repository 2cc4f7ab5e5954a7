//! A proxy in front of fake nodes, and a client of it.

use crate::fake::{FakeNode, SLOTS};
use bytes::{Buf, BytesMut};
use cluster::table::{Group, GroupId, Kind, Owner};
use cluster::{Epoch, Table};
use protocol::frame::{Value, decode};
use protocol::request::encode_request;
use proxy::dashboard::{Router, Statistics};
use proxy::{Config, Proxy, TableSource};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One proxy and its nodes; the first owns every slot at the start.
pub(crate) struct Cluster {
    pub(crate) addr: SocketAddr,
    /// Of each worker.
    pub(crate) addrs: Vec<SocketAddr>,
    pub(crate) nodes: Vec<FakeNode>,
    pub(crate) tables: watch::Sender<Arc<Table>>,
    pub(crate) source: TableSource,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<Result<(), proxy::Error>>,
    /// Where a codis-dashboard drives the proxy.
    pub(crate) router: Option<Arc<Router>>,
    pub(crate) statistics: Option<Statistics>,
    registry: prometheus::Registry,
}

/// Settings under which tests do not take long.
pub(crate) fn quick() -> Config {
    let mut config = Config { workers: 1, ..Config::default() };
    config.hold.soft = Duration::from_secs(5);
    config
}

impl Cluster {
    pub(crate) async fn start(nodes: usize) -> Self {
        Self::with(nodes, quick()).await
    }

    pub(crate) async fn with(nodes: usize, config: Config) -> Self {
        let mut started = Vec::new();
        for _ in 0..nodes {
            started.push(FakeNode::start().await);
        }
        Self::before(started, config)
    }

    pub(crate) fn before(nodes: Vec<FakeNode>, config: Config) -> Self {
        let first = table(&nodes, 1, |_| (0, 1));
        Self::with_table(nodes, config, first)
    }

    pub(crate) fn with_table(nodes: Vec<FakeNode>, config: Config, first: Table) -> Self {
        let (tables, source) = TableSource::new(first);
        // One a worker, each at an address of its own: a client chooses its worker.
        let listener = |_| std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listeners: Vec<_> = (0..config.workers).map(listener).collect();
        let addrs: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap()).collect();
        let addr = addrs[0];
        let stop = CancellationToken::new();
        let (proxy, registry) = (Proxy::new(config).unwrap(), prometheus::Registry::new());
        proxy.register(&registry).unwrap();
        let (router, statistics) = (proxy.router(), proxy.statistics());
        let running = tokio::spawn(proxy.run(listeners, source.clone(), stop.clone()));
        Self { addr, addrs, nodes, tables, source, stop, running, router, statistics, registry }
    }

    /// The metrics page.
    pub(crate) fn page(&self) -> String {
        prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap()
    }

    /// A number of the metrics page: `held_requests`, `errors_total{reason="arity"}`.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = self.page();
        let line =
            page.lines().find_map(|line| line.strip_prefix(&format!("slipway_proxy_{name} ")));
        line.unwrap_or_else(|| panic!("no metric {name}")).parse().unwrap()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.addr).await
    }

    /// Stops a node and waits until the proxy knows.
    pub(crate) async fn lose(&self, node: usize) {
        self.nodes[node].stop().await;
        timeout(PATIENCE, self.source.refresh.notified()).await.expect("the proxy cannot connect");
    }

    /// A newer table, with the owner's index and the epoch for each slot.
    pub(crate) fn publish(&self, version: u64, owner: impl Fn(u16) -> (usize, u64)) {
        self.tables.send(Arc::new(table(&self.nodes, version, owner))).unwrap();
    }
}

pub(crate) fn table(
    nodes: &[FakeNode],
    version: u64,
    owner: impl Fn(u16) -> (usize, u64),
) -> Table {
    let groups = nodes
        .iter()
        .zip(1..)
        .map(|(n, id)| Group { id: GroupId(id), addr: n.addr.clone(), kind: Kind::default() })
        .collect();
    let slots = SLOTS.slots().map(|slot| {
        let (node, epoch) = owner(slot.0);
        Owner { epoch: Epoch(epoch), group: GroupId(node as u32 + 1) }
    });
    Table {
        version,
        cluster: "test".to_owned(),
        groups,
        slots: slots.collect(),
        leaving: Vec::new(),
    }
}

/// A client that speaks RESP.
pub(crate) struct Client {
    stream: TcpStream,
    input: BytesMut,
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(addr).await.unwrap(), input: BytesMut::new() }
    }

    /// Sends a request: words separated by blanks.
    pub(crate) async fn send(&mut self, line: &str) {
        self.send_all(&[line]).await;
    }

    /// Sends requests in one write.
    pub(crate) async fn send_all<L: AsRef<str>>(&mut self, lines: &[L]) {
        let mut out = Vec::new();
        for line in lines {
            let words: Vec<&[u8]> = line.as_ref().split(' ').map(str::as_bytes).collect();
            encode_request(&mut out, &words);
        }
        self.send_bytes(&out).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("the proxy reads").unwrap();
    }

    /// The next reply.
    pub(crate) async fn reply(&mut self) -> Value {
        self.try_reply().await.expect("the connection is open")
    }

    /// The next reply; nothing if the connection was closed.
    pub(crate) async fn try_reply(&mut self) -> Option<Value> {
        loop {
            if let Some((value, len)) = decode(&self.input).unwrap() {
                self.input.advance(len);
                return Some(value);
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.input))
                .await
                .expect("a reply in time");
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    pub(crate) async fn replies(&mut self, count: usize) -> Vec<Value> {
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(self.reply().await);
        }
        list
    }

    pub(crate) async fn ask(&mut self, line: &str) -> Value {
        self.send(line).await;
        self.reply().await
    }

    /// Whether nothing comes for a moment.
    pub(crate) async fn hears_nothing(&mut self) -> bool {
        self.input.is_empty()
            && timeout(Duration::from_millis(50), self.stream.read_buf(&mut self.input))
                .await
                .is_err()
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < end, "waited in vain until {what}");
        sleep(Duration::from_millis(1)).await;
    }
}

pub(crate) fn ok() -> Value {
    Value::Simple("OK".to_owned())
}

pub(crate) fn bulk(text: &str) -> Value {
    Value::Bulk(text.to_owned().into())
}
