//! The commands the load is made of: what each does to one key ([`Op`]), and which keys a request names ([`Call`]).

use bytes::{BufMut, BytesMut};
use std::borrow::Cow;

/// The place of a key in its client's ledger.
pub(crate) type KeyId = usize;

/// A command on one key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    Set {
        value: Vec<u8>,
        life_ms: Option<u64>,
    },
    SetNx {
        value: Vec<u8>,
    },
    Get,
    /// GET of a key that holds a number.
    GetNumber,
    GetSet {
        value: Vec<u8>,
    },
    GetDel,
    Append {
        value: Vec<u8>,
    },
    SetRange {
        offset: usize,
        value: Vec<u8>,
    },
    StrLen,
    Incr,
    IncrBy(i64),
    HSet(Vec<(Vec<u8>, Vec<u8>)>),
    /// HMSET, for those whose HSET takes one field.
    HMSet(Vec<(Vec<u8>, Vec<u8>)>),
    HIncrBy {
        field: Vec<u8>,
        by: i64,
    },
    HGet(Vec<u8>),
    HDel(Vec<u8>),
    HGetAll,
    HLen,
    RPush(Vec<Vec<u8>>),
    LPush(Vec<u8>),
    LPop,
    RPop,
    /// From the first element to this one; -1 is the last.
    LRange {
        last: i64,
    },
    LLen,
    SAdd(Vec<Vec<u8>>),
    SRem(Vec<u8>),
    SIsMember(Vec<u8>),
    SCard,
    SMembers,
    /// Members with their scores.
    ZAdd(Vec<(Vec<u8>, f64)>),
    ZIncrBy {
        member: Vec<u8>,
        by: f64,
    },
    ZScore(Vec<u8>),
    ZRem(Vec<u8>),
    ZCard,
    /// The whole set with its scores.
    ZRange,
    PExpire(u64),
    /// EXPIRE, in seconds.
    Expire(u64),
    Persist,
    PTtl,
    Exists,
    Type,
    Del,
}

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Call {
    One(KeyId, Op),
    MGet(Vec<KeyId>),
    MSet(Vec<(KeyId, Vec<u8>)>),
    Del(Vec<KeyId>),
    Exists(Vec<KeyId>),
}

/// The words of a command, its name first.
pub(crate) type Words<'a> = Vec<Cow<'a, [u8]>>;

impl Op {
    /// Whether it may change the key.
    pub(crate) fn writes(&self) -> bool {
        !matches!(
            self,
            Self::Get
                | Self::GetNumber
                | Self::StrLen
                | Self::HGet(_)
                | Self::HGetAll
                | Self::HLen
                | Self::LRange { .. }
                | Self::LLen
                | Self::SIsMember(_)
                | Self::SCard
                | Self::SMembers
                | Self::ZScore(_)
                | Self::ZCard
                | Self::ZRange
                | Self::PTtl
                | Self::Exists
                | Self::Type
        )
    }

    /// Whether its reply tells the whole value of the key.
    pub(crate) fn reads_all(&self) -> bool {
        matches!(
            self,
            Self::Get
                | Self::GetNumber
                | Self::HGetAll
                | Self::LRange { last: -1 }
                | Self::SMembers
                | Self::ZRange
        )
    }

