//! Sets. Members come in the order of their bytes, as in Pika.

use super::keys::Page;
use super::{Call, Done, Flavour, Refused};
use crate::store::{Bytes, Set, Store, Value};
use protocol::glob;
use protocol::reply::Reply;

pub(super) fn sadd(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let set: &mut Set = store.make(call.key())?;
    let new = call.from(2).iter().filter(|member| set.insert((*member).clone())).count();
    out.int(new as i64);
    Ok(())
}

pub(super) fn srem(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let mut gone = 0;
    if let Some(set) = store.find::<Set>(call.key())? {
        gone = call.from(2).iter().filter(|member| set.remove(*member)).count();
    }
    store.tidy(call.key());
    out.int(gone as i64);
    Ok(())
}

fn members<'a>(found: impl ExactSizeIterator<Item = &'a Bytes>, out: &mut Reply<'_>) {
    out.array(found.len());
    found.for_each(|member| out.bulk(member));
}

pub(super) fn smembers(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let set = store.find::<Set>(call.key())?.cloned().unwrap_or_default();
    members(set.iter(), out);
    Ok(())
}

pub(super) fn sismember(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let found = store.find::<Set>(call.key())?.is_some_and(|set| set.contains(call.word(2)));
    out.int(i64::from(found));
    Ok(())
}

pub(super) fn scard(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let count = store.find::<Set>(call.key())?.map_or(0, |set| set.len());
    out.int(count as i64);
    Ok(())
}

/// `SPOP key [count]`. Takes the first members. Pika answers an array of one where Redis answers a bulk.
pub(super) fn spop(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let counted = call.words.len() > 2;
    let count = if counted { call.int(2)? } else { 1 };
    if count < 0 || count == 0 && call.is_pika() {
        return Err("ERR spop".into());
    }
    let mut gone = Vec::new();
    if let Some(set) = store.find::<Set>(call.key())? {
        while (gone.len() as i64) < count
            && let Some(member) = set.pop_first()
        {
            gone.push(member);
        }
    }
    store.tidy(call.key());
    match gone.as_slice() {
        [] if call.is_pika() || !counted => out.null(),
        [one] if !call.is_pika() && !counted => out.bulk(one),
        many => members(many.iter(), out),
    }
    Ok(())
}

pub(super) fn smove(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    if store.has(call.key()) {
        store.find::<Set>(call.word(2))?;
    }
    let member = call.word(3);
    let moved = store.find::<Set>(call.key())?.is_some_and(|set| set.remove(member));
    if moved {
        store.make::<Set>(call.word(2))?.insert(member.to_vec());
    }
    store.tidy(call.key());
    out.int(i64::from(moved));
    Ok(())
}

/// Union, intersection or difference of sets, by the first letters of the name.
fn combined(store: &mut Store, name: &str, keys: &[Bytes]) -> Result<Set, Refused> {
    let mut all: Option<Set> = None;
    for key in keys {
        let set = store.find::<Set>(key)?.cloned().unwrap_or_default();
        all = Some(match all {
            None => set,
            Some(all) if name.starts_with("sunion") => &all | &set,
            Some(all) if name.starts_with("sinter") => &all & &set,
            Some(all) => &all - &set,
        });
    }
    Ok(all.unwrap_or_default())
}

/// SUNION, SINTER, SDIFF
pub(super) fn combine(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let set = combined(store, &call.option(0), call.from(1))?;
    members(set.iter(), out);
    Ok(())
}

/// SUNIONSTORE, SINTERSTORE, SDIFFSTORE
pub(super) fn combine_store(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    if call.flavour == Flavour::Pika {
        // Pika does not overwrite another type.
        store.find::<Set>(call.key())?;
    }
    let set = combined(store, &call.option(0), call.from(2))?;
    out.int(set.len() as i64);
    store.put(call.key(), Value::Set(set));
    store.tidy(call.key());
    Ok(())
}

pub(super) fn sscan(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let page = Page::read(call, 2)?;
    let set = store.find::<Set>(call.key())?.cloned().unwrap_or_default();
    let all: Vec<_> = set.iter().collect();
    let (cursor, found) = page.cut(&all);
    let found: Vec<_> = found.iter().filter(|m| glob::matches(&page.pattern, m)).collect();
    out.array(2);
    out.bulk_int(cursor);
    members(found.iter().map(|member| **member), out);
    Ok(())
}
