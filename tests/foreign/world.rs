//! Two groups of one foreign node, proxies of ours in front of them, a dashboard that moves slots, and a load on exactly those slots.

use crate::size::size;
use cluster::SlotCount;
use codis::model::{ForwardMethod, Model};
use doubles::{codis_server, pika};
use harness::Company;
use harness::dashboard::{Dashboard, Settings, Store};
use harness::double::{Double, keys_of};
use harness::eventually;
use harness::load::{Load, Outcome};
use harness::product::{Backend, Proxy};
use harness::resp::Client;
use harness::turn::Turn;
use protocol::frame::Value;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Nothing waited for here takes longer unless something is wrong.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// A real dashboard sleeps 6 s after a failure: no client may wait for that.
const STALL_MAX_MS: f64 = 2000.0;

/// What has a group's slots.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Pika(pika::Settings),
    CodisServer(codis_server::Settings),
    Ours,
}

impl Node {
    /// Pika 4.0.1 as it is delivered, with slotmigrate.
    pub(super) fn pika() -> Self {
        Self::Pika(pika::Settings::default())
    }

    pub(super) fn codis_server() -> Self {
        Self::CodisServer(codis_server::Settings::default())
    }

    fn password(&self) -> String {
        match self {
            Self::Pika(settings) => settings.password.clone(),
            Self::CodisServer(settings) => settings.password.clone(),
            Self::Ours => String::new(),
        }
    }
}

/// What a world is made of.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    /// Has all slots at first.
    pub(super) source: Node,
    pub(super) target: Node,
    pub(super) method: ForwardMethod,
    pub(super) proxies: usize,
    /// For the ends of the proxies' files.
    pub(super) proxy: &'static str,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            source: Node::pika(),
            target: Node::pika(),
            method: ForwardMethod::SemiAsync,
            proxies: 1,
            proxy: "",
        }
    }
}

/// A node that runs.
#[derive(Debug)]
pub(super) enum Server {
    Double(Double),
    Ours(Backend),
}

impl Server {
    pub(super) fn start(node: &Node, name: &str, directory: &TempDir) -> Self {
        match node {
            Node::Pika(settings) => Self::Double(Double::pika(settings.clone())),
            Node::CodisServer(settings) => Self::Double(Double::codis_server(settings.clone())),
            Node::Ours => Self::Ours(Backend::ours(name, directory.path(), "")),
        }
    }

    pub(super) fn addr(&self) -> &str {
        match self {
            Self::Double(double) => &double.addr,
            Self::Ours(backend) => &backend.addr,
        }
    }

    /// The double that it is.
    pub(super) fn double(&self) -> &Double {
        match self {
            Self::Double(double) => double,
            Self::Ours(_) => panic!("it is ours"),
        }
    }

    pub(super) fn client(&self) -> Client {
        match self {
            Self::Double(double) => double.client(),
            Self::Ours(backend) => Client::connect(&backend.addr).unwrap(),
        }
    }
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) source: Server,
    pub(super) target: Server,
    pub(super) proxies: Vec<Proxy>,
    pub(super) models: Vec<Model>,
    pub(super) dashboard: Arc<Dashboard>,
    pub(super) store: Store,
    _directory: TempDir,
    _turn: Turn,
}

impl World {
    pub(super) fn start(parts: Parts) -> Self {
        Self::start_after(parts, |_| {})
    }

    /// The same, with something done at the source before any proxy knows of it.
    pub(super) fn start_after(parts: Parts, before: impl FnOnce(&Server)) -> Self {
        let turn = Turn::take(Company::Alone);
        let directory = TempDir::new().unwrap();
        let source = Server::start(&parts.source, "source", &directory);
        before(&source);
        let target = Server::start(&parts.target, "target", &directory);
        let auth = parts.source.password();
        let more = format!("product_auth = \"{auth}\"\n{}", parts.proxy);
        let proxy = |i: usize| Proxy::start(&format!("proxy{i}"), directory.path(), &more, &[]);
        let proxies: Vec<Proxy> = (1..=parts.proxies).map(proxy).collect();
        let settings = Settings {
            auth,
            method: parts.method,
            // What is repeated after 6 s is here repeated soon.
            failure_pause: Duration::from_millis(300),
            ..Settings::default()
        };
        let store = Store::default();
        let dashboard = Arc::new(Dashboard::open(&store, settings));
        for (id, server) in [(1, &source), (2, &target)] {
            dashboard.create_group(id, &[server.addr()]).unwrap();
        }
        dashboard.assign(0..=1023, 1).unwrap();
        let models =
            proxies.iter().map(|proxy| dashboard.create_proxy(&proxy.admin).unwrap()).collect();
        Self {
            source,
            target,
            proxies,
            models,
            dashboard,
            store,
            _directory: directory,
            _turn: turn,
        }
    }

