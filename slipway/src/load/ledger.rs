//! One client's keys and what it knows of each. No other client touches them, so every reply can be foretold.

use super::belief::{Belief, Judgement};
use super::expect::Expect;
use super::model::Window;
use super::op::{Call, KeyId, Op, Words};
use super::reply::{Reply, Resp};
use cluster::{Slot, SlotCount, SlotRanges};
use rand::Rng;
use rand::rngs::SmallRng;

/// The type of a key, for a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Text,
    Counter,
    Hash,
    List,
    Set,
    Sorted,
    /// Text that often has a time to live.
    Mortal,
    /// A key that is read and never written.
    Missing,
}

/// All kinds.
pub(crate) const KINDS: [Kind; 8] = [
    Kind::Text,
    Kind::Counter,
    Kind::Hash,
    Kind::List,
    Kind::Set,
    Kind::Sorted,
    Kind::Mortal,
    Kind::Missing,
];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "str",
            Self::Counter => "ctr",
            Self::Hash => "hash",
            Self::List => "list",
            Self::Set => "set",
            Self::Sorted => "zset",
            Self::Mortal => "ttl",
            Self::Missing => "none",
        }
    }

    /// The command that reads the whole key.
    pub(crate) fn read(self) -> Op {
        match self {
            Self::Text | Self::Mortal | Self::Missing => Op::Get,
            Self::Counter => Op::GetNumber,
            Self::Hash => Op::HGetAll,
            Self::List => Op::LRange { last: -1 },
            Self::Set => Op::SMembers,
            Self::Sorted => Op::ZRange,
        }
    }
}

/// A key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: Vec<u8>,
    pub(crate) slot: Slot,
    pub(crate) kind: Kind,
    pub(crate) belief: Belief,
    /// About how much it holds when all that was sent is done: bytes or elements. Steers what is sent next.
    pub(crate) size: usize,
    /// Not to be used for the time being.
    pub(crate) resting: bool,
    /// Until then, in microseconds of the run's clock.
    pub(crate) rest_until: u64,
}

/// How the keys of a client are named.
#[derive(Clone, Debug)]
pub(crate) struct Naming {
    pub(crate) run: String,
    pub(crate) client: usize,
    pub(crate) slot_count: SlotCount,
    /// The slots that keys may be in; all when there are none.
    pub(crate) slots: SlotRanges,
}

/// A client's keys.
#[derive(Debug)]
pub(crate) struct Ledger {
    keys: Vec<Key>,
    /// The keys of each kind, by `Kind as usize`.
    kinds: [Vec<KeyId>; KINDS.len()],
    resp: Resp,
    margin: u64,
}

impl Ledger {
    /// An empty ledger for replies of this protocol version, and clocks that differ by at most `margin` microseconds.
    pub(crate) fn new(resp: Resp, margin: u64) -> Self {
        Self { keys: Vec::new(), kinds: Default::default(), resp, margin }
    }

