//! What a fill tells the workers, and what they tell back.

use cluster::Slot;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// To a worker. Orders of one fill at a time; a slot is swapped or let go before it is gated again.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// Hold these, and tell of each when nothing of it is on its way.
    Gate { slots: Arc<[Slot]>, reports: UnboundedSender<Report> },
    /// This is their content.
    Swap { slots: Arc<[Swap]>, reports: UnboundedSender<Report> },
    /// They go on as they were.
    Abort(Arc<[Slot]>),
}

/// The new content of a slot.
#[derive(Clone, Debug)]
pub(crate) struct Swap {
    pub(crate) slot: Slot,
    /// Where it is, or where to ask first; nothing: nobody serves it. It counts if the slot is held.
    pub(crate) addr: Option<Arc<str>>,
    /// Locked.
    pub(crate) stays_held: bool,
}

/// From a worker.
#[derive(Clone, Debug)]
pub(crate) enum Report {
    /// Nothing of these is on its way.
    Drained(Vec<Slot>),
    /// An order to swap is carried out.
    Swapped,
}
