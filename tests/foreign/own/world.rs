//! Groups of foreign nodes, and of ours, under our own controller, and proxies of ours in front.

use crate::foreign::world::{LIMIT, Node, Server};
use harness::Company;
use harness::double::keys_of;
use harness::eventually;
use harness::load::Load;
use harness::process::Process;
use harness::product::{Backend, free_addr};
use harness::program;
use harness::resp::Client;
use harness::turn::Turn;
use protocol::frame::Value;
use serde_json::Value as Json;
use std::fmt::Write;
use std::process::Command;
use tempfile::TempDir;

/// What move.
pub(super) const SLOTS: &str = "0-15";

/// For a load over several moves, each of which costs a time to live something, up to a second.
pub(super) const WITHOUT_TTL: &str =
    "--mix strings=4,counters=2,hashes=3,lists=3,sets=2,zsets=2,multi=2,missing=1";

/// One proxy.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) addr: String,
    pub(super) process: Process,
}

/// What a world is made of.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    /// Groups 1 and so on, which share the slots in equal runs.
    pub(super) groups: Vec<Node>,
    pub(super) proxies: usize,
    /// Where the controller dies.
    pub(super) fail: String,
    /// What all nodes want to hear; the settings of doubles say it too.
    pub(super) password: &'static str,
}

impl Parts {
    pub(super) fn of(groups: &[Node]) -> Self {
        Self { groups: groups.to_vec(), proxies: 1, fail: String::new(), password: "" }
    }
}

#[derive(Debug)]
pub(super) struct World {
    /// By group.
    nodes: Vec<Node>,
    password: &'static str,
    pub(super) servers: Vec<Server>,
    pub(super) proxies: Vec<Proxy>,
    pub(super) control: Process,
    pub(super) admin: String,
    directory: TempDir,
    _turn: Turn,
}

/// The file of a controller of these groups: kind and address.
fn control_file(admin: &str, directory: &TempDir, groups: &[(String, String)]) -> String {
    let data = directory.path().join("control");
    let mut text = format!("data = \"{}\"\nlisten = \"{admin}\"\nslots = 1024\n", data.display());
    text.push_str("[limits]\nproxy_away_ms_max = 1500\nretry_pause_ms = 50\n");
    for (id, (kind, addr)) in (1..).zip(groups) {
        write!(text, "[[group]]\nid = {id}\naddr = \"{addr}\"\nkind = \"{kind}\"\n").unwrap();
    }
    text
}

fn groups(nodes: &[Node], servers: &[Server]) -> Vec<(String, String)> {
    let group =
        |(node, server): (&Node, &Server)| (kind(node).to_owned(), server.addr().to_owned());
    nodes.iter().zip(servers).map(group).collect()
}

fn kind(node: &Node) -> &'static str {
    match node {
        Node::Pika(_) => "pika",
        Node::CodisServer(_) => "codis-server",
        Node::Ours => "slipway",
    }
}

impl World {
    /// Two groups, the first one a Pika.
    pub(super) fn start(target: &Node, proxies: usize) -> Self {
        Self::start_dying(target, proxies, "")
    }

    /// The same, with a controller that dies somewhere.
    pub(super) fn start_dying(target: &Node, proxies: usize, fail: &str) -> Self {
        let groups = [Node::pika(), target.clone()];
        Self::start_of(Parts { proxies, fail: fail.to_owned(), ..Parts::of(&groups) })
    }

    pub(super) fn start_of(parts: Parts) -> Self {
        let turn = Turn::take(Company::Alone);
        let directory = TempDir::new().unwrap();
        let said = |key: &str| match parts.password {
            "" => String::new(),
            password => format!("{key} = \"{password}\"\n"),
        };
        let server = |(at, node): (usize, &Node)| {
            let name = format!("node{}", at + 1);
            match node {
                Node::Ours => {
                    Server::Ours(Backend::ours(&name, directory.path(), &said("password")))
                }
                other => Server::start(other, &name, &directory),
            }
        };
        let servers: Vec<Server> = parts.groups.iter().enumerate().map(server).collect();
        let admin = free_addr();
        let groups = groups(&parts.groups, &servers);
        let text = said("password") + &control_file(&admin, &directory, &groups);
        let process = |name: &str, role: &str, text: &str| {
            let file = directory.path().join(format!("{name}.toml"));
            std::fs::write(&file, text).unwrap();
            let args = [role, "--config", file.to_str().unwrap()];
            Process::new(name, program(), &args, directory.path())
        };
        let mut control = process("control", "control", &text);
        control.start(&parts.fail);
        let proxy = |i: usize| {
            let (addr, own) = (free_addr(), free_addr());
            let text = format!(
                "listen = \"{addr}\"\nadmin = \"{own}\"\ncontroller = \"{admin}\"\n{}",
                said("node_password")
            );
            let mut process = process(&format!("proxy{i}"), "proxy", &text);
            process.start("");
            Proxy { addr, process }
        };
        let proxies: Vec<Proxy> = (1..=parts.proxies).map(proxy).collect();
        let (nodes, password) = (parts.groups, parts.password);
        let world =
            Self { nodes, password, servers, proxies, control, admin, directory, _turn: turn };
        (0..world.proxies.len()).for_each(|number| world.wait_for(number));
        world
    }

