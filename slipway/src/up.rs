//! `slipway up`: a whole cluster in one process, and its data in one directory.
//!
//! ```text
//!   DATA/up.json         the groups and where their nodes listen
//!   DATA/up.lock         one process at a time
//!   DATA/control/        the controller's store
//!   DATA/node-1/ …       each node's data
//! ```
//!
//! Its parts talk to each other as if they were processes of their own. They stop in the order of a request's way: proxy, then nodes.

mod banner;
mod places;

use crate::cli::DEFAULT_ADMIN;
use crate::daemon::{self, Daemon, Pages};
use anyhow::{Context, Result, bail};
use clap::value_parser;
use cluster::{GroupId, SlotCount};
use control::docs::NodeState;
use control::store::Lock;
use control::{Client, Controller};
use places::Places;
use proxy::{Proxy, TableSource};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long requests that were read may take to finish when the process stops.
const GRACE: Duration = Duration::from_secs(15);

/// How long the nodes may take to open their data before the cluster counts as up without them.
const READY_TIME: Duration = Duration::from_secs(30);

/// The flags of `slipway up`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct UpArgs {
    /// Where everything is kept; made if missing
    #[arg(long, value_name = "DIR", default_value = "./slipway-data")]
    pub(crate) data: PathBuf,
    /// Where clients connect
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:19000")]
    pub(crate) listen: String,
    /// Where the operator's tool and Prometheus ask; there is no password on it
    #[arg(long, value_name = "HOST:PORT", default_value = DEFAULT_ADMIN)]
    pub(crate) admin: String,
    /// Groups of one node; a later start may have more of them [default: 2, later as many as there are]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=128))]
    pub(crate) groups: Option<u32>,
    /// Slots of a new cluster; fixed from then on [default: 1024]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=i64::from(SlotCount::MAX)))]
    pub(crate) slots: Option<u32>,
}

/// Everything that could be taken already is taken before anything starts.
struct Taken {
    args: UpArgs,
    _lock: Lock,
    listeners: Vec<TcpListener>,
    admin: TcpListener,
    groups: Vec<Group>,
}

/// One group's node.
struct Group {
    id: GroupId,
    addr: String,
    sockets: Vec<TcpListener>,
}

pub(crate) fn run(args: &UpArgs) -> Result<ExitCode> {
    let taken = take(args)?;
    daemon::run(GRACE, async |daemon| start(&daemon, taken).await)
}

fn take(args: &UpArgs) -> Result<Taken> {
    let lock = Lock::take(&args.data, "up.lock")?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let address = service::listener::resolve(&args.listen, "--listen")?;
    let listeners = service::listener::bind(address, cores, "--listen")?;
    let address = service::listener::resolve(&args.admin, "--admin")?;
    let admin = service::listener::bind(address, 1, "--admin")?.pop().context("no listener")?;
    let mut places = Places::open(&args.data)?;
    // All nodes share the cores with each other and the proxy.
    let count = args.groups.map_or(places.count().max(2), |n| n as usize);
    if count < places.count() {
        let have = places.count();
        bail!(
            "--groups {count}, but {} has {have} groups: they can be added here, not taken away",
            args.data.display()
        );
    }
    let groups = places.bind(count, (cores / count).max(1))?;
    Ok(Taken { args: args.clone(), _lock: lock, listeners, admin, groups })
}

async fn start(daemon: &Daemon, taken: Taken) -> Result<()> {
    let Taken { args, _lock: lock, listeners, admin, groups } = taken;
    let address = admin.local_addr()?.to_string();
    let known = groups.iter().map(|g| (g.id, g.addr.clone())).collect();
    let mut config = control::Config::new(args.data.join("control"), known);
    config.slot_count = args.slots.and_then(SlotCount::new);
    let controller = Controller::start(&config, &daemon.registry, &daemon.shutdown)?;
    let slot_count =
        controller.table.tables.borrow().slot_count().context("the slot table has no slots")?;

    // Cancelled when the proxy has ended, however it ends.
    let nodes_stop = CancellationToken::new();
    let proxy_is_over = nodes_stop.clone().drop_guard();
    for group in groups {
        let mut config =
            node::Config::new(args.data.join(format!("node-{}", group.id)), group.addr);
        config.workers = group.sockets.len();
        config.slot_count = slot_count;
        let (registry, stop) = (daemon.registry.clone(), nodes_stop.clone());
        daemon.part("node", async move {
            let name = format!("group {}", group.id);
            node::run(config, group.sockets, registry, stop).await.context(name)
        });
    }
    let source = TableSource { tables: controller.table.tables, refresh: controller.table.refresh };
    let cluster = source.tables.borrow().cluster.clone();
    let workers = listeners.len();
    let config =
        proxy::Config { workers, slot_count, cluster: Some(cluster), ..proxy::Config::default() };
    let proxy = Proxy::new(config)?;
    proxy.register(&daemon.registry)?;
    let stop = daemon.shutdown.draining().clone();
    daemon.part("proxy", async move {
        let (_over, _lock) = (proxy_is_over, lock);
        Ok(proxy.run(listeners, source, stop).await?)
    });
    daemon.admin(Pages::new(admin, controller.routes, controller.readiness))?;
    let ready = wait(&address);
    if let Some(status) = daemon.shutdown.draining().run_until_cancelled(ready).await {
        banner::print(&args, &status?);
    }
    Ok(())
}

/// Waits until all nodes are there, or as long as is reasonable.
async fn wait(address: &str) -> Result<control::docs::Status> {
    let client = Client::new(address, Duration::from_secs(10));
    let end = tokio::time::Instant::now() + READY_TIME;
    loop {
        let status = client.status().await?;
        let up = status.groups.iter().all(|g| g.state == NodeState::Up);
        if up || tokio::time::Instant::now() > end {
            return Ok(status);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
