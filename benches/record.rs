//! Everything that was measured, as one flat list: what a table, a plot, a verdict and the JSON file are made of.

use crate::machine::Machine;
use crate::statistics::{Estimate, median};
use crate::subject::Kind;
use std::collections::{BTreeMap, BTreeSet};

/// One number: what was measured of whom, in which case and round.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Sample {
    pub(crate) case: String,
    pub(crate) subject: String,
    pub(crate) round: usize,
    /// By name; the unit is the end of the name.
    pub(crate) values: BTreeMap<&'static str, f64>,
}

/// Who was measured.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) version: String,
}

/// A whole run of the bench.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Record {
    pub(crate) machine: Machine,
    /// How to repeat it.
    pub(crate) command: String,
    pub(crate) subjects: Vec<Measured>,
    /// What could not be counted or was not found, in words.
    pub(crate) left_out: Vec<String>,
    /// By case and subject: why there are no numbers.
    pub(crate) refused: BTreeMap<String, BTreeMap<String, String>>,
    /// By case: who was measured a second time, and in how many rounds.
    pub(crate) second_looks: BTreeMap<String, (BTreeSet<String>, usize)>,
    pub(crate) samples: Vec<Sample>,
}

impl Record {
    /// Nothing is measured yet.
    pub(crate) fn of(machine: Machine) -> Self {
        Self {
            machine,
            command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
            subjects: Vec::new(),
            left_out: Vec::new(),
            refused: BTreeMap::new(),
            second_looks: BTreeMap::new(),
            samples: Vec::new(),
        }
    }

    /// Puts numbers to a case, a subject and a round.
    pub(crate) fn add(
        &mut self,
        case: &str,
        subject: &str,
        round: usize,
        values: &[(&'static str, f64)],
    ) {
        let same = |s: &&mut Sample| s.case == case && s.subject == subject && s.round == round;
        let values = values.iter().copied();
        match self.samples.iter_mut().find(same) {
            Some(sample) => sample.values.extend(values),
            None => {
                let (case, subject) = (case.to_owned(), subject.to_owned());
                self.samples.push(Sample { case, subject, round, values: values.collect() });
            }
        }
    }

    /// Notes that a subject does not take a case.
    pub(crate) fn refuse(&mut self, case: &str, subject: &str, why: String) {
        self.refused.entry(case.to_owned()).or_default().insert(subject.to_owned(), why);
    }

    /// Whether it does not.
    pub(crate) fn is_refused(&self, case: &str, subject: &str) -> bool {
        self.refused.get(case).is_some_and(|subjects| subjects.contains_key(subject))
    }

    /// Forgets what was found of these subjects in a case: they are measured anew.
    pub(crate) fn look_again(&mut self, case: &str, subjects: &BTreeSet<String>, rounds: usize) {
        self.samples.retain(|s| s.case != case || !subjects.contains(&s.subject));
        self.second_looks.insert(case.to_owned(), (subjects.clone(), rounds));
    }

    /// The cases in the order of measuring.
    pub(crate) fn cases(&self) -> Vec<&str> {
        let mut cases: Vec<&str> = Vec::new();
        for sample in &self.samples {
            if !cases.contains(&sample.case.as_str()) {
                cases.push(&sample.case);
            }
        }
        cases
    }

    /// The values of one kind, by round.
    pub(crate) fn values(&self, case: &str, subject: &str, value: &str) -> Vec<f64> {
        let of = |s: &&Sample| s.case == case && s.subject == subject;
        self.samples.iter().filter(of).filter_map(|s| s.values.get(value).copied()).collect()
    }

    /// The median of them, if there are any.
    pub(crate) fn median(&self, case: &str, subject: &str, value: &str) -> Option<f64> {
        let values = self.values(case, subject, value);
        (!values.is_empty()).then(|| median(&values))
    }

    /// Their median and how sure it is.
    pub(crate) fn estimate(&self, case: &str, subject: &str, value: &str) -> Option<Estimate> {
        Estimate::of(&self.values(case, subject, value))
    }
}
