//! Sorted sets. A member's score stands in its data record; the score family has the order.

mod add;
mod algebra;
mod pop;
mod range;
mod remove;

pub(super) use pop::{Several, pop};

use super::{Ctx, Outcome, Run, Table, parse, scan};
use crate::encoding::{Kind, score_and_member};
use crate::engine::Family;
use crate::error::{CommandError, line};
use crate::txn::{Collection, Direction, Flow, Picks, Span, Txn};
use protocol::reply::{Reply, Version};

pub(super) const TABLE: Table = &[
    ("zadd", Run::Keys(add::zadd)),
    ("zcard", Run::Keys(zcard)),
    ("zcount", Run::Keys(range::zcount)),
    ("zdiff", Run::Keys(algebra::zdiff)),
    ("zdiffstore", Run::Keys(algebra::zdiffstore)),
    ("zincrby", Run::Keys(add::zincrby)),
    ("zinter", Run::Keys(algebra::zinter)),
    ("zintercard", Run::Keys(algebra::zintercard)),
    ("zinterstore", Run::Keys(algebra::zinterstore)),
    ("zlexcount", Run::Keys(range::zlexcount)),
    ("zmpop", Run::Keys(pop::zmpop)),
    ("zmscore", Run::Keys(zmscore)),
    ("zpopmax", Run::Keys(pop::zpopmax)),
    ("zpopmin", Run::Keys(pop::zpopmin)),
    ("zrandmember", Run::Keys(zrandmember)),
    ("zrange", Run::Keys(range::zrange)),
    ("zrangebylex", Run::Keys(range::zrangebylex)),
    ("zrangebyscore", Run::Keys(range::zrangebyscore)),
    ("zrangestore", Run::Keys(range::zrangestore)),
    ("zrank", Run::Keys(zrank)),
    ("zrem", Run::Keys(remove::zrem)),
    ("zremrangebylex", Run::Keys(remove::zremrangebylex)),
    ("zremrangebyrank", Run::Keys(remove::zremrangebyrank)),
    ("zremrangebyscore", Run::Keys(remove::zremrangebyscore)),
    ("zrevrange", Run::Keys(range::zrevrange)),
    ("zrevrangebylex", Run::Keys(range::zrevrangebylex)),
    ("zrevrangebyscore", Run::Keys(range::zrevrangebyscore)),
    ("zrevrank", Run::Keys(zrevrank)),
    ("zscan", Run::Keys(zscan)),
    ("zscore", Run::Keys(zscore)),
    ("zunion", Run::Keys(algebra::zunion)),
    ("zunionstore", Run::Keys(algebra::zunionstore)),
];

/// A member with its score.
pub(super) type Scored = (Vec<u8>, f64);

/// The score in a data record.
pub(crate) fn score_in(value: &[u8]) -> f64 {
    value.try_into().map_or(0.0, |bytes| f64::from_bits(u64::from_be_bytes(bytes)))
}

/// A member's score.
pub(super) fn score_of(
    txn: &mut Txn<'_>,
    zset: &Collection<'_>,
    member: &[u8],
) -> Result<Option<f64>, CommandError> {
    Ok(txn.element(zset, member)?.map(score_in))
}

/// Gives a member a score; `old` is the one it has. The count is the caller's. Negative zero becomes zero, as in Redis' small sorted sets.
pub(super) fn put(
    txn: &mut Txn<'_>,
    zset: &Collection<'_>,
    member: &[u8],
    (old, score): (Option<f64>, f64),
) -> Result<(), CommandError> {
    if let Some(old) = old {
        txn.delete_score(zset, old, member)?;
    }
    let score = score + 0.0;
    txn.put_element(zset, member, &score.to_bits().to_be_bytes())?;
    txn.put_score(zset, score, member)
}

/// Takes members out. The caller saves the set.
pub(super) fn remove_all(
    txn: &mut Txn<'_>,
    zset: &mut Collection<'_>,
    members: &[Scored],
) -> Result<(), CommandError> {
    if members.len() as u64 == zset.meta.count {
        return txn.clear(zset);
    }
    for (member, score) in members {
        txn.delete_element(zset, member)?;
        txn.delete_score(zset, *score, member)?;
    }
    zset.meta.count -= members.len() as u64;
    Ok(())
}

/// Makes `key` a sorted set of these members.
pub(super) fn store(ctx: &mut Ctx<'_, '_>, key: &[u8], members: &[Scored]) -> Outcome {
    // The key may be one of the sources.
    ctx.txn.read_own();
    let mut zset = ctx.txn.replace(key, Kind::SortedSet)?;
    for (member, score) in members {
        put(ctx.txn, &zset, member, (None, *score))?;
    }
    zset.meta.count = members.len() as u64;
    ctx.txn.save(&mut zset)?;
    ctx.reply.int(members.len() as i64);
    Ok(())
}

