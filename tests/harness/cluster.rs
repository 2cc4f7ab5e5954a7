//! A whole cluster of real processes on the loopback address: controller, one node a group, one proxy.

use crate::process::{Process, free_port};
use crate::resp::Client;
use crate::turn::{Company, Turn};
use crate::{eventually, program};
use protocol::frame::Value;
use serde_json::Value as Json;
use std::fmt::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Nothing here takes longer unless something is wrong.
const START_MAX: Duration = Duration::from_secs(30);

/// A process of the cluster, by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Control,
    /// The node of group 1, which owns all slots at first.
    Source,
    /// The node of group 2.
    Target,
    Proxy,
}

/// What is said to the processes beside what they need.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Tables for the ends of the configuration files.
    pub control: &'a str,
    pub node: &'a str,
    pub proxy: &'a str,
    /// Fail points armed from the start.
    pub fail: &'a [(Role, &'a str)],
    pub company: Company,
    pub slots: u16,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Self { control: "", node: "", proxy: "", fail: &[], company: Company::Any, slots: 1024 }
    }
}

/// Four processes and the directory of their data.
#[derive(Debug)]
pub struct Cluster {
    /// Where clients connect.
    pub proxy: String,
    /// The controller's API.
    pub admin: String,
    /// The proxy's admin port.
    pub proxy_admin: String,
    /// The nodes, by group, from 1.
    pub nodes: [String; 2],
    /// Their admin ports.
    pub node_admins: [String; 2],
    processes: [Process; 4],
    /// Goes last: the processes' words are in it.
    pub directory: TempDir,
    _turn: Turn,
}

impl Cluster {
    /// Starts everything as it comes and waits until a write goes through.
    pub fn start() -> Self {
        Self::start_with(Settings::default())
    }

    /// The same with other settings.
    pub fn start_with(settings: Settings<'_>) -> Self {
        let turn = Turn::take(settings.company);
        let directory = TempDir::new().unwrap();
        let [admin, proxy, proxy_admin] = free_addrs();
        let (nodes, node_admins) = (free_addrs(), free_addrs());
        Configs {
            admin: &admin,
            proxy: &proxy,
            proxy_admin: &proxy_admin,
            nodes: &nodes,
            node_admins: &node_admins,
            settings,
        }
        .write(directory.path());
        let process = |name: &str, role: &str| {
            let file = directory.path().join(format!("{name}.toml"));
            Process::new(
                name,
                program(),
                &[role, "--config", file.to_str().unwrap()],
                directory.path(),
            )
        };
        let mut processes = [
            process("control", "control"),
            process("node1", "node"),
            process("node2", "node"),
            process("proxy", "proxy"),
        ];
        for role in [Role::Control, Role::Source, Role::Target, Role::Proxy] {
            let armed = settings.fail.iter().find(|(who, _)| *who == role);
            processes[role as usize].start(armed.map_or("", |(_, spec)| spec));
        }
        let mut cluster = Self {
            proxy,
            admin,
            proxy_admin,
            nodes,
            node_admins,
            processes,
            directory,
            _turn: turn,
        };
        cluster.wait_until_it_serves();
        cluster
    }

    /// Waits until a client can write.
    pub fn wait_until_it_serves(&mut self) {
        let proxy = self.proxy.clone();
        eventually("a write goes through the proxy", START_MAX, || {
            let mut client = Client::connect(&proxy)?;
            match client.command("SET ready yes")? {
                Value::Simple(ok) if ok == "OK" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }

    /// The process with this role.
    pub fn process(&mut self, role: Role) -> &mut Process {
        &mut self.processes[role as usize]
    }

    /// What the controller says of the cluster, be it well or not.
    pub fn status(&self) -> Result<Json, String> {
        let text = crate::http::get(&self.admin, "/api/v1/status")?;
        serde_json::from_str(&text).map_err(|e| format!("{e} in {text}"))
    }

    /// The process ids of all four.
    pub fn process_ids(&self) -> Vec<u32> {
        self.processes.iter().map(Process::id).collect()
    }

    /// All four run, and none has panicked.
    pub fn assert_all_run(&mut self) {
        for process in &mut self.processes {
            assert!(process.runs(), "{process:?} has ended");
            assert!(!process.log().contains("panicked"), "{}", process.log());
        }
    }

    /// Starts the operator's tool against this cluster and does not wait; what it says goes nowhere.
    pub fn tool_process(&self, words: &str) -> Child {
        let mut command = Command::new(program());
        command.args(words.split_whitespace()).args(["--admin", &self.admin]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Runs the operator's tool against this cluster; returns what it prints, or what it says if it fails.
    pub fn tool(&self, words: &str) -> Result<String, String> {
        let mut command = Command::new(program());
        command.args(words.split_whitespace()).args(["--admin", &self.admin]);
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(format!("{}: {}{}", output.status, text(&output.stdout), text(&output.stderr)))
        }
    }

    /// Runs the tool with `--json` and reads what it prints.
    pub fn tool_json(&self, words: &str) -> Result<Json, String> {
        let text = self.tool(&format!("{words} --json"))?;
        serde_json::from_str(&text).map_err(|e| format!("{e} in {text}"))
    }

    /// Every key of the cluster is on the node that owns its slot, and on no other; returns how many keys there are.
    pub fn check_each_key_is_on_one_node(&self) -> usize {
        let mut seen = std::collections::BTreeMap::new();
        for node in &self.nodes {
            let mut client = Client::connect(node).unwrap();
            let Ok(Value::Array(keys)) = client.command("KEYS *") else {
                panic!("{node} does not answer KEYS")
            };
            for key in keys {
                let key = key.as_str().unwrap().to_owned();
                if let Some(other) = seen.insert(key.clone(), node.clone()) {
                    panic!("{key} is on {other} and on {node}");
                }
            }
        }
        seen.len()
    }
}

fn free_addrs<const N: usize>() -> [String; N] {
    std::array::from_fn(|_| format!("127.0.0.1:{}", free_port()))
}

struct Configs<'a> {
    admin: &'a str,
    proxy: &'a str,
    proxy_admin: &'a str,
    nodes: &'a [String; 2],
    node_admins: &'a [String; 2],
    settings: Settings<'a>,
}

impl Configs<'_> {
    /// The configuration files of all four, with nothing in them that has a default but for the settings.
    fn write(&self, directory: &Path) {
        let data = |name: &str| directory.join(name).display().to_string();
        let Settings { control: control_more, node: node_more, proxy: proxy_more, slots, .. } =
            self.settings;
        let mut control = format!(
            "data = \"{}\"\nlisten = \"{}\"\nslots = {slots}\n",
            data("control"),
            self.admin
        );
        for (i, (node, admin)) in self.nodes.iter().zip(self.node_admins).enumerate() {
            let number = i + 1;
            write!(control, "[[group]]\nid = {number}\naddr = \"{node}\"\n").unwrap();
            let name = format!("node{number}");
            let text = format!(
                "data = \"{}\"\nlisten = \"{node}\"\nadmin = \"{admin}\"\nslots = {slots}\n{node_more}\n",
                data(&name)
            );
            std::fs::write(directory.join(format!("{name}.toml")), text).unwrap();
        }
        control.push_str(control_more);
        std::fs::write(directory.join("control.toml"), control).unwrap();
        let (listen, admin, controller) = (self.proxy, self.proxy_admin, self.admin);
        let text = format!(
            "listen = \"{listen}\"\nadmin = \"{admin}\"\ncontroller = \"{controller}\"\nslots = {slots}\n{proxy_more}\n"
        );
        std::fs::write(directory.join("proxy.toml"), text).unwrap();
    }
}
