//! A batch of keys on its way to a target: SLOTSMGRTONE-ASYNC, -TAGONE-, -SLOT-, -TAGSLOT-ASYNC.
//!
//! Per key: `delete`, then one message with the whole value, or pieces that the target keeps with a TTL of three times the timeout until a
//! last message sets the right one. The source deletes its keys when the last acknowledgement has come; until then it answers reads of them,
//! and refuses writes. Nothing takes back what the target has if acknowledgements are lost (wrong result E1).

use super::order::Order;
use super::payload;
use crate::store::{Bytes, Entry, Store, Value};
use protocol::request::encode_request;
use std::collections::BTreeSet;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What is on its way, as requests of others see it.
#[derive(Debug)]
pub(crate) struct Batch {
    keys: BTreeSet<Bytes>,
    tags: BTreeSet<Bytes>,
    pub cancel: CancellationToken,
    /// The reply its caller got; fences wait for it.
    pub done: watch::Sender<Option<Vec<u8>>>,
}

impl Batch {
    pub(crate) fn new(keys: &[Bytes]) -> Self {
        let tags = keys.iter().filter_map(|key| tag(key)).map(<[u8]>::to_vec).collect();
        Self {
            keys: keys.iter().cloned().collect(),
            tags,
            cancel: CancellationToken::new(),
            done: watch::Sender::new(None),
        }
    }

    /// Whether a key, or one with its tag, is on its way.
    pub(crate) fn holds(&self, key: &[u8]) -> bool {
        self.keys.contains(key) || tag(key).is_some_and(|tag| self.tags.contains(tag))
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

fn tag(key: &[u8]) -> Option<&[u8]> {
    let tag = cluster::slot::tag(key);
    (tag.len() < key.len()).then_some(tag)
}

/// One request to the target.
#[derive(Debug)]
pub(crate) struct Message(pub Vec<u8>);

/// Words of a value that may be sent in pieces.
fn loose(value: &Value) -> usize {
    match value {
        _ if payload::is_packed(value) => 0,
        Value::List(list) => list.len(),
        Value::Hash(hash) => hash.len() * 2,
        Value::Set(set) => set.len(),
        Value::Zset(zset) => zset.len() * 2,
        Value::Text(_) | Value::Stream(_) => 0,
    }
}

/// How many messages a value needs.
pub(crate) fn messages(value: &Value, bulks: usize) -> usize {
    loose(value).div_ceil(bulks.max(1)).max(1)
}

/// All messages of a batch, the log-in and the database first if the connection is new.
pub(crate) fn written(store: &mut Store, keys: &[Bytes], order: &Order) -> Vec<Message> {
    let mut all = Vec::new();
    let now_ms = store.now_ms;
    for key in keys {
        let Some(entry) = store.entry(key) else { continue };
        push(&mut all, &[b"delete", key]);
        let left = entry.ends_ms.map_or(0, |ends| (ends - now_ms).max(1)).to_string();
        if messages(&entry.value, order.bulks) > 1 {
            pieces(&mut all, key, entry, order);
            push(&mut all, &[b"expire", key, left.as_bytes()]);
        } else if let Value::Text(text) = &entry.value {
            push(&mut all, &[b"string", key, left.as_bytes(), text]);
        } else {
            push(&mut all, &[b"object", key, left.as_bytes(), &payload::encode(&entry.value)]);
        }
    }
    all
}

fn push(all: &mut Vec<Message>, words: &[&[u8]]) {
    let mut frame = Vec::new();
    let command: Vec<&[u8]> =
        [b"SLOTSRESTORE-ASYNC".as_slice()].iter().chain(words).copied().collect();
    encode_request(&mut frame, &command);
    all.push(Message(frame));
}

fn pieces(all: &mut Vec<Message>, key: &[u8], entry: &Entry, order: &Order) {
    let ttl = (order.limit.as_millis() * 3).to_string();
    let (name, words): (&[u8], Vec<Bytes>) = match &entry.value {
        Value::List(list) => (b"list", list.iter().cloned().collect()),
        Value::Hash(hash) => (
            b"hash",
            hash.iter().flat_map(|(field, value)| [field.clone(), value.clone()]).collect(),
        ),
        Value::Set(set) => (b"dict", set.iter().cloned().collect()),
        Value::Zset(zset) => {
            let bits = |score: f64| score.to_bits().to_le_bytes().to_vec();
            (b"zset", zset.iter().rev().flat_map(|(m, score)| [m.clone(), bits(score)]).collect())
        }
        Value::Text(_) | Value::Stream(_) => return,
    };
    let width = if matches!(entry.value, Value::Hash(_) | Value::Zset(_)) { 2 } else { 1 };
    let hint = (words.len() / width).to_string();
    let most = (order.bulks / width).max(1) * width;
    // codis-server walks over these two, and learns that it is at the end when it looks for more.
    let is_walked = matches!(entry.value, Value::List(_) | Value::Zset(_));
    let last = (is_walked && words.len().is_multiple_of(most)).then_some([].as_slice());
    for piece in words.chunks(most).chain(last) {
        let mut message = vec![name, key, ttl.as_bytes(), hint.as_bytes()];
        message.extend(piece.iter().map(Vec::as_slice));
        push(all, &message);
    }
}
