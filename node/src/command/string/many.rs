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
    let keys = keys_of_pairs(ctx);
    for at in 0..keys.len() {
        if ctx.txn.first_meta(&keys[at..])?.is_some() {
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

/// Keys in the order of the command.
type Keys<'a> = SmallVec<[&'a [u8]; 16]>;

fn keys_of_pairs<'a>(ctx: &Ctx<'a, '_>) -> Keys<'a> {
    (1..ctx.args.len()).step_by(2).map(|at| ctx.args.get(at)).collect()
}

fn set_all(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let keys = keys_of_pairs(ctx);
    if names_one_twice(keys.clone()) {
        // The last value counts.
        ctx.txn.read_own();
    }
    for (at, key) in keys.iter().enumerate() {
        let old = ctx.txn.first_meta(&keys[at..])?;
        ctx.txn.set_string(key, old.as_ref(), ctx.args.get(2 * at + 2), 0)?;
    }
    Ok(())
}

fn names_one_twice(mut keys: Keys<'_>) -> bool {
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}
