//! When keys are gone. Times are absolute milliseconds on disk; nothing is rounded but replies in seconds.

use super::super::{Ctx, Outcome, parse, parse::Expiry};
use crate::error::CommandError;

pub(super) fn expire(ctx: &mut Ctx<'_, '_>) -> Outcome {
    set(ctx, Expiry::Seconds)
}

pub(super) fn pexpire(ctx: &mut Ctx<'_, '_>) -> Outcome {
    set(ctx, Expiry::Millis)
}

pub(super) fn expireat(ctx: &mut Ctx<'_, '_>) -> Outcome {
    set(ctx, Expiry::AtSeconds)
}

pub(super) fn pexpireat(ctx: &mut Ctx<'_, '_>) -> Outcome {
    set(ctx, Expiry::AtMillis)
}

/// NX, XX, GT, LT.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    if_none: bool,
    if_any: bool,
    if_later: bool,
    if_earlier: bool,
}

impl Conditions {
    fn read(ctx: &Ctx<'_, '_>) -> Result<Self, CommandError> {
        let mut conditions = Self::default();
        for word in ctx.args.from(3) {
            let is = |text: &str| word.eq_ignore_ascii_case(text.as_bytes());
            match () {
                () if is("nx") => conditions.if_none = true,
                () if is("xx") => conditions.if_any = true,
                () if is("gt") => conditions.if_later = true,
                () if is("lt") => conditions.if_earlier = true,
                () => {
                    return Err(format!(
                        "ERR Unsupported option {}",
                        String::from_utf8_lossy(word)
                    )
                    .into());
                }
            }
        }
        if conditions.if_none && (conditions.if_any || conditions.if_later || conditions.if_earlier)
        {
            return Err(
                "ERR NX and XX, GT or LT options at the same time are not compatible".into()
            );
        }
        if conditions.if_later && conditions.if_earlier {
            return Err("ERR GT and LT options at the same time are not compatible".into());
        }
        Ok(conditions)
    }

    /// `current` 0: the key never expires.
    fn hold(self, current: u64, moment: i64) -> bool {
        let has_expiry = current != 0;
        let current = current as i64;
        !(self.if_none && has_expiry
            || self.if_any && !has_expiry
            || self.if_later && (!has_expiry || moment <= current)
            || self.if_earlier && has_expiry && moment >= current)
    }
}

fn set(ctx: &mut Ctx<'_, '_>, unit: Expiry) -> Outcome {
    let key = ctx.args.get(1);
    let conditions = Conditions::read(ctx)?;
    let number = parse::int(ctx.args.get(2))?;
    let now_ms = ctx.txn.now_ms(key)?;
    let moment = unit.moment(number, now_ms).ok_or_else(|| {
        CommandError::from(format!("ERR invalid expire time in '{}' command", ctx.command.name))
    })?;
    let meta = ctx.txn.meta(key)?.filter(|meta| conditions.hold(meta.expire_ms, moment));
    let Some(meta) = meta else {
        ctx.reply.int(0);
        return Ok(());
    };
    match u64::try_from(moment) {
        Ok(moment) if moment > now_ms => ctx.txn.set_expiry(key, &meta, moment)?,
        _ => {
            ctx.txn.delete_key(key)?;
        }
    }
    ctx.reply.int(1);
    Ok(())
}

pub(super) fn persist(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let key = ctx.args.get(1);
    let meta = ctx.txn.meta(key)?.filter(|meta| meta.expire_ms != 0);
    if let Some(meta) = &meta {
        ctx.txn.set_expiry(key, meta, 0)?;
    }
    ctx.reply.int(i64::from(meta.is_some()));
    Ok(())
}

pub(super) fn ttl(ctx: &mut Ctx<'_, '_>) -> Outcome {
    tell(ctx, |expire_ms, now_ms| (expire_ms.saturating_sub(now_ms) + 500) / 1000)
}

pub(super) fn pttl(ctx: &mut Ctx<'_, '_>) -> Outcome {
    tell(ctx, u64::saturating_sub)
}

pub(super) fn expiretime(ctx: &mut Ctx<'_, '_>) -> Outcome {
    tell(ctx, |expire_ms, _| (expire_ms + 500) / 1000)
}

pub(super) fn pexpiretime(ctx: &mut Ctx<'_, '_>) -> Outcome {
    tell(ctx, |expire_ms, _| expire_ms)
}

/// −2: no such key; −1: it never expires.
fn tell(ctx: &mut Ctx<'_, '_>, of: impl FnOnce(u64, u64) -> u64) -> Outcome {
    let key = ctx.args.get(1);
    let answer = match ctx.txn.meta(key)? {
        None => -2,
        Some(meta) if meta.expire_ms == 0 => -1,
        Some(meta) => of(meta.expire_ms, ctx.txn.now_ms(key)?) as i64,
    };
    ctx.reply.int(answer);
    Ok(())
}
