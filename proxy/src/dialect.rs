//! What the node behind an address speaks, learnt anew at each connect.
//!
//! A node of ours answers `SLIPWAY LINK`; whoever calls that an unknown command is plain: Redis, codis-server, Pika. Until it is known, an address
//! is taken for plain, so that locks are obeyed.

use crate::config::{Config, Nodes};
use crate::routes::NodeIndex;
use crate::worker::Worker;
use dashmap::DashMap;

/// What a node speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Bounces, pushes and words of ours (`docs/WIRE.md`).
    Ours,
    #[default]
    Plain,
}

/// What nodes have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    Ours,
    Plain,
    /// Asked at each connect.
    Either,
}

impl Demand {
    /// Of a proxy's nodes: a codis-dashboard may name any.
    pub(crate) fn of(config: &Config) -> Self {
        match (&config.codis, config.nodes) {
            (Some(_), _) => Self::Either,
            (None, Nodes::Slipway) => Self::Ours,
            (None, Nodes::Foreign) => Self::Plain,
        }
    }
}

/// What each address was found to speak, of all workers.
#[derive(Debug, Default)]
pub(crate) struct Dialects(DashMap<String, Dialect>);

impl Dialects {
    /// A node has answered.
    pub(crate) fn learn(&self, addr: &str, dialect: Dialect) {
        if self.of(addr) != Some(dialect) {
            tracing::info!(node = addr, ?dialect, "the node's dialect is known");
            self.0.insert(addr.to_owned(), dialect);
        }
    }

    /// What it said at the last connect.
    pub(crate) fn of(&self, addr: &str) -> Option<Dialect> {
        self.0.get(addr).map(|dialect| *dialect)
    }

    /// Whether the address is known for one of ours.
    pub(crate) fn is_ours(&self, addr: &str) -> bool {
        self.of(addr) == Some(Dialect::Ours)
    }
}

impl Worker {
    /// Whether the node is one of ours, as far as is known.
    pub(crate) fn is_ours(&self, node: NodeIndex) -> bool {
        match Demand::of(&self.config) {
            Demand::Ours => true,
            Demand::Plain => false,
            Demand::Either => self.shared.dialects.is_ours(&self.routes.addr(node)),
        }
    }
}
