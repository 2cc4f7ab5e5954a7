//! Sorted sets.

use super::keys::Page;
use super::strings::span;
use super::{Call, Done, Refused, double};
use crate::store::{Bytes, Kind, Set, Store, Value, Zset};
use protocol::glob;
use protocol::number::format_double;
use protocol::reply::{Reply, errors};

/// ZADD key [NX | XX | CH | INCR] score member …; Pika knows no options.
pub(super) fn zadd(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let mut at = 2;
    let (mut wanted, mut changed_too) = (None, false);
    while !call.is_pika() {
        match call.option(at).as_str() {
            "nx" => wanted = Some(false),
            "xx" => wanted = Some(true),
            "ch" => changed_too = true,
            _ => break,
        }
        at += 1;
    }
    let pairs = call.from(at);
    if pairs.is_empty() || pairs.len() % 2 == 1 {
        return Err(errors::SYNTAX.into());
    }
    let mut scores = Vec::new();
    for pair in pairs.chunks_exact(2) {
        scores.push((double(&pair[0]).ok_or(Refused::from(errors::NOT_FLOAT))?, &pair[1]));
    }
    let zset: &mut Zset = store.make(call.key())?;
    let mut count = 0;
    for (score, member) in scores {
        let old = zset.score(member);
        if wanted.is_none_or(|wanted| wanted == old.is_some()) {
            zset.set(member, score);
            count += i64::from(old.is_none() || changed_too && old != Some(score));
        }
    }
    store.tidy(call.key());
    out.int(count);
    Ok(())
}

pub(super) fn zincrby(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let by = double(call.word(2)).ok_or(Refused::from(errors::NOT_FLOAT))?;
    let zset: &mut Zset = store.make(call.key())?;
    let score = zset.score(call.word(3)).unwrap_or(0.0) + by;
    if score.is_nan() {
        return Err("ERR resulting score is not a number (NaN)".into());
    }
    zset.set(call.word(3), score);
    out.bulk(format_double(score).as_ref());
    Ok(())
}

pub(super) fn zrem(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let mut gone = 0;
    if let Some(zset) = store.find::<Zset>(call.key())? {
        gone = call.from(2).iter().filter(|member| zset.remove(member)).count();
    }
    store.tidy(call.key());
    out.int(gone as i64);
    Ok(())
}

pub(super) fn zcard(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let count = store.find::<Zset>(call.key())?.map_or(0, |zset| zset.len());
    out.int(count as i64);
    Ok(())
}

pub(super) fn zscore(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    match store.find::<Zset>(call.key())?.and_then(|zset| zset.score(call.word(2))) {
        Some(score) => out.bulk(format_double(score).as_ref()),
        None => out.null(),
    }
    Ok(())
}

pub(super) fn zrank(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    match store.find::<Zset>(call.key())?.and_then(|zset| zset.rank(call.word(2))) {
        Some(rank) => out.int(rank as i64),
        None => out.null(),
    }
    Ok(())
}

fn scored<'a>(found: impl Iterator<Item = (&'a Bytes, f64)>, call: &Call<'_>, out: &mut Reply<'_>) {
    let found: Vec<_> = found.collect();
    let with_scores = call.words.iter().any(|word| word.eq_ignore_ascii_case(b"withscores"));
    out.array(found.len() * if with_scores { 2 } else { 1 });
    for (member, score) in found {
        out.bulk(member);
        if with_scores {
            out.bulk(format_double(score).as_ref());
        }
    }
}

/// ZRANGE, ZREVRANGE
pub(super) fn zrange(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let (start, stop) = (call.int(2)?, call.int(3)?);
    let none = Zset::default();
    let zset = store.find::<Zset>(call.key())?.map_or(&none, |zset| &*zset);
    let found = span(start, stop, zset.len());
    if call.option(0) == "zrange" {
        scored(zset.iter().skip(found.start).take(found.len()), call, out);
    } else {
        scored(zset.iter().rev().skip(found.start).take(found.len()), call, out);
    }
    Ok(())
}

