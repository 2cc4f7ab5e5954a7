//! What is measured: programs that are found, how each is started, and the processes whose cost counts.
//!
//! Every proxy stands before the same plain servers and has as many workers as the others. What a peer is not told is its own default.

mod attached;
mod codis;
mod nutcracker;
mod ours;
mod pika;
mod predixy;
mod redis;

pub(crate) use attached::Attached;
pub(crate) use redis::Redis;

use crate::cost::Cpu;
use anyhow::{Context, Result, ensure};
use harness::cluster::Cluster;
use harness::process::{Process, free_port};
use harness::resp::Client;
use protocol::frame::Value;
use std::any::Any;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Nothing takes longer to start unless something is wrong.
const START_MAX: Duration = Duration::from_secs(30);
/// How often it is looked whether it has.
const START_LOOK: Duration = Duration::from_millis(20);

/// What a subject is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Keeps the data itself.
    Store,
    /// Stands before stores.
    Proxy,
}

/// Where a program is found.
#[derive(Clone, Copy, Debug)]
enum Program {
    /// The one under test.
    Ours,
    /// The path in this environment variable, or else a program of this name on the search path.
    Peer { variable: &'static str, name: &'static str },
}

/// How to start one kind of subject.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    program: Program,
    /// What makes the program say its version.
    version: &'static str,
    start: fn(&Ground, &Path) -> Result<Started>,
}

/// All that may be measured, in the order of the columns. The first is the floor.
pub(crate) const RECIPES: [Recipe; 9] = [
    Recipe {
        name: "redis-server",
        kind: Kind::Store,
        program: Program::Peer { variable: "REDIS_SERVER", name: "redis-server" },
        version: "--version",
        start: redis::start,
    },
    Recipe {
        name: "node",
        kind: Kind::Store,
        program: Program::Ours,
        version: "--version",
        start: ours::node,
    },
    Recipe {
        name: "pika",
        kind: Kind::Store,
        program: Program::Peer { variable: "PIKA", name: "pika" },
        version: "-v",
        start: pika::start,
    },
    Recipe {
        name: "proxy",
        kind: Kind::Proxy,
        program: Program::Ours,
        version: "--version",
        start: ours::proxy,
    },
    Recipe {
        name: "proxy-nodes",
        kind: Kind::Proxy,
        program: Program::Ours,
        version: "--version",
        start: ours::proxy_before_nodes,
    },
    Recipe {
        name: "predixy",
        kind: Kind::Proxy,
        program: Program::Peer { variable: "PREDIXY", name: "predixy" },
        version: "-v",
        start: predixy::start,
    },
    Recipe {
        name: "nutcracker",
        kind: Kind::Proxy,
        program: Program::Peer { variable: "NUTCRACKER", name: "nutcracker" },
        version: "-V",
        start: nutcracker::start,
    },
    Recipe {
        name: "codis-proxy",
        kind: Kind::Proxy,
        program: Program::Peer { variable: "CODIS_PROXY", name: "codis-proxy" },
        version: "--version",
        start: codis::start,
    },
    Recipe {
        name: "pika-codis-proxy",
        kind: Kind::Proxy,
        program: Program::Peer { variable: "PIKA_CODIS_PROXY", name: "pika-codis-proxy" },
        version: "--version",
        start: codis::start,
    },
];

impl Recipe {
    /// The program, if there is one.
    pub(crate) fn found(&self) -> Option<PathBuf> {
        match self.program {
            Program::Ours => Some(harness::program()),
            Program::Peer { variable, name } => match std::env::var_os(variable) {
                Some(path) => Some(path.into()),
                None => std::env::split_paths(&std::env::var_os("PATH")?)
                    .map(|folder| folder.join(name))
                    .find(|path| path.is_file()),
            },
        }
    }

    /// How to have it found, if it is not.
    pub(crate) fn hint(&self) -> String {
        match self.program {
            Program::Ours => "make build".to_owned(),
            Program::Peer { variable, .. } => format!("{variable}=path of the program"),
        }
    }

    /// The first line the program says of its version.
    pub(crate) fn version(&self, program: &Path) -> String {
        let Ok(output) = Command::new(program).arg(self.version).output() else {
            return "does not run".to_owned();
        };
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
    }

    /// Starts it, and waits until it answers.
    pub(crate) fn start(&self, ground: &Ground, program: &Path) -> Result<Subject> {
        let started =
            (self.start)(ground, program).with_context(|| format!("start {}", self.name))?;
        wait_until_it_answers(self.name, &started.addr)?;
        Ok(Subject { name: self.name.to_owned(), started })
    }
}

/// What all proxies stand on.
pub(crate) struct Ground {
    pub(crate) stores: Vec<Redis>,
    /// Threads that serve clients, of each subject.
    pub(crate) workers: usize,
}

impl Ground {
    /// Starts so many redis-servers.
    pub(crate) fn start(stores: usize, workers: usize) -> Result<Self> {
        let program = RECIPES[0].found().context("redis-server is missing: make setup")?;
        let stores = (0..stores).map(|_| Redis::start(&program)).collect::<Result<_>>()?;
        Ok(Self { stores, workers })
    }

    fn addrs(&self) -> Vec<String> {
        self.stores.iter().map(|store| store.addr.clone()).collect()
    }

    fn ids(&self) -> Vec<u32> {
        self.stores.iter().map(Redis::id).collect()
    }

