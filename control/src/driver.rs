//! Carries moves out: sees, decides, stores, says, over and over.
//!
//! One task owns everything here. Each turn: what has happened is taken in; decisions ([`crate::step`]) that the store must know are stored,
//! all of them with one sync; only then the words they allow are said, each node getting one batch. Whatever is not stored is seen again, so
//! the controller may be killed at any point.
//!
//! What it does not do: stand in the way of a handoff. Between ARM and the target's ownership the nodes need nobody.

mod answers;
mod decide;
mod documents;
mod job;
mod keep;
mod orders;
mod peer;
mod proxies;
mod say;
mod watch;
mod window;

pub(crate) use orders::{Ask, Asked, Denied};

use crate::config::{Config, Limits};
use crate::contact::{Contact, Event, What};
use crate::link::Introduction;
use crate::metrics::Metrics;
use crate::state::{Change, Moving, Phase, State};
use crate::step::Role;
use crate::store::Store;
use cluster::{GroupId, MigrationId, Slot, Table};
use parking_lot::Mutex;
use peer::{Peer, Status};
use proxies::Proxies;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch as watch_channel};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use watch::Watch;

/// How long a staged copy that could not be dropped is left alone.
const DEBRIS_PAUSE: Duration = Duration::from_secs(1);

/// The longest the driver sleeps when nothing moves.
const IDLE_MAX: Duration = Duration::from_secs(1);

/// The owner of the cluster's state.
#[derive(Debug)]
pub(crate) struct Driver {
    store: Arc<Mutex<Store>>,
    state: Arc<State>,
    limits: Limits,
    peers: BTreeMap<GroupId, Peer>,
    watches: BTreeMap<Slot, Watch>,
    /// When a slot whose migration was called off may be tried again.
    retry_at: HashMap<Slot, Instant>,
    debris_at: HashMap<MigrationId, Instant>,
    proxies: Proxies,
    born: Instant,
    /// Nodes want a password: then a Pika migrates by itself, one slot at a time.
    has_password: bool,
    /// What nodes have said that the store must know.
    found: Vec<Change>,
    /// Whether the last turn has stored anything: more may follow from it.
    has_stored: bool,
    /// Why the store did not take the last batch, and when it is tried again.
    store_error: Option<(String, Instant)>,
    health: Health,
    table: watch_channel::Sender<Arc<Table>>,
    metrics: Arc<Metrics>,
    events: mpsc::Receiver<Event>,
    asked: mpsc::Receiver<Asked>,
}

/// What `/readyz` says: why the controller cannot work, if so.
pub(crate) type Health = Arc<Mutex<Option<String>>>;

/// What a driver is made of.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) asked: mpsc::Receiver<Asked>,
    pub(crate) table: watch_channel::Sender<Arc<Table>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Health,
}

impl Driver {
    /// Starts a contact for each group; they end with `stop`.
    pub(crate) fn new(
        parts: Parts,
        config: &Config,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let state = Arc::clone(parts.store.state());
        let introduction = Introduction {
            cluster: state.cluster.clone(),
            slot_count: state.slot_count,
            password: config.password.clone(),
            connect_time: config.limits.connect_time,
            answer_time: config.limits.answer_time,
        };
        // Each contact has at most one event of each kind under way.
        let (events, events_in) = mpsc::channel(4 * state.groups.len().max(1));
        let now = Instant::now();
        let mut peers = BTreeMap::new();
        for group in &state.groups {
            let (orders, orders_in) = mpsc::channel(4);
            let contact = Contact {
                group: group.id,
                addr: group.addr.clone(),
                kind: group.kind,
                introduction: introduction.clone(),
                orders: orders_in,
                events: events.clone(),
                stop: stop.clone(),
            };
            tasks.spawn(contact.run());
            peers.insert(group.id, Peer::new(group.addr.clone(), orders, now));
        }
        Self {
            store: Arc::new(Mutex::new(parts.store)),
            state,
            limits: config.limits.clone(),
            peers,
            watches: BTreeMap::new(),
            retry_at: HashMap::new(),
            debris_at: HashMap::new(),
            proxies: Proxies::default(),
            born: now,
            has_password: config.password.is_some(),
            found: Vec::new(),
            has_stored: false,
            store_error: None,
            health: parts.health,
            table: parts.table,
            metrics: parts.metrics,
            events: events_in,
            asked: parts.asked,
        }
    }

