//! Nodes that know slots and nothing else: the words of docs/WIRE.md §4 over real sockets, decided by `cluster::SlotState` as in a real node.
//!
//! All nodes share one lock, so that what must hold between them is looked at after every transition.

use bytes::BytesMut;
use cluster::state::{Migration, Verdict};
use cluster::{Epoch, MigrationId, Slot, SlotCount, SlotRanges, SlotState, Token};
use parking_lot::Mutex;
use protocol::frame::{Value, decode};
use protocol::reply::{Reply, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// All nodes.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<Inner>>);

struct Inner {
    count: SlotCount,
    nodes: BTreeMap<String, Node>,
    tripwire: Option<Tripwire>,
    /// Every word said, in order, without the questions.
    words: Vec<String>,
    /// How long a batch of words that sync takes.
    sync: Duration,
}

/// Something that happens once, at the n-th word.
struct Tripwire {
    word: &'static str,
    left: usize,
    moment: Moment,
    tripped: Arc<Notify>,
}

/// Whether the word is executed before nothing more is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

struct Node {
    id: String,
    boot: u32,
    cluster: String,
    slots: Vec<SlotState>,
    jobs: BTreeMap<MigrationId, Job>,
    manner: Manner,
    running: Option<CancellationToken>,
    /// What ABORT and DROP were said of: a word that comes late must not begin it again.
    over: BTreeSet<MigrationId>,
    pace: u64,
}

/// What a node remembers of a migration until it is restarted.
#[derive(Clone, Debug)]
struct Job {
    slot: Slot,
    phase: &'static str,
    stall: Option<u64>,
    error: Option<String>,
}

/// How a node behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    #[default]
    Good,
    /// Refuses every IMPORT.
    NoRoom,
    /// The copy never ends.
    SlowCopy,
    /// The copy ends in an error.
    BadCopy,
    /// Armed, it never hands off.
    NoHandoff,
    /// It grants and then is not heard of any more by the target.
    GrantLost,
}

impl World {
    pub(crate) fn new(slots: u32) -> Self {
        let count = SlotCount::new(slots).unwrap();
        let sync = Duration::from_millis(5);
        Self(Arc::new(Mutex::new(Inner {
            count,
            nodes: BTreeMap::new(),
            tripwire: None,
            words: Vec::new(),
            sync,
        })))
    }

    /// A new node on a free port; returns its address.
    pub(crate) async fn add(&self, id: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let slots = vec![SlotState::Unclaimed; usize::from(self.0.lock().count.get())];
        let node = Node {
            id: id.to_owned(),
            boot: 1,
            cluster: "-".to_owned(),
            slots,
            jobs: BTreeMap::new(),
            manner: Manner::Good,
            running: None,
            over: BTreeSet::new(),
            pace: 0,
        };
        self.0.lock().nodes.insert(addr.clone(), node);
        self.serve(&addr, listener);
        addr
    }

