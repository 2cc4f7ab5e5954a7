//! Which nodes cannot be reached, since when, and why.

use crate::routes::NodeIndex;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// The nodes of one worker that are down.
#[derive(Default)]
pub(crate) struct Health {
    down: RefCell<HashMap<NodeIndex, Down>>,
}

struct Down {
    since: Instant,
    why: String,
}

impl Health {
    /// A connection was lost or refused.
    pub(crate) fn down(&self, node: NodeIndex, now: Instant, why: String) {
        let mut down = self.down.borrow_mut();
        down.entry(node).and_modify(|d| d.why.clone_from(&why)).or_insert(Down { since: now, why });
    }

    /// A connection is up.
    pub(crate) fn up(&self, node: NodeIndex) {
        self.down.borrow_mut().remove(&node);
    }

    /// When requests for the node are no longer held; nothing while it is up.
    pub(crate) fn given_up_at(&self, node: NodeIndex, patience: Duration) -> Option<Instant> {
        self.down.borrow().get(&node).map(|d| d.since + patience)
    }

    /// Whether requests for the node are answered with an error at once.
    pub(crate) fn is_given_up(&self, node: NodeIndex, now: Instant, patience: Duration) -> bool {
        self.given_up_at(node, patience).is_some_and(|at| now >= at)
    }

    /// Why the node is down.
    pub(crate) fn why(&self, node: NodeIndex) -> String {
        self.down.borrow().get(&node).map_or_else(|| "no connection".to_owned(), |d| d.why.clone())
    }
}
