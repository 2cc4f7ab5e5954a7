//! From a configuration to a running controller.

use crate::Error;
use crate::api::Api;
use crate::config::Config;
use crate::driver::{Driver, Health, Parts, now_ms};
use crate::metrics::Metrics;
use crate::state::{Change, State};
use crate::store::Store;
use crate::table::TableWatch;
use cluster::{GroupId, SlotCount, SlotRanges};
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
    let mut state = State::found(cluster, count, &config.groups, now_ms());
    place(&mut state, config)?;
    Ok(state)
}

/// Puts the slots of a new cluster where the configuration says that they are.
fn place(state: &mut State, config: &Config) -> Result<(), Error> {
    if config.placement.is_empty() {
        return Ok(());
    }
    let mut owners: Vec<Option<GroupId>> = vec![None; state.slots.len()];
    for (group, slots) in &config.placement {
        let wrong = |why| Error::Mismatch(format!("slots of group {group}: {why}"));
        slots.check(state.slot_count).map_err(wrong)?;
        for slot in slots.iter() {
            if let Some(other) = owners[usize::from(slot.0)].replace(*group) {
                let why = format!("slot {slot} is group {other}'s and group {group}'s");
                return Err(Error::Mismatch(why));
            }
        }
    }
    let numbered = || state.slot_count.slots().zip(&owners);
    let homeless: SlotRanges =
        numbered().filter(|(_, owner)| owner.is_none()).map(|(slot, _)| slot).collect();
    if !homeless.is_empty() {
        return Err(Error::Mismatch(format!(
            "slots {homeless} are no group's: where one group names its slots, all slots must be named"
        )));
    }
    for (record, owner) in state.slots.iter_mut().zip(owners) {
        record.group = owner.unwrap_or(record.group);
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn config(placement: &[(u32, &str)]) -> Config {
        let groups = [1, 2].map(|id| (GroupId(id), format!("n{id}:1")));
        let placement = placement.iter().map(|(id, slots)| (GroupId(*id), slots.parse().unwrap()));
        let slot_count = SlotCount::new(8);
        Config {
            slot_count,
            placement: placement.collect(),
            ..Config::new("nowhere", groups.to_vec())
        }
    }

    #[test]
    fn slots_of_a_new_cluster_lie_where_the_groups_say() {
        let owners = |config: &Config| {
            let state = found(config).unwrap();
            state.slots.iter().map(|record| record.group.0).collect::<Vec<_>>()
        };
        assert_eq!(owners(&config(&[])), [1, 1, 1, 1, 2, 2, 2, 2]);
        assert_eq!(owners(&config(&[(1, "3,6"), (2, "0-2,4-5,7")])), [2, 2, 2, 1, 2, 2, 1, 2]);
        assert_eq!(owners(&config(&[(2, "0-7")])), [2; 8]);
    }

    #[test]
    fn slots_that_are_nobodys_or_two_groups_are_refused() {
        let refused =
            |placement: &[(u32, &str)]| found(&config(placement)).unwrap_err().to_string();
        assert!(refused(&[(1, "0-3"), (2, "5-7")]).contains("slots 4 are no group's"));
        assert!(refused(&[(1, "0-4"), (2, "4-7")]).contains("slot 4 is group 1's and group 2's"));
        assert!(refused(&[(1, "0-8")]).contains("slots of group 1"));
    }
}
