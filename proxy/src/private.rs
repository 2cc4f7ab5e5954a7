//! Commands that block: each on a connection of its own, sent again with the time that is left when its slot moves.
//!
//! A command is sent again only if a node has said that it has not executed it, or if it was not sent at all; what a node that died may have
//! popped is popped once, and the client is told. The time counts from the client's sending, over all attempts.
//!
//! A command can be called off without losing an element: we close our half of the connection, and the node, which looks for that as long as
//! the command waits, either closes the other half, having taken nothing, or has popped before, and its reply is on the way.

use crate::gate::{Crossed, keys_of};
use crate::metrics::WorkerMetrics;
use crate::patience::Patience;
use crate::plan::Request;
use crate::pool::{Private, Unreachable};
use crate::registry::{Card, Unblock};
use crate::request::FlavourIndex;
use crate::routes::{NodeIndex, Way};
use crate::words;
use crate::worker::{AtNode, Worker};
use bytes::Bytes;
use cluster::Slot;
use cluster::route::Route;
use protocol::command::Command;
use protocol::reply::{Reply, Version};
use protocol::request::encode_request;
use smallvec::SmallVec;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// A command that blocks.
pub(crate) struct Blocking {
    frame: Vec<u8>,
    args: Vec<Vec<u8>>,
    keys: SmallVec<[Rc<[u8]>; 1]>,
    slot: Slot,
    flavour: FlavourIndex,
    version: Version,
    /// The argument that says how long, in seconds, and the end it means; no end if it is zero, or nonsense that the node shall judge.
    time: usize,
    end: Option<Instant>,
    began: Instant,
    card: Arc<Card>,
    nudge: Rc<Nudge>,
}

/// The least time a command is sent again with: zero would mean for ever.
const LEAST: Duration = Duration::from_millis(1);
/// The longest time that is taken for an end.
const MOST_S: f64 = 1e9;

const UNBLOCKED: &str = "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";
const STOPPING: &str =
    "-ERR slipway: the proxy is stopping; nothing was taken, send the command again\r\n";

/// A client that is blocked, as long as this lives.
struct Counted {
    metrics: Arc<WorkerMetrics>,
    card: Arc<Card>,
}

impl Counted {
    fn new(worker: &Worker, card: &Arc<Card>) -> Self {
        worker.metrics.blocked.add(1);
        card.turn_blocked();
        Self { metrics: Arc::clone(&worker.metrics), card: Arc::clone(card) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics.blocked.sub(1);
        self.card.turn_blocked();
    }
}

/// Why a command is called off though its client is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallOff {
    Unblock(Unblock),
    /// The proxy stops.
    Stop,
    /// The slot is filled with another node: the command goes on there.
    Filled,
}

/// Where a command that blocks is told that it is called off.
#[derive(Default)]
pub(crate) struct Nudge {
    why: Cell<Option<CallOff>>,
    knock: Notify,
}

impl Nudge {
    /// The first reason holds.
    pub(crate) fn call_off(&self, why: CallOff) {
        self.why.set(self.why.get().or(Some(why)));
        self.knock.notify_one();
    }

    /// What was said is done.
    fn clear(&self, why: CallOff) {
        if self.why.get() == Some(why) {
            self.why.set(None);
        }
    }

    async fn called_off(&self) -> CallOff {
        loop {
            if let Some(why) = self.why.get() {
                return why;
            }
            self.knock.notified().await;
        }
    }
}

/// Why there is no reply of a node.
enum End {
    /// The line for the client.
    Failed(String),
    /// Nothing was executed.
    CalledOff(CallOff),
}

/// Who sends a command that blocks.
pub(crate) struct Caller {
    pub(crate) flavour: FlavourIndex,
    pub(crate) version: Version,
    pub(crate) card: Arc<Card>,
    pub(crate) nudge: Rc<Nudge>,
}

impl Blocking {
    pub(crate) fn new(
        worker: &Worker,
        command: &'static Command,
        request: Request<'_>,
        slot: Slot,
        caller: Caller,
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
        let Caller { flavour, version, card, nudge } = caller;
        let (frame, began) = (request.frame.to_vec(), worker.now());
        let keys = keys_of(command, request);
        Self { frame, args, keys, slot, flavour, version, time, end, began, card, nudge }
    }

    /// The reply, however long it takes.
    pub(crate) async fn run(mut self, worker: Rc<Worker>) -> Bytes {
        let _counted = Counted::new(&worker, &self.card);
        match self.attempts(&worker).await {
            Ok(reply) => reply,
            Err(End::Failed(line)) => format!("-{line}\r\n").into(),
            Err(End::CalledOff(CallOff::Unblock(Unblock::Timeout))) => self.nothing(),
            Err(End::CalledOff(CallOff::Unblock(Unblock::Error))) => UNBLOCKED.into(),
            Err(End::CalledOff(CallOff::Stop | CallOff::Filled)) => STOPPING.into(),
        }
    }

