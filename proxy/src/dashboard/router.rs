//! What a codis-dashboard has filled, and whether it has told us to start.
//!
//! Reads never wait for a fill: statistics must be answered within a second whatever happens, or codis-ha removes us.
//!
//! What is filled is law for plain nodes. Nodes of ours own the truth about their slots: for them it is a hint of where to ask, and neither locks
//! nor `migrate_from` hold a request up. A settled slot is what remains of a filled slot for the workers.

mod leaving;
mod own;

pub(crate) use own::Obstacle;

use super::fill::{Fill, Order, Unfinished};
use super::moves::{Moves, Stage};
use crate::config::Config;
use crate::dialect::Dialect;
use crate::foreign::examine::Copier;
use crate::foreign::known::Known;
use crate::foreign::sweep::Job;
use crate::upstream::{Flavour, connect};
use arc_swap::ArcSwap;
use codis::commands::texts::CLOSED_ROUTER;
use codis::fill::{plan, switched};
use codis::model::{ForwardMethod, Slot};
use dashmap::DashMap;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// All slots of a proxy, as filled.
#[derive(Debug)]
pub struct Router {
    config: Arc<Config>,
    /// By number, as the dashboard has them.
    slots: ArcSwap<Vec<Slot>>,
    phase: watch::Sender<Phase>,
    /// One fill after another.
    filling: tokio::sync::Mutex<Filling>,
    workers: Vec<Desk>,
    dialects: DashMap<String, Dialect>,
    /// Slots that move key by key.
    moves: Moves,
    /// Nodes that are not ours.
    known: Arc<Known>,
    /// A node is not what it was taken for.
    learnt: Notify,
    groups: Mutex<Groups>,
    /// Slots that sentinels have routed anew since they were filled last.
    switched: Mutex<BTreeSet<i64>>,
    /// Slots with keys that a copier must copy, as they were looked at last.
    carried: Mutex<BTreeSet<i64>>,
}

/// Where a proxy is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Clients are told `router is not online`.
    Waiting,
    Online,
    Closed,
}

/// How one worker gets its orders.
#[derive(Debug)]
struct Desk {
    orders: mpsc::UnboundedSender<Order>,
    taken: Mutex<Option<mpsc::UnboundedReceiver<Order>>>,
}

/// What the workers route by, by number.
#[derive(Debug)]
struct Filling {
    settled: Vec<Slot>,
}

impl Filling {
    fn place(&mut self, id: i64) -> Option<&mut Slot> {
        usize::try_from(id).ok().and_then(|id| self.settled.get_mut(id))
    }
}

/// Who fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Dashboard,
    Sentinels,
    /// There is no dashboard that would have nodes migrate by themselves.
    Controller(Copier),
}

impl By {
    fn copier(self) -> Copier {
        match self {
            Self::Controller(copier) => copier,
            Self::Dashboard | Self::Sentinels => Copier::None,
        }
    }
}

/// Which group an address was last filled with, and each group's primary.
#[derive(Debug, Default)]
struct Groups {
    of: HashMap<String, i64>,
    primaries: HashMap<i64, String>,
}

impl Router {
    pub(crate) fn new(slots: i64, config: &Arc<Config>) -> Self {
        let slots: Vec<Slot> = (0..slots).map(Slot::offline).collect();
        let desk = |_| {
            let (orders, taken) = mpsc::unbounded_channel();
            Desk { orders, taken: Mutex::new(Some(taken)) }
        };
        Self {
            config: Arc::clone(config),
            slots: ArcSwap::from_pointee(slots.clone()),
            phase: watch::Sender::new(Phase::Waiting),
            filling: tokio::sync::Mutex::new(Filling { settled: slots }),
            workers: (0..config.workers).map(desk).collect(),
            dialects: DashMap::new(),
            moves: Moves::default(),
            known: Arc::default(),
            learnt: Notify::new(),
            groups: Mutex::default(),
            switched: Mutex::default(),
            carried: Mutex::default(),
        }
    }

    /// What a worker is told, from its start on; nothing if it was taken before.
    pub(crate) fn orders(&self, worker: usize) -> Option<mpsc::UnboundedReceiver<Order>> {
        self.workers.get(worker)?.taken.lock().take()
    }

