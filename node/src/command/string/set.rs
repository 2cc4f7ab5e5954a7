//! SET and what it replaced, GETEX.

use super::super::{Ctx, Outcome, parse::Expiry};
use crate::encoding::Kind;
use crate::error::{CommandError, line};

/// When a key may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Always,
    IfAbsent,
    IfPresent,
}

/// What becomes of the expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifetime {
    /// The command does not say.
    Unsaid,
    Keep,
    Never,
    /// The unit, and where the number stands.
    Until(Expiry, usize),
}

impl Lifetime {
    /// Whether it may be said in this unit after what was said before.
    fn allows(self, unit: Expiry) -> bool {
        match self {
            Self::Unsaid => true,
            Self::Until(known, _) => known == unit,
            Self::Keep | Self::Never => false,
        }
    }

    /// When the key expires, 0 for never; `old` is what it was.
    fn moment(self, ctx: &Ctx<'_, '_>, old: u64, unsaid: u64) -> Result<u64, CommandError> {
        match self {
            Self::Unsaid => Ok(unsaid),
            Self::Keep => Ok(old),
            Self::Never => Ok(0),
            Self::Until(expiry, at) => {
                let now_ms = ctx.txn.now_ms(ctx.args.get(1))?;
                expiry.future(ctx.args.get(at), now_ms, ctx.command.name)
            }
        }
    }
}

/// The options of SET and GETEX.
#[derive(Debug)]
struct Options {
    condition: Condition,
    lifetime: Lifetime,
    wants_old: bool,
}

/// Which command's options are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Set,
    Getex,
}

/// Reads the options from `at` on. An option may be repeated, but not contradicted.
fn options(ctx: &Ctx<'_, '_>, mut at: usize, of: Of) -> Result<Options, CommandError> {
    let mut options =
        Options { condition: Condition::Always, lifetime: Lifetime::Unsaid, wants_old: false };
    while at < ctx.args.len() {
        let word = ctx.args.get(at);
        let is = |text: &str| word.eq_ignore_ascii_case(text.as_bytes());
        let Options { condition, lifetime, wants_old } = &mut options;
        match Expiry::from_word(word) {
            Some(unit) if at + 1 < ctx.args.len() && lifetime.allows(unit) => {
                *lifetime = Lifetime::Until(unit, at + 1);
                at += 1;
            }
            Some(_) => return Err(line::SYNTAX.into()),
            None if of == Of::Getex
                && is("persist")
                && matches!(lifetime, Lifetime::Unsaid | Lifetime::Never) =>
            {
                *lifetime = Lifetime::Never;
            }
            None if of == Of::Getex => return Err(line::SYNTAX.into()),
            None if is("nx") && *condition != Condition::IfPresent => {
                *condition = Condition::IfAbsent
            }
            None if is("xx") && *condition != Condition::IfAbsent => {
                *condition = Condition::IfPresent
            }
            None if is("get") => *wants_old = true,
            None if is("keepttl") && matches!(lifetime, Lifetime::Unsaid | Lifetime::Keep) => {
                *lifetime = Lifetime::Keep
            }
            None => return Err(line::SYNTAX.into()),
        }
        at += 1;
    }
    Ok(options)
}

pub(super) fn set(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let (key, value) = (ctx.args.get(1), ctx.args.get(2));
    let Options { condition, lifetime, wants_old } = options(ctx, 3, Of::Set)?;
    let expire_ms = match lifetime {
        Lifetime::Until(..) => lifetime.moment(ctx, 0, 0)?,
        _ => 0,
    };
    let old = ctx.txn.meta(key)?;
    if wants_old {
        if old.is_some_and(|old| old.kind != Kind::String) {
            return Err(line::WRONG_TYPE.into());
        }
        match ctx.txn.string(key)? {
            Some((_, value)) => ctx.reply.bulk(value),
            None => ctx.reply.null(),
        }
    }
    let refused = match condition {
        Condition::Always => false,
        Condition::IfAbsent => old.is_some(),
        Condition::IfPresent => old.is_none(),
    };
    if refused {
        if !wants_old {
            ctx.reply.null();
        }
        return Ok(());
    }
    let kept = old.map_or(0, |old| old.expire_ms);
    let expire_ms = if lifetime == Lifetime::Keep { kept } else { expire_ms };
    ctx.txn.set_string(key, old.as_ref(), value, expire_ms)?;
    if !wants_old {
        ctx.reply.ok();
    }
    Ok(())
}

pub(super) fn setnx(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let key = ctx.args.get(1);
    let absent = ctx.txn.meta(key)?.is_none();
    if absent {
        ctx.txn.set_string(key, None, ctx.args.get(2), 0)?;
    }
    ctx.reply.int(i64::from(absent));
    Ok(())
}

pub(super) fn setex(ctx: &mut Ctx<'_, '_>) -> Outcome {
    set_until(ctx, Expiry::Seconds)
}

pub(super) fn psetex(ctx: &mut Ctx<'_, '_>) -> Outcome {
    set_until(ctx, Expiry::Millis)
}

fn set_until(ctx: &mut Ctx<'_, '_>, expiry: Expiry) -> Outcome {
    let key = ctx.args.get(1);
    let expire_ms = expiry.future(ctx.args.get(2), ctx.txn.now_ms(key)?, ctx.command.name)?;
    let old = ctx.txn.meta(key)?;
    ctx.txn.set_string(key, old.as_ref(), ctx.args.get(3), expire_ms)?;
    ctx.reply.ok();
    Ok(())
}

pub(super) fn getset(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let key = ctx.args.get(1);
    let old = match ctx.txn.string(key)? {
        Some((meta, value)) => {
            ctx.reply.bulk(value);
            Some(meta)
        }
        None => {
            ctx.reply.null();
            None
        }
    };
    ctx.txn.set_string(key, old.as_ref(), ctx.args.get(2), 0)
}

pub(super) fn getex(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let key = ctx.args.get(1);
    let lifetime = options(ctx, 2, Of::Getex)?.lifetime;
    let Some((meta, value)) = ctx.txn.string(key)? else {
        // Redis does not judge the number then.
        ctx.reply.null();
        return Ok(());
    };
    ctx.reply.bulk(value);
    let expire_ms = lifetime.moment(ctx, meta.expire_ms, meta.expire_ms)?;
    if expire_ms == meta.expire_ms {
        return Ok(());
    }
    if expire_ms != 0 && expire_ms <= ctx.txn.now_ms(key)? {
        ctx.txn.delete_key(key)?;
    } else {
        ctx.txn.set_expiry(key, &meta, expire_ms)?;
    }
    Ok(())
}
