//! Hashes. Fields are in the order of their bytes.

mod counter;

use super::{Ctx, Outcome, Run, Table, parse, scan};
use crate::encoding::Kind;
use crate::engine::Family;
use crate::error::{CommandError, line};
use crate::txn::{Direction, Flow, Picks, Span};
use protocol::reply::Version;

pub(super) const TABLE: Table = &[
    ("hdel", Run::Keys(hdel)),
    ("hexists", Run::Keys(hexists)),
    ("hget", Run::Keys(hget)),
    ("hgetall", Run::Keys(hgetall)),
    ("hincrby", Run::Keys(counter::hincrby)),
    ("hincrbyfloat", Run::Keys(counter::hincrbyfloat)),
    ("hkeys", Run::Keys(hkeys)),
    ("hlen", Run::Keys(hlen)),
    ("hmget", Run::Keys(hmget)),
    ("hmset", Run::Keys(hmset)),
    ("hrandfield", Run::Keys(hrandfield)),
    ("hscan", Run::Keys(hscan)),
    ("hset", Run::Keys(hset)),
    ("hsetnx", Run::Keys(hsetnx)),
    ("hstrlen", Run::Keys(hstrlen)),
    ("hvals", Run::Keys(hvals)),
];

fn hset(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let added = set_all(ctx)?;
    ctx.reply.int(added);
    Ok(())
}

fn hmset(ctx: &mut Ctx<'_, '_>) -> Outcome {
    set_all(ctx)?;
    ctx.reply.ok();
    Ok(())
}

fn set_all(ctx: &mut Ctx<'_, '_>) -> Result<i64, CommandError> {
    if !ctx.args.len().is_multiple_of(2) {
        return Err(
            format!("ERR wrong number of arguments for '{}' command", ctx.command.name).into()
        );
    }
    if ctx.args.len() > 4 {
        // A field may be named twice.
        ctx.txn.read_own();
    }
    let mut hash = ctx.txn.open_or_new(ctx.args.get(1), Kind::Hash)?;
    let mut added = 0;
    for at in (2..ctx.args.len()).step_by(2) {
        let (field, value) = (ctx.args.get(at), ctx.args.get(at + 1));
        // A hash without fields has none to look for.
        added +=
            i64::from(hash.meta.count == 0 && added == 0 || !ctx.txn.has_element(&hash, field)?);
        ctx.txn.put_element(&hash, field, value)?;
    }
    hash.meta.count += added as u64;
    ctx.txn.save(&mut hash)?;
    Ok(added)
}

fn hsetnx(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let field = ctx.args.get(2);
    let mut hash = ctx.txn.open_or_new(ctx.args.get(1), Kind::Hash)?;
    let absent = !ctx.txn.has_element(&hash, field)?;
    if absent {
        ctx.txn.put_element(&hash, field, ctx.args.get(3))?;
        hash.meta.count += 1;
        ctx.txn.save(&mut hash)?;
    }
    ctx.reply.int(i64::from(absent));
    Ok(())
}

