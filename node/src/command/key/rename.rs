//! RENAME, RENAMENX: the elements of a collection are written anew, since a key is part of their records.

use super::super::{Ctx, Outcome};
use crate::error::line;

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
