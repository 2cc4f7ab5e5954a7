//! One key as Redis would keep it: applies a command and says what the reply must be.
//!
//! Pure. The clock is an argument: a command was executed at some moment between its sending and the arrival of its reply, so a time to
//! live is known as an interval.

use super::expect::{Expect, Whole};
use super::op::Op;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// When a command was executed, at the earliest and at the latest, and how far clocks may differ; in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) margin: u64,
}

/// When a key expires, at the earliest and at the latest; in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    pub(crate) earliest: u64,
    pub(crate) latest: u64,
}

/// Whether a key that has a deadline is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    There,
    Gone,
    Either,
}

/// What a key holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Value {
    #[default]
    Missing,
    Text(Vec<u8>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    List(VecDeque<Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    Sorted(BTreeMap<Vec<u8>, f64>),
}

/// A key: its value and its deadline, if it has one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) value: Value,
    pub(crate) deadline: Option<Deadline>,
}

impl Window {
    fn deadline(self, life_ms: u64) -> Deadline {
        Deadline { earliest: self.sent + life_ms * 1000, latest: self.received + life_ms * 1000 }
    }
}

impl State {
    /// The value that a read of the whole key told.
    pub(crate) fn of(whole: Whole, deadline: Option<Deadline>) -> Self {
        let value = match whole {
            Whole::Nothing => Value::Missing,
            Whole::Text(text) => Value::Text(text),
            Whole::Elements(elements) => Value::List(elements.into()),
            Whole::Members(members) => Value::Set(members.into_iter().collect()),
            Whole::Fields(fields) => Value::Hash(fields.into_iter().collect()),
            Whole::Scores(scores) => Value::Sorted(scores.into_iter().collect()),
        };
        let mut state = Self { value, deadline };
        state.sweep();
        state
    }

    /// Whether the key was still there when a command met it.
    pub(crate) fn life(&self, window: Window) -> Life {
        match self.deadline {
            Some(deadline) if window.sent > deadline.latest + window.margin => Life::Gone,
            Some(deadline) if window.received + window.margin >= deadline.earliest => Life::Either,
            _ => Life::There,
        }
    }

    /// Executes `op` on a key that has not expired, and says what the reply must be.
    pub(crate) fn apply(&mut self, op: &Op, window: Window) -> Expect {
        let expect = match op {
            Op::Expire(s) => self.apply_key(&Op::PExpire(s * 1000), window),
            Op::PExpire(_) | Op::Persist | Op::PTtl | Op::Exists | Op::Type | Op::Del => {
                self.apply_key(op, window)
            }
            Op::Set { .. } | Op::SetNx { .. } | Op::Get | Op::GetSet { .. } | Op::GetDel => {
                self.apply_whole(op, window)
            }
            Op::Append { .. } | Op::SetRange { .. } | Op::StrLen => self.apply_text(op),
            Op::Incr | Op::IncrBy(_) | Op::GetNumber => self.apply_number(op),
            Op::HSet(_)
            | Op::HMSet(_)
            | Op::HIncrBy { .. }
            | Op::HGet(_)
            | Op::HDel(_)
            | Op::HGetAll
            | Op::HLen => self.apply_hash(op),
            Op::RPush(_) | Op::LPush(_) | Op::LPop | Op::RPop | Op::LRange { .. } | Op::LLen => {
                self.apply_list(op)
            }
            Op::SAdd(_) | Op::SRem(_) | Op::SIsMember(_) | Op::SCard | Op::SMembers => {
                self.apply_set(op)
            }
            Op::ZAdd(_)
            | Op::ZIncrBy { .. }
            | Op::ZScore(_)
            | Op::ZRem(_)
            | Op::ZCard
            | Op::ZRange => self.apply_sorted(op),
        };
        self.sweep();
        expect
    }

    /// An aggregate without elements is no key, and no key has no deadline.
    fn sweep(&mut self) {
        let empty = match &self.value {
            Value::Missing => true,
            Value::Text(_) => false,
            Value::Hash(fields) => fields.is_empty(),
            Value::List(elements) => elements.is_empty(),
            Value::Set(members) => members.is_empty(),
            Value::Sorted(scores) => scores.is_empty(),
        };
        if empty {
            *self = Self::default();
        }
    }

