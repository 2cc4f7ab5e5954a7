//! When two replies to one request are the same.
//!
//! Byte for byte, but for what `allowed.toml` says is compared more loosely. Sets and maps of RESP3 have no order. A score of -0 is one of 0:
//! Redis keeps the sign in large sorted sets only.

use super::allowed::{Loose, loose};
use super::wire::Reply;
use protocol::command::lookup;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longer replies are cut where they are shown.
const SHORT: usize = 400;

/// Two servers ran the same request at most so far apart, in ms: on a busy machine, with both on it. The names of the rules say it too.
const CLOCK_MS_MAX: i64 = 4000;

/// A request that two servers answered differently; in a transaction, the queued one.
#[derive(Clone, Debug)]
pub(crate) struct Mismatch {
    pub(crate) request: Vec<Vec<u8>>,
    pub(crate) redis: Reply,
    pub(crate) slipway: Reply,
}

impl fmt::Display for Mismatch {
    /// Both replies, and of long ones the first place that differs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (redis, slipway) = (self.redis.to_string(), self.slipway.to_string());
        writeln!(f, "     redis   {}", cut(&redis))?;
        writeln!(f, "     slipway {}", cut(&slipway))?;
        if redis.len().max(slipway.len()) > SHORT {
            let (left, right) = if rule(&self.request) == Rule::Exact {
                (canonical(&self.redis), canonical(&self.slipway))
            } else {
                (tree(&self.redis), tree(&self.slipway))
            };
            writeln!(f, "     {}", first_difference(&left, &right))?;
        }
        Ok(())
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHORT) {
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}

/// The first place where two replies differ, if they have the same shape that far.
fn first_difference(left: &Reply, right: &Reply) -> String {
    if let (Some(a), Some(b)) = (left.items(), right.items())
        && let Some(at) = a.iter().zip(b).position(|(a, b)| a != b)
    {
        return format!("[{at}]{}", first_difference(&a[at], &b[at]));
    }
    format!(": {} / {}", cut(&left.to_string()), cut(&right.to_string()))
}

/// What of a reply counts.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub(crate) enum Rule {
    Exact,
    #[serde(rename = "in any order")]
    Items,
    /// Names and values in turn.
    #[serde(rename = "pairs in any order")]
    Pairs,
    /// The cursor, then the items.
    #[serde(rename = "the page in any order")]
    PageOfItems,
    #[serde(rename = "the page of pairs in any order")]
    PageOfPairs,
    /// Negative numbers are the same all the same.
    #[serde(rename = "seconds, within 4")]
    NearSeconds,
    #[serde(rename = "milliseconds, within 4000")]
    NearMilliseconds,
    /// As many of the same kind.
    #[serde(rename = "the shape")]
    Likeness,
    #[serde(rename = "the type")]
    Type,
    /// The same, with the items of all lists in any order, at any depth.
    #[serde(rename = "in any order at any depth")]
    Tree,
    #[serde(rename = "all but version and id")]
    Hello,
}

/// Compares the replies to `request`; `queued` are the requests of the transaction that an EXEC ended.
pub(crate) fn mismatches(
    request: &[Vec<u8>],
    queued: &[Vec<Vec<u8>>],
    redis: &Reply,
    slipway: &Reply,
) -> Vec<Mismatch> {
    let is_exec = request.len() == 1 && request[0].eq_ignore_ascii_case(b"EXEC");
    if let (true, Some(left), Some(right)) = (is_exec, redis.items(), slipway.items())
        && left.len() == queued.len()
        && right.len() == queued.len()
    {
        let each = queued.iter().zip(left.iter().zip(right));
        return each
            .flat_map(|(request, (redis, slipway))| mismatches(request, &[], redis, slipway))
            .collect();
    }
    let of_scores =
        matches!(request[0].to_ascii_uppercase().as_slice(), [b'Z', ..] | [b'B', b'Z', ..]);
    let same = if of_scores {
        agree(rule(request), &unsigned_zeros(redis), &unsigned_zeros(slipway))
    } else {
        agree(rule(request), redis, slipway)
    };
    if same {
        return Vec::new();
    }
    vec![Mismatch { request: request.to_vec(), redis: redis.clone(), slipway: slipway.clone() }]
}

/// As `allowed.toml` has it: by the first word, of a container by the first two.
fn rule(request: &[Vec<u8>]) -> Rule {
    let word = |at: usize| {
        let word = request.get(at).map(Vec::as_slice).unwrap_or_default();
        String::from_utf8_lossy(word).to_uppercase()
    };
    let is_container =
        lookup(word(0).as_bytes()).is_some_and(|command| !command.subcommands.is_empty());
    let name = if is_container { format!("{} {}", word(0), word(1)) } else { word(0) };
    let fits = |line: &&Loose| line.commands.iter().any(|its| *its == name.trim_end());
    loose().iter().find(fits).map_or(Rule::Exact, |line| line.compared)
}

