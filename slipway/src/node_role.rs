//! `slipway node`: one storage node in a process of its own.

mod file;

use crate::cli::RoleArgs;
use crate::daemon::{self, Daemon, Pages};
use anyhow::{Context, Result};
use file::File;
use node::Node;
use parking_lot::Mutex;
use service::http::{Readiness, Routes};
use std::process::ExitCode;
use std::sync::Arc;

/// The settings, checked.
pub(crate) struct Settings {
    listen: String,
    admin: String,
    config: node::Config,
}

pub(crate) fn run(args: &RoleArgs) -> Result<ExitCode> {
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
    let sockets = service::listener::bind(address, settings.config.workers, "listen")?;
    let admin = service::listener::resolve(&settings.admin, "admin")?;
    let admin = service::listener::bind(admin, 1, "admin")?.pop().context("no listener")?;
    let stop = daemon.shutdown.draining().clone();
    tracing::info!(%address, data = %settings.config.data.display(), "the node runs");
    let state = Arc::new(Mutex::new(Err("the data is being opened".to_owned())));
    let readiness: Readiness = {
        let state = Arc::clone(&state);
        Box::new(move || state.lock().clone())
    };
    daemon.admin(Pages::new(admin, Routes::new(), readiness))?;
    let registry = daemon.registry.clone();
    daemon.part("node", async move {
        let ended = tokio::task::spawn_blocking(move || {
            let node = Node::open(settings.config)?;
            node::metrics::register(node.shared(), &registry)?;
            let running = node.start(sockets, &stop)?;
            *state.lock() = Ok(());
            running.join()
        });
        Ok(ended.await??)
    });
    Ok(())
}