    /// Fills slots whose numbers and methods have been checked ([`codis::model::read_slots`]). When it returns, every worker routes by what was
    /// filled, and no request that was routed by what was there before is on its way. The error is the text for the dashboard; the slots before
    /// the refused one are filled then.
    ///
    /// # Cancel safety
    /// Not safe to drop: the workers may have done what [`Self::slots`] does not tell.
    pub async fn fill(&self, filled: Vec<Slot>) -> Result<(), String> {
        if self.phase() == Phase::Closed {
            return Err(CLOSED_ROUTER.to_owned());
        }
        let leaving = filled.iter().filter(|slot| !slot.locked && !slot.migrate_from.is_empty());
        let leaving: Vec<i64> = leaving.map(|slot| slot.id).collect();
        self.apply(filled, By::Dashboard).await?;
        self.await_moves(&leaving).await
    }

    /// Routes the slots of these groups to the primaries that sentinels name; all else stays as filled.
    pub async fn switch_primaries(&self, primaries: &BTreeMap<i64, String>) -> Result<(), String> {
        let changed: Vec<Slot> =
            self.slots.load().iter().filter_map(|slot| switched(slot, primaries)).collect();
        self.apply(changed, By::Sentinels).await
    }

    /// Whether sentinels have routed a slot anew since it was filled last.
    pub fn switched(&self) -> bool {
        !self.switched.lock().is_empty()
    }

    async fn apply(&self, filled: Vec<Slot>, by: By) -> Result<(), String> {
        let mut filling = self.filling.lock().await;
        if self.phase() == Phase::Closed {
            return Err(CLOSED_ROUTER.to_owned());
        }
        // A slot that is filled twice ends as the last one says.
        let filled: BTreeMap<i64, Slot> = filled.into_iter().map(|slot| (slot.id, slot)).collect();
        let filled: Vec<Slot> = filled.into_values().collect();
        self.probe(&filled).await;
        let before = filling.settled.clone();
        let (mut taken, mut settled, mut refused) = (Vec::new(), Vec::new(), Ok(()));
        for slot in filled {
            let examined = self.examine(&slot, by.copier()).await;
            match examined.and_then(|()| self.settle(&slot)) {
                Ok(for_workers) => {
                    settled.push(for_workers);
                    taken.push(slot);
                }
                Err(why) => {
                    tracing::warn!(slot = slot.id, why, "a fill is refused");
                    refused = Err(why);
                    break;
                }
            }
        }
        let done = self.carry_out(&mut filling, settled).await.map_err(|unfinished| {
            taken.retain(|slot| !unfinished.slots.contains(&slot.id));
            unfinished.why
        });
        let prepared = self.prepare_all(&mut filling, &before, (&mut taken, by.copier())).await;
        for slot in &taken {
            let is_leaving = filling.place(slot.id).filter(|slot| !slot.migrate_from.is_empty());
            match is_leaving {
                Some(s)
                    if s.forward_method == ForwardMethod::Sync
                        || matches!(by, By::Controller(_)) =>
                {
                    let means = self.dialect(&s.migrate_from);
                    self.moves.begin(Job::new(&self.config, s, means));
                }
                // The node itself moves it, by the dashboard's order.
                Some(_) => {}
                None if slot.migrate_from.is_empty() => self.forget(slot),
                None => {}
            }
        }
        self.install(taken, by);
        done.and(prepared).and(refused)
    }

    fn install(&self, filled: Vec<Slot>, by: By) {
        let mut slots = Vec::clone(&self.slots.load());
        let (mut groups, mut switched) = (self.groups.lock(), self.switched.lock());
        for slot in filled {
            let before = usize::try_from(slot.id).ok().and_then(|id| slots.get(id));
            self.note_leaving(before, &slot);
            groups.learn(&slot.backend_addr, slot.backend_addr_group_id);
            groups.learn(&slot.migrate_from, slot.migrate_from_group_id);
            match by {
                By::Dashboard | By::Controller(_) => switched.remove(&slot.id),
                By::Sentinels => switched.insert(slot.id),
            };
            if let Some(place) = usize::try_from(slot.id).ok().and_then(|id| slots.get_mut(id)) {
                *place = slot;
            }
        }
        self.slots.store(Arc::new(slots));
    }

