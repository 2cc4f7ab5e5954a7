//! What is in a slot of a Pika that cannot move as it is.
//!
//! Pika lists the keys of a slot in a set, each behind a letter for its type, and RocksDB keeps the set in order: by the first letter the
//! keys of one type are found without the others. Of a large slot only the first keys of a type are looked at, but for streams.

use super::relist::relist;
use super::{Move, Refusal, in_words};
use crate::config::FractionalScores;
use crate::dialect::Dialect;
use crate::foreign::link::{Link, LinkError};
use crate::foreign::probe;
use cluster::Slot;
use cluster::slot::tag;
use protocol::frame::Value;
use std::collections::BTreeSet;

/// Keys of one question to SLOTSSCAN.
pub(super) const KEYS_A_PAGE: usize = 512;
/// Members of one question to ZRANGE. A set with more is looked at no further.
const MEMBERS_MAX: i64 = 511;
/// The length of a HyperLogLog of Pika.
const HYPERLOGLOG_BYTES: i64 = 131_072;

/// How closely to look.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
    /// Keys of one type.
    pub keys_max: usize,
    pub scores: FractionalScores,
    pub wrong_letters: WrongLetters,
    /// After so many findings nothing more is looked at.
    pub findings_max: usize,
}

/// What is done about a key that is listed as what it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongLetters {
    /// They are looked for later.
    Leave,
    Report,
    /// The list is made right, if it can be. Only where nobody writes the slot.
    Cure,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub findings: Vec<Refusal>,
}

/// Looks at a slot; at other nodes than Pika's there is nothing to find.
pub async fn look(link: &mut Link, slot: Slot, depth: Depth) -> Result<Seen, LinkError> {
    let mut seen = Seen::default();
    if link.dialect() != Dialect::Pika {
        return Ok(seen);
    }
    let mut look = Look { link, slot, depth, seen: &mut seen };
    look.streams().await?;
    if depth.wrong_letters != WrongLetters::Leave {
        look.tags().await?;
    }
    look.hyperloglogs().await?;
    if depth.scores == FractionalScores::Refuse {
        look.scores().await?;
    }
    Ok(seen)
}

/// Looks at what may have changed a moment ago, and stops a move half-way.
pub(super) async fn look_again(
    link: &mut Link,
    slot: Slot,
    depth: Depth,
) -> Result<Seen, LinkError> {
    let mut seen = Seen::default();
    let mut look = Look { link, slot, depth, seen: &mut seen };
    look.streams().await?;
    look.tags().await?;
    Ok(seen)
}

/// Refuses if the target already has a key of the slot.
pub(super) async fn check_absent(target: &mut Link, moved: Move<'_>) -> Result<(), Refusal> {
    let failed = in_words(moved.target);
    if target.dialect() == Dialect::CodisServer {
        // What comes replaces what is there.
        return Ok(());
    }
    let mut pages = Pages::new(moved.slot, "*");
    while let Some(members) = pages.next(target).await.map_err(&failed)? {
        let keys: Vec<&[u8]> = members.iter().map(|member| &member[1..]).collect();
        let there = kinds(target, &keys).await.map_err(&failed)?;
        if let Some(at) = there.iter().position(|kind| kind.exists) {
            let (node, key) = (moved.target.to_owned(), shown(keys[at]));
            return Err(Refusal::TargetHolds { node, slot: moved.slot, key });
        }
    }
    Ok(())
}

struct Look<'a> {
    link: &'a mut Link,
    slot: Slot,
    depth: Depth,
    seen: &'a mut Seen,
}

