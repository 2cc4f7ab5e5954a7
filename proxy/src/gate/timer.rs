//! What happens at the gate because time passes: nodes are asked, sources are asked to give up, requests get their error.

use super::{HeldEnd, HoldKind, Refused};
use crate::request::Origin;
use crate::routes::NOBODY;
use crate::session::replies::Outcome;
use crate::worker::Worker;
use cluster::Slot;
use std::rc::Rc;
use tokio::time::{Instant, sleep_until};

/// Keeps the times of one worker's gate, for ever.
pub(crate) async fn run(worker: Rc<Worker>) {
    let begun = Rc::clone(&worker.gate.borrow().begun);
    loop {
        match worker.gate_due_at() {
            None => begun.notified().await,
            Some(at) => {
                tokio::select! {
                    () = sleep_until(at) => {}
                    () = begun.notified() => {}
                }
            }
        }
        worker.tick();
        worker.gate_turn();
    }
}

impl Worker {
    /// When the gate has something to do next.
    fn gate_due_at(&self) -> Option<Instant> {
        let gate = self.gate.borrow();
        let timeout = self.config.hold.timeout;
        let of_holds = gate.holds.values().filter_map(|h| {
            let expiry = h.oldest().map(|since| since + timeout);
            let given_up = h
                .closed_by()
                .filter(|_| h.kind == HoldKind::NodeDown && h.len() > 0 && !h.is_locked())
                .and_then(|node| self.health.given_up_at(node, self.config.hold.node_down));
            [h.due_at(), expiry, given_up].into_iter().flatten().min()
        });
        of_holds.min()
    }

    /// Does what is due.
    fn gate_turn(self: &Rc<Self>) {
        let slots: Vec<Slot> = self.gate.borrow().holds.keys().copied().collect();
        for slot in slots {
            self.give_up(slot);
            self.time_out(slot);
            self.ask(slot);
            // A release that was paced may go on.
            self.settle(slot);
            self.gate.borrow_mut().end_if_empty(self, slot);
        }
    }

    /// Fails what waits for a node that has been down for too long.
    fn give_up(self: &Rc<Self>, slot: Slot) {
        let mut gate = self.gate.borrow_mut();
        let Some(hold) = gate.holds.get_mut(&slot) else { return };
        // A locked slot may be on its way to another node.
        let is_down = hold.kind == HoldKind::NodeDown && !hold.is_locked();
        let Some(node) = hold.closed_by().filter(|_| is_down) else { return };
        if !self.health.is_given_up(node, self.now(), self.config.hold.node_down) {
            return;
        }
        let failed: Vec<_> = hold.take_all().collect();
        for kept in &failed {
            gate.let_go(self, kept, HeldEnd::NodeDown);
        }
        drop(gate);
        for kept in failed {
            self.fail_node_down(&kept.request.origin, node);
        }
    }

    /// Fails what has been held for too long.
    pub(super) fn time_out(self: &Rc<Self>, slot: Slot) {
        let timeout = self.config.hold.timeout;
        let Some(limit) = self.now().checked_sub(timeout) else { return };
        loop {
            let mut gate = self.gate.borrow_mut();
            let Some(hold) = gate.holds.get_mut(&slot) else { return };
            let why = hold.passage().and_then(|passage| passage.why()).map(str::to_owned);
            let Some(kept) = hold.pop_older_than(limit) else { return };
            gate.let_go(self, &kept, HeldEnd::Timeout);
            drop(gate);
            self.metrics.refused[Refused::HoldTimeout as usize].add(1);
            let mut line =
                format!("TRYAGAIN slot {slot} is moving, held for {} s", timeout.as_secs());
            if let Some(why) = why {
                line = format!("{line}; a key could not be moved: {}", why.trim_start_matches('-'));
            }
            self.fail(&kept.request.origin, &line, Outcome::Timeout);
        }
    }

    /// Asks a node where the slot is, and a source to give its handoff up, when it is time.
    fn ask(self: &Rc<Self>, slot: Slot) {
        let (due, node, flavour, kind) = {
            let mut gate = self.gate.borrow_mut();
            let Some(hold) = gate.holds.get_mut(&slot) else { return };
            let flavour = hold.next().map(|k| k.request.flavour).unwrap_or_default();
            let node = hold.closed_by().unwrap_or(self.routes.route(slot).node);
            (hold.due(self.now()), node, flavour, hold.kind)
        };
        if node == NOBODY || !self.is_ours(node) {
            return;
        }
        let upstream = self.upstream(self.key(node, slot, flavour));
        let number = slot.to_string();
        if due.ask && upstream.is_up() {
            self.metrics.where_asked.add(1);
            upstream.say(self, Origin::Where(slot), &["SLIPWAY", "WHERE", &number]);
        }
        if due.soft {
            self.refresh();
            if upstream.is_up() && kind == HoldKind::Bounce {
                self.metrics.unseals.add(1);
                upstream.say(self, Origin::Nobody, &["SLIPWAY", "UNSEAL", &number]);
            }
        }
    }
}
