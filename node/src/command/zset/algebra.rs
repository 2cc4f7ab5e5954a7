//! Union, intersection and difference of sorted sets. A set counts as a sorted set whose scores are all 1.

use super::super::{Ctx, Outcome};
use super::{Scored, Shape, score_in, store, tell};
use crate::encoding::Kind;
use crate::engine::Family;
use crate::error::{CommandError, line};
use crate::txn::{Collection, Direction, Flow, Span, Txn};
use protocol::number::{parse_double, parse_int};
use std::collections::{BTreeMap, HashMap};

/// How the scores of one member become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            // Opposite infinities make zero, as Redis decided.
            Self::Sum if (a + b).is_nan() => 0.0,
            Self::Sum => a + b,
            Self::Min => a.min(b),
            Self::Max => a.max(b),
        }
    }
}

/// Which of the three is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// A source with its weight.
#[derive(Debug)]
struct Source<'k> {
    set: Option<Collection<'k>>,
    weight: f64,
}

impl Source<'_> {
    fn count(&self) -> u64 {
        self.set.as_ref().map_or(0, |set| set.meta.count)
    }

    fn weighted(&self, value: &[u8]) -> f64 {
        let score = match &self.set {
            Some(set) if set.meta.kind == Kind::SortedSet => score_in(value),
            _ => 1.0,
        };
        self.weight * score
    }

    fn members(
        &self,
        txn: &mut Txn<'_>,
        mut visit: impl FnMut(&[u8], f64) -> Flow,
    ) -> Result<(), CommandError> {
        let Some(set) = &self.set else { return Ok(()) };
        txn.scan(set, &Span::all(Family::Data, Direction::Forward), |member, value| {
            let score = self.weighted(value);
            // Zero times infinity is zero here, and only here: what `score` finds is not judged before it is added. So does Redis.
            visit(member, if score.is_nan() { 0.0 } else { score })
        })
    }

    fn score(&self, txn: &mut Txn<'_>, member: &[u8]) -> Result<Option<f64>, CommandError> {
        let Some(set) = &self.set else { return Ok(None) };
        Ok(txn.element(set, member)?.map(|value| self.weighted(value)))
    }
}

/// What a command of this file is asked.
#[derive(Debug)]
struct Query<'k> {
    sources: Vec<Source<'k>>,
    aggregate: Aggregate,
    with_scores: bool,
    /// 0: no limit.
    limit: usize,
}

/// Which words may follow the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Answer,
    Store,
    Card,
}

/// Reads the query whose number of keys stands at `at`.
fn query<'a>(
    ctx: &mut Ctx<'a, '_>,
    at: usize,
    (operation, form): (Operation, Form),
) -> Result<Query<'a>, CommandError> {
    let args = ctx.args;
    let keys = parse_int(args.get(at)).ok_or(line::NOT_AN_INTEGER)?;
    let keys = match usize::try_from(keys).ok().filter(|&keys| keys > 0) {
        Some(keys) => keys,
        None if form == Form::Card => return Err("ERR numkeys should be greater than 0".into()),
        None => {
            return Err(format!(
                "ERR at least 1 input key is needed for '{}' command",
                ctx.command.name
            )
            .into());
        }
    };
    let first = at + 1;
    if keys > args.len() - first {
        let too_few = if form == Form::Card {
            "ERR Number of keys can't be greater than number of args"
        } else {
            line::SYNTAX
        };
        return Err(too_few.into());
    }
    let mut sources = Vec::with_capacity(keys);
    for key in args.from(first).take(keys) {
        let set = match ctx.txn.meta(key)?.map(|meta| meta.kind) {
            None => None,
            Some(kind @ (Kind::Set | Kind::SortedSet)) => ctx.txn.open(key, kind)?,
            Some(_) => return Err(line::WRONG_TYPE.into()),
        };
        sources.push(Source { set, weight: 1.0 });
    }
    let mut query = Query { sources, aggregate: Aggregate::Sum, with_scores: false, limit: 0 };
    let mut word = first + keys;
    while word < args.len() {
        let left = args.len() - word - 1;
        let combines = form != Form::Card && operation != Operation::Difference;
        if combines && args.is(word, "weights") && left >= keys {
            for (source, weight) in query.sources.iter_mut().zip(args.from(word + 1)) {
                source.weight = parse_double(weight).ok_or("ERR weight value is not a float")?;
            }
            word += keys;
        } else if combines && args.is(word, "aggregate") && left >= 1 {
            query.aggregate = match () {
                () if args.is(word + 1, "sum") => Aggregate::Sum,
                () if args.is(word + 1, "min") => Aggregate::Min,
                () if args.is(word + 1, "max") => Aggregate::Max,
                () => return Err(line::SYNTAX.into()),
            };
            word += 1;
        } else if form == Form::Answer && args.is(word, "withscores") {
            query.with_scores = true;
        } else if form == Form::Card && args.is(word, "limit") && left >= 1 {
            let limit = parse_int(args.get(word + 1)).and_then(|n| usize::try_from(n).ok());
            query.limit = limit.ok_or("ERR LIMIT can't be negative")?;
            word += 1;
        } else {
            return Err(line::SYNTAX.into());
        }
        word += 1;
    }
    Ok(query)
}

