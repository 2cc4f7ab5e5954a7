//! What a node is, and so what may be said to it. Learnt anew at each connect: somebody may have started another program there.

use crate::routes::NodeIndex;
use std::cell::{Cell, RefCell};

/// What a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Redis, or whatever speaks its protocol. Also what is not known yet: it is told nothing but commands.
    #[default]
    Plain,
    /// Pika of 3.5 or 4.0, whose slot commands are the same: slots move key by key, on demand and by a sweep (`docs/FOREIGN.md`).
    Pika,
    /// codis-server, a Redis 3.2 with slots (`docs/FOREIGN.md`).
    CodisServer,
    /// Ours: it owns the truth about its slots, bounces and pushes (`docs/WIRE.md`).
    Slipway,
}

/// What one worker knows of the nodes.
#[derive(Debug, Default)]
pub(crate) struct Dialects {
    known: RefCell<Vec<Dialect>>,
    has_pika: Cell<bool>,
}

impl Dialects {
    pub(crate) fn of(&self, node: NodeIndex) -> Dialect {
        self.known.borrow().get(usize::from(node.0)).copied().unwrap_or_default()
    }

    pub(crate) fn learn(&self, node: NodeIndex, dialect: Dialect) {
        let mut known = self.known.borrow_mut();
        let index = usize::from(node.0);
        if known.len() <= index {
            known.resize(index + 1, Dialect::default());
        }
        known[index] = dialect;
        self.has_pika.set(known.contains(&Dialect::Pika));
    }

    /// Whether any node is a Pika.
    pub(crate) fn has_pika(&self) -> bool {
        self.has_pika.get()
    }
}
