//! Who is connected, over all workers, and a way to end a connection from elsewhere. Off the path of requests.

use dashmap::DashMap;
use parking_lot::Mutex;
use protocol::command::CommandId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// All clients.
#[derive(Debug)]
pub(crate) struct Registry {
    cards: DashMap<u64, Arc<Card>>,
    doors: Vec<Door>,
}

/// What others may know of a client.
#[derive(Debug)]
pub(crate) struct Card {
    pub(crate) id: u64,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) local: Option<SocketAddr>,
    worker: usize,
    connected: Instant,
    /// Milliseconds after `connected`; written once a read.
    heard_ms: AtomicU64,
    command: AtomicU16,
    killed: AtomicBool,
    /// How often it has begun or ended to wait in a command that blocks.
    blocks: AtomicU64,
    /// The wait that was called off last.
    unblocked: AtomicU64,
    pub(crate) says: Mutex<Says>,
}

/// What a client says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Says {
    pub(crate) name: String,
    pub(crate) library: String,
    pub(crate) library_version: String,
    pub(crate) database: u32,
    pub(crate) resp3: bool,
}

/// Where a worker is told what to do to its clients.
#[derive(Debug, Default)]
pub(crate) struct Door {
    wishes: Mutex<Vec<(u64, Wish)>>,
    knock: Notify,
}

/// What is to be done to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Kill,
    /// Its command that blocks, which has this number, is to be called off.
    Unblock(u64, Unblock),
}

/// How CLIENT UNBLOCK ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unblock {
    /// As if the time were up.
    Timeout,
    Error,
}

impl Registry {
    pub(crate) fn new(workers: usize) -> Self {
        Self { cards: DashMap::new(), doors: (0..workers).map(|_| Door::default()).collect() }
    }

    pub(crate) fn enter(&self, card: Arc<Card>) {
        self.cards.insert(card.id, card);
    }

    pub(crate) fn leave(&self, id: u64) {
        self.cards.remove(&id);
    }

    /// Every client, the oldest first.
    pub(crate) fn cards(&self) -> Vec<Arc<Card>> {
        let mut cards: Vec<Arc<Card>> =
            self.cards.iter().map(|entry| Arc::clone(entry.value())).collect();
        cards.sort_unstable_by_key(|card| card.id);
        cards
    }

    /// Ends a client's connection soon, and before its next request is looked at.
    pub(crate) fn kill(&self, card: &Card) {
        card.killed.store(true, Release);
        self.wish(card, Wish::Kill);
    }

    /// Calls off soon what a client waits for; returns whether it waits, and nobody has done so before.
    pub(crate) fn unblock(&self, id: u64, how: Unblock) -> bool {
        let Some(card) = self.cards.get(&id) else { return false };
        let number = card.blocks.load(Relaxed);
        if !is_blocked(number) || card.unblocked.swap(number, Relaxed) == number {
            return false;
        }
        self.wish(&card, Wish::Unblock(number, how));
        true
    }

    fn wish(&self, card: &Card, wish: Wish) {
        if let Some(door) = self.doors.get(card.worker) {
            door.wishes.lock().push((card.id, wish));
            door.knock.notify_one();
        }
    }

    /// Waits until something is to be done to clients of this worker.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub(crate) async fn wishes(&self, worker: usize) -> Vec<(u64, Wish)> {
        match self.doors.get(worker) {
            Some(door) => {
                door.knock.notified().await;
                std::mem::take(&mut *door.wishes.lock())
            }
            None => std::future::pending().await,
        }
    }
}

fn is_blocked(number: u64) -> bool {
    number % 2 == 1
}

impl Card {
    pub(crate) fn new(
        id: u64,
        worker: usize,
        peer: Option<SocketAddr>,
        local: Option<SocketAddr>,
        now: Instant,
    ) -> Self {
        Self {
            id,
            peer,
            local,
            worker,
            connected: now,
            heard_ms: AtomicU64::new(0),
            command: AtomicU16::new(u16::MAX),
            killed: AtomicBool::new(false),
            blocks: AtomicU64::new(0),
            unblocked: AtomicU64::new(0),
            says: Mutex::default(),
        }
    }

    /// The client has said something. Hot path: two plain stores.
    pub(crate) fn heard(&self, now: Instant, command: Option<CommandId>) {
        self.heard_ms.store((now - self.connected).as_millis() as u64, Relaxed);
        if let Some(command) = command {
            self.command.store(command.0, Relaxed);
        }
    }

    /// Whether CLIENT KILL was about it. Hot path: one load.
    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Acquire)
    }

    /// Begins to wait in a command that blocks, or ends.
    pub(crate) fn turn_blocked(&self) {
        self.blocks.fetch_add(1, Relaxed);
    }

    /// The number of the command in which it waits now.
    pub(crate) fn blocked(&self) -> Option<u64> {
        Some(self.blocks.load(Relaxed)).filter(|&number| is_blocked(number))
    }

    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.connected)
    }

    pub(crate) fn idle(&self, now: Instant) -> Duration {
        self.age(now).saturating_sub(Duration::from_millis(self.heard_ms.load(Relaxed)))
    }

    /// The command of the client's last read.
    pub(crate) fn command(&self) -> &'static str {
        protocol::command::table()
            .get(usize::from(self.command.load(Relaxed)))
            .map_or("NULL", |command| command.name)
    }
}
