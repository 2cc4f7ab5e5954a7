//! COMMAND INFO and COMMAND DOCS entries, shaped as Redis 7.0 shapes them.
//!
//! What Redis stores per command and follows from the rest is derived here: ACL categories from group and flags, key specifications from
//! [`Keys`]. DOCS leaves out `history`, and `arguments` of commands that are not served.

mod arguments;
mod specs;

use super::keys::access;
use super::{Command, Flags, Keys, RouteRule, Subcommand};
use crate::reply::Reply;
use smallvec::{SmallVec, smallvec};

/// Writes the entry of COMMAND INFO: an array of ten.
pub fn command_info(command: &Command, reply: &mut Reply<'_>) {
    Line::of(command).info(reply);
    match command.subcommands.len() {
        0 => reply.set(0),
        // Not a set: so it is in Redis.
        subcommands => reply.array(subcommands),
    }
    for sub in command.subcommands {
        subcommand_info(command, sub, reply);
    }
}

/// Writes the entry of COMMAND INFO for one subcommand.
pub(super) fn subcommand_info(command: &Command, sub: &Subcommand, reply: &mut Reply<'_>) {
    Line::of_sub(command, sub).info(reply);
    reply.set(0);
}

/// Writes name and entry of COMMAND DOCS: one pair of the map the caller has opened.
pub fn command_docs(command: &Command, reply: &mut Reply<'_>) {
    let line = Line::of(command);
    let subcommands = command.subcommands;
    line.docs(usize::from(!subcommands.is_empty()), reply);
    if subcommands.is_empty() {
        return;
    }
    reply.bulk(b"subcommands");
    reply.map(subcommands.len());
    for sub in subcommands {
        subcommand_docs(command, sub, reply);
    }
}

/// Writes name and entry of COMMAND DOCS for one subcommand.
pub(super) fn subcommand_docs(command: &Command, sub: &Subcommand, reply: &mut Reply<'_>) {
    Line::of_sub(command, sub).docs(0, reply);
}

/// Whether a command or one of its subcommands is in an ACL category, given without its `@`.
pub(super) fn is_in_category(command: &Command, sub: Option<&Subcommand>, category: &[u8]) -> bool {
    let line = sub.map_or_else(|| Line::of(command), |sub| Line::of_sub(command, sub));
    line.categories.iter().any(|name| name.as_bytes()[1..].eq_ignore_ascii_case(category))
}

/// What COMMAND tells of a command or a subcommand.
struct Line {
    /// `get`, `config|get`
    name: String,
    arity: i16,
    flags: Flags,
    keys: Keys,
    access: &'static [u32],
    group: &'static str,
    since: &'static str,
    summary: &'static str,
    complexity: &'static str,
    tips: &'static [&'static str],
    categories: SmallVec<[&'static str; 6]>,
}

impl Line {
    fn of(command: &Command) -> Self {
        let container = command.is_container();
        Self {
            name: command.name.to_owned(),
            arity: command.arity,
            // A container's own flags and keys are a service to our readers; Redis shows none.
            flags: if container { Flags::of(0) } else { command.flags },
            keys: if container { Keys::None } else { command.keys },
            access: command.access,
            group: command.group,
            since: command.since,
            summary: command.summary,
            complexity: command.complexity,
            tips: command.tips,
            categories: match command.categories {
                [] if container => smallvec!["@slow"],
                [] => categories(command.group, command.flags),
                own => SmallVec::from_slice(own),
            },
        }
    }

    fn of_sub(command: &Command, sub: &Subcommand) -> Self {
        Self {
            name: format!("{}|{}", command.name, sub.name),
            arity: sub.arity,
            flags: sub.flags,
            keys: sub.keys,
            access: sub.access,
            group: command.group,
            since: sub.since,
            summary: sub.summary,
            complexity: sub.complexity,
            tips: sub.tips,
            categories: match sub.categories {
                [] => categories(command.group, sub.flags),
                own => SmallVec::from_slice(own),
            },
        }
    }

    /// Nine of the ten items: the subcommands are the caller's.
    fn info(&self, reply: &mut Reply<'_>) {
        reply.array(10);
        reply.bulk(self.name.as_bytes());
        reply.int(i64::from(self.arity));
        let movable = matches!(self.keys, Keys::NumKeys { .. } | Keys::Store | Keys::Special(_));
        let mut flags: SmallVec<[&str; 8]> = named(self.flags.bits(), &FLAG_NAMES).collect();
        if movable {
            flags.push("movablekeys");
        }
        simple_set(&flags, reply);
        let (first, last, step) = self.keys.legacy_range();
        reply.int(i64::from(first));
        reply.int(i64::from(last));
        reply.int(i64::from(step));
        simple_set(&self.categories, reply);
        reply.set(self.tips.len());
        for tip in self.tips {
            reply.bulk(tip.as_bytes());
        }
        specs::write(&self.name, self.keys, self.access, reply);
    }

