//! Carries one fill out over all workers: gate, drain, swap, release.
//!
//! Each slot goes on as soon as every worker says that nothing of it is on its way; one that hangs does not keep the others. Between nodes of
//! ours locks and sources do not matter: the nodes own the truth, and a fill says where to ask first.

use super::super::order::{Order, Report, Swap};
use crate::Config;
use crate::dialect::Dialects;
use crate::upstream::{Flavour, introduce};
use arc_swap::ArcSwap;
use codis::fill::{Plan, Serving, Step};
use codis::model::Slot;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

/// An address that was never seen is asked for its dialect for at most so long.
const PROBE: Duration = Duration::from_millis(800);
/// A fill waits for what is on its way for as long as a node may take to answer, and so much longer.
const MARGIN: Duration = Duration::from_secs(2);
/// A worker that is there takes an order at once.
const SWAP_PATIENCE: Duration = Duration::from_secs(10);

/// Why slots are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Fill,
    Close,
}

/// Who carries fills out.
#[derive(Debug)]
pub(super) struct Carrier {
    config: Arc<Config>,
    dialects: Arc<Dialects>,
    /// To every worker.
    workers: Vec<UnboundedSender<Order>>,
    /// By number: what the workers have. Of a slot between nodes of ours it has the node to ask first, and no lock.
    carried: Vec<Slot>,
}

/// A slot that is to change.
struct Change {
    /// As the dashboard says.
    filled: Slot,
    plan: Plan,
}

impl Carrier {
    pub(super) fn new(
        config: &Arc<Config>,
        dialects: &Arc<Dialects>,
        slots: &[Slot],
    ) -> (Self, Vec<UnboundedReceiver<Order>>) {
        let (workers, inboxes) = (0..config.workers).map(|_| unbounded_channel()).unzip();
        let (config, dialects) = (Arc::clone(config), Arc::clone(dialects));
        (Self { config, dialects, workers, carried: slots.to_vec() }, inboxes)
    }

    /// Fills `filled` over `installed`. The error is the first slot's that could not be filled.
    pub(super) async fn carry_out(
        &mut self,
        installed: &ArcSwap<Vec<Slot>>,
        filled: Vec<Slot>,
        why: Why,
    ) -> Result<(), String> {
        let began = Instant::now();
        let count = filled.len();
        // A slot that is filled twice ends as the last one says.
        let filled: BTreeMap<i64, Slot> = filled.into_iter().map(|slot| (slot.id, slot)).collect();
        self.probe(&installed.load(), filled.values()).await;
        let (changes, refused) = self.plan(&installed.load(), filled.into_values());
        let changed = changes.len();
        let done = if changes.is_empty() { Ok(()) } else { self.run(installed, changes).await };
        let done = done.and(refused.map_or(Ok(()), Err));
        let took_ms = began.elapsed().as_millis();
        match &done {
            Err(error) => {
                tracing::warn!(?why, slots = count, changed, took_ms, error, "slots not filled")
            }
            Ok(()) if changed > 0 => {
                tracing::warn!(?why, slots = count, changed, took_ms, "slots filled")
            }
            Ok(()) => tracing::debug!(slots = count, "slots filled with what they have"),
        }
        done
    }

    /// Asks the nodes of slots that change, of which nothing is known, what they speak. One that does not answer counts as plain.
    async fn probe(&self, installed: &[Slot], filled: impl Iterator<Item = &Slot>) {
        let changed = filled.filter(|slot| {
            usize::try_from(slot.id).ok().and_then(|id| installed.get(id)) != Some(slot)
        });
        let unknown: BTreeSet<String> = changed
            .flat_map(|slot| [&slot.backend_addr, &slot.migrate_from])
            .filter(|addr| !addr.is_empty() && self.dialects.of(addr).is_none())
            .cloned()
            .collect();
        let mut asked = JoinSet::new();
        for addr in unknown {
            let (config, dialects) = (Arc::clone(&self.config), Arc::clone(&self.dialects));
            asked.spawn(async move {
                match timeout(PROBE, introduce(&config, &addr, Flavour::default())).await {
                    Ok(Ok((_, dialect))) => dialects.learn(&addr, dialect),
                    Ok(Err((_, why))) => {
                        tracing::warn!(
                            node = addr,
                            reason = why,
                            "a node of the fill cannot be reached"
                        );
                    }
                    Err(_) => tracing::warn!(node = addr, "a node of the fill does not answer"),
                }
            });
        }
        asked.join_all().await;
    }

    /// What is to be done, up to the first slot that is refused, and why that is.
    fn plan(
        &self,
        installed: &[Slot],
        filled: impl Iterator<Item = Slot>,
    ) -> (Vec<Change>, Option<String>) {
        let mut changes = Vec::new();
        for slot in filled {
            let Some(id) = usize::try_from(slot.id).ok().filter(|&id| id < self.carried.len())
            else {
                return (changes, Some(codis::commands::texts::INVALID_SLOT.to_owned()));
            };
            let to_carry = match self.to_carry(&slot) {
                Ok(to_carry) => to_carry,
                Err(why) => return (changes, Some(why)),
            };
            let plan = Plan::new(&self.carried[id], to_carry);
            if !plan.is_nothing() || installed[id] != slot {
                changes.push(Change { filled: slot, plan });
            }
        }
        (changes, None)
    }

