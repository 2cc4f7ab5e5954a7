//! What one worker believes of each slot, and how many of its requests are on their way. Hot path.
//!
//! Nodes own the truth; the table and their words are news of different age. The higher epoch wins, with one exception: a node that is
//! believed to be the owner and says that it is not is believed (a grant that was lost with both nodes leaves the old owner with the lower
//! epoch).

use cluster::route::Route;
use cluster::{Epoch, Slot, SlotCount, Table};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// A node's number in this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeIndex(pub(crate) u16);

/// Serves what nobody serves: a slot that is offline.
pub(crate) const NOBODY: NodeIndex = NodeIndex(0);

/// All routes of one worker.
pub(crate) struct Routes {
    pub(crate) count: SlotCount,
    /// Small, so that all of it stays in the nearest cache.
    slots: Box<[SlotCell]>,
    believed: RefCell<Box<[Route<NodeIndex>]>>,
    nodes: RefCell<Nodes>,
}

#[derive(Default)]
struct SlotCell {
    node: Cell<u16>,
    held: Cell<bool>,
    in_flight: Cell<u32>,
}

struct Nodes {
    addrs: Vec<Rc<str>>,
    by_addr: HashMap<Rc<str>, NodeIndex>,
}

impl Default for Nodes {
    fn default() -> Self {
        let nobody: Rc<str> = "".into();
        Self { addrs: vec![Rc::clone(&nobody)], by_addr: HashMap::from([(nobody, NOBODY)]) }
    }
}

/// Where a request of a slot may go now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Open(NodeIndex),
    Held,
    /// Nowhere: nobody serves it.
    Offline,
}

impl Routes {
    /// Routes as the table has them.
    pub(crate) fn new(count: SlotCount) -> Self {
        let nowhere = Route { node: NOBODY, epoch: Epoch(0), token: None };
        Self {
            count,
            slots: count.slots().map(|_| SlotCell::default()).collect(),
            believed: RefCell::new(count.slots().map(|_| nowhere).collect()),
            nodes: RefCell::default(),
        }
    }

    fn cell(&self, slot: Slot) -> &SlotCell {
        &self.slots[usize::from(slot.0)]
    }

    /// Where a request of the slot may go now.
    pub(crate) fn way(&self, slot: Slot) -> Way {
        let cell = self.cell(slot);
        match NodeIndex(cell.node.get()) {
            _ if cell.held.get() => Way::Held,
            NOBODY => Way::Offline,
            node => Way::Open(node),
        }
    }

    /// A request of the slot is on its way.
    pub(crate) fn enter(&self, slot: Slot) {
        let cell = self.cell(slot);
        cell.in_flight.set(cell.in_flight.get() + 1);
    }

    /// It is back, whatever came of it. Returns the way of the slot.
    pub(crate) fn leave(&self, slot: Slot) -> Way {
        let cell = self.cell(slot);
        cell.in_flight.set(cell.in_flight.get() - 1);
        self.way(slot)
    }

    /// How many requests of the slot are on their way.
    pub(crate) fn in_flight(&self, slot: Slot) -> u32 {
        self.cell(slot).in_flight.get()
    }

    /// From now on the gate has the requests of the slot.
    pub(crate) fn hold(&self, slot: Slot) {
        self.cell(slot).held.set(true);
    }

    /// The gate has let the slot go.
    pub(crate) fn open(&self, slot: Slot) {
        self.cell(slot).held.set(false);
    }

    /// What is believed of the slot.
    pub(crate) fn route(&self, slot: Slot) -> Route<NodeIndex> {
        self.believed.borrow()[usize::from(slot.0)]
    }

    /// Whether what a node says, or the table, changes the route.
    pub(crate) fn is_news(
        &self,
        slot: Slot,
        from: Option<NodeIndex>,
        news: Route<NodeIndex>,
    ) -> bool {
        let mut route = self.route(slot);
        let denied = from == Some(route.node) && news.node != route.node;
        route.learn(news) || denied
    }

    /// Changes the route.
    pub(crate) fn set(&self, slot: Slot, route: Route<NodeIndex>) {
        self.believed.borrow_mut()[usize::from(slot.0)] = route;
        self.cell(slot).node.set(route.node.0);
    }

    /// The number of the node at this address.
    pub(crate) fn node(&self, addr: &str) -> NodeIndex {
        let nodes = &mut *self.nodes.borrow_mut();
        if let Some(&known) = nodes.by_addr.get(addr) {
            return known;
        }
        let index = NodeIndex(nodes.addrs.len() as u16);
        let addr: Rc<str> = addr.into();
        nodes.addrs.push(Rc::clone(&addr));
        nodes.by_addr.insert(addr, index);
        index
    }

    /// Where the node listens.
    pub(crate) fn addr(&self, node: NodeIndex) -> Rc<str> {
        self.nodes.borrow().addrs.get(usize::from(node.0)).cloned().unwrap_or_else(|| "?".into())
    }

    /// The owner of the slot as the table has it.
    pub(crate) fn in_table(&self, table: &Table, slot: Slot) -> Option<Route<NodeIndex>> {
        let owner = table.owner(slot)?;
        let node = self.node(&table.group(owner.group)?.addr);
        Some(Route { node, epoch: owner.epoch, token: None })
    }

