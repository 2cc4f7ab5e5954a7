//! What our own controller needs of the router: each step of a slot's way for itself.

use super::{By, Router};
use crate::foreign::carry::{self, Errand, Trouble};
use crate::foreign::examine::{Copier, Move, examine};
use codis::model::Slot;

/// Why a slot cannot leave its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    /// For people.
    pub(crate) why: String,
    /// It goes away by itself.
    pub(crate) is_passing: bool,
}

impl Router {
    /// Looks whether a slot can leave its node, while clients go on.
    pub(crate) async fn look(&self, leaving: &Slot, copier: Copier) -> Result<(), Obstacle> {
        self.probe(std::slice::from_ref(leaving)).await;
        let stands = |why: String| Obstacle { why, is_passing: false };
        let moved = moved(leaving, copier).ok_or_else(|| stands("no such slot".to_owned()))?;
        match examine(&self.config, &self.known, moved).await {
            Ok(ready) => {
                self.check_size(moved.source, &ready).map_err(stands)?;
                self.note_carried(leaving.id, &ready);
                Ok(())
            }
            Err(refusal) => {
                Err(Obstacle { why: refusal.to_string(), is_passing: refusal.is_passing() })
            }
        }
    }

    /// Has requests of a slot follow their keys from now on, and sweeps the rest. Once more is as good.
    pub(crate) async fn let_go(&self, leaving: Slot) -> Result<(), String> {
        self.apply(vec![leaving], By::Controller(Copier::None)).await
    }

    /// Locks a slot that is to leave, and waits for what is on its way.
    pub(crate) async fn lock(&self, leaving: Slot, copier: Copier) -> Result<(), String> {
        self.apply(vec![Slot { locked: true, ..leaving }], By::Controller(copier)).await
    }

    /// Whether a slot had keys for a copier when it was looked at last.
    pub(crate) fn needs_copier(&self, slot: i64) -> bool {
        self.carried.lock().contains(&slot)
    }

    /// Does something about the keys of a locked slot that its node cannot send.
    pub(crate) async fn carry(
        &self,
        leaving: &Slot,
        errand: Errand,
        is_wanted: impl Fn() -> bool,
    ) -> Result<(), Trouble> {
        let Some(moved) = moved(leaving, Copier::Named) else { return Ok(()) };
        carry::run(&self.config, moved, errand, is_wanted).await
    }

    /// Waits, for as long as a fill may take, until nothing of a slot is at its source and every worker knows.
    pub(crate) async fn await_arrival(&self, slot: i64) -> Result<(), String> {
        self.await_moves(&[slot]).await
    }

    /// Keys that the slot's sweep has moved, and why it does not go on.
    pub(crate) fn progress(&self, slot: i64) -> (u64, Option<String>) {
        self.moves.progress(slot)
    }
}

fn moved(leaving: &Slot, copier: Copier) -> Option<Move<'_>> {
    let slot = cluster::Slot(u16::try_from(leaving.id).ok()?);
    Some(Move { slot, source: &leaving.migrate_from, target: &leaving.backend_addr, copier })
}
