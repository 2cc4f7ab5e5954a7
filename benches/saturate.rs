//! As many requests as the answers allow: what one request costs, how many a second, and how long they take.

use crate::case::{Case, KEYS};
use crate::counter::Counter;
use crate::load::Pace;
use crate::measure::{Bench, Values, fill, timed};
use crate::subject::Subject;
use anyhow::Result;
use std::time::Duration;

impl Bench {
    /// Measures one case; `last_family` is what the stores hold now.
    pub(crate) fn saturate(&mut self, case: &Case, last_family: &mut String) -> Result<()> {
        if last_family != case.family() {
            case.family().clone_into(last_family);
            self.prepare(case)?;
        }
        self.find_refusals(case);
        self.interleave(&case.name, |bench, subject| {
            let mut fleet = bench.fleet(subject, case.clients)?;
            timed(subject, &mut fleet, &case.traffic(), |time| pace(case, time), bench.time)
        })?;
        self.count(case);
        Ok(())
    }

    /// Empties the stores in memory, and gives each subject the keys of the case.
    fn prepare(&mut self, case: &Case) -> Result<()> {
        self.ground.clear()?;
        for subject in &self.subjects {
            subject.clear()?;
            if let Err(why) = fill(subject, &case.fill(), KEYS) {
                self.record.refuse(&case.name, &subject.name, format!("{why:#}"));
            }
        }
        Ok(())
    }

    fn find_refusals(&mut self, case: &Case) {
        for subject in &self.subjects {
            if let Some(why) = subject.refusal(&case.probe()) {
                self.record.refuse(&case.name, &subject.name, why);
            }
        }
    }

    /// Counts system calls and instructions, in runs of their own that are not timed.
    fn count(&mut self, case: &Case) {
        if self.countable.is_empty() {
            return;
        }
        for subject in &self.subjects {
            if self.record.is_refused(&case.name, &subject.name) {
                continue;
            }
            match counts(self, case, subject) {
                Ok(values) => self.record.add(&case.name, &subject.name, 0, &values),
                Err(why) => {
                    let line = format!("counts of {} in {}: {why:#}", subject.name, case.name);
                    self.record.left_out.push(line);
                }
            }
        }
    }
}

fn pace(case: &Case, time: Duration) -> Pace {
    Pace::Closed { pipeline: case.pipeline, time }
}

fn counts(bench: &Bench, case: &Case, subject: &Subject) -> Result<Values> {
    let mut fleet = bench.fleet(subject, case.clients)?;
    let traffic = case.traffic();
    fleet.run(&traffic, pace(case, bench.time / 5))?;
    let counter = Counter::attach(subject.processes(), &bench.countable)?;
    let (outcome, counts) = counter.count(|| fleet.run(&traffic, pace(case, bench.time)))?;
    Ok(counts.into_iter().map(|(name, count)| (name, count / outcome.requests as f64)).collect())
}
