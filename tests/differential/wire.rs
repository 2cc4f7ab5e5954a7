//! Replies exactly as they came, and a connection that pipelines.
//!
//! Not the decoder of `protocol`: what is under test must not judge itself, and here the texts of numbers and the two nulls of RESP2 count.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// One reply; numbers keep the text they were written with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reply {
    /// `+OK`, `-ERR …`, `:1`, `,1.5`, `#t`, `(1`, `_`: the line with its first byte.
    Line(Vec<u8>),
    Bulk(Vec<u8>),
    /// `$-1`
    NullBulk,
    /// `*-1`
    NullArray,
    /// `=`, with its three letters.
    Verbatim(Vec<u8>),
    /// `*`, `~`, `>` or, flattened, `%`.
    Items(u8, Vec<Reply>),
    /// No reply in time.
    Silence,
    /// The connection was closed, or what came is no RESP: the reason.
    Broken(String),
}

impl Reply {
    pub(crate) fn line(text: &str) -> Self {
        Self::Line(text.as_bytes().to_vec())
    }

    pub(crate) fn is(&self, line: &str) -> bool {
        matches!(self, Self::Line(text) if text == line.as_bytes())
    }

    pub(crate) fn is_error(&self) -> bool {
        matches!(self, Self::Line(text) if text.first() == Some(&b'-'))
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        let Self::Line(text) = self else { return None };
        std::str::from_utf8(text.strip_prefix(b":")?).ok()?.parse().ok()
    }

    pub(crate) fn items(&self) -> Option<&[Reply]> {
        if let Self::Items(_, items) = self { Some(items) } else { None }
    }

    pub(crate) fn bulk(&self) -> Option<&[u8]> {
        if let Self::Bulk(bytes) = self { Some(bytes) } else { None }
    }

    /// Whether there is nothing to expect of the connection any more.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::Silence | Self::Broken(_))
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => f.write_str(
                &line.escape_ascii().to_string().replace("\\'", "'").replace("\\\"", "\""),
            ),
            Self::Bulk(bytes) => f.write_str(&quoted(bytes)),
            Self::NullBulk => f.write_str("$-1"),
            Self::NullArray => f.write_str("*-1"),
            Self::Verbatim(bytes) => write!(f, "={}", quoted(bytes)),
            Self::Items(kind, items) => {
                write!(f, "{}{}[", char::from(*kind), items.len())?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i == 0 { "" } else { " " })?;
                }
                f.write_str("]")
            }
            Self::Silence => f.write_str("(no reply in time)"),
            Self::Broken(why) => write!(f, "(connection lost: {why})"),
        }
    }
}

/// Bytes as redis-cli reads and prints them.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii().to_string().replace("\\'", "'"))
}

/// Appends a request.
pub(crate) fn encode(out: &mut Vec<u8>, args: &[Vec<u8>]) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// Words to arguments.
pub(crate) fn words(line: &str) -> Vec<Vec<u8>> {
    line.split_whitespace().map(|word| word.as_bytes().to_vec()).collect()
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    /// Where the next reply begins in `input`.
    at: usize,
}

impl Connection {
    pub(crate) fn open(addr: &str, reply_max: Duration) -> Result<Self, String> {
        let stream = TcpStream::connect(addr).map_err(|e| format!("{addr}: {e}"))?;
        stream.set_read_timeout(Some(reply_max)).map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        Ok(Self::over(stream))
    }

    /// A connection that somebody else has opened.
    pub(crate) fn over(stream: TcpStream) -> Self {
        Self { stream, input: Vec::new(), at: 0 }
    }

    /// Sends bytes; that the other side is gone shows when the reply is read.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a request and reads its reply.
    pub(crate) fn call(&mut self, args: &[Vec<u8>]) -> Reply {
        let mut bytes = Vec::new();
        encode(&mut bytes, args);
        self.send(&bytes);
        self.reply()
    }

    /// Sends a request of plain words and reads its reply.
    pub(crate) fn words(&mut self, line: &str) -> Reply {
        self.call(&words(line))
    }

    /// Sends requests in one go and reads all replies.
    pub(crate) fn pipeline(&mut self, requests: &[Vec<Vec<u8>>]) -> Vec<Reply> {
        let mut bytes = Vec::new();
        for request in requests {
            encode(&mut bytes, request);
        }
        self.send(&bytes);
        requests.iter().map(|_| self.reply()).collect()
    }

