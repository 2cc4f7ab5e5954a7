//! The key specifications of COMMAND INFO: derived from [`Keys`], with Redis' remarks.

use super::access_names;
use crate::command::{Keys, Special};
use crate::reply::Reply;
use smallvec::{SmallVec, smallvec};

/// Writes the set of key specifications.
pub(super) fn write(name: &str, keys: Keys, access: &[u32], reply: &mut Reply<'_>) {
    let specs = keys.specs(access.len());
    reply.set(specs.len());
    for (at, (spec, &access)) in specs.iter().zip(access).enumerate() {
        spec.write(access, note(name, at), reply);
    }
}

struct Spec {
    begin: Begin,
    find: Find,
}

enum Begin {
    Index(u16),
    Keyword(&'static str, i16),
    Unknown,
}

enum Find {
    Range { last: i16, step: u16, limit: u16 },
    KeyNum { first: u16 },
    Unknown,
}

const SINGLE: Find = Find::Range { last: 0, step: 1, limit: 0 };
const UNKNOWN: Spec = Spec { begin: Begin::Unknown, find: Find::Unknown };

impl Keys {
    /// The range of COMMAND before there were key specifications.
    pub(super) fn legacy_range(self) -> (u16, i16, u16) {
        match self {
            Self::None | Self::NumKeys { .. } | Self::Special(Special::Streams { .. }) => (0, 0, 0),
            Self::Range { first, last, step } => (first, last, step),
            Self::Special(Special::Migrate) => (3, 3, 1),
            Self::Store | Self::Special(_) => (1, 1, 1),
        }
    }

    /// The key specifications. A range of which the first key is used in another way than the others has two.
    fn specs(self, count: usize) -> SmallVec<[Spec; 3]> {
        let index = |index, find| Spec { begin: Begin::Index(index), find };
        let keyword = |word, from, find| Spec { begin: Begin::Keyword(word, from), find };
        match self {
            Self::None => smallvec![],
            Self::Range { first, last, .. } if count == 2 => {
                let rest = if last < 0 { Find::Range { last, step: 1, limit: 0 } } else { SINGLE };
                smallvec![index(first, SINGLE), index(first + 1, rest)]
            }
            Self::Range { first, last, step } => {
                let last = if last < 0 { last } else { last - first as i16 };
                smallvec![index(first, Find::Range { last, step, limit: 0 })]
            }
            Self::NumKeys { at, first } => smallvec![index(at, Find::KeyNum { first: first - at })],
            Self::Store => smallvec![index(1, SINGLE), index(2, Find::KeyNum { first: 1 })],
            Self::Special(Special::Sort) => smallvec![index(1, SINGLE), UNKNOWN, UNKNOWN],
            Self::Special(Special::SortReadOnly) => smallvec![index(1, SINGLE), UNKNOWN],
            Self::Special(Special::Streams { from }) => {
                smallvec![keyword(
                    "STREAMS",
                    from as i16,
                    Find::Range { last: -1, step: 1, limit: 2 }
                )]
            }
            Self::Special(Special::Migrate) => {
                smallvec![
                    index(3, SINGLE),
                    keyword("KEYS", -2, Find::Range { last: -1, step: 1, limit: 0 })
                ]
            }
            Self::Special(Special::GeoStore { from }) => smallvec![
                index(1, SINGLE),
                keyword("STORE", from as i16, SINGLE),
                keyword("STOREDIST", from as i16, SINGLE),
            ],
        }
    }
}

impl Spec {
    fn write(&self, access: u32, note: Option<&str>, reply: &mut Reply<'_>) {
        reply.map(3 + usize::from(note.is_some()));
        if let Some(note) = note {
            reply.bulk(b"notes");
            reply.bulk(note.as_bytes());
        }
        reply.bulk(b"flags");
        access_names(access, reply);
        reply.bulk(b"begin_search");
        match self.begin {
            Begin::Index(index) => typed("index", &[("index", i64::from(index))], reply),
            Begin::Keyword(word, from) => {
                head("keyword", 2, reply);
                reply.bulk(b"keyword");
                reply.bulk(word.as_bytes());
                reply.bulk(b"startfrom");
                reply.int(i64::from(from));
            }
            Begin::Unknown => typed("unknown", &[], reply),
        }
        reply.bulk(b"find_keys");
        match self.find {
            Find::Range { last, step, limit } => {
                let spec = [
                    ("lastkey", i64::from(last)),
                    ("keystep", i64::from(step)),
                    ("limit", i64::from(limit)),
                ];
                typed("range", &spec, reply);
            }
            Find::KeyNum { first } => {
                typed(
                    "keynum",
                    &[("keynumidx", 0), ("firstkey", i64::from(first)), ("keystep", 1)],
                    reply,
                );
            }
            Find::Unknown => typed("unknown", &[], reply),
        }
    }
}

fn head(kind: &str, pairs: usize, reply: &mut Reply<'_>) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(pairs);
}

fn typed(kind: &str, spec: &[(&str, i64)], reply: &mut Reply<'_>) {
    head(kind, spec.len(), reply);
    for (name, value) in spec {
        reply.bulk(name.as_bytes());
        reply.int(*value);
    }
}

/// Redis' remark on the key specification of that number.
fn note(name: &str, spec: usize) -> Option<&'static str> {
    let by_content = "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort";
    match (name, spec) {
        ("sort" | "sort_ro", 1) => Some(by_content),
        ("sort", 2) => Some(
            "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array",
        ),
        ("xadd", 0) => Some("UPDATE instead of INSERT because of the optional trimming feature"),
        ("set", 0) => Some("RW and ACCESS due to the optional `GET` argument"),
        ("getex", 0) => Some("RW and UPDATE because it changes the TTL"),
        ("bitfield", 0) => Some("This command allows both access and modification of the key"),
        ("pfcount", 0) => Some(
            "RW because it may change the internal representation of the key, and propagate to replicas",
        ),
        ("eval" | "fcall", 0) => {
            Some("We cannot tell how the keys will be used so we assume the worst, RW and UPDATE")
        }
        ("eval_ro" | "fcall_ro", 0) => {
            Some("We cannot tell how the keys will be used so we assume the worst, RO and ACCESS")
        }
        _ => None,
    }
}
