//! What Redis packs: compressed strings, ziplists, intsets. Nothing comes of what is malformed.

use super::Words;

/// Bytes of a ziplist before its first entry.
const ZIPLIST_HEADER: usize = 10;
/// A match of LZF is so long at most.
const MATCH_MAX: usize = 264;

/// Unpacks LZF: `len` bytes come of it.
pub(super) fn unpack(mut packed: &[u8], len: usize) -> Option<Vec<u8>> {
    if len > packed.len().saturating_mul(MATCH_MAX) {
        return None;
    }
    let mut out = Vec::with_capacity(len);
    while let Some((&control, rest)) = packed.split_first() {
        packed = rest;
        let control = usize::from(control);
        if control < 32 {
            let (literal, rest) = packed.split_at_checked(control + 1)?;
            out.extend_from_slice(literal);
            packed = rest;
        } else {
            let mut count = control >> 5;
            if count == 7 {
                let (&more, rest) = packed.split_first()?;
                count += usize::from(more);
                packed = rest;
            }
            let (&low, rest) = packed.split_first()?;
            packed = rest;
            let back = ((control & 0x1f) << 8 | usize::from(low)) + 1;
            let from = out.len().checked_sub(back)?;
            // It may overlap what it makes.
            for at in from..from + count + 2 {
                out.push(out[at]);
            }
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

/// The entries of a ziplist, numbers as text.
pub(super) fn ziplist(bytes: &[u8]) -> Option<Words> {
    let mut rest = bytes.get(ZIPLIST_HEADER..)?;
    let mut words = Words::new();
    loop {
        // The length of the entry before, which we do not go back to.
        let skipped = match *rest.first()? {
            0xff => return Some(words),
            0xfe => 5,
            _ => 1,
        };
        rest = rest.get(skipped..)?;
        let (word, len) = entry(rest)?;
        words.push(word);
        rest = rest.get(len..)?;
    }
}

/// An entry without its first field, and how many bytes it takes.
fn entry(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let first = *bytes.first()?;
    let text = |at: usize, len: usize| Some((bytes.get(at..)?.get(..len)?.to_vec(), at + len));
    let number = |value: i64, len: usize| Some((value.to_string().into_bytes(), len));
    match first {
        0..0x40 => text(1, first.into()),
        0x40..0x80 => text(2, usize::from(first & 0x3f) << 8 | usize::from(*bytes.get(1)?)),
        0x80 => text(5, u32::from_be_bytes(*bytes.get(1..)?.first_chunk()?) as usize),
        0xc0 => number(integer(bytes.get(1..3)?), 3),
        0xd0 => number(integer(bytes.get(1..5)?), 5),
        0xe0 => number(integer(bytes.get(1..9)?), 9),
        0xf0 => number(integer(bytes.get(1..4)?), 4),
        0xfe => number(integer(bytes.get(1..2)?), 2),
        0xf1..=0xfd => number(i64::from(first) - 0xf1, 1),
        _ => None,
    }
}

/// The members of an intset as text.
pub(super) fn intset(bytes: &[u8]) -> Option<Words> {
    let width = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    let count = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?) as usize;
    let members = &bytes[8..];
    if !matches!(width, 2 | 4 | 8) || count.checked_mul(width)? != members.len() {
        return None;
    }
    let text = |member: &[u8]| integer(member).to_string().into_bytes();
    Some(members.chunks_exact(width).map(text).collect())
}

/// A signed number of one to eight bytes, the least first.
fn integer(bytes: &[u8]) -> i64 {
    let mut all = [0; 8];
    all[8 - bytes.len()..].copy_from_slice(bytes);
    i64::from_le_bytes(all) >> (64 - 8 * bytes.len())
}
