//! Two groups of foreign nodes, or one of ours, under our own controller, and proxies of ours in front.

use crate::foreign::world::{LIMIT, Node, Server};
use doubles::pika;
use harness::Company;
use harness::eventually;
use harness::load::Load;
use harness::process::Process;
use harness::product::free_addr;
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

/// One proxy.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) addr: String,
    pub(super) process: Process,
}

#[derive(Debug)]
pub(super) struct World {
    /// Has the lower half of the slots at first.
    pub(super) source: Server,
    pub(super) target: Server,
    pub(super) proxies: Vec<Proxy>,
    pub(super) control: Process,
    pub(super) admin: String,
    _directory: TempDir,
    _turn: Turn,
}

impl World {
    pub(super) fn start(target: &Node, proxies: usize) -> Self {
        Self::start_dying(target, proxies, "")
    }

    /// The same, with a controller that dies somewhere.
    pub(super) fn start_dying(target: &Node, proxies: usize, fail: &str) -> Self {
        let turn = Turn::take(Company::Alone);
        let directory = TempDir::new().unwrap();
        let source = Server::start(&Node::Pika(pika::Settings::default()), "source", &directory);
        let kind = if matches!(target, Node::Ours) { "slipway" } else { "pika" };
        let target = Server::start(target, "target", &directory);
        let admin = free_addr();
        let data = directory.path().join("control");
        let mut text =
            format!("data = \"{}\"\nlisten = \"{admin}\"\nslots = 1024\n", data.display());
        text.push_str("[limits]\nproxy_away_ms_max = 1500\nretry_pause_ms = 50\n");
        for (id, kind, server) in [(1, "pika", &source), (2, kind, &target)] {
            let addr = server.addr();
            write!(text, "[[group]]\nid = {id}\naddr = \"{addr}\"\nkind = \"{kind}\"\n").unwrap();
        }
        let process = |name: &str, role: &str, text: &str| {
            let file = directory.path().join(format!("{name}.toml"));
            std::fs::write(&file, text).unwrap();
            let args = [role, "--config", file.to_str().unwrap()];
            Process::new(name, program(), &args, directory.path())
        };
        let mut control = process("control", "control", &text);
        control.start(fail);
        let proxy = |i: usize| {
            let (addr, own) = (free_addr(), free_addr());
            let text =
                format!("listen = \"{addr}\"\nadmin = \"{own}\"\ncontroller = \"{admin}\"\n");
            let mut process = process(&format!("proxy{i}"), "proxy", &text);
            process.start("");
            Proxy { addr, process }
        };
        let proxies: Vec<Proxy> = (1..=proxies).map(proxy).collect();
        let world =
            Self { source, target, proxies, control, admin, _directory: directory, _turn: turn };
        (0..world.proxies.len()).for_each(|number| world.wait_for(number));
        world
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
        let words = format!(
            "--rate 1000 --clients 16 --pipeline 1 --keys 1600 --big 200 --slots {SLOTS} --run-id run{proxy} --seconds 3600 --server pika {more}"
        );
        let load = Load::start(&self.proxies[proxy].addr, &words);
        eventually("the load has written something", LIMIT, || {
            let keys = self.source.double().keys_of(0..=15) + self.target_keys();
            if keys > 300 { Ok(()) } else { Err(format!("{keys} keys")) }
        });
        load
    }

    fn target_keys(&self) -> i64 {
        match &self.target {
            Server::Double(double) => double.keys_of(0..=15),
            Server::Ours(_) => 0,
        }
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
        for server in [&self.source, &self.target] {
            if let Server::Double(double) = server {
                assert_eq!(double.death(), None);
            }
        }
    }
}
