//! Which replica a worker sends a read to, and how many reads of each slot are there. What is filled decides; who is fit is in `replicas.rs`.
//!
//! Reads at replicas are counted apart from requests at owners: they neither wait for the gate nor keep it, but a fill waits for both
//! (`worker/fill.rs`). Where no slot has replicas, a request costs one comparison more.

use super::Worker;
use crate::metrics::{Repeat, Unfit};
use crate::replicas::Replica;
use crate::request::{Aim, FlavourIndex, Kept, Request, Slots};
use crate::routes::{NodeIndex, Way};
use crate::session::replies::Frame;
use crate::upstream::Upstream;
use cluster::{Slot, SlotCount};
use codis::commands::Grade;
use codis::fill::Serving;
use codis::model;
use protocol::command::{Command, table};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::{Arc, OnceLock};

/// What one worker knows of replicas.
pub(crate) struct Reads {
    /// How many slots have replicas.
    readable: Cell<usize>,
    slots: Box<[Place]>,
    /// Slots of one group share what is the same for them.
    known: RefCell<HashMap<Group, Weak<Levels>>>,
}

#[derive(Default)]
struct Place {
    levels: RefCell<Option<Rc<Levels>>>,
    in_flight: Cell<u32>,
}

/// The address of a primary, and who may be read in its place.
type Group = (String, Vec<Vec<String>>);

/// Candidates, the preferred ones first.
type Levels = Vec<Vec<Candidate>>;

struct Candidate {
    node: NodeIndex,
    /// Nothing of the primary itself.
    replica: Option<Arc<Replica>>,
}

/// All of a level, beginning somewhere.
fn in_turn(level: &[Candidate], first: usize) -> impl Iterator<Item = &Candidate> {
    level.iter().cycle().skip(first % level.len().max(1)).take(level.len())
}

/// Whether codis-proxy may send the command to a replica. By its number: it is asked with every request.
fn may_go_to_replica(command: &Command) -> bool {
    static READS: OnceLock<Box<[bool]>> = OnceLock::new();
    let reads = READS.get_or_init(|| table().iter().map(is_read).collect());
    reads[command.id.index()]
}

/// What the fork refuses and we do not is graded upstream. A replica's connection may be lost: what went there must bear being repeated.
fn is_read(command: &Command) -> bool {
    let grade = codis::commands::lookup(command.name).and_then(|c| c.upstream.or(c.fork));
    grade == Some(Grade::Read) && command.is_repeat_safe() && !command.is_write()
}

impl Reads {
    pub(super) fn new(count: SlotCount) -> Self {
        Self {
            readable: Cell::new(0),
            slots: count.slots().map(|_| Place::default()).collect(),
            known: RefCell::default(),
        }
    }

    fn place(&self, slot: Slot) -> &Place {
        &self.slots[usize::from(slot.0)]
    }

    /// Where a request of this command may go.
    pub(crate) fn aim(&self, command: &Command) -> Aim {
        if self.readable.get() > 0 && may_go_to_replica(command) { Aim::Read } else { Aim::Owner }
    }

    /// How many reads of the slot are at replicas.
    pub(super) fn in_flight(&self, slot: Slot) -> u32 {
        self.place(slot).in_flight.get()
    }

    fn enter(&self, slot: Slot) {
        let cell = &self.place(slot).in_flight;
        cell.set(cell.get() + 1);
    }

    fn leave(&self, slot: Slot) {
        let cell = &self.place(slot).in_flight;
        cell.set(cell.get() - 1);
    }

    fn set(&self, slot: Slot, levels: Option<Rc<Levels>>) {
        let (has, had) = (levels.is_some(), self.place(slot).levels.replace(levels).is_some());
        self.readable.set(self.readable.get() + usize::from(has) - usize::from(had));
    }

    /// Every node that a slot may be read at.
    pub(super) fn nodes(&self) -> Vec<NodeIndex> {
        let mut known = self.known.borrow_mut();
        known.retain(|_, levels| levels.strong_count() > 0);
        let levels = known.values().filter_map(Weak::upgrade);
        levels
            .flat_map(|levels| levels.iter().flatten().map(|c| c.node).collect::<Vec<_>>())
            .collect()
    }
}

impl Worker {
    /// A request of the slot is back. Returns the way of the slot.
    pub(crate) fn leave(&self, aim: Aim, slot: Slot) -> Way {
        if aim != Aim::Replica {
            return self.routes.leave(slot);
        }
        self.reads.leave(slot);
        self.routes.way(slot)
    }

    /// Who may be read for a slot, as filled.
    pub(super) fn install_replicas(self: &Rc<Self>, slot: Slot, filled: &model::Slot) {
        let primary_only =
            self.config.codis.as_ref().is_none_or(|codis| codis.backend_primary_only);
        let levels = match Serving::of(filled) {
            Serving::Settled { primary, replicas } if !primary_only && !replicas.is_empty() => {
                Some(self.levels((primary.to_owned(), replicas.to_vec())))
            }
            _ => None,
        };
        for candidate in levels.iter().flat_map(|levels| levels.iter().flatten()) {
            self.connect_ahead(slot, candidate.node);
        }
        self.reads.set(slot, levels);
    }