    fn exists(&self) -> bool {
        self.value != Value::Missing
    }

    fn apply_key(&mut self, op: &Op, window: Window) -> Expect {
        match op {
            Op::PExpire(_) if !self.exists() => Expect::Int(0),
            Op::PExpire(ms) => {
                self.deadline = Some(window.deadline(*ms));
                Expect::Int(1)
            }
            Op::Persist => Expect::Int(self.deadline.take().is_some().into()),
            Op::PTtl => match self.deadline {
                _ if !self.exists() => Expect::Int(-2),
                None => Expect::Int(-1),
                Some(deadline) => left(deadline, window),
            },
            Op::Exists => Expect::Int(self.exists().into()),
            Op::Del => Expect::Int(i64::from(std::mem::take(self).exists())),
            _ => Expect::Simple(match self.value {
                Value::Missing => "none",
                Value::Text(_) => "string",
                Value::Hash(_) => "hash",
                Value::List(_) => "list",
                Value::Set(_) => "set",
                Value::Sorted(_) => "zset",
            }),
        }
    }

    fn apply_whole(&mut self, op: &Op, window: Window) -> Expect {
        let set = |value: &[u8]| Self { value: Value::Text(value.to_vec()), deadline: None };
        match op {
            Op::Set { value, life_ms } => {
                *self = set(value);
                self.deadline = life_ms.map(|ms| window.deadline(ms));
                Expect::Simple("OK")
            }
            Op::SetNx { .. } if self.exists() => Expect::Nil,
            Op::SetNx { value } => {
                *self = set(value);
                Expect::Simple("OK")
            }
            Op::GetSet { value } => std::mem::replace(self, set(value)).get(),
            Op::GetDel => std::mem::take(self).get(),
            _ => self.get(),
        }
    }

    fn get(&self) -> Expect {
        match &self.value {
            Value::Text(text) => Expect::Bulk(text.clone()),
            _ => Expect::Nil,
        }
    }

    fn apply_text(&mut self, op: &Op) -> Expect {
        if matches!(op, Op::StrLen) && !self.exists() {
            return Expect::Count(0);
        }
        let text = self.text();
        match op {
            Op::Append { value } => text.extend_from_slice(value),
            Op::SetRange { offset, value } => {
                text.resize(text.len().max(offset + value.len()), 0);
                text[*offset..offset + value.len()].copy_from_slice(value);
            }
            _ => {}
        }
        Expect::Count(text.len() as i64)
    }

    fn apply_number(&mut self, op: &Op) -> Expect {
        let by = match op {
            Op::Incr => 1,
            Op::IncrBy(by) => *by,
            _ if self.exists() => return Expect::CountText(integer(self.text())),
            _ => return Expect::Nil,
        };
        let text = self.text();
        let sum = integer(text) + by;
        *text = sum.to_string().into_bytes();
        Expect::Count(sum)
    }

    fn apply_hash(&mut self, op: &Op) -> Expect {
        let hash = self.hash();
        match op {
            Op::HMSet(fields) => {
                hash.extend(fields.iter().cloned());
                Expect::Simple("OK")
            }
            Op::HSet(fields) => {
                let mut new = 0;
                for (field, value) in fields {
                    new += i64::from(hash.insert(field.clone(), value.clone()).is_none());
                }
                Expect::Int(new)
            }
            Op::HIncrBy { field, by } => {
                let sum = hash.get(field).map_or(0, |text| integer(text)) + by;
                hash.insert(field.clone(), sum.to_string().into_bytes());
                Expect::Count(sum)
            }
            Op::HGet(field) => {
                hash.get(field).map_or(Expect::Nil, |value| Expect::Bulk(value.clone()))
            }
            Op::HDel(field) => Expect::Int(hash.remove(field).is_some().into()),
            Op::HLen => Expect::Int(hash.len() as i64),
            _ => Expect::Fields(
                hash.iter().map(|(field, value)| (field.clone(), value.clone())).collect(),
            ),
        }
    }