    /// Throws all keys away.
    pub(crate) fn clear(&self) -> Result<()> {
        self.stores.iter().try_for_each(|store| clear(&store.addr))
    }
}

/// What a recipe has brought up.
pub(crate) struct Started {
    addr: String,
    /// Their cost is the subject's.
    processes: Vec<u32>,
    /// Their cost is reported beside it.
    behind: Vec<u32>,
    /// What must live as long.
    _parts: Vec<Box<dyn Any + Send>>,
}

/// A server that takes requests.
pub(crate) struct Subject {
    pub(crate) name: String,
    started: Started,
}

impl Subject {
    /// Host and port.
    pub(crate) fn addr(&self) -> &str {
        &self.started.addr
    }

    /// The processes whose cost counts.
    pub(crate) fn processes(&self) -> &[u32] {
        &self.started.processes
    }

    /// CPU time so far: its own, and that of what stands behind it.
    pub(crate) fn cpu(&self) -> Result<[Cpu; 2]> {
        Ok([Cpu::of(&self.started.processes)?, Cpu::of(&self.started.behind)?])
    }

    /// The error with which it refuses a request, if it does.
    pub(crate) fn refusal(&self, request: &[u8]) -> Option<String> {
        let mut client = Client::connect(self.addr()).ok()?;
        match client.send(request).and_then(|()| client.reply()) {
            Ok(Value::Error(text)) => Some(text.clone()),
            Ok(_) => None,
            Err(why) => Some(why),
        }
    }

    /// Throws the keys away of a store that keeps them in memory.
    pub(crate) fn clear(&self) -> Result<()> {
        if self.name == RECIPES[0].name { clear(self.addr()) } else { Ok(()) }
    }
}

/// A fresh node alone that may use so much memory.
pub(crate) fn node_with_memory(ground: &Ground, bytes: u64) -> Result<Subject> {
    let started = ours::node_with(ground, &format!("memory_bytes = {bytes}"))?;
    wait_until_it_answers("node", &started.addr)?;
    Ok(Subject { name: "node".to_owned(), started })
}

/// Two fresh nodes with a proxy and a controller, and the proxy as what is measured.
pub(crate) fn cluster_of_ours(ground: &Ground) -> (Cluster, Subject) {
    let (cluster, started) = ours::cluster(ground);
    (cluster, Subject { name: "proxy-nodes".to_owned(), started })
}

/// The same with so many slots.
pub(crate) fn cluster_with_slots(ground: &Ground, slots: u16) -> (Cluster, Subject) {
    let (cluster, started) = ours::cluster_with_slots(ground, slots);
    (cluster, Subject { name: "proxy-nodes".to_owned(), started })
}

/// Our proxy in codis-proxy's place before these servers.
pub(crate) fn proxy_before(ground: &Ground) -> Result<Subject> {
    let started = ours::proxy(ground, &harness::program())?;
    wait_until_it_answers("proxy", &started.addr)?;
    Ok(Subject { name: "proxy".to_owned(), started })
}

fn clear(addr: &str) -> Result<()> {
    let mut client = Client::connect(addr).map_err(anyhow::Error::msg)?;
    let reply = client.command("FLUSHALL SYNC").map_err(anyhow::Error::msg)?;
    ensure!(!matches!(reply, Value::Error(_)), "{addr} keeps its keys: {reply:?}");
    Ok(())
}

fn wait_until_it_answers(name: &str, addr: &str) -> Result<()> {
    let answer = || -> Result<(), String> {
        match Client::connect(addr)?.command("GET ready")? {
            Value::Error(text) => Err(text),
            _ => Ok(()),
        }
    };
    let begin = Instant::now();
    while let Err(why) = answer() {
        ensure!(begin.elapsed() < START_MAX, "{name} does not answer within {START_MAX:?}: {why}");
        std::thread::sleep(START_LOOK);
    }
    Ok(())
}

/// Linux gives ports from here on to sockets that connect (`net.ipv4.ip_local_port_range`).
const EPHEMERAL: u16 = 32_768;

/// A process that listens on a port of its own, in a directory of its own.
struct Alone {
    port: u16,
    directory: TempDir,
}

impl Alone {
    fn new() -> Result<Self> {
        Ok(Self { port: free_port(), directory: TempDir::new()? })
    }

    /// One that listens on other ports, too, each so much above its own. They are below those the system gives to whoever connects.
    fn with_ports_above(distances: &[u16]) -> Result<Self> {
        let is_free =
            |port: u16| port < EPHEMERAL && TcpListener::bind(("127.0.0.1", port)).is_ok();
        let fits = |alone: &Self| distances.iter().all(|distance| is_free(alone.port + distance));
        loop {
            let alone = Self::new()?;
            if fits(&alone) {
                return Ok(alone);
            }
        }
    }

    fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Writes a file into the directory; returns its path.
    fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    }

    /// Starts the program; what stands behind it is the ground, if it is a proxy.
    fn run(self, program: &Path, args: &[&str], ground: Option<&Ground>) -> Started {
        let name = program.file_name().map_or_else(String::new, |n| n.display().to_string());
        let mut process = Process::new(&name, program.to_owned(), args, self.directory.path());
        process.start("");
        Started {
            addr: self.addr(),
            processes: vec![process.id()],
            behind: ground.map_or_else(Vec::new, Ground::ids),
            _parts: vec![Box::new(process), Box::new(self.directory)],
        }
    }
}
