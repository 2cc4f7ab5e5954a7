//! A connection to a Pika or a codis-server. After an error it is of no use.

use super::Target;
use crate::transfer::Introduction;
use bytes::{Buf, BytesMut};
use protocol::frame::{Value, decode};
use protocol::request::encode_request;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pika,
    CodisServer,
}

#[derive(Debug)]
pub(super) struct Far {
    addr: String,
    stream: TcpStream,
    input: BytesMut,
    kind: Kind,
    /// None is chosen yet; every one of them begins in 0.
    db: u8,
    limit: Duration,
}

impl Far {
    /// Connects, logs in with our own password, and finds out what it is. Others than those two are refused.
    pub(super) async fn connect(
        target: &Target,
        introduction: &Introduction,
    ) -> Result<Self, String> {
        let addr = target.addr.clone();
        let limit = introduction.connect_timeout.min(target.limit);
        let stream = match timeout(limit, TcpStream::connect(&addr)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(format!("cannot reach {addr}: {error}")),
            Err(_) => return Err(format!("cannot reach {addr}: no answer within {limit:?}")),
        };
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let (input, kind) = (BytesMut::new(), Kind::Pika);
        let mut far = Self { addr, stream, input, kind, db: 0, limit: target.limit };
        if let Some(password) = &introduction.password {
            let answer = far.ask(&[b"AUTH", password.as_bytes()]).await?;
            // One without a password lets everybody in.
            if let Value::Error(line) = answer
                && !line.contains("no password")
            {
                return Err(format!("{} answers AUTH with {line}", far.addr));
            }
        }
        far.kind = far.find_kind().await?;
        Ok(far)
    }

    async fn find_kind(&mut self) -> Result<Kind, String> {
        let info = self.ask(&[b"INFO", b"server"]).await?;
        let info = info.as_str().unwrap_or_default();
        let line = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
        let kind = match (line("pika_version:"), line("redis_version:")) {
            _ if line("slipway_version:").is_some() => None,
            (Some(_), _) => Some(Kind::Pika),
            (None, Some(version)) if version.starts_with("3.2.") => Some(Kind::CodisServer),
            _ => None,
        };
        let has_slots = self.ask(&[b"SLOTSHASHKEY", b"a"]).await?.as_error().is_none();
        kind.filter(|_| has_slots)
            .ok_or_else(|| format!("{} is neither a Pika nor a codis-server", self.addr))
    }

    /// From now on an answer may take so long.
    pub(super) fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    pub(super) fn addr(&self) -> &str {
        &self.addr
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) async fn choose(&mut self, db: u8) -> Result<(), String> {
        if self.db == db {
            return Ok(());
        }
        match self.ask(&[b"SELECT", db.to_string().as_bytes()]).await? {
            Value::Error(line) => Err(format!("{} answers SELECT {db} with {line}", self.addr)),
            _ => {
                self.db = db;
                Ok(())
            }
        }
    }

    /// One request and its answer.
    pub(super) async fn ask(&mut self, words: &[&[u8]]) -> Result<Value, String> {
        let mut frame = Vec::new();
        encode_request(&mut frame, words);
        self.say(&frame).await?;
        self.answer().await
    }

    /// Sends whole requests; their answers come by [`Self::answer`].
    pub(super) async fn say(&mut self, frames: &[u8]) -> Result<(), String> {
        match timeout(self.limit, self.stream.write_all(frames)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.lost(&error.to_string())),
            Err(_) => Err(self.lost("it does not read")),
        }
    }

    pub(super) async fn answer(&mut self) -> Result<Value, String> {
        loop {
            let decoded = decode(&self.input).map_err(|error| self.lost(&error.to_string()))?;
            if let Some((value, len)) = decoded {
                self.input.advance(len);
                return Ok(value);
            }
            match timeout(self.limit, self.stream.read_buf(&mut self.input)).await {
                Ok(Ok(0)) => return Err(self.lost("it has closed it")),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(self.lost(&error.to_string())),
                Err(_) => return Err(self.lost(&format!("no answer within {:?}", self.limit))),
            }
        }
    }

    fn lost(&self, why: &str) -> String {
        format!("the connection to {} is lost: {why}", self.addr)
    }
}
