//! Which replicas may be read now: one verdict a process and address, asked for again and again as long as a filled slot names the address.
//!
//! A replica is read only after it has said that it follows a primary and is linked to it, and not after a connection to it was lost or it
//! turned a read away, until it has said so again. What it said before the verdict fell does not lift it. Which replica a request goes to is
//! in `worker/reads.rs`.

mod checkup;

pub(crate) use checkup::is_refusal;

use crate::config::Config;
use crate::metrics::{UNFIT, Unfit};
use crate::replicas::checkup::Checkup;
use dashmap::DashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Between two questions to a replica that is not read; the shortest period that codis-proxy has for them.
const RECHECK: Duration = Duration::from_secs(1);
/// Where codis-proxy's file asks for no keep-alives: a replica that is never asked would never be read.
const PERIOD: Duration = Duration::from_secs(5);

/// All replicas that filled slots name.
#[derive(Debug, Default)]
pub(crate) struct Replicas {
    by_addr: DashMap<String, Arc<Replica>>,
    /// There is one that nobody asks yet.
    fresh: Notify,
    /// By [`Unfit`]: how often one that was read was so no more.
    ejections: [AtomicU64; UNFIT.len()],
}

/// One replica.
#[derive(Debug)]
pub(crate) struct Replica {
    addr: String,
    /// Whether it is fit is the lowest bit, the number of verdicts against it the rest.
    state: AtomicU64,
    is_asked: AtomicBool,
    /// It was taken for fit, and is not.
    ejected: Notify,
}

impl Replica {
    /// Whether it may be read.
    pub(crate) fn is_fit(&self) -> bool {
        self.state.load(Relaxed) & 1 == 1
    }

    fn verdicts(&self) -> u64 {
        self.state.load(Relaxed) >> 1
    }

    /// It may be read, unless a verdict fell after the one of this number. Returns whether it was unfit and is fit now.
    fn admit(&self, verdicts: u64) -> bool {
        let unfit = verdicts << 1;
        self.state.compare_exchange(unfit, unfit | 1, Relaxed, Relaxed).is_ok()
    }

    /// It may not be read. Returns whether it could be.
    fn eject(&self) -> bool {
        let next = |state: u64| Some(((state >> 1) + 1) << 1);
        let before = self.state.fetch_update(Relaxed, Relaxed, next).unwrap_or_else(|state| state);
        self.ejected.notify_one();
        before & 1 == 1
    }
}

impl Replicas {
    /// The replica at this address, which is asked how it is for as long as whoever calls keeps it.
    pub(crate) fn at(&self, addr: &str) -> Arc<Replica> {
        let new = || {
            self.fresh.notify_one();
            Arc::new(Replica {
                addr: addr.to_owned(),
                state: AtomicU64::new(0),
                is_asked: AtomicBool::new(false),
                ejected: Notify::new(),
            })
        };
        Arc::clone(&self.by_addr.entry(addr.to_owned()).or_insert_with(new))
    }

    /// The node at this address, if it is a replica, is not read until it says that it is well.
    pub(crate) fn eject(&self, addr: &str, why: Unfit) {
        let found = self.by_addr.get(addr).map(|replica| Arc::clone(&replica));
        if let Some(replica) = found {
            self.eject_this(&replica, why);
        }
    }

    fn eject_this(&self, replica: &Replica, why: Unfit) {
        if replica.eject() {
            self.ejections[why as usize].fetch_add(1, Relaxed);
            let reason = UNFIT[why as usize];
            tracing::warn!(node = replica.addr, reason, "a replica is not read any more");
        }
    }

    /// By reason: how often a replica that was read was so no more.
    pub(crate) fn ejections(&self) -> [(&'static str, u64); UNFIT.len()] {
        std::array::from_fn(|index| (UNFIT[index], self.ejections[index].load(Relaxed)))
    }

    /// By address: whether the replica may be read.
    pub(crate) fn fitness(&self) -> Vec<(String, bool)> {
        self.by_addr.iter().map(|replica| (replica.addr.clone(), replica.is_fit())).collect()
    }

    /// Asks every replica how it is, for ever.
    pub(crate) async fn run(self: &Arc<Self>, config: &Arc<Config>) {
        let mut asking = JoinSet::new();
        loop {
            for replica in &self.by_addr {
                if !replica.is_asked.swap(true, Relaxed) {
                    let replica = Arc::clone(&replica);
                    asking.spawn(Arc::clone(self).follow(replica, Arc::clone(config)));
                }
            }
            tokio::select! {
                () = self.fresh.notified() => {}
                Some(ended) = asking.join_next() => if let Err(error) = ended {
                    tracing::error!(%error, "a replica is not asked any more");
                },
            }
        }
    }

    /// Asks one replica until nobody has a use for it.
    async fn follow(self: Arc<Self>, replica: Arc<Replica>, config: Arc<Config>) {
        let period = config.codis.as_ref().and_then(|codis| codis.ping_period()).unwrap_or(PERIOD);
        let mut checkup = Checkup::new(&config, &replica.addr, period);
        // Ours and the list's.
        while self
            .by_addr
            .remove_if(&replica.addr, |_, listed| Arc::strong_count(listed) <= 2)
            .is_none()
        {
            let verdicts = replica.verdicts();
            match checkup.ask().await {
                Ok(()) if replica.admit(verdicts) => {
                    tracing::info!(node = replica.addr, "a replica is read");
                }
                Ok(()) => {}
                Err(why) => self.eject_this(&replica, why),
            }
            if replica.is_fit() && timeout(period, replica.ejected.notified()).await.is_err() {
                continue;
            }
            sleep(RECHECK.min(period)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_before_a_verdict_does_not_lift_it() {
        let replicas = Replicas::default();
        let replica = replicas.at("r:1");
        assert!(!replica.is_fit(), "nobody has asked it");
        let asked = replica.verdicts();
        assert!(replica.admit(asked) && replica.is_fit());
        assert!(!replica.admit(asked), "it is fit already");
        let asked = replica.verdicts();
        replicas.eject("r:1", Unfit::Lost);
        assert!(!replica.admit(asked) && !replica.is_fit());
        assert!(replica.admit(replica.verdicts()));
    }

    #[test]
    fn an_ejection_is_counted_once_and_of_replicas_only() {
        let replicas = Replicas::default();
        let replica = replicas.at("r:1");
        replicas.eject("r:1", Unfit::Lost);
        replica.admit(replica.verdicts());
        replicas.eject("r:1", Unfit::Refused);
        replicas.eject("r:1", Unfit::Lost);
        replicas.eject("m:1", Unfit::Lost);
        let counted: u64 = replicas.ejections().iter().map(|(_, count)| count).sum();
        assert_eq!((counted, replicas.ejections()[Unfit::Refused as usize]), (1, ("refused", 1)));
        assert_eq!(replicas.fitness(), [("r:1".to_owned(), false)]);
    }
}
