//! SLOTSINFO, SLOTSSCAN, SLOTSDEL, SLOTSMGRT-ASYNC-STATUS: the keys of a slot, and what is on its way.

use super::State;
use super::order::slot;
use crate::commands::{Refused, int};
use crate::store::Bytes;
use protocol::reply::{Reply, errors};

/// `SLOTSINFO [start [count]]`
pub(crate) fn info(
    state: &mut State,
    database: i64,
    words: &[Bytes],
    reply: &mut Reply<'_>,
) -> Result<(), Refused> {
    let begin = words.get(1).map_or(Ok(0), |word| slot(word))?;
    let mut end = 1024;
    if let Some(word) = words.get(2) {
        let count = int(word).ok_or(Refused::from(errors::NOT_INTEGER))?;
        if count < 0 {
            return Err(format!("ERR invalid slot count = {count}").into());
        }
        end = end.min(i64::from(begin) + count);
    }
    if words.len() > 3 {
        return Err(errors::arity("slotsinfo").into());
    }
    let places = state.places(database);
    let found: Vec<_> = (begin..end as u16).map(|slot| (slot, places.count(slot))).collect();
    let found: Vec<_> = found.into_iter().filter(|(_, count)| *count > 0).collect();
    reply.array(found.len());
    for (slot, count) in found {
        reply.array(2);
        reply.int(slot.into());
        reply.int(count as i64);
    }
    Ok(())
}

/// SLOTSSCAN slot cursor [COUNT n]: keys, without letters. The cursor is a number of keys passed.
pub(crate) fn scan(
    state: &mut State,
    database: i64,
    words: &[Bytes],
    reply: &mut Reply<'_>,
) -> Result<(), Refused> {
    let slot = slot(&words[1])?;
    let cursor = protocol::number::parse_cursor(&words[2]).ok_or(Refused::from(errors::CURSOR))?;
    let count = match words.len() {
        3 => 10,
        5 if words[3].eq_ignore_ascii_case(b"count") => {
            let count = int(&words[4]).ok_or(Refused::from(errors::NOT_INTEGER))?;
            usize::try_from(count)
                .ok()
                .filter(|count| *count > 0)
                .ok_or(Refused::from(errors::SYNTAX))?
        }
        5 => return Err(errors::SYNTAX.into()),
        _ => return Err(errors::arity("slotsscan").into()),
    };
    let places = state.places(database);
    let found: Vec<Bytes> = places.keys(slot).skip(cursor as usize).take(count).cloned().collect();
    let next = cursor as usize + found.len();
    reply.array(2);
    reply.bulk_int(if next < places.count(slot) { next as i64 } else { 0 });
    reply.array(found.len());
    found.iter().for_each(|key| reply.bulk(key));
    Ok(())
}

/// SLOTSDEL slot …: deletes the keys; per slot, how many are left.
pub(crate) fn delete(
    state: &mut State,
    database: i64,
    words: &[Bytes],
    reply: &mut Reply<'_>,
) -> Result<(), Refused> {
    let slots = words[1..].iter().map(|word| slot(word)).collect::<Result<Vec<_>, _>>()?;
    for slot in &slots {
        let keys: Vec<Bytes> = state.places(database).keys(*slot).cloned().collect();
        keys.iter().for_each(|key| {
            state.store(database).remove(key);
        });
    }
    reply.array(slots.len());
    for slot in slots {
        reply.array(2);
        reply.int(slot.into());
        reply.int(state.places(database).count(slot) as i64);
    }
    Ok(())
}

/// SLOTSMGRT-ASYNC-STATUS, as far as a reader needs it: nothing, or how many keys are on their way.
pub(crate) fn status(state: &State, database: i64, reply: &mut Reply<'_>) {
    match state.batches.get(&database) {
        None => reply.null_array(),
        Some(batch) => {
            reply.array(2);
            reply.bulk(b"batched_iterator");
            reply.array(2);
            reply.bulk(b"keys");
            reply.bulk_int(batch.len() as i64);
        }
    }
}