    fn serve(&self, addr: &str, listener: TcpListener) {
        let stop = CancellationToken::new();
        self.node(addr, |n| n.running = Some(stop.clone()));
        let (world, addr) = (self.clone(), addr.to_owned());
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = world.clone().connection(addr.clone(), stream);
                tokio::spawn(stop.clone().run_until_cancelled_owned(connection));
            }
        }));
    }

    fn node<T>(&self, addr: &str, with: impl FnOnce(&mut Node) -> T) -> T {
        with(self.0.lock().nodes.get_mut(addr).unwrap())
    }

    pub(crate) fn behave(&self, addr: &str, manner: Manner) {
        self.node(addr, |n| n.manner = manner);
    }

    /// The node is gone, as by kill -9.
    pub(crate) fn kill(&self, addr: &str) {
        self.node(addr, |n| n.running.take()).unwrap().cancel();
    }

    /// The node is back with what it had on disk.
    pub(crate) async fn restart(&self, addr: &str) {
        let listener = loop {
            match TcpListener::bind(addr).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        self.node(addr, |n| {
            n.boot += 1;
            n.jobs.clear();
            n.over.clear();
            let slots = std::mem::take(&mut n.slots);
            n.slots = slots.into_iter().map(SlotState::restarted).collect();
            for (slot, state) in n.slots.iter().enumerate() {
                let phase = match state {
                    SlotState::Doubt { .. } => "doubt",
                    SlotState::Granted { .. } => "granted",
                    SlotState::Importing { .. } => "importing",
                    SlotState::Ready { .. } => "ready",
                    _ => continue,
                };
                let id = state.migration().unwrap().id;
                n.jobs.insert(id, Job { slot: Slot(slot as u16), phase, stall: None, error: None });
            }
        });
        self.serve(addr, listener);
        let (world, addr) = (self.clone(), addr.to_owned());
        tokio::spawn(async move {
            while !world.settle_doubts(&addr) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }

    /// Another node listens where this one did.
    pub(crate) fn replace(&self, addr: &str, id: &str) {
        self.node(addr, |n| {
            id.clone_into(&mut n.id);
            "-".clone_into(&mut n.cluster);
            n.slots.fill(SlotState::Unclaimed);
            n.jobs.clear();
        });
    }

    /// From the n-th such word on nobody answers the controller; the returned signal says so.
    pub(crate) fn trip(&self, word: &'static str, nth: usize, moment: Moment) -> Arc<Notify> {
        let tripped = Arc::new(Notify::new());
        let notify = Arc::clone(&tripped);
        self.0.lock().tripwire = Some(Tripwire { word, left: nth, moment, tripped });
        notify
    }

    pub(crate) fn untrip(&self) {
        self.0.lock().tripwire = None;
    }

    /// The words said since the last call.
    pub(crate) fn take_words(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().words)
    }

    pub(crate) fn pace(&self, addr: &str) -> u64 {
        self.node(addr, |n| n.pace)
    }

    pub(crate) fn forget_pace(&self, addr: &str) {
        self.node(addr, |n| n.pace = 0);
    }

    /// Waits until so many copies go out of the nodes.
    pub(crate) async fn copying(&self, count: usize) {
        let copies = || {
            let inner = self.0.lock();
            inner
                .nodes
                .values()
                .flat_map(|n| n.jobs.values())
                .filter(|j| j.phase == "copying")
                .count()
        };
        crate::controller::eventually(async || (copies() == count).then_some(())).await.unwrap();
    }

    /// Slow copies come to their end.
    pub(crate) fn finish_copies(&self) {
        let mut inner = self.0.lock();
        let jobs = inner.nodes.values_mut().flat_map(|n| n.jobs.values_mut());
        jobs.filter(|j| j.phase == "copying").for_each(|j| j.phase = "copied");
    }

    pub(crate) fn state(&self, addr: &str, slot: u16) -> SlotState {
        self.node(addr, |n| n.slots[usize::from(slot)].clone())
    }

    /// Who owns each slot; panics if a slot is not whole at exactly one node, or anything of a migration is left.
    pub(crate) fn owners(&self) -> Vec<(String, Epoch)> {
        self.whole().unwrap()
    }

    /// Who owns each slot, once nothing of a migration is left.
    pub(crate) fn whole(&self) -> Result<Vec<(String, Epoch)>, String> {
        let inner = self.0.lock();
        let of = |slot: Slot| {
            let mut owners = Vec::new();
            for (addr, node) in &inner.nodes {
                match &node.slots[usize::from(slot.0)] {
                    SlotState::Owned { epoch } => owners.push((addr.clone(), *epoch)),
                    SlotState::Absent { .. } => {}
                    other => return Err(format!("slot {slot} at {addr} is left as {other:?}")),
                }
            }
            if owners.len() == 1 {
                Ok(owners.remove(0))
            } else {
                Err(format!("slot {slot} is owned by {owners:?}"))
            }
        };
        inner.count.slots().map(of).collect()
    }

    async fn connection(self, addr: String, mut stream: TcpStream) {
        service::listener::prepare(&stream);
        let mut input = BytesMut::new();
        loop {
            let mut out = Vec::new();
            let mut sync = false;
            while let Ok(Some((request, len))) = decode(&input) {
                let _ = input.split_to(len);
                let args: Vec<String> = request
                    .as_items()
                    .unwrap()
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect();
                sync |= args.len() > 1 && ["ARM", "DURABLE", "ASSIGN"].contains(&args[1].as_str());
                if !self.execute(&addr, &args, &mut out) {
                    std::future::pending::<()>().await;
                }
            }
            if sync {
                let time = self.0.lock().sync;
                tokio::time::sleep(time).await;
            }
            if stream.write_all(&out).await.is_err()
                || !matches!(stream.read_buf(&mut input).await, Ok(1..))
            {
                return;
            }
        }
    }

    /// Answers one request; returns false if nothing more is to be answered.
    fn execute(&self, addr: &str, args: &[String], out: &mut Vec<u8>) -> bool {
        let mut reply = Reply::new(out, Version::Resp2);
        if args[0] != "SLIPWAY" {
            reply.simple("PONG");
            return true;
        }
        let mut inner = self.0.lock();
        let said = args[1..].join(" ");
        if !["MOVES", "LINK", "CLAIM", "PACE", "WHERE"].contains(&args[1].as_str()) {
            inner.words.push(said);
        }
        let moment = inner.reached(&args[1]);
        if moment == Some(Moment::Before) {
            return false;
        }
        let words: Vec<&str> = args[1..].iter().map(String::as_str).collect();
        if let Err(why) = inner.word(addr, &words, &mut reply) {
            reply.error(format!("ERR {why}"));
        }
        inner.check();
        let armed: Vec<MigrationId> = if words[0] == "ARM" { ids(&words[1..]) } else { Vec::new() };
        drop(inner);
        for id in armed {
            let (world, addr) = (self.clone(), addr.to_owned());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                world.0.lock().hand_off(&addr, id);
            });
        }
        moment.is_none()
    }

    /// The source asks the target of every slot it is in doubt about; returns whether none is left.
    fn settle_doubts(&self, addr: &str) -> bool {
        let mut inner = self.0.lock();
        let node = &inner.nodes[addr];
        if node.running.is_none() {
            return true;
        }
        let doubts: Vec<(Slot, Migration)> = (0..)
            .map(Slot)
            .zip(&node.slots)
            .filter_map(|(slot, state)| match state {
                SlotState::Doubt { out, .. } => Some((slot, out.clone())),
                _ => None,
            })
            .collect();
        let mut left = false;
        for (slot, out) in doubts {
            let Some(verdict) = inner.resolve(slot, &out) else {
                left = true;
                continue;
            };
            inner.change(addr, slot, |s| s.resolved(out.id, verdict).map(|n| n.0)).unwrap();
            let phase = if verdict == Verdict::Owned { "granted" } else { "unknown" };
            inner.note(addr, out.id, phase);
        }
        inner.check();
        !left
    }
}

