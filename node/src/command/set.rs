//! Sets. Members are in the order of their bytes.

mod algebra;

use super::{Ctx, Outcome, Run, Table, parse, scan};
use crate::encoding::Kind;
use crate::engine::Family;
use crate::error::{CommandError, line};
use crate::txn::{Collection, Direction, Flow, Picks, Span, Txn};

pub(super) const TABLE: Table = &[
    ("sadd", Run::Keys(sadd)),
    ("scard", Run::Keys(scard)),
    ("sdiff", Run::Keys(algebra::sdiff)),
    ("sdiffstore", Run::Keys(algebra::sdiffstore)),
    ("sinter", Run::Keys(algebra::sinter)),
    ("sintercard", Run::Keys(algebra::sintercard)),
    ("sinterstore", Run::Keys(algebra::sinterstore)),
    ("sismember", Run::Keys(sismember)),
    ("smembers", Run::Keys(smembers)),
    ("smismember", Run::Keys(smismember)),
    ("smove", Run::Keys(smove)),
    ("spop", Run::Keys(spop)),
    ("srandmember", Run::Keys(srandmember)),
    ("srem", Run::Keys(srem)),
    ("sscan", Run::Keys(sscan)),
    ("sunion", Run::Keys(algebra::sunion)),
    ("sunionstore", Run::Keys(algebra::sunionstore)),
];

/// All members.
pub(super) fn members(
    txn: &mut Txn<'_>,
    set: &Collection<'_>,
) -> Result<Vec<Vec<u8>>, CommandError> {
    let mut members = Vec::with_capacity(set.meta.count as usize);
    txn.scan(set, &Span::all(Family::Data, Direction::Forward), |member, _| {
        members.push(member.to_vec());
        Flow::Continue
    })?;
    Ok(members)
}

fn sadd(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let mut set = ctx.txn.open_or_new(ctx.args.get(1), Kind::Set)?;
    if ctx.args.len() > 3 {
        // A member may be named twice.
        ctx.txn.read_own();
    }
    let mut added = 0;
    for member in ctx.args.from(2) {
        let is_new = set.meta.count == 0 && added == 0 || !ctx.txn.has_element(&set, member)?;
        if is_new {
            ctx.txn.put_element(&set, member, b"")?;
            added += 1;
        }
    }
    set.meta.count += added;
    ctx.txn.save(&mut set)?;
    ctx.reply.int(added as i64);
    Ok(())
}

fn srem(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let Some(mut set) = ctx.txn.open(ctx.args.get(1), Kind::Set)? else {
        ctx.reply.int(0);
        return Ok(());
    };
    if ctx.args.len() > 3 {
        ctx.txn.read_own();
    }
    let mut removed = 0;
    for member in ctx.args.from(2) {
        if ctx.txn.has_element(&set, member)? {
            ctx.txn.delete_element(&set, member)?;
            removed += 1;
        }
    }
    set.meta.count -= removed;
    ctx.txn.save(&mut set)?;
    ctx.reply.int(removed as i64);
    Ok(())
}

fn scard(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let count = ctx.txn.open(ctx.args.get(1), Kind::Set)?.map_or(0, |set| set.meta.count);
    ctx.reply.int(count as i64);
    Ok(())
}

fn sismember(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let found = match ctx.txn.open(ctx.args.get(1), Kind::Set)? {
        Some(set) => ctx.txn.has_element(&set, ctx.args.get(2))?,
        None => false,
    };
    ctx.reply.int(i64::from(found));
    Ok(())
}

fn smismember(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let set = ctx.txn.open(ctx.args.get(1), Kind::Set)?;
    ctx.reply.array(ctx.args.len() - 2);
    for member in ctx.args.from(2) {
        let found = match &set {
            Some(set) => ctx.txn.has_element(set, member)?,
            None => false,
        };
        ctx.reply.int(i64::from(found));
    }
    Ok(())
}

fn smembers(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let Some(set) = ctx.txn.open(ctx.args.get(1), Kind::Set)? else {
        ctx.reply.set(0);
        return Ok(());
    };
    ctx.reply.set(set.meta.count as usize);
    let reply = &mut ctx.reply;
    ctx.txn.scan(&set, &Span::all(Family::Data, Direction::Forward), |member, _| {
        reply.bulk(member);
        Flow::Continue
    })
}

fn smove(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let (from, to, member) = (ctx.args.get(1), ctx.args.get(2), ctx.args.get(3));
    let Some(mut source) = ctx.txn.open(from, Kind::Set)? else {
        ctx.reply.int(0);
        return Ok(());
    };
    let mut target = ctx.txn.open_or_new(to, Kind::Set)?;
    let found = ctx.txn.has_element(&source, member)?;
    if found && from != to {
        ctx.txn.delete_element(&source, member)?;
        source.meta.count -= 1;
        ctx.txn.save(&mut source)?;
        if !ctx.txn.has_element(&target, member)? {
            ctx.txn.put_element(&target, member, b"")?;
            target.meta.count += 1;
            ctx.txn.save(&mut target)?;
        }
    }
    ctx.reply.int(i64::from(found));
    Ok(())
}

fn spop(ctx: &mut Ctx<'_, '_>) -> Outcome {
    if ctx.args.len() > 3 {
        return Err(line::SYNTAX.into());
    }
    let count = if ctx.args.len() == 3 { Some(parse::count(ctx.args.get(2))?) } else { None };
    let Some(mut set) = ctx.txn.open(ctx.args.get(1), Kind::Set)? else {
        if count.is_some() {
            ctx.reply.set(0)
        } else {
            ctx.reply.null()
        }
        return Ok(());
    };
    let picked = ctx.txn.pick(&set, Picks::Different(count.unwrap_or(1) as u64))?;
    if picked.len() as u64 == set.meta.count {
        ctx.txn.clear(&mut set)?;
    } else {
        for (member, _) in &picked {
            ctx.txn.delete_element(&set, member)?;
        }
        set.meta.count -= picked.len() as u64;
    }
    ctx.txn.save(&mut set)?;
    if count.is_some() {
        ctx.reply.set(picked.len());
    }
    picked.iter().for_each(|(member, _)| ctx.reply.bulk(member));
    Ok(())
}

fn srandmember(ctx: &mut Ctx<'_, '_>) -> Outcome {
    if ctx.args.len() > 3 {
        return Err(line::SYNTAX.into());
    }
    let picks = if ctx.args.len() == 3 {
        Some(Picks::of(parse::signed_count(ctx.args.get(2))?)?)
    } else {
        None
    };
    let set = ctx.txn.open(ctx.args.get(1), Kind::Set)?;
    let picked = match &set {
        Some(set) => ctx.txn.pick(set, picks.unwrap_or(Picks::Different(1)))?,
        None => Vec::new(),
    };
    match picks {
        Some(_) => ctx.reply.array(picked.len()),
        None if picked.is_empty() => ctx.reply.null(),
        None => {}
    }
    picked.iter().for_each(|(member, _)| ctx.reply.bulk(member));
    Ok(())
}

fn sscan(ctx: &mut Ctx<'_, '_>) -> Outcome {
    scan::cursor(ctx.args.get(2))?;
    let set = ctx.txn.open(ctx.args.get(1), Kind::Set)?;
    scan::page(ctx, set.as_ref(), |reply, member, _| {
        reply.bulk(member);
        1
    })
}
