//! Sockets: a listener that cuts requests and hands them to a node, and a link from one node to another.
//!
//! One connection's requests run one after another; replies leave when nothing of the last read is left, as in the real servers. What a node
//! says is overtaken runs behind the others of its packet.

mod link;

pub(crate) use link::{Broken, Link};

use crate::store::Bytes;
use protocol::slicer::{Args, Limits, Sliced, slice_request};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// What becomes of a connection behind a request.
#[derive(Debug, PartialEq)]
pub(crate) enum After {
    Go,
    /// Closes this connection when the replies have left.
    Close,
    /// The process is gone: nothing is answered, every connection closes.
    Die(String),
}

/// A request without words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blank {
    /// An empty line.
    Line,
    /// `*0`
    NoWords,
    /// `*-1`
    Negative,
}

/// A server's answers.
pub(crate) trait Node: Send + Sync + 'static {
    type Session: Send + Default;

    /// Answers one request; `words` has the name at least.
    fn answer(
        self: &Arc<Self>,
        words: Vec<Bytes>,
        session: &mut Self::Session,
        out: &mut Vec<u8>,
    ) -> impl Future<Output = After> + Send;

    /// Whether what comes behind this request in the same packet is answered before it.
    fn is_overtaken(
        self: &Arc<Self>,
        _words: &[Bytes],
        _session: &Self::Session,
    ) -> impl Future<Output = bool> + Send {
        async { false }
    }

    /// Answers a request behind one that is overtaken.
    fn overtake(
        self: &Arc<Self>,
        words: Vec<Bytes>,
        session: &mut Self::Session,
        out: &mut Vec<u8>,
    ) -> impl Future<Output = After> + Send {
        self.answer(words, session, out)
    }

    /// Answers a request without words.
    fn blank(&self, blank: Blank, out: &mut Vec<u8>) -> After;

    /// A token that ends every connection of now; a fresh one after each restart.
    fn era(&self) -> CancellationToken;
}

/// A double that listens. Dropping it stops it.
pub struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    fate: Arc<OnceLock<String>>,
    wedged: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Why it died, if it did: real Pika's process is gone then.
    pub fn death(&self) -> Option<&str> {
        self.fate.get().map(String::as_str)
    }

    /// Waits until it has died or was stopped.
    pub async fn ended(&self) {
        self.stop.cancelled().await;
    }

    /// Whether SIGTERM does not end it (`pika-live.md` §4.6).
    pub fn is_wedged(&self) -> bool {
        (self.wedged)()
    }

    pub(crate) fn with_wedge(mut self, wedged: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.wedged = Box::new(wedged);
        self
    }

    /// Closes the listener and all connections.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Serves `node` until the handle is dropped or the node dies.
pub(crate) fn serve<N: Node>(node: Arc<N>, listener: TcpListener) -> io::Result<Running> {
    let running = Running {
        address: listener.local_addr()?,
        stop: CancellationToken::new(),
        fate: Arc::new(OnceLock::new()),
        wedged: Box::new(|| false),
    };
    let (stop, fate) = (running.stop.clone(), Arc::clone(&running.fate));
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                taken = listener.accept() => {
                    let Ok((socket, _)) = taken else { continue };
                    let session = session(Arc::clone(&node), socket, stop.clone(), Arc::clone(&fate));
                    tokio::spawn(session);
                }
            }
        }
    });
    Ok(running)
}

/// What a packet may have.
const PACKET_BYTES: usize = 16 << 10;

async fn session<N: Node>(
    node: Arc<N>,
    mut socket: TcpStream,
    stop: CancellationToken,
    fate: Arc<OnceLock<String>>,
) {
    let _ = socket.set_nodelay(true);
    let era = node.era();
    // A packet shall be read as one.
    let mut input = Vec::with_capacity(PACKET_BYTES);
    let (mut args, mut state) = (Args::new(), N::Session::default());
    loop {
        let mut out = Vec::new();
        let after = tokio::select! {
            () = stop.cancelled() => return,
            () = era.cancelled() => return,
            after = batch(&node, &mut input, &mut args, &mut state, &mut out) => after,
        };
        if let After::Die(word) = after {
            let _ = fate.set(word);
            stop.cancel();
            return;
        }
        let sent = tokio::select! {
            () = stop.cancelled() => return,
            () = era.cancelled() => return,
            sent = socket.write_all(&out) => sent,
        };
        if sent.is_err() || after == After::Close {
            return;
        }
        input.reserve(PACKET_BYTES);
        let read = tokio::select! {
            () = stop.cancelled() => return,
            () = era.cancelled() => return,
            read = socket.read_buf(&mut input) => read,
        };
        if !matches!(read, Ok(1..)) {
            return;
        }
    }
}

/// Answers the whole requests that have been read.
async fn batch<N: Node>(
    node: &Arc<N>,
    input: &mut Vec<u8>,
    args: &mut Args,
    state: &mut N::Session,
    out: &mut Vec<u8>,
) -> After {
    let mut begin = 0;
    let mut overtaken: Option<Vec<Bytes>> = None;
    let mut after = loop {
        let rest = &input[begin..];
        if rest.is_empty() {
            break After::Go;
        }
        let (len, words) = match slice_request(rest, &Limits::default(), args) {
            Ok(Sliced::Incomplete { .. }) => break After::Go,
            Ok(Sliced::Request { len }) => (len, args.iter(rest).map(<[u8]>::to_vec).collect()),
            Ok(Sliced::Inline { len, frame }) => {
                (len, args.iter(&frame).map(<[u8]>::to_vec).collect())
            }
            Ok(Sliced::Nothing { len }) => {
                let blank = match &rest[..len] {
                    [b'*', b'-', ..] => Blank::Negative,
                    [b'*', ..] => Blank::NoWords,
                    _ => Blank::Line,
                };
                begin += len;
                match node.blank(blank, out) {
                    After::Go => continue,
                    end => break end,
                }
            }
            Err(error) => {
                out.extend_from_slice(format!("-ERR Protocol error: {error}\r\n").as_bytes());
                break After::Close;
            }
        };
        begin += len;
        let after = match overtaken {
            Some(_) => node.overtake(words, state, out).await,
            None if begin < input.len() && node.is_overtaken(&words, state).await => {
                overtaken = Some(words);
                After::Go
            }
            None => node.answer(words, state, out).await,
        };
        match after {
            After::Go => {}
            end => break end,
        }
    };
    if let Some(words) = overtaken.filter(|_| after == After::Go) {
        after = node.answer(words, state, out).await;
    }
    input.drain(..begin);
    after
}
