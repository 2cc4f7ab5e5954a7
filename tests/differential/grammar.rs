//! The table of commands (`commands.txt`) and how one of its lines becomes a request.

use super::argument::{self, Context};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

/// Words that stand for an argument; all others stand for themselves.
const KINDS: &[&str] = &[
    "key",
    "lexkey",
    "value",
    "element",
    "field",
    "member",
    "int",
    "delta",
    "index",
    "count",
    "rcount",
    "offset",
    "bitoffset",
    "bit",
    "float",
    "score",
    "weight",
    "scorebound",
    "lexbound",
    "secs",
    "ms",
    "unix",
    "unixms",
    "timeout",
    "pattern",
    "cursor",
    "pagesize",
    "db",
    "bftype",
    "bfoffset",
    "text",
    "commandname",
    "request",
];

/// All that can be generated.
#[derive(Debug)]
pub(crate) struct Grammar {
    families: Vec<Family>,
}

#[derive(Debug)]
struct Family {
    name: String,
    weight: usize,
    lines: Vec<Line>,
}

/// One command.
#[derive(Debug)]
struct Line {
    weight: usize,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Word(String),
    Argument(&'static str),
    Optional(Vec<Vec<Part>>),
    Choice(Vec<Vec<Part>>),
    Repeat { parts: Vec<Part>, often: bool },
    Counted(Vec<Part>),
}

/// One argument and what it was meant to be; empty for words.
#[derive(Clone, Debug)]
pub(crate) struct Argument {
    pub(crate) kind: &'static str,
    pub(crate) bytes: Vec<u8>,
}

impl Grammar {
    pub(crate) fn read() -> Self {
        let mut families: Vec<Family> = Vec::new();
        for line in include_str!("commands.txt").lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(head) = line.strip_prefix('[') {
                let (name, weight) = head.trim_end_matches(']').split_once(' ').unwrap();
                families.push(Family {
                    name: name.to_owned(),
                    weight: weight.parse().unwrap(),
                    lines: Vec::new(),
                });
                continue;
            }
            families.last_mut().unwrap().lines.push(read_line(line));
        }
        Self { families }
    }

    /// The first words of all commands.
    pub(crate) fn names(&self) -> Vec<&str> {
        let lines = self.families.iter().flat_map(|family| &family.lines);
        lines
            .filter_map(|line| {
                if let Part::Word(name) = &line.parts[0] { Some(name.as_str()) } else { None }
            })
            .collect()
    }

    /// A command whose name is wanted, and its arguments, all as the line has it.
    pub(crate) fn request(
        &self,
        rng: &mut StdRng,
        serial: u64,
        wanted: impl Fn(&str) -> bool,
    ) -> Vec<Argument> {
        loop {
            let family = self.families.choose_weighted(rng, |family| family.weight).unwrap();
            let line = family.lines.choose_weighted(rng, |line| line.weight).unwrap();
            if !matches!(&line.parts[0], Part::Word(name) if wanted(name)) {
                continue;
            }
            let context = Context { family: &family.name, tag: argument::tag(rng), serial };
            let mut expansion = Expansion {
                grammar: self,
                rng,
                context,
                counted: 1,
                series: None,
                out: Vec::new(),
            };
            expansion.all(&line.parts);
            return expansion.out;
        }
    }
}

/// A line on its way to a request.
struct Expansion<'a> {
    grammar: &'a Grammar,
    rng: &'a mut StdRng,
    context: Context<'a>,
    /// How many arguments the last counted part had.
    counted: usize,
    /// In a very long repetition, the number of the next element, so that elements differ.
    series: Option<usize>,
    out: Vec<Argument>,
}

