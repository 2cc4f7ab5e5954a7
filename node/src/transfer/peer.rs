//! A link from this node to another: pipelined requests, replies in order, reconnects by itself.
//!
//! A call that fails says only that no reply came. Every word of docs/WIRE.md §5 may be repeated, so callers repeat.

use bytes::BytesMut;
use protocol::frame::{self, Value};
use protocol::request::encode_request;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Calls that may wait for their reply, per link.
const CALLS_MAX: usize = 1024;

/// What the link says of itself when it is made, and how long it waits.
#[derive(Clone, Debug)]
pub(crate) struct Introduction {
    pub(crate) name: String,
    pub(crate) slot_count: u16,
    pub(crate) password: Option<String>,
    pub(crate) connect_timeout: Duration,
}

/// No reply came.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum PeerError {
    #[error("cannot reach node {addr}: {why}")]
    Unreachable { addr: String, why: String },
    #[error("the link to node {addr} broke: {why}")]
    Broken { addr: String, why: String },
    #[error("node {addr} answers: {text}")]
    Refused { addr: String, text: String },
}

struct Call {
    frame: Vec<u8>,
    reply: Listener,
}

/// Who waits for a reply, and in which form.
enum Listener {
    Value(oneshot::Sender<Result<Value, PeerError>>),
    Frame(oneshot::Sender<Result<Vec<u8>, PeerError>>),
}

impl Listener {
    fn hear(self, value: Value, frame: &[u8]) {
        // Who does not wait any more has no use for it.
        match self {
            Self::Value(reply) => drop(reply.send(Ok(value))),
            Self::Frame(reply) => drop(reply.send(Ok(frame.to_vec()))),
        }
    }

    fn fail(self, error: PeerError) {
        match self {
            Self::Value(reply) => drop(reply.send(Err(error))),
            Self::Frame(reply) => drop(reply.send(Err(error))),
        }
    }
}

/// A handle on the link; the link is made at the first call and again after it broke.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    addr: String,
    calls: mpsc::Sender<Call>,
}

impl Peer {
    /// Starts the link's task on the current runtime; it ends when the last handle is dropped.
    pub(crate) fn start(addr: &str, introduction: Introduction) -> Self {
        let (calls, inbox) = mpsc::channel(CALLS_MAX);
        let link = Link { addr: addr.to_owned(), introduction, inbox };
        tokio::spawn(link.run());
        Self { addr: addr.to_owned(), calls }
    }

    /// Sends one request and waits for its reply. An error reply is [`PeerError::Refused`].
    ///
    /// # Cancel safety
    /// Dropped half-way, the request may or may not be executed.
    pub(crate) async fn call(&self, args: &[&[u8]]) -> Result<Value, PeerError> {
        let mut frame = Vec::with_capacity(64 + args.iter().map(|a| a.len() + 16).sum::<usize>());
        encode_request(&mut frame, args);
        let (reply, answer) = oneshot::channel();
        self.send(Call { frame, reply: Listener::Value(reply) }).await?;
        match answer.await.map_err(|_| self.gone())?? {
            Value::Error(text) => Err(PeerError::Refused { addr: self.addr.clone(), text }),
            value => Ok(value),
        }
    }

    /// As [`Self::call`] for a whole request; the reply is the frame as it came, an error reply too.
    ///
    /// # Cancel safety
    /// As [`Self::call`].
    pub(crate) async fn call_frame(&self, frame: Vec<u8>) -> Result<Vec<u8>, PeerError> {
        let (reply, answer) = oneshot::channel();
        self.send(Call { frame, reply: Listener::Frame(reply) }).await?;
        answer.await.map_err(|_| self.gone())?
    }

    /// Whom the link is to.
    pub(crate) fn addr(&self) -> &str {
        &self.addr
    }

    async fn send(&self, call: Call) -> Result<(), PeerError> {
        self.calls.send(call).await.map_err(|_| self.gone())
    }

    fn gone(&self) -> PeerError {
        PeerError::Broken { addr: self.addr.clone(), why: "the link was closed".to_owned() }
    }
}