    fn levels(&self, group: Group) -> Rc<Levels> {
        let mut known = self.reads.known.borrow_mut();
        if let Some(levels) = known.get(&group).and_then(Weak::upgrade) {
            return levels;
        }
        let (primary, replicas) = &group;
        let candidate = |addr: &String| Candidate {
            node: self.routes.node(addr),
            replica: (addr != primary).then(|| self.shared.replicas.at(addr)),
        };
        let level = |addrs: &Vec<String>| addrs.iter().map(candidate).collect();
        let levels = Rc::new(replicas.iter().map(level).collect::<Levels>());
        known.insert(group, Rc::downgrade(&levels));
        levels
    }

    /// The connection to the replica where a read of the slot goes; nothing: it goes to the owner.
    ///
    /// Among equals the slot chooses: as long as they are well, a key is read at the same one, and time does not run backwards for a client.
    pub(crate) fn replica(
        self: &Rc<Self>,
        slot: Slot,
        flavour: FlavourIndex,
    ) -> Option<Rc<Upstream>> {
        let levels = self.reads.place(slot).levels.borrow().clone()?;
        match self.routes.way(slot) {
            Way::Offline => return None,
            Way::Held if self.is_locked(slot) => return None,
            // Whoever owns it is down, or has just come back: replicas need not wait.
            Way::Held | Way::Open(_) => {}
        }
        // Lanes go by the slot's number too: each candidate is to get some of each.
        let first = usize::from(slot.0 / self.config.upstream.connections);
        for candidate in levels.iter().flat_map(|level| in_turn(level, first)) {
            let key = self.key(candidate.node, slot, flavour);
            match &candidate.replica {
                // The primary in its own right: as any request for it, if it takes one.
                None if self.routes.way(slot) == Way::Open(candidate.node) => {
                    if self.upstream(key).is_up() {
                        return None;
                    }
                }
                Some(replica) if replica.is_fit() => {
                    let upstream = self.upstream(key);
                    if upstream.is_up() {
                        return Some(upstream);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Where a whole request may be read: all of its slots at one replica.
    pub(super) fn replica_of(self: &Rc<Self>, request: &Request) -> Option<Rc<Upstream>> {
        let (first, others) = request.slots.as_slice().split_first()?;
        let upstream = self.replica(*first, request.flavour)?;
        let is_there = |slot: &Slot| {
            let other = self.replica(*slot, request.flavour);
            other.is_some_and(|other| Rc::ptr_eq(&other, &upstream))
        };
        others.iter().all(is_there).then_some(upstream)
    }

    /// Sends a read to a replica.
    pub(super) fn read_at(&self, upstream: &Rc<Upstream>, mut request: Request, frame: Frame<'_>) {
        request.aim = Aim::Replica;
        request.slots.as_slice().iter().for_each(|&slot| self.reads.enter(slot));
        self.metrics.replica_requests.add(1);
        upstream.send(self, request, frame);
    }

    /// A node was lost, or turned reads away, which go to their owners now. Clients see nothing of it.
    pub(crate) fn replica_failed(self: &Rc<Self>, node: NodeIndex, why: Unfit, unread: Vec<Kept>) {
        self.shared.replicas.eject(&self.routes.addr(node), why);
        for kept in unread {
            self.metrics.repeats[Repeat::Replica as usize].add(1);
            // By now its slots may have nothing in common any more.
            let parts = match kept.request.slots {
                Slots::Many(_) => self.cut(&kept).into_iter().map(|(_, part)| part).collect(),
                Slots::None | Slots::One(_) => vec![kept],
            };
            for Kept { mut request, frame } in parts {
                request.aim = Aim::Owner;
                self.send(request, Frame::Long(frame));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::command::Keys;

    #[test]
    fn what_codis_reads_at_replicas_goes_there_and_nothing_that_writes() {
        let names: Vec<&str> =
            table().iter().filter(|command| is_read(command)).map(|command| command.name).collect();
        for name in
            ["get", "mget", "hgetall", "zrange", "ttl", "exists", "sinter", "geopos", "dump"]
        {
            assert!(names.contains(&name), "{name}");
        }
        for name in [
            "set",
            "incr",
            "hscan",
            "slotsscan",
            "touch",
            "sort",
            "georadius",
            "bitfield",
            "eval",
            "xrange",
        ] {
            assert!(!names.contains(&name), "{name}");
        }
        // Whatever Codis reads and has a key is one of them.
        let missing = codis::commands::table()
            .filter(|command| command.upstream == Some(Grade::Read))
            .map(|command| command.name.to_ascii_lowercase())
            .filter(|name| {
                let has_key = |c: &Command| !matches!(c.keys, Keys::None);
                table().iter().any(|c| c.name == name && has_key(c) && !is_read(c))
            });
        assert_eq!(missing.collect::<Vec<_>>(), [""; 0]);
    }
}
