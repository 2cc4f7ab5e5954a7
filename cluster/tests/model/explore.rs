//! Visits every state of a model, breadth first, and asks two things of it: does a property break, and can every state still be finished?
//!
//! Knows nothing of slots. A state is kept only until its successors are known; what stays of it is a fingerprint of 96 bits (that any two
//! of fifty million states share one has a probability below 10⁻¹³), its parent and its transitions: about 60 bytes. Breadth first, so the first
//! violation found is a shortest one; its steps are named by walking down to it once more.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

/// What is explored.
pub(crate) trait Model {
    type State: Copy + Hash;
    fn start(&mut self) -> Self::State;
    /// Everything that can happen next.
    fn steps(&mut self, state: &Self::State, steps: &mut Steps<Self::State>);
    /// Forgets differences that can never matter again.
    fn canonical(&self, state: &mut Self::State);
    /// The property that does not hold in this state.
    fn broken(&self, state: &Self::State) -> Option<String>;
    /// Whether everything that was begun has come to its end.
    fn finished(&self, state: &Self::State) -> bool;
    /// The state in a line, for people.
    fn sight(&self, state: &Self::State) -> String;
}

/// Whether a step may be counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A part does what it should: the way to the end may use it.
    Work,
    /// Something fails, or somebody interferes: the way to the end must not need it.
    Fault,
}

/// The successors of one state.
pub(crate) struct Steps<S> {
    list: Vec<(Kind, S, String)>,
    named: bool,
}

impl<S> Steps<S> {
    pub(crate) fn work(&mut self, state: S, name: impl FnOnce() -> String) {
        self.add(Kind::Work, state, name);
    }

    pub(crate) fn fault(&mut self, state: S, name: impl FnOnce() -> String) {
        self.add(Kind::Fault, state, name);
    }

    /// Names are made only for a counterexample.
    pub(crate) fn add(&mut self, kind: Kind, state: S, name: impl FnOnce() -> String) {
        let name = if self.named { name() } else { String::new() };
        self.list.push((kind, state, name));
    }
}

/// What came out.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// Every reachable state was visited, no property is broken, the end can be reached from each.
    Holds,
    /// A shortest way to a broken property.
    Broken { what: String, way: Way },
    /// A shortest way to a state from which the end cannot be reached.
    Stuck { states: usize, way: Way },
    /// The limit came first: no proof.
    CutOff,
}

/// How to get to a state.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) steps: Vec<String>,
    /// What it looks like there.
    pub(crate) end: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Explored {
    pub(crate) states: usize,
    pub(crate) transitions: usize,
    pub(crate) took: Duration,
    pub(crate) verdict: Verdict,
}

/// Visits at most `limit` states.
pub(crate) fn explore<M: Model>(model: &mut M, limit: usize) -> Explored {
    let begun = Instant::now();
    let mut graph = Graph::default();
    let verdict = visit(model, limit, &mut graph);
    Explored {
        states: graph.states(),
        transitions: graph.edges.len(),
        took: begun.elapsed(),
        verdict,
    }
}

fn visit<M: Model>(model: &mut M, limit: usize, graph: &mut Graph) -> Verdict {
    let start = model.start();
    graph.enter(fingerprint(&start), 0, model.finished(&start));
    let mut frontier = VecDeque::from([start]);
    let mut steps = Steps { list: Vec::new(), named: false };
    let mut at = 0_u32;
    while let Some(state) = frontier.pop_front() {
        steps.list.clear();
        model.steps(&state, &mut steps);
        for (kind, mut next, _) in steps.list.drain(..) {
            model.canonical(&mut next);
            let (id, new) = graph.enter(fingerprint(&next), at, false);
            graph.edges.push(id | if kind == Kind::Fault { FAULT } else { 0 });
            if !new {
                continue;
            }
            graph.finished[id as usize] = model.finished(&next);
            if let Some(what) = model.broken(&next) {
                return Verdict::Broken { what, way: graph.way(model, id) };
            }
            frontier.push_back(next);
        }
        graph.ends.push(graph.edges.len());
        at += 1;
        if graph.states() > limit {
            return Verdict::CutOff;
        }
    }
    let stuck = graph.stuck();
    stuck.first().map_or(Verdict::Holds, |first| Verdict::Stuck {
        states: stuck.len(),
        way: graph.way(model, *first),
    })
}

/// Marks an edge that is a fault.
const FAULT: u32 = 1 << 31;

/// What is kept of the states, by number in the order of their discovery.
#[derive(Default)]
struct Graph {
    parents: Vec<u32>,
    finished: Vec<bool>,
    /// Targets of the transitions of state 0, then of state 1, …
    edges: Vec<u32>,
    ends: Vec<usize>,
    /// Open addressing by the print's low bits.
    table: Vec<Entry>,
}

/// 96 bits of a state's print, and its number + 1; 0 is an empty place.
#[derive(Clone, Copy, Default)]
struct Entry {
    high: u64,
    low: u32,
    number: u32,
}

impl Graph {
    fn states(&self) -> usize {
        self.parents.len()
    }

