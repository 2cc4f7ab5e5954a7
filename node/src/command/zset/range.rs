//! Ranges of sorted sets by rank, score and member.

use super::super::{Ctx, Outcome, parse};
use super::{Scored, Shape, score_in, store, tell, walk};
use crate::encoding::{Kind, score_bytes};
use crate::engine::Family;
use crate::error::{CommandError, line};
use crate::txn::{Collection, Direction, Flow, Span, Txn};
use protocol::number::parse_double;

/// What a range is a range of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Rank,
    Score,
    Member,
}

/// A range, as keys of records or as ranks.
#[derive(Clone, Debug)]
pub(super) enum Range {
    Ranks(i64, i64),
    /// From the first key on, before the second, in the score family.
    Scores(Vec<u8>, Vec<u8>),
    /// From the first key on, before the second (nothing: to the end), in the data family.
    Members(Vec<u8>, Option<Vec<u8>>),
    Empty,
}

impl Range {
    /// Reads the ends of a range.
    pub(super) fn read(by: By, min: &[u8], max: &[u8]) -> Result<Self, CommandError> {
        match by {
            By::Rank => Ok(Self::Ranks(parse::int(min)?, parse::int(max)?)),
            By::Score => {
                let (min, max) = (score_end(min)?, score_end(max)?);
                // The number behind a score, in the order of the bytes, is the next greater score.
                let first =
                    u64::from_be_bytes(score_bytes(min.0)) + u64::from(min.1 == Edge::Excluded);
                let end =
                    u64::from_be_bytes(score_bytes(max.0)) + u64::from(max.1 == Edge::Included);
                Ok(Self::Scores(first.to_be_bytes().to_vec(), end.to_be_bytes().to_vec()))
            }
            By::Member => Ok(match (member_end(min)?, member_end(max)?) {
                (MemberEnd::Last, _) | (_, MemberEnd::First) => Self::Empty,
                (min, max) => Self::Members(min.begin(), max.end()),
            }),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    Included,
    Excluded,
}

fn score_end(text: &[u8]) -> Result<(f64, Edge), CommandError> {
    let (text, edge) = match text {
        [b'(', rest @ ..] => (rest, Edge::Excluded),
        _ => (text, Edge::Included),
    };
    // What `strtod` leaves over decides in Redis: no digits at all are 0, blanks before them and overflow are no matter.
    let text = text.trim_ascii_start();
    if text.is_empty() {
        return Ok((0.0, edge));
    }
    let lenient =
        || std::str::from_utf8(text).ok()?.parse().ok().filter(|number: &f64| !number.is_nan());
    let number = parse_double(text).or_else(lenient);
    Ok((number.ok_or(line::MIN_OR_MAX_NOT_A_FLOAT)?, edge))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemberEnd<'a> {
    /// `-`: before all.
    First,
    /// `+`: behind all.
    Last,
    At(&'a [u8], Edge),
}

fn member_end(text: &[u8]) -> Result<MemberEnd<'_>, CommandError> {
    match text {
        b"-" => Ok(MemberEnd::First),
        b"+" => Ok(MemberEnd::Last),
        [b'(', member @ ..] => Ok(MemberEnd::At(member, Edge::Excluded)),
        [b'[', member @ ..] => Ok(MemberEnd::At(member, Edge::Included)),
        _ => Err(line::MIN_OR_MAX_NOT_STRING.into()),
    }
}

impl MemberEnd<'_> {
    fn begin(self) -> Vec<u8> {
        match self {
            Self::At(member, Edge::Included) => member.to_vec(),
            Self::At(member, Edge::Excluded) => [member, &[0]].concat(),
            Self::First | Self::Last => Vec::new(),
        }
    }

    fn end(self) -> Option<Vec<u8>> {
        match self {
            Self::At(member, Edge::Included) => Some([member, &[0]].concat()),
            Self::At(member, Edge::Excluded) => Some(member.to_vec()),
            Self::First | Self::Last => None,
        }
    }
}

/// How many are passed over, and how many are wanted then; negative: see [`Limit::keeps_nothing`], or all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) offset: i64,
    pub(super) count: i64,
}