struct Link {
    addr: String,
    introduction: Introduction,
    inbox: mpsc::Receiver<Call>,
}

impl Link {
    async fn run(mut self) {
        while let Some(first) = self.inbox.recv().await {
            match self.connect().await {
                Ok(stream) => self.serve(stream, first).await,
                Err(error) => {
                    first.reply.fail(error);
                }
            }
        }
    }

    async fn connect(&self) -> Result<TcpStream, PeerError> {
        let unreachable = |why: String| PeerError::Unreachable { addr: self.addr.clone(), why };
        let limit = self.introduction.connect_timeout;
        let shake = async {
            let mut stream = TcpStream::connect(&self.addr).await?;
            stream.set_nodelay(true)?;
            let mut hello = Vec::new();
            if let Some(password) = &self.introduction.password {
                encode_request(&mut hello, &[b"AUTH", password.as_bytes()]);
                self.ask(&mut stream, &hello).await?;
                hello.clear();
            }
            let count = self.introduction.slot_count.to_string();
            let words: [&[u8]; 6] = [
                b"SLIPWAY",
                b"LINK",
                b"node",
                self.introduction.name.as_bytes(),
                b"-",
                count.as_bytes(),
            ];
            encode_request(&mut hello, &words);
            self.ask(&mut stream, &hello).await?;
            Ok::<_, std::io::Error>(stream)
        };
        match timeout(limit, shake).await {
            Ok(result) => result.map_err(|e| unreachable(e.to_string())),
            Err(_) => Err(unreachable(format!("no answer within {limit:?}"))),
        }
    }

    /// One request, one reply that is no error, during the handshake.
    async fn ask(&self, stream: &mut TcpStream, request: &[u8]) -> std::io::Result<()> {
        stream.write_all(request).await?;
        let mut input = BytesMut::new();
        loop {
            if stream.read_buf(&mut input).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            match frame::decode(&input).map_err(|e| std::io::Error::other(e.to_string()))? {
                Some((Value::Error(text), _)) => return Err(std::io::Error::other(text)),
                Some(_) => return Ok(()),
                None => {}
            }
        }
    }

    /// Serves calls until the connection breaks or the last handle is gone.
    async fn serve(&mut self, stream: TcpStream, first: Call) {
        let (mut reader, mut writer) = stream.into_split();
        let mut waiting: VecDeque<Listener> = VecDeque::new();
        let mut output = first.frame;
        waiting.push_back(first.reply);
        let mut input = BytesMut::with_capacity(16 << 10);
        let mut handles_left = true;
        let why = loop {
            tokio::select! {
                biased;
                sent = writer.write(&output), if !output.is_empty() => match sent {
                    Ok(n) => { output.drain(..n); }
                    Err(error) => break error.to_string(),
                },
                call = self.inbox.recv(), if handles_left && waiting.len() < CALLS_MAX => match call {
                    Some(call) => { output.extend_from_slice(&call.frame); waiting.push_back(call.reply); }
                    None if waiting.is_empty() => return,
                    None => handles_left = false,
                },
                got = reader.read_buf(&mut input) => {
                    match got {
                        Ok(0) => break "closed by the other side".to_owned(),
                        Ok(_) => {}
                        Err(error) => break error.to_string(),
                    }
                    if let Err(why) = hand_out(&mut input, &mut waiting) {
                        break why;
                    }
                    if !handles_left && waiting.is_empty() {
                        return;
                    }
                }
            }
        };
        let error = PeerError::Broken { addr: self.addr.clone(), why };
        for reply in waiting {
            reply.fail(error.clone());
        }
    }
}

/// Gives each whole reply to the call that waits for it; pushes are for proxies and are passed over.
fn hand_out(input: &mut BytesMut, waiting: &mut VecDeque<Listener>) -> Result<(), String> {
    while let Some((value, length)) = frame::decode(input).map_err(|e| e.to_string())? {
        let frame = input.split_to(length);
        if matches!(value, Value::Push(_)) {
            continue;
        }
        let reply = waiting.pop_front().ok_or("a reply that nobody asked for")?;
        reply.hear(value, &frame);
    }
    Ok(())
}
