//! Lists. Elements stand at indexes without gaps, from `head` on, before `tail`.

mod middle;
mod transfer;

pub(super) use transfer::{Several, carry};

use super::{Ctx, Outcome, Run, Table, parse};
use crate::encoding::Kind;
use crate::engine::Family;
use crate::error::{CommandError, line};
use crate::txn::{Collection, Direction, Flow, Span, Txn};

pub(super) const TABLE: Table = &[
    ("lindex", Run::Keys(lindex)),
    ("linsert", Run::Keys(middle::linsert)),
    ("llen", Run::Keys(llen)),
    ("lmove", Run::Keys(transfer::lmove)),
    ("lmpop", Run::Keys(transfer::lmpop)),
    ("lpop", Run::Keys(lpop)),
    ("lpos", Run::Keys(middle::lpos)),
    ("lpush", Run::Keys(lpush)),
    ("lpushx", Run::Keys(lpushx)),
    ("lrange", Run::Keys(lrange)),
    ("lrem", Run::Keys(middle::lrem)),
    ("lset", Run::Keys(lset)),
    ("ltrim", Run::Keys(middle::ltrim)),
    ("rpop", Run::Keys(rpop)),
    ("rpoplpush", Run::Keys(transfer::rpoplpush)),
    ("rpush", Run::Keys(rpush)),
    ("rpushx", Run::Keys(rpushx)),
];

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Left,
    Right,
}

impl End {
    pub(super) fn from_word(word: &[u8]) -> Result<Self, CommandError> {
        if word.eq_ignore_ascii_case(b"left") {
            Ok(Self::Left)
        } else if word.eq_ignore_ascii_case(b"right") {
            Ok(Self::Right)
        } else {
            Err(line::SYNTAX.into())
        }
    }
}

/// Adds an element at one end. The caller saves the list.
pub(super) fn push(
    txn: &mut Txn<'_>,
    list: &mut Collection<'_>,
    end: End,
    value: &[u8],
) -> Result<(), CommandError> {
    let index = match end {
        End::Left => {
            list.meta.head -= 1;
            list.meta.head
        }
        End::Right => {
            list.meta.tail += 1;
            list.meta.tail - 1
        }
    };
    list.meta.count += 1;
    txn.put_element(list, &index.to_be_bytes(), value)
}

/// Takes up to `count` elements from one end, in the order in which they are taken. The caller saves the list.
pub(super) fn pop(
    txn: &mut Txn<'_>,
    list: &mut Collection<'_>,
    end: End,
    count: u64,
) -> Result<Vec<Vec<u8>>, CommandError> {
    let count = count.min(list.meta.count);
    let (from, to) = match end {
        End::Left => (list.meta.head, list.meta.head + count),
        End::Right => (list.meta.tail - count, list.meta.tail),
    };
    let mut taken = Vec::with_capacity(count as usize);
    if count == 1 {
        taken.extend(txn.element(list, &from.to_be_bytes())?.map(<[u8]>::to_vec));
    } else {
        let direction = if end == End::Left { Direction::Forward } else { Direction::Backward };
        scan(txn, list, (from, to), direction, |_, value| {
            taken.push(value.to_vec());
            Flow::Continue
        })?;
    }
    txn.delete_elements(list, &from.to_be_bytes(), &to.to_be_bytes(), count)?;
    match end {
        End::Left => list.meta.head = to,
        End::Right => list.meta.tail = from,
    }
    list.meta.count -= count;
    Ok(taken)
}

/// Shows `visit` the elements from index `from` on, before `to`, with their indexes.
pub(super) fn scan(
    txn: &mut Txn<'_>,
    list: &Collection<'_>,
    (from, to): (u64, u64),
    direction: Direction,
    mut visit: impl FnMut(u64, &[u8]) -> Flow,
) -> Result<(), CommandError> {
    let (from, to) = (from.to_be_bytes(), to.to_be_bytes());
    let span = Span { family: Family::Data, from: &from, to: Some(&to), direction };
    txn.scan(list, &span, |index, value| {
        let index = index.try_into().map_or(0, u64::from_be_bytes);
        visit(index, value)
    })
}

fn lpush(ctx: &mut Ctx<'_, '_>) -> Outcome {
    push_all(ctx, End::Left)
}

fn rpush(ctx: &mut Ctx<'_, '_>) -> Outcome {
    push_all(ctx, End::Right)
}

