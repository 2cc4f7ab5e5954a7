//! Everything that can differ between two moments of the model: the nodes with their logs, the links, the proxies, the controller, the
//! messages under way, and how many faults are left.

use super::alphabet::{Id, Move, News};
use std::hash::{Hash, Hasher};

/// A short list, in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Few<T, const N: usize> {
    len: u8,
    items: [T; N],
}

impl<T: Copy + PartialEq, const N: usize> Few<T, N> {
    pub(crate) fn new(fill: T) -> Self {
        Self { len: 0, items: [fill; N] }
    }
    pub(crate) fn as_slice(&self) -> &[T] {
        &self.items[..usize::from(self.len)]
    }
    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.items[..usize::from(self.len)]
    }
    pub(crate) fn len(&self) -> usize {
        usize::from(self.len)
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
    pub(crate) fn is_full(&self) -> bool {
        self.len() == N
    }
    pub(crate) fn first(&self) -> Option<T> {
        self.as_slice().first().copied()
    }
    pub(crate) fn last(&self) -> Option<T> {
        self.as_slice().last().copied()
    }
    pub(crate) fn contains(&self, item: T) -> bool {
        self.as_slice().contains(&item)
    }
    pub(crate) fn push(&mut self, item: T) {
        assert!(!self.is_full(), "a list of the model is too short");
        self.items[self.len()] = item;
        self.len += 1;
    }
    /// Puts the item in its place, once.
    pub(crate) fn insert(&mut self, item: T)
    where
        T: Ord,
    {
        let at = self.as_slice().partition_point(|i| *i < item);
        if self.as_slice().get(at) != Some(&item) {
            self.push(item);
            self.as_mut_slice()[at..].rotate_right(1);
        }
    }
    pub(crate) fn remove(&mut self, at: usize) -> T {
        let item = self.items[at];
        self.items.copy_within(at + 1..usize::from(self.len), at);
        self.len -= 1;
        item
    }
    pub(crate) fn retain(&mut self, keep: impl Fn(T) -> bool) {
        let mut kept = 0;
        for at in 0..self.len() {
            if keep(self.items[at]) {
                self.items[kept] = self.items[at];
                kept += 1;
            }
        }
        self.len = kept as u8;
    }
    pub(crate) fn keep_from(&mut self, at: usize) {
        self.items.copy_within(at..usize::from(self.len), 0);
        self.len -= at as u8;
    }
    pub(crate) fn keep_to(&mut self, len: usize) {
        self.len = len as u8;
    }
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }
}

impl<T: Hash + Copy + PartialEq, const N: usize> Hash for Few<T, N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.len);
        for item in self.as_slice() {
            item.hash(state);
        }
    }
}

/// The operations a client can have in a run.
pub(crate) const OPS: usize = 4;

/// A set of operations, a bit each: the data of a slot are the writes applied to it.
pub(crate) type Set = u8;

pub(crate) fn bit(op: u8) -> Set {
    1 << op
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) nodes: [Node; 2],
    /// By proxy, then by node.
    pub(crate) links: [[Link; 2]; 2],
    pub(crate) proxies: [Proxy; 2],
    pub(crate) ops: [Op; OPS],
    /// What was acknowledged before a read began.
    pub(crate) before: [Set; OPS],
    pub(crate) control: Control,
    /// Between source and target: each may be late, lost, delivered twice, overtaken.
    pub(crate) messages: Few<Message, 8>,
    /// Words of the controller that it has given up waiting for, and that may still arrive.
    pub(crate) late: Few<Word, 2>,
    pub(crate) left: Left,
    /// Something that must not happen has happened.
    pub(crate) flaw: Option<Flaw>,
}

impl Message {
    pub(crate) fn migration(self) -> Move {
        match self {
            Self::Final(m, ..)
            | Self::Ready(m, ..)
            | Self::Grant(m, _)
            | Self::Resolve(m)
            | Self::Resolved(m, _) => m,
        }
    }
}

impl Word {
    pub(crate) fn migration(self) -> Move {
        match self {
            Self::Import(m)
            | Self::Export(m)
            | Self::Arm(m, _)
            | Self::Abort(m)
            | Self::Drop(m)
            | Self::Clean(m) => m,
        }
    }
}

