//! A run: rounds until enough was compared; what it found, shrunk; and how much it covered.

use super::allowed::Allowed;
use super::duel::{Duel, Found};
use super::generator::{Generator, Shape, Step};
use super::grammar::Grammar;
use super::server::Server;
use super::shrink::shrink;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::{Duration, Instant};

const REPLY_MAX: Duration = Duration::from_secs(15);
/// While shrinking, a hang is repeated many times.
const REPLY_MAX_SHRINKING: Duration = Duration::from_secs(3);
const REQUESTS_A_ROUND: usize = 1000;
/// So many differences that look alike are shrunk.
const ALIKE_MAX: usize = 3;
/// From here on a run is full: it must have seen all that it is said to see.
const FULL: u64 = 100_000;

/// What is compared, and how long.
pub(crate) struct Run<'a> {
    pub(crate) redis: &'a Server,
    pub(crate) slipway: &'a Server,
    pub(crate) allowed: &'a Allowed,
    /// How many requests.
    pub(crate) requests: u64,
    pub(crate) seed: u64,
    /// A run that has found so many different faults has found enough.
    pub(crate) faults_max: usize,
}

/// What a run found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    pub(crate) rounds: u64,
    pub(crate) faults: Vec<Fault>,
    /// What differed in scripts, in words.
    pub(crate) scenarios: Vec<String>,
    pub(crate) served: BTreeMap<String, (u64, u64)>,
    pub(crate) took: Duration,
}

/// A difference with the shortest way to it.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) found: Found,
    pub(crate) steps: Vec<Step>,
    protocol: u8,
    round: u64,
}

/// How many requests a run sends, and from which seed: `DIFF_COMMANDS` and `DIFF_SEED`.
pub(crate) fn size_and_seed(usual: u64) -> (u64, u64) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let requests = number("DIFF_COMMANDS").unwrap_or(usual);
    (requests, number("DIFF_SEED").unwrap_or(1))
}

impl Run<'_> {
    pub(crate) fn report(&self) -> Report {
        let begin = Instant::now();
        let grammar = Grammar::read();
        let only: Option<u64> = std::env::var("DIFF_ROUND").ok().map(|text| text.parse().unwrap());
        let mut report = Report::default();
        let mut seen = Vec::new();
        let mut round = only.unwrap_or(0);
        while report.requests < self.requests && report.faults.len() < self.faults_max {
            let (protocol, steps) = self.round(&grammar, round);
            self.play_round(&mut report, &mut seen, (round, protocol), &steps);
            report.rounds += 1;
            round += 1;
            if only.is_some() {
                break;
            }
        }
        report.took = begin.elapsed();
        report
    }

    /// The steps of a round, and the version of RESP they are sent in.
    fn round(&self, grammar: &Grammar, round: u64) -> (u8, Vec<Step>) {
        let seed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(round);
        let protocol = if round.is_multiple_of(2) { 2 } else { 3 };
        let batch = [50, 50, 1, 10][(round / 2 % 4) as usize];
        let shape = Shape { batch, requests: REQUESTS_A_ROUND };
        (protocol, Generator::new(grammar, seed).round(shape))
    }

    fn play_round(
        &self,
        report: &mut Report,
        seen: &mut Vec<String>,
        (round, protocol): (u64, u8),
        steps: &[Step],
    ) {
        let duel = self.duel(protocol, REPLY_MAX);
        let outcome = duel.play(steps);
        report.requests += outcome.requests;
        for (name, (all, served)) in outcome.served {
            let sum = report.served.entry(name).or_default();
            *sum = (sum.0 + all, sum.1 + served);
        }
        let Some(found) = outcome.found else { return };
        // The round counts, or a server that fails in each would be asked for ever.
        report.requests += (steps.len() as u64).saturating_sub(outcome.requests);
        self.slipway.revive();
        // Two faults may look alike at first; many more are one.
        let alike = seen.iter().filter(|other| **other == found.signature()).count();
        if alike >= ALIKE_MAX {
            return;
        }
        seen.push(found.signature());
        let fault = self.shrunk(&found, protocol, round, steps);
        if !report.faults.iter().any(|other| other.is_like(&fault)) {
            report.faults.push(fault);
        }
    }

    fn duel(&self, protocol: u8, reply_max: Duration) -> Duel<'_> {
        Duel {
            redis: self.redis,
            slipway: self.slipway,
            allowed: self.allowed,
            protocol,
            reply_max,
        }
    }

    fn shrunk(&self, found: &Found, protocol: u8, round: u64, steps: &[Step]) -> Fault {
        let duel = self.duel(protocol, REPLY_MAX_SHRINKING);
        let signature = found.signature();
        let mut last = found.clone();
        let until_it = &steps[..=found.at.min(steps.len() - 1)];
        let steps = shrink(until_it, |steps| {
            let again = duel.play(steps).found.filter(|again| again.signature() == signature);
            if again.as_ref().is_some_and(|again| again.mismatch.slipway.is_lost()) {
                self.slipway.revive();
            }
            let fails = again.is_some();
            last = again.unwrap_or_else(|| last.clone());
            fails
        });
        Fault { found: last, steps, protocol, round }
    }
}

impl Fault {
    /// Whether the same commands, whatever their arguments, led to the same kind of difference.
    fn is_like(&self, other: &Self) -> bool {
        let names = |fault: &Self| fault.steps.iter().map(Step::name).collect::<Vec<_>>();
        self.found.signature() == other.found.signature() && names(self) == names(other)
    }
}

impl Report {
    /// Says everything, and fails if there is a difference, or if a full run has not seen what it should.
    #[expect(clippy::print_stdout, reason = "what a run covered is read by people")]
    pub(crate) fn conclude(&self, seed: u64, allowed: &Allowed) {
        let (requests, seconds) = (self.requests, self.took.as_secs_f64());
        println!("{requests} requests in {} rounds, {seconds:.1} s, DIFF_SEED={seed}", self.rounds);
        let (table, unused) = allowed.usage();
        print!("{table}");
        let served = |name: &str| self.served.get(name).copied().unwrap_or_default();
        let names: BTreeSet<_> = Grammar::read().names().into_iter().map(str::to_owned).collect();
        let never: Vec<_> =
            names.into_iter().filter(|name| name != "NONSENSE" && served(name).1 == 0).collect();
        assert!(
            self.faults.is_empty() && self.scenarios.is_empty(),
            "{}",
            self.faults_in_words(seed)
        );
        if self.requests >= FULL {
            assert!(
                never.is_empty(),
                "these were never sent so that Redis served them: {}",
                never.join(", ")
            );
            assert!(
                unused.is_empty(),
                "allowed.toml has lines that a full run never used:\n{}",
                unused.join("\n")
            );
        }
    }

    fn faults_in_words(&self, seed: u64) -> String {
        let mut text = format!(
            "{} differences in scripts, {} of generated requests\n",
            self.scenarios.len(),
            self.faults.len()
        );
        for scenario in &self.scenarios {
            let _ = writeln!(text, "\n{scenario}");
        }
        for (number, fault) in self.faults.iter().enumerate() {
            let Fault { found, steps, protocol, round } = fault;
            let _ = writeln!(
                text,
                "\n{}. {} (RESP{protocol}; DIFF_SEED={seed} DIFF_ROUND={round})",
                number + 1,
                found.topic()
            );
            for step in steps {
                let _ = writeln!(text, "   {step}");
            }
            let _ = writeln!(text, "   {}", super::generator::shown(&found.mismatch.request));
            let _ = write!(text, "{}", found.mismatch);
        }
        text
    }
}
