//! What is measured: redis-server, one of our nodes, and our proxy before two nodes.

use crate::cost::Cpu;
use anyhow::{Context, Result};
use harness::cluster::{Cluster, Role};
use harness::process::{Process, free_port};
use std::net::TcpStream;
use std::time::Duration;
use tempfile::TempDir;

/// A server that takes requests, and the processes whose CPU time counts.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    addr: String,
    processes: Vec<u32>,
    /// What must live as long.
    _parts: Parts,
}

enum Parts {
    Redis { _process: Process, _directory: TempDir },
    Cluster { _cluster: Box<Cluster> },
}

impl Server {
    /// Host and port.
    pub(crate) fn addr(&self) -> [String; 2] {
        let (host, port) = self.addr.rsplit_once(':').unwrap_or((&self.addr, ""));
        [host.to_owned(), port.to_owned()]
    }

    /// CPU time used so far.
    pub(crate) fn cpu(&self) -> Result<Cpu> {
        Cpu::of(&self.processes)
    }
}

/// Starts them all. The node that is measured alone owns all slots of its cluster.
pub(crate) fn start_all() -> Result<Vec<Server>> {
    Ok(vec![redis_server()?, node()?, proxy()])
}

fn redis_server() -> Result<Server> {
    let directory = TempDir::new()?;
    let port = free_port().to_string();
    let args = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    let mut process = Process::new("redis-server", "redis-server".into(), &args, directory.path());
    process.start("");
    let (addr, id) = (format!("127.0.0.1:{port}"), process.id());
    harness::eventually("redis-server listens", Duration::from_secs(10), || {
        TcpStream::connect(&addr).map_err(|e| e.to_string())
    });
    let parts = Parts::Redis { _process: process, _directory: directory };
    Ok(Server { name: "redis-server", addr, processes: vec![id], _parts: parts })
}

fn node() -> Result<Server> {
    let mut cluster = Cluster::start();
    cluster
        .tool("migrate --slots 0-1023 --to 1")
        .map_err(anyhow::Error::msg)
        .context("the node that is measured alone does not get all slots")?;
    // Neither proxy nor controller has a part in it; without them nothing else moves.
    cluster.process(Role::Proxy).kill();
    let processes = vec![cluster.process(Role::Source).id()];
    let addr = cluster.nodes[0].clone();
    let parts = Parts::Cluster { _cluster: Box::new(cluster) };
    Ok(Server { name: "node", addr, processes, _parts: parts })
}

fn proxy() -> Server {
    let mut cluster = Cluster::start();
    let processes = vec![cluster.process(Role::Proxy).id()];
    let addr = cluster.proxy.clone();
    let parts = Parts::Cluster { _cluster: Box::new(cluster) };
    Server { name: "proxy", addr, processes, _parts: parts }
}
