//! Connections for commands that need one of their own: those that block, and those that touch every slot.
//!
//! A connection on which a request was turned away is dropped, not resumed: with it goes the node's memory of what is stuck on it.

use crate::request::FlavourIndex;
use crate::routes::{NOBODY, NodeIndex};
use crate::upstream::connect;
use crate::worker::Worker;
use bytes::{Bytes, BytesMut};
use protocol::slicer::ReplyScan;
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// A connection that nobody has used for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Connections of one kind serve the same commands.
type Kind = (NodeIndex, FlavourIndex);

/// The private connections of one worker that are not in use.
#[derive(Default)]
pub(crate) struct Pool {
    idle: RefCell<HashMap<Kind, Vec<(TcpStream, Instant)>>>,
    in_use: Cell<usize>,
}

/// A connection for one command at a time.
pub(crate) struct Private {
    worker: Rc<Worker>,
    key: Kind,
    stream: Option<TcpStream>,
    input: BytesMut,
}

impl Worker {
    /// A connection to a node for one's own use. The error is a line for the client, or why the node cannot be reached.
    pub(crate) async fn private(
        self: &Rc<Self>,
        node: NodeIndex,
        flavour: FlavourIndex,
    ) -> Result<Private, Unreachable> {
        let key = (node, flavour);
        let max = self.config.upstream.private_max;
        if self.pool.in_use.get() >= max {
            self.metrics.private_full.add(1);
            return Err(Unreachable::Full(max));
        }
        let mine = |stream| {
            self.pool.in_use.set(self.pool.in_use.get() + 1);
            self.metrics.private_connections.set(self.pool.in_use.get() as u64);
            Private { worker: Rc::clone(self), key, stream: Some(stream), input: BytesMut::new() }
        };
        while let Some((stream, _)) = self.pool.idle.borrow_mut().get_mut(&key).and_then(Vec::pop) {
            // Whatever there is to read, even the end, it is not the answer to what will be asked. The system is asked, not the runtime,
            // which hears of an end a moment later.
            let peeked = SockRef::from(&stream).peek(&mut [MaybeUninit::uninit()]);
            if peeked.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock) {
                return Ok(mine(stream));
            }
        }
        if node == NOBODY {
            return Err(Unreachable::Offline);
        }
        let addr = self.routes.addr(node);
        let connected = connect(&self.config, &addr, self.flavour(flavour)).await;
        let (stream, dialect) = connected.map_err(|(_, why)| Unreachable::Down(why))?;
        self.learn_dialect(node, dialect);
        Ok(mine(stream))
    }

    /// Closes private connections that nobody uses.
    pub(crate) fn trim_pool(&self) {
        let now = self.now();
        self.pool.idle.borrow_mut().retain(|_, idle| {
            idle.retain(|(_, since)| now.saturating_duration_since(*since) < IDLE_MAX);
            !idle.is_empty()
        });
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Unreachable {
    /// So many are in use.
    Full(usize),
    /// Nobody serves the slot.
    Offline,
    Down(String),
}

impl Private {
    /// Sends a request and waits for its reply, as long as it takes. The error is for people; the connection is of no use behind it.
    pub(crate) async fn ask(&mut self, frame: &[u8]) -> Result<Bytes, String> {
        self.stream()?.write_all(frame).await.map_err(|e| e.to_string())?;
        self.reply().await?.ok_or_else(|| "the node closed the connection".to_owned())
    }

    /// Says that no more will be asked, and returns the reply to what was, if the node has executed it. For a request whose [`Self::ask`] was
    /// dropped half-way; the connection is of no use behind it.
    pub(crate) async fn call_off(&mut self, limit: Duration) -> Result<Option<Bytes>, String> {
        self.stream()?.shutdown().await.map_err(|e| e.to_string())?;
        let late = || Err(format!("no end within {} s", limit.as_secs()));
        let reply = timeout(limit, self.reply()).await.unwrap_or_else(|_| late());
        // Half of it is closed: it must not be given back.
        self.stream = None;
        reply
    }

    /// The node it goes to.
    pub(crate) fn node(&self) -> NodeIndex {
        self.key.0
    }

    fn stream(&mut self) -> Result<&mut TcpStream, String> {
        self.stream.as_mut().ok_or_else(|| "the connection is gone".to_owned())
    }

    /// The next reply that is no push; nothing if the node has closed the connection.
    async fn reply(&mut self) -> Result<Option<Bytes>, String> {
        let mut scan = ReplyScan::default();
        loop {
            if let Some(len) = scan.scan(&self.input).map_err(|e| e.to_string())? {
                let reply = self.input.split_to(len).freeze();
                if reply.first() != Some(&b'>') {
                    return Ok(Some(reply));
                }
                continue;
            }
            let Some(stream) = &mut self.stream else { return Ok(None) };
            match stream.read_buf(&mut self.input).await {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(e) => return Err(e.to_string()),
            }
        }
    }

    /// Keeps the connection for the next one who needs it.
    pub(crate) fn give_back(mut self) {
        let pool = &self.worker.pool;
        let mut idle = pool.idle.borrow_mut();
        let of_key = idle.entry(self.key).or_default();
        if self.input.is_empty()
            && of_key.len() < self.worker.config.upstream.private_idle_max
            && let Some(stream) = self.stream.take()
        {
            of_key.push((stream, self.worker.now()));
        }
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let pool = &self.worker.pool;
        pool.in_use.set(pool.in_use.get() - 1);
        self.worker.metrics.private_connections.set(pool.in_use.get() as u64);
    }
}
