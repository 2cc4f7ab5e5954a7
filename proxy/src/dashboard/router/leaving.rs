//! Slots that leave nodes which are not ours: whether they can, what is done while they are locked, and when they have arrived.

use super::{Filling, Router};
use crate::dashboard::moves::{Counted, Stage};
use crate::dialect::Dialect;
use crate::foreign::examine::{Copier, Move, Path, Ready, examine, prepare};
use crate::foreign::known::Known;
use codis::model::Slot;
use tokio::time::Instant;

impl Router {
    /// Waits, within the bound, until slots that leave nodes which are not ours have arrived. The dashboard starts no migration of its own before
    /// it has our answer, and repeats a fill that is refused.
    pub(super) async fn await_moves(&self, slots: &[i64]) -> Result<(), String> {
        let end = Instant::now() + self.config.foreign.fill_wait;
        let mut result = Ok(());
        for &slot in slots {
            let arrived = match self.moves.emptied(slot, end).await {
                Ok(()) => self.arrive(slot).await,
                Err(why) => Err(why),
            };
            result = result.and(arrived);
        }
        result
    }

    /// Nothing of the slot is at its source any more: from now on it is just at the target.
    async fn arrive(&self, id: i64) -> Result<(), String> {
        let mut filling = self.filling.lock().await;
        let Some(settled) = filling.place(id).map(|slot| slot.clone()) else { return Ok(()) };
        let source = settled.migrate_from.clone();
        if source.is_empty()
            || self.moves.stage(id, &source, &settled.backend_addr) != Stage::Moving
        {
            return Ok(());
        }
        let arrived = Slot { migrate_from: String::new(), migrate_from_group_id: 0, ..settled };
        let done = self.carry_out(&mut filling, vec![arrived]).await;
        done.map_err(|unfinished| unfinished.why)?;
        self.moves.arrived(id);
        if let Ok(number) = u16::try_from(id) {
            self.known.left(&source, cluster::Slot(number));
        }
        Ok(())
    }

    /// What slots that leave nodes which are not ours have brought.
    pub(crate) fn moves(&self) -> Counted {
        self.moves.counted()
    }

    /// Whether slots move key by key from one node to the other: all that leave a node which is not ours, or go to one.
    pub(super) fn is_by_key(&self, source: &str, target: &str) -> bool {
        let is_foreign = |dialect| matches!(dialect, Dialect::Pika | Dialect::CodisServer);
        let source = self.dialect(source);
        is_foreign(source) || source == Dialect::Slipway && is_foreign(self.dialect(target))
    }

    /// What is to be asked of a slot that a fill locks, for it is about to move key by key: nothing has moved yet, and it may still stay.
    fn about_to_leave<'a>(&self, slot: &'a Slot) -> Option<Move<'a>> {
        let (source, target) = (&slot.migrate_from, &slot.backend_addr);
        let is_leaving = slot.locked
            && self.is_by_key(source, target)
            && self.moves.stage(slot.id, source, target) == Stage::None;
        let number = u16::try_from(slot.id).ok().map(cluster::Slot)?;
        let copier = Copier::None;
        is_leaving.then_some(Move { slot: number, source, target, copier })
    }

    /// Refuses a slot that cannot leave its node, before it is locked.
    pub(super) async fn examine(&self, slot: &Slot, copier: Copier) -> Result<(), String> {
        let Some(moved) = self.about_to_leave(slot) else { return Ok(()) };
        let moved = Move { copier, ..moved };
        let source = moved.source;
        let line = |why: String| stays(slot, &why);
        let ready = examine(&self.config, &self.known, moved).await;
        let ready = ready.map_err(|refusal| line(refusal.to_string()))?;
        self.check_size(source, &ready).map_err(line)?;
        self.note_carried(slot.id, &ready);
        if ready.unseen > 0 {
            tracing::warn!(
                slot = slot.id,
                keys = ready.unseen,
                "not all keys of a slot were looked at before it moves"
            );
        }
        Ok(())
    }

    /// Keeps in mind whether a slot that may leave has keys for a copier.
    pub(super) fn note_carried(&self, slot: i64, ready: &Ready) {
        let mut carried = self.carried.lock();
        if ready.needs_copier {
            carried.insert(slot);
        } else {
            carried.remove(&slot);
        }
    }

    /// Refuses a slot whose requests would wait for too long until its node has migrated it.
    pub(super) fn check_size(&self, source: &str, ready: &Ready) -> Result<(), String> {
        let keys_max = self.config.foreign.probed_keys_max;
        if ready.path == Path::Async && ready.keys > keys_max {
            return Err(format!(
                "{source} has a password and {} keys of the slot; requests would wait for all of them to move, more than {keys_max} \
                 (slipway_foreign_probed_keys_max) would take too long",
                ready.keys
            ));
        }
        Ok(())
    }

    /// Makes the sources of slots that are locked now list all of their keys. A slot that cannot leave after all is unlocked, and no longer
    /// among those that are taken.
    pub(super) async fn prepare_all(
        &self,
        filling: &mut Filling,
        before: &[Slot],
        (taken, copier): (&mut Vec<Slot>, Copier),
    ) -> Result<(), String> {
        let mut result = Ok(());
        for slot in taken.clone() {
            let Some(moved) = self.about_to_leave(&slot) else { continue };
            let moved = Move { copier, ..moved };
            let prepared = prepare(&self.config, &self.known, moved).await;
            if prepared == Ok(true) {
                self.carried.lock().insert(slot.id);
            }
            if let Err(refusal) = prepared {
                let why = stays(&slot, &refusal.to_string());
                tracing::warn!(slot = slot.id, why, "a slot cannot leave its node");
                taken.retain(|other| other.id != slot.id);
                let as_before = before.iter().find(|other| other.id == slot.id).cloned();
                let undone = self.carry_out(filling, as_before.into_iter().collect()).await;
                result = result.and(undone.map_err(|unfinished| unfinished.why)).and(Err(why));
            }
        }
        result
    }

    /// A slot moves no longer.
    pub(super) fn forget(&self, slot: &Slot) {
        let target = self.moves.forget(slot.id).filter(|target| *target != slot.backend_addr);
        if let (Some(target), Ok(number)) = (target, u16::try_from(slot.id)) {
            self.known.left(&target, cluster::Slot(number));
        }
    }

    /// A node with a cache may remember what it no longer has. Of a slot that was locked and has not begun to move, its target has seen nothing.
    pub(super) fn note_leaving(&self, before: Option<&Slot>, slot: &Slot) {
        let (Some(before), Ok(number)) = (before, u16::try_from(slot.id)) else { return };
        let (source, target) = (&before.migrate_from, &before.backend_addr);
        let was_only_locked = before.locked
            && !source.is_empty()
            && self.moves.stage(before.id, source, target) == Stage::None;
        for node in [target, source] {
            let had_nothing = was_only_locked && node == target;
            if !node.is_empty() && *node != slot.backend_addr && !had_nothing {
                self.known.left(node, cluster::Slot(number));
            }
        }
    }

    /// What is known of nodes that are not ours.
    pub(crate) fn known(&self) -> &Known {
        &self.known
    }
}

fn stays(slot: &Slot, why: &str) -> String {
    format!("slot {}: {why}; the slot stays where it is", slot.id)
}
