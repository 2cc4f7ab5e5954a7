//! A fill at one worker's gate: the slots it changes are held, what is on its way is awaited, and what was held goes on by the new content.
//!
//! What waits for a reply counts as on its way, a command that blocks at a plain node too: it is called off, having taken nothing, and sent again.
//! Commands over the whole cluster do not count, nor does what blocks at a node of ours: the node itself turns it away when the slot goes.

use super::{HeldEnd, HoldKind};
use crate::dashboard::{Order, Report, Router, Swap};
use crate::request::{Kept, Origin};
use crate::routes::{NodeIndex, Way};
use crate::session::replies::Outcome;
use crate::worker::Worker;
use cluster::route::Route;
use cluster::{Epoch, Slot};
use codis::commands::texts::SLOT_NOT_READY;
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

/// What one worker has to tell of the fill that is carried out.
#[derive(Default)]
pub(crate) struct Gated {
    /// Slots that are not known to have nothing on its way.
    draining: RefCell<HashSet<Slot>>,
    reports: RefCell<Option<UnboundedSender<Report>>>,
    /// A slot is held by a fill, or no longer.
    pub(crate) changed: Notify,
    /// Slots that were found elsewhere than the fills say; each is told once.
    strays: RefCell<HashSet<Slot>>,
}

impl Gated {
    /// Nothing of a slot is on its way.
    pub(crate) fn drained(&self, slot: Slot) {
        if self.draining.borrow_mut().remove(&slot)
            && let Some(reports) = &*self.reports.borrow()
        {
            // Whoever has given up listening has told us so, or will.
            let _ = reports.send(Report::Drained(vec![slot]));
        }
    }
}

impl Worker {
    /// Carries out what fills ask for, for ever.
    pub(crate) async fn follow_fills(self: Rc<Self>, mut orders: UnboundedReceiver<Order>) {
        while let Some(order) = orders.recv().await {
            self.tick();
            match order {
                Order::Gate { slots, reports } => {
                    *self.gated.reports.borrow_mut() = Some(reports);
                    self.freeze(&slots);
                }
                Order::Swap { slots, reports } => {
                    slots.iter().for_each(|swap| self.swap(swap));
                    self.gated.changed.notify_waiters();
                    let _ = reports.send(Report::Swapped);
                }
                Order::Abort(slots) => {
                    for &slot in slots.iter() {
                        self.gated.draining.borrow_mut().remove(&slot);
                        self.thaw(slot);
                    }
                    self.gated.changed.notify_waiters();
                }
            }
        }
    }

    fn freeze(self: &Rc<Self>, slots: &[Slot]) {
        for &slot in slots {
            self.gate.borrow_mut().hold(self, slot, HoldKind::Fill).freeze();
        }
        let (drained, draining): (Vec<Slot>, Vec<Slot>) =
            slots.iter().partition(|&&slot| self.routes.in_flight(slot) == 0);
        self.gated.draining.borrow_mut().extend(draining);
        self.gated.changed.notify_waiters();
        for &slot in &drained {
            self.settle(slot);
        }
        if let Some(reports) = &*self.gated.reports.borrow() {
            let _ = reports.send(Report::Drained(drained));
        }
    }

    fn swap(self: &Rc<Self>, swap: &Swap) {
        self.gated.strays.borrow_mut().remove(&swap.slot);
        let is_frozen = self.is_frozen(swap.slot);
        if is_frozen {
            let node =
                swap.addr.as_deref().map_or(NodeIndex::NOWHERE, |addr| self.routes.node(addr));
            if self.routes.route(swap.slot).node != node {
                self.routes.set(swap.slot, Route { node, epoch: Epoch(0), token: None });
            }
            if node != NodeIndex::NOWHERE {
                // It begins to connect.
                self.upstream(self.key(node, swap.slot, Default::default()));
            }
        }
        if is_frozen && !swap.stays_held {
            self.thaw(swap.slot);
        }
    }

