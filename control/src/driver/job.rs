//! A batch of requests to one node, and what each of its replies is about.

use crate::link::request;
use crate::state::{Debris, Group, State};
use crate::step::{Role, Word};
use cluster::{Epoch, GroupId, MigrationId, Slot, SlotRanges};
use std::collections::BTreeMap;

/// A batch of requests.
#[derive(Debug, Default)]
pub(super) struct Job {
    pub(super) requests: Vec<Vec<String>>,
    pub(super) subjects: Vec<Subject>,
}

/// What one reply is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The cluster, the slots, the pace.
    Greeting,
    Pace,
    Moves,
    /// All migrations the node knows.
    Survey,
    /// One word for one migration.
    One(Word, Named),
    /// One word for many; ARM is answered one by one, the others by one reply.
    Many(Word, Vec<Named>),
    Drop(MigrationId),
}

/// A migration's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) slot: Slot,
    pub(super) id: MigrationId,
    pub(super) epoch: Epoch,
}

/// The addresses that IMPORT and EXPORT say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends<'a> {
    pub(super) source: &'a str,
    pub(super) target: &'a str,
}

impl Job {
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    fn add(&mut self, subject: Subject, words: &[&str]) {
        self.requests.push(request(words));
        self.subjects.push(subject);
    }

    /// The first words to a node: whose it is, and who owns what. Slots that have a record there already keep it.
    pub(super) fn greet(state: &State, group: &Group) -> Self {
        let mut job = Self::default();
        job.add(Subject::Greeting, &["CLAIM", &state.cluster, &group.id.to_string()]);
        job.assign(state, group);
        job.pace(state.pace_bytes);
        job.add(Subject::Survey, &["MOVES"]);
        job
    }

    /// Who owns what. Slots that have a record at the node already keep it.
    pub(super) fn assign(&mut self, state: &State, group: &Group) {
        for ((epoch, owner), slots) in settled(state, group.id) {
            let owner = if owner == group.id {
                "OWNED"
            } else {
                state.group(owner).map_or("-", |g| &g.addr)
            };
            self.add(Subject::Greeting, &["ASSIGN", &epoch.to_string(), owner, &slots.to_string()]);
        }
        for (epoch, slots) in elsewhere(state) {
            self.add(Subject::Greeting, &["DISCLAIM", &epoch.to_string(), &slots.to_string()]);
        }
    }

    pub(super) fn pace(&mut self, bytes: u64) {
        self.add(Subject::Pace, &["PACE", &bytes.to_string()]);
    }

    pub(super) fn moves(&mut self, ids: &[MigrationId]) {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let words: Vec<&str> =
            std::iter::once("MOVES").chain(ids.iter().map(String::as_str)).collect();
        self.add(Subject::Moves, &words);
    }

    pub(super) fn drop(&mut self, debris: &Debris) {
        self.add(Subject::Drop(debris.id), &["DROP", &debris.id.to_string()]);
    }

    /// A word that is not said for many at a time.
    pub(super) fn one(&mut self, word: Word, named: Named, ends: Ends<'_>) {
        let (id, slot, epoch) =
            (named.id.to_string(), named.slot.to_string(), named.epoch.to_string());
        let subject = Subject::One(word, named);
        match word {
            Word::Import => self.add(subject, &["IMPORT", &id, &slot, &epoch, ends.source]),
            Word::Export => self.add(subject, &["EXPORT", &id, &slot, &epoch, ends.target]),
            Word::Where(_) => self.add(subject, &["WHERE", &slot]),
            Word::Abort => self.add(subject, &["ABORT", &id]),
            Word::Arm(_) | Word::Durable | Word::Clean => self.many(word, vec![named]),
        }
    }

    /// A word for many migrations: the node syncs once for all of them.
    pub(super) fn many(&mut self, word: Word, named: Vec<Named>) {
        let name = match word {
            Word::Arm(_) => "ARM",
            Word::Durable => "DURABLE",
            _ => "CLEAN",
        };
        // An owner keeps no migration's id: it is asked by the slot.
        let text = |n: &Named| {
            if word == Word::Durable { format!("{}:{}", n.slot, n.epoch) } else { n.id.to_string() }
        };
        let ids: Vec<String> = named.iter().map(text).collect();
        let words: Vec<&str> =
            std::iter::once(name).chain(ids.iter().map(String::as_str)).collect();
        self.add(Subject::Many(word, named), &words);
    }
}

/// The slots of nodes that are not ours, by epoch: whoever they move to must take what their nodes send, as a plain server does.
fn elsewhere(state: &State) -> BTreeMap<Epoch, SlotRanges> {
    let mut runs: BTreeMap<_, Vec<Slot>> = BTreeMap::new();
    for (slot, record) in state.records().filter(|(_, record)| !state.is_ours(record.group)) {
        runs.entry(record.epoch).or_default().push(slot);
    }
    runs.into_iter().map(|(epoch, slots)| (epoch, slots.into_iter().collect())).collect()
}

/// The slots of nodes of ours by epoch and owner, but for those that are moving to or from `group`: their records there are made by the migration.
fn settled(state: &State, group: GroupId) -> BTreeMap<(Epoch, GroupId), SlotRanges> {
    let mut runs: BTreeMap<_, Vec<Slot>> = BTreeMap::new();
    for (slot, record) in state.records() {
        let is_settled = record.moving.as_ref().is_none_or(|m| m.from != group && m.to != group);
        if is_settled && state.is_ours(record.group) {
            runs.entry((record.epoch, record.group)).or_default().push(slot);
        }
    }
    runs.into_iter().map(|(key, slots)| (key, slots.into_iter().collect())).collect()
}

impl Word {
    /// Whether many migrations can be named at once.
    pub(super) fn takes_many(self) -> bool {
        matches!(self, Self::Arm(_) | Self::Durable | Self::Clean)
    }

    /// The name of the place where a test can stop the controller before the word is said.
    pub(super) fn fail_point(self) -> &'static str {
        match self {
            Self::Import => "control.import",
            Self::Export => "control.export",
            Self::Arm(Role::Target) => "control.arm_target",
            Self::Arm(Role::Source) => "control.arm_source",
            Self::Durable => "control.durable",
            Self::Clean => "control.clean",
            Self::Abort => "control.abort",
            Self::Where(_) => "control.where",
        }
    }
}
