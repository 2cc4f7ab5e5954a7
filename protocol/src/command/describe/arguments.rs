//! The `arguments` of COMMAND DOCS, from which redis-cli (since 7.2) and client generators make their hints.
//!
//! A line of [`table`] is arguments, separated by blanks, each
//!
//! ```text
//! type[#key specification][? * +][@since][!deprecated]/name[=TOKEN]      and for a group: ( its arguments )
//! ```
//!
//! where the type is a letter of [`TYPES`], `?` says optional, `*` multiple, and `+` that the token is repeated too.

mod table;

use super::simple_set;
use crate::reply::Reply;
use smallvec::SmallVec;
use std::str::SplitAsciiWhitespace;
use table::ARGUMENTS;

const TYPES: [(char, &str); 9] = [
    ('b', "block"),
    ('d', "double"),
    ('i', "integer"),
    ('k', "key"),
    ('o', "oneof"),
    ('p', "pattern"),
    ('s', "string"),
    ('t', "pure-token"),
    ('u', "unix-time"),
];

const FLAGS: [(char, &str); 3] = [('?', "optional"), ('*', "multiple"), ('+', "multiple_token")];

/// The arguments of a command or a subcommand, given by its full name.
pub(super) fn of(name: &str) -> Option<Arguments> {
    let at = ARGUMENTS.binary_search_by_key(&name, |line| line.0).ok()?;
    let (_, line) = ARGUMENTS.get(at)?;
    Some(Arguments(group(&mut line.split_ascii_whitespace())))
}

/// Arguments, in their order.
#[derive(Debug)]
pub(super) struct Arguments(Vec<Argument>);

#[derive(Debug)]
struct Argument {
    name: &'static str,
    kind: &'static str,
    key_spec: Option<i64>,
    token: Option<&'static str>,
    since: Option<&'static str>,
    deprecated_since: Option<&'static str>,
    flags: SmallVec<[&'static str; 3]>,
    inner: Vec<Argument>,
}

/// Reads up to the end, or to the end of a group.
fn group(words: &mut SplitAsciiWhitespace<'static>) -> Vec<Argument> {
    let mut arguments: Vec<Argument> = Vec::new();
    while let Some(word) = words.next() {
        match word {
            ")" => break,
            "(" => {
                let inner = group(words);
                if let Some(argument) = arguments.last_mut() {
                    argument.inner = inner;
                }
            }
            _ => arguments.push(Argument::read(word)),
        }
    }
    arguments
}

impl Argument {
    fn read(word: &'static str) -> Self {
        let (traits, name) = word.split_once('/').unwrap_or(("", word));
        let (name, token) = match name.split_once('=') {
            Some((name, token)) => (name, Some(token)),
            None => (name, None),
        };
        let (traits, deprecated_since) = match traits.split_once('!') {
            Some((traits, since)) => (traits, Some(since)),
            None => (traits, None),
        };
        let (traits, since) = match traits.split_once('@') {
            Some((traits, since)) => (traits, Some(since)),
            None => (traits, None),
        };
        let kind = TYPES.iter().find(|(letter, _)| traits.starts_with(*letter));
        let flags = FLAGS.iter().filter(|(sign, _)| traits.contains(*sign));
        let key_spec = traits.split_once('#').and_then(|(_, rest)| rest.chars().next());
        Self {
            name,
            kind: kind.map_or("string", |(_, kind)| kind),
            key_spec: key_spec.and_then(|digit| digit.to_digit(10)).map(i64::from),
            token,
            since,
            deprecated_since,
            flags: flags.map(|(_, name)| *name).collect(),
            inner: Vec::new(),
        }
    }

    fn write(&self, reply: &mut Reply<'_>) {
        let texts = [
            ("token", self.token),
            ("since", self.since),
            ("deprecated_since", self.deprecated_since),
        ];
        let optional = [self.key_spec.is_some(), !self.flags.is_empty(), !self.inner.is_empty()];
        let texts = texts.into_iter().filter_map(|(key, text)| Some((key, text?)));
        let pairs = texts.clone().count() + optional.into_iter().filter(|there| *there).count();
        reply.map(2 + pairs);
        for (key, text) in [("name", self.name), ("type", self.kind)] {
            reply.bulk(key.as_bytes());
            reply.bulk(text.as_bytes());
        }
        if let Some(number) = self.key_spec {
            reply.bulk(b"key_spec_index");
            reply.int(number);
        }
        for (key, text) in texts {
            reply.bulk(key.as_bytes());
            reply.bulk(text.as_bytes());
        }
        if !self.flags.is_empty() {
            reply.bulk(b"flags");
            simple_set(&self.flags, reply);
        }
        if !self.inner.is_empty() {
            reply.bulk(b"arguments");
            write_all(&self.inner, reply);
        }
    }
}

fn write_all(arguments: &[Argument], reply: &mut Reply<'_>) {
    reply.array(arguments.len());
    arguments.iter().for_each(|argument| argument.write(reply));
}

impl Arguments {
    /// Writes them as COMMAND DOCS shows them.
    pub(super) fn write(&self, reply: &mut Reply<'_>) {
        write_all(&self.0, reply);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sorted_and_read_whole() {
        assert!(ARGUMENTS.is_sorted_by_key(|line| line.0));
        for (name, line) in ARGUMENTS {
            let mut words = line.split_ascii_whitespace();
            assert!(!group(&mut words).is_empty() && words.next().is_none(), "{name}");
        }
    }
}
