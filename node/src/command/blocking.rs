//! Commands that wait: BLPOP and its like, over lists and sorted sets.
//!
//! Here is what such a command wants and how it takes it. How it waits is in [`crate::waiting`], and that one does is for the session to decide:
//! within MULTI a command that finds nothing answers so at once.

use super::list::{self, End};
use super::zset::{self, Shape};
use super::{Ctx, Request, Run, Table};
use crate::encoding::Kind;
use crate::error::CommandError;
use crate::txn::Direction;
use protocol::number::{LongDouble, parse_double};
use protocol::reply::Reply;
use std::time::Duration;

pub(super) const TABLE: Table = &[
    ("blmove", Run::Waits(blmove)),
    ("blmpop", Run::Waits(blmpop)),
    ("blpop", Run::Waits(blpop)),
    ("brpop", Run::Waits(brpop)),
    ("brpoplpush", Run::Waits(brpoplpush)),
    ("bzmpop", Run::Waits(bzmpop)),
    ("bzpopmax", Run::Waits(bzpopmax)),
    ("bzpopmin", Run::Waits(bzpopmin)),
];

/// What a command waits for, read from its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// The first of the arguments that are the keys it waits for.
    pub first: usize,
    /// How many there are.
    pub keys: usize,
    /// Nothing: for ever.
    pub timeout: Option<Duration>,
    take: Take,
}

/// What it takes.
#[derive(Clone, Copy, Debug)]
enum Take {
    Element(End),
    Elements(End, u64),
    /// From one end of a list to one of another, the second argument.
    Move(End, End),
    Member(Direction),
    Members(Direction, u64),
}

/// Whether a key had what was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is taken, and the reply is written.
    Taken,
    Nothing,
}

impl Wish {
    /// What a key must be to be of use.
    pub fn kind(&self) -> Kind {
        match self.take {
            Take::Element(_) | Take::Elements(..) | Take::Move(..) => Kind::List,
            Take::Member(_) | Take::Members(..) => Kind::SortedSet,
        }
    }

    /// Whether it puts what it takes under another key.
    pub fn is_move(&self) -> bool {
        matches!(self.take, Take::Move(..))
    }

    /// Takes from the first key that has anything. A key of another kind before it is an error.
    pub fn take(&self, ctx: &mut Ctx<'_, '_>) -> Result<Found, CommandError> {
        for at in self.first..self.first + self.keys {
            if self.take_from(ctx, at)? == Found::Taken {
                return Ok(Found::Taken);
            }
        }
        Ok(Found::Nothing)
    }

    /// Takes from the key that is argument `at`.
    pub fn take_from(&self, ctx: &mut Ctx<'_, '_>, at: usize) -> Result<Found, CommandError> {
        let key = ctx.args.get(at);
        let Some(mut found) = ctx.txn.open(key, self.kind())? else { return Ok(Found::Nothing) };
        match self.take {
            Take::Element(end) => {
                let taken = list::pop(ctx.txn, &mut found, end, 1)?;
                ctx.reply.array(2);
                ctx.reply.bulk(key);
                taken.iter().for_each(|value| ctx.reply.bulk(value));
            }
            Take::Elements(end, count) => {
                let taken = list::pop(ctx.txn, &mut found, end, count)?;
                ctx.reply.array(2);
                ctx.reply.bulk(key);
                ctx.reply.array(taken.len());
                taken.iter().for_each(|value| ctx.reply.bulk(value));
            }
            Take::Move(from, to) => {
                list::carry(ctx, from, to)?;
                return Ok(Found::Taken);
            }
            Take::Member(direction) => {
                let taken = zset::pop(ctx.txn, &mut found, direction, 1)?;
                ctx.reply.array(3);
                ctx.reply.bulk(key);
                for (member, score) in &taken {
                    ctx.reply.bulk(member);
                    ctx.reply.double(*score);
                }
            }
            Take::Members(direction, count) => {
                let taken = zset::pop(ctx.txn, &mut found, direction, count)?;
                ctx.reply.array(2);
                ctx.reply.bulk(key);
                zset::tell(&mut ctx.reply, &taken, Shape::Pairs);
            }
        }
        ctx.txn.save(&mut found)?;
        Ok(Found::Taken)
    }

