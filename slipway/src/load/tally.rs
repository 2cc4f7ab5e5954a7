//! What happened in a run, counted.

use hdrhistogram::{CreationError, Histogram};
use serde::Serialize;
use std::collections::BTreeMap;

/// The longest latency told apart, in microseconds: an hour.
const LATENCY_US_MAX: u64 = 3_600_000_000;
/// How many incidents are kept and printed.
pub(crate) const INCIDENTS_MAX: usize = 20;
/// How many of the slowest batches are kept.
const WORST: usize = 10;
/// The most kinds of error lines told apart.
const ERROR_KINDS_MAX: usize = 100;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    /// A reply of a type that no reply to the command has.
    WrongType,
    /// A reply or a final state of another value, and none of the following three.
    WrongValue,
    /// An acknowledged write is not there.
    Lost,
    /// A write was executed twice.
    Doubled,
    /// Replies or list elements in another order.
    Reordered,
    /// A request without a reply.
    MissingReply,
    /// A reply without a request.
    ExtraReply,
    /// Bytes that are no reply.
    Garbled,
    /// An error reply.
    Error,
    /// The server closed a connection.
    ConnectionLost,
    /// A write that was in flight when its connection broke, or of which an error says that its fate is unknown.
    Unknown,
    /// Requests that were not sent or not answered when time was up.
    Unfinished,
    /// Keys whose final state could not be read.
    Unverified,
}

/// One thing that went wrong.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Incident {
    pub(crate) class: Class,
    /// Seconds since the first intended request; 0 while the first values are written.
    pub(crate) at_s: f64,
    pub(crate) unix_ms: u64,
    pub(crate) client: usize,
    pub(crate) key: String,
    pub(crate) slot: u16,
    pub(crate) command: String,
    pub(crate) expected: String,
    pub(crate) got: String,
    pub(crate) detail: String,
}

/// The slowest request of one of the slowest batches: the requests of a batch mostly wait together.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Slow {
    pub(crate) latency_us: u64,
    /// When it was meant to be sent, in microseconds of the run's clock.
    #[serde(skip)]
    pub(crate) intended: u64,
    /// The same in seconds since the first one.
    pub(crate) at_s: f64,
    /// The same in milliseconds since 1970.
    pub(crate) unix_ms: u64,
    /// How long after that it was handed to the connection.
    pub(crate) sent_late_us: u64,
    pub(crate) client: usize,
    pub(crate) key: String,
    pub(crate) slot: u16,
    pub(crate) command: String,
}

/// One second of the run, by the arrival of replies.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Second {
    /// Its beginning: seconds since the first intended request.
    pub(crate) at_s: u64,
    pub(crate) replies: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
    pub(crate) errors: u64,
    pub(crate) wrong: u64,
}

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Tally {
    /// From the intended moment to the arrival of the reply, in microseconds.
    pub(crate) latency: Histogram<u64>,
    /// From the handing over to the connection to the arrival of the reply: without the lateness of the generator, in microseconds.
    pub(crate) service: Histogram<u64>,
    /// How late the generator itself was: from the intended moment to the handing over, when nothing held it up but its own pace.
    pub(crate) late: Histogram<u64>,
    /// The greatest of each, which a histogram rounds.
    pub(crate) latency_max: u64,
    pub(crate) service_max: u64,
    second: Histogram<u64>,
    pub(crate) timeline: Vec<Second>,
    pub(crate) worst: Vec<Slow>,
    pub(crate) classes: BTreeMap<Class, u64>,
    /// Error replies by their first word.
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) incidents: Vec<Incident>,
    pub(crate) sent: u64,
    pub(crate) replied: u64,
    /// Requests beside the plan: first values, reads after doubt, the final reads.
    pub(crate) beside: u64,
    /// How often sending waited because too many requests were outstanding.
    pub(crate) throttled: u64,
    /// Reads that were in flight when their connection broke.
    pub(crate) reads_unanswered: u64,
    /// Requests that were not yet written when their connection broke, and so were not executed.
    pub(crate) dropped: u64,
    pub(crate) connect_failures: u64,
    /// Replies that could not be checked, since nothing was known of their key.
    pub(crate) unchecked: u64,
    /// Keys whose final state was read.
    pub(crate) read_back: u64,
    /// Those of them of which nothing was known.
    pub(crate) adopted: u64,
    /// When the last reply of the plan came, in microseconds of the run's clock.
    pub(crate) last_reply: u64,
}

