//! Requests of connections that are no part of ours, for slots that are on another node (docs/WIRE.md §7).
//!
//! An old codis-proxy, or a client that talks to a node directly, does not follow a slot: under a codis-dashboard the node it asks follows it, over
//! a link of its own. The other node answers itself or says where the slot is; it never passes a request on. Each worker has links of its own,
//! so that nobody waits for another worker.

use crate::error::CommandError;
use crate::exec::SlotList;
use crate::shared::Shared;
use crate::transfer::{Peer, PeerError};
use cluster::state::{Access, Admission};
use cluster::{Slot, SlotState, Token};
use protocol::request::encode_request;
use std::cell::RefCell;
use std::collections::HashMap;

/// Links a worker has to one node: a request that takes long holds up those behind it on its link only.
const LANES: u64 = 4;

thread_local! {
    static LINKS: RefCell<HashMap<(String, u64), Peer>> = RefCell::default();
}

/// Where the slots of a request are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Here,
    /// They will be known to be somewhere in a moment.
    Between,
    There(Address),
    /// Not all on one node.
    Apart,
}

/// A node, and what proves there that the slot was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) addr: String,
    pub(crate) token: Option<Token>,
}

/// Looks the slots up, one after another.
pub(crate) fn place(shared: &Shared, slots: &SlotList, access: Access) -> Place {
    let mut found: Option<Place> = None;
    for &slot in slots {
        let its = place_of(&shared.slot(slot).read().state, access);
        found = Some(match (found, its) {
            (None, its) => its,
            (Some(Place::Between), _) | (_, Place::Between) => Place::Between,
            (Some(Place::Here), Place::Here) => Place::Here,
            (Some(Place::There(a)), Place::There(b)) if a.addr == b.addr => {
                // A token is one slot's; without it the target waits for the grant.
                Place::There(Address { token: None, ..a })
            }
            _ => Place::Apart,
        });
    }
    found.unwrap_or(Place::Here)
}

fn place_of(state: &SlotState, access: Access) -> Place {
    match (state.admit(access), state) {
        (Admission::Execute, _) => Place::Here,
        (Admission::Moved { addr, token, .. }, _) => {
            Place::There(Address { addr: addr.to_owned(), token })
        }
        (_, SlotState::Importing { from, .. } | SlotState::Ready { from, .. }) => {
            Place::There(Address { addr: from.peer.clone(), token: None })
        }
        _ => Place::Between,
    }
}

/// What the other node made of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Executed there: the reply's frame.
    Reply(Vec<u8>),
    /// Not executed; perhaps it says where to go.
    Elsewhere(Option<Address>),
    /// Not executed: it cannot be reached.
    Unreachable(String),
    /// Perhaps executed.
    InDoubt(String),
}

/// One request, as it goes over the link: `SLIPWAY RELAY db version token command…`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relayed<'a> {
    pub(crate) db: u8,
    pub(crate) version: u8,
    pub(crate) args: &'a [&'a [u8]],
}

/// Sends a request to another node and reads its answer.
pub(crate) async fn send(shared: &Shared, lane: u64, to: &Address, request: Relayed<'_>) -> Answer {
    let db = request.db.to_string();
    let version = request.version.to_string();
    let token = to.token.map_or_else(|| "-".to_owned(), |token| token.to_string());
    let mut args: Vec<&[u8]> = Vec::with_capacity(5 + request.args.len());
    args.extend([b"SLIPWAY".as_slice(), b"RELAY", db.as_bytes(), version.as_bytes()]);
    args.push(token.as_bytes());
    args.extend(request.args);
    let mut frame = Vec::with_capacity(64 + args.iter().map(|a| a.len() + 16).sum::<usize>());
    encode_request(&mut frame, &args);
    let limit = shared.transfers.limits().call_timeout;
    match tokio::time::timeout(limit, link(shared, lane, &to.addr).call_frame(frame)).await {
        Ok(Ok(reply)) => read(reply),
        Ok(Err(error @ PeerError::Unreachable { .. })) => Answer::Unreachable(error.to_string()),
        Ok(Err(error)) => Answer::InDoubt(error.to_string()),
        Err(_) => Answer::InDoubt(format!("no answer from node {} within {limit:?}", to.addr)),
    }
}

fn link(shared: &Shared, lane: u64, addr: &str) -> Peer {
    LINKS.with_borrow_mut(|links| {
        let key = (addr.to_owned(), lane % LANES);
        let start = || Peer::start(addr, shared.transfers.introduction().clone());
        links.entry(key).or_insert_with(start).clone()
    })
}

/// Tells the words that turn a request away from replies.
fn read(reply: Vec<u8>) -> Answer {
    if !reply.starts_with(b"-X") {
        return Answer::Reply(reply);
    }
    let line = String::from_utf8_lossy(&reply);
    let words: Vec<&str> = line.trim_end().split(' ').collect();
    match *words.as_slice() {
        ["-XHOLD" | "-XASK", _] => Answer::Elsewhere(None),
        ["-XMOVED", _, _, addr, token] => {
            let token = token.parse().ok();
            Answer::Elsewhere(Some(Address { addr: addr.to_owned(), token }))
        }
        _ => Answer::Reply(reply),
    }
}

/// Nobody executed the request in time.
pub(crate) fn expired(slot: Slot, why: &str) -> CommandError {
    let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
    format!("TRYAGAIN slot {slot} is between two nodes{why}, try again in a moment").into()
}

/// Nobody knows whether the request was executed.
pub(crate) fn in_doubt(slot: Slot, why: &str) -> CommandError {
    format!("ERR slot {slot} is on another node, and {why}: the command may or may not have been executed").into()
}

/// One request needs two nodes.
pub(crate) fn apart() -> CommandError {
    "TRYAGAIN the keys of this request are on two nodes while slots move: ask for the keys of each slot by themselves".into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::Epoch;
    use cluster::state::Migration;

    #[test]
    fn words_that_turn_away_are_told_from_replies() {
        let elsewhere = |text: &str| match read(text.as_bytes().to_vec()) {
            Answer::Elsewhere(address) => address.map_or("?".to_owned(), |a| a.addr),
            other => format!("{other:?}"),
        };
        assert_eq!(elsewhere("-XHOLD 7\r\n"), "?");
        assert_eq!(elsewhere("-XASK 7\r\n"), "?");
        assert_eq!(elsewhere("-XMOVED 7 3 h:1 -\r\n"), "h:1");
        for reply in ["+OK\r\n", "-XX\r\n", "$2\r\n-X\r\n", "-ERR no\r\n"] {
            assert!(matches!(read(reply.into()), Answer::Reply(r) if r == reply.as_bytes()));
        }
    }

    #[test]
    fn a_slot_that_comes_in_is_still_at_its_source() {
        let from =
            Migration { id: cluster::MigrationId(1), epoch: Epoch(2), peer: "source:1".into() };
        let importing = SlotState::Importing { from, last: Epoch(0) };
        let there = Place::There(Address { addr: "source:1".into(), token: None });
        assert_eq!(place_of(&importing, Access::Read), there);
        assert_eq!(place_of(&SlotState::Unclaimed, Access::Write), Place::Here);
    }
}
