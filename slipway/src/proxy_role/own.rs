//! A proxy with our own `proxy.toml`: it takes the slot table of a controller elsewhere.

mod file;
mod reporter;

use crate::cli::RoleArgs;
use crate::daemon::{self, Daemon, Pages};
use anyhow::{Context, Result};
use cluster::Table;
use control::Client;
use file::File;
use parking_lot::Mutex;
use proxy::config::Nodes;
use proxy::{Proxy, TableSource};
use reporter::{Reporter, Voice};
use service::http::{Readiness, Routes};
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long one answer of the controller may take, beside the waiting of a long poll.
const CONTROL_TIME: Duration = Duration::from_secs(5);

/// The settings, checked.
pub(super) struct Settings {
    listen: String,
    admin: String,
    controller: String,
    config: proxy::Config,
}

pub(super) fn run(args: &RoleArgs) -> Result<ExitCode> {
    let check = |file: File| {
        let mut settings = file.check()?;
        settings.config.file = Some(args.config.clone());
        Ok(settings)
    };
    daemon::role(args, check, |settings| {
        daemon::run(settings.config.stop_grace, async |daemon| start(&daemon, settings))
    })
}

fn start(daemon: &Daemon, settings: Settings) -> Result<()> {
    let address = service::listener::resolve(&settings.listen, "listen")?;
    let listeners = service::listener::bind(address, settings.config.workers, "listen")?;
    let admin = service::listener::resolve(&settings.admin, "admin")?;
    let admin = service::listener::bind(admin, 1, "admin")?.pop().context("no listener")?;
    let waiting_for = format!("no slot table yet from the controller at {}", settings.controller);
    let state = Arc::new(Mutex::new(Err(waiting_for)));
    let readiness: Readiness = {
        let state = Arc::clone(&state);
        Box::new(move || state.lock().clone())
    };
    daemon.admin(Pages::new(admin, Routes::new(), readiness))?;
    tracing::info!(%address, controller = settings.controller, "the proxy runs");
    let parts = (daemon.clone(), settings, listeners);
    daemon.part("proxy", async move {
        let (daemon, settings, listeners) = parts;
        serve(&daemon, settings, listeners, &state).await
    });
    Ok(())
}

async fn serve(
    daemon: &Daemon,
    settings: Settings,
    listeners: Vec<TcpListener>,
    state: &Mutex<Result<(), String>>,
) -> Result<()> {
    let stop = daemon.shutdown.draining();
    let client = Client::new(settings.controller, CONTROL_TIME);
    let Some(watch) =
        control::table::follow(client.clone(), daemon.shutdown.tasks(), stop.clone()).await
    else {
        return Ok(());
    };
    let first = watch.tables.borrow().clone();
    let nodes = if has_strangers(&first) { Nodes::Mixed } else { Nodes::Slipway };
    let config = proxy::Config { cluster: Some(first.cluster.clone()), nodes, ..settings.config };
    let source = TableSource { tables: watch.tables, refresh: watch.refresh };
    let proxy = Proxy::new(config)?;
    proxy.register(&daemon.registry)?;
    let tables = source.tables.clone();
    let voice = proxy.follow().map_or_else(|| Voice::Ignorant(tables.clone()), Voice::Follows);
    let reporter = Reporter::new(client, &settings.listen, voice);
    let (told, task) = (reporter.clone(), tokio::spawn(report(reporter, tables.clone())));
    *state.lock() = Ok(());
    let result = proxy.run(listeners, source, stop.clone()).await;
    task.abort();
    if has_strangers(&tables.borrow().clone()) {
        told.take_leave().await;
    }
    Ok(result?)
}

fn has_strangers(table: &Table) -> bool {
    table.groups.iter().any(|group| !group.kind.is_ours())
}

/// Reports once there are nodes that are not ours: before, nobody waits for a proxy's word.
async fn report(reporter: Reporter, mut tables: watch::Receiver<Arc<Table>>) {
    if tables.wait_for(|table| has_strangers(table)).await.is_err() {
        return;
    }
    if reporter.is_ignorant() {
        tracing::error!(
            "the cluster has nodes that are not ours, which it had not when this proxy was started: it serves none of their slots; start it anew"
        );
    }
    reporter.run(tables).await;
}