    fn apply_list(&mut self, op: &Op) -> Expect {
        let list = self.list();
        let popped = |element: Option<Vec<u8>>| element.map_or(Expect::Nil, Expect::Bulk);
        match op {
            Op::RPush(elements) => list.extend(elements.iter().cloned()),
            Op::LPush(element) => list.push_front(element.clone()),
            Op::LPop => return popped(list.pop_front()),
            Op::RPop => return popped(list.pop_back()),
            Op::LRange { last } => {
                let count =
                    usize::try_from(last + 1).ok().filter(|&count| count > 0).unwrap_or(list.len());
                return Expect::Elements(list.iter().take(count).cloned().collect());
            }
            _ => {}
        }
        Expect::Count(list.len() as i64)
    }

    fn apply_set(&mut self, op: &Op) -> Expect {
        let set = self.set();
        Expect::Int(match op {
            Op::SAdd(members) => {
                members.iter().filter(|member| set.insert((*member).clone())).count() as i64
            }
            Op::SRem(member) => set.remove(member).into(),
            Op::SIsMember(member) => set.contains(member).into(),
            Op::SCard => set.len() as i64,
            _ => return Expect::Members(set.iter().cloned().collect()),
        })
    }

    fn apply_sorted(&mut self, op: &Op) -> Expect {
        let scores = self.sorted();
        match op {
            Op::ZAdd(members) => {
                let is_new = |(member, score): &&(Vec<u8>, f64)| {
                    scores.insert(member.clone(), *score).is_none()
                };
                Expect::Int(members.iter().filter(is_new).count() as i64)
            }
            Op::ZIncrBy { member, by } => {
                let score = scores.entry(member.clone()).or_default();
                *score += by;
                Expect::Score(*score)
            }
            Op::ZScore(member) => {
                scores.get(member).map_or(Expect::Nil, |score| Expect::Score(*score))
            }
            Op::ZRem(member) => Expect::Int(scores.remove(member).is_some().into()),
            Op::ZCard => Expect::Int(scores.len() as i64),
            _ => {
                let mut pairs: Vec<_> =
                    scores.iter().map(|(member, score)| (member.clone(), *score)).collect();
                // Members of one score stand in the order of their bytes: they come so from the map, and the sort is stable.
                pairs.sort_by(|a, b| a.1.total_cmp(&b.1));
                Expect::Scores(pairs)
            }
        }
    }

    // A key keeps its type for a whole run, so each of these finds its own type or none.

    fn text(&mut self) -> &mut Vec<u8> {
        if !matches!(self.value, Value::Text(_)) {
            self.value = Value::Text(Vec::new());
        }
        let Value::Text(text) = &mut self.value else { unreachable!("it was just made one") };
        text
    }

    fn hash(&mut self) -> &mut BTreeMap<Vec<u8>, Vec<u8>> {
        if !matches!(self.value, Value::Hash(_)) {
            self.value = Value::Hash(BTreeMap::new());
        }
        let Value::Hash(hash) = &mut self.value else { unreachable!("it was just made one") };
        hash
    }

    fn list(&mut self) -> &mut VecDeque<Vec<u8>> {
        if !matches!(self.value, Value::List(_)) {
            self.value = Value::List(VecDeque::new());
        }
        let Value::List(list) = &mut self.value else { unreachable!("it was just made one") };
        list
    }

    fn set(&mut self) -> &mut BTreeSet<Vec<u8>> {
        if !matches!(self.value, Value::Set(_)) {
            self.value = Value::Set(BTreeSet::new());
        }
        let Value::Set(set) = &mut self.value else { unreachable!("it was just made one") };
        set
    }

    fn sorted(&mut self) -> &mut BTreeMap<Vec<u8>, f64> {
        if !matches!(self.value, Value::Sorted(_)) {
            self.value = Value::Sorted(BTreeMap::new());
        }
        let Value::Sorted(scores) = &mut self.value else { unreachable!("it was just made one") };
        scores
    }
}

/// What PTTL may say, in milliseconds.
fn left(deadline: Deadline, window: Window) -> Expect {
    let first = deadline.earliest.saturating_sub(window.received + window.margin) / 1000;
    let last = (deadline.latest + window.margin).saturating_sub(window.sent) / 1000 + 1;
    Expect::Between(first as i64, last as i64)
}

fn integer(text: &[u8]) -> i64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}
