//! What our own controller needs of the router: each step of a slot's way for itself.

use super::{By, Router};
use crate::foreign::examine::{Move, examine};
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
    pub(crate) async fn look(&self, leaving: &Slot) -> Result<(), Obstacle> {
        self.probe(std::slice::from_ref(leaving)).await;
        let stands = |why: String| Obstacle { why, is_passing: false };
        let number = u16::try_from(leaving.id).map_err(|_| stands("no such slot".to_owned()))?;
        let (source, target) = (&leaving.migrate_from, &leaving.backend_addr);
        let moved = Move { slot: cluster::Slot(number), source, target };
        match examine(&self.config, &self.known, moved).await {
            Ok(ready) => self.check_size(source, &ready).map_err(stands),
            Err(refusal) => {
                Err(Obstacle { why: refusal.to_string(), is_passing: refusal.is_passing() })
            }
        }
    }

    /// Has requests of a slot follow their keys from now on, and sweeps the rest. Once more is as good.
    pub(crate) async fn let_go(&self, leaving: Slot) -> Result<(), String> {
        self.apply(vec![leaving], By::Controller).await
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
