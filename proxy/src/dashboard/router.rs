//! What a codis-dashboard has filled, and whether it has told us to start.
//!
//! Reads never wait for a fill: statistics must be answered within a second whatever happens, or codis-ha removes us.

use arc_swap::ArcSwap;
use codis::commands::texts::CLOSED_ROUTER;
use codis::config::Config;
use codis::model::Slot;
use std::sync::Arc;
use tokio::sync::watch;

/// All slots of a proxy, as filled.
#[derive(Debug)]
pub struct Router {
    /// By number.
    slots: ArcSwap<Vec<Slot>>,
    phase: watch::Sender<Phase>,
}

/// Where a proxy is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Clients are told `router is not online`.
    Waiting,
    Online,
    Closed,
}

impl Router {
    pub(crate) fn new(config: &Config) -> Self {
        let slots = (0..config.max_slot_num).map(Slot::offline).collect();
        Self { slots: ArcSwap::from_pointee(slots), phase: watch::Sender::new(Phase::Waiting) }
    }

    /// Fills slots whose numbers and methods have been checked ([`codis::model::read_slots`]). When it returns, every worker routes by what was
    /// filled, and no request that was routed by what was there before is on its way. The error is the text for the dashboard.
    pub async fn fill(&self, filled: Vec<Slot>) -> Result<(), String> {
        if self.phase() == Phase::Closed {
            return Err(CLOSED_ROUTER.to_owned());
        }
        let mut slots = Vec::clone(&self.slots.load());
        for slot in filled {
            let id = usize::try_from(slot.id).map_err(|error| error.to_string())?;
            slots[id] = slot;
        }
        self.slots.store(Arc::new(slots));
        Ok(())
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

    /// Nobody is served from now on.
    pub async fn close(&self) {
        self.phase.send_replace(Phase::Closed);
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