impl Inner {
    fn reached(&mut self, word: &str) -> Option<Moment> {
        let tripwire = self.tripwire.as_mut()?;
        if tripwire.left == 0 {
            return Some(Moment::Before);
        }
        if tripwire.word == word {
            tripwire.left -= 1;
            if tripwire.left == 0 {
                tripwire.tripped.notify_one();
                return Some(tripwire.moment);
            }
        }
        None
    }

    /// At most one node executes writes of a slot.
    fn check(&self) {
        for slot in self.count.slots() {
            let writers = self.nodes.values().filter(|n| {
                let state = &n.slots[usize::from(slot.0)];
                state.writes() && *state != SlotState::Unclaimed
            });
            assert!(writers.count() <= 1, "two nodes write slot {slot}");
        }
    }

    fn change(
        &mut self,
        addr: &str,
        slot: Slot,
        next: impl FnOnce(SlotState) -> Result<SlotState, cluster::state::Refused>,
    ) -> Result<(), String> {
        let node = self.nodes.get_mut(addr).unwrap();
        let state = node.slots[usize::from(slot.0)].clone();
        node.slots[usize::from(slot.0)] = next(state).map_err(|e| format!("slot {slot}: {e}"))?;
        Ok(())
    }

    fn note(&mut self, addr: &str, id: MigrationId, phase: &'static str) {
        if let Some(job) = self.nodes.get_mut(addr).and_then(|n| n.jobs.get_mut(&id)) {
            job.phase = phase;
        }
    }