fn hget(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let Some(hash) = ctx.txn.open(ctx.args.get(1), Kind::Hash)? else {
        ctx.reply.null();
        return Ok(());
    };
    match ctx.txn.element(&hash, ctx.args.get(2))? {
        Some(value) => ctx.reply.bulk(value),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn hmget(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let hash = ctx.txn.open(ctx.args.get(1), Kind::Hash)?;
    ctx.reply.array(ctx.args.len() - 2);
    for field in ctx.args.from(2) {
        match &hash {
            Some(hash) => match ctx.txn.element(hash, field)? {
                Some(value) => ctx.reply.bulk(value),
                None => ctx.reply.null(),
            },
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn hdel(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let Some(mut hash) = ctx.txn.open(ctx.args.get(1), Kind::Hash)? else {
        ctx.reply.int(0);
        return Ok(());
    };
    if ctx.args.len() > 3 {
        ctx.txn.read_own();
    }
    let mut deleted = 0;
    for field in ctx.args.from(2) {
        if ctx.txn.has_element(&hash, field)? {
            ctx.txn.delete_element(&hash, field)?;
            deleted += 1;
        }
    }
    hash.meta.count -= deleted;
    ctx.txn.save(&mut hash)?;
    ctx.reply.int(deleted as i64);
    Ok(())
}

fn hexists(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let found = match ctx.txn.open(ctx.args.get(1), Kind::Hash)? {
        Some(hash) => ctx.txn.has_element(&hash, ctx.args.get(2))?,
        None => false,
    };
    ctx.reply.int(i64::from(found));
    Ok(())
}

fn hlen(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let count = ctx.txn.open(ctx.args.get(1), Kind::Hash)?.map_or(0, |hash| hash.meta.count);
    ctx.reply.int(count as i64);
    Ok(())
}

fn hstrlen(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let length = match ctx.txn.open(ctx.args.get(1), Kind::Hash)? {
        Some(hash) => ctx.txn.element(&hash, ctx.args.get(2))?.map_or(0, <[u8]>::len),
        None => 0,
    };
    ctx.reply.int(length as i64);
    Ok(())
}

/// What of each field is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Fields,
    Values,
    Both,
}

fn hgetall(ctx: &mut Ctx<'_, '_>) -> Outcome {
    tell(ctx, What::Both)
}

fn hkeys(ctx: &mut Ctx<'_, '_>) -> Outcome {
    tell(ctx, What::Fields)
}

fn hvals(ctx: &mut Ctx<'_, '_>) -> Outcome {
    tell(ctx, What::Values)
}

fn tell(ctx: &mut Ctx<'_, '_>, what: What) -> Outcome {
    let hash = ctx.txn.open(ctx.args.get(1), Kind::Hash)?;
    let count = hash.as_ref().map_or(0, |hash| hash.meta.count) as usize;
    match what {
        What::Both => ctx.reply.map(count),
        What::Fields | What::Values => ctx.reply.array(count),
    }
    let (Some(hash), reply) = (hash, &mut ctx.reply) else { return Ok(()) };
    ctx.txn.scan(&hash, &Span::all(Family::Data, Direction::Forward), |field, value| {
        if what != What::Values {
            reply.bulk(field);
        }
        if what != What::Fields {
            reply.bulk(value);
        }
        Flow::Continue
    })
}

fn hrandfield(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let key = ctx.args.get(1);
    if ctx.args.len() == 2 {
        let Some(hash) = ctx.txn.open(key, Kind::Hash)? else {
            ctx.reply.null();
            return Ok(());
        };
        let picked = ctx.txn.pick(&hash, Picks::Different(1))?;
        match picked.first() {
            Some((field, _)) => ctx.reply.bulk(field),
            None => ctx.reply.null(),
        }
        return Ok(());
    }
    let with_values = ctx.args.is(3, "withvalues");
    let count = parse::signed_count(ctx.args.get(2))?;
    if ctx.args.len() > 4 || ctx.args.len() == 4 && !with_values {
        return Err(line::SYNTAX.into());
    }
    if with_values {
        parse::signed_count_of_pairs(ctx.args.get(2))?;
    }
    let picked = match ctx.txn.open(key, Kind::Hash)? {
        Some(hash) => ctx.txn.pick(&hash, Picks::of(count)?)?,
        None => Vec::new(),
    };
    let in_pairs = with_values && ctx.reply.version() == Version::Resp3;
    ctx.reply.array(if with_values && !in_pairs { picked.len() * 2 } else { picked.len() });
    for (field, value) in picked {
        if in_pairs {
            ctx.reply.array(2);
        }
        ctx.reply.bulk(&field);
        if with_values {
            ctx.reply.bulk(&value);
        }
    }
    Ok(())
}

fn hscan(ctx: &mut Ctx<'_, '_>) -> Outcome {
    scan::cursor(ctx.args.get(2))?;
    let hash = ctx.txn.open(ctx.args.get(1), Kind::Hash)?;
    scan::page(ctx, hash.as_ref(), |reply, field, value| {
        reply.bulk(field);
        reply.bulk(value);
        2
    })
}
