//! What a proxy is told: every setting with its unit, its default and its range.
//!
//! [`Config`] is checked once, before anything starts. A few settings can be changed while the proxy runs: those are in `live.rs`.

use crate::Error;
use cluster::SlotCount;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Everything a proxy is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that CONFIG REWRITE writes to, if there is one.
    pub file: Option<PathBuf>,
    /// How nodes know this proxy.
    pub name: String,
    /// Threads; each has its own listener, sessions and connections to nodes.
    pub workers: usize,
    /// Compared with every node's and with the table's.
    pub slot_count: SlotCount,
    /// Compared with every node's; `None` takes any.
    pub cluster: Option<String>,
    /// What the nodes behind are.
    pub nodes: Nodes,
    /// What codis-proxy's own file says, where a codis-dashboard fills the slots; `None` where our controller does.
    pub codis: Option<Arc<codis::config::Config>>,
    /// Asked of clients, as Redis' `requirepass`.
    pub client_password: Option<String>,
    /// Told to nodes.
    pub node_password: Option<String>,
    /// Databases a client may SELECT.
    pub databases: u32,
    pub limits: Limits,
    pub hold: Hold,
    pub upstream: Upstream,
    pub foreign: Foreign,
    pub slow_log: SlowLog,
    /// How long a proxy that is told to stop waits for its clients.
    pub stop_grace: Duration,
    /// A client that says nothing for so long is disconnected; zero: never.
    pub client_idle_max: Duration,
    /// Whether KEYS, FLUSHDB and FLUSHALL may go to all nodes.
    pub whole_cluster: WholeCluster,
}

/// What the nodes behind a proxy are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// Ours: linked, with bounces and pushes (`docs/WIRE.md`).
    Slipway,
    /// Ours and others, as our controller's table says. The proxies move the slots of the others (`docs/FOREIGN.md`).
    Mixed,
    /// Plain Redis servers: slots never move.
    Foreign,
}

/// Whether commands that touch every key of the cluster are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WholeCluster {
    Served,
    Refused,
}

/// What may be kept, at most. At a limit a socket is no longer read; an error is answered only where one request is too large.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Of one request.
    pub request: protocol::slicer::Limits,
    /// Connections of clients.
    pub clients_max: usize,
    /// Bytes of requests of one session that are not answered. At least 32 MiB, so that a client which writes a huge pipeline before it
    /// reads does not wait for ever.
    pub session_unanswered_bytes_max: usize,
    /// Requests of one session that are on their way at a time; the others wait as bytes.
    pub session_in_flight_max: usize,
    /// Bytes of replies a session keeps for a client that does not read, before it sends no more requests.
    pub session_reply_bytes_max: usize,
    /// Bytes of unanswered requests and unread replies of all sessions. Past it only sessions with nothing unanswered are read.
    pub process_unanswered_bytes_max: usize,
}

/// What happens to requests of a slot that nobody serves at the moment.
#[derive(Clone, Debug)]
pub struct Hold {
    /// Requests held for one slot, per worker.
    pub requests_per_slot_max: usize,
    /// Bytes of held requests of the process.
    pub bytes_max: usize,
    /// After so long the source is asked to give the handoff up, and the table is read again.
    pub soft: Duration,
    /// After so long a request is answered with an error.
    pub timeout: Duration,
    /// How long requests wait for a node that is down; zero: not at all.
    pub node_down: Duration,
    /// Held requests on their way at a time, when the hold has ended.
    pub drain_in_flight_max: u32,
}

/// Connections to nodes.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Per worker and node; a slot always uses the same one.
    pub connections: u16,
    pub connect_timeout: Duration,
    /// A node that leaves a request unanswered for so long is taken for dead.
    pub reply_timeout: Duration,
    /// The longest pause between two attempts to connect.
    pub retry_pause_max: Duration,
    /// Connections kept for commands that need one of their own, per worker and node.
    pub private_idle_max: usize,
    /// Connections for commands that need one of their own, of all nodes, per worker.
    pub private_max: usize,
}

