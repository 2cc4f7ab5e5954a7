//! From a configuration to a running controller.

use crate::Error;
use crate::api::Api;
use crate::config::Config;
use crate::driver::{Driver, Health, Parts, now_ms};
use crate::metrics::Metrics;
use crate::state::{Change, State};
use crate::store::Store;
use crate::table::TableWatch;
use cluster::{GroupId, SlotCount};
use prometheus::Registry;
use service::http::{Readiness, Routes};
use service::shutdown::Shutdown;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, watch};

/// A controller that runs on the tasks of its [`Shutdown`].
pub struct Controller {
    /// The slot table as it changes.
    pub table: TableWatch,
    /// The admin API, to be served by whoever has the port.
    pub routes: Routes,
    /// Whether the controller can do its work.
    pub readiness: Readiness,
}

impl Controller {
    /// Opens the store, takes the groups in, and starts to drive what is wanted.
    ///
    /// Must be called in a tokio runtime. It stops when `shutdown` drains; its metrics go to `registry`.
    pub fn start(config: &Config, registry: &Registry, shutdown: &Shutdown) -> Result<Self, Error> {
        let store = open(config)?;
        let state = Arc::clone(store.state());
        let ids: Vec<GroupId> = state.groups.iter().map(|g| g.id).collect();
        let metrics = Metrics::new(registry, &ids).map_err(|e| Error::Serve(e.to_string()))?;
        let metrics = Arc::new(metrics);
        let (table, tables) = watch::channel(Arc::new(state.table()));
        let (asked, asked_in) = mpsc::channel(config.limits.requests_max);
        let health = Health::default();
        let parts = Parts {
            store,
            asked: asked_in,
            table,
            metrics: Arc::clone(&metrics),
            health: Arc::clone(&health),
        };
        let stop = shutdown.draining();
        let driver = Driver::new(parts, config, shutdown.tasks(), stop);
        shutdown.tasks().spawn(driver.run(stop.clone()));
        let routes = Api { asked, table: tables.clone(), metrics }.routes();
        let readiness: Readiness = Box::new(move || health.lock().clone().map_or(Ok(()), Err));
        Ok(Self {
            table: TableWatch { tables, refresh: Arc::new(Notify::new()) },
            routes,
            readiness,
        })
    }
}

/// Runs a controller in a process of its own, with its admin API on `listener`, until `shutdown` drains.
pub async fn run(
    config: &Config,
    listener: std::net::TcpListener,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let registry = Registry::new();
    let serve = |e: &dyn std::fmt::Display| Error::Serve(e.to_string());
    service::telemetry::register(&registry).map_err(|e| serve(&e))?;
    let controller = Controller::start(config, &registry, shutdown)?;
    let limits = service::http::Limits::default();
    let server =
        service::http::Server::new(controller.routes, &registry, controller.readiness, limits);
    let server = server.map_err(|e| serve(&e))?;
    server.run(listener, shutdown.draining().clone()).await.map_err(|e| serve(&e))
}

/// Opens the store, or founds a cluster, and makes it agree with the configuration.
fn open(config: &Config) -> Result<Store, Error> {
    let mut store = Store::open(&config.data, || found(config))?;
    let changes = differences(store.state(), config, &config.data)?;
    if !changes.is_empty() {
        store.apply(changes, now_ms())?;
    }
    Ok(store)
}

fn found(config: &Config) -> Result<State, Error> {
    if config.groups.is_empty() {
        return Err(Error::Mismatch("a new cluster needs at least one group".to_owned()));
    }
    let cluster = format!("{:032x}", rand::random::<u128>());
    let count = config.slot_count.unwrap_or(SlotCount::DEFAULT);
    if usize::from(count.get()) < config.groups.len() {
        return Err(Error::Mismatch(format!(
            "{} groups cannot share {} slots",
            config.groups.len(),
            count.get()
        )));
    }
    Ok(State::found(cluster, count, &config.groups, now_ms()))
}

/// Groups that are new, or have moved. A group may not vanish while it has anything.
fn differences(state: &State, config: &Config, data: &Path) -> Result<Vec<Change>, Error> {
    let stored = state.slot_count;
    if let Some(wanted) = config.slot_count.filter(|&wanted| wanted != stored) {
        return Err(Error::Mismatch(format!(
            "the cluster in {} has {} slots, and {} were asked for: the number is fixed when a cluster is made; \
             leave it out, or begin a new cluster in another data directory",
            data.display(),
            stored.get(),
            wanted.get()
        )));
    }
    let mut changes = Vec::new();
    for group in state.groups.iter().filter(|g| !config.groups.iter().any(|(id, _)| *id == g.id)) {
        let slots = state.slots.iter().filter(|s| s.concerns(group.id)).count();
        if slots > 0 {
            return Err(Error::Mismatch(format!(
                "group {} is not among the groups any more, and {slots} slots are there or on their way there: name it, move them away, \
                 then leave it out",
                group.id
            )));
        }
        changes.push(Change::GroupRemoved { id: group.id });
    }
    for (id, addr) in &config.groups {
        match state.group(*id) {
            None => changes.push(Change::GroupAdded { id: *id, addr: addr.clone() }),
            Some(group) if group.addr != *addr => {
                changes.push(Change::GroupMoved { id: *id, addr: addr.clone() });
            }
            Some(_) => {}
        }
        let kind = config.kinds.get(id).copied().unwrap_or_default();
        if state.group(*id).map(|g| g.kind).unwrap_or_default() != kind {
            changes.push(Change::GroupIs { id: *id, kind });
        }
    }
    Ok(changes)
}
