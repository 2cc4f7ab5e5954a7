//! `slipway control`: the controller in a process of its own.

use crate::cli::RoleArgs;
use crate::daemon::{self, Daemon, Pages};
use anyhow::{Context, Result};
use control::Config;
use control::config::File;
use std::process::ExitCode;
use std::time::Duration;

/// The settings, checked.
struct Settings {
    listen: String,
    grace: Duration,
    config: Config,
}

pub(crate) fn run(args: &RoleArgs) -> Result<ExitCode> {
    daemon::role(args, check, |settings| {
        daemon::run(settings.grace, async |daemon| start(&daemon, &settings))
    })
}

fn check(file: File) -> Result<Settings> {
    let config = file.check()?;
    Ok(Settings { grace: file.stop_grace(), listen: file.listen, config })
}

fn start(daemon: &Daemon, settings: &Settings) -> Result<()> {
    let address = service::listener::resolve(&settings.listen, "listen")?;
    let listener = service::listener::bind(address, 1, "listen")?.pop().context("no listener")?;
    let controller =
        control::Controller::start(&settings.config, &daemon.registry, &daemon.shutdown)?;
    daemon.admin(Pages::new(listener, controller.routes, controller.readiness))?;
    tracing::info!(%address, data = %settings.config.data.display(), "the controller runs");
    Ok(())
}
