//! The result of a run: for people, and as JSON with field names that stay.

use super::args::Plan;
use super::reply::Resp;
use super::tally::{Class, Incident, Second, Slow, Tally};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// The result. Latencies count from the moment a request was meant to be sent; `*_us` are microseconds, `*_s` seconds since the first
/// request, `unix_ms` milliseconds since 1970.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// What the exit status says: nothing was wrong.
    pub(crate) passed: bool,
    /// Whether a signal ended the run early.
    pub(crate) interrupted: bool,
    pub(crate) addr: String,
    pub(crate) run: String,
    pub(crate) seed: u64,
    pub(crate) resp: u8,
    pub(crate) clients: u64,
    pub(crate) pipeline: u64,
    pub(crate) keys: u64,
    pub(crate) mix: String,
    pub(crate) rate_wanted: u64,
    pub(crate) seconds_wanted: f64,
    /// From the first intended request to the last reply.
    pub(crate) seconds: f64,
    /// Replies a second over that time.
    pub(crate) rate: f64,
    pub(crate) requests: Requests,
    pub(crate) latency_us: Latency,
    /// The same from the moment the requests were really sent: what is left when the generator's own lateness is taken off. It hides
    /// stalls that kept the generator from sending.
    pub(crate) service_us: Latency,
    /// Wrong replies and wrong final states: `wrong_type`, `wrong_value`, `lost`, `doubled` and `reordered` of `classes`.
    pub(crate) wrong: u64,
    /// `error`, `missing_reply`, `extra_reply`, `garbled`, `unfinished` and `unverified` of `classes`.
    pub(crate) errors: u64,
    /// `connection_lost` and `unknown` of `classes`, and requests that a broken connection left unanswered or unsent.
    pub(crate) broken: u64,
    /// Every class, also those with 0.
    pub(crate) classes: BTreeMap<Class, u64>,
    /// Error replies by their first word.
    pub(crate) errors_by_word: BTreeMap<String, u64>,
    /// Reads that were in flight when their connection broke.
    pub(crate) reads_unanswered: u64,
    /// Requests that had not left us when their connection broke.
    pub(crate) dropped: u64,
    pub(crate) connect_failures: u64,
    /// Replies that could not be checked, since a wrong reply before them left nothing known of their key.
    pub(crate) unchecked: u64,
    /// Keys whose final state was read and compared.
    pub(crate) verified: u64,
    /// Keys whose final state was read, with nothing known to compare it with.
    pub(crate) adopted: u64,
    pub(crate) generator: Generator,
    pub(crate) timeline: Vec<Second>,
    /// The slowest batches by their slowest requests, slowest first.
    pub(crate) worst: Vec<Slow>,
    /// The first things that went wrong.
    pub(crate) incidents: Vec<Incident>,
}

/// Counts of requests.
#[derive(Debug, Serialize)]
pub(crate) struct Requests {
    pub(crate) planned: u64,
    pub(crate) sent: u64,
    pub(crate) replied: u64,
    /// First values, reads after doubt, final reads: not part of any figure here.
    pub(crate) beside: u64,
}

/// Latencies.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) mean: f64,
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) p99_9: u64,
    pub(crate) p99_99: u64,
    pub(crate) max: u64,
}

/// How well the generator itself kept up.
#[derive(Debug, Serialize)]
pub(crate) struct Generator {
    /// Processor time during the load, in percent of one core.
    pub(crate) cpu_percent: f64,
    /// How late it sent, when nothing but itself held it up. Part of the latencies.
    pub(crate) late_p99_us: u64,
    pub(crate) late_max_us: u64,
    /// How often sending waited because too many requests were outstanding.
    pub(crate) throttled: u64,
}

/// What the load stage took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) cpu_us: u64,
    pub(crate) wall_us: u64,
    /// When the first request was meant to be sent, in microseconds of the run's clock.
    pub(crate) start: u64,
}

const CLASSES: [Class; 13] = [
    Class::WrongType,
    Class::WrongValue,
    Class::Lost,
    Class::Doubled,
    Class::Reordered,
    Class::MissingReply,
    Class::ExtraReply,
    Class::Garbled,
    Class::Error,
    Class::ConnectionLost,
    Class::Unknown,
    Class::Unfinished,
    Class::Unverified,
];

