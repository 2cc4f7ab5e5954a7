//! One worker: a thread with its own runtime and its own accept socket. A session lives and dies on the worker that accepted it.

use crate::error::Error;
use crate::session::Session;
use crate::shared::Shared;
use crate::stats::WorkerStats;
use service::listener;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Starts a worker. It ends when `stop` is cancelled and its sessions have finished, or the grace is over.
pub(crate) fn start(
    shared: Arc<Shared>,
    index: usize,
    socket: TcpListener,
    stop: CancellationToken,
) -> Result<JoinHandle<()>, Error> {
    let failed = |what| move |source| Error::Io { what, source };
    socket.set_nonblocking(true).map_err(failed("cannot use the listening socket"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed("cannot start a worker"))?;
    let thread = std::thread::Builder::new().name(format!("node-worker-{index}"));
    let worker =
        Worker { stats: shared.stats.worker(index), shared, stop, sessions: TaskTracker::new() };
    let run = move || {
        if let Err(error) = runtime.block_on(worker.run(socket)) {
            tracing::error!(%error, index, "a worker cannot accept connections");
        }
    };
    thread.spawn(run).map_err(failed("cannot start a worker"))
}

struct Worker {
    shared: Arc<Shared>,
    stats: Arc<WorkerStats>,
    stop: CancellationToken,
    sessions: TaskTracker,
}

impl Worker {
    async fn run(self, socket: TcpListener) -> std::io::Result<()> {
        let socket = tokio::net::TcpListener::from_std(socket)?;
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = self.stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, addr)) => self.welcome(stream, addr),
                Err(error) => {
                    if let Some(pause) = listener::pause_after(&error) {
                        tracing::warn!(%error, "a connection cannot be accepted");
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        }
        drop(socket);
        self.sessions.close();
        let grace = self.shared.config.stop_grace;
        if timeout(grace, self.sessions.wait()).await.is_err() {
            tracing::warn!(
                sessions = self.sessions.len(),
                "sessions are dropped: the grace is over"
            );
        }
        Ok(())
    }

    fn welcome(&self, stream: TcpStream, addr: SocketAddr) {
        listener::prepare(&stream);
        let local = stream.local_addr().unwrap_or(addr);
        match self.shared.clients.enter(addr, local, self.stop.child_token()) {
            Some(client) => {
                self.stats.connections.one();
                let session = Session::new(self.shared.clone(), self.stats.clone(), client);
                self.sessions.spawn(session.serve(stream));
            }
            None => {
                self.stats.connections_refused.one();
                self.sessions.spawn(refuse(stream));
            }
        }
    }
}

async fn refuse(mut stream: TcpStream) {
    // The reply is best effort: the connection is closed in any case.
    let _ = stream.write_all(b"-ERR max number of clients reached\r\n").await;
}
