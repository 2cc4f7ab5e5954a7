//! A value as DUMP gives it: RDB version 7, a type byte and the value, then the version and a CRC-64.
//!
//! Written in the encodings that codis-server has by default, without its compression; read as nodes of ours read it.

use crate::store::{Bytes, Hash, List, Set, Value, Zset};
use protocol::dump::{self, DumpError, Dumped, crc64};
use protocol::number::{format_double, parse_int};

const VERSION: [u8; 2] = [7, 0];
/// Bytes of a list's node.
const NODE_BYTES: usize = 8192;

/// The value as a payload. A stream has none, as codis-server has no streams: it becomes an empty string's.
pub(crate) fn encode(value: &Value) -> Bytes {
    let mut out = Vec::new();
    match value {
        Value::Text(text) => {
            out.push(0);
            string(&mut out, text);
        }
        Value::List(list) => quicklist(&mut out, list),
        Value::Set(set) if is_packed(value) => {
            out.push(11);
            string(&mut out, &intset(set));
        }
        Value::Set(set) => sequence(&mut out, 2, set.len(), set.iter()),
        Value::Zset(zset) if is_packed(value) => {
            out.push(12);
            let text = |(member, score): (&Bytes, f64)| {
                [member.clone(), format_double(score).as_ref().to_vec()]
            };
            string(&mut out, &ziplist(zset.iter().flat_map(text)));
        }
        Value::Zset(zset) => {
            out.push(3);
            length(&mut out, zset.len());
            for (member, score) in zset.iter() {
                string(&mut out, member);
                put_score(&mut out, score);
            }
        }
        Value::Hash(hash) => {
            let words = hash.iter().flat_map(|(field, value)| [field, value]);
            if is_packed(value) {
                out.push(13);
                string(&mut out, &ziplist(words.cloned()));
            } else {
                sequence(&mut out, 4, hash.len(), words);
            }
        }
        Value::Stream(_) => out.extend_from_slice(&[0, 0]),
    }
    out.extend_from_slice(&VERSION);
    let sum = crc64(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// Whether codis-server keeps the value in one piece of memory, and so sends it in one message.
pub(crate) fn is_packed(value: &Value) -> bool {
    let short = |word: &Bytes| word.len() <= 64;
    match value {
        Value::Set(set) => set.len() <= 512 && set.iter().all(|m| parse_int(m).is_some()),
        Value::Zset(zset) => zset.len() <= 128 && zset.iter().all(|(m, _)| short(m)),
        Value::Hash(hash) => hash.len() <= 512 && hash.iter().all(|(f, v)| short(f) && short(v)),
        Value::Text(_) | Value::Stream(_) => true,
        Value::List(_) => false,
    }
}

fn sequence<'a>(out: &mut Bytes, kind: u8, len: usize, words: impl Iterator<Item = &'a Bytes>) {
    out.push(kind);
    length(out, len);
    words.for_each(|word| string(out, word));
}

fn length(out: &mut Bytes, len: usize) {
    match len {
        0..0x40 => out.push(len as u8),
        0x40..0x4000 => out.extend_from_slice(&[0x40 | (len >> 8) as u8, len as u8]),
        _ => {
            out.push(0x80);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
}

fn string(out: &mut Bytes, text: &[u8]) {
    if let Some(number) = parse_int(text).and_then(|number| i32::try_from(number).ok()) {
        let bytes = number.to_le_bytes();
        let (mark, len) = match number {
            -0x80..=0x7f => (0xc0, 1),
            -0x8000..=0x7fff => (0xc1, 2),
            _ => (0xc2, 4),
        };
        out.push(mark);
        return out.extend_from_slice(&bytes[..len]);
    }
    length(out, text.len());
    out.extend_from_slice(text);
}

fn put_score(out: &mut Bytes, score: f64) {
    if score.is_infinite() {
        out.push(if score > 0.0 { 254 } else { 255 });
    } else {
        let text = format_double(score);
        out.push(text.as_ref().len() as u8);
        out.extend_from_slice(text.as_ref());
    }
}

/// Nodes of ziplists, a new one where the last would be too large.
fn quicklist(out: &mut Bytes, list: &List) {
    let mut nodes: Vec<Vec<Bytes>> = Vec::new();
    let mut bytes = usize::MAX;
    for word in list {
        let around = if word.len() < 254 { 1 } else { 5 }
            + match word.len() {
                0..64 => 1,
                64..16384 => 2,
                _ => 5,
            };
        if bytes.saturating_add(word.len() + around) > NODE_BYTES {
            nodes.push(Vec::new());
            bytes = ziplist(std::iter::empty()).len();
        }
        if let Some(node) = nodes.last_mut() {
            node.push(word.clone());
            bytes += word.len() + around;
        }
    }
    out.push(14);
    length(out, nodes.len());
    nodes.into_iter().for_each(|node| string(out, &ziplist(node.into_iter())));
}

fn ziplist(words: impl Iterator<Item = Bytes>) -> Bytes {
    let (mut entries, mut count, mut last) = (Vec::new(), 0u16, 0..0);
    for word in words {
        let start = entries.len();
        match last.len() {
            before @ 0..254 => entries.push(before as u8),
            before => {
                entries.push(254);
                entries.extend_from_slice(&(before as u32).to_le_bytes());
            }
        }
        entry(&mut entries, &word);
        last = start..entries.len();
        count = count.saturating_add(1);
    }
    let mut out = Vec::new();
    out.extend_from_slice(&(entries.len() as u32 + 11).to_le_bytes());
    out.extend_from_slice(&(last.start as u32 + 10).to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.append(&mut entries);
    out.push(0xff);
    out
}

fn entry(out: &mut Bytes, word: &[u8]) {
    if let Some(number) = parse_int(word).filter(|_| word.len() < 32) {
        let bytes = number.to_le_bytes();
        let (mark, len) = match number {
            0..=12 => (0xf1 + number as u8, 0),
            -0x80..=0x7f => (0xfe, 1),
            -0x8000..=0x7fff => (0xc0, 2),
            -0x80_0000..=0x7f_ffff => (0xf0, 3),
            -0x8000_0000..=0x7fff_ffff => (0xd0, 4),
            _ => (0xe0, 8),
        };
        out.push(mark);
        return out.extend_from_slice(&bytes[..len]);
    }
    match word.len() {
        len @ 0..0x40 => out.push(len as u8),
        len @ 0x40..0x4000 => out.extend_from_slice(&[0x40 | (len >> 8) as u8, len as u8]),
        len => {
            out.push(0x80);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(word);
}

fn intset(set: &Set) -> Bytes {
    let mut members: Vec<i64> = set.iter().filter_map(|member| parse_int(member)).collect();
    members.sort_unstable();
    let fits = |width: u32| members.iter().all(|&m| m >> (8 * width - 1) == m >> 63);
    let width = [2, 4].into_iter().find(|&width| fits(width)).unwrap_or(8);
    let mut out = Vec::new();
    out.extend_from_slice(&width.to_le_bytes());
    out.extend_from_slice(&(members.len() as u32).to_le_bytes());
    members.iter().for_each(|m| out.extend_from_slice(&m.to_le_bytes()[..width as usize]));
    out
}

/// Why a payload is refused, in codis-server's order of looking.
#[derive(Debug, PartialEq)]
pub(crate) enum Bad {
    Checksum,
    Body,
}

/// The value of a payload.
pub(crate) fn decode(payload: &[u8]) -> Result<Value, Bad> {
    let value = dump::decode(payload).map_err(|error| match error {
        DumpError::Checksum => Bad::Checksum,
        DumpError::Type(_) | DumpError::Body => Bad::Body,
    })?;
    Ok(match value {
        Dumped::String(text) => Value::Text(text),
        Dumped::List(words) => Value::List(List::from(words)),
        Dumped::Set(words) => Value::Set(words.into_iter().collect::<Set>()),
        Dumped::SortedSet(members) => {
            let mut zset = Zset::default();
            for (member, score) in &members {
                zset.set(member, *score);
            }
            Value::Zset(zset)
        }
        Dumped::Hash(fields) => Value::Hash(fields.into_iter().collect::<Hash>()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a codis-server of Codis 3.2.2 dumps with `rdbcompression no`: name, encoding, payload, a line each.
    const REAL: &str = include_str!("payload.txt");

    #[test]
    fn what_a_real_one_sends_is_read_and_sent_byte_for_byte() {
        for line in REAL.lines() {
            let [name, _, hex] = *line.split(' ').collect::<Vec<_>>() else { panic!("{line}") };
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let payload: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
            assert_eq!(encode(&decode(&payload).unwrap()), payload, "{name}");
        }
    }

    #[test]
    fn a_value_of_each_type_comes_back_and_a_changed_byte_is_seen() {
        let mut zset = Zset::default();
        zset.set(b"m", 0.1);
        zset.set(b"n", f64::INFINITY);
        let words = || (0..3000u32).map(|n| n.to_be_bytes().to_vec());
        for value in [
            Value::Text(b"x".repeat(70_000)),
            Value::List(words().collect()),
            Value::Set(words().collect()),
            Value::Zset(zset),
            Value::Hash(words().zip(words()).collect()),
        ] {
            let mut payload = encode(&value);
            assert_eq!(decode(&payload), Ok(value));
            payload[1] ^= 1;
            assert_eq!(decode(&payload), Err(Bad::Checksum));
        }
    }
}
