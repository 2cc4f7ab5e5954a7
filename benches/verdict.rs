//! The pass lines, as data beside the cases, and how a record stands to them.

use crate::record::Record;
use crate::statistics::Estimate;
use crate::subject::Kind;
use crate::{memory, moves, steady};
use serde::Serialize;
use std::collections::BTreeSet;

/// The subject that stands before plain servers as every peer does.
const PROXY: &str = "proxy";
const NODE: &str = "node";
/// The proxy to beat, and the store that is the floor.
const PREDIXY: &str = "predixy";
const REDIS: &str = "redis-server";

/// What a value is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Bar {
    /// The same value of this subject in the same round: the ratio must be low enough.
    RatioTo(&'static str),
    /// The same of whichever peer is the best.
    RatioToTheBest,
    /// What it adds to the value of this subject in the same round.
    AddedTo(&'static str),
    /// Nothing but itself.
    Itself,
    /// Itself; more is better.
    AtLeast,
}

/// One line: this value of this subject in this case must stay at or below `pass`; `stretch` is what is hoped for.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) case: String,
    pub(crate) subject: &'static str,
    pub(crate) value: &'static str,
    pub(crate) bar: Bar,
    pub(crate) pass: f64,
    pub(crate) stretch: f64,
}

/// How a record stands to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Standing {
    /// The whole interval is better than the line.
    Pass,
    /// The interval holds the line: measure longer, or on a calmer machine.
    Open,
    /// The whole interval is worse.
    Fail,
    /// The case was not measured, or there was nobody to compare with.
    Missing,
}

/// A line and what was found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    #[serde(flatten)]
    pub(crate) line: Line,
    /// Whom it was compared with.
    pub(crate) against: Option<String>,
    pub(crate) found: Option<Estimate>,
    pub(crate) standing: Standing,
}

/// All pass lines.
pub(crate) fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    let mut cost = |cases: &[&str], subject, bar, pass, stretch| {
        for case in cases {
            let case = format!("{case}-c50");
            lines.push(Line { case, subject, value: "cpu_us", bar, pass, stretch });
        }
    };
    let to_predixy = Bar::RatioTo(PREDIXY);
    let short = ["get64-P1", "set64-P1", "get64-P16", "set64-P16", "get64-P64", "set64-P64"];
    cost(&short, PROXY, to_predixy, 1.0, 0.8);
    cost(&["mget10-P1", "mget10-P16"], PROXY, Bar::RatioToTheBest, 0.9, 0.7);
    cost(&["mset10-P1", "mset10-P16"], PROXY, to_predixy, 1.0, 0.8);
    cost(&["get4k-P16", "set4k-P16"], PROXY, to_predixy, 1.0, 0.8);
    cost(&["get64-P1", "get64-P16"], NODE, Bar::RatioTo(REDIS), 1.5, 1.5);
    cost(&["set64-P1", "set64-P16"], NODE, Bar::RatioTo(REDIS), 2.5, 2.5);
    cost(
        &["get64-P1", "get64-P16", "set64-P1", "set64-P16"],
        NODE,
        Bar::RatioTo("pika"),
        0.35,
        0.35,
    );

    let mut moved = |case: &str, value, bar, pass| {
        let (case, subject, stretch) = (case.to_owned(), moves::SUBJECT, pass);
        lines.push(Line { case, subject, value, bar, pass, stretch });
    };
    moved(moves::EMPTY, "ms_per_slot", Bar::Itself, 10.0);
    moved(moves::SMALL, "keys_per_s", Bar::AtLeast, 100_000.0);
    moved(moves::LARGE, "mib_per_s", Bar::AtLeast, 100.0);
    moved(moves::LOADED, "p99_ratio", Bar::Itself, 1.3);
    moved(moves::LOADED, "stall_write_p99_ms", Bar::Itself, 9.0);
    moved(moves::LOADED, "errors", Bar::Itself, 0.0);

    let mut other = |case: &str, value, bar, pass, stretch| {
        lines.push(Line { case: case.to_owned(), subject: PROXY, value, bar, pass, stretch });
    };
    other(&steady::name(10_000), "p50_ms", Bar::AddedTo(REDIS), 0.06, 0.06);
    other(memory::CLIENTS, "rss_10000_used_mib", Bar::Itself, 47.0, 20.0);
    other(memory::CLIENTS, "kept_share", Bar::Itself, 0.5, 0.2);
    other(memory::BACKLOG, "answered", Bar::AtLeast, 200_000.0, 200_000.0);
    other(memory::BACKLOG, "errors", Bar::Itself, 0.0, 0.0);
    other(memory::BACKLOG, "rss_most_mib", Bar::Itself, 81.0, 61.0);
    lines
}

/// Holds a record against every line.
pub(crate) fn judge(record: &Record) -> Vec<Verdict> {
    lines().into_iter().map(|line| judge_one(record, line)).collect()
}

