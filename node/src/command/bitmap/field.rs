//! BITFIELD and BITFIELD_RO: integers of any width at any bit of a string.

use super::super::{Ctx, Outcome, Request, parse};
use super::integer::{Integer, Overflow};
use super::{BIT_OFFSET, bit_offset, grow, in_a_string};
use crate::error::{CommandError, line};
use protocol::number::parse_int;

#[derive(Clone, Copy, Debug)]
enum Action {
    Get,
    Set(i64),
    Increment(i64),
}

#[derive(Clone, Copy, Debug)]
struct Operation {
    integer: Integer,
    /// Its first bit.
    offset: u64,
    action: Action,
    overflow: Overflow,
}

impl Operation {
    /// How long a string must be for it, in bytes; a read does not need any.
    fn room(&self) -> Option<usize> {
        match self.action {
            Action::Get => None,
            _ => Some(((self.offset + u64::from(self.integer.bits) - 1) / 8) as usize + 1),
        }
    }

    /// Carries it out on a string that has the room; returns its reply.
    fn run(&self, value: &mut [u8]) -> Option<i64> {
        let old = self.integer.read(value, self.offset);
        let (new, answers_new) = match self.action {
            Action::Get => return Some(old),
            Action::Set(number) => (self.integer.fit(number, 0, self.overflow)?, false),
            Action::Increment(by) => (self.integer.fit(old, by, self.overflow)?, true),
        };
        self.integer.write(value, self.offset, new);
        Some(if answers_new { new } else { old })
    }
}

pub(super) fn bitfield(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let operations = operations(ctx.args)?;
    run(ctx, &operations)
}

pub(super) fn bitfield_ro(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let operations = operations(ctx.args)?;
    if operations.iter().any(|operation| operation.room().is_some()) {
        return Err("ERR BITFIELD_RO only supports the GET subcommand".into());
    }
    run(ctx, &operations)
}

fn run(ctx: &mut Ctx<'_, '_>, operations: &[Operation]) -> Outcome {
    let key = ctx.args.get(1);
    let found = ctx.txn.string(key)?;
    ctx.reply.array(operations.len());
    let Some(room) = operations.iter().filter_map(Operation::room).max() else {
        let value = found.map(|(_, value)| value).unwrap_or_default();
        operations.iter().for_each(|get| ctx.reply.int(get.integer.read(value, get.offset)));
        return Ok(());
    };
    let (meta, mut value) = match found {
        Some((meta, value)) => (Some(meta), value.to_vec()),
        None => (None, Vec::new()),
    };
    let mut changed = value.len() < room;
    grow(&mut value, room)?;
    for operation in operations {
        let old = operation.integer.read(&value, operation.offset);
        match operation.run(&mut value) {
            Some(number) => ctx.reply.int(number),
            None => ctx.reply.null(),
        }
        changed |= operation.integer.read(&value, operation.offset) != old;
    }
    if changed {
        let expire_ms = meta.map_or(0, |meta| meta.expire_ms);
        ctx.txn.set_string(key, meta.as_ref(), &value, expire_ms)?;
    }
    Ok(())
}

fn operations(args: Request<'_>) -> Result<Vec<Operation>, CommandError> {
    let (mut operations, mut overflow, mut at) = (Vec::new(), Overflow::Wrap, 2);
    while at < args.len() {
        let operands = args.len() - at - 1;
        if args.is(at, "overflow") && operands >= 1 {
            overflow = overflow_named(args, at + 1)?;
            at += 2;
            continue;
        }
        let (action, length): (fn(i64) -> Action, usize) = match () {
            () if args.is(at, "get") && operands >= 2 => (|_| Action::Get, 3),
            () if args.is(at, "set") && operands >= 3 => (Action::Set, 4),
            () if args.is(at, "incrby") && operands >= 3 => (Action::Increment, 4),
            () => return Err(line::SYNTAX.into()),
        };
        let integer = Integer::parse(args.get(at + 1)).ok_or(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        )?;
        let offset = offset(args.get(at + 2), integer)?;
        let number = if length > 3 { parse::int(args.get(at + 3))? } else { 0 };
        operations.push(Operation { integer, offset, action: action(number), overflow });
        at += length;
    }
    Ok(operations)
}

fn overflow_named(args: Request<'_>, index: usize) -> Result<Overflow, CommandError> {
    match () {
        () if args.is(index, "wrap") => Ok(Overflow::Wrap),
        () if args.is(index, "sat") => Ok(Overflow::Saturate),
        () if args.is(index, "fail") => Ok(Overflow::Fail),
        () => Err("ERR Invalid OVERFLOW type specified".into()),
    }
}

/// The number of a bit, or `#` and how many integers of this width stand before.
fn offset(text: &[u8], integer: Integer) -> Result<u64, CommandError> {
    let Some(count) = text.strip_prefix(b"#") else { return bit_offset(text) };
    let count = parse_int(count).ok_or(BIT_OFFSET)?;
    in_a_string(count.wrapping_mul(i64::from(integer.bits)))
}
