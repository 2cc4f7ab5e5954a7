//! A proxy with codis-proxy's `proxy.toml` and flags: what an operator of a Codis cluster starts in codis-proxy's place.

mod beside;
mod beyond;
mod machine;
mod online;
mod pid_file;
mod settings;

use crate::daemon::{self, Daemon, Pages, Setup};
use crate::say;
use anyhow::{Context, Result};
use cluster::SlotCount;
use codis::config::Network;
use codis::flags::{Flags, LogLevel};
use codis::identity::{self, Place as Identity, Stack, listener_text};
use codis::model::Model;
use machine::Machine;
use pid_file::PidFile;
use proxy::dashboard::admin::{Admin, BODY_BYTES_MAX, Parts, Process};
use proxy::dashboard::sentinels::Sentinels;
use proxy::dashboard::{Phase, Router, jodis};
use proxy::{Proxy, TableSource};
use service::http::{Limits, Readiness};
use service::listener::{self, Family, Place};
use service::shutdown::Shutdown;
use service::telemetry;
use settings::Settings;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// What the command line says.
pub(super) struct Start {
    /// The file; empty for all defaults.
    pub(super) text: String,
    pub(super) flags: Flags,
    pub(super) check: bool,
    pub(super) token: Option<String>,
}

/// Keep-alive connections are ours to keep for longer than a dashboard keeps them idle, which is a minute: one that we close just when it is
/// used again would fail a fill.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How often a proxy that waits says so.
const WAITING_PERIOD: Duration = Duration::from_secs(1);

/// What the rest of the process has to end, once the clients are gone.
const END_TIME: Duration = Duration::from_millis(500);

pub(super) fn run(start: Start) -> Result<ExitCode> {
    let check = start.check;
    let settings = Settings::read(start)?;
    if check {
        settings.warnings.iter().for_each(say::note);
        say::result(format_args!("{} is good", settings.source()));
        return Ok(ExitCode::SUCCESS);
    }
    let setup = Setup { grace: settings.proxy.stop_grace + END_TIME, log: settings.log() };
    // A client that has to be cut off at the end is no failure: codis-proxy waits for none.
    daemon::run(setup, async |daemon| begin(&daemon, settings).await)?;
    Ok(ExitCode::SUCCESS)
}

async fn begin(daemon: &Daemon, settings: Settings) -> Result<()> {
    settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    settings.check_open_files()?;
    let (listeners, admin) = listen(&settings)?;
    let bound = Bound {
        proxy: listeners.first().context("no listener")?.local_addr()?,
        admin: admin.local_addr()?,
    };
    let model = Arc::new(model(&settings, bound).await?);
    let codis = &settings.codis;
    let xauth = identity::proxy_xauth(&codis.product_name, &codis.product_auth, &model.token);
    let config = proxy::Config { name: model.proxy_addr.clone(), ..settings.proxy.clone() };
    let proxy = Proxy::new(config)?;
    proxy.register(&daemon.registry)?;
    let (router, statistics) =
        proxy.router().zip(proxy.statistics()).context("no codis settings")?;
    let parts = Parts {
        router: Arc::clone(&router),
        statistics,
        config: Arc::clone(codis),
        model: Arc::clone(&model),
        xauth,
        sentinels: Arc::new(Sentinels::new()),
        process: Arc::new(Ours { shutdown: daemon.shutdown.clone(), log: daemon.log.clone() }),
        fills: daemon.shutdown.tasks().clone(),
    };
    beside::start(daemon, &parts)?;
    let pid_file = settings.flags.pidfile.as_deref().and_then(PidFile::write);
    let serving = Serving { listeners, router: Arc::clone(&router), pid_file };
    serve(daemon, proxy, (serving, settings.proxy.slot_count));
    let limits =
        Limits { body_bytes: BODY_BYTES_MAX, header_time: KEEP_ALIVE, ..Limits::default() };
    let readiness = readiness(&router);
    daemon.admin(Pages { limits, ..Pages::new(admin, Admin::new(parts).routes(), readiness) })?;
    tracing::warn!(
        proxy = model.proxy_addr,
        admin = model.admin_addr,
        token = model.token,
        "proxy is created"
    );
    daemon.shutdown.tasks().spawn(wait_online(Arc::clone(&router), daemon.shutdown.clone()));
    go_online(
        daemon,
        online::Going {
            router,
            online: settings.flags.online.clone(),
            product: codis.product_name.clone(),
            own: model.admin_addr.clone(),
            slots: codis.max_slot_num,
        },
    );
    Ok(())
}