    /// A client of the first proxy.
    pub(super) fn client(&self) -> Client {
        self.proxies[0].client()
    }

    /// How many slots move: 0 and so on.
    pub(super) fn slots() -> i64 {
        size(16, 64)
    }

    /// A load on the first slots, of names with capitals, hash tags, all kinds, big keys and times to live; it is under way.
    pub(super) fn load(&self, proxy: usize, more: &str) -> Load {
        let slots = Self::slots() - 1;
        let words = format!(
            "--rate 1000 --clients 16 --pipeline 1 --keys 1600 --big 200 --slots 0-{slots} --run-id run{proxy} --seconds 3600 {more}"
        );
        let load = Load::start(&self.proxies[proxy].addr, &words);
        eventually("the load is under way", LIMIT, || {
            // First values, of which those of the big keys come in several requests, and then some.
            match self.dashboard.stats(&self.models[proxy])?.ops.total {
                2500.. => Ok(()),
                n => Err(format!("{n} requests")),
            }
        });
        load
    }

    /// Moves the first slots as a dashboard does.
    pub(super) fn move_all(&self, group: i64) -> usize {
        self.dashboard.create_range(0..=Self::slots() - 1, group).unwrap();
        self.run()
    }

    /// Moves what is ordered, and returns how many slots that were.
    pub(super) fn run(&self) -> usize {
        let moves = self.dashboard.run(LIMIT).unwrap();
        println!("{moves:?}");
        moves.done
    }

    /// The source's index has no key of the slots that have moved.
    pub(super) fn source_is_empty(&self) {
        assert_eq!(keys_of(&mut self.source.client(), 0..=Self::slots() - 1), 0);
    }

    /// The same of the target, for slots that have come home.
    pub(super) fn target_is_empty(&self) {
        assert_eq!(keys_of(&mut self.target.client(), 0..=Self::slots() - 1), 0);
    }

    /// The dashboard is gone; another one goes on with what was stored.
    pub(super) fn restart_dashboard(&mut self) {
        self.dashboard = Arc::new(Dashboard::open(&self.store, self.dashboard.settings.clone()));
    }

    /// All run, and none has panicked.
    pub(super) fn all_run(&mut self) {
        for proxy in &mut self.proxies {
            assert!(proxy.process.runs(), "a proxy has ended");
            assert!(!proxy.process.log().contains("panicked"), "{}", proxy.process.log());
        }
        for server in [&self.source, &self.target] {
            if let Server::Double(double) = server {
                assert_eq!(double.death(), None);
            }
        }
    }
}

/// No error, no damage, and nobody waited long.
pub(super) fn not_noticed(outcome: &Outcome) {
    crate::moves_under_load::nothing_wrong(outcome);
    let latency = &outcome.report["latency_us"];
    let ms = |name: &str| latency[name].as_f64().unwrap() / 1000.0;
    println!(
        "{} requests, p50 {} ms, p99 {} ms, p99.9 {} ms, max {} ms",
        outcome.report["requests"]["replied"],
        ms("p50"),
        ms("p99"),
        ms("p99_9"),
        ms("max")
    );
    assert!(ms("max") < STALL_MAX_MS, "somebody waited {} ms", ms("max"));
}

/// Names that are in a slot, after a word.
pub(super) fn names(word: &str, slot: u16) -> impl Iterator<Item = String> {
    let names = (0..).map({
        let word = word.to_owned();
        move |n| format!("{word}{n}")
    });
    names.filter(move |name| SlotCount::DEFAULT.of(name.as_bytes()).0 == slot)
}

/// The first of them.
pub(super) fn name(word: &str, slot: u16) -> String {
    names(word, slot).next().unwrap()
}

/// Says something and gets a reply that is no error.
pub(super) fn ok(client: &mut Client, words: &str) -> Value {
    match client.command(words) {
        Ok(Value::Error(why)) => panic!("{words}: {why}"),
        Ok(value) => value,
        Err(why) => panic!("{words}: {why}"),
    }
}
