//! What all measurements share: who is measured, how often, and where the numbers go.

use crate::load::{Fleet, Outcome, Pace, Traffic};
use crate::record::Record;
use crate::subject::{Ground, Recipe, Subject};
use crate::verdict;
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How a subject is looked at whether it has come to rest, and how long that may take.
const REST_LOOK: Duration = Duration::from_millis(20);
const REST_MAX: Duration = Duration::from_secs(2);
/// The share of one core that a subject at rest may use.
const REST_SHARE_MAX: f64 = 0.1;

/// One run of the bench.
pub(crate) struct Bench {
    pub(crate) ground: Ground,
    /// Those that may be started afresh, and their programs.
    pub(crate) recipes: Vec<(&'static Recipe, PathBuf)>,
    /// Those that run, in the order of the columns.
    pub(crate) subjects: Vec<Subject>,
    pub(crate) rounds: usize,
    /// So many rounds are measured anew where a pass line stays open; none if 0.
    pub(crate) second_look: usize,
    /// How long one measurement takes.
    pub(crate) time: Duration,
    /// Threads of the load.
    pub(crate) threads: usize,
    /// What perf can count here.
    pub(crate) countable: Vec<&'static str>,
    pub(crate) record: Record,
}

/// The values of one measurement, by name.
pub(crate) type Values = Vec<(&'static str, f64)>;

impl Bench {
    /// The subjects as one round visits them: each round begins with another one, so that nobody always follows the same.
    pub(crate) fn turn(&self, round: usize) -> Vec<usize> {
        let count = self.subjects.len();
        (0..count).map(|place| (place + round) % count).collect()
    }

    /// Runs `measure` for each subject in turn, round after round, and once more where that leaves a pass line open: then only the second
    /// look counts, so that nothing is gained by looking until it fits. A subject that fails is left out of the rest of the case.
    pub(crate) fn interleave(
        &mut self,
        case: &str,
        mut measure: impl FnMut(&Self, &Subject) -> Result<Values>,
    ) -> Result<()> {
        self.rounds_of(case, self.rounds, |_| true, &mut measure)?;
        let open = verdict::open(&self.record, case);
        if self.second_look == 0 || open.is_empty() {
            return Ok(());
        }
        self.record.look_again(case, &open, self.second_look);
        self.rounds_of(case, self.second_look, |name| open.contains(name), &mut measure)
    }

    fn rounds_of(
        &mut self,
        case: &str,
        rounds: usize,
        is_wanted: impl Fn(&str) -> bool,
        measure: &mut impl FnMut(&Self, &Subject) -> Result<Values>,
    ) -> Result<()> {
        for round in 0..rounds {
            for number in self.turn(round) {
                let subject = &self.subjects[number];
                if !is_wanted(&subject.name) || self.record.is_refused(case, &subject.name) {
                    continue;
                }
                let result = measure(self, subject);
                wait_until_it_rests(subject, REST_MAX)?;
                let name = subject.name.clone();
                match result {
                    Ok(values) => self.record.add(case, &name, round, &values),
                    Err(why) => self.record.refuse(case, &name, format!("{why:#}")),
                }
            }
        }
        Ok(())
    }

    /// Connects clients to a subject.
    pub(crate) fn fleet(&self, subject: &Subject, clients: usize) -> Result<Fleet> {
        Fleet::connect(subject.addr(), clients, self.threads)
    }
}

/// Writes keys: everything `traffic` has, in order.
pub(crate) fn fill(subject: &Subject, traffic: &Traffic, requests: u64) -> Result<()> {
    let mut fleet = Fleet::connect(subject.addr(), 8, 1)?;
    no_errors(&fleet.run(traffic, Pace::Until { pipeline: 16, requests })?)
}

/// Sends for `time` after a fifth of it that does not count; returns what came of it and what it has cost the subject.
pub(crate) fn timed(
    subject: &Subject,
    fleet: &mut Fleet,
    traffic: &Traffic,
    pace: impl Fn(Duration) -> Pace,
    time: Duration,
) -> Result<Values> {
    no_errors(&fleet.run(traffic, pace(time / 5))?)?;
    let [own_before, behind_before] = subject.cpu()?;
    let outcome = fleet.run(traffic, pace(time))?;
    let [own, behind] = subject.cpu()?;
    no_errors(&outcome)?;
    let (own, behind) = (own.since(&own_before), behind.since(&behind_before));
    let requests = outcome.requests as f64;
    let micros = own.micros() / requests;
    Ok(vec![
        ("cpu_us", micros),
        ("cpu_user_us", micros * (1.0 - own.system_share())),
        ("cpu_system_us", micros * own.system_share()),
        ("behind_cpu_us", behind.micros() / requests),
        ("load_cpu_us", outcome.cpu.as_secs_f64() * 1e6 / requests),
        ("load_busy_share", outcome.cpu.as_secs_f64() / outcome.time.as_secs_f64()),
        ("requests_per_s", requests / outcome.time.as_secs_f64()),
        ("nulls_share", outcome.nulls as f64 / requests),
        ("p50_ms", outcome.millis(0.5)),
        ("p99_ms", outcome.millis(0.99)),
        ("p999_ms", outcome.millis(0.999)),
        ("max_ms", outcome.millis(1.0)),
    ])
}

pub(crate) fn no_errors(outcome: &Outcome) -> Result<()> {
    match &outcome.first_error {
        Some(text) => {
            bail!("{} of {} answers are errors: {text}", outcome.errors, outcome.requests)
        }
        None => Ok(()),
    }
}

/// Waits until a subject has done what it does in the background, at most so long: the next one is not to pay for it.
pub(crate) fn wait_until_it_rests(subject: &Subject, limit: Duration) -> Result<()> {
    let begin = Instant::now();
    let busy = |subject: &Subject| -> Result<f64> {
        let before = subject.cpu()?;
        let begin = Instant::now();
        std::thread::sleep(REST_LOOK);
        let used = subject
            .cpu()?
            .iter()
            .zip(&before)
            .map(|(now, then)| now.since(then).micros())
            .sum::<f64>();
        Ok(used / begin.elapsed().as_micros() as f64)
    };
    while busy(subject)? > REST_SHARE_MAX && begin.elapsed() < limit {}
    Ok(())
}
