//! Carries moves out: sees, decides, stores, says, over and over.
//!
//! One task owns everything here. Each turn: what has happened is taken in; decisions ([`crate::step`]) that the store must know are stored,
//! all of them with one sync; only then the words they allow are said, each node getting one batch. Whatever is not stored is seen again, so
//! the controller may be killed at any point.
//!
//! What it does not do: stand in the way of a handoff. Between ARM and the target's ownership the nodes need nobody.

mod answers;
mod job;
mod orders;
mod peer;
mod watch;
mod window;

pub(crate) use orders::{Ask, Asked, Denied};

use crate::Error;
use crate::config::{Config, Limits};
use crate::contact::{Contact, Event, What};
use crate::link::{Hello, Introduction};
use crate::metrics::Metrics;
use crate::state::{Change, Moving, Phase, State, WantStatus};
use crate::report::NodePhase;
use crate::step::{Mark, Role, Sight, Step, Word};
use crate::store::Store;
use cluster::{GroupId, MigrationId, Slot, Table};
use job::{Ends, Job, Named};
use parking_lot::Mutex;
use peer::{Peer, Status};
use service::failpoint;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch as watch_channel};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use watch::{Around, Watch};
use window::Window;

/// The longest pause between two migrations of one wish.
const RETRY_PAUSE_MAX: Duration = Duration::from_mins(1);

