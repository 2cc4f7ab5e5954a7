//! RENAME, RENAMENX, COPY: the elements of a collection are written anew, since a key is part of their records.

use super::super::{Ctx, Outcome, parse};
use crate::error::{CommandError, line};

pub(super) fn rename(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let (from, to) = (ctx.args.get(1), ctx.args.get(2));
    if ctx.txn.meta(from)?.is_none() {
        return Err(line::NO_SUCH_KEY.into());
    }
    if from != to {
        ctx.txn.rename(from, to)?;
    }
    ctx.reply.ok();
    Ok(())
}

pub(super) fn renamenx(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let (from, to) = (ctx.args.get(1), ctx.args.get(2));
    if ctx.txn.meta(from)?.is_none() {
        return Err(line::NO_SUCH_KEY.into());
    }
    let free = from != to && ctx.txn.meta(to)?.is_none();
    if free {
        ctx.txn.rename(from, to)?;
    }
    ctx.reply.int(i64::from(free));
    Ok(())
}

/// `COPY from to [DB database] [REPLACE]`
pub(super) fn copy(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let (args, from, to) = (ctx.args, ctx.args.get(1), ctx.args.get(2));
    let (mut db, mut replace, mut at) = (ctx.txn.db, false, 3);
    while at < args.len() {
        if args.is(at, "replace") {
            replace = true;
        } else if args.is(at, "db") && at + 1 < args.len() {
            at += 1;
            db = database(args.get(at), ctx.shared.config.databases)?;
        } else {
            return Err(line::SYNTAX.into());
        }
        at += 1;
    }
    let here = ctx.txn.db;
    if from == to && db == here {
        return Err("ERR source and destination objects are the same".into());
    }
    let mut copied = ctx.txn.meta(from)?.is_some();
    if copied && !replace {
        ctx.txn.db = db;
        let occupied = ctx.txn.meta(to).map(|meta| meta.is_some());
        ctx.txn.db = here;
        copied = !occupied?;
    }
    if copied {
        ctx.txn.copy(from, to, db)?;
    }
    ctx.reply.int(i64::from(copied));
    Ok(())
}

fn database(text: &[u8], databases: u8) -> Result<u8, CommandError> {
    let number = i32::try_from(parse::int(text)?)
        .map_err(|_| "ERR value is out of range, value must between -2147483648 and 2147483647")?;
    let database = u8::try_from(number).ok().filter(|db| *db < databases);
    database.ok_or_else(|| "ERR DB index is out of range".into())
}