    /// Whether something has come that nobody has read.
    pub(crate) fn has_input(&self) -> bool {
        let _ = self.stream.set_nonblocking(true);
        let found = self.stream.peek(&mut [0]).is_ok_and(|count| count > 0);
        let _ = self.stream.set_nonblocking(false);
        found || self.at < self.input.len()
    }

    /// Reads one reply.
    pub(crate) fn reply(&mut self) -> Reply {
        self.next().0
    }

    /// Reads one reply as bytes; none if there is none.
    pub(crate) fn raw_reply(&mut self) -> Vec<u8> {
        self.next().1
    }

    fn next(&mut self) -> (Reply, Vec<u8>) {
        match self.wait() {
            Ok((reply, end)) => {
                let raw = self.input[self.at..end].to_vec();
                self.at = end;
                if self.at == self.input.len() {
                    self.input.clear();
                    self.at = 0;
                }
                (reply, raw)
            }
            Err(lost) => (lost, Vec::new()),
        }
    }

    /// Waits for a whole reply; returns it and where it ends in `input`.
    fn wait(&mut self) -> Result<(Reply, usize), Reply> {
        loop {
            let mut parser = Parser { input: &self.input, at: self.at };
            match parser.value() {
                Ok(reply) => return Ok((reply, parser.at)),
                Err(Stop::Malformed(what)) => {
                    return Err(Reply::Broken(format!("not RESP: {what}")));
                }
                Err(Stop::Incomplete) => {}
            }
            let mut buffer = [0; 16 << 10];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Reply::Broken("closed".to_owned())),
                Ok(n) => self.input.extend_from_slice(&buffer[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(Reply::Silence);
                }
                // The other side closed before it had read all: the same thing.
                Err(e) if e.kind() == ErrorKind::ConnectionReset => {
                    return Err(Reply::Broken("closed".to_owned()));
                }
                Err(e) => return Err(Reply::Broken(e.to_string())),
            }
        }
    }
}

/// The requests at the beginning of some bytes, as far as they are RESP.
pub(crate) fn decode_requests(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut parser = Parser { input: bytes, at: 0 };
    let mut requests = Vec::new();
    while let Ok(Reply::Items(b'*', items)) = parser.value() {
        let request: Vec<_> =
            items.into_iter().filter_map(|item| item.bulk().map(<[u8]>::to_vec)).collect();
        requests.push(request);
    }
    requests.retain(|request| !request.is_empty());
    requests
}

enum Stop {
    Incomplete,
    Malformed(String),
}

struct Parser<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self) -> Result<Reply, Stop> {
        let line = self.line()?;
        let length = || {
            let text = std::str::from_utf8(&line[1..]).ok();
            text.and_then(|t| t.parse::<i64>().ok()).ok_or_else(|| Stop::Malformed(quoted(line)))
        };
        match line.first() {
            Some(b'+' | b'-' | b':' | b',' | b'#' | b'(' | b'_') => Ok(Reply::Line(line.to_vec())),
            Some(b'$') if line == b"$-1" => Ok(Reply::NullBulk),
            Some(b'*') if line == b"*-1" => Ok(Reply::NullArray),
            Some(b'$') => Ok(Reply::Bulk(self.bytes(length()?)?)),
            Some(b'=') => Ok(Reply::Verbatim(self.bytes(length()?)?)),
            Some(kind @ (b'*' | b'~' | b'>')) => self.list(*kind, length()?),
            Some(b'%') => self.list(b'%', length()? * 2),
            _ => Err(Stop::Malformed(quoted(line))),
        }
    }

    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = &self.input[self.at..];
        let end = rest.windows(2).position(|pair| pair == b"\r\n").ok_or(Stop::Incomplete)?;
        self.at += end + 2;
        Ok(&rest[..end])
    }

    fn bytes(&mut self, length: i64) -> Result<Vec<u8>, Stop> {
        let length =
            usize::try_from(length).map_err(|_| Stop::Malformed(format!("length {length}")))?;
        let rest = &self.input[self.at..];
        if rest.len() < length + 2 {
            return Err(Stop::Incomplete);
        }
        if &rest[length..length + 2] != b"\r\n" {
            return Err(Stop::Malformed(format!(
                "a bulk of {length} bytes does not end with CR LF"
            )));
        }
        self.at += length + 2;
        Ok(rest[..length].to_vec())
    }

    fn list(&mut self, kind: u8, length: i64) -> Result<Reply, Stop> {
        let length =
            usize::try_from(length).map_err(|_| Stop::Malformed(format!("length {length}")))?;
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(self.value()?);
        }
        Ok(Reply::Items(kind, items))
    }
}