    /// The slots of the table whose routes differ from ours and are newer.
    pub(crate) fn newer_in(&self, table: &Table) -> Vec<(Slot, Route<NodeIndex>)> {
        let by_group: HashMap<_, _> =
            table.groups.iter().map(|g| (g.id, self.node(&g.addr))).collect();
        let routes = self.believed.borrow();
        let newer = self.count.slots().zip(&table.slots).filter_map(|(slot, owner)| {
            let node = *by_group.get(&owner.group)?;
            let known = &routes[usize::from(slot.0)];
            (owner.epoch > known.epoch)
                .then_some((slot, Route { node, epoch: owner.epoch, token: None }))
        });
        newer.collect()
    }

    /// The slots of groups that listen elsewhere than they did, with their new routes.
    pub(crate) fn moved_groups(
        &self,
        before: &Table,
        after: &Table,
    ) -> Vec<(Slot, Route<NodeIndex>)> {
        let moved = after.groups.iter().filter_map(|new| {
            let old = before.group(new.id)?;
            (old.addr != new.addr).then(|| (self.node(&old.addr), self.node(&new.addr)))
        });
        let moved: HashMap<NodeIndex, NodeIndex> = moved.collect();
        if moved.is_empty() {
            return Vec::new();
        }
        let routes = self.believed.borrow();
        let at_old = self.count.slots().zip(routes.iter()).filter_map(|(slot, route)| {
            let node = *moved.get(&route.node)?;
            Some((slot, Route { node, ..*route }))
        });
        at_old.collect()
    }

    /// Every node that owns a slot, with its slots in order.
    pub(crate) fn owners(&self) -> Vec<(NodeIndex, Vec<Slot>)> {
        let mut owners: Vec<(NodeIndex, Vec<Slot>)> = Vec::new();
        for (slot, route) in self.count.slots().zip(self.believed.borrow().iter()) {
            match owners.iter_mut().find(|(node, _)| *node == route.node) {
                Some((_, slots)) => slots.push(slot),
                None if route.node == NOBODY => {}
                None => owners.push((route.node, vec![slot])),
            }
        }
        owners
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::Token;
    use cluster::table::{Group, GroupId, Kind, Owner};

    const S: Slot = Slot(3);

    fn routes() -> (Routes, NodeIndex, NodeIndex) {
        let routes = Routes::new(SlotCount::DEFAULT);
        let (a, b) = (routes.node("a:1"), routes.node("b:1"));
        routes.set(S, Route { node: a, epoch: Epoch(5), token: None });
        (routes, a, b)
    }

    fn route(node: NodeIndex, epoch: u64, token: Option<u128>) -> Route<NodeIndex> {
        Route { node, epoch: Epoch(epoch), token: token.map(Token) }
    }

    #[test]
    fn the_higher_epoch_wins_but_a_node_is_believed_about_itself() {
        let (routes, a, b) = routes();
        for (from, news, is_news) in [
            (None, route(b, 6, None), true),
            (None, route(b, 5, None), false),
            (Some(b), route(b, 4, None), false),
            (Some(b), route(b, 6, Some(1)), true),
            // The believed owner says that it is another one.
            (Some(a), route(b, 4, None), true),
            (Some(a), route(a, 4, None), false),
            (Some(a), route(a, 5, Some(9)), true),
        ] {
            assert_eq!(routes.is_news(S, from, news), is_news, "{from:?} {news:?}");
        }
    }

    #[test]
    fn requests_on_their_way_are_counted_a_slot() {
        let (routes, a, _) = routes();
        routes.enter(S);
        routes.enter(S);
        assert_eq!((routes.in_flight(S), routes.in_flight(Slot(4))), (2, 0));
        routes.hold(S);
        assert_eq!(routes.leave(S), Way::Held);
        routes.open(S);
        assert_eq!(routes.leave(S), Way::Open(a));
        assert_eq!(routes.in_flight(S), 0);
    }

    #[test]
    fn a_table_says_what_is_newer_and_which_groups_have_moved() {
        let (routes, a, _) = routes();
        let group = |id, addr: &str| Group {
            id: GroupId(id),
            addr: addr.to_owned(),
            kind: Kind::default(),
        };
        let table = |second: &str| Table {
            version: 1,
            cluster: "c".to_owned(),
            groups: vec![group(1, "a:1"), group(2, second)],
            slots: (0..1024)
                .map(|slot| Owner { epoch: Epoch(5), group: GroupId(1 + slot % 2) })
                .collect(),
            leaving: Vec::new(),
        };
        let newer = routes.newer_in(&table("b:1"));
        assert_eq!(newer.len(), 1023, "slot 3 is known with the same epoch");
        for (slot, news) in newer {
            routes.set(slot, news);
        }
        let moved = routes.moved_groups(&table("b:1"), &table("b:2"));
        assert_eq!(moved.len(), 511);
        assert!(moved.iter().all(|(_, news)| *routes.addr(news.node) == *"b:2"));
        assert_eq!(routes.route(S).node, a);
        let owners = routes.owners();
        assert_eq!(owners.iter().map(|(_, slots)| slots.len()).sum::<usize>(), 1024);
    }
}