    /// Has every worker do what differs, and waits for all of them.
    async fn carry_out(&self, filling: &mut Filling, settled: Vec<Slot>) -> Result<(), Unfinished> {
        let plans = plan(&filling.settled, settled);
        let Some(first) = plans.first() else { return Ok(()) };
        tracing::info!(slots = plans.len(), first = first.slot.id, "slots are filled");
        let fill = Arc::new(Fill::new(plans, self.workers.len()));
        let mut answers = Vec::new();
        for desk in &self.workers {
            let (done, answer) = oneshot::channel();
            // A worker that has ended routes nothing.
            let _ = desk.orders.send(Order { fill: Arc::clone(&fill), done });
            answers.push(answer);
        }
        let mut result = Ok(());
        for answer in answers {
            result = result.and(answer.await.unwrap_or(Ok(())));
        }
        let undone = result.as_ref().err().map(|unfinished| &unfinished.slots);
        for plan in &fill.plans {
            if undone.is_some_and(|slots| slots.contains(&plan.slot.id)) {
                continue;
            }
            if let Some(place) = filling.place(plan.slot.id) {
                place.clone_from(&plan.slot);
            }
        }
        result
    }

    /// What remains of a filled slot for the workers: where it is, or is to be asked for, and whether it is locked.
    fn settle(&self, slot: &Slot) -> Result<Slot, String> {
        let alone = |addr: &str, slot: &Slot| Slot {
            id: slot.id,
            backend_addr: addr.to_owned(),
            backend_addr_group_id: slot.backend_addr_group_id,
            ..Slot::default()
        };
        if slot.backend_addr.is_empty() {
            return Ok(Slot { locked: slot.locked, ..Slot::offline(slot.id) });
        }
        let is_ours = |addr: &str| self.dialect(addr) == Dialect::Slipway;
        match slot.migrate_from.as_str() {
            "" if is_ours(&slot.backend_addr) => Ok(alone(&slot.backend_addr, slot)),
            "" => Ok(slot.clone()),
            // Until it has granted the slot, the source serves it; then it says who does.
            source if is_ours(source) && is_ours(&slot.backend_addr) => Ok(alone(source, slot)),
            source if self.is_by_key(source, &slot.backend_addr) => self.leave(slot),
            source => {
                let stranger = if is_ours(source) { &slot.backend_addr } else { source };
                Err(format!(
                    "slot {}: {stranger} is not a Slipway node, or cannot be reached: slots move between Slipway nodes only; the slot stays where it is",
                    slot.id
                ))
            }
        }
    }

    /// What remains of a slot that leaves a node which moves it key by key. While it may still stay, nothing of it moves.
    fn leave(&self, slot: &Slot) -> Result<Slot, String> {
        let (source, target) = (&slot.migrate_from, &slot.backend_addr);
        // What Pika moves at our word it sends without a password.
        let method = match (self.dialect(source), &self.config.node_password) {
            (Dialect::Pika, Some(_)) if slot.forward_method == ForwardMethod::Sync => {
                return Err(format!(
                    "slot {}: {source} and {target} have a password, which synchronous moves of Pika do not send: set migration_method = \"semi-async\" \
                     in the dashboard's file; the slot stays where it is",
                    slot.id
                ));
            }
            (Dialect::Pika, Some(_)) => ForwardMethod::SemiAsync,
            _ => ForwardMethod::Sync,
        };
        let at = |addr: &str, from: &str, group: i64| Slot {
            id: slot.id,
            backend_addr: addr.to_owned(),
            backend_addr_group_id: group,
            migrate_from: from.to_owned(),
            forward_method: method,
            locked: slot.locked,
            ..Slot::default()
        };
        Ok(match self.moves.stage(slot.id, source, target) {
            Stage::None if slot.locked => at(source, "", slot.migrate_from_group_id),
            Stage::None | Stage::Moving => at(target, source, slot.backend_addr_group_id),
            Stage::Over => at(target, "", slot.backend_addr_group_id),
        })
    }

    /// Takes in what a node has turned out to be.
    pub(crate) fn learn_dialect(&self, addr: &str, dialect: Dialect) {
        let before = self.dialects.insert(addr.to_owned(), dialect);
        if before.unwrap_or_default() != dialect {
            self.learnt.notify_one();
        }
    }

