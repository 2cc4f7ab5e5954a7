//! What all workers share. Nothing of it is on a request's way, but for settings that are only read.

use crate::config::{Config, Nodes};
use crate::cursors::Cursors;
use crate::dashboard::{History, Router};
use crate::live::Live;
use crate::metrics::WorkerMetrics;
use crate::registry::Registry;
use crate::replicas::Replicas;
use crate::slow_log::SlowLog;
use dashmap::DashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use tokio::time::Instant;

/// One per process.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) live: Live,
    /// Where a codis-dashboard drives us, or our controller in front of nodes that are not ours.
    pub(crate) router: Option<Arc<Router>>,
    /// What the last hour was like, where a codis-dashboard asks.
    pub(crate) history: Option<History>,
    pub(crate) clients: Clients,
    pub(crate) slow_log: SlowLog,
    pub(crate) registry: Registry,
    pub(crate) cursors: Cursors,
    /// Whoever may be read beside the primaries.
    pub(crate) replicas: Arc<Replicas>,
    /// Of every worker, in order.
    pub(crate) metrics: Vec<Arc<WorkerMetrics>>,
    /// Connections that are up, by node.
    pub(crate) nodes: DashMap<String, AtomicUsize>,
    pub(crate) started: Instant,
    /// 40 hex digits, new at each start, as Redis' `run_id`.
    pub(crate) run_id: String,
}

impl Shared {
    pub(crate) fn new(config: Config) -> Self {
        let config = Arc::new(config.with_codis());
        Self {
            live: Live::new(&config),
            router: router(&config).map(Arc::new),
            history: config.codis.is_some().then(History::new),
            clients: Clients::default(),
            slow_log: SlowLog::default(),
            registry: Registry::new(config.workers),
            cursors: Cursors::default(),
            replicas: Arc::default(),
            metrics: (0..config.workers).map(|_| Arc::new(metrics(&config))).collect(),
            started: Instant::now(),
            nodes: DashMap::new(),
            run_id: format!("{:032x}{:08x}", rand::random::<u128>(), rand::random::<u32>()),
            config,
        }
    }
}

/// Whoever serves nodes that are not ours fills slots.
fn router(config: &Arc<Config>) -> Option<Router> {
    match &config.codis {
        Some(codis) => Some(Router::new(codis.max_slot_num, config)),
        None if config.nodes == Nodes::Mixed => {
            Some(Router::new(config.slot_count.get().into(), config))
        }
        None => None,
    }
}

fn metrics(config: &Config) -> WorkerMetrics {
    if config.codis.is_some() { WorkerMetrics::with_delays() } else { WorkerMetrics::new() }
}

impl Shared {
    /// There is one connection more to a node, or the first attempt to have one.
    pub(crate) fn node_up(&self, addr: &str, connections: usize) {
        self.nodes.entry(addr.to_owned()).or_default().fetch_add(connections, Relaxed);
    }

    /// A worker has no use for the node any more; it is no longer told of if nobody is connected to it.
    pub(crate) fn node_unused(&self, addr: &str) {
        self.nodes.remove_if(addr, |_, connections| connections.load(Relaxed) == 0);
    }

    /// There is one connection less.
    pub(crate) fn node_down(&self, addr: &str) {
        if let Some(node) = self.nodes.get(addr) {
            node.fetch_sub(1, Relaxed);
        }
    }
}

/// Who is connected, over all workers.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    open: AtomicUsize,
    last_id: AtomicU64,
}

impl Clients {
    /// Counts a client in, if there is room for one more.
    pub(crate) fn enter(&self, max: usize) -> bool {
        self.open.fetch_update(Relaxed, Relaxed, |open| (open < max).then_some(open + 1)).is_ok()
    }

    pub(crate) fn leave(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// A number no other client has.
    pub(crate) fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Relaxed) + 1
    }
}
