//! One connection: reads what has arrived, runs every whole request in it, settles the log once, answers with one write. Hot path.
//!
//! Replies leave in the order of requests, and none before the log covers what it tells. A client that does not read its replies is not read
//! from any more once they exceed a limit. Commands that take long run elsewhere, and only this session waits for them. Invariant: no lock
//! and no thread-local buffer is held across an await.

mod burst;
mod proxied;
mod standing;
mod transaction;
mod turn;

pub(crate) use transaction::{Multi, Queued, Watch, Watches, watch_key};

use crate::buffers;
use crate::clients::Client;
use crate::engine::EngineError;
use crate::error::CommandError;
use crate::link::Link;
use crate::shared::Shared;
use crate::slots::now_ms;
use crate::stats::WorkerStats;
use crate::txn::Scratch;
use protocol::reply::{Reply, Version};
use protocol::slicer::Args;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;
use tokio::time::timeout;

/// Replies are sent when there are so many bytes of them, even if more requests are there.
const CHUNK_BYTES: usize = 256 << 10;

/// How long a client that is told to go may take to read its last replies.
const FAREWELL: Duration = Duration::from_secs(1);

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Lends this thread's buffers.
pub(crate) fn with_scratch<R>(run: impl FnOnce(&mut Scratch) -> R) -> R {
    SCRATCH.with_borrow_mut(run)
}

/// What a connection is and knows; the commands about the connection change it.
#[derive(Debug)]
pub struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(crate) stats: Arc<WorkerStats>,
    pub(crate) client: Arc<Client>,
    pub(crate) db: u8,
    pub(crate) version: Version,
    pub(crate) authenticated: bool,
    pub(crate) multi: Multi,
    pub(crate) link: Option<Link>,
    /// Whether replies are kept back (CLIENT REPLY).
    pub(crate) mute: Mute,
    /// A codis-server sends keys: whatever it is told is an acknowledgement.
    pub(crate) restores: bool,
    /// Close once what is in `out` is sent.
    pub(crate) closing: bool,
    /// Replies: sent up to `sent`, settled up to `settled`.
    pub(crate) out: Vec<u8>,
    sent: usize,
    settled: usize,
    /// The replies that are not settled: where they begin, and whether they acknowledge a write.
    unsettled: Vec<(usize, bool)>,
    /// How long the client has waited at former owners of the slot, for the next command that waits.
    pub(crate) waited: Duration,
    /// What a command wants done that takes time.
    later: Option<turn::Later>,
}

/// Whether replies are kept back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mute {
    Off,
    /// The reply of the next command is.
    Next,
    On,
}

/// Why a wait ended.
#[derive(Debug)]
enum Wake {
    Read(usize),
    Writable,
    Pushed,
    Closed,
}

impl Session {
    /// A session of a fresh connection.
    pub(crate) fn new(shared: Arc<Shared>, stats: Arc<WorkerStats>, client: Arc<Client>) -> Self {
        let authenticated = shared.settings.password().is_none();
        Self {
            shared,
            stats,
            client,
            db: 0,
            version: Version::Resp2,
            authenticated,
            multi: Multi::default(),
            link: None,
            mute: Mute::Off,
            restores: false,
            closing: false,
            out: Vec::new(),
            sent: 0,
            settled: 0,
            unsettled: Vec::new(),
            waited: Duration::ZERO,
            later: None,
        }
    }

    /// Serves the connection until either side closes it.
    pub(crate) async fn serve(mut self, mut stream: TcpStream) {
        let mut input = Input::default();
        if let Err(error) = self.serve_until_closed(&mut stream, &mut input).await {
            tracing::trace!(%error, client = self.client.id, "connection lost");
        }
        self.unwatch();
        self.leave_link();
        self.shared.clients.leave(&self.client);
        buffers::give(std::mem::take(&mut self.out));
        buffers::give(input.bytes);
    }

    async fn serve_until_closed(
        &mut self,
        stream: &mut TcpStream,
        input: &mut Input,
    ) -> io::Result<()> {
        loop {
            if !input.stalled {
                match self.wait(stream, input).await? {
                    // Killed before it sent this: whoever killed it has been told so.
                    Wake::Read(_) if self.client.killed.load(Relaxed) => return Ok(()),
                    Wake::Read(0) | Wake::Closed => return self.say_farewell(stream).await,
                    Wake::Read(bytes) => {
                        self.stats.bytes_in.add(bytes as u64);
                        self.client.active_ms.store(now_ms(), Relaxed);
                    }
                    Wake::Writable => {}
                    Wake::Pushed => {}
                }
            } else {
                // The client must read before it is served on.
                self.stats.output_waits.one();
                tokio::select! {
                    ready = stream.writable() => ready?,
                    () = self.client.stop.cancelled() => return Ok(()),
                }
            }
            self.send(stream).await?;
            if self.unsent() < self.shared.config.output_bytes_max {
                input.stalled = false;
                self.turn(stream, input).await?;
            }
            self.take_pushes();
            self.send(stream).await?;
            input.rest();
            if self.closing {
                return self.say_farewell(stream).await;
            }
        }
    }

    /// Waits for something to do.
    async fn wait(&self, stream: &mut TcpStream, input: &mut Input) -> io::Result<Wake> {
        let idle = self.shared.settings.idle_seconds();
        let wake = self.wake(stream, input);
        if idle == 0 || self.link.is_some() {
            return wake.await;
        }
        timeout(Duration::from_secs(idle), wake).await.unwrap_or(Ok(Wake::Closed))
    }

