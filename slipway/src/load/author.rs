//! Writes the requests of one client: chance decides, seeded, so that a run can be repeated request by request.
//!
//! Values are unique (client, number of the write), so that a lost, doubled or misplaced write shows; they hold line ends and zero bytes,
//! so that a frame cut at the wrong place shows too.

use super::args::Plan;
use super::ledger::{Kind, Ledger};
use super::mix::{Activity, Mix};
use super::op::{Call, KeyId, Op};
use super::server::Server;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// About how many elements lists grow to before more is taken from them than added.
const LIST_ELEMENTS: usize = 40;
/// How many different fields and members hashes, sets and sorted sets have.
const MEMBERS: u32 = 24;
/// The most elements of one request.
const ELEMENTS_PER_CALL: u32 = 250;
/// The most keys of one MGET, MSET, DEL or EXISTS.
const KEYS_PER_CALL: usize = 8;
/// A time to live that ends within a run, in milliseconds.
const SHORT_MS: std::ops::Range<u64> = 150..3000;
/// A time to live that does not.
const LONG_MS: std::ops::Range<u64> = 3_600_000..7_200_000;
/// Steps of scores: some are exact in binary and some are not.
const STEPS: [f64; 6] = [1.0, 0.1, 2.5, 0.001, 12_345.678, 1e15];
/// Those without decimals.
const WHOLE_STEPS: [f64; 3] = [1.0, 3.0, 12_345.0];

/// One client's source of requests.
#[derive(Debug)]
pub(crate) struct Author {
    rng: SmallRng,
    mix: Mix,
    client: usize,
    value_bytes: usize,
    server: Server,
    /// Numbers everything written.
    number: u64,
}

