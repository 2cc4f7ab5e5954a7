//! A client that sees replies as bytes, and the patterns replies are compared with.

use protocol::request::encode_request;
use protocol::slicer::ReplyScan;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// No reply, and no `until`, may take longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    input: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: &str) -> Self {
        Self { socket: TcpStream::connect(address).await.unwrap(), input: Vec::new() }
    }

    pub(crate) async fn send(&mut self, line: &str) {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut frame = Vec::new();
        encode_request(&mut frame, &words);
        // A connection that has ended is seen at the reply.
        let _ = self.socket.write_all(&frame).await;
    }

    /// The bytes of one reply.
    pub(crate) async fn reply(&mut self) -> String {
        self.try_reply().await.expect("a reply")
    }

    /// The bytes of one reply, unless the connection ends or is too slow.
    pub(crate) async fn try_reply(&mut self) -> Option<String> {
        loop {
            if let Some(len) = ReplyScan::default().scan(&self.input).unwrap() {
                let reply: Vec<u8> = self.input.drain(..len).collect();
                return Some(String::from_utf8_lossy(&reply).replace("\r\n", "\\r\\n"));
            }
            let read = timeout(PATIENCE, self.socket.read_buf(&mut self.input)).await;
            if !matches!(read, Ok(Ok(1..))) {
                return None;
            }
        }
    }

    /// The bytes of all replies to what is sent in one packet.
    pub(crate) async fn packet(&mut self, lines: &[&str]) -> String {
        let mut frames = Vec::new();
        for line in lines {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            encode_request(&mut frames, &words);
        }
        self.socket.write_all(&frames).await.unwrap();
        let mut replies = String::new();
        for _ in lines {
            replies += &self.reply().await;
        }
        replies
    }

    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.send(line).await;
        self.reply().await
    }
}

/// Whether a reply fits: `{n}` is digits, `{any}` is anything.
pub(crate) fn alike(wanted: &str, got: &str) -> bool {
    let next = wanted.find("{n}").into_iter().chain(wanted.find("{any}")).min();
    let Some(at) = next else { return wanted == got };
    let Some(rest) = got.strip_prefix(&wanted[..at]) else { return false };
    if let Some(behind) = wanted[at..].strip_prefix("{n}") {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        return digits > 0 && alike(behind, &rest[digits..]);
    }
    let behind = &wanted[at + "{any}".len()..];
    (0..=rest.len()).any(|skip| rest.is_char_boundary(skip) && alike(behind, &rest[skip..]))
}

/// Repeats a command until the reply comes.
pub(crate) async fn until(client: &mut Client, command: &str, wanted: &str) {
    let began = tokio::time::Instant::now();
    loop {
        let got = client.ask(command).await;
        if alike(wanted, &got) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{command}: wanted {wanted}, got {got}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