impl Look<'_> {
    fn is_full(&self) -> bool {
        self.seen.findings.len() >= self.depth.findings_max
    }

    fn found(&mut self, finding: Refusal) {
        if !self.is_full() {
            self.seen.findings.push(finding);
        }
    }

    /// Streams, of which none can move.
    async fn streams(&mut self) -> Result<(), LinkError> {
        // XADD writes m, SLOTSRELOAD x.
        for letter in [b'm', b'x'] {
            self.streams_under(letter).await?;
        }
        Ok(())
    }

    async fn streams_under(&mut self, letter: u8) -> Result<(), LinkError> {
        let mut pages = Pages::new(self.slot, &format!("{}*", char::from(letter)));
        while !self.is_full()
            && let Some(members) = pages.next(self.link).await?
        {
            let keys: Vec<&[u8]> = members.iter().map(|member| &member[1..]).collect();
            for (kind, key) in kinds(self.link, &keys).await?.iter().zip(keys) {
                // One that is something else by now stays on the list, and a deleted one stands in the way like any other.
                if kind.is_stream() {
                    self.found(Refusal::Stream { key: shown(key) });
                }
            }
        }
        Ok(())
    }

    /// Keys with a tag move together, in the order of the list, and none moves if the list first says of one that it is what it is not:
    /// RPOPLPUSH lists its second list as a string, and what a key was before it was set or made anew stays on the list.
    async fn tags(&mut self) -> Result<(), LinkError> {
        let mut pages = Pages::new(self.slot, "*");
        let (mut looked_at, mut tags) = (0, BTreeSet::new());
        while !self.is_full()
            && looked_at < self.depth.keys_max
            && let Some(members) = pages.next(self.link).await?
        {
            looked_at += members.len();
            let of_page: BTreeSet<u32> =
                members.iter().filter_map(|member| tag_hash(&member[1..])).collect();
            for hash in of_page.difference(&tags).copied().collect::<Vec<_>>() {
                self.tag(hash).await?;
            }
            tags.extend(of_page);
        }
        Ok(())
    }

    /// The keys of one tag.
    async fn tag(&mut self, hash: u32) -> Result<(), LinkError> {
        let list = format!("_internal:slottag:4migrate:{hash}");
        for key in self.wrong_of_tag(&list).await? {
            self.found_wrong(hash, &list, key).await?;
        }
        Ok(())
    }

    /// The entries of a list that stand in the way.
    async fn wrong_of_tag(&mut self, list: &str) -> Result<Vec<(Vec<u8>, String)>, LinkError> {
        // SMEMBERS would answer from the read cache, which is not told of what is listed later.
        let (mut pages, mut members) = (Pages::of_set(list), Vec::new());
        while let Some(page) = pages.next(self.link).await? {
            members.extend(page);
        }
        let keys: Vec<&[u8]> = members.iter().map(|member| &member[1..]).collect();
        let kinds = kinds(self.link, &keys).await?;
        let listed: BTreeSet<&[u8]> = members.iter().map(Vec::as_slice).collect();
        let mut wrong = Vec::new();
        for (member, kind) in members.iter().zip(kinds) {
            let Some(right) = kind.letter().filter(|right| kind.exists && *right != member[0])
            else {
                // What is gone does no harm, and streams have been found.
                continue;
            };
            if right < member[0] && listed.contains([&[right], &member[1..]].concat().as_slice()) {
                // It has moved when this entry's turn comes.
                continue;
            }
            wrong.push((member.clone(), kind.name));
        }
        Ok(wrong)
    }

    /// Cures an entry, or reports it.
    async fn found_wrong(
        &mut self,
        hash: u32,
        list: &str,
        (member, kind): (Vec<u8>, String),
    ) -> Result<(), LinkError> {
        if self.depth.wrong_letters == WrongLetters::Cure {
            relist(self.link, self.slot, &member[1..]).await?;
            if self.wrong_of_tag(list).await?.iter().all(|(other, _)| *other != member) {
                return Ok(());
            }
        }
        self.found(Refusal::WrongLetter {
            slot: self.slot,
            tag: hash,
            key: shown(&member[1..]),
            letter: char::from(member[0]),
            kind: format!("a {kind}"),
        });
        Ok(())
    }

    /// HyperLogLogs, of which Pika moves the bytes only: at the target they are strings, and PFCOUNT refuses them.
    async fn hyperloglogs(&mut self) -> Result<(), LinkError> {
        let mut pages = Pages::new(self.slot, "k*");
        let mut looked_at = 0;
        while !self.is_full()
            && looked_at < self.depth.keys_max
            && let Some(members) = pages.next(self.link).await?
        {
            looked_at += members.len();
            let keys: Vec<&[u8]> = members.iter().map(|member| &member[1..]).collect();
            for key in hyperloglogs(self.link, &keys).await? {
                self.found(Refusal::HyperLogLog { key: shown(key) });
            }
        }
        Ok(())
    }

    /// Scores that would be rounded on their way.
    async fn scores(&mut self) -> Result<(), LinkError> {
        let mut pages = Pages::new(self.slot, "z*");
        let mut looked_at = 0;
        while !self.is_full()
            && looked_at < self.depth.keys_max
            && let Some(members) = pages.next(self.link).await?
        {
            looked_at += members.len();
            let last = MEMBERS_MAX.to_string();
            let asked: Vec<[&[u8]; 5]> = members
                .iter()
                .map(|m| [b"ZRANGE", &m[1..], b"0", last.as_bytes(), b"WITHSCORES"])
                .collect();
            self.link.send(asked.iter().map(<[&[u8]; 5]>::as_slice)).await?;
            for member in &members {
                let answer = self.link.answer().await?;
                let texts: Vec<&[u8]> = texts(&answer).collect();
                for pair in texts.chunks_exact(2) {
                    let score = String::from_utf8_lossy(pair[1]).into_owned();
                    let Some(rounded) = rounded(&score) else { continue };
                    let (key, member) = (shown(&member[1..]), shown(pair[0]));
                    self.found(Refusal::Score { key, member, score, rounded });
                    break;
                }
            }
        }
        Ok(())
    }
}

