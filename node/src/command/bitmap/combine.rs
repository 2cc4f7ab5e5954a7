//! BITOP.

use super::super::{Ctx, Outcome, Request};
use crate::error::{CommandError, line};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

impl Operation {
    fn of(args: Request<'_>) -> Result<Self, CommandError> {
        match () {
            () if args.is(1, "and") => Ok(Self::And),
            () if args.is(1, "or") => Ok(Self::Or),
            () if args.is(1, "xor") => Ok(Self::Xor),
            () if args.is(1, "not") => Ok(Self::Not),
            () => Err(line::SYNTAX.into()),
        }
    }

    /// Combines `into` with a further string; the shorter one goes on with zeros.
    fn apply(self, into: &mut Vec<u8>, value: &[u8]) {
        if into.len() < value.len() {
            into.resize(value.len(), 0);
        }
        let (shared, rest) = into.split_at_mut(value.len());
        let pairs = shared.iter_mut().zip(value);
        match self {
            Self::And => {
                pairs.for_each(|(byte, other)| *byte &= other);
                rest.fill(0);
            }
            Self::Or => pairs.for_each(|(byte, other)| *byte |= other),
            Self::Xor => pairs.for_each(|(byte, other)| *byte ^= other),
            Self::Not => {}
        }
    }
}

pub(super) fn bitop(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let (args, target) = (ctx.args, ctx.args.get(2));
    let operation = Operation::of(args)?;
    if operation == Operation::Not && args.len() != 4 {
        return Err("ERR BITOP NOT must be called with a single source key.".into());
    }
    let mut result = string(ctx, args.get(3))?.to_vec();
    for key in args.from(4) {
        operation.apply(&mut result, string(ctx, key)?);
    }
    if operation == Operation::Not {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    if result.is_empty() {
        ctx.txn.delete_key(target)?;
    } else {
        let old = ctx.txn.meta(target)?;
        ctx.txn.set_string(target, old.as_ref(), &result, 0)?;
    }
    ctx.reply.int(result.len() as i64);
    Ok(())
}

/// A key that is not there is an empty string.
fn string<'c>(ctx: &'c mut Ctx<'_, '_>, key: &[u8]) -> Result<&'c [u8], CommandError> {
    Ok(ctx.txn.string(key)?.map(|(_, value)| value).unwrap_or_default())
}
