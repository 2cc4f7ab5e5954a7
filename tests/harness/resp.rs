//! A blocking RESP client that speaks commands or bytes.

use bytes::BytesMut;
use protocol::frame::{self, Value};
use protocol::request::encode_request;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// No reply may take longer.
const REPLY_MAX: Duration = Duration::from_secs(30);

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    input: BytesMut,
}

impl Client {
    /// Connects; the reason if it cannot.
    pub fn connect(addr: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(addr).map_err(|e| format!("{addr}: {e}"))?;
        stream.set_read_timeout(Some(REPLY_MAX)).unwrap();
        stream.set_nodelay(true).unwrap();
        Ok(Self { stream, input: BytesMut::new() })
    }

    /// Sends a command, words separated by blanks, and returns the reply.
    pub fn command(&mut self, words: &str) -> Result<Value, String> {
        let args: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        self.call(&args)
    }

    /// Sends a command and returns the reply.
    pub fn call(&mut self, args: &[&[u8]]) -> Result<Value, String> {
        let mut frame = Vec::new();
        encode_request(&mut frame, args);
        self.send(&frame)?;
        self.reply()
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).map_err(|e| e.to_string())
    }

    /// Reads one reply.
    pub fn reply(&mut self) -> Result<Value, String> {
        loop {
            if let Some((value, length)) = frame::decode(&self.input).map_err(|e| e.to_string())? {
                let _ = self.input.split_to(length);
                return Ok(value);
            }
            let mut buffer = [0; 16 << 10];
            match self.stream.read(&mut buffer).map_err(|e| e.to_string())? {
                0 => return Err("closed by the other side".to_owned()),
                n => self.input.extend_from_slice(&buffer[..n]),
            }
        }
    }

    /// The socket, for those who half-close it.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}
