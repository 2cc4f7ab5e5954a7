//! What a server is, and the settings that decide whether slots can move.

use bytes::BytesMut;
use protocol::frame::{Value, decode};
use protocol::request::encode_request;
use serde::Deserialize;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For a connection, and for each answer.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Bytes of an answer we are ready to hold.
const REPLY_BYTES_MAX: usize = 16 << 20;

/// Not enough of it for a client to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Pika,
    CodisServer,
    /// Knows no word for slots.
    Other,
}

/// A server that answers.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    /// How many slots it has; nothing where it does not say.
    pub(crate) slots: Option<i64>,
    /// Pika's `slotmigrate`.
    pub(crate) slotmigrate: Option<String>,
    /// It asks for a password.
    pub(crate) has_password: bool,
    /// Of ours.
    pub(crate) state: Option<State>,
}

/// `SLIPWAY STATE`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    pub(crate) node: String,
    pub(crate) cluster: Option<String>,
    pub(crate) driver: String,
    pub(crate) slots: Vec<SlotsInState>,
}

/// Slots that have the same record.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SlotsInState {
    pub(crate) state: String,
    pub(crate) epoch: u64,
    /// `0-511,600`
    pub(crate) slots: String,
}

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Conversation {
    stream: TcpStream,
    input: BytesMut,
}

impl Conversation {
    /// Connects, and says the password if there is one.
    pub(crate) async fn open(addr: &str, auth: Option<&str>) -> Result<Self, String> {
        let late = |_| format!("no connection within {ANSWER_TIME:?}");
        let stream = timeout(ANSWER_TIME, TcpStream::connect(addr)).await.map_err(late)?;
        let stream = stream.map_err(|error| error.to_string())?;
        let mut conversation = Self { stream, input: BytesMut::new() };
        if let Some(auth) = auth
            && let Value::Error(why) = conversation.ask(&["AUTH", auth]).await?
            // A server without a password takes any.
            && !why.contains("no password")
            && !why.contains("without any password")
        {
            return Err(why);
        }
        Ok(conversation)
    }

    /// One command and its reply.
    pub(crate) async fn ask(&mut self, words: &[&str]) -> Result<Value, String> {
        let late = |_| format!("no answer to {} within {ANSWER_TIME:?}", words[0]);
        timeout(ANSWER_TIME, self.exchange(words)).await.map_err(late)?
    }

    async fn exchange(&mut self, words: &[&str]) -> Result<Value, String> {
        let mut output = Vec::new();
        encode_request(&mut output, &words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
        self.stream.write_all(&output).await.map_err(|error| error.to_string())?;
        loop {
            if let Some((value, length)) = decode(&self.input).map_err(|error| error.to_string())? {
                let _ = self.input.split_to(length);
                return Ok(value);
            }
            if self.input.len() > REPLY_BYTES_MAX {
                return Err(format!("its answer to {} is too long", words[0]));
            }
            match self.stream.read_buf(&mut self.input).await.map_err(|error| error.to_string())? {
                0 => return Err("it closed the connection".to_owned()),
                _ => {}
            }
        }
    }
}

/// Asks one.
pub(crate) async fn look(addr: &str, auth: Option<&str>) -> Result<Server, String> {
    let mut server = Conversation::open(addr, auth).await?;
    if let Value::Error(why) = server.ask(&["PING"]).await? {
        return Err(why);
    }
    let password = setting(&mut server, "requirepass").await?;
    let mut found = Server {
        kind: Kind::Other,
        slots: None,
        slotmigrate: None,
        has_password: password.is_some_and(|password| !password.is_empty()),
        state: None,
    };
    if let Some(state) = server.ask(&["SLIPWAY", "STATE"]).await?.as_str() {
        let state: State = serde_json::from_str(state).map_err(|error| error.to_string())?;
        found.kind = Kind::Ours;
        found.slots = Some(state.slots.iter().map(|run| count(&run.slots)).sum());
        found.state = Some(state);
        return Ok(found);
    }
    found.slotmigrate = setting(&mut server, "slotmigrate").await?;
    if found.slotmigrate.is_some() {
        found.kind = Kind::Pika;
        let slots = setting(&mut server, "default-slot-num").await?;
        found.slots = slots.and_then(|slots| slots.parse().ok());
    } else if !matches!(server.ask(&["SLOTSINFO"]).await?, Value::Error(_)) {
        found.kind = Kind::CodisServer;
    }
    Ok(found)
}

/// How many slots `0-511,600` are.
fn count(ranges: &str) -> i64 {
    let parsed = ranges.parse::<cluster::SlotRanges>();
    parsed.map_or(0, |ranges| i64::try_from(ranges.iter().count()).unwrap_or(i64::MAX))
}

/// `CONFIG GET`; nothing where the server has no such setting, or does not tell.
async fn setting(server: &mut Conversation, name: &str) -> Result<Option<String>, String> {
    let reply = server.ask(&["CONFIG", "GET", name]).await?;
    let value = reply.as_items().and_then(|items| items.get(1)?.as_str().map(str::to_owned));
    Ok(value)
}