/// How long the store is left alone after it failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

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
    /// What nodes have said that the store must know.
    found: Vec<Change>,
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
    pub(crate) fn new(parts: Parts, config: &Config, tasks: &TaskTracker, stop: &CancellationToken) -> Self {
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
            found: Vec::new(),
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
        if !batch.is_empty() && self.store_is_due(now) {
            // Its error is kept in `store_error`, and the same is decided again.
            let _ = self.apply(batch).await;
        }
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
            let Some(moving) = self.state.slot(*slot).and_then(|r| r.moving.as_ref()) else { continue };
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

    // --- deciding

    fn decide(&mut self, now: Instant) -> Vec<Change> {
        let state = Arc::clone(&self.state);
        let lost = self.lost(now);
        let mut batch = self.learn_nodes();
        let still_fits = |change: &Change| match change {
            Change::Adopted { slot, .. } => state.slot(*slot).is_some_and(|r| r.moving.is_none()),
            _ => true,
        };
        batch.extend(self.found.drain(..).filter(still_fits));
        for (slot, moving) in state.migrations() {
            if let Some(Step::Store(mark)) = self.next(slot, moving, &lost, now) {
                batch.extend(self.change(slot, moving, mark, now));
            }
        }
        self.give_up(&lost, &mut batch);
        if !state.paused {
            self.begin(now, &mut batch);
        }
        batch
    }

    /// What is next for one migration; nothing if it is to be left alone.
    fn next(&mut self, slot: Slot, moving: &Moving, lost: &Lost, now: Instant) -> Option<Step> {
        let record = self.state.slot(slot)?;
        let paused = self.state.paused || record.want.as_ref().is_some_and(|w| w.status == WantStatus::Paused);
        let around = Around {
            now,
            paused,
            progress_at: self.peers.get(&moving.from).map_or(now, |p| p.progress_at),
            source_lost: lost.get(&moving.from).map(String::as_str),
            target_lost: lost.get(&moving.to).map(String::as_str),
        };
        let watch = self.watches.get_mut(&slot)?;
        (!watch.is_hushed(now)).then(|| watch.next(moving, &around, &self.limits))
    }

    fn change(&mut self, slot: Slot, moving: &Moving, mark: Mark, now: Instant) -> Vec<Change> {
        match mark {
            Mark::Armed => vec![Change::Armed { slot }],
            Mark::Settled => vec![Change::Settled { slot }],
            Mark::GrantedAfterAll => vec![Change::GrantedAfterAll { slot }],
            Mark::CalledOff(reason) => vec![Change::CalledOff { slot, reason }],
            Mark::Moved => {
                let mut figures = self.watches.get(&slot).map(Watch::figures).unwrap_or_default();
                figures.took_ms = now_ms().saturating_sub(moving.opened_ms);
                vec![Change::Moved { slot, figures }]
            }
            Mark::Whole => self.whole(slot, moving, now),
        }
    }

    /// The slot is whole at its owner: try again later, or give up.
    fn whole(&mut self, slot: Slot, moving: &Moving, now: Instant) -> Vec<Change> {
        let mut changes = vec![Change::Whole { slot }];
        let want = self.state.slot(slot).and_then(|r| r.want.as_ref()).filter(|w| w.to == moving.to);
        if let (Some(want), Phase::Undo { reason }) = (want, &moving.phase) {
            let tries = want.tries + 1;
            if tries >= self.limits.tries_max && want.status == WantStatus::Active {
                let reason = format!("given up after {tries} tries: {reason}");
                changes.push(Change::Failed { slot, reason });
            } else {
                let pause = self.limits.retry_pause * 2_u32.saturating_pow(tries.saturating_sub(1).min(16));
                self.retry_at.insert(slot, now + pause.min(RETRY_PAUSE_MAX));
            }
        }
        changes
    }

    /// Nodes that say for the first time who they are.
    fn learn_nodes(&self) -> Vec<Change> {
        let greeting = |(id, peer): (&GroupId, &Peer)| match &peer.status {
            Status::Greeting(hello) if objection(&self.state, *id, hello).is_none() => {
                let known = self.state.group(*id)?.node.is_some();
                (!known).then(|| Change::NodeLearnt { id: *id, node: hello.node.clone() })
            }
            _ => None,
        };
        self.peers.iter().filter_map(greeting).collect()
    }

    /// Wishes that wait for a node which has been away for too long.
    fn give_up(&self, lost: &Lost, batch: &mut Vec<Change>) {
        if lost.is_empty() {
            return;
        }
        for (slot, record) in self.state.records() {
            let Some(want) = record.wanted().filter(|_| record.moving.is_none()) else { continue };
            if let Some(reason) = lost.get(&record.group).or_else(|| lost.get(&want.to)) {
                batch.push(Change::Failed { slot, reason: reason.clone() });
            }
        }
    }

    /// Opens as many migrations as the window has room for.
    fn begin(&mut self, now: Instant, batch: &mut Vec<Change>) {
        let state = Arc::clone(&self.state);
        self.retry_at.retain(|_, at| *at > now);
        let littered: HashSet<(Slot, GroupId)> = state.debris.iter().map(|d| (d.slot, d.group)).collect();
        let adopted: HashSet<Slot> = batch.iter().filter_map(adopted_slot).collect();
        let mut window = Window::new(self.limits.slots_moving_max, state.migrations().map(|(_, m)| m));
        let is_up = |group: &GroupId| self.peers.get(group).is_some_and(|p| p.status == Status::Up);
        for (slot, record) in state.records() {
            let Some(to) = record.wanted().map(|w| w.to) else { continue };
            let ready = record.moving.is_none()
                && record.group != to
                && is_up(&record.group)
                && is_up(&to)
                && !self.retry_at.contains_key(&slot)
                && !littered.contains(&(slot, to))
                && !adopted.contains(&slot);
            if ready && window.enter(record.group, to) {
                batch.push(Change::Opened { slot, id: MigrationId(rand::random()) });
            }
        }
        if window.was_full {
            self.metrics.window_full.inc();
        }
    }

    /// The nodes that have been away for too long, and what to say of them.
    fn lost(&self, now: Instant) -> Lost {
        let limit = self.limits.node_away_max;
        let lost = |(id, peer): (&GroupId, &Peer)| {
            let (since, why) = peer.trouble()?;
            let text = || format!("group {id}'s node at {} has been away for {limit:?}: {why}", peer.addr);
            (now - since > limit).then(|| (*id, text()))
        };
        self.peers.iter().filter_map(lost).collect()
    }

    // --- storing

    fn store_is_due(&self, now: Instant) -> bool {
        self.store_error.as_ref().is_none_or(|(_, at)| now >= *at)
    }

    /// Stores a batch with one sync, and tells everybody who must know.
    async fn apply(&mut self, batch: Vec<Change>) -> Result<(), String> {
        fail_points(&batch, Moment::Before);
        let (store, changes, at_ms) = (Arc::clone(&self.store), batch.clone(), now_ms());
        let work = move || {
            let mut store = store.lock();
            let result = store.apply(changes, at_ms);
            (result, Arc::clone(store.state()))
        };
        let result = match tokio::task::spawn_blocking(work).await {
            Ok((result, state)) => {
                self.state = state;
                result
            }
            Err(error) => Err(Error::Serve(format!("the task that writes the store ended: {error}"))),
        };
        let now = Instant::now();
        match result {
            Ok(time) => {
                self.metrics.store_sync.observe(time.as_secs_f64());
                self.metrics.changed(&batch, &self.state);
                self.store_error = None;
                *self.health.lock() = None;
                self.follow(now);
                self.opened(&batch);
                self.table.send_if_modified(|table| {
                    let newer = table.version != self.state.version;
                    if newer {
                        *table = Arc::new(self.state.table());
                    }
                    newer
                });
                fail_points(&batch, Moment::After);
                Ok(())
            }
            Err(error) => Err(self.not_stored(&error, now)),
        }
    }

    /// Nobody has been told of these migrations yet: no need to ask.
    fn opened(&mut self, batch: &[Change]) {
        for change in batch {
            let Change::Opened { slot, .. } = change else { continue };
            let Some(watch) = self.watches.get_mut(slot) else { continue };
            watch.source.sight = Sight::Seen(NodePhase::Unknown);
            watch.target.sight = Sight::Seen(NodePhase::Unknown);
        }
    }

    fn not_stored(&mut self, error: &Error, now: Instant) -> String {
        self.metrics.store_errors.inc();
        tracing::error!(%error, "nothing was stored");
        let text = error.to_string();
        if let Error::Refused { slot, .. } = error {
            if let Some(watch) = self.watches.get_mut(&Slot(*slot)) {
                watch.hush(now);
            }
            self.retry_at.insert(Slot(*slot), now + RETRY_PAUSE_MAX);
        } else {
            self.store_error = Some((text.clone(), now + STORE_PAUSE));
            *self.health.lock() = Some(text.clone());
        }
        text
    }

    // --- saying

    /// Gives each node that waits for nothing its next batch.
    fn say(&mut self, now: Instant) {
        let state = Arc::clone(&self.state);
        self.greet(now);
        let mut jobs: BTreeMap<GroupId, Job> = BTreeMap::new();
        let free: Vec<GroupId> = self.peers.iter().filter(|(_, p)| p.is_free()).map(|(id, _)| *id).collect();
        for &id in &free {
            let job = jobs.entry(id).or_default();
            self.poll(id, &state, job, now);
            self.sweep(id, &state, job, now);
        }
        self.words(&state, &mut jobs, now);
        for (id, job) in jobs {
            if let Some(peer) = self.peers.get_mut(&id).filter(|_| !job.is_empty()) {
                peer.send(job);
            }
        }
    }

    /// Nodes that have said who they are: are they the right ones?
    fn greet(&mut self, now: Instant) {
        for (id, peer) in &mut self.peers {
            let Status::Greeting(hello) = &peer.status else { continue };
            if let Some(why) = objection(&self.state, *id, hello) {
                if peer.is_news(&why) {
                    tracing::error!(group = %id, addr = peer.addr, "{why}");
                }
                peer.refuse(why, now);
                continue;
            }
            // Its name must be on disk before it is claimed.
            let Some(group) = self.state.group(*id).filter(|g| g.node.is_some()) else { continue };
            peer.status = Status::Claiming(hello.clone());
            peer.send(Job::greet(&self.state, group));
        }
    }

    fn poll(&mut self, id: GroupId, state: &State, job: &mut Job, now: Instant) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if std::mem::take(&mut peer.pace_is_new) {
            job.pace(state.pace_bytes);
        }
        let ids: Vec<MigrationId> =
            state.migrations().filter(|(_, m)| m.from == id || m.to == id).map(|(_, m)| m.id).collect();
        if !ids.is_empty() && now >= peer.poll_at() {
            peer.polled_at = now;
            job.moves(&ids);
        }
    }

    /// Copies that were called off and still lie at the target.
    fn sweep(&mut self, id: GroupId, state: &State, job: &mut Job, now: Instant) {
        self.debris_at.retain(|_, at| *at > now);
        for debris in state.debris.iter().filter(|d| d.group == id && !self.debris_at.contains_key(&d.id)) {
            failpoint::hit("control.drop");
            job.drop(debris);
        }
    }

    fn words(&mut self, state: &State, jobs: &mut BTreeMap<GroupId, Job>, now: Instant) {
        let lost = self.lost(now);
        let mut batches: BTreeMap<(GroupId, u8), (Word, Vec<Named>)> = BTreeMap::new();
        for (slot, moving) in state.migrations() {
            let Some(Step::Say(word)) = self.next(slot, moving, &lost, now) else { continue };
            let to = if word.role() == Role::Source { moving.from } else { moving.to };
            let Some(job) = jobs.get_mut(&to) else { continue };
            failpoint::hit(word.fail_point());
            let named = Named { slot, id: moving.id, epoch: moving.epoch };
            let alone = self.watches.get(&slot).is_some_and(|w| w.alone);
            if word.takes_many() && !alone {
                batches.entry((to, batch_key(word))).or_insert_with(|| (word, Vec::new())).1.push(named);
                continue;
            }
            let addr = |group: GroupId| state.group(group).map_or("", |g| &g.addr);
            let ends = Ends { source: addr(moving.from), target: addr(moving.to) };
            job.one(word, named, ends);
        }
        for ((to, _), (word, named)) in batches {
            jobs.entry(to).or_default().many(word, named);
        }
        for id in jobs.iter().filter(|(_, job)| job.has_words()).map(|(id, _)| *id).collect::<Vec<_>>() {
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.stir(self.limits.poll_time);
            }
        }
    }

    // --- around

    fn wake_at(&self) -> Instant {
        let now = Instant::now();
        let busy = |id: GroupId| self.state.migrations().any(|(_, m)| m.from == id || m.to == id);
        let polls = self.peers.iter().filter(|(id, p)| p.is_free() && busy(**id)).map(|(_, p)| p.poll_at());
        let store = self.store_error.as_ref().map(|(_, at)| *at);
        let retry = self.retry_at.values().chain(self.debris_at.values()).copied();
        polls.chain(store).chain(retry).min().map_or(now + IDLE_MAX, |at| at.min(now + IDLE_MAX))
    }

    fn show(&self) {
        let up = |(id, peer): (&GroupId, &Peer)| (*id, peer.status == Status::Up);
        self.metrics.picture(&self.state, self.peers.iter().map(up));
    }
}

