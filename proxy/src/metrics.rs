//! Everything a worker counts. Written by its worker only, read by anybody.

mod cell;
mod delay;
mod page;

pub(crate) use cell::{BUCKETS_US, Cell, Durations};
#[cfg(test)]
pub(crate) use delay::bucket;
pub(crate) use delay::{BUCKETS, Delays, LOWER_MS};
pub(crate) use page::Page;

use crate::session::replies::{Answered, Outcome};
use protocol::command::CommandId;
use std::sync::OnceLock;
use std::time::Duration;

/// What one worker has counted.
#[derive(Debug)]
pub(crate) struct WorkerMetrics {
    /// By `CommandId`; the last is for all names that no command has.
    pub(crate) commands: Box<[PerCommand]>,
    /// In the same order, from the first request on; none where nobody asks for percentiles.
    pub(crate) delays: Option<Box<[OnceLock<Box<Delays>>]>>,
    /// Requests over the threshold of the slow log.
    pub(crate) slow: Cell,
    pub(crate) clients: Cell,
    pub(crate) clients_accepted: Cell,
    pub(crate) clients_refused: Cell,
    /// Clients that were sent away behind an error of ours.
    pub(crate) broken_off: Cell,
    /// Clients that were gone before they had read all of their replies.
    pub(crate) unread: Cell,
    pub(crate) gone: [Cell; GONE.len()],
    pub(crate) receive_bytes: Cell,
    pub(crate) send_bytes: Cell,
    pub(crate) node_send_bytes: Cell,
    pub(crate) node_receive_bytes: Cell,
    pub(crate) unanswered_bytes: Cell,
    pub(crate) fanout_parts: Cell,
    pub(crate) refused: [Cell; REFUSED.len()],
    pub(crate) bounces: [Cell; BOUNCES.len()],
    pub(crate) pushes: Cell,
    pub(crate) redirects: Cell,
    /// Against what a dashboard has filled.
    pub(crate) strays: Cell,
    pub(crate) repeats: [Cell; REPEATS.len()],
    /// Requests sent to replicas.
    pub(crate) replica_requests: Cell,
    pub(crate) holds: [Cell; HOLDS.len()],
    pub(crate) holds_open: Cell,
    pub(crate) held: Cell,
    pub(crate) held_bytes: Cell,
    pub(crate) held_max: Cell,
    pub(crate) held_ended: [Cell; HELD_ENDS.len()],
    pub(crate) held_duration: Durations,
    pub(crate) where_asked: Cell,
    pub(crate) unseals: Cell,
    /// Keys that the source of a slot was told to move because a request needs them.
    pub(crate) passage_asks: Cell,
    /// How often it could not.
    pub(crate) passage_repeats: Cell,
    pub(crate) refreshes: Cell,
    pub(crate) back_pressure: [Cell; PRESSURE.len()],
    pub(crate) connects: [Cell; CONNECTS.len()],
    pub(crate) connections: Cell,
    pub(crate) private_connections: Cell,
    /// How often a command found as many in use as there may be.
    pub(crate) private_full: Cell,
    /// Commands that block right now.
    pub(crate) blocked: Cell,
    pub(crate) connections_lost: Cell,
    pub(crate) table_version: Cell,
}

/// Of one command.
#[derive(Debug, Default)]
pub(crate) struct PerCommand {
    pub(crate) results: [Cell; RESULTS.len()],
    pub(crate) duration: Durations,
    /// Whose client was gone before the reply could be written.
    pub(crate) lost: Cell,
}

/// How a request ended, as `Outcome` counts.
pub(crate) const RESULTS: [&str; 4] = ["ok", "error_reply", "proxy_error", "timeout"];

