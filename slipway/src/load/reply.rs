//! Replies as they come off the wire, RESP2 and RESP3, kept exactly as they were sent: a null bulk string is not a null array.
//!
//! Only the types that a Redis server uses for the commands in [`super::op`]; anything else is garbled. On purpose it shares no code with the
//! `protocol` crate: what checks the proxy must not repeat the mistakes of the proxy, and `protocol::frame` does not tell the nulls apart.

use std::fmt;

/// The longest bulk string accepted, in bytes: Redis' own limit.
const BULK_BYTES_MAX: usize = 512 << 20;
/// The most elements of one aggregate.
const ELEMENTS_MAX: usize = 1 << 20;
/// The deepest nesting; the deepest reply we ask for has two levels.
const DEPTH_MAX: u8 = 8;
/// The longest line of a simple string, error or number, in bytes.
const LINE_BYTES_MAX: usize = 64 << 10;

/// The version of the protocol a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resp {
    Two,
    Three,
}

/// One reply.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    Simple(Vec<u8>),
    Error(Vec<u8>),
    Int(i64),
    Bulk(Vec<u8>),
    /// `$-1`
    NilBulk,
    /// `*-1`
    NilArray,
    /// `_`
    Null,
    Double(f64),
    Bool(bool),
    Array(Vec<Self>),
    Set(Vec<Self>),
    Map(Vec<(Self, Self)>),
    /// Out of band: answers no request.
    Push(Vec<Self>),
}

/// The bytes are no RESP; the connection cannot be used any further.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Garbled(pub(crate) String);

/// Returns the first reply in `input` and its length in bytes, or nothing while it is incomplete.
pub(crate) fn decode(input: &[u8]) -> Result<Option<(Reply, usize)>, Garbled> {
    let mut cursor = Cursor { input, at: 0 };
    Ok(cursor.reply(0)?.map(|reply| (reply, cursor.at)))
}

struct Cursor<'a> {
    input: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn reply(&mut self, depth: u8) -> Result<Option<Reply>, Garbled> {
        if depth > DEPTH_MAX {
            return Err(Garbled(format!("nested deeper than {DEPTH_MAX}")));
        }
        let Some((kind, line)) = self.line()? else { return Ok(None) };
        let reply = match kind {
            b'+' => Reply::Simple(line.to_vec()),
            b'-' => Reply::Error(line.to_vec()),
            b':' => Reply::Int(number(line)?),
            b',' => Reply::Double(number(line)?),
            b'_' if line.is_empty() => Reply::Null,
            b'#' if line == b"t" || line == b"f" => Reply::Bool(line == b"t"),
            b'$' if line == b"-1" => Reply::NilBulk,
            b'*' if line == b"-1" => Reply::NilArray,
            b'$' => {
                let length = size(line, BULK_BYTES_MAX)?;
                return self.bulk(length);
            }
            b'*' | b'~' | b'>' | b'%' => {
                let count = size(line, ELEMENTS_MAX)?;
                return self.aggregate(kind, count, depth);
            }
            _ => {
                return Err(Garbled(format!(
                    "a reply begins with {}",
                    text(&[&[kind], line].concat())
                )));
            }
        };
        Ok(Some(reply))
    }

    /// Takes the type byte and the rest of the line.
    fn line(&mut self) -> Result<Option<(u8, &[u8])>, Garbled> {
        let rest = &self.input[self.at..];
        let Some(end) = rest.iter().position(|&b| b == b'\n') else {
            if rest.len() > LINE_BYTES_MAX {
                return Err(Garbled(format!("a line is longer than {LINE_BYTES_MAX} bytes")));
            }
            return Ok(None);
        };
        self.at += end + 1;
        match &rest[..end] {
            [kind, line @ .., b'\r'] => Ok(Some((*kind, line))),
            line => Err(Garbled(format!("a line without its end: {}", text(line)))),
        }
    }

    fn bulk(&mut self, length: usize) -> Result<Option<Reply>, Garbled> {
        let rest = &self.input[self.at..];
        if rest.len() < length + 2 {
            return Ok(None);
        }
        if &rest[length..length + 2] != b"\r\n" {
            return Err(Garbled(format!("a bulk string is longer than its {length} bytes")));
        }
        self.at += length + 2;
        Ok(Some(Reply::Bulk(rest[..length].to_vec())))
    }

    fn aggregate(&mut self, kind: u8, count: usize, depth: u8) -> Result<Option<Reply>, Garbled> {
        let mut parts = Vec::with_capacity(count.min(1024));
        for _ in 0..count * if kind == b'%' { 2 } else { 1 } {
            let Some(part) = self.reply(depth + 1)? else { return Ok(None) };
            parts.push(part);
        }
        Ok(Some(match kind {
            b'*' => Reply::Array(parts),
            b'~' => Reply::Set(parts),
            b'>' => Reply::Push(parts),
            _ => {
                let mut pairs = Vec::with_capacity(count.min(1024));
                let mut parts = parts.into_iter();
                while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
                    pairs.push((name, value));
                }
                Reply::Map(pairs)
            }
        }))
    }
}

