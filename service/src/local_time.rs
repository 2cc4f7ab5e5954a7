//! What time it is where this machine stands: for dates in the names of files, and for people.
//!
//! The rules are those of the system: `TZ` or `/etc/localtime`, in the format TZif (RFC 9636). Without them it is UTC. They are read once, when
//! they are first asked for.

mod rule;

use rule::Rule;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// How local time differs from UTC at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offset {
    /// East of Greenwich is positive.
    pub seconds: i32,
    /// The zone's short name, `CST`; a zone without a name has its offset here, `+03`.
    pub name: String,
}

/// The rules of one zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// From when on, in seconds since 1970, which of `offsets` holds. In order.
    changes: Vec<(i64, usize)>,
    offsets: Vec<Offset>,
    /// What holds after the last change.
    rule: Option<Rule>,
}

/// A moment as a clock on the wall shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    pub year: i64,
    /// From 1.
    pub month: u8,
    /// From 1.
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

/// The zone of this machine.
pub static ZONE: LazyLock<Zone> = LazyLock::new(Zone::of_machine);

/// Seconds since 1970 in UTC, and nanoseconds on top.
pub fn now() -> (i64, u32) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_secs() as i64, since.subsec_nanos())
}

/// Where the rules of named zones are.
const FOLDER: &str = "/usr/share/zoneinfo";
/// A file of rules is at most a few kilobytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

impl Zone {
    fn of_machine() -> Self {
        let path = match std::env::var("TZ") {
            Err(_) => PathBuf::from("/etc/localtime"),
            Ok(name) if name.trim_start_matches(':').is_empty() => return Self::utc(),
            // An absolute name replaces the folder.
            Ok(name) => Path::new(FOLDER).join(name.trim_start_matches(':')),
        };
        let small = std::fs::metadata(&path).is_ok_and(|file| file.len() <= FILE_BYTES_MAX);
        let bytes = if small { std::fs::read(path).ok() } else { None };
        bytes.and_then(|bytes| Self::read(&bytes)).unwrap_or_else(Self::utc)
    }

    /// The zone without rules.
    pub fn utc() -> Self {
        Self {
            changes: Vec::new(),
            offsets: vec![Offset { seconds: 0, name: "UTC".to_owned() }],
            rule: None,
        }
    }

    /// Reads a file of rules; nothing where it is none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let first = Block::read(bytes, 4)?;
        if bytes[4] < b'2' {
            return first.zone(None);
        }
        // The second block says the same with numbers of 64 bits; behind it stands the rule for the time after.
        let second = Block::read(&bytes[first.end..], 8)?;
        let footer = std::str::from_utf8(&bytes[first.end + second.end..]).ok()?;
        second.zone(Rule::parse(footer.trim_matches('\n')))
    }

    /// What holds at a moment.
    pub fn at(&self, unix_s: i64) -> Offset {
        let after = self.changes.partition_point(|(from, _)| *from <= unix_s);
        match (&self.rule, after.checked_sub(1)) {
            (Some(rule), _) if after == self.changes.len() => rule.at(unix_s),
            (_, Some(last)) => self.offsets[self.changes[last].1].clone(),
            // Before the first change: the first kind of time (RFC 9636 §3.2).
            (_, None) => self.offsets[0].clone(),
        }
    }

    /// What the clock on the wall shows at a moment.
    pub fn date(&self, unix_s: i64) -> Date {
        Date::of(unix_s + i64::from(self.at(unix_s).seconds))
    }
}

impl Date {
    /// Of seconds since 1970 that are local already.
    fn of(local_s: i64) -> Self {
        let (year, month, day) = civil(local_s.div_euclid(DAY_S));
        let second = local_s.rem_euclid(DAY_S);
        Self {
            year,
            month,
            day,
            hour: (second / 3600) as u8,
            minute: (second / 60 % 60) as u8,
            second: (second % 60) as u8,
        }
    }
}

const DAY_S: i64 = 86_400;

/// Year, month and day of a day counted from 1970-01-01: Howard Hinnant's `civil_from_days`.
fn civil(day: i64) -> (i64, u8, u8) {
    let from_march = day + 719_468;
    let (era, of_era) = (from_march.div_euclid(146_097), from_march.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = (of_year - (153 * shifted + 2) / 5 + 1) as u8;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as u8, day)
}

/// The day, counted from 1970-01-01, of the first of a month: Hinnant's `days_from_civil`.
fn first_of(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// One of the two blocks of a file.
struct Block<'a> {
    changes: &'a [u8],
    kinds: &'a [u8],
    offsets: &'a [u8],
    names: &'a [u8],
    /// Bytes of a moment.
    width: usize,
    end: usize,
}

impl<'a> Block<'a> {
    fn read(bytes: &'a [u8], width: usize) -> Option<Self> {
        if !bytes.starts_with(b"TZif") {
            return None;
        }
        let count = |at: usize| Some(number(bytes.get(20 + at * 4..24 + at * 4)?) as usize);
        let (is_ut, is_std, leaps) = (count(0)?, count(1)?, count(2)?);
        let (times, kinds, letters) = (count(3)?, count(4)?, count(5)?);
        let mut at: usize = 44;
        let mut take = |size: usize| {
            let part = bytes.get(at..at.checked_add(size)?)?;
            at += size;
            Some(part)
        };
        let block = Self {
            changes: take(times.checked_mul(width)?)?,
            kinds: take(times)?,
            offsets: take(kinds.checked_mul(6)?)?,
            names: take(letters)?,
            width,
            end: 0,
        };
        take(leaps.checked_mul(width + 4)?)?;
        take(is_std)?;
        take(is_ut)?;
        Some(Self { end: at, ..block })
    }

    fn zone(&self, rule: Option<Rule>) -> Option<Zone> {
        let offset = |entry: &[u8]| {
            let name = self.names.get(usize::from(entry[5])..)?;
            let name = name.split(|byte| *byte == 0).next()?;
            Some(Offset {
                seconds: number(&entry[..4]) as i32,
                name: String::from_utf8_lossy(name).into_owned(),
            })
        };
        let offsets: Vec<_> = self.offsets.chunks_exact(6).map(offset).collect::<Option<_>>()?;
        let kinds = self.kinds.iter().map(|kind| usize::from(*kind));
        let changes: Vec<_> =
            self.changes.chunks_exact(self.width).map(number).zip(kinds).collect();
        let is_sound = !offsets.is_empty() && changes.iter().all(|(_, kind)| *kind < offsets.len());
        is_sound.then_some(Zone { changes, offsets, rule })
    }
}

/// A signed number of 4 or 8 bytes, the highest first.
fn number(bytes: &[u8]) -> i64 {
    let first = if bytes.first().is_some_and(|byte| *byte >= 0x80) { -1 } else { 0 };
    bytes.iter().fold(first, |number, byte| (number << 8) | i64::from(*byte))
}

#[cfg(test)]
mod tests;
