//! How one worker carries out what is filled: gate, drain, swap, release, each slot for itself, so that none waits for
//! another, and none is swapped before it is drained at every worker.
//!
//! The steps come from [`codis::fill`]. A slot is drained when nothing of it is on its way, and no command that blocks waits at the old node.

use super::Worker;
use crate::dashboard::{Fill, Order, Stage, Unfinished};
use crate::dialect::Dialect;
use crate::gate::Means;
use crate::private::{CallOff, Nudge};
use crate::routes::{NOBODY, NodeIndex};
use cluster::route::Route;
use cluster::{Epoch, Slot};
use codis::fill::{Plan, Step};
use codis::model::ForwardMethod;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

/// Requests end by themselves when a node has been silent for the reply timeout; so much later a drain is given up.
const DRAIN_MARGIN: Duration = Duration::from_secs(5);

/// How often the log tells what a fill waits for.
const TELL_PAUSE: Duration = Duration::from_secs(2);

/// Between two questions for a slot whose owner is down.
const ASK_PAUSE: Duration = Duration::from_millis(100);

/// What one worker was told of the slots.
#[derive(Default)]
pub(crate) struct Fills {
    /// Where each slot is, as filled; what nodes say goes before it.
    hints: RefCell<HashMap<Slot, NodeIndex>>,
    /// Commands that block at a node which takes them for settled.
    blocked: RefCell<HashMap<Slot, Vec<Rc<Nudge>>>>,
    drained: Notify,
    /// When the node that is filled was last asked for a slot whose owner is down.
    asked: RefCell<HashMap<Slot, Instant>>,
}

impl Fills {
    /// Where the slot is, as filled.
    pub(crate) fn hint(&self, slot: Slot) -> NodeIndex {
        self.hints.borrow().get(&slot).copied().unwrap_or(NOBODY)
    }

    /// Whether it is time to ask where the slot is.
    pub(crate) fn may_ask(&self, slot: Slot, now: Instant) -> bool {
        let mut asked = self.asked.borrow_mut();
        let may = asked.get(&slot).is_none_or(|&last| now - last >= ASK_PAUSE);
        if may {
            asked.insert(slot, now);
        }
        may
    }

    /// Something of a locked slot is back.
    pub(crate) fn drained(&self) {
        self.drained.notify_one();
    }

    fn call_off(&self, slot: Slot) {
        for nudge in self.blocked.borrow().get(&slot).into_iter().flatten() {
            nudge.call_off(CallOff::Filled);
        }
    }
}

/// A command that blocks at a node, as long as this lives; it is called off when the slot is filled with another.
pub(crate) struct AtNode {
    worker: Rc<Worker>,
    slot: Slot,
    nudge: Rc<Nudge>,
}

impl AtNode {
    pub(crate) fn new(worker: &Rc<Worker>, slot: Slot, nudge: &Rc<Nudge>) -> Self {
        worker.fills.blocked.borrow_mut().entry(slot).or_default().push(Rc::clone(nudge));
        Self { worker: Rc::clone(worker), slot, nudge: Rc::clone(nudge) }
    }
}

impl Drop for AtNode {
    fn drop(&mut self) {
        let mut blocked = self.worker.fills.blocked.borrow_mut();
        if let Some(of_slot) = blocked.get_mut(&self.slot) {
            of_slot.retain(|other| !Rc::ptr_eq(other, &self.nudge));
            if of_slot.is_empty() {
                blocked.remove(&self.slot);
                self.worker.fills.drained.notify_one();
            }
        }
    }
}

impl Worker {
    /// Carries out one fill after another.
    pub(super) async fn follow_fills(self: Rc<Self>, mut orders: mpsc::UnboundedReceiver<Order>) {
        while let Some(order) = orders.recv().await {
            self.tick();
            let result = self.carry_out(&order.fill).await;
            self.retire_unused();
            let _ = order.done.send(result);
        }
    }

