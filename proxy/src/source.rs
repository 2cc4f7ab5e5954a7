//! Where slot tables come from.

use cluster::table::{Group, GroupId, Kind, Owner};
use cluster::{Epoch, SlotCount, Table};
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// The newest slot table, and a way to ask for a newer one.
///
/// Whoever reads tables (a long poll, a file, a test) keeps the sender of `tables` and looks at `refresh`: the proxy pokes it when a node says
/// that a slot is not where the table says. A poke may be ignored; the proxy asks again while it needs an answer.
#[derive(Clone, Debug)]
pub struct TableSource {
    pub tables: watch::Receiver<Arc<Table>>,
    pub refresh: Arc<Notify>,
}

impl TableSource {
    /// A source of one table, and the sender for more.
    pub fn new(first: Table) -> (watch::Sender<Arc<Table>>, Self) {
        let (sender, tables) = watch::channel(Arc::new(first));
        (sender, Self { tables, refresh: Arc::new(Notify::new()) })
    }

    /// For a proxy that a codis-dashboard drives: no slot is anywhere, until it is filled.
    pub fn of_nobody(slots: SlotCount) -> (watch::Sender<Arc<Table>>, Self) {
        let nobody = GroupId(0);
        Self::new(Table {
            version: 0,
            cluster: String::new(),
            groups: vec![Group { id: nobody, addr: String::new(), kind: Kind::default() }],
            slots: vec![Owner { epoch: Epoch(0), group: nobody }; usize::from(slots.get())],
            leaving: Vec::new(),
        })
    }
}