fn union(txn: &mut Txn<'_>, mut query: Query<'_>) -> Result<Vec<Scored>, CommandError> {
    // Sums of doubles depend on the order: Redis adds the smallest source first.
    query.sources.sort_by_key(Source::count);
    let mut all: HashMap<Vec<u8>, f64> = HashMap::new();
    for source in &query.sources {
        source.members(txn, |member, score| {
            match all.get_mut(member) {
                Some(known) => *known = query.aggregate.of(*known, score),
                None => {
                    all.insert(member.to_vec(), score);
                }
            }
            Flow::Continue
        })?;
    }
    Ok(all.into_iter().collect())
}

fn intersection(txn: &mut Txn<'_>, mut query: Query<'_>) -> Result<Vec<Scored>, CommandError> {
    query.sources.sort_by_key(Source::count);
    let Some((smallest, others)) = query.sources.split_first() else { return Ok(Vec::new()) };
    let mut candidates = Vec::with_capacity(smallest.count() as usize);
    smallest.members(txn, |member, score| {
        candidates.push((member.to_vec(), score));
        Flow::Continue
    })?;
    let mut found = Vec::new();
    'candidates: for (member, mut score) in candidates {
        for source in others {
            let Some(other) = source.score(txn, &member)? else { continue 'candidates };
            score = query.aggregate.of(score, other);
        }
        found.push((member, score));
        if found.len() == query.limit {
            break;
        }
    }
    Ok(found)
}

fn difference(txn: &mut Txn<'_>, query: &Query<'_>) -> Result<Vec<Scored>, CommandError> {
    let Some((first, others)) = query.sources.split_first() else { return Ok(Vec::new()) };
    let mut left = BTreeMap::new();
    first.members(txn, |member, score| {
        left.insert(member.to_vec(), score);
        Flow::Continue
    })?;
    for source in others {
        source.members(txn, |member, _| {
            left.remove(member);
            if left.is_empty() { Flow::Stop } else { Flow::Continue }
        })?;
    }
    Ok(left.into_iter().collect())
}

/// The members in the order of their scores, equal scores in the order of their bytes.
fn run(
    ctx: &mut Ctx<'_, '_>,
    operation: Operation,
    query: Query<'_>,
) -> Result<Vec<Scored>, CommandError> {
    let mut found = match operation {
        Operation::Union => union(ctx.txn, query)?,
        Operation::Intersection => intersection(ctx.txn, query)?,
        Operation::Difference => difference(ctx.txn, &query)?,
    };
    found.sort_by(|a, b| {
        a.1.partial_cmp(&b.1).unwrap_or(std::cmp::Ordering::Equal).then_with(|| a.0.cmp(&b.0))
    });
    Ok(found)
}

fn answer(ctx: &mut Ctx<'_, '_>, operation: Operation) -> Outcome {
    let query = query(ctx, 1, (operation, Form::Answer))?;
    let shape = if query.with_scores { Shape::WithScores } else { Shape::Members };
    let found = run(ctx, operation, query)?;
    tell(&mut ctx.reply, &found, shape);
    Ok(())
}

fn answer_stored(ctx: &mut Ctx<'_, '_>, operation: Operation) -> Outcome {
    let query = query(ctx, 2, (operation, Form::Store))?;
    let found = run(ctx, operation, query)?;
    store(ctx, ctx.args.get(1), &found)
}

pub(super) fn zunion(ctx: &mut Ctx<'_, '_>) -> Outcome {
    answer(ctx, Operation::Union)
}

pub(super) fn zinter(ctx: &mut Ctx<'_, '_>) -> Outcome {
    answer(ctx, Operation::Intersection)
}

pub(super) fn zdiff(ctx: &mut Ctx<'_, '_>) -> Outcome {
    answer(ctx, Operation::Difference)
}

pub(super) fn zunionstore(ctx: &mut Ctx<'_, '_>) -> Outcome {
    answer_stored(ctx, Operation::Union)
}

pub(super) fn zinterstore(ctx: &mut Ctx<'_, '_>) -> Outcome {
    answer_stored(ctx, Operation::Intersection)
}

pub(super) fn zdiffstore(ctx: &mut Ctx<'_, '_>) -> Outcome {
    answer_stored(ctx, Operation::Difference)
}

pub(super) fn zintercard(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let query = query(ctx, 1, (Operation::Intersection, Form::Card))?;
    let found = run(ctx, Operation::Intersection, query)?;
    ctx.reply.int(found.len() as i64);
    Ok(())
}
