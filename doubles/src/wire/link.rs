//! A connection from one node to another, on which one side at a time speaks.
//!
//! Replies that were not read stay, and the next caller gets them: so do the real servers' cached connections.

use protocol::frame::{self, Value};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Why an exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    Timeout,
    Closed,
}

/// One connection and what has been read of it.
#[derive(Debug)]
pub(crate) struct Link {
    socket: TcpStream,
    input: Vec<u8>,
    limit: Duration,
}

impl Link {
    /// Connects within `limit`, which holds for each step afterwards too.
    pub(crate) async fn connect(host: &str, port: u16, limit: Duration) -> Result<Self, Broken> {
        match timeout(limit, TcpStream::connect((host, port))).await {
            Err(_) => Err(Broken::Timeout),
            Ok(Err(_)) => Err(Broken::Closed),
            Ok(Ok(socket)) => {
                let _ = socket.set_nodelay(true);
                Ok(Self { socket, input: Vec::new(), limit })
            }
        }
    }

    pub(crate) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        match timeout(self.limit, self.socket.write_all(bytes)).await {
            Err(_) => Err(Broken::Timeout),
            Ok(sent) => sent.map_err(|_| Broken::Closed),
        }
    }

    /// Reads the next reply, or request if the other side asks.
    pub(crate) async fn receive(&mut self) -> Result<Value, Broken> {
        loop {
            match frame::decode(&self.input) {
                Ok(Some((value, len))) => {
                    self.input.drain(..len);
                    return Ok(value);
                }
                Ok(None) => {}
                Err(_) => return Err(Broken::Closed),
            }
            match timeout(self.limit, self.socket.read_buf(&mut self.input)).await {
                Err(_) => return Err(Broken::Timeout),
                Ok(Ok(1..)) => {}
                Ok(_) => return Err(Broken::Closed),
            }
        }
    }
}
