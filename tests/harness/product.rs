//! A Codis product of real processes on the loopback address: servers of any kind, proxies with codis-proxy's configuration, and a
//! [`Dashboard`] that drives them.

use crate::dashboard::{Dashboard, Settings, Store};
use crate::process::{Process, free_port};
use crate::resp::Client;
use crate::turn::{Company, Turn};
use crate::{eventually, program};
use codis::model::Model;
use protocol::frame::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Nothing here takes longer unless something is wrong.
const START_MAX: Duration = Duration::from_secs(30);

/// What serves slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `slipway node` without a controller.
    Ours,
    /// Debian's redis-server.
    Redis,
}

/// One server.
#[derive(Debug)]
pub struct Backend {
    pub addr: String,
    pub process: Process,
}

impl Backend {
    /// Starts one and waits until it answers.
    pub fn start(kind: Kind, name: &str, directory: &Path) -> Self {
        match kind {
            Kind::Ours => Self::ours(name, directory, ""),
            Kind::Redis => Self::redis(name, directory),
        }
    }

    /// A node of ours that nobody has told anything, with further settings.
    pub fn ours(name: &str, directory: &Path, more: &str) -> Self {
        let [addr, admin] = [free_addr(), free_addr()];
        let (file, data) = (directory.join(format!("{name}.toml")), directory.join(name));
        let text = format!(
            "data = \"{}\"\nlisten = \"{addr}\"\nadmin = \"{admin}\"\n{more}\n",
            data.display()
        );
        std::fs::write(&file, text).unwrap();
        let args = ["node", "--config", file.to_str().unwrap()];
        Self { addr, process: Process::new(name, program(), &args, directory) }.up()
    }

    /// A Redis that keeps nothing.
    pub fn redis(name: &str, directory: &Path) -> Self {
        let addr = free_addr();
        let port = addr.rsplit(':').next().unwrap();
        let dir = directory.to_str().unwrap();
        let args = [
            "--port",
            port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            dir,
        ];
        Self { process: Process::new(name, "redis-server".into(), &args, directory), addr }.up()
    }

    fn up(mut self) -> Self {
        self.process.start("");
        self.wait();
        self
    }

    /// Waits until it answers PING, if only with the wish for a password.
    pub fn wait(&mut self) {
        eventually(&format!("{} answers", self.addr), START_MAX, || {
            match Client::connect(&self.addr)?.command("PING")? {
                Value::Simple(pong) if pong == "PONG" => Ok(()),
                Value::Error(line) if line.starts_with("NOAUTH") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }
}

/// One proxy of ours in the place of codis-proxy.
#[derive(Debug)]
pub struct Proxy {
    pub addr: String,
    pub admin: String,
    pub process: Process,
}

impl Proxy {
    /// Starts one with codis-proxy's configuration and flags, and waits until it tells who it is. `more` is put over the rest of the file.
    pub fn start(name: &str, directory: &Path, more: &str, flags: &[&str]) -> Self {
        let [addr, admin] = [free_addr(), free_addr()];
        let file = directory.join(format!("{name}.toml"));
        let text = format!(
            "product_name = \"codis-demo\"\nproto_type = \"tcp4\"\nproxy_addr = \"{addr}\"\nadmin_addr = \"{admin}\"\n{more}\n"
        );
        std::fs::write(&file, text).unwrap();
        let mut args = vec!["proxy", "--config", file.to_str().unwrap()];
        args.extend(flags);
        let process = Process::new(name, program(), &args, directory);
        let mut proxy = Self { addr, admin, process };
        proxy.process.start("");
        proxy.wait();
        proxy
    }

    /// Waits until it answers.
    pub fn wait(&mut self) {
        let limit = Duration::from_secs(1);
        eventually(&format!("{} tells who it is", self.admin), START_MAX, || {
            crate::dashboard::call(&self.admin, "GET", "/api/proxy/model", b"", limit)
        });
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::connect(&self.addr).unwrap()
    }
}

/// Two groups of one server, of which the first has all slots, and some proxies that are online.
#[derive(Debug)]
pub struct Product {
    pub servers: Vec<Backend>,
    pub proxies: Vec<Proxy>,
    pub models: Vec<Model>,
    pub dashboard: Arc<Dashboard>,
    pub store: Store,
    pub directory: TempDir,
    _turn: Turn,
}

/// What a product is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    pub kind: Kind,
    pub proxies: usize,
    pub settings: Settings,
    /// For the ends of the proxies' files.
    pub proxy: &'static str,
    pub company: Company,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            kind: Kind::Ours,
            proxies: 1,
            settings: Settings::default(),
            proxy: "",
            company: Company::Any,
        }
    }
}

impl Product {
    /// Starts everything.
    pub fn start(parts: Parts) -> Self {
        let turn = Turn::take(parts.company);
        let directory = TempDir::new().unwrap();
        let server = |i: usize| Backend::start(parts.kind, &format!("server{i}"), directory.path());
        let servers: Vec<Backend> = (1..=2).map(server).collect();
        let proxy =
            |i: usize| Proxy::start(&format!("proxy{i}"), directory.path(), parts.proxy, &[]);
        let proxies: Vec<Proxy> = (1..=parts.proxies).map(proxy).collect();
        let store = Store::default();
        let dashboard = Arc::new(Dashboard::open(&store, parts.settings));
        for (id, server) in (1..).zip(&servers) {
            match parts.kind {
                Kind::Ours => dashboard.create_group(id, &[&server.addr]).unwrap(),
                Kind::Redis => dashboard.put_group(id, &[&server.addr]),
            }
        }
        let all = 0..=dashboard.settings.slots - 1;
        dashboard.assign(all, 1).unwrap();
        let models =
            proxies.iter().map(|proxy| dashboard.create_proxy(&proxy.admin).unwrap()).collect();
        Self { servers, proxies, models, dashboard, store, directory, _turn: turn }
    }

    /// The dashboard is gone; another one goes on with what was stored.
    pub fn restart_dashboard(&mut self) {
        self.dashboard = Arc::new(Dashboard::open(&self.store, self.dashboard.settings.clone()));
    }

    /// Orders all slots to a group.
    pub fn order_all_to(&self, group: i64) {
        self.dashboard.create_range(0..=self.dashboard.settings.slots - 1, group).unwrap();
    }

    /// All run, and none has panicked.
    pub fn assert_all_run(&mut self) {
        let proxies = self.proxies.iter_mut().map(|proxy| &mut proxy.process);
        for process in self.servers.iter_mut().map(|server| &mut server.process).chain(proxies) {
            assert!(process.runs(), "{process:?} has ended");
            assert!(!process.log().contains("panicked"), "{}", process.log());
        }
    }

    /// The keys of each server.
    pub fn keys(&self) -> Vec<usize> {
        let count = |server: &Backend| match Client::connect(&server.addr)?.command("DBSIZE")? {
            Value::Int(n) => Ok::<_, String>(usize::try_from(n).unwrap()),
            other => Err(format!("{other:?}")),
        };
        self.servers.iter().map(|server| count(server).unwrap()).collect()
    }
}

/// An address on the loopback that nobody uses.
pub fn free_addr() -> String {
    format!("127.0.0.1:{}", free_port())
}
