//! Owned values for everything off the hot path: admin, tests, our own connections.
//!
//! The structure is walked here, because `redis-protocol` knows RESP2's nulls only in its RESP2 decoder, keeps maps and sets in no order and
//! follows any depth; each single value is decoded by it.

use crate::ProtocolError;
use crate::slicer::ReplyScan;
use bytes::Bytes;
use redis_protocol::resp3::decode::complete::decode_bytes;
use redis_protocol::resp3::types::BytesFrame;

/// A reply, or a request as an array of `Bulk`. Attributes are dropped.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `_`, `$-1`, `*-1`
    Null,
    Simple(String),
    /// The whole line without `-`.
    Error(String),
    Int(i64),
    Bulk(Bytes),
    Array(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Set(Vec<Value>),
    Push(Vec<Value>),
    Double(f64),
    Bool(bool),
    /// Decimal digits of any number.
    Big(String),
    /// Text for a person, without its format.
    Verbatim(String),
}

impl Value {
    /// The bytes of a string of any kind.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bulk(bytes) => Some(bytes),
            Self::Simple(text) | Self::Verbatim(text) | Self::Big(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// The text of a string of any kind, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// An integer, or a string that is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            other => crate::number::parse_int(other.as_bytes()?),
        }
    }

    /// The items of an array, a set or a push.
    pub fn as_items(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => Some(items),
            _ => None,
        }
    }

    /// The line of an error.
    pub fn as_error(&self) -> Option<&str> {
        match self {
            Self::Error(line) => Some(line),
            _ => None,
        }
    }
}

/// Decodes the value at the beginning of `input`, RESP2 or RESP3; with its length in bytes, if it is whole.
pub fn decode(input: &[u8]) -> Result<Option<(Value, usize)>, ProtocolError> {
    let Some(len) = ReplyScan::default().scan(input)? else { return Ok(None) };
    let mut walk = Walk { rest: Bytes::copy_from_slice(&input[..len]) };
    Ok(Some((walk.value()?, len)))
}

/// Takes values from a frame that `ReplyScan` found whole and not too deep.
struct Walk {
    rest: Bytes,
}

impl Walk {
    fn value(&mut self) -> Result<Value, ProtocolError> {
        match self.rest.first() {
            Some(b'|') => {
                let pairs = self.header()?.unwrap_or(0);
                self.items(pairs * 2)?;
                self.value()
            }
            Some(b'*') => match self.header()? {
                Some(items) => Ok(Value::Array(self.items(items)?)),
                None => Ok(Value::Null),
            },
            Some(b'~') => {
                self.header()?.map_or(Ok(Value::Null), |items| Ok(Value::Set(self.items(items)?)))
            }
            Some(b'>') => {
                self.header()?.map_or(Ok(Value::Null), |items| Ok(Value::Push(self.items(items)?)))
            }
            Some(b'%') => {
                let pairs = self.header()?.unwrap_or(0);
                Ok(Value::Map(
                    (0..pairs)
                        .map(|_| Ok((self.value()?, self.value()?)))
                        .collect::<Result<_, _>>()?,
                ))
            }
            _ => self.single(),
        }
    }

    fn items(&mut self, count: usize) -> Result<Vec<Value>, ProtocolError> {
        (0..count).map(|_| self.value()).collect()
    }

    /// Takes a line with a length.
    fn header(&mut self) -> Result<Option<usize>, ProtocolError> {
        let end = memchr::memchr(b'\n', &self.rest).ok_or(ProtocolError::ReplyInvalid("length"))?;
        let line = self.rest.split_to(end + 1);
        let length = crate::number::parse_int(&line[1..end - 1])
            .ok_or(ProtocolError::ReplyInvalid("length"))?;
        Ok(usize::try_from(length).ok())
    }

    fn single(&mut self) -> Result<Value, ProtocolError> {
        if self.rest.starts_with(b"$-1\r\n") {
            let _ = self.rest.split_to(5);
            return Ok(Value::Null);
        }
        let len =
            ReplyScan::default().scan(&self.rest)?.ok_or(ProtocolError::ReplyInvalid("end"))?;
        let bytes = self.rest.split_to(len);
        let (frame, _) =
            decode_bytes(&bytes).ok().flatten().ok_or(ProtocolError::ReplyInvalid("value"))?;
        Ok(match frame {
            BytesFrame::BlobString { data, .. } => Value::Bulk(data),
            BytesFrame::SimpleString { data, .. } => Value::Simple(text(&data)),
            BytesFrame::SimpleError { data, .. } => Value::Error(data.to_string()),
            BytesFrame::BlobError { data, .. } => Value::Error(text(&data)),
            BytesFrame::Boolean { data, .. } => Value::Bool(data),
            BytesFrame::Number { data, .. } => Value::Int(data),
            BytesFrame::Double { data, .. } => Value::Double(data),
            BytesFrame::BigNumber { data, .. } => Value::Big(text(&data)),
            BytesFrame::VerbatimString { data, .. } => Value::Verbatim(text(&data)),
            BytesFrame::Null => Value::Null,
            _ => return Err(ProtocolError::ReplyInvalid("value")),
        })
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
