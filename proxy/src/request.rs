//! A request on its way through a worker: who waits for it, what it touches, what may be done with it.

use crate::session::Session;
use bytes::Bytes;
use cluster::Slot;
use protocol::command::Command;
use std::rc::Rc;
use tokio::time::Instant;

/// Who waits for a reply.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// A client, for its request of this number, or for a part of it.
    Client { session: Rc<Session>, number: u32, part: u16 },
    /// A client, whose WATCH of these keys it is.
    Watch { session: Rc<Session>, number: u32, keys: Rc<[Box<[u8]>]> },
    /// Nobody: the reply says nothing.
    Nobody,
    /// The gate, which asked where a slot is.
    Where(Slot),
    /// The gate, which asked the source of a passage for keys of the slot.
    Passage(Slot, Rc<[Rc<[u8]>]>),
}

/// The slots a request enters.
#[derive(Clone, Debug)]
pub(crate) enum Slots {
    /// Nothing but a word of ours.
    None,
    One(Slot),
    Many(Box<[Slot]>),
}

impl Slots {
    pub(crate) fn as_slice(&self) -> &[Slot] {
        match self {
            Self::None => &[],
            Self::One(slot) => std::slice::from_ref(slot),
            Self::Many(slots) => slots,
        }
    }
}

/// May a request be sent again when it is not known whether it was executed?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    May,
    MustNot,
}

impl Again {
    pub(crate) fn of(command: &Command) -> Self {
        if command.is_repeat_safe() { Self::May } else { Self::MustNot }
    }
}

/// Where a request may go, or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    Owner,
    /// To a replica of its slots, if there is one that may be read.
    Read,
    /// It went to a replica.
    Replica,
}

/// Protocol version and database of a connection to a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FlavourIndex(pub(crate) u16);

/// What is known of a request besides its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) origin: Origin,
    pub(crate) slots: Slots,
    pub(crate) again: Again,
    pub(crate) aim: Aim,
    pub(crate) flavour: FlavourIndex,
    /// When it was first held; a request that is held twice does not wait twice as long.
    pub(crate) held_since: Option<Instant>,
    /// How often it was turned away.
    pub(crate) hops: u32,
}

/// A request that is not on its way.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) request: Request,
    pub(crate) frame: Bytes,
}