    /// Returns the state's number, and whether it is new.
    fn enter(&mut self, print: Print, parent: u32, finished: bool) -> (u32, bool) {
        if self.table.len() * 3 < (self.states() + 1) * 5 {
            self.grow();
        }
        let place = self.place(print);
        if self.table[place].number != 0 {
            return (self.table[place].number - 1, false);
        }
        let id = self.states() as u32;
        assert!(id < FAULT - 1, "more states than an edge can name");
        self.table[place] = Entry { high: print.high, low: print.low, number: id + 1 };
        self.parents.push(parent);
        self.finished.push(finished);
        (id, true)
    }

    fn place(&self, print: Print) -> usize {
        let mask = self.table.len() - 1;
        let mut place = print.low as usize & mask;
        loop {
            let entry = self.table[place];
            if entry.number == 0 || (entry.high == print.high && entry.low == print.low) {
                return place;
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let wider = vec![Entry::default(); (2 * self.table.len()).max(1 << 10)];
        for entry in std::mem::replace(&mut self.table, wider) {
            if entry.number != 0 {
                let place = self.place(Print { high: entry.high, low: entry.low });
                self.table[place] = entry;
            }
        }
    }

    /// The states from which no way without faults leads to the end, in the order of their discovery.
    fn stuck(&self) -> Vec<u32> {
        let mut can = self.finished.clone();
        let mut changed = true;
        while changed {
            changed = false;
            // Most transitions lead to later states, so a few passes from the back are enough.
            for id in (0..can.len()).rev() {
                let begin = if id == 0 { 0 } else { self.ends[id - 1] };
                if !can[id]
                    && self.edges[begin..self.ends[id]]
                        .iter()
                        .any(|e| e & FAULT == 0 && can[*e as usize])
                {
                    can[id] = true;
                    changed = true;
                }
            }
        }
        (0..can.len() as u32).filter(|id| !can[*id as usize]).collect()
    }

    /// The names of the steps from the start to a state.
    fn way<M: Model>(&self, model: &mut M, to: u32) -> Way {
        let mut ids = vec![to];
        while let Some(id) = ids.last().copied().filter(|id| *id != 0) {
            ids.push(self.parents[id as usize]);
        }
        let mut prints: Vec<Print> = vec![Print::default(); ids.len()];
        for entry in self.table.iter().filter(|e| e.number != 0) {
            // On a shortest way numbers only rise.
            if let Ok(at) = ids.binary_search_by(|id| (entry.number - 1).cmp(id)) {
                prints[at] = Print { high: entry.high, low: entry.low };
            }
        }
        let mut state = model.start();
        let mut names = Vec::new();
        for print in prints.iter().rev().skip(1) {
            let mut steps = Steps { list: Vec::new(), named: true };
            model.steps(&state, &mut steps);
            steps.list.iter_mut().for_each(|(_, next, _)| model.canonical(next));
            let step = steps.list.into_iter().find(|(_, next, _)| fingerprint(next) == *print);
            let Some((_, next, name)) = step else { break };
            state = next;
            names.push(name);
        }
        Way { steps: names, end: model.sight(&state) }
    }
}

/// A state's fingerprint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Print {
    high: u64,
    low: u32,
}

fn fingerprint(state: &impl Hash) -> Print {
    let mut fold =
        Fold { left: 0x243F_6A88_85A3_08D3, right: 0x1319_8A2E_0370_7344, pending: 0, filled: 0 };
    state.hash(&mut fold);
    fold.print()
}

/// Two lanes of multiply-and-fold over the state's bytes, eight at a time.
struct Fold {
    left: u64,
    right: u64,
    pending: u64,
    filled: u32,
}

impl Fold {
    fn mix(&mut self, word: u64) {
        self.left = folded(self.left ^ word, 0x9E37_79B9_7F4A_7C15);
        self.right = folded(self.right.rotate_left(29) ^ word, 0xD6E8_FEB8_6659_FD93);
    }

    fn print(mut self) -> Print {
        self.mix(self.pending);
        let high = folded(self.left ^ self.right.rotate_left(32), 0xA076_1D64_78BD_642F);
        let low = folded(self.right ^ 0xE703_7ED1_A0B4_28DB, 0x8EBC_6AF0_9C88_C6E3);
        Print { high, low: (low >> 32) as u32 }
    }
}

fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64 ^ a.rotate_left(17)
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u8(*byte);
        }
    }
    fn write_u8(&mut self, n: u8) {
        self.pending |= u64::from(n) << self.filled;
        self.filled += 8;
        if self.filled == 64 {
            let word = self.pending;
            self.mix(word);
            (self.pending, self.filled) = (0, 0);
        }
    }
    /// Lengths and the numbers of an enum's variants: small.
    fn write_usize(&mut self, n: usize) {
        debug_assert!(n < 256, "a length that a byte cannot hold");
        self.write_u8(n as u8);
    }
    fn write_isize(&mut self, n: isize) {
        self.write_usize(n as usize);
    }
    fn finish(&self) -> u64 {
        self.left
    }
}
