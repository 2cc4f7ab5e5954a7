//! The hidden slot index: per slot, and per hash tag, a set of type letter and key (`pika-node-contract.md` §2.3).
//!
//! The sets are ordinary keys, as in Pika: KEYS shows them and FLUSHALL clears them. Which command files what is a table here; what is not
//! in it is not filed, and no migration sees its keys (`pika-live.md` §4.4).

use crate::store::{Bytes, Kind, Set, Store};
use cluster::SlotCount;
use std::ops::Bound;

const SLOT: &str = "_internal:slotkey:4migrate:";
const TAG: &str = "_internal:slottag:4migrate:";

/// The key of a slot's set.
pub(crate) fn slot_set(slot: impl std::fmt::Display) -> Bytes {
    format!("{SLOT}{slot}").into_bytes()
}

/// The key of the set of a key's hash tag, if it has one. An empty tag is one.
pub(crate) fn tag_set(key: &[u8]) -> Option<Bytes> {
    let open = key.iter().position(|byte| *byte == b'{')?;
    let length = key[open + 1..].iter().position(|byte| *byte == b'}')?;
    let sum = crc32fast::hash(&key[open + 1..open + 1 + length]);
    Some(format!("{TAG}{sum}").into_bytes())
}

/// Whether a key is one of the sets.
pub(crate) fn is_hidden(key: &[u8]) -> bool {
    key.starts_with(SLOT.as_bytes()) || key.starts_with(TAG.as_bytes())
}

/// The letter of a type. Streams are filed under `m`, but the type table says `x`.
pub(crate) fn letter(kind: Kind) -> u8 {
    match kind {
        Kind::Text => b'k',
        Kind::Hash => b'h',
        Kind::Set => b's',
        Kind::List => b'l',
        Kind::Zset => b'z',
        Kind::Stream => b'x',
    }
}

fn member(letter: u8, key: &[u8]) -> Bytes {
    [&[letter], key].concat()
}

pub(crate) fn add(store: &mut Store, slots: SlotCount, letter: u8, key: &[u8]) {
    let mut sets = vec![slot_set(slots.of(key).0)];
    sets.extend(tag_set(key));
    for name in sets {
        if let Ok(set) = store.make::<Set>(&name) {
            set.insert(member(letter, key));
        }
    }
}

/// Which sets a member is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sets {
    Slot,
    SlotAndTag,
}

/// Takes a member out; false if the slot has no set at all.
pub(crate) fn remove(store: &mut Store, slots: SlotCount, entry: (u8, &[u8]), from: Sets) -> bool {
    let (letter, key) = entry;
    let slot = slot_set(slots.of(key).0);
    let there = take(store, &slot, &member(letter, key));
    if from == Sets::SlotAndTag
        && let Some(tag) = tag_set(key)
    {
        take(store, &tag, &member(letter, key));
    }
    there
}

fn take(store: &mut Store, name: &[u8], member: &[u8]) -> bool {
    let Ok(Some(set)) = store.find::<Set>(name) else { return false };
    set.remove(member);
    store.tidy(name);
    true
}

/// How many keys a slot's set has; none if there is no set.
pub(crate) fn count(store: &mut Store, slot: impl std::fmt::Display) -> Option<usize> {
    store.find::<Set>(&slot_set(slot)).ok().flatten().map(|set| set.len())
}

/// The members of a set behind `after`, at most `most`.
pub(crate) fn members(
    store: &mut Store,
    name: &[u8],
    after: Option<&Bytes>,
    most: usize,
) -> Vec<Bytes> {
    use std::ops::Bound::{Excluded, Unbounded};
    members_from(store, name, after.map_or(Unbounded, |after| Excluded(after.clone())), most)
}

/// The members of a set from here on, at most `most`.
pub(crate) fn members_from(
    store: &mut Store,
    name: &[u8],
    from: Bound<Bytes>,
    most: usize,
) -> Vec<Bytes> {
    let Ok(Some(set)) = store.find::<Set>(name) else { return Vec::new() };
    set.range((from, Bound::Unbounded)).take(most).cloned().collect()
}

/// What a command files: the letter, and the places of its keys among the words.
pub(crate) fn filed(name: &str, words: usize) -> Option<(u8, Vec<usize>)> {
    let one = |letter| Some((letter, vec![1]));
    match name {
        "set" | "getset" | "append" | "setnx" | "setex" | "setrange" | "setbit" | "incr"
        | "incrby" | "incrbyfloat" | "decrby" => one(b'k'),
        "mset" | "msetnx" => Some((b'k', (1..words).step_by(2).collect())),
        // The receiver is filed as a string.
        "rpoplpush" => Some((b'k', vec![2])),
        "hset" | "hmset" | "hsetnx" | "hincrby" | "hincrbyfloat" => one(b'h'),
        "lpush" | "lpushx" | "rpush" | "rpushx" | "linsert" | "lset" => one(b'l'),
        "sadd" => one(b's'),
        "zadd" | "zincrby" | "zunionstore" => one(b'z'),
        "xadd" => one(b'm'),
        _ => None,
    }
}

/// The keys a command may have created, wherever they stand: what an index without faults would file.
pub(crate) fn written(name: &str, words: usize) -> Vec<usize> {
    match name {
        "mset" | "msetnx" => (1..words).step_by(2).collect(),
        "rpoplpush" | "smove" | "bitop" => vec![2],
        "georadius" if words > 7 => vec![7],
        _ => vec![1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tagged_key_is_filed_under_its_slot_and_its_tag() {
        let slots = SlotCount::new(1024).unwrap();
        let mut store = Store::default();
        add(&mut store, slots, b'k', b"{tg}a");
        assert_eq!(count(&mut store, 758), Some(1));
        let tag = tag_set(b"{tg}a").unwrap();
        assert_eq!(tag, b"_internal:slottag:4migrate:3646708470");
        assert_eq!(members(&mut store, &tag, None, 9), [b"k{tg}a"]);
        assert!(remove(&mut store, slots, (b'k', b"{tg}a"), Sets::SlotAndTag));
        assert_eq!(count(&mut store, 758), None);
    }
}