    async fn attempts(&mut self, worker: &Rc<Worker>) -> Result<Bytes, End> {
        let mut patience = Patience::new();
        let mut sent = 0;
        loop {
            while worker.routes.way(self.slot) == Way::Held
                && (worker.is_locked(self.slot)
                    || worker.crossed(self.slot, self.flavour, &self.keys) == Crossed::NotYet)
            {
                self.nudge.clear(CallOff::Filled);
                self.pause(patience.locked(worker, self.slot)).await?;
                if self.is_over(worker) {
                    return Ok(self.nothing());
                }
            }
            self.nudge.clear(CallOff::Filled);
            let route = worker.routes.route(self.slot);
            let mut connection = match self.connect(worker, route, sent).await? {
                Ok(connection) => connection,
                Err(why) => {
                    self.pause(patience.unreachable(worker, route.node, why)).await?;
                    if self.is_over(worker) {
                        return Ok(self.nothing());
                    }
                    continue;
                }
            };
            if sent > 0 || self.began.elapsed() > LEAST {
                self.set_time_left();
            }
            sent += 1;
            let asked = Instant::now();
            let at_node = AtNode::new(worker, self.slot, &self.nudge);
            let reply = self.ask(worker, &mut connection).await;
            drop(at_node);
            let reply = match reply {
                Err(End::CalledOff(CallOff::Filled)) => {
                    self.nudge.clear(CallOff::Filled);
                    continue;
                }
                reply => reply?,
            };
            let Some(bounce) = words::bounce(&reply).filter(|_| worker.is_ours(route.node)) else {
                connection.give_back();
                return Ok(reply);
            };
            drop(connection);
            patience.pardon(asked.elapsed());
            self.pause(patience.turned_away(worker, route.node, &bounce)).await?;
            if self.is_over(worker) {
                return Ok(self.nothing());
            }
        }
    }

    /// A connection on which the command may be said, unless the node cannot be reached. Nothing of the command is sent.
    async fn connect(
        &self,
        worker: &Rc<Worker>,
        route: Route<NodeIndex>,
        sent: u32,
    ) -> Result<Result<Private, Unreachable>, End> {
        let connecting = async {
            let mut connection = worker.private(route.node, self.flavour).await?;
            let mut words = Vec::new();
            let slot = self.slot.to_string();
            if let Some(token) = route.token {
                words.push(["RESUME".to_owned(), slot, token.to_string()].to_vec());
            }
            if sent > 0 && worker.is_ours(route.node) {
                // It keeps its place among those who wait.
                let waited = self.began.elapsed().as_millis().to_string();
                words.push(["WAITED".to_owned(), waited].to_vec());
            }
            let patience = worker.config.upstream.reply_timeout;
            for word in words {
                let mut line = vec![&b"SLIPWAY"[..]];
                line.extend(word.iter().map(String::as_bytes));
                let mut frame = Vec::new();
                encode_request(&mut frame, &line);
                let late = || Err(format!("no reply within {} s", patience.as_secs()));
                let answer = timeout(patience, connection.ask(&frame)).await;
                answer.unwrap_or_else(|_| late()).map_err(Unreachable::Down)?;
            }
            Ok(connection)
        };
        tokio::select! {
            biased;
            why = self.nudge.called_off() => Err(End::CalledOff(why)),
            connected = connecting => Ok(connected),
        }
    }

    /// Says the command and waits for the reply. Called off, it is still answered if the node has executed it.
    async fn ask(&self, worker: &Worker, connection: &mut Private) -> Result<Bytes, End> {
        let addr = worker.routes.addr(connection.node());
        let lost = |why: String| {
            End::Failed(format!(
                "ERR slipway: connection to node {addr} lost, the command may or may not have been executed: {why}"
            ))
        };
        let called_off = tokio::select! {
            biased;
            reply = self.within_time(worker, connection.ask(&self.frame)) => return reply.map_err(lost),
            why = self.nudge.called_off() => why,
        };
        let patience = worker.config.upstream.reply_timeout;
        match connection.call_off(patience).await.map_err(lost)? {
            // Turned away at the last moment: not executed either.
            Some(reply) if words::bounce(&reply).is_none() => Ok(reply),
            _ => Err(End::CalledOff(called_off)),
        }
    }

    /// Waits, but not beyond the end of the command's time.
    async fn pause(&self, waiting: impl Future<Output = Result<(), String>>) -> Result<(), End> {
        let until_end = async {
            match self.end {
                Some(end) => sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            why = self.nudge.called_off() => Err(End::CalledOff(why)),
            waited = waiting => waited.map_err(End::Failed),
            () = until_end => Ok(()),
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

    fn is_over(&self, worker: &Worker) -> bool {
        worker.tick();
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
