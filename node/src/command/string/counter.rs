//! Numbers in strings.

use super::super::{Ctx, Outcome, parse};
use crate::error::line;
use protocol::number::{LongDouble, parse_int};

pub(super) fn incr(ctx: &mut Ctx<'_, '_>) -> Outcome {
    add(ctx, 1)
}

pub(super) fn decr(ctx: &mut Ctx<'_, '_>) -> Outcome {
    add(ctx, -1)
}

pub(super) fn incrby(ctx: &mut Ctx<'_, '_>) -> Outcome {
    add(ctx, parse::int(ctx.args.get(2))?)
}

pub(super) fn decrby(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let by = parse::int(ctx.args.get(2))?;
    add(ctx, by.checked_neg().ok_or("ERR decrement would overflow")?)
}

fn add(ctx: &mut Ctx<'_, '_>, by: i64) -> Outcome {
    let key = ctx.args.get(1);
    let (meta, number) = match ctx.txn.string(key)? {
        Some((meta, value)) => (Some(meta), parse_int(value).ok_or(line::NOT_AN_INTEGER)?),
        None => (None, 0),
    };
    let sum = number.checked_add(by).ok_or(line::OVERFLOW)?;
    let mut text = itoa::Buffer::new();
    ctx.txn.set_string(
        key,
        meta.as_ref(),
        text.format(sum).as_bytes(),
        meta.map_or(0, |meta| meta.expire_ms),
    )?;
    ctx.reply.int(sum);
    Ok(())
}

pub(super) fn incrbyfloat(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let key = ctx.args.get(1);
    let (meta, number) = match ctx.txn.string(key)? {
        Some((meta, value)) => (Some(meta), LongDouble::parse(value).ok_or(line::NOT_A_FLOAT)?),
        None => (None, LongDouble::from(0.0)),
    };
    let by = LongDouble::parse(ctx.args.get(2)).ok_or(line::NOT_A_FLOAT)?;
    let sum = number.plus(by).ok_or(line::NAN_OR_INFINITY)?;
    let text = sum.to_string();
    ctx.txn.set_string(
        key,
        meta.as_ref(),
        text.as_bytes(),
        meta.map_or(0, |meta| meta.expire_ms),
    )?;
    ctx.reply.bulk(text.as_bytes());
    Ok(())
}
