//! A node, in this process or in one of its own.

use super::Client;
use node::{Config, Node, Shared};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A node in this process; it stops when this is dropped.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    stop: CancellationToken,
    running: Option<node::Running>,
    directory: Option<tempfile::TempDir>,
}

impl Server {
    /// On fresh data, with two workers.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// On fresh data.
    pub(crate) fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Self::start_on(directory.path(), change);
        server.directory = Some(directory);
        server
    }

    /// On this data directory.
    pub(crate) fn start_on(data: &Path, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_at(data, 0, change)
    }

    /// On this data directory, at this port.
    pub(crate) fn start_at(data: &Path, port: u16, change: impl FnOnce(&mut Config)) -> Self {
        let (config, sockets) = prepare(data, port, change);
        let addr = sockets[0].local_addr().unwrap();
        let stop = CancellationToken::new();
        let running = Node::open(config).unwrap().start(sockets, &stop).unwrap();
        Self {
            addr,
            shared: running.shared().clone(),
            stop,
            running: Some(running),
            directory: None,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.addr)
    }

    /// Stops it as SIGTERM would.
    pub(crate) fn stop(&mut self) {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            running.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn prepare(data: &Path, port: u16, change: impl FnOnce(&mut Config)) -> (Config, Vec<TcpListener>) {
    let mut config = Config::new(data, "");
    config.workers = 2;
    config.memory_bytes = 64 << 20;
    change(&mut config);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let sockets = service::listener::bind(address, config.workers, "--listen").unwrap();
    config.addr = sockets[0].local_addr().unwrap().to_string();
    (config, sockets)
}

/// A node in a process of its own, to be killed.
pub(crate) struct Process {
    child: Child,
    pub(crate) addr: SocketAddr,
}

/// Where the process is told its data directory, port and number of workers.
const DATA: &str = "SLIPWAY_TEST_NODE_DATA";
const PORT: &str = "SLIPWAY_TEST_NODE_PORT";
const WORKERS: &str = "SLIPWAY_TEST_NODE_WORKERS";

impl Process {
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_at(data, free_port(), "")
    }

    /// At this port, with these fail points armed.
    pub(crate) fn start_at(data: &Path, port: u16, failpoints: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "harness::server::the_node_itself", "--nocapture"])
            .env(DATA, data)
            .env(PORT, port.to_string())
            .env(service::failpoint::VARIABLE, failpoints)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        super::eventually("the process listens", || std::net::TcpStream::connect(addr).is_ok());
        Self { child, addr }
    }

    /// Whether it has died.
    pub(crate) fn is_dead(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What a [`Process`] runs; without the variables there is nothing to do.
#[test]
fn the_node_itself() {
    let Ok(data) = std::env::var(DATA) else { return };
    service::failpoint::arm_from_environment().unwrap();
    let port = std::env::var(PORT).unwrap().parse().unwrap();
    let workers = std::env::var(WORKERS).ok().and_then(|w| w.parse().ok());
    let (config, sockets) = prepare(Path::new(&data), port, |config| {
        config.workers = workers.unwrap_or(2);
        config.memory_bytes = 256 << 20;
    });
    let stop = CancellationToken::new();
    Node::open(config).unwrap().start(sockets, &stop).unwrap().join().unwrap();
}