    /// Adds a key.
    pub(crate) fn add(&mut self, naming: &Naming, kind: Kind, belief: Belief) {
        let (name, slot) = naming.key(kind, self.kinds[kind as usize].len());
        self.kinds[kind as usize].push(self.keys.len());
        self.keys.push(Key { name, slot, kind, belief, size: 0, resting: false, rest_until: 0 });
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it is the first key of its kind.
    pub(crate) fn is_first(&self, id: KeyId) -> bool {
        self.kinds[self.keys[id].kind as usize].first() == Some(&id)
    }

    /// A key.
    pub(crate) fn key(&self, id: KeyId) -> &Key {
        &self.keys[id]
    }

    /// A key, to be changed.
    pub(crate) fn key_mut(&mut self, id: KeyId) -> &mut Key {
        &mut self.keys[id]
    }

    /// Chooses a key of this kind that may be used.
    pub(crate) fn pick(&self, kind: Kind, rng: &mut SmallRng) -> Option<KeyId> {
        const TRIES: usize = 8;
        let keys = &self.kinds[kind as usize];
        if keys.is_empty() {
            return None;
        }
        (0..TRIES)
            .map(|_| keys[rng.random_range(0..keys.len())])
            .find(|&key| !self.keys[key].resting)
    }

    /// The words of a request.
    pub(crate) fn words<'a>(&'a self, call: &'a Call) -> Words<'a> {
        let name = |key: &KeyId| (&self.keys[*key].name).into();
        let many = |command: &'static str, keys: &'a [KeyId]| {
            std::iter::once(command.as_bytes().into()).chain(keys.iter().map(name)).collect()
        };
        match call {
            Call::One(key, op) => op.words(&self.keys[*key].name),
            Call::MGet(keys) => many("MGET", keys),
            Call::Del(keys) => many("DEL", keys),
            Call::Exists(keys) => many("EXISTS", keys),
            Call::MSet(pairs) => std::iter::once(b"MSET".into())
                .chain(pairs.iter().flat_map(|(key, value)| [name(key), value.into()]))
                .collect(),
        }
    }

    /// When a request was executed.
    pub(crate) fn window(&self, sent: u64, received: u64) -> Window {
        Window { sent, received, margin: self.margin }
    }

    /// Compares the reply to a request with what it must be, and learns from it.
    pub(crate) fn judge(&mut self, call: &Call, window: Window, reply: &Reply) -> Judgement {
        match call {
            Call::One(key, op) => self.keys[*key].belief.judge(op, window, reply, self.resp),
            Call::MGet(keys) => self.judge_each(keys, window, reply),
            Call::MSet(pairs) => {
                let expect = Expect::Simple("OK");
                for (key, value) in pairs {
                    let op = Op::Set { value: value.clone(), life_ms: None };
                    self.keys[*key].belief.judge(&op, window, reply, self.resp);
                }
                let fit = expect.fit(reply, self.resp);
                Judgement { expect, fit }
            }
            Call::Exists(keys) => self.judge_sum(keys, window, reply),
            Call::Del(keys) => {
                let judgement = self.judge_sum(keys, window, reply);
                for key in keys {
                    self.keys[*key].belief = Belief::missing();
                }
                judgement
            }
        }
    }

    fn judge_each(&mut self, keys: &[KeyId], window: Window, reply: &Reply) -> Judgement {
        let got = if let Reply::Array(parts) = reply { &parts[..] } else { &[] };
        let each = keys.iter().enumerate().map(|(n, key)| {
            // A reply of another length is wrong as a whole, whatever its parts are.
            let part = got.get(n).unwrap_or(&Reply::NilBulk);
            self.keys[*key].belief.judge(&Op::Get, window, part, self.resp).expect
        });
        let expect = Expect::Each(each.collect());
        let fit = expect.fit(reply, self.resp);
        Judgement { expect, fit }
    }

    /// The reply counts the keys that exist.
    fn judge_sum(&mut self, keys: &[KeyId], window: Window, reply: &Reply) -> Judgement {
        let (mut least, mut most) = (0, 0);
        for key in keys {
            let (all, some) = self.keys[*key].belief.existence(window);
            least += all;
            most += some;
        }
        let expect = if least == most { Expect::Int(least) } else { Expect::Between(least, most) };
        let fit = expect.fit(reply, self.resp);
        Judgement { expect, fit }
    }

    /// The fate of a request is unknown; for one with several keys that of each part is.
    pub(crate) fn doubt(&mut self, call: &Call, window: Window) {
        match call {
            Call::One(key, op) => self.keys[*key].belief.doubt(op, window),
            Call::MSet(pairs) => {
                for (key, value) in pairs {
                    self.keys[*key]
                        .belief
                        .doubt(&Op::Set { value: value.clone(), life_ms: None }, window);
                }
            }
            Call::Del(keys) => {
                for key in keys {
                    self.keys[*key].belief.doubt(&Op::Del, window);
                }
            }
            Call::MGet(_) | Call::Exists(_) => {}
        }
    }

    /// A reply was wrong: what is known of the keys of `call` is worth nothing.
    pub(crate) fn distrust(&mut self, call: &Call) {
        for key in call.keys() {
            self.keys[key].belief = Belief::nothing();
        }
    }

    /// The protocol version of the replies.
    pub(crate) fn resp(&self) -> Resp {
        self.resp
    }
}

impl Naming {
    /// Returns the name and slot of the `n`th key of a kind: one in four has a hash tag, which it shares with a few others, and one in
    /// thirty-two a capital.
    fn key(&self, kind: Kind, n: usize) -> (Vec<u8>, Slot) {
        /// A thousand times more than one slot of 16384 needs on average.
        const TRIES: usize = 16_384_000;
        let key = |salt| {
            let name = self.name(kind, n, salt).into_bytes();
            let slot = self.slot_count.of(&name);
            (name, slot)
        };
        let wanted = |slot| self.slots.is_empty() || self.slots.contains(slot);
        (0..TRIES).map(key).find(|(_, slot)| wanted(*slot)).unwrap_or_else(|| key(0))
    }

    fn name(&self, kind: Kind, n: usize, salt: usize) -> String {
        let (run, client, kind) = (&self.run, self.client, kind.name());
        let salt = if salt == 0 { String::new() } else { format!(".{salt}") };
        if n % 4 == 3 {
            format!("load:{run}:{client}:{kind}:{{{run}:{client}:{}{salt}}}{n}", n / 16)
        } else {
            let load = if n % 32 == 5 { "Load" } else { "load" };
            format!("{load}:{run}:{client}:{kind}:{n}{salt}")
        }
    }
}
