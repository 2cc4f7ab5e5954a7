//! Keys and values as they are on disk. Format version 1.
//!
//! ```text
//!  meta   slot u16 · incarnation u32 · db u8 · user key
//!           → kind u8 · expire_ms u64 (0: never) · string:     the bytes
//!                                                 collection: version u64 · count u64 [ · head u64 · tail u64 (list) ]
//!  data   slot · incarnation · db · key length u32 · user key · version u64 · sub-key
//!           → hash: field → value     set: member → ""     sorted set: member → score (8 bytes)     list: index u64 → element
//!  score  slot · incarnation · db · key length u32 · user key · version u64 · score (8 bytes, order-preserving) · member → ""
//! ```
//!
//! All numbers are big-endian, so that the order of the bytes is the order of the numbers. A slot is one range per family. The version tells
//! the lives of a key apart: records of an old life are unreachable even before they are deleted. List indexes start at 2^63.

/// The format this program writes and reads.
pub const FORMAT: u32 = 1;

/// Slot and incarnation: the first six bytes of every key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix(pub [u8; Prefix::LEN]);

impl Prefix {
    /// How many bytes the two take.
    pub const LEN: usize = 6;

    /// The prefix of one life of a slot on this node.
    pub fn new(slot: cluster::Slot, incarnation: u32) -> Self {
        let (s, i) = (slot.0.to_be_bytes(), incarnation.to_be_bytes());
        Self([s[0], s[1], i[0], i[1], i[2], i[3]])
    }

    /// The slot and the incarnation of a key, if it is long enough to have them.
    pub fn of(key: &[u8]) -> Option<(cluster::Slot, u32)> {
        let &[s0, s1, i0, i1, i2, i3] = key.first_chunk::<{ Self::LEN }>()?;
        Some((cluster::Slot(u16::from_be_bytes([s0, s1])), u32::from_be_bytes([i0, i1, i2, i3])))
    }

    /// The first key behind everything with this prefix. Of the very last prefix there is none; an empty key stands for it.
    pub fn end(self) -> Vec<u8> {
        successor(&self.0)
    }
}

/// The smallest key that is greater than every key beginning with `prefix`; empty if there is none.
pub fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

/// What kind of value a key has. The numbers are on disk and travel in migrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    String = 0,
    Hash = 1,
    List = 2,
    Set = 3,
    SortedSet = 4,
}

impl Kind {
    /// The name that TYPE answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Hash => "hash",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "zset",
        }
    }

    /// The letter that Pika's SLOTSSCAN puts before a key.
    pub fn letter(self) -> u8 {
        match self {
            Self::String => b'k',
            Self::Hash => b'h',
            Self::List => b'l',
            Self::Set => b's',
            Self::SortedSet => b'z',
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::String,
            1 => Self::Hash,
            2 => Self::List,
            3 => Self::Set,
            4 => Self::SortedSet,
            _ => return None,
        })
    }
}

/// The middle of a list's indexes: where the first element goes.
pub const LIST_MIDDLE: u64 = 1 << 63;

/// A key's meta record without a string's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    pub kind: Kind,
    /// When the key is gone, in milliseconds since 1970; 0: never.
    pub expire_ms: u64,
    /// The key's life. 0 for strings.
    pub version: u64,
    /// How many elements there are. For strings the length in bytes.
    pub count: u64,
    /// The index of a list's first element.
    pub head: u64,
    /// The index behind a list's last element.
    pub tail: u64,
}

/// Bytes of a string's meta record before its value.
pub const STRING_HEADER: usize = 9;

/// A record on disk that this program cannot have written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a record on disk is damaged; restore this node's data from a copy, or drop the slot and move it here again"
)]
pub struct Damaged;

impl Meta {
    /// A collection without elements.
    pub fn new(kind: Kind, version: u64) -> Self {
        Self { kind, expire_ms: 0, version, count: 0, head: LIST_MIDDLE, tail: LIST_MIDDLE }
    }

    /// Reads a meta record.
    pub fn decode(value: &[u8]) -> Result<Self, Damaged> {
        let (&[kind], rest) = value.split_first_chunk::<1>().ok_or(Damaged)?;
        let kind = Kind::from_number(kind).ok_or(Damaged)?;
        let (expire_ms, rest) = number(rest)?;
        let mut meta =
            Self { kind, expire_ms, version: 0, count: rest.len() as u64, head: 0, tail: 0 };
        if kind != Kind::String {
            let rest;
            (meta.version, rest) = number(&value[STRING_HEADER..])?;
            let rest2;
            (meta.count, rest2) = number(rest)?;
            if kind == Kind::List {
                let rest3;
                (meta.head, rest3) = number(rest2)?;
                (meta.tail, _) = number(rest3)?;
            }
        }
        Ok(meta)
    }