    fn thaw(self: &Rc<Self>, slot: Slot) {
        if let Some(hold) = self.gate.borrow_mut().holds.get_mut(&slot) {
            hold.thaw();
        }
        self.settle(slot);
    }

    /// Whether a fill holds the slot.
    pub(crate) fn is_frozen(&self, slot: Slot) -> bool {
        self.routes.way(slot) == Way::Held
            && self.gate.borrow().holds.get(&slot).is_some_and(super::Hold::is_frozen)
    }

    /// Where else a slot may be than at `from`, by the fills.
    pub(super) fn in_fill(
        &self,
        router: &Router,
        from: NodeIndex,
        slot: Slot,
    ) -> Option<Route<NodeIndex>> {
        let slots = router.slots();
        let filled = slots.get(usize::from(slot.0))?;
        let named = [&filled.migrate_from, &filled.backend_addr];
        let nodes = named.into_iter().filter(|addr| !addr.is_empty()).map(|a| self.routes.node(a));
        let node = nodes.into_iter().find(|&node| node != from)?;
        Some(Route { node, epoch: Epoch(0), token: None })
    }

    /// A node says that a slot is at another one than a fill that moves nothing has said.
    pub(super) fn note_stray(&self, from: NodeIndex, slot: Slot, at: &str) {
        let Some(router) = &self.shared.router else { return };
        let slots = router.slots();
        let Some(filled) = slots.get(usize::from(slot.0)) else { return };
        let is_stray = filled.migrate_from.is_empty()
            && filled.backend_addr != at
            && filled.backend_addr == *self.routes.addr(from);
        if is_stray && self.gated.strays.borrow_mut().insert(slot) {
            self.metrics.strays.add(1);
            tracing::warn!(
                %slot,
                filled = filled.backend_addr,
                owner = at,
                "the dashboard says that the slot is at a node which has granted it to another; the owner is followed. If the grant was wrong: \
                 slipway slots force-own"
            );
        }
    }

    /// Answers a request of a slot that nobody serves.
    pub(crate) fn fail_offline(&self, origin: &Origin) {
        self.metrics.refused[crate::metrics::Refused::Other as usize].add(1);
        self.fail(origin, SLOT_NOT_READY, Outcome::ProxyError);
    }

    /// Answers what was held for a slot that nobody serves any more.
    pub(super) fn end_offline(&self, slot: Slot) {
        let mut gate = self.gate.borrow_mut();
        let in_flight = self.routes.in_flight(slot);
        let Some(hold) = gate.holds.get_mut(&slot).filter(|hold| !hold.is_frozen()) else { return };
        hold.decide(in_flight, self.routes.route(slot), self.now());
        let failed: Vec<Kept> = hold.take_all().collect();
        for kept in &failed {
            gate.let_go(self, kept, HeldEnd::Released);
        }
        gate.end_if_empty(self, slot);
        drop(gate);
        for kept in failed {
            self.fail_offline(&kept.request.origin);
        }
    }

    /// Waits until a fill holds the slot.
    pub(crate) async fn frozen(&self, slot: Slot) {
        loop {
            let changed = self.gated.changed.notified();
            if self.is_frozen(slot) {
                return;
            }
            changed.await;
        }
    }

    /// Waits until no fill holds the slot.
    pub(crate) async fn thawed(&self, slot: Slot) {
        loop {
            let changed = self.gated.changed.notified();
            if !self.is_frozen(slot) {
                return;
            }
            changed.await;
        }
    }
}

/// A command on a connection of its own, counted as on its way.
pub(crate) struct Entered {
    worker: Rc<Worker>,
    slot: Slot,
}

impl Entered {
    pub(crate) fn new(worker: &Rc<Worker>, slot: Slot) -> Self {
        worker.routes.enter(slot);
        Self { worker: Rc::clone(worker), slot }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if self.worker.routes.leave(self.slot) == Way::Held {
            self.worker.settle(self.slot);
        }
    }
}
