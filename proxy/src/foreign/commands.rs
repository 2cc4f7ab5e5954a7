//! What is done with a command whose slot is at a Pika: it lists the keys of a slot command by command, and what is not listed does not move.
//!
//! A pure table, each line tried on Pika 4.0.1 (`docs/FOREIGN.md`, "Commands"). What stands not here is sent as it is. A command that writes
//! without listing is said in other words that list, where there are such words for exactly the same; else its key is noted
//! ([`super::known::Known::note`]) and listed when its slot is about to move. Commands that end a Pika, or that it never answers, are refused.

use protocol::command::{CommandId, table};
use protocol::number::parse_int;
use protocol::request::encode_request;
use std::sync::OnceLock;

/// What is done with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    AsItIs,
    /// It is said in other words, if it means what those mean; else it is noted.
    Said(Words),
    /// It goes as it is, and the key at this place is noted.
    Noted(At),
    /// It is refused, if it is in the form that harms.
    Refused(Harm),
}

/// Other words for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// `PSETEX key ms value` as `SET key value PX ms`.
    SetPx,
    /// `DECR key` as `DECRBY key 1`.
    DecrBy,
    /// `GEOADD key longitude latitude member …` as `ZADD key geohash member …`.
    ZAdd,
}

/// Where the key is that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    First,
    Second,
    /// Behind STORE or STOREDIST.
    Store,
}

/// What a Pika does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// BLPOP and BRPOP of a key that is no list end the process.
    Blocking,
    /// DBSIZE is an error, or two replies.
    Dbsize,
    /// SLOTSDEL takes the list of the slot's keys away, and leaves the keys.
    SlotsDel,
    /// XINFO HELP ends the process; GROUPS and CONSUMERS are never answered. STREAM is well.
    XInfo,
    /// XADD with MINID never answers.
    MinId,
    /// A score that is no number ends the process, and each one started after it.
    NotANumber,
}

/// By lower-case name.
const LINES: [(&str, Treatment); 20] = [
    ("psetex", Treatment::Said(Words::SetPx)),
    ("decr", Treatment::Said(Words::DecrBy)),
    ("geoadd", Treatment::Said(Words::ZAdd)),
    ("georadius", Treatment::Noted(At::Store)),
    ("georadiusbymember", Treatment::Noted(At::Store)),
    ("bitop", Treatment::Noted(At::Second)),
    ("pfadd", Treatment::Noted(At::First)),
    ("pfmerge", Treatment::Noted(At::First)),
    // Listed, but as a string.
    ("rpoplpush", Treatment::Noted(At::Second)),
    ("smove", Treatment::Noted(At::Second)),
    ("sunionstore", Treatment::Noted(At::First)),
    ("sinterstore", Treatment::Noted(At::First)),
    ("sdiffstore", Treatment::Noted(At::First)),
    ("zinterstore", Treatment::Noted(At::First)),
    ("blpop", Treatment::Refused(Harm::Blocking)),
    ("brpop", Treatment::Refused(Harm::Blocking)),
    ("dbsize", Treatment::Refused(Harm::Dbsize)),
    ("slotsdel", Treatment::Refused(Harm::SlotsDel)),
    ("xinfo", Treatment::Refused(Harm::XInfo)),
    ("xadd", Treatment::Refused(Harm::MinId)),
];

/// What is done with a command. `ZADD` and `ZINCRBY` are looked at for scores that are no numbers.
pub fn treatment(id: CommandId) -> Treatment {
    static BY_ID: OnceLock<Box<[Treatment]>> = OnceLock::new();
    let by_id = BY_ID.get_or_init(|| table().iter().map(|command| of_name(command.name)).collect());
    by_id.get(id.index()).copied().unwrap_or(Treatment::AsItIs)
}

fn of_name(name: &str) -> Treatment {
    if matches!(name, "zadd" | "zincrby") {
        return Treatment::Refused(Harm::NotANumber);
    }
    let line = LINES.iter().find(|(known, _)| *known == name);
    line.map_or(Treatment::AsItIs, |(_, treatment)| *treatment)
}

