//! The storage node: Redis' commands on `RocksDB`, and slots that move.
//!
//! [`Node::open`] opens a data directory, [`Node::start`] serves it on sockets that the caller has bound, [`run`] does both and waits. Several
//! nodes may live in one process. The way of a request:
//!
//! ```text
//!  worker ─► session ─► turn ─► command (which function) ─► exec ─► slots (enter: lock, admit)
//!                         │                                   └──► function on a Txn ─► engine (one batch) ─► wal
//!                         └─ one settle and one write for all replies of the turn
//! ```
//!
//! - [`config`], [`settings`]: what the node is told at its start, and what CONFIG SET changes later.
//! - [`shared`]: what all threads share; everything below is reachable from it.
//! - [`worker`], [`session`], [`link`], [`clients`], [`buffers`]: threads, connections, connections from our own parts.
//! - [`command`]: the families of commands, one file each.
//! - [`exec`]: runs one command over the slots of its keys.
//! - [`txn`]: what commands work on; counts keys, feeds capture and watches.
//! - [`slots`]: each slot's state and lock. [`transfer`]: slots on the move.
//! - `relay`: requests of other parties' connections, for slots of other nodes.
//! - [`waiting`]: commands that wait for a key.
//! - [`engine`], [`encoding`]: the ordered store, and keys and values in it.
//! - [`wal`]: when a write is safe to be told. [`disk`]: room on the disk.
//! - [`versions`], [`cursors`], [`expiry`], [`stats`], [`slowlog`]: lives of keys, positions of scans, the sweep, counters, slow commands.
//! - [`metrics`]: the page of all that is counted.

pub mod clients;
pub mod command;
pub mod config;
pub mod cursors;
pub mod disk;
pub mod encoding;
pub mod engine;
pub mod error;
pub mod exec;
pub mod expiry;
pub mod link;
pub mod metrics;
mod relay;
pub mod session;
pub mod settings;
pub mod shared;
pub mod slots;
pub mod slowlog;
pub mod stats;
pub mod txn;
pub mod versions;
pub mod waiting;
pub mod wal;

mod buffers;
pub mod transfer;
mod worker;

pub use config::{Config, WalSync};
pub use error::Error;
pub use shared::Shared;

use prometheus::Registry;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A node whose data directory is open, not yet serving.
#[derive(Debug)]
pub struct Node {
    shared: Arc<Shared>,
    /// Nothing once it was taken to be shut down.
    background: Option<tokio::runtime::Runtime>,
    wal_thread: Option<JoinHandle<()>>,
}

/// How long tasks of the node itself may take to end.
const BACKGROUND_GRACE: Duration = Duration::from_secs(2);

impl Node {
    /// Opens the data directory.
    pub fn open(config: Config) -> Result<Self, Error> {
        config.check()?;
        let background = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(config.bulk_threads)
            .thread_name("node-background")
            .enable_all()
            .build()
            .map_err(|source| Error::Io { what: "cannot start the node's own threads", source })?;
        let (shared, wal_thread) = Shared::open(config, background.handle().clone())?;
        Ok(Self { shared, background: Some(background), wal_thread: Some(wal_thread) })
    }

    /// What its threads share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Serves clients on these sockets, one for each worker, until `stop` is cancelled. All sockets listen on one address.
    pub fn start(
        self,
        sockets: Vec<TcpListener>,
        stop: &CancellationToken,
    ) -> Result<Running, Error> {
        if sockets.len() != self.shared.config.workers {
            return Err(Error::Config(format!(
                "{} sockets for {} workers: one for each is needed",
                sockets.len(),
                self.shared.config.workers
            )));
        }
        let shared = &self.shared;
        shared.background.spawn(shared.disk.clone().watch(shared.engine.clone()));
        shared.background.spawn(expiry::sweep(shared.clone()));
        transfer::resume(shared);
        let mut workers = Vec::with_capacity(sockets.len());
        for (index, socket) in sockets.into_iter().enumerate() {
            workers.push(worker::start(shared.clone(), index, socket, stop.clone())?);
        }
        Ok(Running { node: self, workers })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shared.transfers.stop(BACKGROUND_GRACE);
        if let Some(background) = self.background.take() {
            background.shutdown_timeout(BACKGROUND_GRACE);
        }
        self.shared.wal.stop();
        if let Some(thread) = self.wal_thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that syncs the log died");
        }
    }
}

/// A node that serves.
#[derive(Debug)]
pub struct Running {
    node: Node,
    workers: Vec<JoinHandle<()>>,
}

impl Running {
    /// What its threads share.
    pub fn shared(&self) -> &Arc<Shared> {
        self.node.shared()
    }

    /// Waits until it has stopped: all replies sent, everything synced. Blocks.
    pub fn join(self) -> Result<(), Error> {
        let mut died = None;
        for (index, worker) in self.workers.into_iter().enumerate() {
            if worker.join().is_err() {
                died = Some(index);
            }
        }
        drop(self.node);
        died.map_or(Ok(()), |index| Err(Error::Worker(index)))
    }
}

/// Opens a node, serves it on these sockets until `stop` is cancelled, and returns when everything is on disk. Its metrics go to `registry`.
pub async fn run(
    config: Config,
    sockets: Vec<TcpListener>,
    registry: Registry,
    stop: CancellationToken,
) -> Result<(), Error> {
    let ended = tokio::task::spawn_blocking(move || {
        let node = Node::open(config)?;
        metrics::register(node.shared(), &registry)?;
        node.start(sockets, &stop)?.join()
    });
    ended.await.unwrap_or(Err(Error::Worker(0)))
}
