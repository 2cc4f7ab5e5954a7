//! Commands that block: each on a connection of its own, sent again with the time that is left when its slot moves.

use crate::metrics::WorkerMetrics;
use crate::patience::Patience;
use crate::plan::Request;
use crate::request::FlavourIndex;
use crate::words;
use crate::worker::Worker;
use bytes::Bytes;
use cluster::Slot;
use protocol::command::Command;
use protocol::reply::{Reply, Version};
use protocol::request::encode_request;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A command that blocks.
pub(crate) struct Blocking {
    frame: Vec<u8>,
    args: Vec<Vec<u8>>,
    slot: Slot,
    flavour: FlavourIndex,
    version: Version,
    /// The argument that says how long, in seconds, and the end it means; no end if it is zero, or nonsense that the node shall judge.
    time: usize,
    end: Option<Instant>,
}

/// The least time a command is sent again with: zero would mean for ever.
const LEAST: Duration = Duration::from_millis(1);
/// The longest time that is taken for an end.
const MOST_S: f64 = 1e9;

/// A client that is blocked, as long as this lives.
struct Counted {
    metrics: Arc<WorkerMetrics>,
}

impl Counted {
    fn new(worker: &Worker) -> Self {
        worker.metrics.blocked.add(1);
        Self { metrics: Arc::clone(&worker.metrics) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics.blocked.sub(1);
    }
}

impl Blocking {
    pub(crate) fn new(
        worker: &Worker,
        command: &Command,
        request: Request<'_>,
        slot: Slot,
        of: (FlavourIndex, Version),
    ) -> Self {
        let args: Vec<Vec<u8>> = request.args.iter(request.frame).map(<[u8]>::to_vec).collect();
        let time = match command.name {
            "blmpop" | "bzmpop" => 1,
            _ => args.len() - 1,
        };
        let seconds =
            std::str::from_utf8(&args[time]).ok().and_then(|text| text.parse::<f64>().ok());
        let end = seconds
            .filter(|s| *s > 0.0 && *s < MOST_S)
            .map(|s| worker.now() + Duration::from_secs_f64(s));
        Self { frame: request.frame.to_vec(), args, slot, flavour: of.0, version: of.1, time, end }
    }

    /// The reply, however long it takes.
    pub(crate) async fn run(mut self, worker: Rc<Worker>) -> Bytes {
        let _counted = Counted::new(&worker);
        self.attempts(&worker).await.unwrap_or_else(|line| format!("-{line}\r\n").into())
    }

    async fn attempts(&mut self, worker: &Rc<Worker>) -> Result<Bytes, String> {
        let mut patience = Patience::new();
        loop {
            let route = worker.routes.route(self.slot);
            let mut connection = match worker.private(route.node, self.flavour).await {
                Ok(connection) => connection,
                Err(why) => {
                    patience.unreachable(worker, route.node, why).await?;
                    if self.is_over() {
                        return Ok(self.nothing());
                    }
                    continue;
                }
            };
            if let Some(token) = route.token {
                let mut resume = Vec::new();
                let (slot, token) = (self.slot.to_string(), token.to_string());
                encode_request(
                    &mut resume,
                    &[b"SLIPWAY", b"RESUME", slot.as_bytes(), token.as_bytes()],
                );
                connection.ask(&resume).await?;
            }
            let lost = |why: String| {
                let addr = worker.routes.addr(route.node);
                format!(
                    "ERR slipway: connection to node {addr} lost, the command may or may not have been executed: {why}"
                )
            };
            let reply =
                self.within_time(worker, connection.ask(&self.frame)).await.map_err(lost)?;
            let Some(bounce) = words::bounce(&reply).filter(|_| worker.are_nodes_ours()) else {
                connection.give_back();
                return Ok(reply);
            };
            drop(connection);
            let turned_away = patience.turned_away(worker, route.node, &bounce);
            match self.end {
                Some(end) => match timeout_at(end, turned_away).await {
                    Ok(waited) => waited?,
                    Err(_) => return Ok(self.nothing()),
                },
                None => turned_away.await?,
            }
            if self.is_over() {
                return Ok(self.nothing());
            }
            self.set_time_left();
            // Time on a node that took the command does not count as waiting for one.
            patience = if reply.starts_with(b"-XHOLD") { patience } else { Patience::new() };
        }
    }

    /// A node that does not answer when the time is up is given as long as any other command is.
    async fn within_time(
        &self,
        worker: &Worker,
        asked: impl Future<Output = Result<Bytes, String>>,
    ) -> Result<Bytes, String> {
        let Some(end) = self.end else { return asked.await };
        let patience = worker.config.upstream.reply_timeout;
        let late = || Err(format!("no reply for {} s after the time was up", patience.as_secs()));
        timeout_at(end + patience, asked).await.unwrap_or_else(|_| late())
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// The reply when time is up.
    fn nothing(&self) -> Bytes {
        let mut out = Vec::new();
        Reply::new(&mut out, self.version).null_array();
        out.into()
    }

    fn set_time_left(&mut self) {
        let Some(end) = self.end else { return };
        let left = end.saturating_duration_since(Instant::now()).max(LEAST);
        self.args[self.time] = format!("{:.3}", left.as_secs_f64()).into_bytes();
        let words: Vec<&[u8]> = self.args.iter().map(Vec::as_slice).collect();
        self.frame.clear();
        encode_request(&mut self.frame, &words);
    }
}
