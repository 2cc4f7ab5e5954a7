//! Several strings at once: all or nothing.

use super::super::{Ctx, Outcome};
use crate::error::CommandError;
use smallvec::SmallVec;

pub(super) fn mget(ctx: &mut Ctx<'_, '_>) -> Outcome {
    ctx.reply.array(ctx.args.len() - 1);
    let keys: SmallVec<[&[u8]; 16]> = ctx.args.from(1).collect();
    for at in 0..keys.len() {
        // A key of another kind is no string, and no error.
        match ctx.txn.first_string(&keys[at..])? {
            Some(value) => ctx.reply.bulk(value),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

pub(super) fn mset(ctx: &mut Ctx<'_, '_>) -> Outcome {
    check_pairs(ctx)?;
    set_all(ctx)?;
    ctx.reply.ok();
    Ok(())
}

pub(super) fn msetnx(ctx: &mut Ctx<'_, '_>) -> Outcome {
    check_pairs(ctx)?;
    for at in (1..ctx.args.len()).step_by(2) {
        if ctx.txn.meta(ctx.args.get(at))?.is_some() {
            ctx.reply.int(0);
            return Ok(());
        }
    }
    set_all(ctx)?;
    ctx.reply.int(1);
    Ok(())
}

fn check_pairs(ctx: &Ctx<'_, '_>) -> Result<(), CommandError> {
    if ctx.args.len().is_multiple_of(2) {
        return Err(
            format!("ERR wrong number of arguments for '{}' command", ctx.command.name).into()
        );
    }
    Ok(())
}

fn set_all(ctx: &mut Ctx<'_, '_>) -> Outcome {
    if names_a_key_twice(ctx) {
        // The last value counts.
        ctx.txn.read_own();
    }
    for at in (1..ctx.args.len()).step_by(2) {
        let key = ctx.args.get(at);
        let old = ctx.txn.meta(key)?;
        ctx.txn.set_string(key, old.as_ref(), ctx.args.get(at + 1), 0)?;
    }
    Ok(())
}

fn names_a_key_twice(ctx: &Ctx<'_, '_>) -> bool {
    let mut keys: SmallVec<[&[u8]; 16]> =
        (1..ctx.args.len()).step_by(2).map(|at| ctx.args.get(at)).collect();
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}