impl Report {
    /// Sums up.
    pub(crate) fn new(
        plan: &Plan,
        tally: &Tally,
        spent: Spent,
        planned: u64,
        interrupted: bool,
    ) -> Self {
        let (wrong, errors, broken) = (tally.wrong(), tally.failures(), tally.broken());
        let seconds = tally.last_reply.saturating_sub(spent.start) as f64 / 1e6;
        let unread = plan.verify_end && tally.read_back == 0;
        Self {
            passed: wrong == 0 && errors == 0 && !unread && (broken == 0 || plan.allow_unknown),
            interrupted,
            addr: plan.target.addr.clone(),
            run: plan.run.clone(),
            seed: plan.seed,
            resp: if plan.target.resp == Resp::Three { 3 } else { 2 },
            clients: plan.volume.clients,
            pipeline: plan.volume.pipeline,
            keys: plan.keys,
            mix: plan.mix.to_string(),
            rate_wanted: plan.volume.rate,
            seconds_wanted: plan.volume.seconds,
            seconds,
            rate: if seconds > 0.0 { tally.replied as f64 / seconds } else { 0.0 },
            requests: Requests {
                planned,
                sent: tally.sent,
                replied: tally.replied,
                beside: tally.beside,
            },
            latency_us: Latency::of(&tally.latency, tally.latency_max),
            service_us: Latency::of(&tally.service, tally.service_max),
            wrong,
            errors,
            broken,
            classes: CLASSES.into_iter().map(|class| (class, tally.of(class))).collect(),
            errors_by_word: tally.errors.clone(),
            reads_unanswered: tally.reads_unanswered,
            dropped: tally.dropped,
            connect_failures: tally.connect_failures,
            unchecked: tally.unchecked,
            verified: tally.read_back - tally.adopted,
            adopted: tally.adopted,
            generator: Generator {
                cpu_percent: 100.0 * spent.cpu_us as f64 / spent.wall_us.max(1) as f64,
                late_p99_us: tally.late.value_at_quantile(0.99),
                late_max_us: tally.late.max(),
                throttled: tally.throttled,
            },
            timeline: tally.timeline.clone(),
            worst: tally.worst.clone(),
            incidents: tally.incidents.clone(),
        }
    }

    /// How often one thing went wrong.
    pub(crate) fn of(&self, class: Class) -> u64 {
        self.classes.get(&class).copied().unwrap_or(0)
    }
}

impl Latency {
    fn of(histogram: &Histogram<u64>, max: u64) -> Self {
        // The histogram rounds up.
        let at = |quantile| histogram.value_at_quantile(quantile).min(max);
        Self {
            mean: if histogram.is_empty() { 0.0 } else { histogram.mean() },
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Requests { planned, replied, .. } = self.requests;
        writeln!(
            f,
            "requests     {} of {} answered in {:.1} s: {}/s",
            grouped(replied),
            grouped(planned),
            self.seconds,
            grouped(self.rate.round() as u64)
        )?;
        for (title, l, from) in [
            ("latency", &self.latency_us, "the intended moment"),
            ("", &self.service_us, "the sending"),
        ] {
            let [p50, p90, p99, p99_9, max] = [l.p50, l.p90, l.p99, l.p99_9, l.max].map(ms);
            writeln!(
                f,
                "{title:<12} p50 {p50}  p90 {p90}  p99 {p99}  p99.9 {p99_9}  max {max}  from {from}"
            )?;
        }
        self.write_counts(f)?;
        self.write_worst(f)?;
        let g = &self.generator;
        write!(
            f,
            "generator    {:.1} % of a core, late by p99 {}, max {}",
            g.cpu_percent,
            ms(g.late_p99_us),
            ms(g.late_max_us)
        )?;
        if g.throttled > 0 {
            write!(
                f,
                "; waited {} times: too many requests were outstanding (--outstanding-max)",
                grouped(g.throttled)
            )?;
        }
        writeln!(f)?;
        let early = if self.interrupted { " (ended early)" } else { "" };
        match (self.passed, self.broken) {
            (true, 0) => write!(f, "PASS         nothing was wrong{early}"),
            (true, _) => write!(
                f,
                "PASS         nothing was wrong; connections broke, which is allowed here{early}"
            ),
            (false, _) => {
                write!(f, "FAIL         see above{early}; run {}, seed {}", self.run, self.seed)
            }
        }
    }
}

impl Report {
    fn write_counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |class| grouped(self.of(class));
        writeln!(
            f,
            "wrong        {}  (lost {}, doubled {}, reordered {}, other value {}, other type {})",
            grouped(self.wrong),
            of(Class::Lost),
            of(Class::Doubled),
            of(Class::Reordered),
            of(Class::WrongValue),
            of(Class::WrongType)
        )?;
        let words: Vec<_> = self
            .errors_by_word
            .iter()
            .map(|(word, count)| format!("{word} {}", grouped(*count)))
            .collect();
        writeln!(
            f,
            "errors       {}  (error replies {}{}, missing {}, extra {}, garbled {}, unfinished {})",
            grouped(self.errors),
            of(Class::Error),
            if words.is_empty() { String::new() } else { format!(": {}", words.join(" ")) },
            of(Class::MissingReply),
            of(Class::ExtraReply),
            of(Class::Garbled),
            of(Class::Unfinished)
        )?;
        if self.broken > 0 {
            writeln!(
                f,
                "broken       {} connections; in flight then: {} writes of unknown fate, {} reads; {} requests not yet sent; {} attempts to connect failed",
                of(Class::ConnectionLost),
                of(Class::Unknown),
                grouped(self.reads_unanswered),
                grouped(self.dropped),
                grouped(self.connect_failures)
            )?;
        }
        write!(f, "final state  {} keys read and compared", grouped(self.verified))?;
        for (count, what) in [
            (self.adopted, "could not be compared"),
            (self.of(Class::Unverified), "could not be read"),
        ] {
            if count > 0 {
                write!(f, ", {} {what}", grouped(count))?;
            }
        }
        writeln!(f)
    }