    /// Returns the words of the command on `key`.
    pub(crate) fn words<'a>(&'a self, key: &'a [u8]) -> Words<'a> {
        let mut words = vec![self.name().as_bytes().into(), key.into()];
        match self {
            Self::Set { value, life_ms } => {
                words.push(value.into());
                if let Some(ms) = life_ms {
                    words.extend([b"PX".into(), number(ms)]);
                }
            }
            Self::SetNx { value } => words.extend([value.into(), b"NX".into()]),
            Self::GetSet { value } | Self::Append { value } => words.push(value.into()),
            Self::SetRange { offset, value } => words.extend([number(offset), value.into()]),
            Self::IncrBy(by) => words.push(number(by)),
            Self::HSet(fields) | Self::HMSet(fields) => {
                words.extend(fields.iter().flat_map(|(field, value)| [field.into(), value.into()]));
            }
            Self::HIncrBy { field, by } => words.extend([field.into(), number(by)]),
            Self::RPush(elements) | Self::SAdd(elements) => {
                words.extend(elements.iter().map(Cow::from))
            }
            Self::HGet(one) | Self::HDel(one) | Self::LPush(one) | Self::SRem(one) => {
                words.push(one.into())
            }
            Self::SIsMember(one) | Self::ZScore(one) | Self::ZRem(one) => words.push(one.into()),
            Self::LRange { last } => words.extend([b"0".into(), number(last)]),
            Self::ZAdd(members) => {
                words.extend(members.iter().flat_map(|(m, score)| [number(score), m.into()]));
            }
            Self::ZIncrBy { member, by } => words.extend([number(by), member.into()]),
            Self::ZRange => words.extend([b"0".into(), b"-1".into(), b"WITHSCORES".into()]),
            Self::PExpire(end) | Self::Expire(end) => words.push(number(end)),
            Self::Get
            | Self::GetNumber
            | Self::GetDel
            | Self::StrLen
            | Self::Incr
            | Self::HGetAll
            | Self::HLen => {}
            Self::LPop | Self::RPop | Self::LLen | Self::SCard | Self::SMembers | Self::ZCard => {}
            Self::Persist | Self::PTtl | Self::Exists | Self::Type | Self::Del => {}
        }
        words
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Set { .. } | Self::SetNx { .. } => "SET",
            Self::Get | Self::GetNumber => "GET",
            Self::GetSet { .. } => "GETSET",
            Self::GetDel => "GETDEL",
            Self::Append { .. } => "APPEND",
            Self::SetRange { .. } => "SETRANGE",
            Self::StrLen => "STRLEN",
            Self::Incr => "INCR",
            Self::IncrBy(_) => "INCRBY",
            Self::HSet(_) => "HSET",
            Self::HMSet(_) => "HMSET",
            Self::HIncrBy { .. } => "HINCRBY",
            Self::HGet(_) => "HGET",
            Self::HDel(_) => "HDEL",
            Self::HGetAll => "HGETALL",
            Self::HLen => "HLEN",
            Self::RPush(_) => "RPUSH",
            Self::LPush(_) => "LPUSH",
            Self::LPop => "LPOP",
            Self::RPop => "RPOP",
            Self::LRange { .. } => "LRANGE",
            Self::LLen => "LLEN",
            Self::SAdd(_) => "SADD",
            Self::SRem(_) => "SREM",
            Self::SIsMember(_) => "SISMEMBER",
            Self::SCard => "SCARD",
            Self::SMembers => "SMEMBERS",
            Self::ZAdd(_) => "ZADD",
            Self::ZIncrBy { .. } => "ZINCRBY",
            Self::ZScore(_) => "ZSCORE",
            Self::ZRem(_) => "ZREM",
            Self::ZCard => "ZCARD",
            Self::ZRange => "ZRANGE",
            Self::PExpire(_) => "PEXPIRE",
            Self::Expire(_) => "EXPIRE",
            Self::Persist => "PERSIST",
            Self::PTtl => "PTTL",
            Self::Exists => "EXISTS",
            Self::Type => "TYPE",
            Self::Del => "DEL",
        }
    }
}

impl Call {
    /// Whether it may change a key.
    pub(crate) fn writes(&self) -> bool {
        match self {
            Self::One(_, op) => op.writes(),
            Self::MSet(_) | Self::Del(_) => true,
            Self::MGet(_) | Self::Exists(_) => false,
        }
    }

    /// The keys it names, in order.
    pub(crate) fn keys(&self) -> Vec<KeyId> {
        match self {
            Self::One(key, _) => vec![*key],
            Self::MSet(pairs) => pairs.iter().map(|(key, _)| *key).collect(),
            Self::MGet(keys) | Self::Del(keys) | Self::Exists(keys) => keys.clone(),
        }
    }
}

/// Numbers as Redis reads them back: for doubles the shortest text that gives the same bits.
fn number<'a>(number: &impl ToString) -> Cow<'a, [u8]> {
    Cow::Owned(number.to_string().into_bytes())
}

/// Appends a command to what is to be sent.
pub(crate) fn encode(words: &Words<'_>, out: &mut BytesMut) {
    header(b'*', words.len(), out);
    for word in words {
        header(b'$', word.len(), out);
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn header(kind: u8, count: usize, out: &mut BytesMut) {
    out.put_u8(kind);
    out.extend_from_slice(count.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}
