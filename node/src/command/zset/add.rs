//! ZADD, ZINCRBY.

use super::super::{Ctx, Outcome, parse};
use super::{put, score_of};
use crate::encoding::Kind;
use crate::error::{CommandError, line};
use crate::txn::{Collection, Txn};

/// What ZADD is told before the members.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    /// Only members that are not there.
    if_absent: bool,
    /// Only members that are there.
    if_present: bool,
    if_greater: bool,
    if_less: bool,
    /// Count changed members too.
    changed: bool,
    /// The score is added.
    increment: bool,
}

impl Options {
    /// Reads the options; returns where the members begin.
    fn read(ctx: &Ctx<'_, '_>) -> Result<(Self, usize), CommandError> {
        let mut options = Self::default();
        let mut at = 2;
        while at < ctx.args.len() {
            let is = |word| ctx.args.is(at, word);
            match () {
                () if is("nx") => options.if_absent = true,
                () if is("xx") => options.if_present = true,
                () if is("gt") => options.if_greater = true,
                () if is("lt") => options.if_less = true,
                () if is("ch") => options.changed = true,
                () if is("incr") => options.increment = true,
                () => break,
            }
            at += 1;
        }
        let words = ctx.args.len() - at;
        if words == 0 || !words.is_multiple_of(2) {
            return Err(line::SYNTAX.into());
        }
        let Self { if_absent, if_present, if_greater, if_less, increment, .. } = options;
        if if_absent && if_present {
            return Err("ERR XX and NX options at the same time are not compatible".into());
        }
        if if_absent && (if_greater || if_less) || if_greater && if_less {
            return Err("ERR GT, LT, and/or NX options at the same time are not compatible".into());
        }
        if increment && words > 2 {
            return Err("ERR INCR option supports a single increment-element pair".into());
        }
        Ok((options, at))
    }
}

/// What became of a member.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Put {
    /// An option forbids it.
    Refused,
    Added(f64),
    Changed(f64),
    Same(f64),
}

impl Put {
    fn score(self) -> Option<f64> {
        match self {
            Self::Refused => None,
            Self::Added(score) | Self::Changed(score) | Self::Same(score) => Some(score),
        }
    }
}

fn put_one(
    txn: &mut Txn<'_>,
    zset: &mut Collection<'_>,
    options: Options,
    (member, number): (&[u8], f64),
) -> Result<Put, CommandError> {
    let Some(old) = score_of(txn, zset, member)? else {
        if options.if_present {
            return Ok(Put::Refused);
        }
        put(txn, zset, member, (None, number))?;
        zset.meta.count += 1;
        return Ok(Put::Added(number));
    };
    if options.if_absent {
        return Ok(Put::Refused);
    }
    let score = if options.increment { old + number } else { number };
    if score.is_nan() {
        return Err("ERR resulting score is not a number (NaN)".into());
    }
    if options.if_greater && score <= old || options.if_less && score >= old {
        return Ok(Put::Refused);
    }
    #[expect(clippy::float_cmp, reason = "the very same score is no change")]
    if score == old {
        return Ok(Put::Same(old));
    }
    put(txn, zset, member, (Some(old), score))?;
    Ok(Put::Changed(score))
}

pub(super) fn zadd(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let (options, first) = Options::read(ctx)?;
    add_all(ctx, options, first)
}

pub(super) fn zincrby(ctx: &mut Ctx<'_, '_>) -> Outcome {
    add_all(ctx, Options { increment: true, ..Options::default() }, 2)
}

fn add_all(ctx: &mut Ctx<'_, '_>, options: Options, first: usize) -> Outcome {
    let pairs = (first..ctx.args.len())
        .step_by(2)
        .map(|at| Ok((ctx.args.get(at + 1), parse::float(ctx.args.get(at))?)));
    let pairs = pairs.collect::<Result<Vec<_>, CommandError>>()?;
    let key = ctx.args.get(1);
    let zset = match ctx.txn.open(key, Kind::SortedSet)? {
        Some(zset) => Some(zset),
        None if options.if_present => None,
        None => Some(ctx.txn.open_or_new(key, Kind::SortedSet)?),
    };
    let Some(mut zset) = zset else {
        if options.increment {
            ctx.reply.null()
        } else {
            ctx.reply.int(0)
        }
        return Ok(());
    };
    if pairs.len() > 1 {
        // A member may be named twice.
        ctx.txn.read_own();
    }
    let (mut added, mut changed, mut last) = (0, 0, None);
    for pair in pairs {
        let done = put_one(ctx.txn, &mut zset, options, pair)?;
        added += i64::from(matches!(done, Put::Added(_)));
        changed += i64::from(matches!(done, Put::Changed(_)));
        last = done.score();
    }
    ctx.txn.save(&mut zset)?;
    match (options.increment, last) {
        (true, Some(score)) => ctx.reply.double(score),
        (true, None) => ctx.reply.null(),
        (false, _) => ctx.reply.int(if options.changed { added + changed } else { added }),
    }
    Ok(())
}