/// Nodes that have been away for too long, with the reason.
type Lost = BTreeMap<GroupId, String>;

/// Why the node that answers is not the one of this group, if so.
fn objection(state: &State, id: GroupId, hello: &Hello) -> Option<String> {
    let group = state.group(id)?;
    if hello.cluster != "-" && hello.cluster != state.cluster {
        return Some(format!(
            "the node at {} belongs to another cluster ({}, ours is {}): give group {id} the address of its own node",
            group.addr, hello.cluster, state.cluster
        ));
    }
    if let Some(other) = state.groups.iter().find(|g| g.id != id && g.node.as_deref() == Some(&hello.node)) {
        return Some(format!(
            "the node at {} is the node of group {} (id {}): give group {id} the address of its own node",
            group.addr, other.id, hello.node
        ));
    }
    match &group.node {
        Some(node) if *node != hello.node => Some(format!(
            "the node at {} is not the one group {id} had: its id is {}, and {node} is expected. Start the node with the data directory \
             it had, or give the group the address where it listens now",
            group.addr, hello.node
        )),
        _ => None,
    }
}

fn adopted_slot(change: &Change) -> Option<Slot> {
    match change {
        Change::Adopted { slot, .. } => Some(*slot),
        _ => None,
    }
}

/// Words that go into one batch.
fn batch_key(word: Word) -> u8 {
    match word {
        Word::Arm(Role::Target) => 0,
        Word::Arm(Role::Source) => 1,
        Word::Durable => 2,
        _ => 3,
    }
}

#[derive(Clone, Copy)]
enum Moment {
    Before,
    After,
}

/// Places where a test can kill the controller around a store record.
fn fail_points(batch: &[Change], moment: Moment) {
    for change in batch {
        match (change, moment) {
            (Change::Opened { .. }, Moment::Before) => failpoint::hit("control.opened.before"),
            (Change::Opened { .. }, Moment::After) => failpoint::hit("control.opened.after"),
            (Change::Armed { .. }, Moment::Before) => failpoint::hit("control.armed.before"),
            (Change::Armed { .. }, Moment::After) => failpoint::hit("control.armed.after"),
            (Change::Settled { .. }, Moment::Before) => failpoint::hit("control.settled.before"),
            (Change::Settled { .. }, Moment::After) => failpoint::hit("control.settled.after"),
            (Change::Moved { .. }, Moment::Before) => failpoint::hit("control.moved.before"),
            (Change::Moved { .. }, Moment::After) => failpoint::hit("control.moved.after"),
            (Change::CalledOff { .. }, Moment::After) => failpoint::hit("control.called_off.after"),
            (Change::Whole { .. }, Moment::After) => failpoint::hit("control.whole.after"),
            _ => {}
        }
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as u64)
}