    /// The reply of a command that found nothing and may not wait.
    pub fn nothing(&self, reply: &mut Reply<'_>) {
        match self.take {
            Take::Move(..) => reply.null(),
            _ => reply.null_array(),
        }
    }
}

/// Redis' `getTimeoutFromObjectOrReply`: seconds, rounded up to milliseconds; zero is for ever. What 64 bits do not hold it calls negative.
fn timeout(text: &[u8]) -> Result<Option<Duration>, CommandError> {
    let read = LongDouble::parse(text).ok_or("ERR timeout is not a float or out of range")?;
    // What is finite and no double is far more than 64 bits of milliseconds.
    let seconds = parse_double(text).unwrap_or(if read.is_finite() { f64::MAX } else { f64::NAN });
    let millis = (seconds * 1000.0).ceil();
    if millis < 0.0 || millis >= i64::MAX as f64 {
        return Err("ERR timeout is negative".into());
    }
    Ok((millis > 0.0).then(|| Duration::from_millis(millis as u64)))
}

/// `B… key [key…] timeout`
fn all_but_last(request: Request<'_>, take: Take) -> Result<Wish, CommandError> {
    let last = request.len() - 1;
    Ok(Wish { first: 1, keys: last - 1, timeout: timeout(request.get(last))?, take })
}

fn blpop(request: Request<'_>) -> Result<Wish, CommandError> {
    all_but_last(request, Take::Element(End::Left))
}

fn brpop(request: Request<'_>) -> Result<Wish, CommandError> {
    all_but_last(request, Take::Element(End::Right))
}

fn bzpopmin(request: Request<'_>) -> Result<Wish, CommandError> {
    all_but_last(request, Take::Member(Direction::Forward))
}

fn bzpopmax(request: Request<'_>) -> Result<Wish, CommandError> {
    all_but_last(request, Take::Member(Direction::Backward))
}

/// `BLMOVE source target LEFT|RIGHT LEFT|RIGHT timeout`
fn blmove(request: Request<'_>) -> Result<Wish, CommandError> {
    let (from, to) = (End::from_word(request.get(3))?, End::from_word(request.get(4))?);
    let timeout = timeout(request.get(5))?;
    Ok(Wish { first: 1, keys: 1, timeout, take: Take::Move(from, to) })
}

/// `BRPOPLPUSH source target timeout`
fn brpoplpush(request: Request<'_>) -> Result<Wish, CommandError> {
    let timeout = timeout(request.get(3))?;
    Ok(Wish { first: 1, keys: 1, timeout, take: Take::Move(End::Right, End::Left) })
}

/// `BLMPOP timeout numkeys key… LEFT|RIGHT [COUNT count]`
fn blmpop(request: Request<'_>) -> Result<Wish, CommandError> {
    let list::Several { first, keys, end, count } = list::Several::read(request, 2)?;
    let timeout = timeout(request.get(1))?;
    Ok(Wish { first, keys, timeout, take: Take::Elements(end, count) })
}

/// `BZMPOP timeout numkeys key… MIN|MAX [COUNT count]`
fn bzmpop(request: Request<'_>) -> Result<Wish, CommandError> {
    let zset::Several { first, keys, direction, count } = zset::Several::read(request, 2)?;
    let timeout = timeout(request.get(1))?;
    Ok(Wish { first, keys, timeout, take: Take::Members(direction, count) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_redis_reads_them() {
        let millis = |text: &str| match timeout(text.as_bytes()) {
            Ok(time) => time.map_or("for ever".to_owned(), |time| time.as_millis().to_string()),
            Err(error) => error.line().into_owned(),
        };
        for (text, want) in [
            ("0", "for ever"),
            ("0.0", "for ever"),
            ("-0.0001", "for ever"),
            ("1", "1000"),
            ("0.05", "50"),
            ("0.0001", "1"),
            ("-1", "ERR timeout is negative"),
            ("-inf", "ERR timeout is negative"),
            ("1e30", "ERR timeout is negative"),
            ("1e400", "ERR timeout is negative"),
            ("1e5000", "ERR timeout is not a float or out of range"),
            ("inf", "ERR timeout is negative"),
            ("9223372036854", "9223372036854000"),
            ("nan", "ERR timeout is not a float or out of range"),
            ("", "ERR timeout is not a float or out of range"),
            ("1 ", "ERR timeout is not a float or out of range"),
        ] {
            assert_eq!(millis(text), want, "{text}");
        }
    }
}
