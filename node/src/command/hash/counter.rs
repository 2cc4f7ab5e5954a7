//! Numbers in hashes.

use super::super::{Ctx, Outcome, parse};
use crate::encoding::Kind;
use crate::error::{CommandError, line};
use crate::txn::Collection;
use protocol::number::{LongDouble, parse_int};

pub(super) fn hincrby(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let by = parse::int(ctx.args.get(3))?;
    let mut hash = ctx.txn.open_or_new(ctx.args.get(1), Kind::Hash)?;
    let old = ctx.txn.element(&hash, ctx.args.get(2))?;
    let is_new = old.is_none();
    let number = old.map_or(Some(0), parse_int).ok_or("ERR hash value is not an integer")?;
    let sum = number.checked_add(by).ok_or(line::OVERFLOW)?;
    put(ctx, &mut hash, itoa::Buffer::new().format(sum).as_bytes(), is_new)?;
    ctx.reply.int(sum);
    Ok(())
}

pub(super) fn hincrbyfloat(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let by = LongDouble::parse(ctx.args.get(3)).ok_or(line::NOT_A_FLOAT)?;
    if by.plus(LongDouble::from(0.0)).is_none() {
        return Err("ERR value is NaN or Infinity".into());
    }
    let mut hash = ctx.txn.open_or_new(ctx.args.get(1), Kind::Hash)?;
    let old = ctx.txn.element(&hash, ctx.args.get(2))?;
    let is_new = old.is_none();
    let number = old
        .map_or_else(|| Some(LongDouble::from(0.0)), LongDouble::parse)
        .ok_or("ERR hash value is not a float")?;
    let text = number.plus(by).ok_or(line::NAN_OR_INFINITY)?.to_string();
    put(ctx, &mut hash, text.as_bytes(), is_new)?;
    ctx.reply.bulk(text.as_bytes());
    Ok(())
}

fn put(
    ctx: &mut Ctx<'_, '_>,
    hash: &mut Collection<'_>,
    value: &[u8],
    is_new: bool,
) -> Result<(), CommandError> {
    ctx.txn.put_element(hash, ctx.args.get(2), value)?;
    hash.meta.count += u64::from(is_new);
    ctx.txn.save(hash)
}
