//! How one worker carries out what is filled: gate, drain, swap, release, each slot for itself, so that none waits for another.
//!
//! The steps come from [`codis::fill`]. A slot is drained when nothing of it is on its way, and no command that blocks waits at the old node.

use super::Worker;
use crate::dashboard::{Order, Unfinished};
use crate::private::{CallOff, Nudge};
use crate::routes::{NOBODY, NodeIndex};
use cluster::route::Route;
use cluster::{Epoch, Slot};
use codis::fill::{Plan, Step};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout_at};

/// Requests end by themselves when a node has been silent for the reply timeout; so much later a drain is given up.
const DRAIN_MARGIN: Duration = Duration::from_secs(5);

/// What one worker was told of the slots.
#[derive(Default)]
pub(crate) struct Fills {
    /// Where each slot is, as filled; what nodes say goes before it.
    hints: RefCell<HashMap<Slot, NodeIndex>>,
    /// Commands that block at a node which takes them for settled.
    blocked: RefCell<HashMap<Slot, Vec<Rc<Nudge>>>>,
    drained: Notify,
}

impl Fills {
    /// Where the slot is, as filled.
    pub(crate) fn hint(&self, slot: Slot) -> NodeIndex {
        self.hints.borrow().get(&slot).copied().unwrap_or(NOBODY)
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
            let result = self.carry_out(&order.plans).await;
            self.retire_unused();
            let _ = order.done.send(result);
        }
    }

    async fn carry_out(self: &Rc<Self>, plans: &[Plan]) -> Result<(), Unfinished> {
        let mut waiting: Vec<&Plan> = Vec::new();
        let mut slots = HashSet::new();
        for plan in plans {
            let Some(slot) = slot_of(plan) else { continue };
            if plan.steps.contains(&Step::Gate) {
                self.lock(slot);
                self.fills.call_off(slot);
            }
            if plan.steps.contains(&Step::Drain) || slots.contains(&slot) {
                slots.insert(slot);
                waiting.push(plan);
            } else {
                self.install(slot, plan);
            }
        }
        let end = Instant::now() + self.config.upstream.reply_timeout + DRAIN_MARGIN;
        loop {
            waiting.retain(|plan| {
                let Some(slot) = slot_of(plan) else { return false };
                let busy = plan.steps.contains(&Step::Drain) && !self.is_drained(slot);
                if !busy {
                    self.install(slot, plan);
                }
                busy
            });
            let Some(plan) = waiting.first() else { return Ok(()) };
            if timeout_at(end, self.fills.drained.notified()).await.is_err() {
                let why = self.busy_line(plan);
                waiting.iter().filter_map(|plan| slot_of(plan)).for_each(|slot| self.unlock(slot));
                let slots = waiting.iter().map(|plan| plan.slot.id).collect();
                return Err(Unfinished { slots, why });
            }
            self.tick();
        }
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

    fn busy_line(&self, plan: &Plan) -> String {
        let id = plan.slot.id;
        let node = slot_of(plan).map(|slot| self.routes.addr(self.routes.route(slot).node));
        format!(
            "slot {id}: requests are on their way to {} for too long; filled again it is tried again",
            node.as_deref().unwrap_or("?")
        )
    }

    fn is_drained(&self, slot: Slot) -> bool {
        self.routes.in_flight(slot) == 0 && !self.fills.blocked.borrow().contains_key(&slot)
    }

    /// The new content holds; requests go on unless it is locked.
    fn install(self: &Rc<Self>, slot: Slot, plan: &Plan) {
        if plan.steps.contains(&Step::Swap) {
            let node = self.routes.node(&plan.slot.backend_addr);
            let before = self.fills.hints.borrow_mut().insert(slot, node);
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