    /// Writes a collection's meta record.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        out.push(self.kind as u8);
        out.extend_from_slice(&self.expire_ms.to_be_bytes());
        if self.kind != Kind::String {
            out.extend_from_slice(&self.version.to_be_bytes());
            out.extend_from_slice(&self.count.to_be_bytes());
        }
        if self.kind == Kind::List {
            out.extend_from_slice(&self.head.to_be_bytes());
            out.extend_from_slice(&self.tail.to_be_bytes());
        }
    }

    /// Whether the key is gone at that time.
    pub fn expired(&self, now_ms: u64) -> bool {
        self.expire_ms != 0 && self.expire_ms <= now_ms
    }
}

fn number(bytes: &[u8]) -> Result<(u64, &[u8]), Damaged> {
    let (number, rest) = bytes.split_first_chunk::<8>().ok_or(Damaged)?;
    Ok((u64::from_be_bytes(*number), rest))
}

/// The version in a meta record; 0 if it has none.
pub fn version_of(value: &[u8]) -> u64 {
    Meta::decode(value).map_or(0, |meta| meta.version)
}

/// Writes a meta key.
pub fn meta_key(out: &mut Vec<u8>, prefix: Prefix, db: u8, key: &[u8]) {
    out.clear();
    out.extend_from_slice(&prefix.0);
    out.push(db);
    out.extend_from_slice(key);
}

/// Writes what all data and score keys of one life of a key begin with.
pub fn life_key(out: &mut Vec<u8>, prefix: Prefix, db: u8, key: &[u8], version: u64) {
    out.clear();
    out.extend_from_slice(&prefix.0);
    out.push(db);
    out.extend_from_slice(&(key.len() as u32).to_be_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(&version.to_be_bytes());
}

/// The score as eight bytes that sort like the numbers do: -inf first, +inf last. Negative zero is zero.
pub fn score_bytes(score: f64) -> [u8; 8] {
    let bits = (score + 0.0).to_bits();
    let ordered = if bits >> 63 == 0 { bits | (1 << 63) } else { !bits };
    ordered.to_be_bytes()
}

/// The score and the member in the end of a score record's key.
pub fn score_and_member(name: &[u8]) -> (f64, &[u8]) {
    name.split_first_chunk().map_or((0.0, &[]), |(score, member)| (score_from(*score), member))
}

/// The inverse of [`score_bytes`].
pub fn score_from(bytes: [u8; 8]) -> f64 {
    let ordered = u64::from_be_bytes(bytes);
    f64::from_bits(if ordered >> 63 == 1 { ordered & !(1 << 63) } else { !ordered })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn scores_sort_as_bytes_like_as_numbers(a: f64, b: f64) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            prop_assert_eq!(score_from(score_bytes(a)), a);
            prop_assert_eq!(a.partial_cmp(&b), Some(score_bytes(a).cmp(&score_bytes(b))));
        }

        #[test]
        fn meta_records_are_read_as_written(kind in 1_u8..5, expire_ms: u64, version: u64, count: u64, head: u64, tail: u64) {
            let kind = Kind::from_number(kind).unwrap();
            let (head, tail) = if kind == Kind::List { (head, tail) } else { (0, 0) };
            let meta = Meta { kind, expire_ms, version, count, head, tail };
            let mut bytes = Vec::new();
            meta.encode(&mut bytes);
            prop_assert_eq!(Meta::decode(&bytes), Ok(meta));
            for cut in 0..bytes.len() {
                prop_assert_eq!(Meta::decode(&bytes[..cut]), Err(Damaged));
            }
        }
    }

    #[test]
    fn negative_zero_and_zero_are_one_score() {
        assert_eq!(score_bytes(-0.0), score_bytes(0.0));
        assert!(score_bytes(f64::NEG_INFINITY) < score_bytes(f64::MIN));
        assert!(score_bytes(f64::MAX) < score_bytes(f64::INFINITY));
    }

    #[test]
    fn the_successor_stands_behind_everything_with_the_prefix() {
        assert_eq!(successor(b"ab"), b"ac");
        assert_eq!(successor(b"a\xff"), b"b");
        assert!(successor(b"\xff\xff").is_empty());
    }
}