impl<T: PartialEq, const N: usize> PartialEq for Few<T, N> {
    fn eq(&self, other: &Self) -> bool {
        self.items[..usize::from(self.len)] == other.items[..usize::from(other.len)]
    }
}
impl<T: Eq, const N: usize> Eq for Few<T, N> {}

/// What a node's log says at one place: the slot's record, and its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Version {
    pub(crate) record: Id,
    pub(crate) data: Set,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) up: bool,
    /// In memory.
    pub(crate) slot: Id,
    /// As a source: the target has answered GRANT with OWNED. In memory.
    pub(crate) told: bool,
    /// Migrations it was told to let go of, a bit each. In memory: what could come late dies with the process, too.
    pub(crate) off: u8,
    /// The first is on disk for good; a power loss keeps it and as many of the others, in order, as luck will have it.
    pub(crate) log: Few<Version, 8>,
    /// Requests on broken connections that the node has read, and may still execute.
    pub(crate) ghosts: Few<Request, 2>,
}

impl Node {
    pub(crate) fn data(&self) -> Set {
        self.log.last().map_or(0, |v| v.data)
    }
}

/// A connection of a proxy to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Link {
    /// The node turns away everything until RESUME.
    pub(crate) sticky: bool,
    /// Has entered, is not yet applied.
    pub(crate) inside: Option<u8>,
    pub(crate) requests: Few<Request, 4>,
    pub(crate) replies: Few<Reply, 6>,
}

impl Link {
    pub(crate) fn is_idle(&self) -> bool {
        self.inside.is_none() && self.requests.is_empty() && self.replies.is_empty()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Request {
    pub(crate) op: u8,
    /// What goes right before it.
    pub(crate) resume: Resume,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Resume {
    No,
    Plain,
    Token(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reply {
    Done(u8),
    /// Executed; leaves the node when the log is synced.
    Unsynced(u8),
    Hold(u8),
    Moved(u8, News),
    Ask(u8),
    /// Pushes.
    Open,
    Gone(News),
}

/// What WHERE says, as far as it makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Here,
    Wait,
    Elsewhere(News),
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Proxy {
    pub(crate) route: News,
    pub(crate) gate: Gate,
    /// RESUME has to go before the next request.
    pub(crate) resume: bool,
}

/// What a proxy does with requests of the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Gate {
    /// Sends them.
    Open,
    /// Keeps them, and does not know for how long.
    Wait,
    /// Keeps them only until nothing is outstanding.
    Go,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    /// Not in this run.
    None,
    Idle,
    /// Held at the gate.
    Held,
    Sent,
    Done,
    /// Answered with an error: its fate is unknown.
    Failed,
}

impl Op {
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::None | Self::Done | Self::Failed)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Control {
    // In the store.
    pub(crate) owner: u8,
    pub(crate) epoch: u8,
    pub(crate) stage: Stage,
    pub(crate) started: u8,
    /// A bit for each migration: its source.
    pub(crate) sources: u8,
    /// In memory: how many words of this stage were answered.
    pub(crate) step: u8,
}

impl Control {
    pub(crate) fn source(self, m: Move) -> usize {
        usize::from(self.sources >> m.0 & 1)
    }
    pub(crate) fn target(self, m: Move) -> usize {
        1 - self.source(m)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Idle,
    Open(Move),
    /// To be called off.
    Off(Move),
    /// The new owner is recorded.
    Settled(Move),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Message {
    /// Attempt, and the data as they are then.
    Final(Move, u8, Set),
    /// Attempt and token.
    Ready(Move, u8, u8),
    Grant(Move, u8),
    Resolve(Move),
    /// Whether the target owns the slot.
    Resolved(Move, bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Word {
    Import(Move),
    Export(Move),
    /// To this node.
    Arm(Move, u8),
    Abort(Move),
    Drop(Move),
    Clean(Move),
}

/// Faults that may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Left {
    pub(crate) crashes: [u8; 2],
    pub(crate) control: u8,
    pub(crate) resets: u8,
    pub(crate) doubles: u8,
    pub(crate) late: u8,
    pub(crate) aborts: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Flaw {
    Twice(u8),
    Order(u8),
    Stale(u8),
}