impl Limit {
    pub(super) const ALL: Self = Self { offset: 0, count: -1 };

    fn keeps_nothing(self) -> bool {
        self.offset < 0 || self.count == 0
    }
}

/// The members of a range.
pub(super) fn members(
    txn: &mut Txn<'_>,
    zset: &Collection<'_>,
    range: &Range,
    (direction, limit): (Direction, Limit),
) -> Result<Vec<Scored>, CommandError> {
    let mut found = Vec::new();
    if limit.keeps_nothing() {
        return Ok(found);
    }
    let (mut to_skip, mut wanted) =
        (limit.offset as u64, u64::try_from(limit.count).unwrap_or(u64::MAX));
    let mut take = |member: &[u8], score: f64| {
        if to_skip > 0 {
            to_skip -= 1;
            return Flow::Continue;
        }
        found.push((member.to_vec(), score));
        wanted -= 1;
        if wanted == 0 { Flow::Stop } else { Flow::Continue }
    };
    match range {
        Range::Empty => {}
        Range::Ranks(start, stop) => {
            let Some((start, stop)) = parse::span(*start, *stop, zset.meta.count) else {
                return Ok(found);
            };
            return by_rank(txn, zset, (start, stop), direction);
        }
        Range::Scores(from, to) => walk(txn, zset, (from, Some(to)), direction, take)?,
        Range::Members(from, to) => {
            let span = Span { family: Family::Data, from, to: to.as_deref(), direction };
            txn.scan(zset, &span, |member, value| take(member, score_in(value)))?;
        }
    }
    Ok(found)
}

/// Walks from whichever end is nearer.
fn by_rank(
    txn: &mut Txn<'_>,
    zset: &Collection<'_>,
    (start, stop): (u64, u64),
    direction: Direction,
) -> Result<Vec<Scored>, CommandError> {
    let from_other_end = zset.meta.count - 1 - stop < start;
    let (walked, mut to_skip) = match (direction, from_other_end) {
        (direction, false) => (direction, start),
        (Direction::Forward, true) => (Direction::Backward, zset.meta.count - 1 - stop),
        (Direction::Backward, true) => (Direction::Forward, zset.meta.count - 1 - stop),
    };
    let wanted = (stop - start + 1) as usize;
    let mut found = Vec::with_capacity(wanted);
    walk(txn, zset, (&[], None), walked, |member, score| {
        if to_skip > 0 {
            to_skip -= 1;
            return Flow::Continue;
        }
        found.push((member.to_vec(), score));
        if found.len() == wanted { Flow::Stop } else { Flow::Continue }
    })?;
    if from_other_end {
        found.reverse();
    }
    Ok(found)
}

/// What a command of this file is by its name; nothing: its arguments say.
#[derive(Clone, Copy, Debug)]
struct Fixed {
    by: Option<By>,
    direction: Option<Direction>,
}

/// What is asked for.
#[derive(Clone, Debug)]
struct Query {
    range: Range,
    direction: Direction,
    limit: Limit,
    with_scores: bool,
}

/// Whether the result is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    Yes,
    No,
}

/// Reads a query whose source key stands at `at`.
fn query(ctx: &Ctx<'_, '_>, at: usize, fixed: Fixed, stored: Store) -> Result<Query, CommandError> {
    let (mut by, mut direction, mut limit, mut with_scores) =
        (fixed.by, fixed.direction, Limit::ALL, false);
    let mut word = at + 3;
    while word < ctx.args.len() {
        let is = |text| ctx.args.is(word, text);
        if stored == Store::No && is("withscores") {
            with_scores = true;
        } else if is("limit") && word + 2 < ctx.args.len() {
            limit = Limit {
                offset: parse::int(ctx.args.get(word + 1))?,
                count: parse::int(ctx.args.get(word + 2))?,
            };
            word += 2;
        } else if direction.is_none() && is("rev") {
            direction = Some(Direction::Backward);
        } else if by.is_none() && is("bylex") {
            by = Some(By::Member);
        } else if by.is_none() && is("byscore") {
            by = Some(By::Score);
        } else {
            return Err(line::SYNTAX.into());
        }
        word += 1;
    }
    let (by, direction) = (by.unwrap_or(By::Rank), direction.unwrap_or(Direction::Forward));
    if limit.count != -1 && by == By::Rank {
        return Err(
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
                .into(),
        );
    }
    if with_scores && by == By::Member {
        return Err("ERR syntax error, WITHSCORES not supported in combination with BYLEX".into());
    }
    let (mut min, mut max) = (ctx.args.get(at + 1), ctx.args.get(at + 2));
    if direction == Direction::Backward && by != By::Rank {
        std::mem::swap(&mut min, &mut max);
    }
    Ok(Query { range: Range::read(by, min, max)?, direction, limit, with_scores })
}

