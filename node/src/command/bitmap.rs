//! Bitmaps: strings whose bits have numbers, bit 0 the highest of the first byte.

mod combine;
mod field;
mod integer;
mod range;

use super::string::{STRING_BYTES_MAX, check_length};
use super::{Ctx, Outcome, Run, Table};
use crate::error::CommandError;
use protocol::number::parse_int;

pub(super) const TABLE: Table = &[
    ("bitcount", Run::Keys(range::bitcount)),
    ("bitfield", Run::Keys(field::bitfield)),
    ("bitfield_ro", Run::Keys(field::bitfield_ro)),
    ("bitop", Run::Keys(combine::bitop)),
    ("bitpos", Run::Keys(range::bitpos)),
    ("getbit", Run::Keys(getbit)),
    ("setbit", Run::Keys(setbit)),
];

const BIT_OFFSET: &str = "ERR bit offset is not an integer or out of range";
const BIT_VALUE: &str = "ERR bit is not an integer or out of range";

/// The number of a bit that a string can have.
fn in_a_string(number: i64) -> Result<u64, CommandError> {
    let number = u64::try_from(number).ok().filter(|number| number / 8 < STRING_BYTES_MAX);
    number.ok_or_else(|| BIT_OFFSET.into())
}

fn bit_offset(text: &[u8]) -> Result<u64, CommandError> {
    in_a_string(parse_int(text).ok_or(BIT_OFFSET)?)
}

/// The byte a bit is in, and the mask of the bit.
fn place(offset: u64) -> (usize, u8) {
    ((offset / 8) as usize, 0x80 >> (offset % 8))
}

fn getbit(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let (at, mask) = place(bit_offset(ctx.args.get(2))?);
    let value = ctx.txn.string(ctx.args.get(1))?.map(|(_, value)| value).unwrap_or_default();
    let set = value.get(at).is_some_and(|byte| byte & mask != 0);
    ctx.reply.int(i64::from(set));
    Ok(())
}

fn setbit(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let key = ctx.args.get(1);
    let (at, mask) = place(bit_offset(ctx.args.get(2))?);
    let on = match parse_int(ctx.args.get(3)) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(BIT_VALUE.into()),
    };
    let found = ctx.txn.string(key)?;
    let byte = found.and_then(|(_, value)| value.get(at).copied());
    let was = byte.is_some_and(|byte| byte & mask != 0);
    ctx.reply.int(i64::from(was));
    if byte.is_some() && was == on {
        return Ok(());
    }
    let (meta, mut value) = match found {
        Some((meta, value)) => (Some(meta), value.to_vec()),
        None => (None, Vec::new()),
    };
    grow(&mut value, at + 1)?;
    value[at] = if on { value[at] | mask } else { value[at] & !mask };
    ctx.txn.set_string(key, meta.as_ref(), &value, meta.map_or(0, |meta| meta.expire_ms))
}

/// Appends zeros up to this length; a longer string stays as it is.
fn grow(value: &mut Vec<u8>, length: usize) -> Outcome {
    if value.len() < length {
        check_length(length as u64)?;
        value.resize(length, 0);
    }
    Ok(())
}
