//! The servers that are compared: started here, or given by their address; restarted when they die.

use super::relay::Relay;
use super::wire::{Connection, Reply};
use harness::process::{Process, free_port};
use harness::{Cluster, Role, eventually, program};
use std::cell::RefCell;
use std::time::Duration;
use tempfile::TempDir;

const START_MAX: Duration = Duration::from_secs(30);

/// One of the two.
pub(crate) struct Server {
    /// Where clients connect.
    pub(crate) addr: String,
    /// Whose `blocked_clients` count the clients that wait.
    pub(crate) counters: Vec<String>,
    keeper: RefCell<Keeper>,
}

/// What keeps it alive.
#[expect(dead_code, reason = "some of it is only held, and dropped at the end")]
enum Keeper {
    Somebody,
    Process(Process, TempDir),
    Cluster(Box<Cluster>),
    Relay(Box<Server>, Relay),
}

impl Server {
    /// Debian's redis-server, empty, without persistence.
    pub(crate) fn redis() -> Self {
        let directory = TempDir::new().unwrap();
        let port = free_port().to_string();
        let dir = directory.path().to_str().unwrap();
        // It looks for blocked clients whose time is up as often as for timers: "--hz" times a second.
        let args = [
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            dir,
            "--hz",
            "500",
        ];
        let process = Process::new("redis-server", "redis-server".into(), &args, directory.path());
        let server = Self::process(process, directory, &port);
        let mut connection = Connection::open(&server.addr, START_MAX).unwrap();
        let info = connection.words("INFO server");
        let version = String::from_utf8_lossy(info.bulk().unwrap_or_default()).into_owned();
        assert!(
            version.contains("redis_version:7.0."),
            "the comparison is with Redis 7.0, as Debian 12 has it:\n{version}"
        );
        server
    }

    /// One node of ours that nobody has claimed: it serves everything.
    pub(crate) fn node() -> Self {
        if let Ok(addr) = std::env::var("DIFF_NODE") {
            return Self {
                addr: addr.clone(),
                counters: vec![addr],
                keeper: RefCell::new(Keeper::Somebody),
            };
        }
        let directory = TempDir::new().unwrap();
        let port = free_port().to_string();
        let config = directory.path().join("node.toml");
        let data = directory.path().join("data");
        let admin = free_port();
        let text = format!(
            "listen = \"127.0.0.1:{port}\"\nadmin = \"127.0.0.1:{admin}\"\ndata = \"{}\"\n",
            data.display()
        );
        std::fs::write(&config, text).unwrap();
        let args = ["node", "--config", config.to_str().unwrap()];
        let process = Process::new("node", program(), &args, directory.path());
        Self::process(process, directory, &port)
    }

    /// A proxy of ours before two nodes with half of the slots each.
    pub(crate) fn proxy() -> Self {
        if let Ok(addr) = std::env::var("DIFF_PROXY") {
            let nodes = std::env::var("DIFF_PROXY_NODES").unwrap_or_default();
            let counters = nodes.split_whitespace().map(str::to_owned).collect();
            return Self { addr, counters, keeper: RefCell::new(Keeper::Somebody) };
        }
        let cluster = Cluster::start();
        cluster.tool("migrate --slots 512-1023 --to 2").unwrap();
        let (addr, counters) = (cluster.proxy.clone(), cluster.nodes.to_vec());
        Self { addr, counters, keeper: RefCell::new(Keeper::Cluster(Box::new(cluster))) }
    }

    /// A redis-server behind a relay that is not honest.
    pub(crate) fn behind(relay: impl FnOnce(&str) -> Relay) -> Self {
        let server = Self::redis();
        let relay = relay(&server.addr);
        let counters = server.counters.clone();
        Self {
            addr: relay.addr.clone(),
            counters,
            keeper: RefCell::new(Keeper::Relay(Box::new(server), relay)),
        }
    }

    fn process(process: Process, directory: TempDir, port: &str) -> Self {
        let addr = format!("127.0.0.1:{port}");
        let keeper = RefCell::new(Keeper::Process(process, directory));
        let server = Self { addr: addr.clone(), counters: vec![addr], keeper };
        server.revive();
        server
    }

    /// Starts what has died, and waits until it serves; returns whether anything had.
    pub(crate) fn revive(&self) -> bool {
        let died = match &mut *self.keeper.borrow_mut() {
            Keeper::Somebody => false,
            Keeper::Process(process, _) => start_unless_it_runs(process),
            Keeper::Cluster(cluster) => {
                let roles = [Role::Control, Role::Source, Role::Target, Role::Proxy];
                roles.map(|role| start_unless_it_runs(cluster.process(role))).contains(&true)
            }
            Keeper::Relay(server, _) => server.revive(),
        };
        eventually("the server answers", START_MAX, || {
            let reply = Connection::open(&self.addr, START_MAX)?.words("SET {ready} yes");
            if reply == Reply::line("+OK") { Ok(()) } else { Err(reply.to_string()) }
        });
        died
    }

    /// How many clients wait in a blocking command.
    pub(crate) fn waiting(&self) -> Result<i64, String> {
        let mut sum = 0;
        for addr in &self.counters {
            let info = Connection::open(addr, START_MAX)?.words("INFO clients");
            let text = String::from_utf8_lossy(info.bulk().unwrap_or_default()).into_owned();
            let count = text.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
            let count = count
                .ok_or_else(|| format!("INFO clients of {addr} has no blocked_clients: {text}"))?;
            sum += count.trim().parse::<i64>().map_err(|e| e.to_string())?;
        }
        Ok(sum)
    }
}

fn start_unless_it_runs(process: &mut Process) -> bool {
    let runs = process.runs();
    if !runs {
        process.start("");
    }
    !runs
}
