//! Members taken from the ends.

use super::super::{Ctx, Outcome, Request, parse};
use super::{Scored, Shape, remove_all, tell, walk};
use crate::encoding::Kind;
use crate::error::{CommandError, line};
use crate::txn::{Collection, Direction, Flow, Txn};
use protocol::number::parse_int;

/// Takes up to `count` members from one end. The caller saves the set.
pub(in crate::command) fn pop(
    txn: &mut Txn<'_>,
    zset: &mut Collection<'_>,
    direction: Direction,
    count: u64,
) -> Result<Vec<Scored>, CommandError> {
    let mut taken = Vec::new();
    if count == 0 {
        return Ok(taken);
    }
    walk(txn, zset, (&[], None), direction, |member, score| {
        taken.push((member.to_vec(), score));
        if (taken.len() as u64) < count { Flow::Continue } else { Flow::Stop }
    })?;
    remove_all(txn, zset, &taken)?;
    Ok(taken)
}

pub(super) fn zpopmin(ctx: &mut Ctx<'_, '_>) -> Outcome {
    pop_some(ctx, Direction::Forward)
}

pub(super) fn zpopmax(ctx: &mut Ctx<'_, '_>) -> Outcome {
    pop_some(ctx, Direction::Backward)
}

fn pop_some(ctx: &mut Ctx<'_, '_>, direction: Direction) -> Outcome {
    if ctx.args.len() > 3 {
        return Err(line::SYNTAX.into());
    }
    let count = if ctx.args.len() == 3 { Some(parse::count(ctx.args.get(2))?) } else { None };
    let Some(mut zset) = ctx.txn.open(ctx.args.get(1), Kind::SortedSet)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let taken = pop(ctx.txn, &mut zset, direction, count.unwrap_or(1) as u64)?;
    ctx.txn.save(&mut zset)?;
    match (count, taken.first()) {
        // Without a count it is one flat pair in RESP3 too.
        (None, Some((member, score))) => {
            ctx.reply.array(2);
            ctx.reply.bulk(member);
            ctx.reply.double(*score);
        }
        _ => tell(&mut ctx.reply, &taken, Shape::WithScores),
    }
    Ok(())
}

/// `ZMPOP numkeys key… MIN|MAX [COUNT count]`, read from `numkeys` on.
#[derive(Clone, Copy, Debug)]
pub(in crate::command) struct Several {
    pub(in crate::command) first: usize,
    pub(in crate::command) keys: usize,
    pub(in crate::command) direction: Direction,
    pub(in crate::command) count: u64,
}

impl Several {
    pub(in crate::command) fn read(request: Request<'_>, at: usize) -> Result<Self, CommandError> {
        let positive = |text: &[u8], why: &'static str| {
            let number = parse_int(text).and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
            number.ok_or_else(|| CommandError::from(why))
        };
        let keys = positive(request.get(at), "ERR numkeys should be greater than 0")?;
        let behind = keys
            .checked_add(at + 1)
            .filter(|&behind| behind < request.len())
            .ok_or(line::SYNTAX)?;
        let direction = match () {
            () if request.is(behind, "min") => Direction::Forward,
            () if request.is(behind, "max") => Direction::Backward,
            () => return Err(line::SYNTAX.into()),
        };
        let (mut count, mut after) = (1, behind + 1);
        if request.len() > after + 1 && request.is(after, "count") {
            count = positive(request.get(after + 1), "ERR count should be greater than 0")?;
            after += 2;
        }
        if request.len() > after {
            return Err(line::SYNTAX.into());
        }
        Ok(Self { first: at + 1, keys, direction, count: count as u64 })
    }
}

pub(super) fn zmpop(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let several = Several::read(ctx.args, 1)?;
    for at in several.first..several.first + several.keys {
        let key = ctx.args.get(at);
        let Some(mut zset) = ctx.txn.open(key, Kind::SortedSet)? else { continue };
        let taken = pop(ctx.txn, &mut zset, several.direction, several.count)?;
        ctx.txn.save(&mut zset)?;
        ctx.reply.array(2);
        ctx.reply.bulk(key);
        tell(&mut ctx.reply, &taken, Shape::Pairs);
        return Ok(());
    }
    ctx.reply.null_array();
    Ok(())
}
