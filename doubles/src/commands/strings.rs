//! Strings, counters, bits.

use super::{Call, Done, Refused, double, int};
use crate::store::{Bytes, Store, Value};
use protocol::number::format_human_double;
use protocol::reply::{Reply, errors};

fn text<'a>(store: &'a mut Store, key: &[u8]) -> Result<Option<&'a mut Bytes>, Refused> {
    Ok(store.find::<Bytes>(key)?)
}

pub(super) fn get(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    match text(store, call.key())? {
        Some(value) => out.bulk(value),
        None => out.null(),
    }
    Ok(())
}

/// SET key value [EX s | PX ms] [NX | XX]
pub(super) fn set(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let (mut ends, mut at) = (None, 3);
    let mut wanted = None;
    while at < call.words.len() {
        match call.option(at).as_str() {
            "nx" => wanted = Some(false),
            "xx" => wanted = Some(true),
            unit @ ("ex" | "px") if at + 1 < call.words.len() => {
                let number = call.int(at + 1)?;
                if number <= 0 {
                    return Err(bad_end(call));
                }
                ends = Some(store.now_ms + number * if unit == "ex" { 1000 } else { 1 });
                at += 1;
            }
            _ => return Err(errors::SYNTAX.into()),
        }
        at += 1;
    }
    if wanted.is_some_and(|wanted| wanted != store.has(call.key())) {
        out.null();
        return Ok(());
    }
    store.put_until(call.key(), Value::Text(call.word(2).to_vec()), ends);
    out.ok();
    Ok(())
}

/// Pika has another word for an end that is not behind now.
fn bad_end(call: &Call<'_>) -> Refused {
    if call.is_pika() {
        return errors::WRONG_TYPE.into();
    }
    format!("ERR invalid expire time in {}", call.option(0)).into()
}

pub(super) fn setnx(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let new = !store.has(call.key());
    if new {
        store.put(call.key(), Value::Text(call.word(2).to_vec()));
    }
    out.int(i64::from(new));
    Ok(())
}

/// SETEX, PSETEX
pub(super) fn setex(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let number = call.int(2)?;
    if number <= 0 {
        return Err(bad_end(call));
    }
    let unit = if call.option(0) == "setex" { 1000 } else { 1 };
    let ends = store.now_ms + number * unit;
    store.put_until(call.key(), Value::Text(call.word(3).to_vec()), Some(ends));
    out.ok();
    Ok(())
}

/// PKSETEXAT key seconds value: Pika's own, `+OK` whatever becomes of the key.
pub(super) fn pksetexat(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let ends = call.int(2)? * 1000;
    store.put_until(call.key(), Value::Text(call.word(3).to_vec()), Some(ends));
    out.ok();
    Ok(())
}

pub(super) fn getset(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let old = text(store, call.key())?.cloned();
    store.put(call.key(), Value::Text(call.word(2).to_vec()));
    match old {
        Some(old) if !(old.is_empty() && call.is_pika()) => out.bulk(&old),
        _ => out.null(),
    }
    Ok(())
}

pub(super) fn append(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let value: &mut Bytes = store.make(call.key())?;
    value.extend_from_slice(call.word(2));
    out.int(value.len() as i64);
    Ok(())
}

pub(super) fn strlen(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let length = text(store, call.key())?.map_or(0, |value| value.len());
    out.int(length as i64);
    Ok(())
}

pub(super) fn getrange(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let (start, stop) = (call.int(2)?, call.int(3)?);
    let value = text(store, call.key())?.cloned().unwrap_or_default();
    if !call.is_pika() && start < 0 && stop < start {
        out.bulk(b"");
        return Ok(());
    }
    // Unlike a list's, an end before the first byte is the first byte.
    let stop = stop.max(-(value.len() as i64));
    out.bulk(&value[span(start, stop, value.len())]);
    Ok(())
}

/// The range that two indexes mean, negative ones counted from the end.
pub(super) fn span(start: i64, stop: i64, len: usize) -> std::ops::Range<usize> {
    let len = len as i64;
    let from_end = |index: i64| if index < 0 { (index + len).max(0) } else { index };
    let (start, stop) = (from_end(start), if stop < 0 { stop + len } else { stop.min(len - 1) });
    if start > stop || start >= len { 0..0 } else { start as usize..stop as usize + 1 }
}

pub(super) fn setrange(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let Ok(offset) = usize::try_from(call.int(2)?) else {
        let line = if call.is_pika() { errors::WRONG_TYPE } else { "ERR offset is out of range" };
        return Err(line.into());
    };
    let piece = call.word(3);
    if piece.is_empty() && !call.is_pika() {
        out.int(text(store, call.key())?.map_or(0, |value| value.len()) as i64);
        return Ok(());
    }
    let value = store.make::<Bytes>(call.key())?;
    value.resize(value.len().max(offset + piece.len()), 0);
    value[offset..offset + piece.len()].copy_from_slice(piece);
    out.int(value.len() as i64);
    Ok(())
}