    fn write_worst(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const COMMAND: usize = 60;
        for (n, slow) in self.worst.iter().enumerate() {
            let title = if n == 0 { "slowest" } else { "" };
            let command = slow.command.get(..COMMAND).unwrap_or(&slow.command);
            writeln!(
                f,
                "{title:<12} {:>10}  at {:.3} s ({})  slot {:<5} {command}",
                ms(slow.latency_us),
                slow.at_s,
                clock_time(slow.unix_ms),
                slow.slot
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at_s, replies, errors, wrong, .. } = self;
        let [p50, p99, max] = [self.p50_us, self.p99_us, self.max_us].map(ms);
        write!(
            f,
            "{at_s:>5} s  {replies:>7} replies  p50 {p50:>9}  p99 {p99:>9}  max {max:>9}  errors {errors}  wrong {wrong}"
        )
    }
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = format!("{:?}", self.class);
        write!(
            f,
            "{class}: {:.3} s ({})  client {}",
            self.at_s,
            clock_time(self.unix_ms),
            self.client
        )?;
        if !self.key.is_empty() {
            write!(f, "  key {}  slot {}\n    sent     {}", self.key, self.slot, self.command)?;
        }
        for (name, text) in
            [("expected", &self.expected), ("got     ", &self.got), ("that is ", &self.detail)]
        {
            if !text.is_empty() {
                write!(f, "\n    {name} {text}")?;
            }
        }
        Ok(())
    }
}

/// A slow request on one line.
pub(crate) fn slow_line(slow: &Slow) -> String {
    let Slow { latency_us, at_s, unix_ms, client, slot, command, .. } = slow;
    format!(
        "slow: {}  at {at_s:.3} s ({})  client {client}  slot {slot}  {command}",
        ms(*latency_us),
        clock_time(*unix_ms)
    )
}

/// Milliseconds with as many digits as tell something.
fn ms(us: u64) -> String {
    match us {
        0..10_000 => format!("{:.2} ms", us as f64 / 1e3),
        _ => format!("{:.1} ms", us as f64 / 1e3),
    }
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The time of day in UTC.
fn clock_time(unix_ms: u64) -> String {
    let (s, ms) = (unix_ms / 1000 % 86_400, unix_ms % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}Z", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_readable() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(clock_time(1_700_000_000_123), "22:13:20.123Z");
        assert_eq!([60, 12_340].map(ms), ["0.06 ms", "12.3 ms"]);
    }
}