impl Words {
    /// The request in other words; nothing if it may mean something else than they do. The number of words has been checked.
    pub fn say(self, words: &[&[u8]]) -> Option<Vec<u8>> {
        let mut frame = Vec::new();
        match (self, words) {
            (Self::SetPx, [_, key, ms, value]) if parse_int(ms).is_some_and(|ms| ms > 0) => {
                encode_request(&mut frame, &[b"SET", key, value, b"PX", ms]);
            }
            (Self::DecrBy, [_, key]) => encode_request(&mut frame, &[b"DECRBY", key, b"1"]),
            (Self::ZAdd, [_, key, places @ ..]) if places.len().is_multiple_of(3) => {
                let mut scores = Vec::with_capacity(places.len() / 3);
                for place in places.chunks_exact(3) {
                    scores.push(geohash(number(place[0])?, number(place[1])?)?.to_string());
                }
                let mut said: Vec<&[u8]> = vec![b"ZADD", key];
                for (score, place) in scores.iter().zip(places.chunks_exact(3)) {
                    said.extend([score.as_bytes(), place[2]]);
                }
                encode_request(&mut frame, &said);
            }
            _ => return None,
        }
        Some(frame)
    }
}

impl At {
    /// The keys that are written.
    pub fn keys<'a>(self, words: &[&'a [u8]]) -> Vec<&'a [u8]> {
        match self {
            Self::First => words.get(1).copied().into_iter().collect(),
            Self::Second => words.get(2).copied().into_iter().collect(),
            Self::Store => {
                let is_store = |word: &[u8]| {
                    word.eq_ignore_ascii_case(b"store") || word.eq_ignore_ascii_case(b"storedist")
                };
                words.windows(2).filter(|pair| is_store(pair[0])).map(|pair| pair[1]).collect()
            }
        }
    }
}

impl Harm {
    /// Why the request is refused; nothing if it does no harm.
    pub fn why(self, words: &[&[u8]]) -> Option<&'static str> {
        match self {
            Self::Blocking => Some("a Pika dies of it if the key is no list"),
            Self::Dbsize => Some("a Pika answers it with an error or twice; ask INFO keyspace"),
            Self::SlotsDel => Some("a Pika would forget which keys the slot has, and keep them"),
            Self::XInfo => {
                let is_well = words.len() == 3 && words[1].eq_ignore_ascii_case(b"stream");
                (!is_well).then_some("a Pika answers XINFO STREAM key alone, and may die of others")
            }
            Self::MinId => {
                let is = |at: usize, name: &[u8]| {
                    words.get(at).is_some_and(|word| word.eq_ignore_ascii_case(name))
                };
                let has = is(2, b"minid") || is(2, b"nomkstream") && is(3, b"minid");
                has.then_some("a Pika never answers XADD with MINID")
            }
            Self::NotANumber => words[2..]
                .iter()
                .step_by(2)
                .any(|score| is_nan(score))
                .then_some("value is not a valid float, and a Pika dies of it"),
        }
    }
}

/// As C reads it, with whatever stands behind: `nan`, `-NaN`, `nan(1)`.
fn is_nan(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"nan"))
}

/// A number written as Redis, Pika and we read it alike.
fn number(text: &[u8]) -> Option<f64> {
    let is_plain = |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b'-');
    let text = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|b| is_plain(&b)))?;
    text.parse().ok()
}

/// Beyond it there is no Mercator.
const LATITUDE_MAX: f64 = 85.051_128_78;
const LONGITUDE_MAX: f64 = 180.0;
/// Bits of each of the two.
const BITS: u32 = 26;

/// The score of a place: the bits of latitude and longitude by turns, 26 each, latitude first from below (Redis' `geohash.c`, as in Pika).
fn geohash(longitude: f64, latitude: f64) -> Option<u64> {
    let part = |value: f64, max: f64| {
        let share = (value + max) / (2.0 * max);
        (-max..=max).contains(&value).then(|| (share * f64::from(1_u32 << BITS)) as u32)
    };
    let (x, y) = (part(longitude, LONGITUDE_MAX)?, part(latitude, LATITUDE_MAX)?);
    Some(spread(y) | spread(x) << 1)
}