/// The pages of a list of keys, as Pika and nodes of ours have it: each key behind the letter of its type.
pub(in crate::foreign) struct Pages {
    command: &'static str,
    list: String,
    pattern: String,
    cursor: Option<String>,
}

impl Pages {
    /// Of a slot.
    pub(in crate::foreign) fn new(slot: Slot, pattern: &str) -> Self {
        let cursor = Some("0".to_owned());
        Self { command: "SLOTSSCAN", list: slot.to_string(), pattern: pattern.to_owned(), cursor }
    }

    /// Of a tag.
    fn of_set(list: &str) -> Self {
        let cursor = Some("0".to_owned());
        Self { command: "SSCAN", list: list.to_owned(), pattern: "*".to_owned(), cursor }
    }

    /// The next members, each with its letter; nothing at the end.
    pub(in crate::foreign) async fn next(
        &mut self,
        link: &mut Link,
    ) -> Result<Option<Vec<Vec<u8>>>, LinkError> {
        let Some(cursor) = self.cursor.take() else { return Ok(None) };
        let count = KEYS_A_PAGE.to_string();
        let words = [self.command, &self.list, &cursor, "MATCH", &self.pattern, "COUNT", &count];
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let answer = link.ask(&words).await?;
        let Some([next, members]) = answer.as_items() else {
            return Err(LinkError::Lost(format!("{} is answered with {answer:?}", self.command)));
        };
        self.cursor = next.as_str().filter(|&next| next != "0").map(str::to_owned);
        Ok(Some(texts(members).filter(|m| m.len() > 1).map(<[u8]>::to_vec).collect()))
    }
}

/// What a key is.
pub(in crate::foreign) struct Kind {
    /// As TYPE says it, which goes on saying what a deleted key was.
    name: String,
    pub(in crate::foreign) exists: bool,
}

impl Kind {
    /// From the answers to TYPE and EXISTS.
    pub(super) fn read(name: &Value, exists: &Value) -> Self {
        let name = name.as_str().unwrap_or_default().to_owned();
        Self { name, exists: exists.as_int() == Some(1) }
    }

    /// TYPE says `streams`.
    pub(in crate::foreign) fn is_stream(&self) -> bool {
        self.name.starts_with("stream")
    }

    /// The letter of the type.
    pub(super) fn letter(&self) -> Option<u8> {
        probe::letter(&self.name)
    }
}