/// Those whose numbers in this case leave a line open, and all they are compared with there.
pub(crate) fn open(record: &Record, case: &str) -> BTreeSet<String> {
    let of_case: Vec<Verdict> =
        judge(record).into_iter().filter(|verdict| verdict.line.case == case).collect();
    let open: Vec<&str> = of_case
        .iter()
        .filter(|verdict| verdict.standing == Standing::Open)
        .map(|verdict| verdict.line.subject)
        .collect();
    of_case
        .iter()
        .filter(|verdict| open.contains(&verdict.line.subject))
        .flat_map(|verdict| [Some(verdict.line.subject.to_owned()), verdict.against.clone()])
        .flatten()
        .collect()
}

fn judge_one(record: &Record, line: Line) -> Verdict {
    let of = |subject: &str| record.values(&line.case, subject, line.value);
    let ours = of(line.subject);
    let (against, found) = match line.bar {
        Bar::RatioTo(peer) => (Some(peer.to_owned()), ratio(&ours, &of(peer))),
        Bar::AddedTo(floor) => {
            (Some(floor.to_owned()), Estimate::of_pairs(&ours, &of(floor), |a, b| a - b))
        }
        Bar::RatioToTheBest => {
            let peer = best_peer(record, &line);
            let found = peer.as_ref().and_then(|peer| ratio(&ours, &of(peer)));
            (peer, found)
        }
        Bar::Itself | Bar::AtLeast => (None, Estimate::of(&ours)),
    };
    let standing = standing(&line, found);
    Verdict { line, against, found, standing }
}

fn ratio(ours: &[f64], theirs: &[f64]) -> Option<Estimate> {
    Estimate::of_pairs(ours, theirs, |a, b| a / b)
}

fn standing(line: &Line, found: Option<Estimate>) -> Standing {
    let Some(Estimate { low, high, .. }) = found else { return Standing::Missing };
    let (better, worse) = match line.bar {
        Bar::AtLeast => (low >= line.pass, high < line.pass),
        _ => (high <= line.pass, low > line.pass),
    };
    match (better, worse) {
        (true, _) => Standing::Pass,
        (_, true) => Standing::Fail,
        _ => Standing::Open,
    }
}

/// The proxy of others with the lowest median.
fn best_peer(record: &Record, line: &Line) -> Option<String> {
    let is_peer = |name: &str, kind| kind == Kind::Proxy && !name.starts_with(PROXY);
    let peers = record.subjects.iter().filter(|subject| is_peer(&subject.name, subject.kind));
    let costs = peers.filter_map(|peer| {
        Some((record.median(&line.case, &peer.name, line.value)?, peer.name.clone()))
    });
    costs.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{self, Size};
    use crate::machine::Machine;

    fn at(median: f64, low: f64, high: f64, bar: Bar) -> Standing {
        let line = Line {
            case: String::new(),
            subject: PROXY,
            value: "cpu_us",
            bar,
            pass: 1.0,
            stretch: 0.8,
        };
        standing(&line, Some(Estimate { median, low, high }))
    }

    #[test]
    fn a_line_is_passed_when_the_whole_interval_is_below_it() {
        let bar = Bar::RatioTo(PREDIXY);
        assert_eq!(at(0.9, 0.8, 1.0, bar), Standing::Pass);
        assert_eq!(at(0.9, 0.8, 1.1, bar), Standing::Open);
        assert_eq!(at(1.2, 1.1, 1.3, bar), Standing::Fail);
        assert_eq!(at(1.2, 1.1, 1.3, Bar::AtLeast), Standing::Pass);
        assert_eq!(at(0.9, 0.8, 0.95, Bar::AtLeast), Standing::Fail);
    }

    #[test]
    fn who_leaves_a_line_open_is_measured_again_with_all_it_is_compared_with() {
        let mut record = Record::of(Machine::here());
        let subjects = [(NODE, 1.4), (REDIS, 1.0), ("pika", 9.0), (PROXY, 0.5), (PREDIXY, 1.0)];
        for round in 0..7 {
            for (subject, cost) in subjects {
                // The node's line to redis-server, 1.5, is inside what the rounds say; the proxy's is not.
                let swing = if subject == NODE { 0.1 * round as f64 } else { 0.0 };
                record.add("get64-P1-c50", subject, round, &[("cpu_us", cost + swing)]);
            }
        }
        let again: Vec<_> = open(&record, "get64-P1-c50").into_iter().collect();
        assert_eq!(again, ["node", "pika", "redis-server"]);
        assert!(open(&record, "get64-P16-c50").is_empty());

        record.look_again("get64-P1-c50", &again.into_iter().collect(), 25);
        assert!(record.values("get64-P1-c50", NODE, "cpu_us").is_empty());
        assert_eq!(record.values("get64-P1-c50", PROXY, "cpu_us").len(), 7);
    }

    #[test]
    fn a_short_run_measures_every_cost_that_has_a_line() {
        let measured: Vec<_> = case::all(Size::Small).into_iter().map(|case| case.name).collect();
        for line in lines().iter().filter(|line| line.value == "cpu_us") {
            assert!(measured.contains(&line.case), "{}", line.case);
        }
    }
}
