//! Union, intersection and difference of sets.

use super::super::{Ctx, Outcome};
use super::members;
use crate::encoding::Kind;
use crate::error::{CommandError, line};
use crate::txn::Collection;
use protocol::number::parse_int;
use std::collections::BTreeSet;

type Sets<'k> = Vec<Option<Collection<'k>>>;

/// The sets of the keys from `first` on. Every key is judged, also if another one is not there.
fn open_all<'a>(
    ctx: &mut Ctx<'a, '_>,
    first: usize,
    count: usize,
) -> Result<Sets<'a>, CommandError> {
    let args = ctx.args;
    (first..first + count).map(|at| ctx.txn.open(args.get(at), Kind::Set)).collect()
}

fn union(ctx: &mut Ctx<'_, '_>, sets: &Sets<'_>) -> Result<Vec<Vec<u8>>, CommandError> {
    let mut all = BTreeSet::new();
    for set in sets.iter().flatten() {
        all.extend(members(ctx.txn, set)?);
    }
    Ok(all.into_iter().collect())
}

/// At most `limit` members that are in all sets.
fn intersection(
    ctx: &mut Ctx<'_, '_>,
    sets: &Sets<'_>,
    limit: usize,
) -> Result<Vec<Vec<u8>>, CommandError> {
    let Some(mut sets) = sets.iter().map(Option::as_ref).collect::<Option<Vec<_>>>() else {
        return Ok(Vec::new());
    };
    // The members of the smallest are looked for in the others, the next smallest first.
    sets.sort_by_key(|set| set.meta.count);
    let Some((smallest, others)) = sets.split_first() else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for member in members(ctx.txn, smallest)? {
        let mut in_all = true;
        for set in others {
            in_all = in_all && ctx.txn.has_element(set, &member)?;
        }
        if in_all {
            found.push(member);
        }
        if found.len() == limit {
            break;
        }
    }
    Ok(found)
}

fn difference(ctx: &mut Ctx<'_, '_>, sets: &Sets<'_>) -> Result<Vec<Vec<u8>>, CommandError> {
    let Some((Some(first), others)) = sets.split_first() else { return Ok(Vec::new()) };
    let others: Vec<&Collection<'_>> = others.iter().flatten().collect();
    let mut left: BTreeSet<Vec<u8>> = members(ctx.txn, first)?.into_iter().collect();
    for set in others {
        if set.meta.count < left.len() as u64 {
            for member in members(ctx.txn, set)? {
                left.remove(&member);
            }
            continue;
        }
        let mut gone = Vec::new();
        for member in &left {
            if ctx.txn.has_element(set, member)? {
                gone.push(member.clone());
            }
        }
        gone.iter().for_each(|member| {
            left.remove(member);
        });
    }
    Ok(left.into_iter().collect())
}

fn answer(ctx: &mut Ctx<'_, '_>, members: &[Vec<u8>]) {
    ctx.reply.set(members.len());
    members.iter().for_each(|member| ctx.reply.bulk(member));
}

/// Makes the first key the set of these members.
fn store(ctx: &mut Ctx<'_, '_>, members: &[Vec<u8>]) -> Outcome {
    // The key may be one of the sources.
    ctx.txn.read_own();
    let mut set = ctx.txn.replace(ctx.args.get(1), Kind::Set)?;
    for member in members {
        ctx.txn.put_element(&set, member, b"")?;
    }
    set.meta.count = members.len() as u64;
    ctx.txn.save(&mut set)?;
    ctx.reply.int(members.len() as i64);
    Ok(())
}

pub(super) fn sunion(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let sets = open_all(ctx, 1, ctx.args.len() - 1)?;
    let members = union(ctx, &sets)?;
    answer(ctx, &members);
    Ok(())
}

pub(super) fn sinter(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let sets = open_all(ctx, 1, ctx.args.len() - 1)?;
    let members = intersection(ctx, &sets, usize::MAX)?;
    answer(ctx, &members);
    Ok(())
}

pub(super) fn sdiff(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let sets = open_all(ctx, 1, ctx.args.len() - 1)?;
    let members = difference(ctx, &sets)?;
    answer(ctx, &members);
    Ok(())
}

pub(super) fn sunionstore(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let sets = open_all(ctx, 2, ctx.args.len() - 2)?;
    let members = union(ctx, &sets)?;
    store(ctx, &members)
}

pub(super) fn sinterstore(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let sets = open_all(ctx, 2, ctx.args.len() - 2)?;
    let members = intersection(ctx, &sets, usize::MAX)?;
    store(ctx, &members)
}

pub(super) fn sdiffstore(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let sets = open_all(ctx, 2, ctx.args.len() - 2)?;
    let members = difference(ctx, &sets)?;
    store(ctx, &members)
}

pub(super) fn sintercard(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let keys = parse_int(ctx.args.get(1)).and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
    let keys = keys.ok_or("ERR numkeys should be greater than 0")?;
    if keys > ctx.args.len() - 2 {
        return Err("ERR Number of keys can't be greater than number of args".into());
    }
    let (mut limit, mut at) = (0, 2 + keys);
    while at < ctx.args.len() {
        if !ctx.args.is(at, "limit") || at + 1 >= ctx.args.len() {
            return Err(line::SYNTAX.into());
        }
        let number = parse_int(ctx.args.get(at + 1)).and_then(|n| usize::try_from(n).ok());
        limit = number.ok_or("ERR LIMIT can't be negative")?;
        at += 2;
    }
    let sets = open_all(ctx, 2, keys)?;
    let found = intersection(ctx, &sets, if limit == 0 { usize::MAX } else { limit })?;
    ctx.reply.int(found.len() as i64);
    Ok(())
}
