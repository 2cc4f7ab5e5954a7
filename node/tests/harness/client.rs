//! A client that speaks RESP in plain sight.

use protocol::frame::{Value, decode};
use protocol::request::encode_request;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) struct Client {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        Self::try_connect(addr).unwrap()
    }

    /// To a server that may not be there.
    pub(crate) fn try_connect(addr: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(addr).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        Some(Self { stream, input: Vec::new() })
    }

    /// Another handle on the same connection, to write while this one reads.
    pub(crate) fn twin(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap(), input: Vec::new() }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends a request and does not wait.
    pub(crate) fn ask(&mut self, args: &[&[u8]]) {
        let mut frame = Vec::new();
        encode_request(&mut frame, args);
        self.send(&frame);
    }

    /// Sends a request to a server that may die; returns whether it was taken.
    pub(crate) fn try_ask(&mut self, args: &[&[u8]]) -> bool {
        let mut frame = Vec::new();
        encode_request(&mut frame, args);
        self.stream.write_all(&frame).is_ok()
    }

    /// How long [`Self::poll_reply`] waits.
    pub(crate) fn stream_timeout(&mut self, timeout: Duration) {
        self.stream.set_read_timeout(Some(timeout)).unwrap();
    }

    /// The next reply, if it comes in time.
    pub(crate) fn poll_reply(&mut self) -> Option<Value> {
        let mut buffer = [0; 64 << 10];
        if let Ok(n) = self.stream.read(&mut buffer) {
            self.input.extend_from_slice(&buffer[..n]);
        }
        let (value, length) = decode(&self.input).unwrap()?;
        self.input.drain(..length);
        Some(value)
    }

    /// The next reply.
    pub(crate) fn reply(&mut self) -> Value {
        self.try_reply().expect("the connection was closed")
    }

    /// The next reply; nothing if the connection was closed.
    pub(crate) fn try_reply(&mut self) -> Option<Value> {
        loop {
            if let Some((value, length)) = decode(&self.input).unwrap() {
                self.input.drain(..length);
                return Some(value);
            }
            let mut buffer = [0; 64 << 10];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(n) => self.input.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return None,
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }

    pub(crate) fn call_bytes(&mut self, args: &[&[u8]]) -> Value {
        self.ask(args);
        self.reply()
    }

    /// The next reply as redis-cli would print it on one line.
    pub(crate) fn say_reply(&mut self) -> String {
        show(&self.reply())
    }

    /// Words separated by blanks, and the reply.
    pub(crate) fn call(&mut self, line: &str) -> Value {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.call_bytes(&args)
    }

    /// As [`Self::call`], the reply as redis-cli would print it on one line.
    pub(crate) fn say(&mut self, line: &str) -> String {
        show(&self.call(line))
    }
}

/// A reply on one line.
pub(crate) fn show(value: &Value) -> String {
    let list = |items: &[Value]| items.iter().map(show).collect::<Vec<_>>().join(" ");
    match value {
        Value::Null => "nil".to_owned(),
        Value::Simple(text) => text.clone(),
        Value::Error(line) => format!("-{line}"),
        Value::Int(number) => format!(":{number}"),
        Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Array(items) => format!("[{}]", list(items)),
        Value::Set(items) => format!("~[{}]", list(items)),
        Value::Push(items) => format!(">[{}]", list(items)),
        Value::Map(pairs) => {
            format!(
                "{{{}}}",
                pairs
                    .iter()
                    .map(|(k, v)| format!("{} {}", show(k), show(v)))
                    .collect::<Vec<_>>()
                    .join(" ")
            )
        }
        Value::Double(number) => format!(",{number}"),
        Value::Bool(truth) => format!("#{truth}"),
        Value::Big(digits) => format!("({digits}"),
        Value::Verbatim(text) => text.clone(),
    }
}
