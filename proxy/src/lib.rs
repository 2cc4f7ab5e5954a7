//! Routes commands by slot and hides that slots move.
//!
//! - [`config`], [`source`]: what a proxy is told.
//! - `worker`, `turn`: a thread, and how its turn ends.
//! - `session`, `inbox`, `plan`, `split`, `join`, `local`: a client and its requests.
//! - `routes`, `gate`, `health`, `replicas`: what is believed of slots and nodes; requests that wait.
//! - `upstream`, `outbox`, `words`: connections to nodes, and what nodes say.
//! - [`foreign`]: nodes that are not ours and have slots: Pika, codis-server.
//! - [`follow`]: our controller's table, in front of such nodes.
//! - [`dashboard`]: what a proxy needs that a codis-dashboard drives.
//! - `metrics`, `slow_log`, `live`, `shared`: what is counted, kept and set for all workers.

pub mod config;
mod cursors;
pub mod dashboard;
mod dialect;
mod error;
pub mod follow;
pub mod foreign;
mod gate;
mod health;
mod inbox;
mod join;
mod live;
mod local;
mod metrics;
mod outbox;
mod patience;
mod plan;
mod pool;
mod private;
mod registry;
mod replicas;
mod request;
mod routes;
mod scan;
mod session;
mod shared;
mod slow_log;
pub mod source;
mod split;
mod turn;
mod upstream;
mod whole;
mod words;
mod worker;

pub use config::Config;
pub use dialect::Dialect;
pub use error::Error;
pub use source::TableSource;

use crate::dashboard::{Router, Statistics};
use crate::follow::Follow;
use crate::metrics::Page;
use crate::shared::Shared;
use crate::worker::Worker;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Tasks run before the system is asked for events again; more than a turn usually has.
const EVENT_INTERVAL: u32 = 512;

/// A proxy that is about to run.
pub struct Proxy {
    shared: Arc<Shared>,
}

impl Proxy {
    /// A proxy with these settings, one worker a listener to come (`Config::workers`).
    pub fn new(config: Config) -> Result<Self, Error> {
        config.check()?;
        Ok(Self { shared: Arc::new(Shared::new(config)) })
    }

    /// Where a codis-dashboard fills slots; nothing where [`Config::codis`] is not set.
    pub fn router(&self) -> Option<Arc<Router>> {
        self.shared.config.codis.as_ref().and(self.shared.router.clone())
    }

    /// Whoever follows our controller's table in front of nodes that are not ours; nothing without [`config::Nodes::Mixed`].
    pub fn follow(&self) -> Option<Arc<Follow>> {
        let router = self.shared.router.as_ref().filter(|_| self.shared.config.codis.is_none())?;
        Some(Arc::new(Follow::new(Arc::clone(router), Arc::clone(&self.shared.config))))
    }

    /// What a codis-dashboard asks for once a second; nothing where [`Config::codis`] is not set.
    pub fn statistics(&self) -> Option<Statistics> {
        let router = self.router()?;
        Some(Statistics::new(Arc::clone(&self.shared), router))
    }

    /// Puts everything the proxy counts on a metrics page.
    pub fn register(&self, registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(Page::new(Arc::clone(&self.shared))?))
    }

    /// Runs until `shutdown`. There is one listener a worker, all bound to one address with `SO_REUSEPORT`.
    pub async fn run(
        self,
        listeners: Vec<TcpListener>,
        tables: TableSource,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let workers = self.shared.config.workers;
        if listeners.len() != workers {
            return Err(Error::Config(format!(
                "{workers} workers need as many listeners, not {}",
                listeners.len()
            )));
        }
        check_table(&self.shared.config, &tables)?;
        let mut done = Vec::new();
        for (number, listener) in listeners.into_iter().enumerate() {
            let listening = |source| Error::System { what: "use the listener", source };
            listener.set_nonblocking(true).map_err(listening)?;
            let (sender, receiver) = oneshot::channel();
            let (shared, tables, stop) =
                (Arc::clone(&self.shared), tables.clone(), shutdown.clone());
            let work = move || drop(sender.send(work(number, shared, tables, stop, listener)));
            let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(work);
            thread.map_err(|source| Error::System { what: "start a thread", source })?;
            done.push(receiver);
        }
        let following = self.shared.router.clone().map(|router| {
            let stop = shutdown.clone();
            tokio::spawn(async move { stop.run_until_cancelled(router.follow_dialects()).await })
        });
        let asking = self.shared.router.is_some().then(|| {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move { shared.replicas.run(&shared.config).await })
        });
        let sampling = tokio::spawn(dashboard::run(Arc::clone(&self.shared), shutdown.clone()));
        let mut result = Ok(());
        for (number, receiver) in done.into_iter().enumerate() {
            let ended = receiver.await.unwrap_or(Err(Error::Worker(number)));
            if ended.is_err() {
                shutdown.cancel();
            }
            result = result.and(ended);
        }
        if let Some(following) = following {
            following.abort();
        }
        if let Some(asking) = asking {
            asking.abort();
        }
        sampling.abort();
        result
    }
}

/// Runs a proxy until `shutdown`, one worker a listener, without a metrics page.
pub async fn run(
    config: Config,
    listeners: Vec<TcpListener>,
    tables: TableSource,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    Proxy::new(Config { workers: listeners.len(), ..config })?
        .run(listeners, tables, shutdown)
        .await
}

fn check_table(config: &Config, tables: &TableSource) -> Result<(), Error> {
    let table = tables.tables.borrow();
    table.check().map_err(Error::Table)?;
    let (theirs, ours) = (table.slots.len(), config.slot_count.get());
    if theirs != usize::from(ours) {
        return Err(Error::Table(format!("it has {theirs} slots, this proxy is set to {ours}")));
    }
    Ok(())
}

fn work(
    number: usize,
    shared: Arc<Shared>,
    tables: TableSource,
    stop: CancellationToken,
    listener: TcpListener,
) -> Result<(), Error> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build_local(LocalOptions::default())
        .map_err(|source| Error::System { what: "start a runtime", source })?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener)
            .map_err(|source| Error::System { what: "use the listener", source })?;
        Worker::new(number, shared, tables, stop).run(listener).await;
        Ok(())
    })
}
