//! Values as DUMP gives them, and as codis-server sends them: a type byte and the value in the encodings of RDB, the version, a CRC-64.
//!
//! Source: `rdb.c`, `ziplist.c`, `intset.c` and `lzf_d.c` of Redis 3.2 and 4.0. Every encoding those write is read, up to RDB 8; modules and
//! streams are not. Nothing is written here.

mod packed;

use crate::number::{parse_double, parse_int};

/// Elements of a value, each as its bytes.
pub type Words = Vec<Vec<u8>>;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Dumped {
    String(Vec<u8>),
    List(Words),
    Set(Words),
    /// Members with scores, none of which is NaN.
    SortedSet(Vec<(Vec<u8>, f64)>),
    /// Fields with values.
    Hash(Vec<(Vec<u8>, Vec<u8>)>),
}

/// Why a payload is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpError {
    /// It was damaged on its way, or is of a newer version.
    Checksum,
    /// A value of a type that is not known.
    Type(u8),
    /// It is malformed.
    Body,
}

/// RDB 8 is that of Redis 4.0; 3.2 writes 7.
const VERSION_MAX: u16 = 8;
/// Version and checksum.
const FOOTER_BYTES: usize = 10;
/// What a value may be once it is unpacked: the most that Redis allows a string.
const UNPACKED_BYTES_MAX: usize = 512 << 20;

/// Reads a payload.
pub fn decode(payload: &[u8]) -> Result<Dumped, DumpError> {
    let end = payload.len().checked_sub(FOOTER_BYTES).ok_or(DumpError::Checksum)?;
    let (summed, sum) = payload.split_at(end + 2);
    let version = u16::from_le_bytes([summed[end], summed[end + 1]]);
    if sum != crc64(summed).to_le_bytes() || version > VERSION_MAX {
        return Err(DumpError::Checksum);
    }
    let (&kind, body) = summed[..end].split_first().ok_or(DumpError::Body)?;
    let mut reader = Reader { rest: body, room: UNPACKED_BYTES_MAX };
    let value = reader.value(kind)?.ok_or(DumpError::Body)?;
    if reader.rest.is_empty() { Ok(value) } else { Err(DumpError::Body) }
}

/// What is left of a value.
struct Reader<'a> {
    rest: &'a [u8],
    /// Bytes that may still be unpacked.
    room: usize,
}

impl<'a> Reader<'a> {
    /// Nothing if the body is malformed.
    fn value(&mut self, kind: u8) -> Result<Option<Dumped>, DumpError> {
        Ok(match kind {
            0 => self.string().map(Dumped::String),
            1 => self.words(1).map(Dumped::List),
            2 => self.words(1).map(Dumped::Set),
            3 => self.scored(Self::score_text).map(Dumped::SortedSet),
            4 => self.words(2).and_then(pairs).map(Dumped::Hash),
            5 => self.scored(Self::score_bits).map(Dumped::SortedSet),
            10 => self.ziplist().map(Dumped::List),
            11 => self.string().and_then(|text| packed::intset(&text)).map(Dumped::Set),
            12 => self.ziplist().and_then(scored_pairs).map(Dumped::SortedSet),
            13 => self.ziplist().and_then(pairs).map(Dumped::Hash),
            14 => self.quicklist().map(Dumped::List),
            other => return Err(DumpError::Type(other)),
        })
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn length(&mut self) -> Option<usize> {
        let first = self.byte()?;
        match first {
            0..0x40 => Some(first.into()),
            0x40..0x80 => Some(usize::from(first & 0x3f) << 8 | usize::from(self.byte()?)),
            0x80 => Some(u32::from_be_bytes(*self.take(4)?.first_chunk()?) as usize),
            0x81 => usize::try_from(u64::from_be_bytes(*self.take(8)?.first_chunk()?)).ok(),
            _ => None,
        }
    }

    fn string(&mut self) -> Option<Vec<u8>> {
        let number = match *self.rest.first()? {
            0xc0 => i32::from(i8::from_le_bytes([self.take(2)?[1]])),
            0xc1 => i32::from(i16::from_le_bytes(*self.take(3)?[1..].first_chunk()?)),
            0xc2 => i32::from_le_bytes(*self.take(5)?[1..].first_chunk()?),
            0xc3 => {
                self.byte()?;
                let (from, to) = (self.length()?, self.length()?);
                self.room = self.room.checked_sub(to)?;
                return packed::unpack(self.take(from)?, to);
            }
            _ => {
                let len = self.length()?;
                return self.take(len).map(<[u8]>::to_vec);
            }
        };
        Some(number.to_string().into_bytes())
    }

    /// As many strings as the count in front says, times `each`.
    fn words(&mut self, each: usize) -> Option<Words> {
        let count = self.length()?.checked_mul(each)?;
        (0..count).map(|_| self.string()).collect()
    }

    fn scored(&mut self, score: fn(&mut Self) -> Option<f64>) -> Option<Vec<(Vec<u8>, f64)>> {
        let count = self.length()?;
        (0..count).map(|_| Some((self.string()?, not_nan(score(self)?)?))).collect()
    }

    fn score_text(&mut self) -> Option<f64> {
        match self.byte()? {
            253 => None,
            254 => Some(f64::INFINITY),
            255 => Some(f64::NEG_INFINITY),
            len => score(self.take(len.into())?),
        }
    }

    fn score_bits(&mut self) -> Option<f64> {
        Some(f64::from_le_bytes(*self.take(8)?.first_chunk()?))
    }

    fn ziplist(&mut self) -> Option<Words> {
        packed::ziplist(&self.string()?)
    }

    fn quicklist(&mut self) -> Option<Words> {
        let nodes = self.length()?;
        let mut all = Vec::new();
        for _ in 0..nodes {
            all.append(&mut self.ziplist()?);
        }
        Some(all)
    }
}

fn not_nan(score: f64) -> Option<f64> {
    (!score.is_nan()).then_some(score)
}

/// A score as `%.17g` prints it. It may be a denormal number, which `parse_double` refuses to read from a client.
fn score(text: &[u8]) -> Option<f64> {
    parse_double(text).or_else(|| std::str::from_utf8(text).ok()?.parse().ok()).and_then(not_nan)
}

fn pairs(words: Words) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut words = words.into_iter();
    let mut pairs = Vec::with_capacity(words.len() / 2);
    while let Some(first) = words.next() {
        pairs.push((first, words.next()?));
    }
    Some(pairs)
}

fn scored_pairs(words: Words) -> Option<Vec<(Vec<u8>, f64)>> {
    let scored = |(member, text): (Vec<u8>, Vec<u8>)| {
        // What looks like an integer is kept as one.
        let number = parse_int(&text).map(|number| number as f64);
        Some((member, number.or_else(|| score(&text))?))
    };
    pairs(words)?.into_iter().map(scored).collect()
}

/// CRC-64 as Redis computes it: Jones' polynomial, reflected, from 0.
pub fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| SUMS[usize::from(sum as u8 ^ byte)] ^ sum >> 8)
}

/// Of each byte.
const SUMS: [u64; 256] = {
    let mut sums = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0x95ac_9329_ac4b_c9b5 } else { sum >> 1 };
            bit += 1;
        }
        sums[byte] = sum;
        byte += 1;
    }
    sums
};

#[cfg(test)]
mod tests;