    /// The controller is started anew with one more group.
    pub(super) fn add_group(&mut self, node: &Node) {
        self.add_group_as(node, kind(node));
    }

    /// The same, and the file says that it is of this kind.
    pub(super) fn add_group_as(&mut self, node: &Node, kind: &str) {
        let mut groups = groups(&self.nodes, &self.servers);
        let name = format!("node{}", self.servers.len() + 1);
        let server = Server::start(node, &name, &self.directory);
        groups.push((kind.to_owned(), server.addr().to_owned()));
        self.servers.push(server);
        self.nodes.push(node.clone());
        let text = control_file(&self.admin, &self.directory, &groups);
        std::fs::write(self.directory.path().join("control.toml"), text).unwrap();
        self.control.stop();
        self.control.start("");
        eventually("the controller answers", LIMIT, || self.status().map(|_| ()));
    }

    /// Waits until a proxy serves.
    pub(super) fn wait_for(&self, number: usize) {
        eventually("a write goes through", LIMIT, || {
            let mut client = Client::connect(&self.proxies[number].addr)?;
            match client.command("SET ready yes")? {
                Value::Simple(ok) if ok == "OK" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }

    pub(super) fn client(&self) -> Client {
        Client::connect(&self.proxies[0].addr).unwrap()
    }

    /// A load on the slots that move; it is under way.
    pub(super) fn load(&self, proxy: usize, more: &str) -> Load {
        let is_codis = |node: &Node| matches!(node, Node::CodisServer(_));
        let kind = if self.nodes.iter().any(is_codis) { "codis-server" } else { "pika" };
        let words = format!(
            "--rate 1000 --clients 16 --pipeline 1 --keys 1600 --big 200 --slots {SLOTS} --run-id run{proxy} --seconds 3600 --server {kind} {more}"
        );
        let load = Load::start(&self.proxies[proxy].addr, &words);
        eventually("the load has written something", LIMIT, || {
            let keys: i64 = (1..=self.servers.len()).map(|group| self.keys_of(group)).sum();
            if keys > 300 { Ok(()) } else { Err(format!("{keys} keys")) }
        });
        load
    }

    /// How many keys a group's node has of the slots that move.
    pub(super) fn keys_of(&self, group: usize) -> i64 {
        keys_of(&mut self.client_of(group), 0..=15)
    }

    /// A client of a group's node itself.
    pub(super) fn client_of(&self, group: usize) -> Client {
        let server = &self.servers[group - 1];
        let mut client = server.client();
        if !self.password.is_empty() && matches!(server, Server::Ours(_)) {
            assert!(client.command(&format!("AUTH {}", self.password)).is_ok());
        }
        client
    }

    /// Says something with the operator's tool; what it prints, or what it complains of.
    pub(super) fn tool(&self, words: &str) -> Result<String, String> {
        let mut command = Command::new(program());
        command.args(words.split_whitespace()).args(["--admin", &self.admin]);
        let output = command.output().unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        if output.status.success() { Ok(text) } else { Err(text) }
    }

    pub(super) fn move_all(&self, group: u32) {
        self.tool(&format!("migrate --slots {SLOTS} --to {group}")).unwrap();
    }

    pub(super) fn status(&self) -> Result<Json, String> {
        let text = harness::http::get(&self.admin, "/api/v1/status")?;
        serde_json::from_str(&text).map_err(|e| format!("{e} in {text}"))
    }

    /// So many slots are at a group, and none moves.
    pub(super) fn settled(&self, group: usize, slots: u64) {
        eventually("all slots are where they shall be", LIMIT, || {
            let status = self.status()?;
            let here = status["groups"][group - 1]["slots"].as_u64();
            if here == Some(slots) && status["slots"]["settled"] == 1024 {
                return Ok(());
            }
            Err(status.to_string())
        });
    }

    /// All run, and none has panicked.
    pub(super) fn all_run(&mut self) {
        for process in self.proxies.iter_mut().map(|p| &mut p.process).chain([&mut self.control]) {
            assert!(process.runs(), "{process:?} has ended");
            assert!(!process.log().contains("panicked"), "{}", process.log());
        }
        for server in &self.servers {
            if let Server::Double(double) = server {
                assert_eq!(double.death(), None);
            }
        }
    }
}