pub(in crate::foreign) async fn kinds(
    link: &mut Link,
    keys: &[&[u8]],
) -> Result<Vec<Kind>, LinkError> {
    let names = ask_each(link, b"TYPE", keys).await?;
    let exist = ask_each(link, b"EXISTS", keys).await?;
    Ok(names.iter().zip(&exist).map(|(name, exists)| Kind::read(name, exists)).collect())
}

/// Those of the keys that are HyperLogLogs. All of Pika's have one length, but for those to which nothing was added, which are empty.
pub(in crate::foreign) async fn hyperloglogs<'a>(
    link: &mut Link,
    keys: &[&'a [u8]],
) -> Result<Vec<&'a [u8]>, LinkError> {
    let mut found = Vec::new();
    for (&key, length) in keys.iter().zip(ask_each(link, b"STRLEN", keys).await?) {
        let may_be = match length.as_int() {
            Some(HYPERLOGLOG_BYTES) => true,
            // So is what is not there, and PFCOUNT counts it.
            Some(0) => text(link, key).await?.as_bytes().is_some(),
            _ => false,
        };
        if may_be && link.ask(&[b"PFCOUNT", key]).await?.as_error().is_none() {
            found.push(key);
        }
    }
    Ok(found)
}

/// A string, or the error of what is none. In a transaction, for GET alone is answered from a read cache that is not told of PFADD.
pub(in crate::foreign) async fn text(link: &mut Link, key: &[u8]) -> Result<Value, LinkError> {
    link.send([&[&b"MULTI"[..]][..], &[b"GET", key], &[b"EXEC"]]).await?;
    link.answer().await?;
    link.answer().await?;
    let answer = link.answer().await?;
    match answer.as_items() {
        Some([value]) => Ok(value.clone()),
        _ => Err(LinkError::Lost(format!("EXEC of a GET is answered with {answer:?}"))),
    }
}

pub(super) async fn ask_each(
    link: &mut Link,
    command: &[u8],
    keys: &[&[u8]],
) -> Result<Vec<Value>, LinkError> {
    let asked: Vec<[&[u8]; 2]> = keys.iter().map(|&key| [command, key]).collect();
    link.send(asked.iter().map(<[&[u8]; 2]>::as_slice)).await?;
    let mut answers = Vec::with_capacity(keys.len());
    for _ in keys {
        answers.push(link.answer().await?);
    }
    Ok(answers)
}

fn texts(answer: &Value) -> impl Iterator<Item = &[u8]> {
    answer.as_items().unwrap_or_default().iter().filter_map(Value::as_bytes)
}

/// CRC-32 of the tag, if the key has one.
pub(in crate::foreign) fn tag_hash(key: &[u8]) -> Option<u32> {
    let tag = tag(key);
    (tag.len() != key.len()).then(|| crc32fast::hash(tag))
}

/// What Pika sends of a score, C++' `std::to_string`, if that is another number.
pub(in crate::foreign) fn rounded(score: &str) -> Option<String> {
    let exact: f64 = score.parse().ok()?;
    let sent = format!("{exact:.6}");
    (exact.is_finite() && sent.parse() != Ok(exact)).then_some(sent)
}

/// A key for people.
pub(in crate::foreign) fn shown(key: &[u8]) -> String {
    let text = String::from_utf8_lossy(key);
    text.escape_debug().take(SHOWN_MAX).collect()
}

/// Characters of a key that are shown.
const SHOWN_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_refused_if_six_decimals_do_not_hold_it() {
        for (score, sent) in [
            ("1", None),
            ("0.5", None),
            ("0.10000000000000001", None),
            ("-3.25", None),
            ("1e+300", None),
            ("inf", None),
            ("0.1234567", Some("0.123457")),
            ("1e-07", Some("0.000000")),
        ] {
            assert_eq!(rounded(score).as_deref(), sent, "{score}");
        }
    }

    #[test]
    fn a_key_has_the_hash_of_its_tag() {
        assert_eq!(tag_hash(b"{tt}a"), Some(1_575_099_176));
        assert_eq!(tag_hash(b"a"), None);
    }
}
