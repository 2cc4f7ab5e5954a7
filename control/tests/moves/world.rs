//! Nodes that know slots and nothing else: the words of docs/WIRE.md §4 over real sockets, decided by `cluster::SlotState` as in a real node.
//!
//! All nodes share one lock, so that what must hold between them is looked at after every transition.

mod words;

use bytes::BytesMut;
use cluster::state::{Migration, Verdict};
use cluster::{Epoch, MigrationId, Slot, SlotCount, SlotState};
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
        let armed: Vec<MigrationId> =
            if words[0] == "ARM" { words::ids(&words[1..]) } else { Vec::new() };
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
