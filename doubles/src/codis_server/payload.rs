//! A value as DUMP gives it: RDB version 7, a type byte and the value, then the version and a CRC-64.
//!
//! Written in the plain encodings, which every Redis loads: string, list, set, sorted set with scores as text, hash (types 0 to 4). Read in
//! the same and with integers for strings; the packed encodings a real codis-server sends for small values are refused.

use crate::store::{Bytes, Hash, List, Set, Value, Zset};
use protocol::number::{format_double, parse_double};

const VERSION: [u8; 2] = [7, 0];
const FOOTER: usize = 10;

/// The value as a payload. A stream has none, as codis-server has no streams: it becomes an empty string's.
pub(crate) fn encode(value: &Value) -> Bytes {
    let mut out = Vec::new();
    match value {
        Value::Text(text) => {
            out.push(0);
            string(&mut out, text);
        }
        Value::List(list) => sequence(&mut out, 1, list.len(), list.iter()),
        Value::Set(set) => sequence(&mut out, 2, set.len(), set.iter()),
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
            sequence(&mut out, 4, hash.len(), words);
        }
        Value::Stream(_) => out.extend_from_slice(&[0, 0]),
    }
    out.extend_from_slice(&VERSION);
    let sum = crc64(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
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

/// Why a payload is refused, in codis-server's order of looking.
#[derive(Debug, PartialEq)]
pub(crate) enum Bad {
    Checksum,
    Body,
}

/// The value of a payload.
pub(crate) fn decode(payload: &[u8]) -> Result<Value, Bad> {
    let end = payload.len().checked_sub(FOOTER).ok_or(Bad::Checksum)?;
    let (body, sum) = payload.split_at(end + VERSION.len());
    if sum != crc64(body).to_le_bytes() || body[end] > VERSION[0] || body[end + 1] > 0 {
        return Err(Bad::Checksum);
    }
    Reader(&body[..end]).value().ok_or(Bad::Body)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn value(&mut self) -> Option<Value> {
        let kind = self.byte()?;
        if kind == 0 {
            return Some(Value::Text(self.string()?));
        }
        let count = self.length()?;
        match kind {
            1 => Some(Value::List((0..count).map(|_| self.string()).collect::<Option<List>>()?)),
            2 => Some(Value::Set((0..count).map(|_| self.string()).collect::<Option<Set>>()?)),
            3 => {
                let mut zset = Zset::default();
                for _ in 0..count {
                    let member = self.string()?;
                    zset.set(&member, self.score()?);
                }
                Some(Value::Zset(zset))
            }
            4 => {
                let pairs = (0..count).map(|_| Some((self.string()?, self.string()?)));
                Some(Value::Hash(pairs.collect::<Option<Hash>>()?))
            }
            _ => None,
        }
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn length(&mut self) -> Option<usize> {
        let first = self.byte()?;
        match first >> 6 {
            0 => Some(first.into()),
            1 => Some(usize::from(first & 0x3f) << 8 | usize::from(self.byte()?)),
            2 => Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?) as usize),
            _ => None,
        }
    }

    fn string(&mut self) -> Option<Bytes> {
        let number = match self.0.first()? {
            0xc0 => i64::from(self.take(2)?[1].cast_signed()),
            0xc1 => i64::from(i16::from_le_bytes(self.take(3)?[1..].try_into().ok()?)),
            0xc2 => i64::from(i32::from_le_bytes(self.take(5)?[1..].try_into().ok()?)),
            _ => {
                let len = self.length()?;
                return self.take(len).map(<[u8]>::to_vec);
            }
        };
        Some(number.to_string().into_bytes())
    }

    fn score(&mut self) -> Option<f64> {
        match self.byte()? {
            253 => None,
            254 => Some(f64::INFINITY),
            255 => Some(f64::NEG_INFINITY),
            len => parse_double(self.take(len.into())?),
        }
    }
}

/// CRC-64 as Redis computes it: Jones' polynomial, reflected, from 0.
fn crc64(bytes: &[u8]) -> u64 {
    const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;
    bytes.iter().fold(0, |sum: u64, byte| {
        (0..8).fold(sum ^ u64::from(*byte), |sum, _| {
            if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_redis_own() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn a_value_of_each_type_comes_back_and_a_changed_byte_is_seen() {
        let mut zset = Zset::default();
        zset.set(b"m", 0.1);
        zset.set(b"n", f64::INFINITY);
        let words = || (0..300u32).map(|n| n.to_be_bytes().to_vec());
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
