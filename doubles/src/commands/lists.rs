//! Lists.

use super::strings::span;
use super::{Call, Done};
use crate::store::{List, Store};
use protocol::reply::{Reply, errors};

/// LPUSH, RPUSH, LPUSHX, RPUSHX
pub(super) fn push(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let name = call.option(0);
    if name.ends_with('x') && !store.has(call.key()) {
        out.int(0);
        return Ok(());
    }
    let list: &mut List = store.make(call.key())?;
    for value in call.from(2) {
        if name.starts_with('l') {
            list.push_front(value.clone());
        } else {
            list.push_back(value.clone());
        }
    }
    out.int(list.len() as i64);
    Ok(())
}

/// LPOP, RPOP, with a count only on Pika, where one element comes as a bulk all the same.
pub(super) fn pop(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let count = match call.words.len() {
        2 => 1,
        3 if call.is_pika() => match call.int(2) {
            Ok(count) if count >= 0 => count as usize,
            Ok(_) => return Err(errors::SYNTAX.into()),
            Err(_) => return Err(format!("ERR {}", call.option(0)).into()),
        },
        _ => return Err(errors::arity(&call.option(0)).into()),
    };
    let front = call.option(0) == "lpop";
    let mut gone = Vec::new();
    if let Some(list) = store.find::<List>(call.key())? {
        while gone.len() < count
            && let Some(value) = if front { list.pop_front() } else { list.pop_back() }
        {
            gone.push(value);
        }
    }
    store.tidy(call.key());
    match gone.as_slice() {
        [] => out.null(),
        [one] => out.bulk(one),
        many => {
            out.array(many.len());
            many.iter().for_each(|value| out.bulk(value));
        }
    }
    Ok(())
}

pub(super) fn llen(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let length = store.find::<List>(call.key())?.map_or(0, |list| list.len());
    out.int(length as i64);
    Ok(())
}

pub(super) fn lrange(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let (start, stop) = (call.int(2)?, call.int(3)?);
    let Some(list) = store.find::<List>(call.key())? else {
        out.array(0);
        return Ok(());
    };
    let found = span(start, stop, list.len());
    out.array(found.len());
    list.range(found).for_each(|value| out.bulk(value));
    Ok(())
}

/// The place an index means.
fn place(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index + len as i64 } else { index };
    usize::try_from(index).ok().filter(|index| *index < len)
}

pub(super) fn lindex(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let index = call.int(2)?;
    let list = store.find::<List>(call.key())?;
    let value = list.and_then(|list| place(index, list.len()).and_then(|at| list.get(at)));
    match value {
        Some(value) => out.bulk(value),
        None => out.null(),
    }
    Ok(())
}

pub(super) fn lset(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let index = call.int(2)?;
    let Some(list) = store.find::<List>(call.key())? else { return Err(errors::NO_KEY.into()) };
    let Some(at) = place(index, list.len()) else { return Err(errors::INDEX.into()) };
    list[at] = call.word(3).to_vec();
    out.ok();
    Ok(())
}

pub(super) fn lrem(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let count = call.int(2)?;
    let most = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    let mut gone = 0;
    if let Some(list) = store.find::<List>(call.key())? {
        let mut keep = |value: &Vec<u8>| {
            let goes = value == call.word(3) && gone < most;
            gone += usize::from(goes);
            !goes
        };
        if count < 0 {
            let mut kept: Vec<_> = list.drain(..).rev().filter(|value| keep(value)).collect();
            kept.reverse();
            list.extend(kept);
        } else {
            list.retain(keep);
        }
    }
    store.tidy(call.key());
    out.int(gone as i64);
    Ok(())
}

pub(super) fn ltrim(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let (start, stop) = (call.int(2)?, call.int(3)?);
    if let Some(list) = store.find::<List>(call.key())? {
        let kept = span(start, stop, list.len());
        list.truncate(kept.end);
        list.drain(..kept.start.min(list.len()));
    }
    store.tidy(call.key());
    out.ok();
    Ok(())
}

pub(super) fn linsert(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let behind = match call.option(2).as_str() {
        "before" => 0,
        "after" => 1,
        _ => return Err(errors::SYNTAX.into()),
    };
    let answer = match store.find::<List>(call.key())? {
        None => 0,
        Some(list) => match list.iter().position(|value| value == call.word(3)) {
            None => -1,
            Some(at) => {
                list.insert(at + behind, call.word(4).to_vec());
                list.len() as i64
            }
        },
    };
    out.int(answer);
    Ok(())
}

pub(super) fn rpoplpush(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    if !store.has(call.key()) {
        out.null();
        return Ok(());
    }
    store.find::<List>(call.word(2))?;
    let value = store.find::<List>(call.key())?.and_then(List::pop_back).unwrap_or_default();
    store.make::<List>(call.word(2))?.push_front(value.clone());
    store.tidy(call.key());
    out.bulk(&value);
    Ok(())
}
