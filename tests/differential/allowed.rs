//! The list of differences that are meant (`allowed.toml`), and how often each was seen.

use super::compare::{Mismatch, Rule};
use super::generator::shown;
use super::wire::Reply;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::fmt::Write;
use std::sync::OnceLock;

/// Where the subject stands.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    Node,
    Proxy,
    Both,
}

/// What a proxy's refusal depends on.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub(crate) enum When {
    #[serde(rename = "always")]
    Always,
    #[serde(rename = "keys in several slots")]
    KeysInSeveralSlots,
    #[serde(rename = "in a transaction")]
    InTransaction,
    #[serde(rename = "in a transaction, keys in several slots")]
    InTransactionKeysInSeveralSlots,
    /// Of an EXEC.
    #[serde(rename = "transaction in several slots")]
    TransactionInSeveralSlots,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Difference {
    pub(super) at: Place,
    pub(super) command: String,
    pub(super) redis: String,
    pub(super) slipway: String,
    pub(super) why: String,
    #[serde(skip)]
    used: Cell<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refusal {
    pub(super) commands: Vec<String>,
    #[serde(default)]
    pub(super) but: Vec<String>,
    pub(super) when: When,
    pub(super) slipway: Vec<String>,
    pub(super) why: String,
    #[serde(skip)]
    used: Cell<u64>,
}

/// Replies of which not every byte counts, whoever gives them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Loose {
    /// In upper case; a container with its subcommand.
    pub(crate) commands: Vec<String>,
    pub(crate) compared: Rule,
    pub(super) why: String,
}

/// The list, as it holds for one kind of subject.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Allowed {
    #[serde(default)]
    pub(super) difference: Vec<Difference>,
    #[serde(default)]
    pub(super) refusal: Vec<Refusal>,
    #[serde(default)]
    loose: Vec<Loose>,
}

/// What is compared loosely.
pub(crate) fn loose() -> &'static [Loose] {
    static LOOSE: OnceLock<Vec<Loose>> = OnceLock::new();
    LOOSE.get_or_init(|| Allowed::whole().loose)
}

impl Allowed {
    /// All of the list.
    pub(super) fn whole() -> Self {
        let all: Self = toml::from_str(include_str!("allowed.toml")).unwrap();
        let whys = (all.difference.iter().map(|line| &line.why))
            .chain(all.refusal.iter().map(|line| &line.why))
            .chain(all.loose.iter().map(|line| &line.why));
        assert!(whys.into_iter().all(|why| !why.is_empty()), "a line has no reason");
        all
    }

    /// The lines that are about a subject in that place.
    pub(crate) fn read(place: Place) -> Self {
        let mut all = Self::whole();
        all.difference.retain(|line| line.at == place || line.at == Place::Both);
        if place == Place::Node {
            all.refusal.clear();
        }
        all
    }

    /// The empty list.
    pub(crate) fn nothing() -> Self {
        Self::default()
    }

    /// Whether a difference is meant.
    pub(crate) fn has(&self, mismatch: &Mismatch) -> bool {
        let Mismatch { request, redis, slipway } = mismatch;
        let (request, redis, slipway) = (shown(request), redis.to_string(), slipway.to_string());
        let fits = |line: &&Difference| {
            matches(&line.command, &request)
                && matches(&line.redis, &redis)
                && matches(&line.slipway, &slipway)
        };
        let Some(line) = self.difference.iter().find(fits) else { return false };
        line.used.set(line.used.get() + 1);
        true
    }

    /// Whether any refusal is known, and it is worth finding out about slots.
    pub(crate) fn has_refusals(&self) -> bool {
        !self.refusal.is_empty()
    }

    /// The line by which this request is refused; `holds` tells whether a condition does.
    pub(crate) fn refusal(
        &self,
        request: &[Vec<u8>],
        holds: impl Fn(When) -> bool,
    ) -> Option<&Refusal> {
        let request = shown(request);
        let fits = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, &request));
        self.refusal
            .iter()
            .find(|line| holds(line.when) && fits(&line.commands) && !fits(&line.but))
    }

    /// How often each line was used, and which was not.
    pub(crate) fn usage(&self) -> (String, Vec<String>) {
        let differences = self
            .difference
            .iter()
            .map(|l| (format!("{} {} / {}", l.command, l.redis, l.slipway), l.used.get(), &l.why));
        let refusals = self.refusal.iter().map(|l| {
            let line = format!("{} refused: {:?}, {}", l.commands.join(", "), l.when, l.slipway[0]);
            (line, l.used.get(), &l.why)
        });
        let (mut table, mut unused) = (String::new(), Vec::new());
        for (line, used, why) in differences.chain(refusals) {
            let _ = writeln!(table, "{used:8}  {line}\n          {why}");
            if used == 0 {
                unused.push(line);
            }
        }
        (table, unused)
    }
}

impl Refusal {
    /// Whether this is the refusal it should be.
    pub(crate) fn is(&self, reply: &Reply) -> bool {
        let reply = reply.to_string();
        let fits = self.slipway.iter().any(|pattern| matches(pattern, &reply));
        if fits {
            self.used.set(self.used.get() + 1);
        }
        fits
    }
}

/// Whether a text fits a pattern in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_ascii_lowercase(), text.to_ascii_lowercase());
    let mut pieces = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    true
}

#[test]
fn a_star_stands_for_anything() {
    for (pattern, text, fits) in [
        ("abc", "ABC", true),
        ("abc", "abcd", false),
        ("a*", "abc", true),
        ("*c", "abc", true),
        ("a*c", "ac", true),
        ("ab*bc", "abc", false),
        ("*b*", "abc", true),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c", false),
    ] {
        assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
    }
}