    fn word(&mut self, addr: &str, words: &[&str], reply: &mut Reply<'_>) -> Result<(), String> {
        let count = self.count;
        let node = self.nodes.get_mut(addr).unwrap();
        match words {
            ["LINK", "control", _, cluster, slots] => {
                assert_eq!(slots.parse(), Ok(count.get()));
                if node.cluster != "-" && node.cluster != *cluster {
                    return Err("the cluster ids differ".to_owned());
                }
                reply.array(4);
                let boot = format!("boot-{}", node.boot);
                for text in [node.id.as_str(), &boot, &node.cluster] {
                    reply.bulk(text.as_bytes());
                }
                reply.int(count.get().into());
            }
            ["CLAIM", cluster, _group] => {
                (*cluster).clone_into(&mut node.cluster);
                reply.ok();
            }
            ["ASSIGN", epoch, owner, ranges] => {
                let epoch = Epoch(epoch.parse().unwrap());
                let ranges: SlotRanges = ranges.parse().unwrap();
                let owner = (*owner != "OWNED").then(|| (*owner).to_owned());
                let mut changed = 0;
                for slot in ranges.iter() {
                    let state = &mut node.slots[usize::from(slot.0)];
                    if let Ok((next, _)) = state.clone().assign(epoch, owner.clone()) {
                        *state = next;
                        changed += 1;
                    }
                }
                reply.int(changed);
            }
            ["PACE", bytes] => {
                node.pace = bytes.parse().unwrap();
                reply.ok();
            }
            ["WHERE", slot] => {
                let state = &node.slots[slot.parse::<usize>().unwrap()];
                reply.array(4);
                for text in [state.name(), &state.epoch().to_string(), "-", "-"] {
                    reply.bulk(text.as_bytes());
                }
            }
            ["MOVES"] => {
                reply.array(node.jobs.len());
                for id in node.jobs.keys() {
                    reply.bulk(node.report(&id.to_string()).as_bytes());
                }
            }
            ["MOVES", wanted @ ..] => {
                reply.array(wanted.len());
                for id in wanted {
                    reply.bulk(node.report(id).as_bytes());
                }
            }
            ["IMPORT", id, slot, epoch, peer] => {
                if node.manner == Manner::NoRoom {
                    return Err("no room on the disk".to_owned());
                }
                let (slot, from) = migration(slot, id, epoch, peer);
                if node.over.contains(&from.id) {
                    return Err("the migration was dropped".to_owned());
                }
                self.change(addr, slot, |s| s.import(from.clone()).map(|n| n.0))?;
                self.job(addr, slot, from.id, "importing");
                reply.ok();
            }
            ["EXPORT", id, slot, epoch, peer] => {
                let phase = match node.manner {
                    Manner::SlowCopy => "copying",
                    Manner::BadCopy => "failed",
                    _ => "copied",
                };
                let (slot, out) = migration(slot, id, epoch, peer);
                if node.over.contains(&out.id) {
                    return Err("the migration was called off".to_owned());
                }
                self.change(addr, slot, |s| s.export(out.clone()).map(|n| n.0))?;
                self.job(addr, slot, out.id, phase);
                reply.ok();
            }
            ["ARM", wanted @ ..] => {
                reply.array(wanted.len());
                for id in ids(wanted) {
                    match self.arm(addr, id) {
                        Ok(()) => reply.bulk(b"OK"),
                        Err(why) => reply.bulk(why.as_bytes()),
                    }
                }
            }
            ["ABORT", id] => {
                let id = id.parse().unwrap();
                if let Some(slot) = self.slot_of(addr, id) {
                    self.change(addr, slot, |s| s.abort(id).map(|n| n.0))
                        .map_err(|e| e.replace("slot ", "of "))?;
                    self.note(addr, id, "unknown");
                }
                self.nodes.get_mut(addr).unwrap().over.insert(id);
                reply.ok();
            }
            ["DROP", id] => {
                let id = id.parse().unwrap();
                if let Some(slot) = self.slot_of(addr, id) {
                    self.change(addr, slot, |s| s.dropped(id).map(|n| n.0))?;
                    self.note(addr, id, "refused");
                }
                self.nodes.get_mut(addr).unwrap().over.insert(id);
                reply.ok();
            }
            ["DURABLE", wanted @ ..] => {
                for text in wanted {
                    let (slot, epoch) = text.split_once(':').unwrap();
                    let state = &node.slots[slot.parse::<usize>().unwrap()];
                    if !state.writes() || state.epoch().0 < epoch.parse().unwrap() {
                        return Err(format!("slot {slot} is not owned here since epoch {epoch}"));
                    }
                }
                reply.ok();
            }
            ["CLEAN", wanted @ ..] => {
                for id in ids(wanted) {
                    if let Some(slot) = self.slot_of(addr, id) {
                        self.change(addr, slot, |s| s.clean(id).map(|n| n.0))?;
                    }
                }
                reply.ok();
            }
            other => panic!("no such word: {other:?}"),
        }
        Ok(())
    }

    fn job(&mut self, addr: &str, slot: Slot, id: MigrationId, phase: &'static str) {
        let error = (phase == "failed").then(|| "the disk has a bad sector".to_owned());
        let job = Job { slot, phase, stall: None, error };
        self.nodes.get_mut(addr).unwrap().jobs.entry(id).or_insert(job);
    }

    fn slot_of(&self, addr: &str, id: MigrationId) -> Option<Slot> {
        self.nodes[addr].jobs.get(&id).map(|j| j.slot)
    }