    /// As [`Self::wait`], however long the client is silent.
    ///
    /// # Cancel safety
    /// Safe to drop: what was read is in `input`.
    async fn wake(&self, stream: &mut TcpStream, input: &mut Input) -> io::Result<Wake> {
        let (mut reader, writer) = stream.split();
        tokio::select! {
            biased;
            bytes = read(&mut reader, &mut input.bytes) => bytes.map(Wake::Read),
            ready = writer.writable(), if self.unsent() > 0 => ready.map(|()| Wake::Writable),
            () = pushed(self.link.as_ref()), if self.link.is_some() => Ok(Wake::Pushed),
            () = self.client.stop.cancelled() => Ok(Wake::Closed),
        }
    }

    /// The session waits for the dashboard's order before it goes on.
    pub(crate) fn later_order(&mut self, order: crate::command::Order) {
        self.later = Some(turn::Later::Order(order));
    }

    /// The session waits for the word's answer before it goes on.
    pub(crate) fn later(&mut self, word: crate::command::Word) {
        self.later = Some(turn::Later::Word(word));
    }

    fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Settles the log and sends what the client takes now.
    async fn send(&mut self, stream: &TcpStream) -> io::Result<()> {
        if self.settled < self.out.len() {
            if let Err(error) = self.shared.wal.settle().await {
                self.unsettle(error);
            }
            self.settled = self.out.len();
            self.unsettled.clear();
        }
        while self.sent < self.out.len() {
            match stream.try_write(&self.out[self.sent..]) {
                Ok(bytes) => {
                    self.sent += bytes;
                    self.stats.bytes_out.add(bytes as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.sent == self.out.len() {
            buffers::give(std::mem::take(&mut self.out));
            (self.sent, self.settled) = (0, 0);
        } else if self.sent >= CHUNK_BYTES {
            self.out.drain(..self.sent);
            self.settled -= self.sent;
            self.sent = 0;
        }
        Ok(())
    }

    /// The log could not be written: what would acknowledge a write becomes an error. Such a write may or may not survive.
    fn unsettle(&mut self, error: EngineError) {
        self.shared.disk.note(&error);
        let line = CommandError::from(error).line();
        let tail = self.out.split_off(self.settled);
        let ends = self
            .unsettled
            .iter()
            .skip(1)
            .map(|(start, _)| *start)
            .chain([self.settled + tail.len()]);
        for ((start, is_write), end) in self.unsettled.iter().zip(ends) {
            if *is_write {
                Reply::new(&mut self.out, self.version).error(line.as_bytes());
            } else {
                self.out.extend_from_slice(&tail[start - self.settled..end - self.settled]);
            }
        }
    }

    /// A reply begins; `is_write`: it acknowledges a write.
    fn begin_reply(&mut self, is_write: bool) {
        if self.out.capacity() == 0 {
            self.out = buffers::take();
        }
        self.unsettled.push((self.out.len(), is_write));
    }

    fn take_pushes(&mut self) {
        if let Some(link) = &self.link {
            let start = self.out.len();
            link.pushes.drain_into(&mut self.out);
            if self.out.len() > start {
                self.unsettled.push((start, false));
            }
        }
    }

    /// Sends the last replies, for as long as the client reads them.
    async fn say_farewell(&mut self, stream: &TcpStream) -> io::Result<()> {
        let sending = async {
            self.send(stream).await?;
            while self.unsent() > 0 {
                stream.writable().await?;
                self.send(stream).await?;
            }
            Ok(())
        };
        timeout(FAREWELL, sending).await.unwrap_or(Ok(()))
    }

    fn leave_link(&mut self) {
        if let Some(link) = self.link.take() {
            for slot in link.sticky() {
                self.shared.slot(slot).forget(&link.pushes);
            }
        }
    }
}

/// What has arrived.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    /// Requests before it are done.
    at: usize,
    args: Args,
    /// Whole requests are left because the client does not read its replies.
    stalled: bool,
}

impl Input {
    /// Drops what is done; an idle connection gives its buffer back.
    fn rest(&mut self) {
        if self.at == self.bytes.len() {
            buffers::give(std::mem::take(&mut self.bytes));
        } else if self.at > 0 {
            self.bytes.drain(..self.at);
        }
        self.at = 0;
    }

    /// More of a request is on its way: makes room for it.
    fn expect(&mut self, more: usize) {
        self.bytes.reserve(more.min(READ_AHEAD_BYTES));
    }
}

/// Room made at once for a request that is not whole yet, whatever it announces.
const READ_AHEAD_BYTES: usize = 1 << 20;

/// Reads what is there to the end of `bytes`; while there is nothing, an empty buffer is not held.
async fn read(reader: &mut ReadHalf<'_>, bytes: &mut Vec<u8>) -> io::Result<usize> {
    poll_fn(|context| {
        if bytes.capacity() == 0 {
            *bytes = buffers::take();
        } else if bytes.len() == bytes.capacity() {
            bytes.reserve(buffers::BYTES);
        }
        let polled = pin!(reader.read_buf(bytes)).poll(context);
        if polled.is_pending() && bytes.is_empty() {
            buffers::give(std::mem::take(bytes));
        }
        polled
    })
    .await
}

async fn pushed(link: Option<&Link>) {
    match link {
        Some(link) => link.pushes.arrived().await,
        None => std::future::pending().await,
    }
}