/// Makes an enum whose variants index an array of cells, and the array of its labels.
macro_rules! kinds {
    ($(#[$doc:meta])* $kind:ident $labels:ident { $($variant:ident $label:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $kind { $($variant),* }
        pub(crate) const $labels: [&str; [$($label),*].len()] = [$($label),*];
    };
}

kinds! { /** Why a client's connection ended. */ Gone GONE { Client "client", Idle "idle", Protocol "protocol", Killed "killed", Stop "stop", Io "io", Failure "failure" } }
kinds! { /** Why we answered with an error of our own. */ Refused REFUSED {
    Unknown "unknown_command", Unserved "refused", Arity "arity", CrossSlot "crossslot", NoAuth "noauth", NodeDown "node_down",
    UnknownFate "unknown_fate", HoldTimeout "hold_timeout", Http "http", Other "other",
} }
kinds! { /** The words that turn a request away. */ BounceKind BOUNCES { Hold "hold", Moved "moved", Ask "ask" } }
kinds! { /** Why a request was sent again. */ Repeat REPEATS { Bounced "bounced", Unsent "unsent", Read "read", Replica "replica" } }
kinds! { /** Why a replica is not read. */ Unfit UNFIT {
    Refused "refused", Lost "lost", Unreachable "unreachable", Loading "loading", LinkDown "link_down", NoReplica "no_replica",
} }
kinds! { /** Why a slot is held. */ HoldKind HOLDS { Bounce "bounce", NodeDown "node_down", Route "route", Fill "fill" } }
kinds! { /** How a held request went on. */ HeldEnd HELD_ENDS { Released "released", Timeout "timeout", NodeDown "node_down", } }
kinds! { /** Why a session was not read. */ Pressure PRESSURE { Hold "hold", Session "session", Process "process" } }
kinds! { /** How an attempt to connect to a node ended. */ Connect CONNECTS { Ok "ok", Refused "refused", Timeout "timeout", Handshake "handshake" } }

impl Refused {
    /// The kind of an error line of ours.
    pub(crate) fn of(line: &[u8]) -> Self {
        let is = |start: &str| line.starts_with(start.as_bytes());
        if is("NOAUTH") {
            Self::NoAuth
        } else if is("CROSSSLOT") {
            Self::CrossSlot
        } else if is("ERR wrong number of arguments") {
            Self::Arity
        } else if is("ERR command '") || is("ERR handle request, command '") {
            Self::Unserved
        } else {
            Self::Other
        }
    }
}

impl WorkerMetrics {
    pub(crate) fn new() -> Self {
        let commands = protocol::command::table().len() + 1;
        Self {
            commands: (0..commands).map(|_| PerCommand::default()).collect(),
            delays: None,
            slow: Cell::default(),
            clients: Cell::default(),
            clients_accepted: Cell::default(),
            clients_refused: Cell::default(),
            broken_off: Cell::default(),
            unread: Cell::default(),
            gone: Default::default(),
            receive_bytes: Cell::default(),
            send_bytes: Cell::default(),
            node_send_bytes: Cell::default(),
            node_receive_bytes: Cell::default(),
            unanswered_bytes: Cell::default(),
            fanout_parts: Cell::default(),
            refused: Default::default(),
            bounces: Default::default(),
            pushes: Cell::default(),
            redirects: Cell::default(),
            strays: Cell::default(),
            repeats: Default::default(),
            holds: Default::default(),
            holds_open: Cell::default(),
            held: Cell::default(),
            held_bytes: Cell::default(),
            held_max: Cell::default(),
            held_ended: Default::default(),
            held_duration: Durations::default(),
            where_asked: Cell::default(),
            unseals: Cell::default(),
            passage_asks: Cell::default(),
            passage_repeats: Cell::default(),
            refreshes: Cell::default(),
            replica_requests: Cell::default(),
            back_pressure: Default::default(),
            connects: Default::default(),
            connections: Cell::default(),
            private_connections: Cell::default(),
            private_full: Cell::default(),
            blocked: Cell::default(),
            connections_lost: Cell::default(),
            table_version: Cell::default(),
        }
    }

    /// Counts finely enough for percentiles.
    pub(crate) fn with_delays() -> Self {
        let new = Self::new();
        let delays = new.commands.iter().map(|_| OnceLock::new()).collect();
        Self { delays: Some(delays), ..new }
    }

    /// Requests that were answered and had the name of a command.
    pub(crate) fn requests(&self) -> u64 {
        let known = protocol::command::table().len();
        self.commands[..known].iter().flat_map(|c| &c.results).map(Cell::get).sum()
    }

    /// Requests that were answered with an error.
    pub(crate) fn errors(&self) -> u64 {
        self.commands.iter().flat_map(|c| &c.results[1..]).map(Cell::get).sum()
    }

    /// Nobody is there to be answered.
    pub(crate) fn lost(&self, command: CommandId) {
        self.commands[command.index().min(self.commands.len() - 1)].lost.add(1);
    }

    /// A request is answered.
    pub(crate) fn answered(&self, answered: Answered, took: Duration) {
        let index = answered.asked.command.index().min(self.commands.len() - 1);
        let result = match answered.outcome {
            Outcome::Ok => 0,
            Outcome::ErrorReply => 1,
            Outcome::ProxyError => 2,
            Outcome::Timeout => 3,
        };
        let command = &self.commands[index];
        command.results[result].add(1);
        command.duration.observe(took);
        if let Some(delays) = &self.delays {
            delays[index].get_or_init(Box::default).observe(took);
        }
    }
}