    async fn carry_out(self: &Rc<Self>, fill: &Fill) -> Result<(), Unfinished> {
        let mut draining = Vec::new();
        for (number, plan) in fill.plans.iter().enumerate() {
            let Some(slot) = slot_of(plan) else { continue };
            if plan.steps.contains(&Step::Gate) {
                self.lock(slot);
                self.fills.call_off(slot);
            }
            if plan.steps.contains(&Step::Drain) {
                draining.push((number, slot));
            } else {
                self.install(slot, plan);
            }
        }
        let end = Instant::now() + self.config.upstream.reply_timeout + DRAIN_MARGIN;
        let mut told = Instant::now() + TELL_PAUSE;
        let (mut drained, mut undone, mut why) = (Vec::new(), BTreeSet::new(), None);
        loop {
            draining.retain(|&(number, slot)| {
                let is_drained = self.is_drained(slot);
                if is_drained {
                    fill.drained(number);
                    drained.push((number, slot));
                }
                !is_drained
            });
            for waiting in [&mut draining, &mut drained] {
                waiting.retain(|&(number, slot)| {
                    match fill.stage(number) {
                        Stage::Draining => return true,
                        Stage::Drained => self.install(slot, &fill.plans[number]),
                        Stage::GivenUp => {
                            undone.insert(fill.plans[number].slot.id);
                            self.unlock(slot);
                        }
                    }
                    false
                });
            }
            if draining.is_empty() && drained.is_empty() {
                break;
            }
            tokio::select! {
                () = self.fills.drained.notified() => {}
                () = fill.changed(self.number) => {}
                () = sleep_until(told) => {
                    told += TELL_PAUSE;
                    for &(_, slot) in &draining {
                        let (in_flight, asked) = (self.routes.in_flight(slot), self.is_asking(slot));
                        tracing::warn!(%slot, in_flight, asked, "a slot that is filled is not drained yet");
                    }
                }
                () = sleep_until(end) => {
                    for &(number, slot) in draining.iter().chain(&drained) {
                        if fill.give_up(number) {
                            why.get_or_insert_with(|| self.busy_line(slot));
                        }
                    }
                }
            }
            self.tick();
        }
        if undone.is_empty() {
            return Ok(());
        }
        Err(Unfinished { slots: undone, why: why.unwrap_or_default() })
    }

    /// A node says that a slot is at another one than a fill that moves nothing says.
    pub(crate) fn note_stray(&self, from: NodeIndex, slot: Slot, owner: &str) {
        let Some(router) = &self.shared.router else { return };
        let slots = router.slots();
        let Some(filled) = slots.get(usize::from(slot.0)) else { return };
        let is_stray = filled.migrate_from.is_empty()
            && filled.backend_addr == *self.routes.addr(from)
            && filled.backend_addr != owner;
        if is_stray {
            self.metrics.strays.add(1);
            tracing::warn!(
                %slot,
                filled = filled.backend_addr,
                owner,
                "the dashboard says that the slot is at a node which has granted it to another; the owner is followed. If the grant was wrong: \
                 slipway slots force-own"
            );
        }
    }

    fn busy_line(&self, slot: Slot) -> String {
        let node = self.routes.addr(self.routes.route(slot).node);
        format!(
            "slot {slot}: requests are on their way to {node} for too long; the slot stays as it is, fill it again"
        )
    }

    fn is_drained(&self, slot: Slot) -> bool {
        let in_flight = self.routes.in_flight(slot) + self.reads.in_flight(slot);
        in_flight == 0 && !self.is_asking(slot) && !self.fills.blocked.borrow().contains_key(&slot)
    }

    /// The new content holds; requests go on unless it is locked.
    fn install(self: &Rc<Self>, slot: Slot, plan: &Plan) {
        if plan.steps.contains(&Step::Swap) {
            self.install_replicas(slot, &plan.slot);
            let node = self.routes.node(&plan.slot.backend_addr);
            let before = self.fills.hints.borrow_mut().insert(slot, node);
            let source = Some(&*plan.slot.migrate_from).filter(|source| !source.is_empty());
            let source = source.map(|source| self.routes.node(source));
            if let (Some(source), Some(router)) = (source, &self.shared.router) {
                self.dialects.learn(source, router.dialect(&plan.slot.migrate_from));
            }
            match source {
                // Where nothing but the lock changes, what is known of keys stays known.
                Some(source) if before != Some(node) || self.passes_from(slot) != Some(source) => {
                    let means = match plan.slot.forward_method {
                        _ if self.dialects.of(source) == Dialect::CodisServer => Means::TagOneAsync,
                        ForwardMethod::SemiAsync => Means::Probe,
                        ForwardMethod::Sync | ForwardMethod::Unknown(_) => Means::TagOne,
                    };
                    self.begin_passage(slot, source, means);
                }
                Some(_) => {}
                None => self.end_passage(slot),
            }
            if before.unwrap_or(NOBODY) != node {
                if let Some(router) = &self.shared.router {
                    self.dialects.learn(node, router.dialect(&plan.slot.backend_addr));
                }
                self.routes.set(slot, Route { node, epoch: Epoch(0), token: None });
                self.connect_ahead(slot, node);
            }
        }
        if plan.steps.contains(&Step::Release) {
            self.unlock(slot);
        }
    }
}

/// Filled slots have been checked.
fn slot_of(plan: &Plan) -> Option<Slot> {
    u16::try_from(plan.slot.id).ok().map(Slot)
}