fn number<N: std::str::FromStr>(line: &[u8]) -> Result<N, Garbled> {
    std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.parse().ok())
        .ok_or_else(|| Garbled(format!("{} is no number", text(line))))
}

fn size(line: &[u8], max: usize) -> Result<usize, Garbled> {
    number(line)
        .ok()
        .filter(|&size| size <= max)
        .ok_or_else(|| Garbled(format!("{} is no length", text(line))))
}

/// Bytes as people read them, shortened.
pub(crate) fn text(bytes: &[u8]) -> String {
    const SHOWN: usize = 60;
    match bytes.len() {
        0..=SHOWN => format!("\"{}\"", bytes.escape_ascii()),
        length => format!("\"{}\"… ({length} bytes)", bytes[..SHOWN].escape_ascii()),
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(line) => write!(f, "+{}", line.escape_ascii()),
            Self::Error(line) => write!(f, "-{}", line.escape_ascii()),
            Self::Int(number) => write!(f, ":{number}"),
            Self::Bulk(bytes) => f.write_str(&text(bytes)),
            Self::NilBulk | Self::Null => f.write_str("nil"),
            Self::NilArray => f.write_str("nil array"),
            Self::Double(number) => write!(f, ",{number}"),
            Self::Bool(truth) => write!(f, "#{truth}"),
            Self::Array(parts) | Self::Set(parts) | Self::Push(parts) => list(f, parts.iter()),
            Self::Map(pairs) => list(f, pairs.iter().flat_map(|(name, value)| [name, value])),
        }
    }
}

/// Writes the first elements of a list, and how many there are.
pub(crate) fn list<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    parts: impl Iterator<Item = T>,
) -> fmt::Result {
    const SHOWN: usize = 12;
    let mut count = 0;
    f.write_str("[")?;
    for part in parts {
        if count < SHOWN {
            write!(f, "{}{part}", if count == 0 { "" } else { ", " })?;
        }
        count += 1;
    }
    if count > SHOWN { write!(f, ", … {count} in all]") } else { f.write_str("]") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(bytes: &str) -> Reply {
        Reply::Bulk(bytes.into())
    }

    #[test]
    fn every_type_is_read_whole_and_no_prefix_of_it_is() {
        for (wire, want) in [
            ("+OK\r\n", Reply::Simple("OK".into())),
            ("-ERR no\r\n", Reply::Error("ERR no".into())),
            (":-42\r\n", Reply::Int(-42)),
            ("$5\r\na\r\nbc\r\n", bulk("a\r\nbc")),
            ("$-1\r\n", Reply::NilBulk),
            ("*-1\r\n", Reply::NilArray),
            ("_\r\n", Reply::Null),
            (",1.5\r\n", Reply::Double(1.5)),
            ("#t\r\n", Reply::Bool(true)),
            (
                "*2\r\n:1\r\n*1\r\n$1\r\nx\r\n",
                Reply::Array(vec![Reply::Int(1), Reply::Array(vec![bulk("x")])]),
            ),
            ("%1\r\n$1\r\nf\r\n$1\r\nv\r\n", Reply::Map(vec![(bulk("f"), bulk("v"))])),
            ("~1\r\n$1\r\nm\r\n", Reply::Set(vec![bulk("m")])),
            (">1\r\n$1\r\nm\r\n", Reply::Push(vec![bulk("m")])),
        ] {
            let bytes = wire.as_bytes();
            assert_eq!(decode(bytes), Ok(Some((want, bytes.len()))), "{wire:?}");
            for end in 0..bytes.len() {
                assert_eq!(decode(&bytes[..end]), Ok(None), "{:?}", &wire[..end]);
            }
        }
    }

    #[test]
    fn what_is_no_resp_is_garbled() {
        for wire in [
            "hello\r\n",
            ":4x\r\n",
            "$-2\r\n",
            "$1\r\nabc",
            "+OK\n",
            "$999999999999\r\n",
            "*2000000\r\n",
        ] {
            assert!(decode(wire.as_bytes()).is_err(), "{wire:?}");
        }
        assert!(decode("*1\r\n".repeat(20).as_bytes()).is_err(), "deep nesting");
    }
}
