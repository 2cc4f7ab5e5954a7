//! The data of a Pika: the database, the read cache in front of it, and the slot index kept beside each write.
//!
//! The cache (`pika-live.md` §4.5): a read fills it, a write through a command changes it too, a migration forgets it. GET caches only keys
//! with a TTL, sorted sets are not cached; both as seen on 4.0.1.

use super::index;
use super::settings::{Fault, Settings};
use crate::commands::{self, Call, Flavour, Row};
use crate::store::{Bytes, Entry, Kind, Store, Value};
use cluster::SlotCount;
use protocol::reply::{Reply, Version};
use std::collections::HashMap;
use std::time::SystemTime;

/// Values of more elements are not cached.
const CACHED_ELEMENTS_MAX: usize = 2048;

#[derive(Debug)]
pub(crate) struct Data {
    pub store: Store,
    pub cache: Store,
    pub settings: Settings,
    /// Where a SLOTSSCAN goes on, by slot set and cursor.
    pub scans: HashMap<(Bytes, i64), Bytes>,
    pub reload: Background,
    pub cleanup: Background,
    pub commands: u64,
    /// When CLEARCACHE last emptied the cache, ms.
    pub cleared_ms: Option<i64>,
}

/// A background scan.
#[derive(Debug, Default)]
pub(crate) struct Background {
    pub runs: bool,
    /// As `20261122125002`.
    pub started: String,
    pub slots: Vec<i64>,
}

pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_millis() as i64
}