fn go_online(daemon: &Daemon, going: online::Going) {
    let daemon = daemon.clone();
    daemon.shutdown.tasks().clone().spawn(async move {
        let stop = daemon.shutdown.draining();
        if let Some(Err(error)) = stop.run_until_cancelled(going.go()).await {
            daemon.fail(error);
        }
    });
}

/// Where we listen.
#[derive(Clone, Copy)]
struct Bound {
    proxy: SocketAddr,
    admin: SocketAddr,
}

fn listen(settings: &Settings) -> Result<(Vec<TcpListener>, TcpListener)> {
    let codis = &settings.codis;
    let place = Place::resolve(&codis.proxy_addr, settings.family, "proxy_addr")?;
    let listeners = listener::bind_at(place, settings.proxy.workers, "proxy_addr")?;
    let place = Place::resolve(&codis.admin_addr, Family::Both, "admin_addr")?;
    let admin = listener::bind_at(place, 1, "admin_addr")?.pop().context("no listener")?;
    Ok((listeners, admin))
}

async fn model(settings: &Settings, bound: Bound) -> Result<Model> {
    let codis = &settings.codis;
    let machine = Machine::look().await;
    let stack = if listener::speaks_both() { Stack::Both } else { Stack::V4 };
    let made = || {
        identity::token(
            &machine.macs,
            Identity {
                product_name: &codis.product_name,
                proxy_listener: &listener_text(codis.network(), bound.proxy, stack),
                admin_listener: &listener_text(Network::Tcp, bound.admin, stack),
            },
        )
    };
    let token = settings.token.clone().unwrap_or_else(made);
    Ok(Model {
        jodis_path: jodis::path(codis, &token),
        token,
        start_time: machine.now.to_string(),
        admin_addr: machine.announced(&codis.host_admin, bound.admin).await?,
        proto_type: codis.proto_type.clone(),
        proxy_addr: machine.announced(&codis.host_proxy, bound.proxy).await?,
        product_name: codis.product_name.clone(),
        pid: i64::from(std::process::id()),
        pwd: machine.pwd,
        sys: machine.sys,
        max_slot_num: codis.max_slot_num,
        hostname: machine.hostname,
        datacenter: codis.proxy_datacenter.clone(),
        ..Model::default()
    })
}

/// What a proxy has while it serves, and gives back at its end.
struct Serving {
    listeners: Vec<TcpListener>,
    router: Arc<Router>,
    pid_file: Option<PidFile>,
}

fn serve(daemon: &Daemon, proxy: Proxy, (serving, count): (Serving, SlotCount)) {
    let stop = daemon.shutdown.draining().clone();
    daemon.part("proxy", async move {
        let Serving { listeners, router, pid_file } = serving;
        // No controller: what the dashboard fills is all there is.
        let (_tables, source) = TableSource::of_nobody(count);
        let ended = proxy.run(listeners, source, stop).await;
        router.close().await;
        drop(pid_file);
        Ok(ended?)
    });
}

fn readiness(router: &Arc<Router>) -> Readiness {
    let router = Arc::clone(router);
    Box::new(move || match router.phase() {
        Phase::Online => Ok(()),
        Phase::Waiting => {
            Err("no dashboard has filled the slots and told this proxy to start".to_owned())
        }
        Phase::Closed => Err("the proxy is closed".to_owned()),
    })
}

/// The words that scripts look for in the log.
async fn wait_online(router: Arc<Router>, shutdown: Shutdown) {
    let mut phases = router.phases();
    let mut online = std::pin::pin!(phases.wait_for(|phase| *phase != Phase::Waiting));
    loop {
        tokio::select! {
            _ = online.as_mut() => break,
            () = shutdown.draining().cancelled() => return,
            () = tokio::time::sleep(WAITING_PERIOD) => tracing::warn!("proxy waiting online ..."),
        }
    }
    tracing::warn!("proxy is working ...");
    shutdown.draining().cancelled().await;
    tracing::warn!("proxy is exiting ...");
}

/// The process, as the admin API needs it.
#[derive(Debug)]
struct Ours {
    shutdown: Shutdown,
    log: telemetry::Filter,
}

impl Process for Ours {
    fn set_log_level(&self, level: LogLevel) -> Result<(), String> {
        self.log.set(settings::filter(level)).map_err(|error| error.to_string())
    }

    fn shut_down(&self) {
        self.shutdown.begin();
    }
}
