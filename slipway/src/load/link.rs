//! One connection to the server: bytes out, replies in. It never waits but in [`Link::open`] and [`Link::ready`].

use super::op::{Words, encode};
use super::reply::{Garbled, Reply, Resp, decode};
use bytes::{Buf, BytesMut};
use std::io;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// How long a connection may take until it is ready, in milliseconds.
const OPEN_MS_MAX: u64 = 5000;
/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// Where the server is, and how to speak with it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) addr: String,
    pub(crate) resp: Resp,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

/// Why no connection could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "nothing answers at {addr} ({error}): start a server with \"slipway up\", or name its address with --addr HOST:PORT"
    )]
    Unreachable { addr: String, error: io::Error },
    #[error("{addr} refuses the connection: {line}{}", hint(line))]
    Denied { addr: String, line: String },
    #[error("what answers at {addr} does not speak the Redis protocol: {what}")]
    Foreign { addr: String, what: String },
}

fn hint(line: &str) -> &'static str {
    if line.contains("NOAUTH") || line.contains("WRONGPASS") {
        "; give the password with --password"
    } else {
        ""
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    inbox: BytesMut,
    outbox: BytesMut,
    /// Bytes that the kernel took, since the connection was opened.
    written: u64,
}

impl Link {
    /// Connects, logs in and waits for a first reply.
    pub(crate) async fn open(target: &Target) -> Result<Self, Refusal> {
        let unreachable = |error| Refusal::Unreachable { addr: target.addr.clone(), error };
        let limit = Duration::from_millis(OPEN_MS_MAX);
        match tokio::time::timeout(limit, Self::connect(target)).await {
            Ok(Ok(link)) => Ok(link),
            Ok(Err(Opening::Io(error))) => Err(unreachable(error)),
            Ok(Err(Opening::Denied(line))) => {
                Err(Refusal::Denied { addr: target.addr.clone(), line })
            }
            Ok(Err(Opening::Garbled(Garbled(what)))) => {
                Err(Refusal::Foreign { addr: target.addr.clone(), what })
            }
            Err(_) => Err(unreachable(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no answer within {OPEN_MS_MAX} ms"),
            ))),
        }
    }

    async fn connect(target: &Target) -> Result<Self, Opening> {
        let stream = TcpStream::connect(&target.addr).await?;
        stream.set_nodelay(true)?;
        let mut link = Self { stream, inbox: BytesMut::new(), outbox: BytesMut::new(), written: 0 };
        let user = target.user.as_deref().unwrap_or("default").as_bytes();
        let log_in = target.password.as_ref().map(|password| (user, password.as_bytes()));
        let login = match (target.resp, log_in) {
            (Resp::Two, None) => None,
            // The form that servers without users know too.
            (Resp::Two, Some((b"default", password))) => Some(words(&[b"AUTH", password])),
            (Resp::Two, Some((user, password))) => Some(words(&[b"AUTH", user, password])),
            (Resp::Three, None) => Some(words(&[b"HELLO", b"3"])),
            (Resp::Three, Some((user, password))) => {
                Some(words(&[b"HELLO", b"3", b"AUTH", user, password]))
            }
        };
        for command in login.into_iter().chain([words(&[b"PING"])]) {
            link.push(&command);
            if let Reply::Error(line) = link.answer().await? {
                return Err(Opening::Denied(String::from_utf8_lossy(&line).into_owned()));
            }
        }
        Ok(link)
    }

    async fn answer(&mut self) -> Result<Reply, Opening> {
        loop {
            self.write()?;
            if let Some(reply) = self.reply().map_err(Opening::Garbled)? {
                return Ok(reply);
            }
            self.ready().await?;
            self.read()?;
        }
    }

    /// Appends a command to what is to be written; returns where it ends, counted from the opening of the connection.
    pub(crate) fn push(&mut self, words: &Words<'_>) -> u64 {
        encode(words, &mut self.outbox);
        self.written + self.outbox.len() as u64
    }

    /// How many bytes left us.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Writes as much as the kernel takes.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() {
            match self.stream.try_write(&self.outbox) {
                Ok(count) => {
                    self.outbox.advance(count);
                    self.written += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what has come; returns how many bytes.
    pub(crate) fn read(&mut self) -> io::Result<usize> {
        self.inbox.reserve(READ_BYTES);
        match self.stream.try_read_buf(&mut self.inbox) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the server")),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }

    /// Takes the next reply from what was read.
    pub(crate) fn reply(&mut self) -> Result<Option<Reply>, Garbled> {
        while let Some((reply, length)) = decode(&self.inbox)? {
            self.inbox.advance(length);
            if !matches!(reply, Reply::Push(_)) {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// Waits until there is something to read, or room for what is to be written.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn ready(&self) -> io::Result<()> {
        let interest = if self.outbox.is_empty() {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        self.stream.ready(interest).await.map(|_| ())
    }
}

enum Opening {
    Io(io::Error),
    Denied(String),
    Garbled(Garbled),
}

impl From<io::Error> for Opening {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn words<'a>(words: &[&'a [u8]]) -> Words<'a> {
    words.iter().map(|word| (*word).into()).collect()
}