    pub(crate) fn dialect(&self, addr: &str) -> Dialect {
        self.dialects.get(addr).map(|dialect| *dialect).unwrap_or_default()
    }

    /// Asks the nodes of slots that change, of which nobody has heard yet, what they are.
    async fn probe(&self, filled: &[Slot]) {
        let installed = self.slots.load();
        let place = |slot: &Slot| usize::try_from(slot.id).ok().and_then(|id| installed.get(id));
        let addrs: BTreeSet<&str> = filled
            .iter()
            .filter(|slot| place(slot) != Some(slot))
            .flat_map(|s| [s.backend_addr.as_str(), s.migrate_from.as_str()])
            .collect();
        let mut asked = JoinSet::new();
        for addr in addrs {
            if addr.is_empty() || self.dialects.contains_key(addr) {
                continue;
            }
            let (addr, config) = (addr.to_owned(), Arc::clone(&self.config));
            asked.spawn(async move {
                let said = connect(&config, &addr, Flavour::default()).await;
                (addr, said.map(|(_, dialect)| dialect))
            });
        }
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok((addr, Ok(dialect))) => {
                    tracing::info!(node = addr, ?dialect, "a node is known");
                    self.attach(&addr, dialect);
                    self.dialects.insert(addr, dialect);
                }
                Ok((addr, Err((_, why)))) => {
                    tracing::warn!(node = addr, why, "what this node is cannot be told yet");
                }
                Err(error) => tracing::warn!(%error, "a node could not be asked"),
            }
        }
    }

    /// A Pika's list of keys is to be whole before a slot leaves it.
    fn attach(&self, addr: &str, dialect: Dialect) {
        if dialect == Dialect::Pika {
            self.known.attach(&self.config, addr);
        }
    }

    /// Applies what was filled once more whenever a node turns out to be another thing than it was taken for; for ever.
    pub(crate) async fn follow_dialects(&self) {
        loop {
            self.learnt.notified().await;
            for known in &self.dialects {
                self.attach(known.key(), *known.value());
            }
            let mut filling = self.filling.lock().await;
            let settled =
                self.slots.load().iter().filter_map(|slot| self.settle(slot).ok()).collect();
            if let Err(Unfinished { why, .. }) = self.carry_out(&mut filling, settled).await {
                tracing::warn!(why, "what was filled could not be applied again");
            }
        }
    }

    /// The address to use for a node that another node names: its group may have another primary by now.
    pub(crate) fn current(&self, addr: &str) -> String {
        let groups = self.groups.lock();
        let primary = groups.of.get(addr).and_then(|group| groups.primaries.get(group));
        primary.map_or_else(|| addr.to_owned(), String::clone)
    }

    /// All slots by number, as filled. Never waits.
    pub fn slots(&self) -> Arc<Vec<Slot>> {
        self.slots.load_full()
    }

    /// Clients are served from now on; once more is as good.
    pub fn start(&self) -> Result<(), String> {
        let started = self.phase.send_if_modified(|phase| {
            let first = *phase == Phase::Waiting;
            if first {
                *phase = Phase::Online;
            }
            first
        });
        if !started && self.phase() == Phase::Closed {
            return Err(CLOSED_ROUTER.to_owned());
        }
        Ok(())
    }

    /// Nobody is served from now on: every slot is drained and emptied.
    pub async fn close(&self) {
        self.phase.send_replace(Phase::Closed);
        self.moves.end();
        let mut filling = self.filling.lock().await;
        let offline: Vec<Slot> =
            filling.settled.iter().map(|slot| Slot::offline(slot.id)).collect();
        if let Err(Unfinished { why, .. }) = self.carry_out(&mut filling, offline.clone()).await {
            tracing::warn!(why, "not every slot is drained");
        }
        self.install(offline, By::Dashboard);
    }

    /// Where we are.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Tells of each change of the phase.
    pub fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }
}

impl Groups {
    fn learn(&mut self, addr: &str, group: i64) {
        if !addr.is_empty() && group != 0 {
            self.of.insert(addr.to_owned(), group);
            self.primaries.insert(group, addr.to_owned());
        }
    }
}
