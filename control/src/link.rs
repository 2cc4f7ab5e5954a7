//! A connection to one node: introduces itself, sends requests in a batch, reads as many replies.

use bytes::BytesMut;
use cluster::{Kind, SlotCount};
use protocol::frame::{Value, decode};
use protocol::request::encode_request;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Bytes of replies that a node may have sent and we not understood yet.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// What the controller says of itself on every link, and the bounds.
#[derive(Clone, Debug)]
pub struct Introduction {
    pub cluster: String,
    pub slot_count: SlotCount,
    pub password: Option<String>,
    /// For a connection and its introduction.
    pub connect_time: Duration,
    /// For a batch of requests: nodes sync to disk within it.
    pub answer_time: Duration,
}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Fixed for a data directory.
    pub node: String,
    /// New at each start.
    pub boot: String,
    /// `-` for a node that nobody has claimed.
    pub cluster: String,
}

/// The connection is of no use any more; what was sent may have been executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LinkError(pub String);

/// An open link.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    input: BytesMut,
    answer_time: Duration,
}

impl Link {
    /// Connects and introduces itself.
    pub async fn open(addr: &str, introduction: &Introduction) -> Result<(Self, Hello), LinkError> {
        let limit = Instant::now() + introduction.connect_time;
        let over = || LinkError(format!("no answer within {:?}", introduction.connect_time));
        let stream = timeout_at(limit, TcpStream::connect(addr))
            .await
            .map_err(|_| over())?
            .map_err(broken)?;
        service::listener::prepare(&stream);
        let mut link = Self::over(stream, introduction);
        let hello = timeout_at(limit, link.introduce(introduction)).await.map_err(|_| over())??;
        Ok((link, hello))
    }

    fn over(stream: TcpStream, introduction: &Introduction) -> Self {
        Self { stream, input: BytesMut::new(), answer_time: introduction.answer_time }
    }

    /// Connects to a node that is not ours, and finds out whether it is what it is said to be.
    pub async fn open_to_stranger(
        addr: &str,
        kind: Kind,
        introduction: &Introduction,
    ) -> Result<Self, LinkError> {
        let over = |_| LinkError(format!("no answer within {:?}", introduction.connect_time));
        let asked = async {
            let stream = TcpStream::connect(addr).await.map_err(broken)?;
            service::listener::prepare(&stream);
            let mut link = Self::over(stream, introduction);
            link.check_kind(kind, introduction).await?;
            Ok(link)
        };
        timeout_at(Instant::now() + introduction.connect_time, asked).await.map_err(over)?
    }

    async fn check_kind(
        &mut self,
        kind: Kind,
        introduction: &Introduction,
    ) -> Result<(), LinkError> {
        let line = |words: &[&str]| words.iter().map(|&w| w.to_owned()).collect::<Vec<_>>();
        let auth = introduction.password.iter().map(|password| line(&["AUTH", password]));
        let questions = [line(&["INFO", "server"]), line(&["SLOTSHASHKEY", "a"])];
        let requests: Vec<_> = auth.chain(questions).collect();
        let replies = self.call(&requests).await?;
        // One without a password lets everybody in.
        let is_refusal = |text: &&str| !text.contains("no password");
        if let Some(text) = replies.iter().filter_map(Value::as_error).find(is_refusal) {
            return Err(LinkError(text.to_owned()));
        }
        let info = replies.iter().rev().nth(1).and_then(Value::as_str).unwrap_or_default();
        let has_slots = replies.last().and_then(Value::as_items).is_some();
        let says = |words: &[&str]| info.lines().any(|l| words.iter().any(|w| l.starts_with(w)));
        let fits = has_slots
            && match kind {
                Kind::Pika => says(&["pika_version:3.5.", "pika_version:4.0."]),
                Kind::CodisServer => says(&["redis_version:3.2."]),
                Kind::Slipway => false,
            };
        if fits {
            return Ok(());
        }
        let version =
            info.lines().find(|l| l.contains("_version:")).unwrap_or("nothing").trim_end();
        Err(LinkError(format!(
            "it says {version}: that is not what the group's kind says, Pika 3.5 or 4.0 for \"pika\", 3.2 for \"codis-server\""
        )))
    }

    /// Sends all requests at once and returns a reply for each.
    ///
    /// # Cancel safety
    /// Dropped half-way, the link must not be used again.
    pub async fn call(&mut self, requests: &[Vec<String>]) -> Result<Vec<Value>, LinkError> {
        let mut output = Vec::new();
        for request in requests {
            let args: Vec<&[u8]> = request.iter().map(String::as_bytes).collect();
            encode_request(&mut output, &args);
        }
        let exchange = async {
            let (mut reader, mut writer) = self.stream.split();
            // Both at once: a node may answer before it has read everything.
            let sent = async { writer.write_all(&output).await.map_err(broken) };
            let ((), replies) =
                tokio::try_join!(sent, replies(&mut reader, &mut self.input, requests.len()))?;
            Ok(replies)
        };
        let over = || LinkError(format!("no answer within {:?}", self.answer_time));
        timeout_at(Instant::now() + self.answer_time, exchange).await.map_err(|_| over())?
    }

    async fn introduce(&mut self, introduction: &Introduction) -> Result<Hello, LinkError> {
        let mut requests = Vec::new();
        if let Some(password) = &introduction.password {
            requests.push(vec!["AUTH".to_owned(), password.clone()]);
        }
        let count = introduction.slot_count.get().to_string();
        requests.push(request(&["LINK", "control", "control", &introduction.cluster, &count]));
        let replies = self.call(&requests).await?;
        if let Some(text) = replies.iter().find_map(Value::as_error) {
            if text.to_ascii_lowercase().contains("unknown command") {
                let why = format!(
                    "what answers there is no node of slipway ({text}); if it is a Pika or a codis-server, give its [[group]] kind = \"pika\" or \
                     \"codis-server\" in the controller's file"
                );
                return Err(LinkError(why));
            }
            return Err(LinkError(text.to_owned()));
        }
        let items = replies.last().and_then(Value::as_items).unwrap_or_default();
        let text = |index: usize| items.get(index).and_then(Value::as_str).map(str::to_owned);
        match (text(0), text(1), text(2)) {
            (Some(node), Some(boot), Some(cluster)) => Ok(Hello { node, boot, cluster }),
            _ => Err(LinkError("what answers there is no node of slipway".to_owned())),
        }
    }
}

/// `SLIPWAY <words>`.
pub fn request(words: &[&str]) -> Vec<String> {
    std::iter::once("SLIPWAY").chain(words.iter().copied()).map(str::to_owned).collect()
}

async fn replies(
    reader: &mut (impl AsyncReadExt + Unpin),
    input: &mut BytesMut,
    count: usize,
) -> Result<Vec<Value>, LinkError> {
    let mut replies = Vec::with_capacity(count);
    loop {
        while let Some((value, len)) = decode(input).map_err(|e| LinkError(e.to_string()))? {
            let _ = input.split_to(len);
            // Pushes are for those who send clients' requests.
            if !matches!(value, Value::Push(_)) {
                replies.push(value);
            }
            if replies.len() == count {
                return Ok(replies);
            }
        }
        if input.len() > REPLY_BYTES_MAX {
            return Err(LinkError(format!("a reply is longer than {REPLY_BYTES_MAX} bytes")));
        }
        if reader.read_buf(input).await.map_err(broken)? == 0 {
            return Err(LinkError("the node closed the connection".to_owned()));
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn broken(error: std::io::Error) -> LinkError {
    LinkError(error.to_string())
}