    /// What of a filled slot is for the workers.
    fn to_carry(&self, filled: &Slot) -> Result<Slot, String> {
        let ours = |hint: &str| Slot {
            locked: false,
            backend_addr: hint.to_owned(),
            migrate_from: String::new(),
            replica_groups: Vec::new(),
            ..filled.clone()
        };
        match Serving::of(filled) {
            Serving::Settled { primary, .. } if self.dialects.is_ours(primary) => Ok(ours(primary)),
            Serving::Moving { source, target, .. } => {
                if self.dialects.is_ours(source) && self.dialects.is_ours(target) {
                    return Ok(ours(source));
                }
                Err(format!(
                    "slot {}: {source} and {target} are not both Slipway nodes that can be reached; this proxy moves slots between Slipway \
                     nodes only, the slot stays where it is",
                    filled.id
                ))
            }
            Serving::Offline | Serving::Settled { .. } => Ok(filled.clone()),
        }
    }

    async fn run(
        &mut self,
        installed: &ArcSwap<Vec<Slot>>,
        changes: Vec<Change>,
    ) -> Result<(), String> {
        let (reports, mut inbox) = unbounded_channel();
        let (gated, ready): (Vec<Change>, Vec<Change>) =
            changes.into_iter().partition(|change| change.plan.holds());
        if !ready.is_empty() {
            self.swap(installed, (ready, &reports), &mut inbox).await;
        }
        let numbers: Arc<[cluster::Slot]> = gated.iter().map(number).collect();
        if numbers.is_empty() {
            return Ok(());
        }
        let sent = self.tell(&Order::Gate { slots: numbers, reports: reports.clone() });
        let mut missing: BTreeMap<cluster::Slot, (Change, usize)> =
            gated.into_iter().map(|change| (number(&change), (change, sent))).collect();
        let patience = self.config.upstream.reply_timeout.saturating_add(MARGIN);
        let end = Instant::now().checked_add(patience);
        loop {
            let is_ready = |left: &mut (Change, usize)| left.1 == 0;
            let ready: Vec<Change> =
                missing.extract_if(.., |_, left| is_ready(left)).map(|(_, left)| left.0).collect();
            if !ready.is_empty() {
                self.swap(installed, (ready, &reports), &mut inbox).await;
            }
            if missing.is_empty() {
                return Ok(());
            }
            let report = match end {
                Some(end) => timeout_at(end, inbox.recv()).await,
                None => Ok(inbox.recv().await),
            };
            match report {
                Ok(Some(Report::Drained(slots))) => {
                    for slot in slots {
                        if let Some((_, left)) = missing.get_mut(&slot) {
                            *left = left.saturating_sub(1);
                        }
                    }
                }
                Ok(Some(Report::Swapped)) => {}
                Ok(None) => missing.values_mut().for_each(|left| left.1 = 0),
                Err(_) => return Err(self.give_up(&missing, patience)),
            }
        }
    }

    /// Lets the slots go that are not drained in time, as they were.
    fn give_up(
        &self,
        missing: &BTreeMap<cluster::Slot, (Change, usize)>,
        patience: Duration,
    ) -> String {
        self.tell(&Order::Abort(missing.keys().copied().collect()));
        let slot = missing.keys().next().copied().unwrap_or(cluster::Slot(0));
        format!(
            "slot {slot}: node {} has not answered what is on its way within {} s; {} slots stay as they were",
            self.carried[usize::from(slot.0)].backend_addr,
            patience.as_secs(),
            missing.len()
        )
    }

    /// The new content of slots of which nothing is on its way by the old one.
    async fn swap(
        &mut self,
        installed: &ArcSwap<Vec<Slot>>,
        (ready, reports): (Vec<Change>, &UnboundedSender<Report>),
        inbox: &mut UnboundedReceiver<Report>,
    ) {
        let mut addrs: HashMap<String, Arc<str>> = HashMap::new();
        let mut slots = Vec::clone(&installed.load());
        let mut swaps = Vec::new();
        for change in ready {
            let slot = number(&change);
            let id = usize::from(slot.0);
            let carried = change.plan.slot;
            if change.plan.steps.iter().any(|step| matches!(step, Step::Swap | Step::Release)) {
                let addr = (!carried.backend_addr.is_empty()).then(|| {
                    let addr = carried.backend_addr.clone();
                    Arc::clone(addrs.entry(addr).or_insert_with_key(|addr| addr.as_str().into()))
                });
                swaps.push(Swap { slot, addr, stays_held: carried.locked });
            }
            slots[id] = change.filled;
            self.carried[id] = carried;
        }
        installed.store(Arc::new(slots));
        if swaps.is_empty() {
            return;
        }
        let order = Order::Swap { slots: swaps.into(), reports: reports.clone() };
        let mut left = self.tell(&order);
        drop(order);
        // Nothing of these slots leaves before the order is taken: that it is late harms nobody.
        let end = Instant::now() + SWAP_PATIENCE;
        let mut early = Vec::new();
        while left > 0 {
            match timeout_at(end, inbox.recv()).await {
                Ok(Some(Report::Swapped)) => left -= 1,
                Ok(Some(report)) => early.push(report),
                Ok(None) | Err(_) => break,
            }
        }
        for report in early {
            let _ = reports.send(report);
        }
    }

    /// How many workers were told.
    fn tell(&self, order: &Order) -> usize {
        self.workers.iter().filter(|worker| worker.send(order.clone()).is_ok()).count()
    }
}

/// The number of a slot that was checked when it was planned.
fn number(change: &Change) -> cluster::Slot {
    cluster::Slot(u16::try_from(change.filled.id).unwrap_or_default())
}