/// Shows `visit` members by score, in this direction.
pub(super) fn walk(
    txn: &mut Txn<'_>,
    zset: &Collection<'_>,
    (from, to): (&[u8], Option<&[u8]>),
    direction: Direction,
    mut visit: impl FnMut(&[u8], f64) -> Flow,
) -> Result<(), CommandError> {
    let span = Span { family: Family::Score, from, to, direction };
    txn.scan(zset, &span, |name, _| {
        let (score, member) = score_and_member(name);
        visit(member, score)
    })
}

/// How members are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Members,
    /// Member and score; pairs in RESP3, flat in RESP2.
    WithScores,
    /// Member and score, in pairs.
    Pairs,
}

/// Answers an array of members.
pub(super) fn tell(reply: &mut Reply<'_>, members: &[Scored], shape: Shape) {
    let in_pairs =
        shape == Shape::Pairs || shape == Shape::WithScores && reply.version() == Version::Resp3;
    let flat = shape == Shape::WithScores && !in_pairs;
    reply.array(if flat { members.len() * 2 } else { members.len() });
    for (member, score) in members {
        if in_pairs {
            reply.array(2);
        }
        reply.bulk(member);
        if shape != Shape::Members {
            reply.double(*score);
        }
    }
}

fn zcard(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let count = ctx.txn.open(ctx.args.get(1), Kind::SortedSet)?.map_or(0, |zset| zset.meta.count);
    ctx.reply.int(count as i64);
    Ok(())
}

fn zscore(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let score = match ctx.txn.open(ctx.args.get(1), Kind::SortedSet)? {
        Some(zset) => score_of(ctx.txn, &zset, ctx.args.get(2))?,
        None => None,
    };
    match score {
        Some(score) => ctx.reply.double(score),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn zmscore(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let zset = ctx.txn.open(ctx.args.get(1), Kind::SortedSet)?;
    ctx.reply.array(ctx.args.len() - 2);
    for member in ctx.args.from(2) {
        let score = match &zset {
            Some(zset) => score_of(ctx.txn, zset, member)?,
            None => None,
        };
        match score {
            Some(score) => ctx.reply.double(score),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn zrank(ctx: &mut Ctx<'_, '_>) -> Outcome {
    rank(ctx, Direction::Forward)
}

fn zrevrank(ctx: &mut Ctx<'_, '_>) -> Outcome {
    rank(ctx, Direction::Backward)
}

fn rank(ctx: &mut Ctx<'_, '_>, direction: Direction) -> Outcome {
    let wanted = ctx.args.get(2);
    let Some(zset) = ctx.txn.open(ctx.args.get(1), Kind::SortedSet)? else {
        ctx.reply.null();
        return Ok(());
    };
    if !ctx.txn.has_element(&zset, wanted)? {
        ctx.reply.null();
        return Ok(());
    }
    let mut before = 0;
    walk(ctx.txn, &zset, (&[], None), direction, |member, _| {
        if member == wanted {
            return Flow::Stop;
        }
        before += 1;
        Flow::Continue
    })?;
    ctx.reply.int(before);
    Ok(())
}

fn zrandmember(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let key = ctx.args.get(1);
    if ctx.args.len() == 2 {
        let picked = match ctx.txn.open(key, Kind::SortedSet)? {
            Some(zset) => ctx.txn.pick(&zset, Picks::Different(1))?,
            None => Vec::new(),
        };
        match picked.first() {
            Some((member, _)) => ctx.reply.bulk(member),
            None => ctx.reply.null(),
        }
        return Ok(());
    }
    let count = parse::signed_count(ctx.args.get(2))?;
    let with_scores = ctx.args.is(3, "withscores");
    if ctx.args.len() > 4 || ctx.args.len() == 4 && !with_scores {
        return Err(line::SYNTAX.into());
    }
    if with_scores {
        parse::signed_count_of_pairs(ctx.args.get(2))?;
    }
    let picked = match ctx.txn.open(key, Kind::SortedSet)? {
        Some(zset) => ctx.txn.pick(&zset, Picks::of(count)?)?,
        None => Vec::new(),
    };
    let picked: Vec<Scored> =
        picked.into_iter().map(|(member, value)| (member, score_in(&value))).collect();
    tell(&mut ctx.reply, &picked, if with_scores { Shape::WithScores } else { Shape::Members });
    Ok(())
}

fn zscan(ctx: &mut Ctx<'_, '_>) -> Outcome {
    scan::cursor(ctx.args.get(2))?;
    let zset = ctx.txn.open(ctx.args.get(1), Kind::SortedSet)?;
    scan::page(ctx, zset.as_ref(), |reply, member, value| {
        reply.bulk(member);
        reply.bulk(protocol::number::format_double(score_in(value)).as_ref());
        2
    })
}
