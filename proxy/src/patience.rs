//! How long a command that runs alone waits for a slot or a node, and how often it tries.

use crate::pool::Unreachable;
use crate::routes::NodeIndex;
use crate::words::{Bounce, Word};
use crate::worker::Worker;
use cluster::Slot;
use codis::commands::texts::SLOT_NOT_READY;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The first pause and the longest; each is twice the last.
const PAUSE_FIRST: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Time and attempts a command has left.
pub(crate) struct Patience {
    since: Instant,
    pause: Duration,
    hops: u32,
}

/// So many hints in a row are followed at once.
const HOPS_AT_ONCE: u32 = 4;

impl Patience {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), pause: PAUSE_FIRST, hops: 0 }
    }

    /// The node had taken the command in for so long: that was no waiting for a node that takes it.
    pub(crate) fn pardon(&mut self, time: Duration) {
        self.since += time;
        if time > PAUSE_MAX {
            (self.pause, self.hops) = (PAUSE_FIRST, 0);
        }
    }

    /// A node could not be reached: waits a moment. The error is the line for the client when time is up.
    pub(crate) async fn unreachable(
        &mut self,
        worker: &Rc<Worker>,
        node: NodeIndex,
        why: Unreachable,
    ) -> Result<(), String> {
        let (limit, line) = match why {
            Unreachable::Offline => return Err(SLOT_NOT_READY.to_owned()),
            Unreachable::Full(max) => (
                worker.config.hold.timeout,
                format!(
                    "ERR slipway: {max} connections for blocking commands are in use (upstream.private_max)"
                ),
            ),
            Unreachable::Down(why) => {
                worker.refresh();
                let addr = worker.routes.addr(node);
                (worker.config.hold.node_down, format!("ERR slipway: node {addr} is down: {why}"))
            }
        };
        self.wait(limit).await.map_err(|()| line)
    }

    /// The command was turned away: takes in the word, and waits if it says nothing new. The error is the line for the client.
    pub(crate) async fn turned_away(
        &mut self,
        worker: &Rc<Worker>,
        by: NodeIndex,
        bounce: &Bounce,
    ) -> Result<(), String> {
        worker.metrics.bounces[bounce.word.kind() as usize].add(1);
        let before = worker.routes.route(bounce.slot);
        worker.hear(by, bounce);
        self.hops += 1;
        if worker.routes.route(bounce.slot) != before && self.hops <= HOPS_AT_ONCE {
            return Ok(());
        }
        let timeout = worker.config.hold.timeout;
        let line = |slot: Slot| {
            format!("TRYAGAIN slot {slot} is moving, held for {} s", timeout.as_secs())
        };
        if self.since.elapsed() > worker.config.hold.soft {
            worker.refresh();
        }
        self.wait(timeout).await.map_err(|()| line(bounce.slot))
    }

    /// Whoever fills the slots has locked this one: waits a moment. The error is the line for the client when time is up.
    pub(crate) async fn locked(&mut self, worker: &Rc<Worker>, slot: Slot) -> Result<(), String> {
        let timeout = worker.config.hold.timeout;
        let line = format!("TRYAGAIN slot {slot} is locked, held for {} s", timeout.as_secs());
        self.wait(timeout).await.map_err(|()| line)
    }

    async fn wait(&mut self, limit: Duration) -> Result<(), ()> {
        if self.since.elapsed() > limit {
            return Err(());
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(())
    }
}

impl Worker {
    /// Takes in what a bounce says, for a request the gate does not have.
    fn hear(self: &Rc<Self>, by: NodeIndex, bounce: &Bounce) {
        match &bounce.word {
            Word::Hold => return,
            Word::Moved(moved) => self.learn(by, bounce.slot, moved),
            Word::Ask => self.look_up(by, bounce.slot),
        }
        self.settle(bounce.slot);
    }
}
