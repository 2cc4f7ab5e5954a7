//! Hashes. Fields come in the order of their bytes, as in Pika.

use super::keys::Page;
use super::{Call, Done, Refused, double, int};
use crate::store::{Hash, Store};
use protocol::glob;
use protocol::number::format_human_double;
use protocol::reply::{Reply, errors};

/// HSET key field value. Pika takes one pair, Redis 3.2 too.
pub(super) fn hset(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    if call.words.len() != 4 {
        return Err(errors::arity("hset").into());
    }
    let hash: &mut Hash = store.make(call.key())?;
    let old = hash.insert(call.word(2).to_vec(), call.word(3).to_vec());
    out.int(i64::from(old.is_none()));
    Ok(())
}

pub(super) fn hsetnx(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let hash: &mut Hash = store.make(call.key())?;
    let new = !hash.contains_key(call.word(2));
    if new {
        hash.insert(call.word(2).to_vec(), call.word(3).to_vec());
    }
    out.int(i64::from(new));
    Ok(())
}

pub(super) fn hmset(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    if call.words.len() % 2 == 1 {
        return Err(errors::arity("hmset").into());
    }
    let hash: &mut Hash = store.make(call.key())?;
    for pair in call.from(2).chunks_exact(2) {
        hash.insert(pair[0].clone(), pair[1].clone());
    }
    out.ok();
    Ok(())
}

pub(super) fn hget(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    match store.find::<Hash>(call.key())?.and_then(|hash| hash.get(call.word(2))) {
        Some(value) => out.bulk(value),
        None => out.null(),
    }
    Ok(())
}

pub(super) fn hmget(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let hash = store.find::<Hash>(call.key())?;
    out.array(call.from(2).len());
    for field in call.from(2) {
        match hash.as_ref().and_then(|hash| hash.get(field)) {
            Some(value) => out.bulk(value),
            None => out.null(),
        }
    }
    Ok(())
}

pub(super) fn hgetall(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let hash = store.find::<Hash>(call.key())?.cloned().unwrap_or_default();
    out.array(hash.len() * 2);
    for (field, value) in &hash {
        out.bulk(field);
        out.bulk(value);
    }
    Ok(())
}

/// HKEYS, HVALS
pub(super) fn hkeys(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let hash = store.find::<Hash>(call.key())?.cloned().unwrap_or_default();
    out.array(hash.len());
    let fields = call.option(0) == "hkeys";
    hash.iter().for_each(|(field, value)| out.bulk(if fields { field } else { value }));
    Ok(())
}

pub(super) fn hlen(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let length = store.find::<Hash>(call.key())?.map_or(0, |hash| hash.len());
    out.int(length as i64);
    Ok(())
}

pub(super) fn hexists(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let found = store.find::<Hash>(call.key())?.is_some_and(|hash| hash.contains_key(call.word(2)));
    out.int(i64::from(found));
    Ok(())
}

pub(super) fn hdel(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let mut gone = 0;
    if let Some(hash) = store.find::<Hash>(call.key())? {
        gone = call.from(2).iter().filter(|field| hash.remove(*field).is_some()).count();
    }
    store.tidy(call.key());
    out.int(gone as i64);
    Ok(())
}

pub(super) fn hincrby(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let by = call.int(3)?;
    let hash: &mut Hash = store.make(call.key())?;
    let old = hash.get(call.word(2)).map_or(Some(0), |value| int(value));
    let new = match old {
        Some(old) => old.checked_add(by).ok_or(Refused::from(errors::OVERFLOW))?,
        None if call.is_pika() => return Err(errors::NOT_INTEGER.into()),
        None => return Err("ERR hash value is not an integer".into()),
    };
    hash.insert(call.word(2).to_vec(), new.to_string().into_bytes());
    out.int(new);
    Ok(())
}

pub(super) fn hincrbyfloat(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let by = double(call.word(3)).ok_or(Refused::from(errors::NOT_FLOAT))?;
    let hash: &mut Hash = store.make(call.key())?;
    let old = hash.get(call.word(2)).map_or(Some(0.0), |value| double(value));
    let old = old.ok_or(Refused::from(errors::NOT_FLOAT))?;
    let new = format_human_double(old + by).as_ref().to_vec();
    out.bulk(&new);
    hash.insert(call.word(2).to_vec(), new);
    Ok(())
}

pub(super) fn hscan(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let page = Page::read(call, 2)?;
    let hash = store.find::<Hash>(call.key())?.cloned().unwrap_or_default();
    let all: Vec<_> = hash.iter().collect();
    let (cursor, found) = page.cut(&all);
    let found: Vec<_> = found.iter().filter(|(f, _)| glob::matches(&page.pattern, f)).collect();
    out.array(2);
    out.bulk_int(cursor);
    out.array(found.len() * 2);
    for (field, value) in found {
        out.bulk(field);
        out.bulk(value);
    }
    Ok(())
}
