//! Every interleaving of a slot's handoff, with every fault: that it keeps its promises, and that no rule of it can be spared.
//!
//! `docs/MODEL.md` says what is modelled and what is not. `MODEL_SIZE=big` explores larger runs (minutes), `quick` smaller ones.

mod model {
    pub(crate) mod alphabet;
    pub(crate) mod config;
    pub(crate) mod control;
    pub(crate) mod explore;
    pub(crate) mod faults;
    pub(crate) mod forget;
    pub(crate) mod handoff;
    pub(crate) mod labels;
    pub(crate) mod node;
    pub(crate) mod pair;
    pub(crate) mod proxy;
    pub(crate) mod rules;
    pub(crate) mod runs;
    pub(crate) mod transfer;
    pub(crate) mod world;
}

use model::explore::{Explored, Verdict, explore};
use model::handoff::Handoff;
use model::pair::{Pair, PairRule};
use model::runs::{Size, broken, holding};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Mutex;

/// States a run may have: two runs at a time stay below 8 GiB.
const STATES_MAX: usize = 50_000_000;
/// Runs explored at the same time.
const THREADS: usize = 2;

/// One run: what is explored, and what must come of it.
struct Run {
    name: String,
    /// What must be found, if a rule is removed.
    wanted: Option<&'static str>,
    explore: Box<dyn FnOnce() -> Explored + Send>,
}

#[test]
fn every_interleaving_keeps_the_promises_and_no_rule_can_be_spared() {
    let runs = runs(size());
    let wanted = runs.iter().filter(|run| run.wanted.is_some()).count();
    let held = runs.len() - wanted;
    let queue = Mutex::new(VecDeque::from(runs));
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(run) = next_of(&queue) {
                    let (name, wanted) = (run.name.clone(), run.wanted);
                    let explored = (run.explore)();
                    say(&told(&name, wanted, &explored));
                    if !as_wanted(wanted, &explored.verdict) {
                        wrong.lock().unwrap().push(name);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "not as it must be: {wrong:?}");
    say(&format!("MODEL: {held} configurations hold, {wanted} removed rules caught\n"));
}

fn next_of(queue: &Mutex<VecDeque<Run>>) -> Option<Run> {
    queue.lock().ok()?.pop_front()
}

fn size() -> Size {
    match std::env::var("MODEL_SIZE").as_deref() {
        Ok("big") => Size::Big,
        Ok("normal") => Size::Normal,
        Ok("quick") => Size::Quick,
        _ if cfg!(debug_assertions) => Size::Quick,
        _ => Size::Normal,
    }
}

fn runs(size: Size) -> Vec<Run> {
    let mut runs = Vec::new();
    for (_, name, config) in holding().into_iter().filter(|(least, ..)| *least <= size) {
        let explore = move || explore(&mut Handoff::new(config), STATES_MAX);
        runs.push(Run { name: name.into(), wanted: None, explore: Box::new(explore) });
    }
    for (name, config, wanted) in broken() {
        let explore = move || explore(&mut Handoff::new(config), STATES_MAX);
        runs.push(Run {
            name: format!("without: {name}"),
            wanted: Some(wanted),
            explore: Box::new(explore),
        });
    }
    let pair = |name: &str, removed, wanted| {
        let attempts = if size == Size::Big { 3 } else { 2 };
        let explore = move || explore(&mut Pair::new(removed, attempts), STATES_MAX);
        Run { name: name.into(), wanted, explore: Box::new(explore) }
    };
    let each = "without: a command that is turned away closes each of its slots";
    runs.push(pair("commands over two slots", None, None));
    runs.push(pair(each, Some(PairRule::ClosesEach), Some("w2 (B) is out of order")));
    let all = "without: a command enters all its slots before it is executed";
    runs.push(pair(all, Some(PairRule::EntersAll), Some("m1 (A, B) is applied twice")));
    runs
}

fn as_wanted(wanted: Option<&str>, verdict: &Verdict) -> bool {
    match (wanted, verdict) {
        (None, Verdict::Holds) => true,
        (Some(wanted), Verdict::Broken { what, .. }) => what.starts_with(wanted),
        (Some(wanted), Verdict::Stuck { .. }) => wanted == "stuck",
        _ => false,
    }
}

/// A line for a run, and the counterexample if there is one.
fn told(name: &str, wanted: Option<&str>, explored: &Explored) -> String {
    let took = explored.took.as_secs_f64();
    let (states, transitions) = (explored.states, explored.transitions);
    let (result, way) = match &explored.verdict {
        Verdict::Holds => ("holds".into(), None),
        Verdict::Broken { what, way } => {
            (format!("broken in {} steps: {what}", way.steps.len()), Some(way))
        }
        Verdict::Stuck { states, way } => (
            format!(
                "stuck after {} steps: {states} states without a way to the end",
                way.steps.len()
            ),
            Some(way),
        ),
        Verdict::CutOff => ("cut off: no proof".into(), None),
    };
    let mark = if as_wanted(wanted, &explored.verdict) { "" } else { "NOT AS IT MUST BE: " };
    let mut text = format!(
        "{name:<70} {states:>9} states {transitions:>10} transitions {took:>6.1} s  {mark}{result}\n"
    );
    if let Some(way) = way {
        for (number, step) in way.steps.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "    {:>2}. {step}", number + 1);
        }
        let _ = writeln!(text, "        there: {}", way.end);
    }
    text
}

/// Past the test's capture: the figures are what a reader wants of a run.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    drop(written);
}