    /// Runs until `stop`. What is under way at the nodes goes on without us; what is not stored is seen again at the next start.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let wake = self.wake_at();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(event) = self.events.recv() => self.happened(event),
                Some(asked) = self.asked.recv() => self.answer(asked).await,
                () = tokio::time::sleep_until(wake) => {}
            }
            while let Ok(event) = self.events.try_recv() {
                self.happened(event);
            }
            self.turn().await;
        }
    }

    async fn turn(&mut self) {
        let now = Instant::now();
        self.follow(now);
        let batch = self.decide(now);
        let is_news = !batch.is_empty() && self.store_is_due(now);
        // An error is kept in `store_error`, and the same is decided again.
        self.has_stored = is_news && self.apply(batch).await.is_ok();
        self.say(Instant::now());
        self.show();
    }

    // --- taking in

    fn happened(&mut self, event: Event) {
        let now = Instant::now();
        let Some(peer) = self.peers.get_mut(&event.group) else { return };
        match event.what {
            What::Linked { generation, hello } => {
                tracing::debug!(group = %event.group, addr = peer.addr, node = hello.node, boot = hello.boot, "a node answers");
                peer.linked(generation, hello);
                self.darken(event.group);
            }
            What::Known => {
                tracing::debug!(group = %event.group, addr = peer.addr, "a node that is not ours answers");
                peer.known();
            }
            What::Down(error) => {
                if peer.is_news(&error.0) {
                    tracing::warn!(group = %event.group, addr = peer.addr, %error, "a node is away");
                }
                // The contact's own word: a node that is not wanted stays so until it is another.
                if !matches!(peer.status, Status::Unwanted { .. }) {
                    peer.lost(error.to_string(), now);
                }
                self.darken(event.group);
            }
            What::Answered(replies) => {
                if let Some(job) = peer.job.take() {
                    self.answered(event.group, job, replies, now);
                }
            }
        }
    }

    /// Nothing that was seen at this group's node counts any more.
    fn darken(&mut self, group: GroupId) {
        for (slot, watch) in &mut self.watches {
            let Some(moving) = self.state.slot(*slot).and_then(|r| r.moving.as_ref()) else {
                continue;
            };
            if moving.from == group {
                watch.dark(Role::Source);
            }
            if moving.to == group {
                watch.dark(Role::Target);
            }
        }
    }

    /// Watches are those of the migrations that the store has.
    fn follow(&mut self, now: Instant) {
        let state = Arc::clone(&self.state);
        let is_there = |slot: &Slot, watch: &mut Watch| {
            state.slot(*slot).and_then(|r| r.moving.as_ref()).is_some_and(|m| m.id == watch.id)
        };
        self.watches.retain(is_there);
        for (slot, moving) in state.migrations() {
            self.watches.entry(slot).or_insert_with(|| Watch::new(moving, now)).follow(moving, now);
        }
    }

    // --- around

    fn wake_at(&self) -> Instant {
        let now = Instant::now();
        let poll = |(id, peer): (&GroupId, &Peer)| {
            let at = self.look_at(*id, now).filter(|_| peer.is_free())?;
            Some(at.max(peer.polled_at + self.limits.poll_time))
        };
        let polls = self.peers.iter().filter_map(poll);
        let store = self.store_error.as_ref().map(|(_, at)| *at);
        let retry = self.retry_at.values().chain(self.debris_at.values()).copied();
        // Whatever follows from the store alone.
        let is_due = |m: &Moving| {
            matches!(m.phase, Phase::Settled | Phase::Undo { .. })
                && self.state.is_by_proxies(m.from, m.to)
        };
        let due = self.store_error.is_none() && self.state.migrations().any(|(_, m)| is_due(m));
        let pause = if self.has_stored { Duration::ZERO } else { self.limits.poll_time };
        let due = due.then(|| now + pause);
        polls
            .chain(due)
            .chain(store)
            .chain(retry)
            .min()
            .map_or(now + IDLE_MAX, |at| at.min(now + IDLE_MAX))
    }

    fn show(&self) {
        let up = |(id, peer): (&GroupId, &Peer)| (*id, peer.status == Status::Up);
        self.metrics.picture(&self.state, self.peers.iter().map(up));
        self.metrics.proxies(&self.proxies.present(&self.state, &self.limits, Instant::now()));
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as u64)
}
