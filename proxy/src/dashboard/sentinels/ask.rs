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
/// A sentinel that is subscribed to and says nothing for so long is asked whether it is there; after as long again it is not.
pub(super) const SILENCE_TIME: Duration = Duration::from_secs(10);
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
        self.send(words).await?;
        self.next().await
    }

    async fn send(&mut self, words: &[&str]) -> Result<(), String> {
        let mut request = Vec::new();
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        encode_request(&mut request, &words);
        self.stream.write_all(&request).await.map_err(|error| error.to_string())
    }

    /// The next message, if the other side is there.
    async fn next_of_a_living(&mut self, silence: Duration) -> Result<Value, String> {
        if let Ok(message) = timeout(silence, self.next()).await {
            return message;
        }
        let asked = async {
            self.send(&["PING"]).await?;
            self.next().await
        };
        timeout(silence, asked).await.unwrap_or_else(|_| Err("it has fallen silent".to_owned()))
    }

    /// Safe to drop half-way.
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

/// Says when it is subscribed, and returns when a failover of the product is told. How long that takes is the caller's; a sentinel that is silent
/// for twice `silence` is lost.
pub(super) async fn subscribe(
    server: &str,
    product: &str,
    subscribed: mpsc::Sender<()>,
    silence: Duration,
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
        let message = connection.next_of_a_living(silence).await?;
        match words(&message).as_slice() {
            ["message", CHANNEL, text] => {
                tracing::warn!(sentinel = server, text, "sentinels: a failover is told");
                if is_told(text, product) {
                    return Ok(());
                }
            }
            // It is there: "pong", or an error of one that knows no PING here.
            _ => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const SILENCE: Duration = Duration::from_millis(100);
    const SUBSCRIBED: &[u8] = b"*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n";

    /// A sentinel that answers each request with the next of these, and then with nothing.
    async fn sentinel(answers: Vec<&'static [u8]>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut input = BytesMut::new();
            for answer in answers {
                while decode(&input).unwrap().is_none() {
                    stream.read_buf(&mut input).await.unwrap();
                }
                let (_, len) = decode(&input).unwrap().unwrap();
                input.advance(len);
                stream.write_all(answer).await.unwrap();
            }
            // Until the other side goes.
            while stream.read_buf(&mut input).await.is_ok_and(|len| len > 0) {}
        });
        address
    }

    async fn heard(answers: Vec<&'static [u8]>) -> Result<(), String> {
        let (subscribed, mut count) = mpsc::channel(1);
        let address = sentinel(answers).await;
        let told = subscribe(&address, "demo", subscribed, SILENCE).await;
        assert_eq!(count.recv().await, Some(()));
        told
    }

    #[tokio::test]
    async fn a_sentinel_that_falls_silent_is_lost() {
        assert_eq!(heard(vec![SUBSCRIBED]).await.unwrap_err(), "it has fallen silent");
    }

    #[tokio::test]
    async fn a_sentinel_that_is_there_is_heard_however_late() {
        const PONG: &[u8] = b"*2\r\n$4\r\npong\r\n$0\r\n\r\n";
        const OTHER: &[u8] =
            b"*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$15\r\nother-1 a 1 b 2\r\n";
        const OURS: &[u8] =
            b"*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$14\r\ndemo-1 a 1 b 2\r\n";
        let answers = vec![SUBSCRIBED, PONG, b"-ERR no PING here\r\n", OTHER, OURS];
        assert_eq!(heard(answers).await, Ok(()));
    }

    #[tokio::test]
    async fn who_does_not_subscribe_us_is_no_sentinel() {
        let (subscribed, _count) = mpsc::channel(1);
        let address = sentinel(vec![b"-ERR unknown command\r\n"]).await;
        let told = subscribe(&address, "demo", subscribed, SILENCE).await;
        assert!(told.unwrap_err().contains("does not subscribe us"));
    }
}
