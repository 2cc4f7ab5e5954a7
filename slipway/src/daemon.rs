//! What every role of ours does around its work: logs, fail points, signals, the admin port, one exit status.

use crate::cli::{DEGRADED, RoleArgs};
use crate::say;
use anyhow::{Context, Result};
use parking_lot::Mutex;
use prometheus::Registry;
use serde::de::DeserializeOwned;
use service::http::{Limits, Readiness, Routes, Server};
use service::shutdown::{Ended, Shutdown};
use service::{failpoint, telemetry};
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Threads of the main runtime: it has only what is off the path of requests.
const THREADS: usize = 2;

/// How long the admin port outlives everything else at most.
const ADMIN_TIME: Duration = Duration::from_secs(1);

/// A process that serves until it is told to stop.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    pub(crate) shutdown: Shutdown,
    pub(crate) registry: Registry,
    /// What is logged.
    pub(crate) log: telemetry::Filter,
    /// What ended the process, if it was not told to.
    error: Arc<Mutex<Option<anyhow::Error>>>,
    /// Cancelled last, so that `/metrics` and `/readyz` answer until the end.
    admin_stop: CancellationToken,
    admin_tasks: TaskTracker,
}

/// What a process is given to live with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    /// How long it may take to finish what was read, once it is told to stop.
    pub(crate) grace: Duration,
    pub(crate) log: telemetry::Options,
}

impl From<Duration> for Setup {
    fn from(grace: Duration) -> Self {
        Self { grace, ..Self::default() }
    }
}

/// What an admin port serves.
pub(crate) struct Pages {
    pub(crate) listener: TcpListener,
    pub(crate) routes: Routes,
    pub(crate) readiness: Readiness,
    pub(crate) limits: Limits,
}

impl Pages {
    pub(crate) fn new(listener: TcpListener, routes: Routes, readiness: Readiness) -> Self {
        Self { listener, routes, readiness, limits: Limits::default() }
    }
}

/// Runs `start` and then whatever it has spawned, until a signal comes or something fails.
pub(crate) fn run(
    setup: impl Into<Setup>,
    start: impl AsyncFnOnce(Daemon) -> Result<()>,
) -> Result<ExitCode> {
    let Setup { grace, log } = setup.into();
    failpoint::arm_from_environment()?;
    let logs_to_file = log.file.is_some();
    let logging = telemetry::start(log)?;
    service::limits::raise_open_files();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    let daemon = Daemon::new(grace, logging.filter())?;
    let ended = runtime.block_on(daemon.clone().live(start));
    runtime.block_on(daemon.admin_ends());
    runtime.shutdown_timeout(ADMIN_TIME);
    let ended = ended?;
    if let Some(error) = daemon.error.lock().take() {
        if logs_to_file {
            tracing::error!("{error:#}");
        }
        return Err(error);
    }
    if let Ended::GraceOver { tasks } = ended {
        say::error(format_args!(
            "stopped with {tasks} tasks unfinished: the time to finish was over"
        ));
        return Ok(ExitCode::from(DEGRADED));
    }
    Ok(ended.code())
}

impl Daemon {
    fn new(grace: Duration, log: telemetry::Filter) -> Result<Self> {
        let registry = Registry::new();
        telemetry::register(&registry)?;
        Ok(Self {
            shutdown: Shutdown::new(grace),
            registry,
            log,
            error: Arc::default(),
            admin_stop: CancellationToken::new(),
            admin_tasks: TaskTracker::new(),
        })
    }

    async fn live(self, start: impl AsyncFnOnce(Self) -> Result<()>) -> Result<Ended> {
        let started = async {
            if let Err(error) = start(self.clone()).await {
                self.fail(error);
            }
        };
        // Signals are caught from the first poll on, so before anything is said to be ready.
        let (ended, ()) = tokio::join!(self.shutdown.run(), started);
        Ok(ended?)
    }

    /// Runs one part of the process. If it fails, or ends before it was told to, the process stops.
    pub(crate) fn part(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<()>> + Send + 'static,
    ) {
        let daemon = self.clone();
        self.shutdown.tasks().spawn(async move {
            let result = work.await;
            let early = !daemon.shutdown.draining().is_cancelled();
            match result {
                Err(error) => daemon.fail(error.context(name)),
                Ok(()) if early => {
                    daemon.fail(anyhow::anyhow!("{name} ended by itself: the log says more"))
                }
                Ok(()) => {}
            }
        });
    }

    /// Serves the admin port beside everything else.
    pub(crate) fn admin(&self, pages: Pages) -> Result<()> {
        let server = Server::new(pages.routes, &self.registry, pages.readiness, pages.limits)?;
        let (daemon, stop, listener) = (self.clone(), self.admin_stop.clone(), pages.listener);
        self.admin_tasks.spawn(async move {
            if let Err(error) = server.run(listener, stop).await {
                daemon.fail(anyhow::Error::new(error).context("admin port"));
            }
        });
        Ok(())
    }

    /// What is being answered is answered, the call to stop among it.
    async fn admin_ends(&self) {
        self.admin_stop.cancel();
        self.admin_tasks.close();
        let _ = tokio::time::timeout(ADMIN_TIME, self.admin_tasks.wait()).await;
    }

    /// Stops the process; the first error is the one that is told.
    pub(crate) fn fail(&self, error: anyhow::Error) {
        self.error.lock().get_or_insert(error);
        self.shutdown.begin();
    }
}

/// Reads a file of settings.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text)
        .map_err(|error| anyhow::anyhow!("{}: {}", path.display(), error.to_string().trim_end()))
}

/// Reads the settings and checks them; then runs the role, unless only the check was asked for.
pub(crate) fn role<F: DeserializeOwned, C>(
    args: &RoleArgs,
    check: impl FnOnce(F) -> Result<C>,
    run: impl FnOnce(C) -> Result<ExitCode>,
) -> Result<ExitCode> {
    let config = check(read(&args.config)?).with_context(|| args.config.display().to_string())?;
    if args.check {
        say::result(format_args!("{} is good", args.config.display()));
        return Ok(ExitCode::SUCCESS);
    }
    run(config)
}
