//! Elements from one list to another, and from the first of several lists that has any.

use super::super::{Ctx, Outcome, Request};
use super::{End, pop, push};
use crate::encoding::Kind;
use crate::error::{CommandError, line};

pub(super) fn rpoplpush(ctx: &mut Ctx<'_, '_>) -> Outcome {
    carry(ctx, End::Right, End::Left)
}

pub(super) fn lmove(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let (from, to) = (End::from_word(ctx.args.get(3))?, End::from_word(ctx.args.get(4))?);
    carry(ctx, from, to)
}

/// Moves an element from one end of a list, the first argument, to one of another, the second.
pub(in crate::command) fn carry(ctx: &mut Ctx<'_, '_>, from: End, to: End) -> Outcome {
    let (source, target) = (ctx.args.get(1), ctx.args.get(2));
    let Some(mut list) = ctx.txn.open(source, Kind::List)? else {
        ctx.reply.null();
        return Ok(());
    };
    if source == target {
        let taken = pop(ctx.txn, &mut list, from, 1)?;
        for value in &taken {
            push(ctx.txn, &mut list, to, value)?;
            ctx.reply.bulk(value);
        }
        return ctx.txn.save(&mut list);
    }
    let mut into = ctx.txn.open_or_new(target, Kind::List)?;
    let taken = pop(ctx.txn, &mut list, from, 1)?;
    for value in &taken {
        push(ctx.txn, &mut into, to, value)?;
        ctx.reply.bulk(value);
    }
    ctx.txn.save(&mut list)?;
    ctx.txn.save(&mut into)
}

/// `LMPOP numkeys key… LEFT|RIGHT [COUNT count]`, read from `numkeys` on.
#[derive(Clone, Copy, Debug)]
pub(in crate::command) struct Several {
    pub(in crate::command) first: usize,
    pub(in crate::command) keys: usize,
    pub(in crate::command) end: End,
    pub(in crate::command) count: u64,
}

impl Several {
    pub(in crate::command) fn read(request: Request<'_>, at: usize) -> Result<Self, CommandError> {
        let positive = |text: &[u8], why: &'static str| {
            let number = protocol::number::parse_int(text)
                .and_then(|n| usize::try_from(n).ok())
                .filter(|&n| n > 0);
            number.ok_or_else(|| CommandError::from(why))
        };
        let keys = positive(request.get(at), "ERR numkeys should be greater than 0")?;
        let behind = keys
            .checked_add(at + 1)
            .filter(|&behind| behind < request.len())
            .ok_or(line::SYNTAX)?;
        let end = End::from_word(request.get(behind))?;
        let (mut count, mut after) = (1, behind + 1);
        if request.len() > after + 1 && request.is(after, "count") {
            count = positive(request.get(after + 1), "ERR count should be greater than 0")?;
            after += 2;
        }
        if request.len() > after {
            return Err(line::SYNTAX.into());
        }
        Ok(Self { first: at + 1, keys, end, count: count as u64 })
    }
}

pub(super) fn lmpop(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let several = Several::read(ctx.args, 1)?;
    for at in several.first..several.first + several.keys {
        let key = ctx.args.get(at);
        let Some(mut list) = ctx.txn.open(key, Kind::List)? else { continue };
        let taken = pop(ctx.txn, &mut list, several.end, several.count)?;
        ctx.txn.save(&mut list)?;
        ctx.reply.array(2);
        ctx.reply.bulk(key);
        ctx.reply.array(taken.len());
        taken.iter().for_each(|value| ctx.reply.bulk(value));
        return Ok(());
    }
    ctx.reply.null_array();
    Ok(())
}
