//! Keys and values in memory, with expiry: what both doubles keep their data in.
//!
//! Time is a number given before each command (`now_ms`), so that a command sees one moment. An expired key goes when it is looked at.
//! What a key was before it was emptied, deleted or expired stays known ([`Store::buried`]): real Pika keeps such a record on disk, and its
//! migration is misled by it (`pika-live.md` §4.1).

mod places;
mod stream;
mod zset;

pub(crate) use places::Places;
pub(crate) use stream::{Id, Stream};
pub(crate) use zset::Zset;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

pub(crate) type Bytes = Vec<u8>;
pub(crate) type Hash = BTreeMap<Bytes, Bytes>;
pub(crate) type List = VecDeque<Bytes>;
pub(crate) type Set = BTreeSet<Bytes>;

/// A value of one of the types the load uses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(Bytes),
    Hash(Hash),
    List(List),
    Set(Set),
    Zset(Zset),
    Stream(Stream),
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Text,
    Hash,
    Set,
    List,
    Zset,
    Stream,
}

/// A value and when it ends, in milliseconds of Unix time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub value: Value,
    pub ends_ms: Option<i64>,
}

/// The key holds another type.
#[derive(Debug)]
pub(crate) struct WrongKind;

/// A type a command works on.
pub(crate) trait Shape: Sized + Default {
    fn seen(value: &mut Value) -> Option<&mut Self>;
    fn wrap(self) -> Value;
}

macro_rules! shape {
    ($type:ty, $variant:ident) => {
        impl Shape for $type {
            fn seen(value: &mut Value) -> Option<&mut Self> {
                match value {
                    Value::$variant(inner) => Some(inner),
                    _ => None,
                }
            }
            fn wrap(self) -> Value {
                Value::$variant(self)
            }
        }
    };
}
shape!(Bytes, Text);
shape!(Hash, Hash);
shape!(List, List);
shape!(Set, Set);
shape!(Zset, Zset);
shape!(Stream, Stream);

impl Value {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Hash(_) => Kind::Hash,
            Self::List(_) => Kind::List,
            Self::Set(_) => Kind::Set,
            Self::Zset(_) => Kind::Zset,
            Self::Stream(_) => Kind::Stream,
        }
    }

    /// A collection without elements. A stream may be empty.
    fn is_hollow(&self) -> bool {
        match self {
            Self::Text(_) | Self::Stream(_) => false,
            Self::Hash(hash) => hash.is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Set(set) => set.is_empty(),
            Self::Zset(zset) => zset.is_empty(),
        }
    }
}

/// One database.
#[derive(Debug, Default)]
pub(crate) struct Store {
    entries: BTreeMap<Bytes, Entry>,
    buried: HashMap<Bytes, Kind>,
    /// Texts that are sketches of a Pika: the mark is beside the bytes, and whoever writes those takes it away.
    sketches: HashSet<Bytes>,
    /// The keys of each slot, if they are kept: codis-server's way, where nothing can be forgotten.
    pub places: Option<Places>,
    pub now_ms: i64,
}

impl Store {
    pub(crate) fn entry(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let ended = self.entries.get(key)?.ends_ms.is_some_and(|ends| ends <= self.now_ms);
        if ended {
            self.bury(key);
            return None;
        }
        self.entries.get_mut(key)
    }

    pub(crate) fn has(&mut self, key: &[u8]) -> bool {
        self.entry(key).is_some()
    }

    pub(crate) fn kind(&mut self, key: &[u8]) -> Option<Kind> {
        self.entry(key).map(|entry| entry.value.kind())
    }

    /// What a key without a value last was, if that was a collection or has expired.
    pub(crate) fn buried(&self, key: &[u8]) -> Option<Kind> {
        self.buried.get(key).copied()
    }

    pub(crate) fn find<T: Shape>(&mut self, key: &[u8]) -> Result<Option<&mut T>, WrongKind> {
        match self.entry(key) {
            None => Ok(None),
            Some(entry) => T::seen(&mut entry.value).map(Some).ok_or(WrongKind),
        }
    }

    pub(crate) fn make<T: Shape>(&mut self, key: &[u8]) -> Result<&mut T, WrongKind> {
        if !self.has(key) {
            self.put(key, T::default().wrap());
        }
        self.sketches.remove(key);
        let entry = self.entries.get_mut(key).ok_or(WrongKind)?;
        T::seen(&mut entry.value).ok_or(WrongKind)
    }

    /// Sets a sketch of a Pika, without an end.
    pub(crate) fn put_sketch(&mut self, key: &[u8], registers: Bytes) {
        self.put(key, Value::Text(registers));
        self.sketches.insert(key.to_vec());
    }

    pub(crate) fn is_sketch(&mut self, key: &[u8]) -> bool {
        self.has(key) && self.sketches.contains(key)
    }

    /// Sets a value without an end.
    pub(crate) fn put(&mut self, key: &[u8], value: Value) {
        self.sketches.remove(key);
        self.buried.remove(key);
        if let Some(places) = &mut self.places {
            places.add(key);
        }
        self.entries.insert(key.to_vec(), Entry { value, ends_ms: None });
    }

    pub(crate) fn put_until(&mut self, key: &[u8], value: Value, ends_ms: Option<i64>) {
        self.put(key, value);
        self.end_at(key, ends_ms);
    }

    pub(crate) fn end_at(&mut self, key: &[u8], ends_ms: Option<i64>) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.ends_ms = ends_ms;
        }
    }

    /// Removes a collection that has become empty.
    pub(crate) fn tidy(&mut self, key: &[u8]) {
        if self.entries.get(key).is_some_and(|entry| entry.value.is_hollow()) {
            self.bury(key);
        }
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> bool {
        if !self.has(key) {
            return false;
        }
        self.bury(key);
        // Of a deleted string nothing stays behind; of an expired one the record does.
        if self.buried(key) == Some(Kind::Text) {
            self.buried.remove(key);
        }
        true
    }

    fn bury(&mut self, key: &[u8]) {
        if let Some(places) = &mut self.places {
            places.remove(key);
        }
        self.sketches.remove(key);
        if let Some(entry) = self.entries.remove(key) {
            self.buried.insert(key.to_vec(), entry.value.kind());
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.buried.clear();
        self.sketches.clear();
        if let Some(places) = &mut self.places {
            places.clear();
        }
    }

    /// All keys that have not ended, in the order of their bytes.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&Bytes, &Entry)> {
        let now_ms = self.now_ms;
        self.entries.iter().filter(move |(_, entry)| entry.ends_ms.is_none_or(|ends| ends > now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emptied_list_is_gone_and_remembered_as_a_list() {
        let mut store = Store::default();
        store.make::<List>(b"l").unwrap().push_back(b"a".to_vec());
        store.find::<List>(b"l").unwrap().unwrap().clear();
        store.tidy(b"l");
        assert!(!store.has(b"l"));
        assert_eq!(store.buried(b"l"), Some(Kind::List));
    }

    #[test]
    fn of_a_deleted_string_nothing_stays_and_of_an_expired_one_its_type_does() {
        let mut store = Store { now_ms: 10, ..Store::default() };
        store.put(b"a", Value::Text(b"1".to_vec()));
        store.put_until(b"b", Value::Text(b"1".to_vec()), Some(10));
        assert!(store.remove(b"a"));
        assert!(!store.has(b"b"));
        assert_eq!((store.buried(b"a"), store.buried(b"b")), (None, Some(Kind::Text)));
    }
}