/// Slots that leave Pika or codis-server (`docs/FOREIGN.md`).
#[derive(Clone, Debug)]
pub struct Foreign {
    /// How long a fill that moves a slot is held back while the slot is emptied, before it is refused for the time being.
    pub fill_wait: Duration,
    /// What a source may wait for a target that takes no byte of a key. Less than [`Upstream::reply_timeout`], so that it is the source that says
    /// how a move ended.
    pub move_timeout: Duration,
    /// Keys of one sweep on their way at a time.
    pub sweep_in_flight_max: usize,
    /// Keys of one slot and worker of which it is remembered that they have left the source.
    pub gone_keys_max: usize,
    /// Questions of one slot and worker to its source on their way at a time.
    pub asks_in_flight_max: usize,
    /// Keys that a slot of nodes with a password may have: their requests wait until the node has moved them.
    pub probed_keys_max: u64,
    /// How long it may take to find out whether a slot can move; its clients wait meanwhile.
    pub examine_timeout: Duration,
    /// Keys of one type in a slot that are looked at before it moves; streams are always found.
    pub examine_keys_max: usize,
    /// Keys written by commands that a Pika does not track, of which it is remembered that they were; half of them at least.
    pub noted_keys_max: usize,
    /// Scores of sorted sets that Pika would round to six decimals.
    pub fractional_scores: FractionalScores,
    /// Bytes of a slot's keys that Pika cannot send, and which are copied while the slot is locked; with more it stays where it is.
    pub carried_bytes_max: u64,
    /// Registers that are not 0 of a slot's HyperLogLogs, each half a millisecond of Pika's; with more it stays where it is.
    pub carried_registers_max: usize,
}

/// What becomes of a slot with scores that Pika would round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FractionalScores {
    /// It does not move.
    Refuse,
    /// It moves, and they are rounded.
    Round,
}

/// The slow log.
#[derive(Clone, Debug)]
pub struct SlowLog {
    /// Requests that take longer are kept; `None`: none.
    pub slower_than: Option<Duration>,
    /// How many are kept.
    pub len_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file: None,
            name: "proxy".to_owned(),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            slot_count: SlotCount::DEFAULT,
            cluster: None,
            nodes: Nodes::Slipway,
            codis: None,
            client_password: None,
            node_password: None,
            databases: 16,
            limits: Limits::default(),
            hold: Hold::default(),
            upstream: Upstream::default(),
            foreign: Foreign::default(),
            slow_log: SlowLog { slower_than: Some(Duration::from_millis(10)), len_max: 128 },
            stop_grace: Duration::from_secs(10),
            client_idle_max: Duration::ZERO,
            whole_cluster: WholeCluster::Served,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: protocol::slicer::Limits::default(),
            clients_max: 10_000,
            session_unanswered_bytes_max: 64 << 20,
            session_in_flight_max: 1024,
            session_reply_bytes_max: 1 << 20,
            process_unanswered_bytes_max: 1 << 30,
        }
    }
}

impl Default for Hold {
    fn default() -> Self {
        Self {
            requests_per_slot_max: 4096,
            bytes_max: 256 << 20,
            soft: Duration::from_millis(50),
            timeout: Duration::from_secs(10),
            node_down: Duration::from_secs(3),
            drain_in_flight_max: 128,
        }
    }
}

impl Default for Foreign {
    fn default() -> Self {
        Self {
            fill_wait: Duration::from_secs(5),
            move_timeout: Duration::from_secs(20),
            sweep_in_flight_max: 64,
            gone_keys_max: 16_384,
            asks_in_flight_max: 128,
            probed_keys_max: 20_000,
            examine_timeout: Duration::from_secs(2),
            examine_keys_max: 2_048,
            noted_keys_max: 65_536,
            fractional_scores: FractionalScores::Refuse,
            carried_bytes_max: 16 << 20,
            carried_registers_max: 1_500,
        }
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            connections: 1,
            connect_timeout: Duration::from_secs(1),
            reply_timeout: Duration::from_secs(30),
            retry_pause_max: Duration::from_millis(250),
            private_idle_max: 16,
            private_max: 10_000,
        }
    }
}

