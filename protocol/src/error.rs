//! What can be wrong with the bytes of a peer. The server answers `-ERR <text>` and closes the connection: no frame border is known behind
//! the error.

use std::fmt;

/// Bytes that are no request or reply, or one past a limit. `Display` gives Redis' own texts where Redis has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// The number behind `*` is none, or more than the limit.
    MultibulkLength,
    /// The number behind `$` is none, negative, or more than the limit.
    BulkLength,
    /// The line behind `*` does not end within the limit.
    MultibulkCountTooLong,
    /// The line behind `$` does not end within the limit.
    BulkCountTooLong,
    /// An argument must begin with `$` and began with this byte.
    ExpectedBulk(u8),
    /// A line or an argument does not end with CR LF.
    ExpectedLineEnd,
    /// An inline request is longer than the limit.
    InlineTooLong,
    /// An inline request opens a quote and does not close it.
    UnbalancedQuotes,
    /// An inline request holds a zero byte.
    ZeroByte,
    /// A browser or a proxy speaks HTTP to us: what follows may be requests smuggled in a body.
    Http,
    /// The request is longer than the configured limit in bytes.
    FrameTooLong(usize),
    /// A reply of this first byte is not known.
    ReplyType(u8),
    /// A reply nests deeper than this.
    ReplyTooDeep(usize),
    /// A length, a number or a line within a reply is not valid or past a limit.
    ReplyInvalid(&'static str),
}

impl std::error::Error for ProtocolError {}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        match self {
            Self::MultibulkLength => f.write_str("invalid multibulk length"),
            Self::BulkLength => f.write_str("invalid bulk length"),
            Self::MultibulkCountTooLong => f.write_str("too big mbulk count string"),
            Self::BulkCountTooLong => f.write_str("too big bulk count string"),
            Self::ExpectedBulk(got) => write!(f, "expected '$', got '{}'", printable(*got)),
            Self::ExpectedLineEnd => f.write_str("expected CR LF"),
            Self::InlineTooLong => f.write_str("too big inline request"),
            Self::UnbalancedQuotes => f.write_str("unbalanced quotes in request"),
            Self::ZeroByte => f.write_str("zero byte in inline request"),
            Self::Http => f.write_str("this is not an HTTP port"),
            Self::FrameTooLong(limit) => write!(f, "request is larger than {limit} bytes"),
            Self::ReplyType(got) => write!(f, "unknown reply type '{}'", printable(*got)),
            Self::ReplyTooDeep(limit) => write!(f, "reply nests deeper than {limit}"),
            Self::ReplyInvalid(what) => write!(f, "invalid {what} in reply"),
        }
    }
}

/// A byte as one character that does no harm in an error line.
fn printable(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' { byte as char } else { '?' }
}