pub(super) fn mget(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    out.array(call.from(1).len());
    for key in call.from(1) {
        match text(store, key) {
            Ok(Some(value)) => out.bulk(value),
            _ => out.null(),
        }
    }
    Ok(())
}

fn pairs<'a>(call: &Call<'a>) -> Result<impl Iterator<Item = (&'a Bytes, &'a Bytes)>, Refused> {
    if call.from(1).len() % 2 == 1 {
        return Err(errors::arity(&call.option(0)).into());
    }
    Ok(call.from(1).chunks_exact(2).map(|pair| (&pair[0], &pair[1])))
}

pub(super) fn mset(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    pairs(call)?.for_each(|(key, value)| store.put(key, Value::Text(value.clone())));
    out.ok();
    Ok(())
}

pub(super) fn msetnx(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let free = pairs(call)?.all(|(key, _)| !store.has(key));
    if free {
        pairs(call)?.for_each(|(key, value)| store.put(key, Value::Text(value.clone())));
    }
    out.int(i64::from(free));
    Ok(())
}

/// INCR, DECR, INCRBY, DECRBY. The end of the key stays.
pub(super) fn incr(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let name = call.option(0);
    let by = if name.ends_with("by") { call.int(2)? } else { 1 };
    let by = if name.starts_with('d') { by.checked_neg() } else { Some(by) };
    let old = match text(store, call.key())? {
        Some(value) if value.is_empty() && call.is_pika() => 0,
        Some(value) => int(value).ok_or(Refused::from(errors::NOT_INTEGER))?,
        None => 0,
    };
    let new = by.and_then(|by| old.checked_add(by)).ok_or(Refused::from(errors::OVERFLOW))?;
    *store.make(call.key())? = new.to_string().into_bytes();
    out.int(new);
    Ok(())
}

pub(super) fn incr_by_float(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let old = text(store, call.key())?.filter(|value| !value.is_empty());
    let old = old.map_or(Some(0.0), |value| double(value));
    let (Some(old), Some(by)) = (old, double(call.word(2))) else {
        return Err(errors::NOT_FLOAT.into());
    };
    let new = format_human_double(old + by).as_ref().to_vec();
    out.bulk(&new);
    *store.make(call.key())? = new;
    Ok(())
}

pub(super) fn setbit(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let most = if call.is_pika() { 1 << 21 } else { 1 << 32 };
    let offset = call.int(2).ok().filter(|offset| (0..most).contains(offset));
    let offset = offset.ok_or(Refused::from("ERR bit offset is not an integer or out of range"))?;
    let bit = match call.word(3) {
        b"0" => 0,
        b"1" => 1,
        _ => return Err("ERR bit is not an integer or out of range".into()),
    };
    // Pika makes no key for a bit that is 0.
    if bit == 0 && call.is_pika() && !store.has(call.key()) {
        out.int(0);
        return Ok(());
    }
    let (at, shift) = (offset as usize / 8, 7 - offset % 8);
    let value: &mut Bytes = store.make(call.key())?;
    value.resize(value.len().max(at + 1), 0);
    out.int(i64::from(value[at] >> shift & 1));
    value[at] = value[at] & !(1 << shift) | bit << shift;
    Ok(())
}

pub(super) fn getbit(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let offset = usize::try_from(call.int(2)?).unwrap_or(0);
    let byte = text(store, call.key())?.and_then(|value| value.get(offset / 8).copied());
    out.int(i64::from(byte.unwrap_or(0) >> (7 - offset % 8) & 1));
    Ok(())
}

pub(super) fn bitcount(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let value = text(store, call.key())?.cloned().unwrap_or_default();
    let piece = if call.words.len() == 4 {
        span(call.int(2)?, call.int(3)?, value.len())
    } else {
        0..value.len()
    };
    out.int(value[piece].iter().map(|byte| i64::from(byte.count_ones())).sum());
    Ok(())
}

/// BITOP operation destination source …
pub(super) fn bitop(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let mut sources = Vec::new();
    for key in call.from(3) {
        sources.push(text(store, key)?.cloned().unwrap_or_default());
    }
    let longest = sources.iter().map(Vec::len).max().unwrap_or(0);
    let column = |at: usize| sources.iter().map(move |s| s.get(at).copied().unwrap_or(0));
    let fold: fn(u8, u8) -> u8 = match call.option(1).as_str() {
        "and" => |a, b| a & b,
        "or" => |a, b| a | b,
        "xor" => |a, b| a ^ b,
        "not" if sources.len() == 1 => |a, _| a,
        "not" => return Err("ERR BITOP NOT must be called with a single source key.".into()),
        _ => return Err(errors::SYNTAX.into()),
    };
    let flip = if call.option(1) == "not" { 0xff } else { 0 };
    let value: Bytes = (0..longest).map(|at| column(at).reduce(fold).unwrap_or(0) ^ flip).collect();
    out.int(value.len() as i64);
    if value.is_empty() {
        store.remove(call.word(2));
    } else {
        store.put(call.word(2), Value::Text(value));
    }
    Ok(())
}
