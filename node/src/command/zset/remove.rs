//! ZREM, ZREMRANGEBY….

use super::super::{Ctx, Outcome};
use super::range::{By, Limit, Range, members};
use super::{remove_all, score_of};
use crate::encoding::Kind;
use crate::txn::Direction;

pub(super) fn zrem(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let Some(mut zset) = ctx.txn.open(ctx.args.get(1), Kind::SortedSet)? else {
        ctx.reply.int(0);
        return Ok(());
    };
    if ctx.args.len() > 3 {
        // A member may be named twice.
        ctx.txn.read_own();
    }
    let mut removed = 0;
    for member in ctx.args.from(2) {
        if let Some(score) = score_of(ctx.txn, &zset, member)? {
            ctx.txn.delete_element(&zset, member)?;
            ctx.txn.delete_score(&zset, score, member)?;
            removed += 1;
        }
    }
    zset.meta.count -= removed;
    ctx.txn.save(&mut zset)?;
    ctx.reply.int(removed as i64);
    Ok(())
}

pub(super) fn zremrangebyrank(ctx: &mut Ctx<'_, '_>) -> Outcome {
    remove_range(ctx, By::Rank)
}

pub(super) fn zremrangebyscore(ctx: &mut Ctx<'_, '_>) -> Outcome {
    remove_range(ctx, By::Score)
}

pub(super) fn zremrangebylex(ctx: &mut Ctx<'_, '_>) -> Outcome {
    remove_range(ctx, By::Member)
}

fn remove_range(ctx: &mut Ctx<'_, '_>, by: By) -> Outcome {
    let range = Range::read(by, ctx.args.get(2), ctx.args.get(3))?;
    let Some(mut zset) = ctx.txn.open(ctx.args.get(1), Kind::SortedSet)? else {
        ctx.reply.int(0);
        return Ok(());
    };
    let gone = members(ctx.txn, &zset, &range, (Direction::Forward, Limit::ALL))?;
    remove_all(ctx.txn, &mut zset, &gone)?;
    ctx.txn.save(&mut zset)?;
    ctx.reply.int(gone.len() as i64);
    Ok(())
}