impl Expansion<'_> {
    fn all(&mut self, parts: &[Part]) {
        let mut at = 0;
        while at < parts.len() {
            let optional =
                parts[at..].iter().take_while(|part| matches!(part, Part::Optional(_))).count();
            if optional == 0 {
                self.one(&parts[at]);
                at += 1;
                continue;
            }
            let mut group: Vec<_> = parts[at..at + optional].iter().collect();
            if self.rng.random_ratio(1, 3) {
                group.shuffle(self.rng);
            }
            for part in group {
                self.one(part);
            }
            at += optional;
        }
    }

    fn one(&mut self, part: &Part) {
        match part {
            Part::Word(word) => self.word(word),
            Part::Argument(kind) => self.argument(kind),
            Part::Choice(alternatives) => self.alternative(alternatives),
            Part::Optional(alternatives) => {
                if self.rng.random_ratio(2, 5) {
                    self.alternative(alternatives);
                    if self.rng.random_ratio(1, 16) {
                        self.alternative(alternatives);
                    }
                }
            }
            Part::Repeat { parts, often } => self.repeat(parts, *often),
            Part::Counted(parts) => {
                let times = self.times();
                self.counted = times;
                let said = if self.rng.random_ratio(1, 25) {
                    ["0", "-1", "abc", "1", "3", "9223372036854775807"]
                        .choose(self.rng)
                        .unwrap()
                        .to_string()
                } else {
                    times.to_string()
                };
                self.out.push(Argument { kind: "int", bytes: said.into() });
                (0..times).for_each(|_| self.all(parts));
            }
        }
    }

    fn alternative(&mut self, alternatives: &[Vec<Part>]) {
        let which = self.rng.random_range(0..alternatives.len());
        self.all(&alternatives[which]);
    }

    fn repeat(&mut self, parts: &[Part], often: bool) {
        let weights = matches!(parts[0], Part::Argument("weight")) && !self.rng.random_ratio(1, 12);
        let times = if weights { self.counted } else { self.times() };
        if often && self.rng.random_ratio(1, 70) {
            let first = self.rng.random_range(0..500);
            for i in 0..self.rng.random_range(60..600) {
                self.series = Some(first + i);
                self.all(parts);
            }
            self.series = None;
        } else {
            (0..times).for_each(|_| self.all(parts));
        }
    }

    fn times(&mut self) -> usize {
        match self.rng.random_range(0..20) {
            0..9 => 1,
            9..15 => 2,
            15..18 => 3,
            _ => self.rng.random_range(4..=7),
        }
    }

    fn word(&mut self, word: &str) {
        let mut bytes = word.as_bytes().to_vec();
        let all_upper = word.bytes().all(|b| !b.is_ascii_lowercase());
        match self.rng.random_range(0..10) {
            0 if all_upper => bytes.make_ascii_lowercase(),
            1 if all_upper => {
                for byte in &mut bytes {
                    if self.rng.random() {
                        byte.make_ascii_lowercase();
                    }
                }
            }
            _ => {}
        }
        self.out.push(Argument { kind: "", bytes });
    }

    fn argument(&mut self, kind: &'static str) {
        let bytes = match (kind, self.series) {
            ("commandname", _) => {
                let names = self.grammar.names();
                names.choose(self.rng).unwrap().to_lowercase().into_bytes()
            }
            ("request", _) => {
                let request =
                    self.grammar.request(self.rng, self.context.serial, |name| name != "COMMAND");
                return self.out.extend(request);
            }
            ("member" | "field" | "element", Some(n)) => format!("n{n}").into_bytes(),
            _ => argument::valid(self.rng, kind, self.context),
        };
        self.out.push(Argument { kind, bytes });
    }
}

fn read_line(line: &str) -> Line {
    let mut spaced = line.to_owned();
    for mark in ["[", "]", "(", ")", "{", "}!", "|"] {
        spaced = spaced.replace(mark, &format!(" {mark} "));
    }
    spaced = spaced.replace("# {", " #{ ").replace('}', " } ").replace("} !", "}!");
    let mut tokens: Vec<&str> = spaced.split_whitespace().rev().collect();
    let weight = tokens.last().and_then(|token| token.parse().ok());
    if weight.is_some() {
        tokens.pop();
    }
    let parts = sequence(&mut tokens);
    assert!(tokens.is_empty(), "a bracket too many: {line}");
    Line { weight: weight.unwrap_or(1), parts }
}

/// Reads parts up to a closing bracket, which stays, or a bar.
fn sequence(tokens: &mut Vec<&str>) -> Vec<Part> {
    let mut parts = Vec::new();
    while let Some(&token) = tokens.last() {
        if matches!(token, "]" | ")" | "}" | "}!" | "|") {
            break;
        }
        tokens.pop();
        parts.push(match token {
            "[" => Part::Optional(alternatives(tokens)),
            "(" => Part::Choice(alternatives(tokens)),
            "{" => {
                let parts = sequence(tokens);
                Part::Repeat { parts, often: tokens.pop() == Some("}!") }
            }
            "#{" => {
                let parts = sequence(tokens);
                tokens.pop();
                Part::Counted(parts)
            }
            word => match KINDS.iter().find(|kind| **kind == word) {
                Some(kind) => Part::Argument(kind),
                None => Part::Word(word.to_owned()),
            },
        });
    }
    parts
}

/// Reads alternatives up to and with their closing bracket.
fn alternatives(tokens: &mut Vec<&str>) -> Vec<Vec<Part>> {
    let mut all = vec![sequence(tokens)];
    while tokens.pop() == Some("|") {
        all.push(sequence(tokens));
    }
    all
}