fn run(ctx: &mut Ctx<'_, '_>, at: usize, query: &Query) -> Result<Vec<Scored>, CommandError> {
    match ctx.txn.open(ctx.args.get(at), Kind::SortedSet)? {
        Some(zset) => members(ctx.txn, &zset, &query.range, (query.direction, query.limit)),
        None => Ok(Vec::new()),
    }
}

fn answer(ctx: &mut Ctx<'_, '_>, fixed: Fixed) -> Outcome {
    let query = query(ctx, 1, fixed, Store::No)?;
    let found = run(ctx, 1, &query)?;
    tell(
        &mut ctx.reply,
        &found,
        if query.with_scores { Shape::WithScores } else { Shape::Members },
    );
    Ok(())
}

pub(super) fn zrange(ctx: &mut Ctx<'_, '_>) -> Outcome {
    answer(ctx, Fixed { by: None, direction: None })
}

pub(super) fn zrevrange(ctx: &mut Ctx<'_, '_>) -> Outcome {
    answer(ctx, Fixed { by: Some(By::Rank), direction: Some(Direction::Backward) })
}

pub(super) fn zrangebyscore(ctx: &mut Ctx<'_, '_>) -> Outcome {
    answer(ctx, Fixed { by: Some(By::Score), direction: Some(Direction::Forward) })
}

pub(super) fn zrevrangebyscore(ctx: &mut Ctx<'_, '_>) -> Outcome {
    answer(ctx, Fixed { by: Some(By::Score), direction: Some(Direction::Backward) })
}

pub(super) fn zrangebylex(ctx: &mut Ctx<'_, '_>) -> Outcome {
    answer(ctx, Fixed { by: Some(By::Member), direction: Some(Direction::Forward) })
}

pub(super) fn zrevrangebylex(ctx: &mut Ctx<'_, '_>) -> Outcome {
    answer(ctx, Fixed { by: Some(By::Member), direction: Some(Direction::Backward) })
}

pub(super) fn zrangestore(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let query = query(ctx, 2, Fixed { by: None, direction: None }, Store::Yes)?;
    let found = run(ctx, 2, &query)?;
    store(ctx, ctx.args.get(1), &found)
}

pub(super) fn zcount(ctx: &mut Ctx<'_, '_>) -> Outcome {
    count(ctx, By::Score)
}

pub(super) fn zlexcount(ctx: &mut Ctx<'_, '_>) -> Outcome {
    count(ctx, By::Member)
}

fn count(ctx: &mut Ctx<'_, '_>, by: By) -> Outcome {
    let range = Range::read(by, ctx.args.get(2), ctx.args.get(3))?;
    let mut found = 0;
    if let Some(zset) = ctx.txn.open(ctx.args.get(1), Kind::SortedSet)? {
        let (family, from, to) = match &range {
            Range::Scores(from, to) => (Family::Score, from.as_slice(), Some(to.as_slice())),
            Range::Members(from, to) => (Family::Data, from.as_slice(), to.as_deref()),
            Range::Ranks(..) | Range::Empty => (Family::Data, &[][..], Some(&[][..])),
        };
        ctx.txn.scan(
            &zset,
            &Span { family, from, to, direction: Direction::Forward },
            |_, _| {
                found += 1;
                Flow::Continue
            },
        )?;
    }
    ctx.reply.int(found);
    Ok(())
}
