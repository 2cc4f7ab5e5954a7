//! One fill on its way over all workers: a slot changes nowhere before nothing of it is on its way anywhere.

use codis::fill::{Plan, Step};
use std::collections::BTreeSet;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use tokio::sync::{Notify, oneshot};

/// What all workers do together.
#[derive(Debug)]
pub(crate) struct Fill {
    /// Each slot once.
    pub(crate) plans: Vec<Plan>,
    /// By plan: at how many workers something is on its way, or [`GIVEN_UP`].
    left: Vec<AtomicUsize>,
    /// By worker.
    wakes: Vec<Notify>,
}

const GIVEN_UP: usize = usize::MAX;

/// How far one slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Draining,
    /// At every worker; it is changed, whatever happens.
    Drained,
    /// It stays as it is.
    GivenUp,
}

/// What a worker is to do, and whom it tells that it has.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) fill: std::sync::Arc<Fill>,
    pub(crate) done: oneshot::Sender<Result<(), Unfinished>>,
}

/// What of a fill was not done, and why. Those slots are as they were.
#[derive(Debug)]
pub(crate) struct Unfinished {
    /// By number.
    pub(crate) slots: BTreeSet<i64>,
    pub(crate) why: String,
}

impl Fill {
    pub(crate) fn new(plans: Vec<Plan>, workers: usize) -> Self {
        let left = |plan: &Plan| if plan.steps.contains(&Step::Drain) { workers } else { 0 };
        Self {
            left: plans.iter().map(|plan| AtomicUsize::new(left(plan))).collect(),
            wakes: (0..workers).map(|_| Notify::new()).collect(),
            plans,
        }
    }

    /// How far the plan of this number is.
    pub(crate) fn stage(&self, plan: usize) -> Stage {
        match self.left[plan].load(Acquire) {
            0 => Stage::Drained,
            GIVEN_UP => Stage::GivenUp,
            _ => Stage::Draining,
        }
    }

    /// At one worker more nothing is on its way. Each says so once.
    pub(crate) fn drained(&self, plan: usize) {
        let count = |left: usize| (left != GIVEN_UP).then(|| left.saturating_sub(1));
        if self.left[plan].fetch_update(AcqRel, Acquire, count) == Ok(1) {
            self.wake_all();
        }
    }

    /// The time is up. Returns whether the slot stays as it is: it may be drained by now.
    pub(crate) fn give_up(&self, plan: usize) -> bool {
        let poison = |left: usize| (left > 0).then_some(GIVEN_UP);
        let is_given_up = self.left[plan].fetch_update(AcqRel, Acquire, poison).is_ok();
        self.wake_all();
        is_given_up
    }

    /// Waits until some slot may be further than it was.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub(crate) async fn changed(&self, worker: usize) {
        match self.wakes.get(worker) {
            Some(wake) => wake.notified().await,
            None => std::future::pending().await,
        }
    }

    fn wake_all(&self) {
        self.wakes.iter().for_each(Notify::notify_one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use codis::model::Slot;

    fn fill() -> Fill {
        let at = |addr: &str| Slot { backend_addr: addr.to_owned(), ..Slot::offline(5) };
        Fill::new(vec![Plan::new(&at("a:1"), at("b:1"))], 2)
    }

    #[test]
    fn a_slot_is_drained_when_it_is_at_every_worker() {
        let fill = fill();
        fill.drained(0);
        assert_eq!(fill.stage(0), Stage::Draining);
        fill.drained(0);
        assert_eq!(fill.stage(0), Stage::Drained);
        assert!(!fill.give_up(0), "too late");
        assert_eq!(fill.stage(0), Stage::Drained);
    }

    #[test]
    fn what_one_gives_up_nobody_does() {
        let fill = fill();
        fill.drained(0);
        assert!(fill.give_up(0));
        fill.drained(0);
        assert_eq!(fill.stage(0), Stage::GivenUp);
    }
}
