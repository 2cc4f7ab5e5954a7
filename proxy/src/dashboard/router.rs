//! What a codis-dashboard has filled, and whether it has told us to start.
//!
//! Reads never wait for a fill: statistics must be answered within a second whatever happens, or codis-ha removes us. Fills are carried out one
//! after another (`fill.rs`).

mod fill;

use super::order::Order;
use crate::Config;
use crate::dialect::Dialects;
use arc_swap::ArcSwap;
use codis::commands::texts::CLOSED_ROUTER;
use codis::fill::switched;
use codis::model::Slot;
use fill::{Carrier, Why};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Mutex, watch};

/// All slots of a proxy, as filled.
#[derive(Debug)]
pub struct Router {
    /// By number.
    slots: ArcSwap<Vec<Slot>>,
    phase: watch::Sender<Phase>,
    /// Whether sentinels have changed a slot since the dashboard last filled one.
    switched: AtomicBool,
    /// What a worker listens to, until it takes it.
    inboxes: Vec<std::sync::Mutex<Option<UnboundedReceiver<Order>>>>,
    /// Held by the fill that is carried out.
    carrier: Mutex<Carrier>,
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
    /// Nothing where no codis-dashboard is expected.
    pub(crate) fn new(config: &Arc<Config>, dialects: &Arc<Dialects>) -> Option<Self> {
        config.codis.as_ref()?;
        let slots: Vec<Slot> = (0..i64::from(config.slot_count.get())).map(Slot::offline).collect();
        let (carrier, inboxes) = Carrier::new(config, dialects, &slots);
        Some(Self {
            slots: ArcSwap::from_pointee(slots),
            phase: watch::Sender::new(Phase::Waiting),
            switched: AtomicBool::new(false),
            inboxes: inboxes.into_iter().map(|inbox| std::sync::Mutex::new(Some(inbox))).collect(),
            carrier: Mutex::new(carrier),
        })
    }

    /// Fills slots whose numbers and methods have been checked ([`codis::model::read_slots`]). When it returns, every worker routes by what was
    /// filled, and no request that was routed by what was there before is on its way. The error is the text for the dashboard; what could be
    /// filled before it is filled.
    ///
    /// A fill that is dropped half-way leaves slots held until the next one: let it run to its end.
    pub async fn fill(&self, filled: Vec<Slot>) -> Result<(), String> {
        let mut carrier = self.carrier.lock().await;
        if self.phase() == Phase::Closed {
            return Err(CLOSED_ROUTER.to_owned());
        }
        self.switched.store(false, Relaxed);
        carrier.carry_out(&self.slots, filled, Why::Fill).await
    }

    /// Changes the primaries of groups to those that sentinels name, by the groups' numbers. All else stays.
    pub async fn switch_primaries(&self, primaries: &BTreeMap<i64, String>) -> Result<(), String> {
        let mut carrier = self.carrier.lock().await;
        if self.phase() == Phase::Closed {
            return Err(CLOSED_ROUTER.to_owned());
        }
        let changed: Vec<Slot> =
            self.slots.load().iter().filter_map(|slot| switched(slot, primaries)).collect();
        if changed.is_empty() {
            return Ok(());
        }
        self.switched.store(true, Relaxed);
        carrier.carry_out(&self.slots, changed, Why::Fill).await
    }

    /// Whether sentinels have changed a slot since the dashboard's last fill.
    pub fn switched(&self) -> bool {
        self.switched.load(Relaxed)
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

    /// Nobody is served from now on: what is on its way is awaited, then every slot is empty.
    pub async fn close(&self) {
        if self.phase.send_replace(Phase::Closed) == Phase::Closed {
            return;
        }
        let mut carrier = self.carrier.lock().await;
        let empty = self.slots.load().iter().map(|slot| Slot::offline(slot.id)).collect();
        if let Err(why) = carrier.carry_out(&self.slots, empty, Why::Close).await {
            tracing::warn!(reason = why, "a slot could not be emptied");
        }
    }

    /// Where we are.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Tells of each change of the phase.
    pub fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// What a worker listens to; it is there once.
    pub(crate) fn orders(&self, worker: usize) -> Option<UnboundedReceiver<Order>> {
        self.inboxes.get(worker)?.lock().ok()?.take()
    }
}