    fn arm(&mut self, addr: &str, id: MigrationId) -> Result<(), String> {
        let slot = self.slot_of(addr, id).ok_or("no such migration")?;
        if matches!(self.nodes[addr].jobs[&id].phase, "importing" | "ready") {
            return Ok(());
        }
        self.change(addr, slot, |s| s.arm(id).map(|n| n.0))?;
        self.note(addr, id, "armed");
        Ok(())
    }

    /// Seal, FINAL, READY, grant and GRANT between two nodes that are both there, if the source is armed.
    fn hand_off(&mut self, addr: &str, id: MigrationId) {
        let node = &self.nodes[addr];
        let (Some(slot), Some(_)) = (self.slot_of(addr, id), &node.running) else { return };
        let SlotState::Armed { out, attempt, .. } = &node.slots[usize::from(slot.0)] else {
            return;
        };
        let (target, attempt, manner) = (out.peer.clone(), attempt + 1, node.manner);
        if manner == Manner::NoHandoff || self.nodes[&target].running.is_none() {
            return;
        }
        self.change(addr, slot, |s| s.seal(id).map(|n| n.0)).unwrap();
        if self.change(&target, slot, |s| s.ready(id, attempt, Token(9)).map(|n| n.0)).is_err() {
            self.change(addr, slot, |s| s.unseal(id, attempt).map(|n| n.0)).unwrap();
            return;
        }
        self.note(&target, id, "ready");
        self.change(addr, slot, |s| s.grant(id, attempt, Token(9)).map(|n| n.0)).unwrap();
        self.note(addr, id, "granted");
        if manner != Manner::GrantLost {
            self.deliver(addr, &target, slot, id, attempt);
        }
        self.check();
    }

    fn deliver(&mut self, addr: &str, target: &str, slot: Slot, id: MigrationId, attempt: u32) {
        self.change(target, slot, |s| s.granted(id, attempt).map(|n| n.0)).unwrap();
        self.note(target, id, "owned");
        self.note(addr, id, "owned");
        if let Some(job) = self.nodes.get_mut(addr).and_then(|n| n.jobs.get_mut(&id)) {
            job.stall = Some(1500);
        }
    }

    fn resolve(&mut self, slot: Slot, out: &Migration) -> Option<Verdict> {
        let target = self.nodes.get_mut(&out.peer).filter(|n| n.running.is_some())?;
        let state = target.slots[usize::from(slot.0)].clone();
        let (next, _, verdict) = state.resolve(out.id, out.epoch);
        target.slots[usize::from(slot.0)] = next;
        self.note(&out.peer, out.id, if verdict == Verdict::Owned { "owned" } else { "refused" });
        Some(verdict)
    }
}

impl World {
    /// Grants that were lost arrive.
    pub(crate) fn deliver_grants(&self) {
        let mut inner = self.0.lock();
        let mut granted = Vec::new();
        for (addr, node) in &inner.nodes {
            for (slot, state) in node.slots.iter().enumerate() {
                if let SlotState::Granted { out, attempt, .. } = state {
                    granted.push((
                        addr.clone(),
                        out.peer.clone(),
                        Slot(slot as u16),
                        out.id,
                        *attempt,
                    ));
                }
            }
        }
        for (source, target, slot, id, attempt) in granted {
            inner.deliver(&source, &target, slot, id, attempt);
        }
    }
}

impl Node {
    fn report(&self, id: &str) -> String {
        let Some(job) = self.jobs.get(&id.parse().unwrap()) else {
            return format!(r#"{{"id":"{id}","phase":"unknown"}}"#);
        };
        let epoch = self.slots[usize::from(job.slot.0)].migration().map_or(Epoch(0), |m| m.epoch);
        serde_json::json!({
            "id": id, "slot": job.slot, "epoch": epoch, "phase": job.phase, "keys": 3, "bytes": 300, "bytes_estimated": 400,
            "attempt": 1, "stall_write_us": job.stall, "error": job.error,
        })
        .to_string()
    }
}

fn migration(slot: &str, id: &str, epoch: &str, peer: &str) -> (Slot, Migration) {
    let migration = Migration {
        id: id.parse().unwrap(),
        epoch: Epoch(epoch.parse().unwrap()),
        peer: peer.to_owned(),
    };
    (Slot(slot.parse().unwrap()), migration)
}

fn ids(words: &[&str]) -> Vec<MigrationId> {
    words.iter().map(|w| w.parse().unwrap()).collect()
}
