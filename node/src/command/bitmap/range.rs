//! BITCOUNT and BITPOS: bits of a part of a string, which is given in bytes or in bits.

use super::super::{Ctx, Outcome, Request, parse};
use crate::error::{CommandError, line};

/// What the two numbers of a range count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Bytes,
    Bits,
}

impl Unit {
    /// Bytes if the argument is not there.
    fn of(args: Request<'_>, index: usize) -> Result<Self, CommandError> {
        match () {
            () if index >= args.len() || args.is(index, "byte") => Ok(Self::Bytes),
            () if args.is(index, "bit") => Ok(Self::Bits),
            () => Err(line::SYNTAX.into()),
        }
    }
}

/// The first and the last bit of a part that is not empty.
type Part = (usize, usize);

fn whole(value: &[u8]) -> Option<Part> {
    value.len().checked_sub(1).map(|last| (0, last * 8 + 7))
}

/// Negative numbers count from the end; a part that is empty is nothing.
fn part(value: &[u8], (start, end): (i64, i64), unit: Unit) -> Option<Part> {
    let total = match unit {
        Unit::Bytes => value.len() as i64,
        Unit::Bits => value.len() as i64 * 8,
    };
    let from_end = |at: i64| if at < 0 { at.saturating_add(total).max(0) } else { at };
    let (start, end) = (from_end(start), from_end(end).min(total - 1));
    if start > end {
        return None;
    }
    let (start, end) = (start as usize, end as usize);
    Some(match unit {
        Unit::Bytes => (start * 8, end * 8 + 7),
        Unit::Bits => (start, end),
    })
}

/// The bits of a byte from one on, and up to one.
fn masks((first, last): Part) -> (u8, u8) {
    (0xff >> (first % 8), !(0x7f >> (last % 8)))
}

/// The bytes of a part: the first, those between, and the last; what is outside of the part is 0. If first and last are one byte, it is the
/// last that is 0.
fn cut(value: &[u8], part: Part) -> (u8, &[u8], u8) {
    let ((from, to), (head, tail)) = ((part.0 / 8, part.1 / 8), masks(part));
    if from == to {
        return (value[from] & head & tail, &[], 0);
    }
    (value[from] & head, &value[from + 1..to], value[to] & tail)
}

pub(super) fn bitcount(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let args = ctx.args;
    let Some((_, value)) = ctx.txn.string(args.get(1))? else {
        ctx.reply.int(0);
        return Ok(());
    };
    let part = match args.len() {
        2 => whole(value),
        4 | 5 => {
            let (start, end) = (parse::int(args.get(2))?, parse::int(args.get(3))?);
            // Both negative and the wrong way round: nothing, and nobody looks at the unit.
            if start < 0 && end < 0 && start > end {
                None
            } else {
                part(value, (start, end), Unit::of(args, 4)?)
            }
        }
        _ => return Err(line::SYNTAX.into()),
    };
    ctx.reply.int(part.map_or(0, |part| count_ones(value, part)) as i64);
    Ok(())
}

fn count_ones(value: &[u8], part: Part) -> u64 {
    let (first, between, last) = cut(value, part);
    let (words, rest) = between.as_chunks::<8>();
    let words: u64 = words.iter().map(|w| u64::from(u64::from_ne_bytes(*w).count_ones())).sum();
    let rest: u32 = rest.iter().map(|byte| byte.count_ones()).sum();
    words + u64::from(rest + first.count_ones() + last.count_ones())
}

pub(super) fn bitpos(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let args = ctx.args;
    let wanted = match parse::int(args.get(2))? {
        0 => false,
        1 => true,
        _ => return Err("ERR The bit argument must be 1 or 0.".into()),
    };
    let Some((_, value)) = ctx.txn.string(args.get(1))? else {
        // As many zeros as one likes.
        ctx.reply.int(if wanted { -1 } else { 0 });
        return Ok(());
    };
    let part = match args.len() {
        3 => whole(value),
        4..=6 => {
            let start = parse::int(args.get(3))?;
            let unit = Unit::of(args, 5)?;
            let end = if args.len() > 4 { parse::int(args.get(4))? } else { -1 };
            part(value, (start, end), unit)
        }
        _ => return Err(line::SYNTAX.into()),
    };
    let found = part.map(|part| first_bit(value, part, wanted).ok_or(part.1 + 1));
    ctx.reply.int(match found {
        Some(Ok(at)) => at as i64,
        // Behind a string there are zeros, unless it was said where to end.
        Some(Err(behind)) if !wanted && args.len() < 5 => behind as i64,
        _ => -1,
    });
    Ok(())
}

fn first_bit(value: &[u8], part: Part, wanted: bool) -> Option<usize> {
    let (from, to) = (part.0 / 8, part.1 / 8);
    let (head, tail) = masks(part);
    // The wanted bits are the ones of a byte XOR this.
    let other = if wanted { 0 } else { 0xff };
    let in_byte = |at: usize, mask: u8| {
        let byte = (value[at] ^ other) & mask;
        (byte != 0).then(|| at * 8 + byte.leading_zeros() as usize)
    };
    if from == to {
        return in_byte(from, head & tail);
    }
    let between = || {
        let skipped = value[from + 1..to].iter().position(|&byte| byte != other)?;
        in_byte(from + 1 + skipped, 0xff)
    };
    in_byte(from, head).or_else(between).or_else(|| in_byte(to, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_of_bits_is_counted_and_searched_as_bit_by_bit() {
        let value = [0xff, 0x00, 0x0f, 0xf0, 0x81, 0xff, 0xff, 0x00, 0x00, 0x10, 0xff, 0x01];
        let bit = |at: usize| value[at / 8] & (0x80 >> (at % 8)) != 0;
        for first in 0..value.len() * 8 {
            for last in first..value.len() * 8 {
                let ones = (first..=last).filter(|&at| bit(at)).count() as u64;
                assert_eq!(count_ones(&value, (first, last)), ones, "{first}..={last}");
                for wanted in [false, true] {
                    let found = (first..=last).find(|&at| bit(at) == wanted);
                    assert_eq!(first_bit(&value, (first, last), wanted), found, "{first}..={last}");
                }
            }
        }
    }

    #[test]
    fn a_part_counts_from_the_end_and_may_be_empty() {
        assert_eq!(part(b"abc", (0, -1), Unit::Bytes), Some((0, 23)));
        assert_eq!(part(b"abc", (-2, 100), Unit::Bytes), Some((8, 23)));
        assert_eq!(part(b"abc", (-2, -1), Unit::Bits), Some((22, 23)));
        assert_eq!(part(b"abc", (i64::MIN, i64::MAX), Unit::Bits), Some((0, 23)));
        assert_eq!(part(b"abc", (3, 5), Unit::Bytes), None);
        assert_eq!(part(b"", (0, 0), Unit::Bits), None);
        assert_eq!(whole(b""), None);
    }
}
