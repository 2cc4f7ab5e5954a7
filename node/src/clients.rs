//! Who is connected: what CLIENT LIST shows and CLIENT KILL ends.

use crate::waiting::Waiter;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU16, AtomicU64, AtomicUsize, Ordering::Relaxed,
};
use tokio_util::sync::CancellationToken;

/// One connection, as others see it. The session writes, anybody reads.
#[derive(Debug)]
pub struct Client {
    pub id: u64,
    pub addr: SocketAddr,
    pub local: SocketAddr,
    pub since_ms: u64,
    pub name: Mutex<Vec<u8>>,
    /// When it last sent something.
    pub active_ms: AtomicU64,
    pub db: AtomicU8,
    /// 2 or 3.
    pub resp: AtomicU8,
    /// The index of its last command.
    pub command: AtomicU16,
    /// Commands queued since MULTI, -1 without.
    pub queued: AtomicI64,
    /// Commands so far.
    pub commands: AtomicU64,
    /// Ends the session when cancelled.
    pub stop: CancellationToken,
    /// It was ended by CLIENT KILL.
    pub killed: AtomicBool,
    /// Its command that waits for a key.
    pub(crate) waiting: Mutex<Option<Arc<Waiter>>>,
}

impl Client {
    /// Ends the connection soon, without another word.
    pub fn kill(&self) {
        self.killed.store(true, Relaxed);
        self.stop.cancel();
    }

    fn flags(&self) -> &'static str {
        if self.waiting.lock().is_some() {
            "b"
        } else if self.queued.load(Relaxed) >= 0 {
            "x"
        } else {
            "N"
        }
    }

    /// One line of CLIENT LIST.
    pub fn describe(&self, now_ms: u64) -> String {
        let mut line = String::new();
        let seconds = |ms: u64| now_ms.saturating_sub(ms) / 1000;
        let command = protocol::command::table()
            .get(usize::from(self.command.load(Relaxed)))
            .map_or("NULL", |c| c.name);
        let multi = self.queued.load(Relaxed);
        let written = write!(
            line,
            "id={} addr={} laddr={} fd=0 name={} age={} idle={} flags={} db={} sub=0 psub=0 ssub=0 multi={multi} cmd={command} user=default \
             resp={} tot-cmds={}",
            self.id,
            self.addr,
            self.local,
            String::from_utf8_lossy(&self.name.lock()),
            seconds(self.since_ms),
            seconds(self.active_ms.load(Relaxed)),
            self.flags(),
            self.db.load(Relaxed),
            self.resp.load(Relaxed),
            self.commands.load(Relaxed),
        );
        debug_assert!(written.is_ok(), "writing to memory");
        line
    }
}

/// All connections of a node.
#[derive(Debug)]
pub struct Clients {
    open: Mutex<BTreeMap<u64, Arc<Client>>>,
    last_id: AtomicU64,
    max: usize,
    /// How many have a command that waits for a key.
    pub(crate) blocked: AtomicUsize,
}

impl Clients {
    /// At most `max` of them.
    pub fn new(max: usize) -> Self {
        Self {
            open: Mutex::default(),
            last_id: AtomicU64::new(0),
            max,
            blocked: AtomicUsize::new(0),
        }
    }

    /// Takes a connection in; nothing if there are too many.
    pub fn enter(
        &self,
        addr: SocketAddr,
        local: SocketAddr,
        stop: CancellationToken,
    ) -> Option<Arc<Client>> {
        let mut open = self.open.lock();
        if open.len() >= self.max {
            return None;
        }
        let now = crate::slots::now_ms();
        let client = Arc::new(Client {
            id: self.last_id.fetch_add(1, Relaxed) + 1,
            addr,
            local,
            since_ms: now,
            name: Mutex::default(),
            active_ms: AtomicU64::new(now),
            db: AtomicU8::new(0),
            resp: AtomicU8::new(2),
            command: AtomicU16::new(u16::MAX),
            queued: AtomicI64::new(-1),
            commands: AtomicU64::new(0),
            stop,
            killed: AtomicBool::new(false),
            waiting: Mutex::default(),
        });
        open.insert(client.id, client.clone());
        Some(client)
    }

    /// The connection is gone.
    pub fn leave(&self, client: &Client) {
        self.open.lock().remove(&client.id);
    }

    /// One of them.
    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.open.lock().get(&id).cloned()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.open.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, oldest first.
    pub fn all(&self) -> Vec<Arc<Client>> {
        self.open.lock().values().cloned().collect()
    }
}
