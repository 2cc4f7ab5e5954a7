//! Doubles of foreign nodes in this process, each on a thread of its own.

use crate::resp::Client;
use doubles::{Running, codis_server, pika};
use protocol::frame::Value;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// One node; it is gone with this.
pub struct Double {
    /// Where it is.
    pub addr: String,
    password: String,
    running: Option<Running>,
    runtime: Option<Runtime>,
}

impl Double {
    /// A Pika 4.0.1.
    pub fn pika(settings: pika::Settings) -> Self {
        let password = settings.password.clone();
        Self::start(password, |listener| pika::start(listener, settings))
    }

    /// A codis-server.
    pub fn codis_server(settings: codis_server::Settings) -> Self {
        let password = settings.password.clone();
        Self::start(password, |listener| codis_server::start(listener, settings))
    }

    fn start(
        password: String,
        start: impl FnOnce(TcpListener) -> std::io::Result<Running>,
    ) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let running = runtime.block_on(async {
            start(TcpListener::bind(crate::product::free_addr()).await.unwrap()).unwrap()
        });
        let addr = running.address().to_string();
        Self { addr, password, running: Some(running), runtime: Some(runtime) }
    }

    /// A client of it, logged in.
    pub fn client(&self) -> Client {
        let mut client = Client::connect(&self.addr).unwrap();
        if !self.password.is_empty() {
            client.command(&format!("AUTH {}", self.password)).unwrap();
        }
        client
    }

    /// Tells it what no real node is told: `FAULT streams off`, `PACE 2`, `RESTART` …
    pub fn tell(&self, words: &str) {
        let reply = self.client().command(&format!("DOUBLE {words}")).unwrap();
        assert_eq!(reply.as_str(), Some("OK"), "{words}: {reply:?}");
    }

    /// The keys that its index has of these slots, as SLOTSINFO says.
    pub fn keys_of(&self, slots: std::ops::RangeInclusive<i64>) -> i64 {
        keys_of(&mut self.client(), slots)
    }

    /// Why it died, if it has.
    pub fn death(&self) -> Option<String> {
        self.running.as_ref().and_then(|running| running.death().map(str::to_owned))
    }
}

/// The keys that a node has of these slots, as SLOTSINFO says.
pub fn keys_of(client: &mut Client, slots: std::ops::RangeInclusive<i64>) -> i64 {
    let (first, count) = (*slots.start(), slots.end() - slots.start() + 1);
    let reply = client.command(&format!("SLOTSINFO {first} {count}")).unwrap();
    let rows = reply.as_items().unwrap_or_else(|| panic!("{reply:?}"));
    rows.iter().filter_map(|row| row.as_items()?.get(1).and_then(Value::as_int)).sum()
}

impl std::fmt::Debug for Double {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Double").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.running = None;
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}