impl Author {
    /// The author of one client's requests.
    pub(crate) fn new(plan: &Plan, client: usize) -> Self {
        let seed = plan.seed.wrapping_add((client as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Self {
            rng: SmallRng::seed_from_u64(seed),
            mix: plan.mix.clone(),
            client,
            value_bytes: plan.value_bytes,
            server: plan.server,
            number: 0,
        }
    }

    /// The request that gives a key its first value; three keys of four have one.
    pub(crate) fn first(&mut self, ledger: &mut Ledger, key: KeyId) -> Option<Call> {
        let kind = ledger.key(key).kind;
        if kind == Kind::Missing || self.rng.random_range(0..4) == 0 {
            return None;
        }
        let op = match kind {
            Kind::Text | Kind::Missing => Op::Set { value: self.value(), life_ms: None },
            Kind::Counter => Op::IncrBy(self.rng.random_range(1..1_000_000)),
            Kind::Hash => self.fields(),
            Kind::List => self.elements(),
            Kind::Set => Op::SAdd(vec![self.member()]),
            Kind::Sorted => Op::ZAdd(vec![(self.member(), self.score())]),
            Kind::Mortal => self.mortal(),
        };
        Some(sent(ledger, key, op))
    }

    /// The requests that make a key with elements a big one, beside its first value.
    pub(crate) fn grow(&mut self, ledger: &mut Ledger, key: KeyId, elements: u32) -> Vec<Call> {
        let all: Vec<u32> = (0..elements).collect();
        let mut calls = Vec::new();
        for some in all.chunks(ELEMENTS_PER_CALL as usize) {
            let named = |n: &u32| format!("big{n:07}").into_bytes();
            let op = match ledger.key(key).kind {
                Kind::Hash => Op::HMSet(some.iter().map(|n| (named(n), self.short())).collect()),
                Kind::List => Op::RPush(some.iter().map(|_| self.short()).collect()),
                Kind::Set => Op::SAdd(some.iter().map(named).collect()),
                Kind::Sorted => Op::ZAdd(some.iter().map(|n| (named(n), f64::from(*n))).collect()),
                _ => break,
            };
            calls.push(sent(ledger, key, op));
        }
        calls
    }

    /// The next request.
    pub(crate) fn next(&mut self, ledger: &mut Ledger) -> Call {
        let activity = self.mix.choose(&mut self.rng);
        let call = match activity {
            Activity::Multi => self.multi(ledger),
            Activity::Missing => None,
            Activity::Strings => self.one(ledger, Kind::Text),
            Activity::Counters => self.one(ledger, Kind::Counter),
            Activity::Hashes => self.one(ledger, Kind::Hash),
            Activity::Lists => self.one(ledger, Kind::List),
            Activity::Sets => self.one(ledger, Kind::Set),
            Activity::Sorted => self.one(ledger, Kind::Sorted),
            Activity::Ttl => self.one(ledger, Kind::Mortal),
        };
        call.unwrap_or_else(|| self.missing(ledger))
    }

    fn one(&mut self, ledger: &mut Ledger, kind: Kind) -> Option<Call> {
        let key = ledger.pick(kind, &mut self.rng)?;
        let size = ledger.key(key).size;
        let op = match kind {
            Kind::Text | Kind::Missing => self.text(size),
            Kind::Counter => self.counter(),
            Kind::Mortal => self.mortal(),
            _ if self.rng.random_range(0..50) == 0 => self.life(),
            Kind::Hash => self.hash(),
            Kind::List => self.list(size),
            Kind::Set => self.set(),
            Kind::Sorted => self.sorted(),
        };
        Some(sent(ledger, key, op))
    }

    fn text(&mut self, size: usize) -> Op {
        match self.rng.random_range(0..100) {
            0..28 => Op::Set { value: self.value(), life_ms: None },
            28..58 => Op::Get,
            58..68 if size > self.value_bytes * 4 => Op::Set { value: self.value(), life_ms: None },
            58..68 => Op::Append { value: self.short() },
            68..74 => Op::GetSet { value: self.value() },
            74..78 if self.server.is_recent() => Op::GetDel,
            78..84 => Op::SetRange {
                offset: self.rng.random_range(0..self.value_bytes),
                value: self.short(),
            },
            84..90 => Op::SetNx { value: self.value() },
            90..94 => Op::StrLen,
            94..97 => Op::Exists,
            _ => Op::Del,
        }
    }

    fn counter(&mut self) -> Op {
        match self.rng.random_range(0..100) {
            0..50 => Op::Incr,
            50..75 => Op::IncrBy(self.rng.random_range(1..1000)),
            _ => Op::GetNumber,
        }
    }

    fn hash(&mut self) -> Op {
        match self.rng.random_range(0..100) {
            0..30 => self.fields(),
            30..50 => {
                Op::HIncrBy { field: self.numbered(b'n', 4), by: self.rng.random_range(1..100) }
            }
            50..70 => Op::HGet(self.field()),
            70..78 => Op::HDel(self.field()),
            78..88 => Op::HGetAll,
            _ => Op::HLen,
        }
    }

    fn list(&mut self, size: usize) -> Op {
        match self.rng.random_range(0..100) {
            0..50 if size > LIST_ELEMENTS => Op::LPop,
            0..40 => self.elements(),
            40..50 => Op::LPush(self.short()),
            50..68 => Op::LPop,
            68..72 => Op::RPop,
            72..82 => Op::LRange { last: -1 },
            82..88 => Op::LRange { last: self.rng.random_range(0..8) },
            _ => Op::LLen,
        }
    }

    fn set(&mut self) -> Op {
        match self.rng.random_range(0..100) {
            0..35 => Op::SAdd(vec![self.member()]),
            35..50 => Op::SRem(self.member()),
            50..75 => Op::SIsMember(self.member()),
            75..90 => Op::SCard,
            _ => Op::SMembers,
        }
    }

    fn sorted(&mut self) -> Op {
        match self.rng.random_range(0..100) {
            0..28 => Op::ZAdd(vec![(self.member(), self.score())]),
            28..53 => {
                let step = self.step();
                Op::ZIncrBy { member: self.member(), by: step }
            }
            53..73 => Op::ZScore(self.member()),
            73..85 => Op::ZRange,
            85..93 => Op::ZRem(self.member()),
            _ => Op::ZCard,
        }
    }

    fn mortal(&mut self) -> Op {
        match self.rng.random_range(0..100) {
            0..30 => {
                let life_ms = Some(self.life_ms());
                Op::Set { value: self.value(), life_ms }
            }
            30..45 => self.end(),
            45..50 => Op::Persist,
            50..65 => Op::PTtl,
            90.. if self.server.forgets_the_gone() => Op::Exists,
            _ => Op::Get,
        }
    }

    /// What happens now and then to a hash, list, set or sorted set.
    fn life(&mut self) -> Op {
        match self.rng.random_range(0..5) {
            0..4 if !self.server.ends_collections() => Op::Exists,
            0 => self.end(),
            1 => Op::Persist,
            2 => Op::PTtl,
            3 => Op::Type,
            _ => Op::Del,
        }
    }

    fn multi(&mut self, ledger: &mut Ledger) -> Option<Call> {
        let dice = self.rng.random_range(0..100);
        let most = if dice < 75 { KEYS_PER_CALL } else { 3 };
        let mut keys = Vec::new();
        for _ in 0..self.rng.random_range(2..=most) {
            let key = ledger.pick(Kind::Text, &mut self.rng)?;
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Some(match dice {
            0..40 => Call::MGet(keys),
            40..75 => {
                let value_bytes = self.value_bytes;
                let mut pair = |key| {
                    ledger.key_mut(key).size = value_bytes;
                    (key, self.value())
                };
                Call::MSet(keys.into_iter().map(&mut pair).collect())
            }
            75..90 => Call::Exists(keys),
            _ => Call::Del(keys),
        })
    }

    fn missing(&mut self, ledger: &Ledger) -> Call {
        // There is always one, and it never rests but after a wrong reply; then the first key of all is as good.
        let key = ledger.pick(Kind::Missing, &mut self.rng).unwrap_or(0);
        let op = match self.rng.random_range(0..8) {
            _ if ledger.key(key).kind != Kind::Missing => Op::Exists,
            0 => Op::HGet(self.field()),
            1 => Op::LLen,
            2 => Op::SCard,
            3 => Op::ZScore(self.member()),
            4 => Op::PTtl,
            5 => Op::Type,
            _ => Op::Get,
        };
        Call::One(key, op)
    }

    fn fields(&mut self) -> Op {
        let mut fields: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let most = if self.server.is_recent() { 3 } else { 1 };
        for _ in 0..self.rng.random_range(1..=most) {
            fields.push((self.field(), self.short()));
        }
        Op::HSet(fields)
    }

    fn elements(&mut self) -> Op {
        let count = self.rng.random_range(1..=3);
        Op::RPush((0..count).map(|_| self.short()).collect())
    }

    fn end(&mut self) -> Op {
        let life_ms = self.life_ms();
        self.server.end(life_ms)
    }

    fn life_ms(&mut self) -> u64 {
        let range = if self.rng.random_range(0..100) < 60 { SHORT_MS } else { LONG_MS };
        let life_ms = self.rng.random_range(range);
        self.server.life_ms(life_ms)
    }

    fn score(&mut self) -> f64 {
        let score = self.step() * f64::from(self.rng.random_range(-1000..1000));
        if self.server.keeps_scores() { score + 0.5 } else { score }
    }

    fn step(&mut self) -> f64 {
        let known = if self.server.keeps_scores() { &STEPS[..] } else { &WHOLE_STEPS };
        known[self.rng.random_range(0..known.len())]
    }

    fn field(&mut self) -> Vec<u8> {
        self.numbered(b'f', MEMBERS)
    }

    fn member(&mut self) -> Vec<u8> {
        self.numbered(b'm', MEMBERS)
    }

    fn numbered(&mut self, letter: u8, count: u32) -> Vec<u8> {
        format!("{}{:02}", letter as char, self.rng.random_range(0..count)).into_bytes()
    }

    /// A value that is written once in a run: the client and the number of the write.
    fn short(&mut self) -> Vec<u8> {
        self.number += 1;
        format!("{}.{}", self.client, self.number).into_bytes()
    }

    fn value(&mut self) -> Vec<u8> {
        const FILLER: &[u8] =
            b"\r\n$5\r\nslipway \x00\xff{}*1\r\n+OK\r\n0123456789 abcdefghijklmnopqrstuvwxyz";
        let mut value = self.short();
        value.push(b'|');
        let filler = FILLER.iter().cycle().skip(self.rng.random_range(0..FILLER.len()));
        let missing = self.value_bytes.saturating_sub(value.len());
        value.extend(filler.take(missing));
        value
    }
}

/// Keeps account of how much a key will hold.
fn sent(ledger: &mut Ledger, key: KeyId, op: Op) -> Call {
    let size = &mut ledger.key_mut(key).size;
    *size = match &op {
        Op::Set { value, .. } | Op::GetSet { value } => value.len(),
        Op::Append { value } => *size + value.len(),
        Op::RPush(elements) => *size + elements.len(),
        Op::LPush(_) => *size + 1,
        Op::LPop | Op::RPop => size.saturating_sub(1),
        Op::GetDel | Op::Del => 0,
        _ => *size,
    };
    Call::One(key, op)
}
