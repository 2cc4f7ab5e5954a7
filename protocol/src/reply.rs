//! Replies as bytes, in RESP2 and RESP3.
//!
//! One builder for both versions: `map`, `set`, `push`, `double`, `bool` and the nulls become what Redis 7 sends on a RESP2 connection.

pub mod errors;

pub use crate::number::format_double;

/// The protocol version of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// As every connection begins.
    #[default]
    Resp2,
    /// After HELLO 3.
    Resp3,
}

/// Appends replies to a buffer.
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    version: Version,
}

impl<'a> Reply<'a> {
    /// Replies of this version go to the end of `out`.
    pub fn new(out: &'a mut Vec<u8>, version: Version) -> Self {
        Self { out, version }
    }

    /// The version this reply is written in.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What has been written, with all that stood there before.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// `+text`; `text` has no line end.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// `+OK`
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// `-line`; the line begins with its code, as in `ERR syntax error`. A line end within becomes a blank, as in Redis.
    pub fn error(&mut self, line: impl AsRef<[u8]>) {
        let start = self.out.len() + 1;
        self.line(b'-', line.as_ref());
        let end = self.out.len() - 2;
        for byte in &mut self.out[start..end] {
            if matches!(*byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
    }

    /// `:value`
    pub fn int(&mut self, value: i64) {
        self.header(b':', value);
    }

    /// A string of any bytes.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 16);
        self.header(b'$', bytes.len() as i64);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A number as a string.
    pub fn bulk_int(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// No string.
    pub fn null(&mut self) {
        match self.version {
            Version::Resp2 => self.raw(b"$-1\r\n"),
            Version::Resp3 => self.raw(b"_\r\n"),
        }
    }

    /// No array.
    pub fn null_array(&mut self) {
        match self.version {
            Version::Resp2 => self.raw(b"*-1\r\n"),
            Version::Resp3 => self.raw(b"_\r\n"),
        }
    }

    /// Opens an array: `items` replies follow.
    pub fn array(&mut self, items: usize) {
        self.header(b'*', items as i64);
    }

    /// Opens a map: `pairs` times two replies follow.
    pub fn map(&mut self, pairs: usize) {
        match self.version {
            Version::Resp2 => self.array(pairs * 2),
            Version::Resp3 => self.header(b'%', pairs as i64),
        }
    }

    /// Opens a set: `items` replies follow.
    pub fn set(&mut self, items: usize) {
        match self.version {
            Version::Resp2 => self.array(items),
            Version::Resp3 => self.header(b'~', items as i64),
        }
    }

    /// Opens a push, which answers no request: `items` replies follow.
    pub fn push(&mut self, items: usize) {
        match self.version {
            Version::Resp2 => self.array(items),
            Version::Resp3 => self.header(b'>', items as i64),
        }
    }

    /// A double; in RESP2 a string of the same digits.
    pub fn double(&mut self, value: f64) {
        let text = format_double(value);
        match self.version {
            Version::Resp2 => self.bulk(text.as_ref()),
            Version::Resp3 => self.line(b',', text.as_ref()),
        }
    }

    /// A truth value; in RESP2 1 or 0.
    pub fn bool(&mut self, value: bool) {
        match (self.version, value) {
            (Version::Resp2, true) => self.raw(b":1\r\n"),
            (Version::Resp2, false) => self.raw(b":0\r\n"),
            (Version::Resp3, true) => self.raw(b"#t\r\n"),
            (Version::Resp3, false) => self.raw(b"#f\r\n"),
        }
    }

    /// Text for a person to read, as INFO: verbatim in RESP3.
    pub fn verbatim(&mut self, text: &str) {
        match self.version {
            Version::Resp2 => self.bulk(text.as_bytes()),
            Version::Resp3 => {
                self.header(b'=', text.len() as i64 + 4);
                self.raw(b"txt:");
                self.raw(text.as_bytes());
                self.raw(b"\r\n");
            }
        }
    }

    /// The answer of `CONTAINER HELP`; lines of subcommands and, indented by four blanks, what they do.
    pub fn help(&mut self, container: &str, lines: &[&str]) {
        self.array(lines.len() + 3);
        self.simple(&format!(
            "{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
        ));
        for line in lines {
            self.simple(line);
        }
        self.simple("HELP");
        self.simple("    Prints this help.");
    }

    /// A reply that is bytes already.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn header(&mut self, kind: u8, number: i64) {
        self.line(kind, itoa::Buffer::new().format(number).as_bytes());
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.push(kind);
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }
}