impl Data {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            store: Store::default(),
            cache: Store::default(),
            settings,
            scans: HashMap::new(),
            reload: Background::default(),
            cleanup: Background::default(),
            commands: 0,
            cleared_ms: None,
        }
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.settings.faults.has(fault)
    }

    pub(crate) fn slots(&self) -> SlotCount {
        self.settings.slots
    }

    /// What is stored of a key now.
    pub(crate) fn entry(&mut self, key: &[u8]) -> Option<Entry> {
        self.tick();
        self.store.entry(key).cloned()
    }

    /// Brings both stores to this moment.
    pub(crate) fn tick(&mut self) {
        let now_ms = now_ms();
        self.store.now_ms = now_ms;
        self.cache.now_ms = now_ms;
    }

    /// Runs a data command.
    pub(crate) fn run(&mut self, row: &Row, words: &[Bytes], out: &mut Vec<u8>) {
        let call = Call { words, flavour: Flavour::Pika };
        if !row.writes() && self.answered_from_cache(row, call, out) {
            return;
        }
        self.run_past_cache(row, words, out);
    }

    /// As EXEC does it.
    pub(crate) fn run_past_cache(&mut self, row: &Row, words: &[Bytes], out: &mut Vec<u8>) {
        let call = Call { words, flavour: Flavour::Pika };
        let before = out.len();
        let done = commands::run(row, &mut self.store, call, &mut Reply::new(out, Version::Resp2));
        if done.is_err() {
            return;
        }
        if row.writes() {
            self.file(row.name, words, &out[before..] == b"$-1\r\n");
            self.write_through(row, call);
        } else {
            self.load(row.name, call.key());
        }
    }

    fn answered_from_cache(&mut self, row: &Row, call: Call<'_>, out: &mut Vec<u8>) -> bool {
        let reads = matches!(
            row.name,
            "get"
                | "strlen"
                | "getrange"
                | "ttl"
                | "pttl"
                | "hget"
                | "hgetall"
                | "hkeys"
                | "hvals"
                | "hlen"
                | "hexists"
                | "hmget"
                | "lrange"
                | "llen"
                | "lindex"
                | "smembers"
                | "scard"
                | "sismember"
        ) || row.name == "exists" && call.words.len() == 2;
        if !reads || !self.cache.has(call.key()) {
            return false;
        }
        let mut reply = Vec::new();
        let answer = &mut Reply::new(&mut reply, Version::Resp2);
        let done = commands::run(row, &mut self.cache, call, answer);
        // What is not in the cached value is asked of the database.
        if done.is_err() || reply == b"$-1\r\n" || row.name == "hexists" && reply == b":0\r\n" {
            return false;
        }
        out.extend_from_slice(&reply);
        true
    }

    /// Caches what a read has touched.
    fn load(&mut self, name: &str, key: &[u8]) {
        if !self.has(Fault::CacheGhosts) {
            return;
        }
        let now_ms = self.store.now_ms;
        let Some(entry) = self.store.entry(key) else { return };
        let (value, left) = (entry.value.clone(), entry.ends_ms.map(|ends| ends - now_ms));
        let seconds = |left: i64| left / 1000 * 1000;
        // The TTL of hashes and lists is taken in milliseconds for seconds.
        let lives = match &value {
            Value::Text(_) if name == "get" && left.is_some_and(|left| left >= 1000) => {
                left.map(seconds)
            }
            Value::Hash(hash) if hash.len() <= CACHED_ELEMENTS_MAX => {
                left.map(|left| left.saturating_mul(1000))
            }
            Value::List(list) if list.len() <= CACHED_ELEMENTS_MAX => {
                left.map(|left| left.saturating_mul(1000))
            }
            // The sets of the index too, which writes and migrations change behind the cache's back.
            Value::Set(set) if set.len() <= CACHED_ELEMENTS_MAX => left.map(seconds),
            _ => return,
        };
        let reads_values = !matches!(name, "exists" | "type" | "ttl" | "pttl" | "keys" | "scan");
        if reads_values && !self.cache.has(key) {
            self.cache.put_until(key, value, lives.map(|lives| now_ms.saturating_add(lives)));
        }
    }

    /// Repeats a write on cached values.
    fn write_through(&mut self, row: &Row, call: Call<'_>) {
        let mut ignored = Vec::new();
        if matches!(row.name, "del" | "unlink") {
            call.from(1).iter().for_each(|key| {
                self.cache.remove(key);
            });
        } else if row.name == "rpoplpush" {
            // 4.0.1 does not tell the cache: LRANGE goes on showing the element that has gone.
        } else if matches!(row.name, "mset" | "msetnx" | "bitop" | "smove")
            || row.name.ends_with("store")
        {
            // Keys of several values: forgotten.
            call.from(1).iter().for_each(|key| {
                self.cache.remove(key);
            });
        } else if self.cache.has(call.key()) {
            let reply = &mut Reply::new(&mut ignored, Version::Resp2);
            let _ = commands::run(row, &mut self.cache, call, reply);
        }
    }

    /// Keeps the slot index beside a write that took place.
    fn file(&mut self, name: &str, words: &[Bytes], nothing: bool) {
        if !self.settings.slotmigrate {
            return;
        }
        let slots = self.slots();
        if matches!(name, "del" | "unlink") {
            for key in &words[1..] {
                // The type is looked up when the key is gone: a collection's record still tells it, of a string nothing does.
                let letter = self.store.buried(key).map_or(b'k', index::letter);
                index::remove(&mut self.store, slots, (letter, key), index::Sets::Slot);
            }
            return;
        }
        if self.has(Fault::Untracked) {
            // SET NX or XX that did not set, and RPOPLPUSH of nothing, file nothing; LPUSHX, LINSERT, MSETNX do even so.
            let unmade = nothing && matches!(name, "set" | "rpoplpush");
            let Some((letter, places)) = index::filed(name, words.len()) else { return };
            for key in places.iter().filter(|_| !unmade).filter_map(|place| words.get(*place)) {
                index::add(&mut self.store, slots, letter, key);
            }
            return;
        }
        for place in index::written(name, words.len()) {
            let Some(key) = words.get(place) else { continue };
            if let Some(kind) = self.store.kind(key) {
                let letter = if kind == Kind::Stream { b'm' } else { index::letter(kind) };
                index::add(&mut self.store, slots, letter, key);
            }
        }
    }

    /// What the type look-up of 4.0.1 finds: of a deleted collection its old type, of a missing key a string.
    pub(crate) fn looked_up(&mut self, key: &[u8]) -> Option<u8> {
        let kind = self.store.kind(key);
        if !self.has(Fault::AbsentQueued) {
            return kind.map(index::letter);
        }
        let kind = kind.or_else(|| self.store.buried(key)).unwrap_or(Kind::Text);
        Some(index::letter(kind))
    }

    pub(crate) fn clear(&mut self) {
        self.store.clear();
        self.cache.clear();
    }
}