/// A bound of a range of scores: the score, and whether it is left out.
fn bound(text: &[u8]) -> Result<(f64, bool), Refused> {
    let (open, number) = match text {
        [b'(', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let number = double(number).ok_or(Refused::from("ERR min or max is not a float"))?;
    Ok((number, open))
}

fn within(call: &Call<'_>) -> Result<impl Fn(&(&Bytes, f64)) -> bool + use<>, Refused> {
    let ((least, open), (most, ajar)) = (bound(call.word(2))?, bound(call.word(3))?);
    Ok(move |(_, score): &(&Bytes, f64)| {
        (if open { *score > least } else { *score >= least })
            && (if ajar { *score < most } else { *score <= most })
    })
}

pub(super) fn zrangebyscore(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let fits = within(call)?;
    let none = Zset::default();
    let zset = store.find::<Zset>(call.key())?.map_or(&none, |zset| &*zset);
    // Pika finds no member with -inf by its score.
    let is_found = |(_, score): &(&Bytes, f64)| !call.is_pika() || *score != f64::NEG_INFINITY;
    let limit = call.words.iter().position(|word| word.eq_ignore_ascii_case(b"limit"));
    let (skipped, taken) = match limit {
        Some(at) => (call.int(at + 1)?, call.int(at + 2)?),
        None => (0, i64::MAX),
    };
    let found = zset.iter().filter(fits).filter(is_found);
    scored(found.skip(skipped as usize).take(taken as usize), call, out);
    Ok(())
}

/// ZLEXCOUNT key - +, how many members there are.
pub(super) fn zlexcount(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    if call.word(2) != b"-" || call.word(3) != b"+" {
        return Err("ERR min or max not valid string range item".into());
    }
    out.int(store.find::<Zset>(call.key())?.map_or(0, |zset| zset.len() as i64));
    Ok(())
}

pub(super) fn zcount(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let fits = within(call)?;
    let count = store.find::<Zset>(call.key())?.map_or(0, |zset| zset.iter().filter(fits).count());
    out.int(count as i64);
    Ok(())
}

pub(super) fn zremrangebyscore(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let fits = within(call)?;
    let mut gone = Vec::new();
    if let Some(zset) = store.find::<Zset>(call.key())? {
        gone = zset.iter().filter(fits).map(|(member, _)| member.clone()).collect();
        gone.iter().for_each(|member| {
            zset.remove(member);
        });
    }
    store.tidy(call.key());
    out.int(gone.len() as i64);
    Ok(())
}

pub(super) fn zscan(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let page = Page::read(call, 2)?;
    let zset = store.find::<Zset>(call.key())?.cloned().unwrap_or_default();
    let all: Vec<_> = zset.iter().collect();
    let (cursor, found) = page.cut(&all);
    let found: Vec<_> = found.iter().filter(|(m, _)| glob::matches(&page.pattern, m)).collect();
    out.array(2);
    out.bulk_int(cursor);
    out.array(found.len() * 2);
    for (member, score) in found {
        out.bulk(member);
        out.bulk(format_double(*score).as_ref());
    }
    Ok(())
}

/// A sorted set, or a set whose members count 1.
fn weighed(store: &mut Store, key: &[u8]) -> Result<Zset, Refused> {
    if store.kind(key) == Some(Kind::Set) {
        let mut zset = Zset::default();
        let set = store.find::<Set>(key)?.cloned().unwrap_or_default();
        set.iter().for_each(|member| {
            zset.set(member, 1.0);
        });
        return Ok(zset);
    }
    Ok(store.find::<Zset>(key)?.cloned().unwrap_or_default())
}

/// ZUNIONSTORE, ZINTERSTORE destination n key …: sums, without WEIGHTS and AGGREGATE.
pub(super) fn combine_store(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let count = usize::try_from(call.int(2)?).unwrap_or(0);
    let keys = call.words.get(3..3 + count).filter(|keys| !keys.is_empty());
    let keys = keys.ok_or(Refused::from(errors::SYNTAX))?;
    let meets = call.option(0) == "zinterstore";
    let mut all: Option<Zset> = None;
    for key in keys {
        let next = weighed(store, key)?;
        let Some(sum) = all.take() else {
            all = Some(next);
            continue;
        };
        let mut joined = if meets { Zset::default() } else { sum.clone() };
        for (member, score) in next.iter() {
            let old = sum.score(member);
            if old.is_some() || !meets {
                joined.set(member, score + old.unwrap_or(0.0));
            }
        }
        all = Some(joined);
    }
    let zset = all.unwrap_or_default();
    out.int(zset.len() as i64);
    store.put(call.key(), Value::Zset(zset));
    store.tidy(call.key());
    Ok(())
}
