//! A connection to a foreign node for our own questions, off the path of requests: pipelined, answers in order, every wait bounded.

use crate::config::Config;
use crate::dialect::Dialect;
use crate::upstream::{Flavour, connect};
use bytes::{Buf, BytesMut};
use protocol::frame::{Value, decode};
use protocol::request::encode_request;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An answer that we are ready to hold: SLOTSSCAN of a few hundred keys is far below.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// One connection. After an error it is of no use.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    input: BytesMut,
    dialect: Dialect,
    patience: Duration,
}

/// Why a node could not be asked. For people.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkError {
    #[error("{addr}: {why}")]
    Connect { addr: String, why: String },
    #[error("the connection is lost: {0}")]
    Lost(String),
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
}

impl Link {
    /// Connects and tells the password, as every connection to a node does. An answer may take `patience`.
    pub async fn open(config: &Config, addr: &str, patience: Duration) -> Result<Self, LinkError> {
        let connected = connect(config, addr, Flavour::default()).await;
        let (stream, dialect) =
            connected.map_err(|(_, why)| LinkError::Connect { addr: addr.to_owned(), why })?;
        Ok(Self { stream, input: BytesMut::new(), dialect, patience })
    }

    /// Takes a connection on which nothing was said: no password, and what the node is stays unknown.
    pub fn over(stream: TcpStream, patience: Duration) -> Self {
        Self { stream, input: BytesMut::new(), dialect: Dialect::Plain, patience }
    }

    /// What the node has turned out to be.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What was sent and has not left this machine when the connection is dropped, also by the death of this process, never leaves it: the kernel
    /// resets the connection instead of sending on for minutes (`SO_LINGER` of 0 seconds, socket(7)).
    pub fn forget_what_is_unsent(&self) -> Result<(), LinkError> {
        self.stream.set_zero_linger().map_err(|error| LinkError::Lost(error.to_string()))
    }

    /// Asks, and waits for the answer. An error reply is an answer.
    pub async fn ask(&mut self, words: &[&[u8]]) -> Result<Value, LinkError> {
        self.send([words]).await?;
        self.answer().await
    }

    /// Asks several things in one write; their answers come by [`Self::answer`], in order.
    pub async fn send<'a>(
        &mut self,
        requests: impl IntoIterator<Item = &'a [&'a [u8]]>,
    ) -> Result<(), LinkError> {
        let mut out = Vec::new();
        for words in requests {
            encode_request(&mut out, words);
        }
        let written = timeout(self.patience, self.stream.write_all(&out)).await;
        written
            .map_err(|_| LinkError::Late(self.patience))?
            .map_err(|error| LinkError::Lost(error.to_string()))
    }

    /// The next answer.
    pub async fn answer(&mut self) -> Result<Value, LinkError> {
        timeout(self.patience, self.next()).await.map_err(|_| LinkError::Late(self.patience))?
    }

    async fn next(&mut self) -> Result<Value, LinkError> {
        loop {
            let lost = |why: String| LinkError::Lost(why);
            if let Some((value, len)) = decode(&self.input).map_err(|e| lost(e.to_string()))? {
                self.input.advance(len);
                return Ok(value);
            }
            if self.input.len() > ANSWER_BYTES_MAX {
                return Err(lost("an answer is too large".to_owned()));
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) => return Err(lost("the node has closed it".to_owned())),
                Ok(_) => {}
                Err(error) => return Err(lost(error.to_string())),
            }
        }
    }
}