fn agree(rule: Rule, redis: &Reply, slipway: &Reply) -> bool {
    match rule {
        _ if redis.is_error() || slipway.is_error() => redis == slipway,
        Rule::Exact => canonical(redis) == canonical(slipway),
        Rule::Items => sorted(redis, 1) == sorted(slipway, 1),
        Rule::Pairs => sorted(redis, 2) == sorted(slipway, 2),
        Rule::PageOfItems => agree_on_page(Rule::Items, redis, slipway),
        Rule::PageOfPairs => agree_on_page(Rule::Pairs, redis, slipway),
        Rule::NearSeconds => agree_within(CLOCK_MS_MAX / 1000, redis, slipway),
        Rule::NearMilliseconds => agree_within(CLOCK_MS_MAX, redis, slipway),
        Rule::Likeness => likeness(redis) == likeness(slipway),
        Rule::Tree => tree(redis) == tree(slipway),
        Rule::Type => kind(redis) == kind(slipway),
        Rule::Hello => without_identity(redis) == without_identity(slipway),
    }
}

fn agree_on_page(inner: Rule, redis: &Reply, slipway: &Reply) -> bool {
    match (redis.items(), slipway.items()) {
        (Some([left, a]), Some([right, b])) => left == right && agree(inner, a, b),
        _ => redis == slipway,
    }
}

fn agree_within(most: i64, redis: &Reply, slipway: &Reply) -> bool {
    match (redis.integer(), slipway.integer()) {
        (Some(a), Some(b)) if a >= 0 && b >= 0 => a.abs_diff(b) <= most as u64,
        _ => redis == slipway,
    }
}

/// The reply with RESP3's sets and maps in one order, at any depth.
fn canonical(reply: &Reply) -> Reply {
    let Reply::Items(kind, items) = reply else { return reply.clone() };
    let items: Vec<_> = items.iter().map(canonical).collect();
    match kind {
        b'~' => sorted(&Reply::Items(*kind, items), 1),
        b'%' => sorted(&Reply::Items(*kind, items), 2),
        _ => Reply::Items(*kind, items),
    }
}

/// The reply with all its lists in one order; pairs keep together.
fn tree(reply: &Reply) -> Reply {
    let Reply::Items(kind, items) = reply else { return reply.clone() };
    let items = Reply::Items(*kind, items.iter().map(tree).collect());
    sorted(&items, if *kind == b'%' { 2 } else { 1 })
}

/// The items in groups of so many, the groups in order.
pub(crate) fn sorted(reply: &Reply, group: usize) -> Reply {
    let Reply::Items(kind, items) = reply else { return reply.clone() };
    let mut groups: Vec<_> = items.chunks(group).collect();
    groups.sort_unstable();
    Reply::Items(*kind, groups.concat())
}

pub(crate) fn unsigned_zeros(reply: &Reply) -> Reply {
    match reply {
        Reply::Items(kind, items) => {
            Reply::Items(*kind, items.iter().map(unsigned_zeros).collect())
        }
        Reply::Bulk(score) if score == b"-0" => Reply::Bulk(b"0".to_vec()),
        Reply::Line(score) if score == b",-0" => Reply::line(",0"),
        other => other.clone(),
    }
}

/// The reply with nothing in its strings and numbers.
fn likeness(reply: &Reply) -> Reply {
    match reply {
        Reply::Items(kind, items) => Reply::Items(*kind, items.iter().map(likeness).collect()),
        Reply::Bulk(_) => Reply::Bulk(Vec::new()),
        Reply::Line(line) => Reply::Line(line[..1].to_vec()),
        other => other.clone(),
    }
}

fn kind(reply: &Reply) -> u8 {
    match reply {
        Reply::Items(kind, _) => *kind,
        Reply::Line(line) => line[0],
        Reply::Bulk(_) => b'$',
        Reply::Verbatim(_) => b'=',
        Reply::NullBulk | Reply::NullArray => b'n',
        Reply::Silence | Reply::Broken(_) => b'!',
    }
}

fn without_identity(reply: &Reply) -> Reply {
    let Reply::Items(kind, items) = reply else { return reply.clone() };
    let named = |pair: &&[Reply]| !matches!(pair[0].bulk(), Some(b"version" | b"id"));
    let kept: Vec<_> = items.chunks(2).filter(named).flatten().cloned().collect();
    sorted(&Reply::Items(*kind, kept), 2)
}
