//! Strings: everything but LCS.

mod counter;
mod many;
mod set;

use super::{Ctx, Outcome, Run, Table, parse};
use crate::error::{CommandError, line};

pub(super) const TABLE: Table = &[
    ("append", Run::Keys(append)),
    ("decr", Run::Keys(counter::decr)),
    ("decrby", Run::Keys(counter::decrby)),
    ("get", Run::Keys(get)),
    ("getdel", Run::Keys(getdel)),
    ("getex", Run::Keys(set::getex)),
    ("getrange", Run::Keys(getrange)),
    ("getset", Run::Keys(set::getset)),
    ("incr", Run::Keys(counter::incr)),
    ("incrby", Run::Keys(counter::incrby)),
    ("incrbyfloat", Run::Keys(counter::incrbyfloat)),
    ("mget", Run::Keys(many::mget)),
    ("mset", Run::Keys(many::mset)),
    ("msetnx", Run::Keys(many::msetnx)),
    ("psetex", Run::Keys(set::psetex)),
    ("set", Run::Keys(set::set)),
    ("setex", Run::Keys(set::setex)),
    ("setnx", Run::Keys(set::setnx)),
    ("setrange", Run::Keys(setrange)),
    ("strlen", Run::Keys(strlen)),
    ("substr", Run::Keys(getrange)),
];

/// Bytes a string may have: `proto-max-bulk-len`.
pub(super) const STRING_BYTES_MAX: u64 = 512 << 20;

/// Refuses a string that would be too long.
pub(super) fn check_length(length: u64) -> Result<(), CommandError> {
    if length > STRING_BYTES_MAX { Err(line::STRING_TOO_LONG.into()) } else { Ok(()) }
}

fn get(ctx: &mut Ctx<'_, '_>) -> Outcome {
    match ctx.txn.string(ctx.args.get(1))? {
        Some((_, value)) => ctx.reply.bulk(value),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn getdel(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let key = ctx.args.get(1);
    match ctx.txn.string(key)? {
        Some((_, value)) => {
            ctx.reply.bulk(value);
            ctx.txn.delete_key(key)?;
        }
        None => ctx.reply.null(),
    }
    Ok(())
}

fn strlen(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let length = ctx.txn.string(ctx.args.get(1))?.map_or(0, |(_, value)| value.len());
    ctx.reply.int(length as i64);
    Ok(())
}

fn getrange(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let (start, stop) = (parse::int(ctx.args.get(2))?, parse::int(ctx.args.get(3))?);
    let value = ctx.txn.string(ctx.args.get(1))?.map(|(_, value)| value).unwrap_or_default();
    // Both negative and the wrong way round: nothing, even where the end would be taken for 0.
    if start < 0 && stop < 0 && start > stop {
        ctx.reply.bulk(b"");
        return Ok(());
    }
    let length = value.len() as i64;
    let from_end = |index: i64| if index < 0 { index.saturating_add(length).max(0) } else { index };
    let (start, stop) = (from_end(start), from_end(stop).min(length - 1));
    let part = if start > stop { None } else { value.get(start as usize..=stop as usize) };
    ctx.reply.bulk(part.unwrap_or_default());
    Ok(())
}

fn append(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let (key, tail) = (ctx.args.get(1), ctx.args.get(2));
    let old = ctx.txn.string(key)?.map(|(meta, value)| (meta, [value, tail].concat()));
    let (meta, value) = match old {
        Some((meta, value)) => (Some(meta), value),
        None => (None, tail.to_vec()),
    };
    check_length(value.len() as u64)?;
    ctx.txn.set_string(key, meta.as_ref(), &value, meta.map_or(0, |meta| meta.expire_ms))?;
    ctx.reply.int(value.len() as i64);
    Ok(())
}

fn setrange(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let (key, piece) = (ctx.args.get(1), ctx.args.get(3));
    let offset =
        u64::try_from(parse::int(ctx.args.get(2))?).map_err(|_| line::OFFSET_OUT_OF_RANGE)?;
    let old = ctx.txn.string(key)?.map(|(meta, value)| (meta, value.to_vec()));
    if piece.is_empty() {
        ctx.reply.int(old.map_or(0, |(_, value)| value.len()) as i64);
        return Ok(());
    }
    check_length(offset.saturating_add(piece.len() as u64))?;
    let (meta, mut value) = old.map_or((None, Vec::new()), |(meta, value)| (Some(meta), value));
    let (begin, end) = (offset as usize, offset as usize + piece.len());
    if value.len() < end {
        value.resize(end, 0);
    }
    value[begin..end].copy_from_slice(piece);
    ctx.txn.set_string(key, meta.as_ref(), &value, meta.map_or(0, |meta| meta.expire_ms))?;
    ctx.reply.int(value.len() as i64);
    Ok(())
}
