//! What is known of a connection: its transaction, and in which slots it is.

use crate::differential::allowed::When;
use crate::differential::wire::Reply;
use cluster::{Slot, SlotCount};
use std::collections::BTreeSet;

type Request = Vec<Vec<u8>>;

#[derive(Debug, Default)]
pub(crate) struct Session {
    /// What Redis has queued.
    queued: Option<Vec<Request>>,
    /// As far as it has been sent: whether a transaction is open, and the slots that it and its WATCH are in.
    in_transaction: bool,
    slots: BTreeSet<Slot>,
}

impl Session {
    /// The requests that an EXEC would run now.
    pub(crate) fn queued(&self) -> &[Request] {
        self.queued.as_deref().unwrap_or_default()
    }

    /// Redis has answered.
    pub(crate) fn answered(&mut self, request: &Request, reply: &Reply) {
        match (name(request).as_slice(), &mut self.queued) {
            (b"MULTI", None) if reply.is("+OK") => self.queued = Some(Vec::new()),
            (b"EXEC" | b"DISCARD", Some(_)) if request.len() == 1 => self.queued = None,
            (b"RESET", _) if reply.is("+RESET") => self.queued = None,
            (_, Some(queued)) if reply.is("+QUEUED") => queued.push(request.clone()),
            _ => {}
        }
    }

    /// Whether a condition for a refusal holds for what is about to be sent.
    pub(crate) fn holds(&self, when: When, request: &Request, slots: &BTreeSet<Slot>) -> bool {
        match when {
            When::Always => true,
            // WATCH is refused within a transaction anyway, and does not spoil it.
            When::KeysInSeveralSlots => {
                slots.len() > 1 && !(self.in_transaction && name(request) == b"WATCH")
            }
            When::InTransaction => self.in_transaction,
            When::InTransactionKeysInSeveralSlots => self.in_transaction && slots.len() > 1,
            When::TransactionInSeveralSlots => {
                let is_exec = name(request) == b"EXEC" && request.len() == 1;
                is_exec && self.in_transaction && self.slots.len() > 1
            }
        }
    }

    /// It is sent.
    pub(crate) fn sends(&mut self, request: &Request, slots: &BTreeSet<Slot>, refused: bool) {
        match (name(request).as_slice(), request.len()) {
            (b"MULTI", 1) => self.in_transaction = true,
            // Outside of a transaction they are an error, and what is watched stays so.
            (b"EXEC" | b"DISCARD", 1) if !self.in_transaction => {}
            (b"EXEC", _) | (b"DISCARD" | b"RESET", 1) => {
                self.in_transaction = false;
                self.slots.clear();
            }
            (b"UNWATCH", 1) if !self.in_transaction => self.slots.clear(),
            (b"WATCH", _) if self.in_transaction => {}
            (b"WATCH", _) if !refused => self.slots.extend(slots),
            _ if self.in_transaction && !refused => self.slots.extend(slots),
            _ => {}
        }
    }
}

/// The slots of the keys that Redis has found in a request.
pub(crate) fn slots(keys: &Reply) -> BTreeSet<Slot> {
    let keys = keys.items().unwrap_or_default().iter().filter_map(Reply::bulk);
    keys.map(|key| SlotCount::DEFAULT.of(key)).collect()
}

fn name(request: &Request) -> Vec<u8> {
    request[0].to_ascii_uppercase()
}
