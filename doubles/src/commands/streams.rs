//! Streams, as much as a migration needs to trip over them.

use super::{Call, Done, Refused};
use crate::store::{Id, Kind, Store, Stream};
use protocol::reply::{Reply, errors};

/// XADD key id field value …
pub(super) fn xadd(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    if call.words.len().is_multiple_of(2) {
        return Err(errors::arity("xadd").into());
    }
    let now = store.now_ms.unsigned_abs();
    let stream: &mut Stream = store.make(call.key())?;
    let id = match call.word(2) {
        b"*" if now > stream.last.0 => (now, 0),
        b"*" => (stream.last.0, stream.last.1 + 1),
        text => parse(text, 0).ok_or(Refused::from(bad_id(call)))?,
    };
    if !stream.add(id, call.from(3).to_vec()) {
        return Err(stale_id(call).into());
    }
    out.bulk(text(id).as_bytes());
    Ok(())
}

fn bad_id(call: &Call<'_>) -> &'static str {
    if call.is_pika() {
        "ERR Invalid Argument"
    } else {
        "ERR Invalid stream ID specified as stream command argument"
    }
}

fn stale_id(call: &Call<'_>) -> &'static str {
    if call.is_pika() {
        "ERR Invalid argument: INVALID ID given"
    } else {
        "ERR The ID specified in XADD is equal or smaller than the target stream top item"
    }
}

fn parse(text: &[u8], sequence: u64) -> Option<Id> {
    let text = std::str::from_utf8(text).ok()?;
    match text.split_once('-') {
        Some((ms, number)) => Some((ms.parse().ok()?, number.parse().ok()?)),
        None => Some((text.parse().ok()?, sequence)),
    }
}

pub(crate) fn text(id: Id) -> String {
    format!("{}-{}", id.0, id.1)
}

/// XLEN. Of a missing stream Pika says `no such key`.
pub(super) fn xlen(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let deleted = store.buried(call.key()) == Some(Kind::Stream);
    match store.find::<Stream>(call.key())? {
        None if call.is_pika() && !deleted => return Err(errors::NO_KEY.into()),
        found => out.int(found.map_or(0, |stream| stream.entries.len() as i64)),
    }
    Ok(())
}

/// XRANGE key start end [COUNT count]
pub(super) fn xrange(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let bound = |at: usize, sequence: u64| match call.word(at) {
        b"-" => Some((0, 0)),
        b"+" => Some((u64::MAX, u64::MAX)),
        text => parse(text, sequence),
    };
    let (start, end) = (bound(2, 0), bound(3, u64::MAX));
    let (Some(start), Some(end)) = (start, end) else { return Err(bad_id(call).into()) };
    let count =
        if call.words.len() > 5 { call.int(5)?.unsigned_abs() as usize } else { usize::MAX };
    let stream = store.find::<Stream>(call.key())?.cloned().unwrap_or_default();
    let found: Vec<_> =
        stream.entries.range(start..).take_while(|(id, _)| **id <= end).take(count).collect();
    out.array(found.len());
    for (id, fields) in found {
        out.array(2);
        out.bulk(text(*id).as_bytes());
        out.array(fields.len());
        fields.iter().for_each(|field| out.bulk(field));
    }
    Ok(())
}

/// XINFO STREAM key, the last id of it.
pub(super) fn xinfo(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let key = call.word(2);
    let deleted = store.buried(key) == Some(Kind::Stream);
    let last = match store.find::<Stream>(key)? {
        None if !deleted => return Err(errors::NO_KEY.into()),
        found => found.map_or((0, 0), |stream| stream.last),
    };
    out.array(2);
    out.bulk(b"last-generated-id");
    out.bulk(text(last).as_bytes());
    Ok(())
}

pub(super) fn xdel(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let mut gone = 0;
    if let Some(stream) = store.find::<Stream>(call.key())? {
        let ids = call.from(2).iter().filter_map(|text| parse(text, 0));
        gone = ids.filter(|id| stream.entries.remove(id).is_some()).count();
    }
    out.int(gone as i64);
    Ok(())
}