fn push_all(ctx: &mut Ctx<'_, '_>, end: End) -> Outcome {
    let mut list = ctx.txn.open_or_new(ctx.args.get(1), Kind::List)?;
    push_args(ctx, &mut list, end)
}

fn push_args(ctx: &mut Ctx<'_, '_>, list: &mut Collection<'_>, end: End) -> Outcome {
    for value in ctx.args.from(2) {
        push(ctx.txn, list, end, value)?;
    }
    ctx.txn.save(list)?;
    ctx.reply.int(list.meta.count as i64);
    Ok(())
}

fn lpushx(ctx: &mut Ctx<'_, '_>) -> Outcome {
    push_if_present(ctx, End::Left)
}

fn rpushx(ctx: &mut Ctx<'_, '_>) -> Outcome {
    push_if_present(ctx, End::Right)
}

fn push_if_present(ctx: &mut Ctx<'_, '_>, end: End) -> Outcome {
    match ctx.txn.open(ctx.args.get(1), Kind::List)? {
        Some(mut list) => push_args(ctx, &mut list, end),
        None => {
            ctx.reply.int(0);
            Ok(())
        }
    }
}

fn lpop(ctx: &mut Ctx<'_, '_>) -> Outcome {
    pop_some(ctx, End::Left)
}

fn rpop(ctx: &mut Ctx<'_, '_>) -> Outcome {
    pop_some(ctx, End::Right)
}

fn pop_some(ctx: &mut Ctx<'_, '_>, end: End) -> Outcome {
    if ctx.args.len() > 3 {
        return Err(
            format!("ERR wrong number of arguments for '{}' command", ctx.command.name).into()
        );
    }
    let has_count = ctx.args.len() == 3;
    let count = if has_count { parse::count(ctx.args.get(2))? } else { 1 };
    let Some(mut list) = ctx.txn.open(ctx.args.get(1), Kind::List)? else {
        if has_count {
            ctx.reply.null_array()
        } else {
            ctx.reply.null()
        }
        return Ok(());
    };
    let taken = if count == 0 { Vec::new() } else { pop(ctx.txn, &mut list, end, count as u64)? };
    ctx.txn.save(&mut list)?;
    if has_count {
        ctx.reply.array(taken.len());
    }
    taken.iter().for_each(|value| ctx.reply.bulk(value));
    Ok(())
}

fn llen(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let count = ctx.txn.open(ctx.args.get(1), Kind::List)?.map_or(0, |list| list.meta.count);
    ctx.reply.int(count as i64);
    Ok(())
}

fn lrange(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let (start, stop) = (parse::int(ctx.args.get(2))?, parse::int(ctx.args.get(3))?);
    let list = ctx.txn.open(ctx.args.get(1), Kind::List)?;
    let span = list.as_ref().and_then(|list| parse::span(start, stop, list.meta.count));
    let (Some(list), Some((start, stop))) = (list, span) else {
        ctx.reply.array(0);
        return Ok(());
    };
    ctx.reply.array((stop - start + 1) as usize);
    let reply = &mut ctx.reply;
    let range = (list.meta.head + start, list.meta.head + stop + 1);
    scan(ctx.txn, &list, range, Direction::Forward, |_, value| {
        reply.bulk(value);
        Flow::Continue
    })
}

/// The index of an element by its place; negative places count from the end.
fn index_of(list: &Collection<'_>, place: i64) -> Option<u64> {
    let place = if place < 0 { place.checked_add(list.meta.count as i64)? } else { place };
    let place = u64::try_from(place).ok()?;
    (place < list.meta.count).then(|| list.meta.head + place)
}

fn lindex(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let Some(list) = ctx.txn.open(ctx.args.get(1), Kind::List)? else {
        ctx.reply.null();
        return Ok(());
    };
    let index = index_of(&list, parse::int(ctx.args.get(2))?);
    let value = match index {
        Some(index) => ctx.txn.element(&list, &index.to_be_bytes())?,
        None => None,
    };
    match value {
        Some(value) => ctx.reply.bulk(value),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn lset(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let list = ctx.txn.open(ctx.args.get(1), Kind::List)?.ok_or(line::NO_SUCH_KEY)?;
    let place = parse::int(ctx.args.get(2))?;
    let index = index_of(&list, place).ok_or(line::INDEX_OUT_OF_RANGE)?;
    ctx.txn.put_element(&list, &index.to_be_bytes(), ctx.args.get(3))?;
    ctx.reply.ok();
    Ok(())
}