/// Databases of the nodes behind a codis-dashboard, at most: plain ones may have more than ours.
pub const CODIS_DATABASES_MAX: u32 = 1024;

impl Config {
    /// What codis-proxy's file says goes before what ours says. The settings that can be changed later are in `live.rs`.
    pub(crate) fn with_codis(mut self) -> Self {
        if let Some(codis) = &self.codis {
            let window = usize::try_from(codis.session_max_pipeline).unwrap_or(1).max(1);
            // At the limit we stop reading; Codis drops the request and the client.
            self.limits.session_in_flight_max = self.limits.session_in_flight_max.min(window);
            let databases = codis.backend_number_databases.clamp(1, CODIS_DATABASES_MAX.into());
            self.databases = databases as u32;
        }
        self
    }
}

/// The least a session must be able to keep unanswered.
const SESSION_BYTES_LEAST: usize = 32 << 20;

impl Config {
    /// Says what is out of range, by the key's name, with what is allowed.
    pub fn check(&self) -> Result<(), Error> {
        let limits = &self.limits;
        let databases_max = if self.codis.is_some() { CODIS_DATABASES_MAX } else { 16 };
        let rules = [
            ((1..=256).contains(&self.workers), "workers must be 1 to 256"),
            ((1..=databases_max).contains(&self.databases), "databases must be 1 to 16"),
            ((1..=64).contains(&self.upstream.connections), "upstream.connections must be 1 to 64"),
            // codis-proxy refuses everybody at zero.
            (
                limits.clients_max > 0 || self.codis.is_some(),
                "limits.clients_max must be at least 1",
            ),
            (
                limits.session_unanswered_bytes_max >= SESSION_BYTES_LEAST,
                "limits.session_unanswered_bytes_max must be at least 33554432 (32 MiB)",
            ),
            (
                (1..=1 << 20).contains(&limits.session_in_flight_max),
                "limits.session_in_flight_max must be 1 to 1048576",
            ),
            (
                limits.session_reply_bytes_max > 0,
                "limits.session_reply_bytes_max must be at least 1",
            ),
            (
                limits.process_unanswered_bytes_max >= SESSION_BYTES_LEAST,
                "limits.process_unanswered_bytes_max must be at least 33554432 (32 MiB)",
            ),
            (self.hold.requests_per_slot_max > 0, "hold.requests_per_slot_max must be at least 1"),
            (self.hold.drain_in_flight_max > 0, "hold.drain_in_flight_max must be at least 1"),
            (self.hold.soft <= self.hold.timeout, "hold.soft must not be longer than hold.timeout"),
            (
                !self.upstream.connect_timeout.is_zero(),
                "upstream.connect_timeout must be longer than zero",
            ),
            (
                !self.upstream.reply_timeout.is_zero(),
                "upstream.reply_timeout must be longer than zero",
            ),
            (self.upstream.private_max > 0, "upstream.private_max must be at least 1"),
            // A dashboard waits for a minute at most.
            (
                self.foreign.fill_wait <= FILL_WAIT_MAX,
                "foreign.fill_wait must not be longer than 50 s",
            ),
            (
                self.foreign.sweep_in_flight_max > 0,
                "foreign.sweep_in_flight_max must be at least 1",
            ),
            (self.foreign.asks_in_flight_max > 0, "foreign.asks_in_flight_max must be at least 1"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(Error::Config((*rule).to_owned())),
            None => Ok(()),
        }
    }
}

/// What `foreign.fill_wait` may be.
const FILL_WAIT_MAX: Duration = Duration::from_secs(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_ranges() {
        assert!(Config::default().check().is_ok());
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let mut config = Config::default();
        config.limits.session_unanswered_bytes_max = 1 << 20;
        let said = config.check().map_err(|e| e.to_string());
        assert_eq!(
            said,
            Err("limits.session_unanswered_bytes_max must be at least 33554432 (32 MiB)".to_owned())
        );
        assert!(Config { workers: 0, ..Config::default() }.check().is_err());
    }
}