    /// Name and entry; `more` pairs of the entry are the caller's.
    fn docs(&self, more: usize, reply: &mut Reply<'_>) {
        let deprecated = DEPRECATED.iter().find(|line| line.0 == self.name);
        let internal = INTERNAL.contains(&self.name.as_str());
        let arguments = arguments::of(&self.name);
        reply.bulk(self.name.as_bytes());
        let pairs = 3
            + usize::from(!self.complexity.is_empty())
            + usize::from(internal)
            + usize::from(arguments.is_some())
            + if deprecated.is_some() { 3 } else { 0 };
        reply.map(pairs + more);
        let mut pair = |key: &str, value: &str| {
            reply.bulk(key.as_bytes());
            reply.bulk(value.as_bytes());
        };
        pair("summary", self.summary);
        pair("since", self.since);
        pair("group", self.group);
        if !self.complexity.is_empty() {
            pair("complexity", self.complexity);
        }
        if internal {
            reply.bulk(b"doc_flags");
            simple_set(&["syscmd"], reply);
        }
        if let Some((_, since, instead)) = deprecated {
            reply.bulk(b"doc_flags");
            simple_set(&["deprecated"], reply);
            reply.bulk(b"deprecated_since");
            reply.bulk(since.as_bytes());
            reply.bulk(b"replaced_by");
            reply.bulk(instead.as_bytes());
        }
        if let Some(arguments) = arguments {
            reply.bulk(b"arguments");
            arguments.write(reply);
        }
    }
}

impl Command {
    /// Whether it is only a container of subcommands. COMMAND has subcommands and is a command too.
    pub(super) const fn is_container(&self) -> bool {
        !self.subcommands.is_empty() && self.arity < -1
    }

    /// Whether it is served at all.
    pub const fn is_served(&self) -> bool {
        !matches!(self.route, RouteRule::Refused(_))
    }
}

/// Writes how a key is used, as a set of names.
pub(super) fn access_names(bits: u32, reply: &mut Reply<'_>) {
    let names: SmallVec<[&str; 4]> = named(bits, &access::NAMES).collect();
    simple_set(&names, reply);
}

fn simple_set(names: &[&str], reply: &mut Reply<'_>) {
    reply.set(names.len());
    for name in names {
        reply.simple(name);
    }
}

/// The names of the bits that are set, lowest first.
fn named(bits: u32, names: &'static [&'static str]) -> impl Iterator<Item = &'static str> {
    names.iter().enumerate().filter(move |(bit, _)| bits & (1 << bit) != 0).map(|(_, name)| *name)
}

/// By bit of [`Flags`].
const FLAG_NAMES: [&str; 18] = [
    "write",
    "readonly",
    "denyoom",
    "admin",
    "pubsub",
    "noscript",
    "blocking",
    "loading",
    "stale",
    "skip_monitor",
    "skip_slowlog",
    "asking",
    "fast",
    "no_auth",
    "no_mandatory_keys",
    "no_async_loading",
    "no_multi",
    "allow_busy",
];

/// ACL categories as they follow from group and flags, in Redis' order.
fn categories(group: &str, flags: Flags) -> SmallVec<[&'static str; 6]> {
    let early = match group {
        "generic" => Some("@keyspace"),
        _ => None,
    };
    let middle = match group {
        "set" => Some("@set"),
        "sorted-set" => Some("@sortedset"),
        "list" => Some("@list"),
        "hash" => Some("@hash"),
        "string" => Some("@string"),
        "bitmap" => Some("@bitmap"),
        "hyperloglog" => Some("@hyperloglog"),
        "geo" => Some("@geo"),
        "stream" => Some("@stream"),
        _ => None,
    };
    let late = match group {
        "connection" => Some("@connection"),
        "transactions" => Some("@transaction"),
        "scripting" => Some("@scripting"),
        _ => None,
    };
    let when = |flag: Flags, name| flags.contains(flag).then_some(name);
    let reads = flags.contains(Flags::READ) && group != "scripting";
    [
        early,
        reads.then_some("@read"),
        when(Flags::WRITE, "@write"),
        middle,
        when(Flags::PUBSUB, "@pubsub").or((group == "pubsub").then_some("@pubsub")),
        when(Flags::ADMIN, "@admin"),
        Some(if flags.contains(Flags::FAST) { "@fast" } else { "@slow" }),
        when(Flags::BLOCKING, "@blocking"),
        when(Flags::ADMIN, "@dangerous"),
        late,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Commands between servers.
const INTERNAL: [&str; 5] = ["debug", "pfdebug", "pfselftest", "replconf", "restore-asking"];

/// Name, since when deprecated, and what to use instead.
const DEPRECATED: &[(&str, &str, &str)] = &[
    ("brpoplpush", "6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments"),
    ("cluster|slots", "7.0.0", "`CLUSTER SHARDS`"),
    ("cluster|slaves", "5.0.0", "`CLUSTER REPLICAS`"),
    ("georadius", "6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument"),
    ("georadius_ro", "6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument"),
    (
        "georadiusbymember",
        "6.2.0",
        "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
    ),
    ("georadiusbymember_ro", "6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments"),
    ("getset", "6.2.0", "`SET` with the `!GET` argument"),
    ("hmset", "4.0.0", "`HSET` with multiple field-value pairs"),
    ("rpoplpush", "6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments"),
    ("slaveof", "5.0.0", "`REPLICAOF`"),
    ("substr", "2.0.0", "`GETRANGE`"),
    ("zrangebylex", "6.2.0", "`ZRANGE` with the `BYLEX` argument"),
    ("zrangebyscore", "6.2.0", "`ZRANGE` with the `BYSCORE` argument"),
    ("zrevrange", "6.2.0", "`ZRANGE` with the `REV` argument"),
    ("zrevrangebylex", "6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments"),
    ("zrevrangebyscore", "6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments"),
];
