//! Questions to a sentinel or a server, each over a connection of its own, without AUTH as codis-proxy does it.

use super::masters::{Master, is_told, read_masters};
use bytes::{Buf, BytesMut};
use protocol::frame::{Value, decode};
use protocol::request::encode_request;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

const CHANNEL: &str = "+switch-master";
/// For a connection, and for the answer to a SUBSCRIBE.
const SUBSCRIBE_TIME: Duration = Duration::from_secs(5);
/// An answer that we are ready to hold: a few hundred masters of a thousand bytes each are far below.
const ANSWER_BYTES_MAX: usize = 4 << 20;

struct Connection {
    stream: TcpStream,
    input: BytesMut,
}

impl Connection {
    async fn open(address: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        Ok(Self { stream, input: BytesMut::new() })
    }

    async fn ask(&mut self, words: &[&str]) -> Result<Value, String> {
        let mut request = Vec::new();
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        encode_request(&mut request, &words);
        self.stream.write_all(&request).await.map_err(|error| error.to_string())?;
        self.next().await
    }

    async fn next(&mut self) -> Result<Value, String> {
        loop {
            if let Some((value, len)) = decode(&self.input).map_err(|error| error.to_string())? {
                self.input.advance(len);
                return Ok(value);
            }
            if self.input.len() > ANSWER_BYTES_MAX {
                return Err("its answer is too large".to_owned());
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) => return Err("the connection has ended".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// What one sentinel says of the groups of a product. Bounded by the caller.
pub(super) async fn masters_of(server: &str, product: &str) -> Result<Vec<Master>, String> {
    let answer = Connection::open(server).await?.ask(&["SENTINEL", "masters"]).await?;
    read_masters(&answer, product)
}

/// Says when it is subscribed, and returns when a failover of the product is told. How long that takes is the caller's.
pub(super) async fn subscribe(
    server: &str,
    product: &str,
    subscribed: mpsc::Sender<()>,
) -> Result<(), String> {
    let begun = timeout(SUBSCRIBE_TIME, async {
        let mut connection = Connection::open(server).await?;
        let answer = connection.ask(&["SUBSCRIBE", CHANNEL]).await?;
        match words(&answer).as_slice() {
            ["subscribe", CHANNEL, ..] => Ok(connection),
            _ => Err(format!("it does not subscribe us: {answer:?}")),
        }
    });
    let mut connection =
        begun.await.unwrap_or_else(|_| Err("it does not answer in time".to_owned()))?;
    _ = subscribed.try_send(());
    drop(subscribed);
    loop {
        let message = connection.next().await?;
        match words(&message).as_slice() {
            ["message", CHANNEL, text] => {
                tracing::warn!(sentinel = server, text, "sentinels: a failover is told");
                if is_told(text, product) {
                    return Ok(());
                }
            }
            other => return Err(format!("it says what nobody asked for: {other:?}")),
        }
    }
}

/// The strings of a message; others are nothing.
fn words(message: &Value) -> Vec<&str> {
    let items = message.as_items().unwrap_or_default();
    items.iter().map(|item| item.as_str().unwrap_or_default()).collect()
}

/// A server's name of itself. Bounded by the caller.
pub(super) async fn run_id(server: &str) -> Option<String> {
    let answer = Connection::open(server).await.ok()?.ask(&["INFO", "server"]).await.ok()?;
    let line = answer.as_str()?.lines().find_map(|line| line.strip_prefix("run_id:"))?;
    Some(line.trim().to_owned())
}