impl Tally {
    /// Nothing happened yet.
    pub(crate) fn new() -> Result<Self, CreationError> {
        let histogram = || Histogram::new_with_bounds(1, LATENCY_US_MAX, 3);
        Ok(Self {
            latency: histogram()?,
            service: histogram()?,
            late: histogram()?,
            latency_max: 0,
            service_max: 0,
            second: histogram()?,
            timeline: Vec::new(),
            worst: Vec::new(),
            classes: BTreeMap::new(),
            errors: BTreeMap::new(),
            incidents: Vec::new(),
            sent: 0,
            replied: 0,
            beside: 0,
            throttled: 0,
            reads_unanswered: 0,
            dropped: 0,
            connect_failures: 0,
            unchecked: 0,
            read_back: 0,
            adopted: 0,
            last_reply: 0,
        })
    }

    /// A planned request was answered; returns its latency.
    pub(crate) fn replied(&mut self, intended: u64, sent: u64, received: u64) -> u64 {
        let (latency, service) = (received.saturating_sub(intended), received.saturating_sub(sent));
        self.replied += 1;
        self.last_reply = received;
        self.latency.saturating_record(latency);
        self.second.saturating_record(latency);
        self.service.saturating_record(service);
        self.latency_max = self.latency_max.max(latency);
        self.service_max = self.service_max.max(service);
        latency
    }

    /// Whether a request this slow belongs to the slowest.
    pub(crate) fn is_worst(&self, latency: u64) -> bool {
        self.worst.len() < WORST
            || self.worst.last().is_some_and(|least| least.latency_us < latency)
    }

    /// Keeps one of the slowest, one of each batch.
    pub(crate) fn keep_worst(&mut self, slow: Slow) {
        if let Some(at) = self
            .worst
            .iter()
            .position(|other| (other.client, other.intended) == (slow.client, slow.intended))
        {
            if self.worst[at].latency_us >= slow.latency_us {
                return;
            }
            self.worst.remove(at);
        }
        let at = self.worst.partition_point(|other| other.latency_us >= slow.latency_us);
        self.worst.insert(at, slow);
        self.worst.truncate(WORST);
    }

    /// Counts something that went wrong.
    pub(crate) fn count(&mut self, class: Class, times: u64) {
        *self.classes.entry(class).or_default() += times;
    }

    /// How often it went wrong.
    pub(crate) fn of(&self, class: Class) -> u64 {
        self.classes.get(&class).copied().unwrap_or(0)
    }

    /// Counts an error reply by its first word.
    pub(crate) fn count_error(&mut self, line: &str) {
        let word = line.split_ascii_whitespace().next().unwrap_or("(empty)");
        let known = self.errors.contains_key(word) || self.errors.len() < ERROR_KINDS_MAX;
        *self.errors.entry(if known { word } else { "(others)" }.to_owned()).or_default() += 1;
        self.count(Class::Error, 1);
    }

    /// Wrong replies and wrong final states.
    pub(crate) fn wrong(&self) -> u64 {
        [Class::WrongType, Class::WrongValue, Class::Lost, Class::Doubled, Class::Reordered]
            .map(|class| self.of(class))
            .iter()
            .sum()
    }

    /// Errors as a client sees them, but for those that belong to a broken connection.
    pub(crate) fn failures(&self) -> u64 {
        [
            Class::Error,
            Class::MissingReply,
            Class::ExtraReply,
            Class::Garbled,
            Class::Unfinished,
            Class::Unverified,
        ]
        .map(|class| self.of(class))
        .iter()
        .sum()
    }

    /// What a killed process costs its clients: connections, and requests that were in flight on them.
    pub(crate) fn broken(&self) -> u64 {
        self.of(Class::ConnectionLost)
            + self.of(Class::Unknown)
            + self.reads_unanswered
            + self.dropped
    }

    /// Ends a second of the run and returns it.
    pub(crate) fn roll(&mut self, at_s: u64) -> Second {
        let (errors, wrong) =
            self.timeline.iter().fold((0, 0), |sum, s| (sum.0 + s.errors, sum.1 + s.wrong));
        let empty = self.second.is_empty();
        let at = |quantile| if empty { 0 } else { self.second.value_at_quantile(quantile) };
        let ended = Second {
            at_s,
            replies: self.second.len(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            max_us: if empty { 0 } else { self.second.max() },
            errors: (self.failures() + self.broken()).saturating_sub(errors),
            wrong: self.wrong().saturating_sub(wrong),
        };
        self.second.reset();
        self.timeline.push(ended);
        ended
    }
}