/// Each bit at twice its place.
fn spread(bits: u32) -> u64 {
    (0..u32::BITS).filter(|bit| bits >> bit & 1 == 1).fold(0, |all, bit| all | 1 << (2 * bit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::command::lookup;

    fn words(line: &str) -> Vec<&[u8]> {
        line.split(' ').map(str::as_bytes).collect()
    }

    #[test]
    fn every_line_is_a_command_and_most_commands_have_none() {
        for (name, treated) in LINES {
            let command = lookup(name.as_bytes()).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(treatment(command.id), treated, "{name}");
        }
        for name in ["get", "set", "del", "mset", "incr", "lpush", "sadd", "hset", "decrby"] {
            assert_eq!(treatment(lookup(name.as_bytes()).unwrap().id), Treatment::AsItIs, "{name}");
        }
    }

    #[test]
    fn what_lists_nothing_is_said_in_words_that_do() {
        for (said, line, other) in [
            (Words::SetPx, "psetex k 1500 v", Some("SET k v PX 1500")),
            (Words::SetPx, "psetex k 0 v", None),
            (Words::SetPx, "psetex k x v", None),
            (Words::DecrBy, "decr k", Some("DECRBY k 1")),
            (
                Words::ZAdd,
                "geoadd k 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
                Some("ZADD k 3479099956230698 Palermo 3479447370796909 Catania"),
            ),
            // Its score has a bit more than others.
            (Words::ZAdd, "geoadd k 180 85.05112878 m", Some("ZADD k 13510798882111488 m")),
            (Words::ZAdd, "geoadd k 200 1 m", None),
            (Words::ZAdd, "geoadd k nan 1 m", None),
            (Words::ZAdd, "geoadd k 1e1 1 m", None),
            (Words::ZAdd, "geoadd k NX 1 1 m", None),
        ] {
            let frame = other.map(|other| {
                let mut frame = Vec::new();
                encode_request(&mut frame, &words(other));
                frame
            });
            assert_eq!(said.say(&words(line)), frame, "{line}");
        }
    }

    #[test]
    fn the_key_that_is_written_is_found() {
        for (at, line, keys) in [
            (At::First, "pfadd k a", vec!["k"]),
            (At::Second, "smove a b m", vec!["b"]),
            (At::Store, "georadius k 1 1 5 km", vec![]),
            (At::Store, "georadius k 1 1 5 km STORE d COUNT 1 storedist e", vec!["d", "e"]),
        ] {
            let found: Vec<&[u8]> = keys.iter().map(|key: &&str| key.as_bytes()).collect();
            assert_eq!(at.keys(&words(line)), found, "{line}");
        }
    }

    #[test]
    fn what_harms_a_pika_is_told_from_what_does_not() {
        for (harm, line, harms) in [
            (Harm::Blocking, "blpop k 1", true),
            (Harm::XInfo, "xinfo stream k", false),
            (Harm::XInfo, "xinfo help", true),
            (Harm::XInfo, "xinfo groups k", true),
            (Harm::MinId, "xadd k * minid v", false),
            (Harm::MinId, "xadd k MINID 2 9-1 a 1", true),
            (Harm::MinId, "xadd k NOMKSTREAM MINID ~ 2 9-1 a 1", true),
            (Harm::MinId, "xadd k * f v g minid", false),
            (Harm::NotANumber, "zadd k 1 nan", false),
            (Harm::NotANumber, "zadd k 1 a NaN b", true),
            (Harm::NotANumber, "zadd k -nan a", true),
            (Harm::NotANumber, "zincrby k nan a", true),
        ] {
            assert_eq!(harm.why(&words(line)).is_some(), harms, "{line}");
        }
    }
}
