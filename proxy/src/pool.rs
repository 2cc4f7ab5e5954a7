//! Connections for commands that need one of their own: those that block, and those that touch every slot.
//!
//! A connection on which a request was turned away is dropped, not resumed: with it goes the node's memory of what is stuck on it.

use crate::request::FlavourIndex;
use crate::routes::NodeIndex;
use crate::upstream::connect;
use crate::worker::Worker;
use bytes::{Bytes, BytesMut};
use protocol::slicer::ReplyScan;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

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
            return Err(Unreachable::Full(max));
        }
        let mine = |stream| {
            self.pool.in_use.set(self.pool.in_use.get() + 1);
            self.metrics.private_connections.set(self.pool.in_use.get() as u64);
            Private { worker: Rc::clone(self), key, stream: Some(stream), input: BytesMut::new() }
        };
        while let Some((stream, _)) = self.pool.idle.borrow_mut().get_mut(&key).and_then(Vec::pop) {
            // Whatever there is to read, it is not the answer to what will be asked.
            let mut byte = [0];
            if stream.try_read(&mut byte).is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock) {
                return Ok(mine(stream));
            }
        }
        let addr = self.routes.addr(node);
        let stream = connect(self, &addr, self.flavour(flavour)).await;
        stream.map(mine).map_err(|(_, why)| Unreachable::Down(why))
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
    Down(String),
}

impl Private {
    /// Sends a request and waits for its reply, as long as it takes. The error is for people; the connection is of no use behind it.
    pub(crate) async fn ask(&mut self, frame: &[u8]) -> Result<Bytes, String> {
        let Some(stream) = &mut self.stream else {
            return Err("the connection is gone".to_owned());
        };
        stream.write_all(frame).await.map_err(|e| e.to_string())?;
        let mut scan = ReplyScan::default();
        loop {
            if let Some(len) = scan.scan(&self.input).map_err(|e| e.to_string())? {
                let reply = self.input.split_to(len).freeze();
                if reply.first() != Some(&b'>') {
                    return Ok(reply);
                }
                continue;
            }
            match stream.read_buf(&mut self.input).await {
                Ok(0) => return Err("the node closed the connection".to_owned()),
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
