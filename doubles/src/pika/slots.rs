//! SLOTSINFO, SLOTSSCAN, SLOTSHASHKEY, SLOTSDEL, SLOTSRELOAD, SLOTSCLEANUP: the index, read and repaired (`pika-node-contract.md` §2.4).

use super::Pika;
use super::data::{Data, now_ms};
use super::index::{self, Sets};
use super::settings::Fault;
use crate::commands::{Refused, int};
use crate::store::{Bytes, Kind};
use crate::wire::After;
use cluster::SlotCount;
use protocol::glob;
use protocol::reply::{Reply, errors};
use std::ops::Bound;
use std::sync::Arc;

/// `SLOTSINFO [start [count]]`
pub(crate) fn info(data: &mut Data, words: &[Bytes], out: &mut Reply<'_>) -> Result<(), Refused> {
    let mut end = i64::from(data.slots().get());
    let number = |at: usize| int(&words[at]).ok_or(Refused::from(errors::NOT_INTEGER));
    let shown = |at: usize| String::from_utf8_lossy(&words[at]).into_owned();
    let mut begin = 0;
    if words.len() >= 2 {
        begin = number(1)?;
        if !(0..end).contains(&begin) {
            return Err(format!("ERR invalid slot begin = {}", shown(1)).into());
        }
    }
    if words.len() >= 3 {
        let count = number(2)?;
        if count < 0 {
            return Err(format!("ERR invalid slot count = {}", shown(2)).into());
        }
        end = end.min(begin.saturating_add(count));
    }
    if words.len() >= 4 {
        return Err(errors::arity("slotsinfo").into());
    }
    let found: Vec<(i64, usize)> = (begin..end)
        .filter_map(|slot| Some((slot, index::count(&mut data.store, slot)?)))
        .collect();
    out.array(found.len());
    for (slot, keys) in found {
        out.array(2);
        out.int(slot);
        out.int(keys as i64);
    }
    Ok(())
}

/// SLOTSHASHKEY key …
pub(crate) fn hash_key(slots: SlotCount, words: &[Bytes], out: &mut Reply<'_>) {
    out.array(words.len() - 1);
    words[1..].iter().for_each(|key| out.int(slots.of(key).0.into()));
}

/// SLOTSSCAN slot cursor [MATCH pattern] [COUNT n]. A slot that is no number ends the process.
pub(crate) fn scan(
    data: &mut Data,
    words: &[Bytes],
    out: &mut Reply<'_>,
) -> Result<After, Refused> {
    let arity = || Refused::from(errors::arity("slotsscan"));
    let Some(slot) = int(&words[1]) else {
        if data.has(Fault::Crashes) {
            return Ok(After::Die("uncaught exception: stoll".to_owned()));
        }
        return Err(arity());
    };
    if slot < 0 || data.slots().slot(slot.unsigned_abs()).is_none() {
        return Err(arity());
    }
    let cursor = int(&words[2]).ok_or_else(arity)?;
    let (pattern, count) = options(&words[3..])?;
    let set = index::slot_set(slot);
    let after = data.scans.remove(&(set.clone(), cursor)).filter(|_| cursor != 0);
    // A pattern that only ends in * is looked up, not compared with everything.
    let beginning = pattern.strip_suffix(b"*").filter(|b| !b.iter().any(|c| b"*?[\\".contains(c)));
    let beginning = beginning.unwrap_or_default().to_vec();
    let start = after.map_or_else(|| Bound::Included(beginning.clone()), Bound::Excluded);
    let mut page = index::members_from(&mut data.store, &set, start, count);
    page.retain(|member| member.starts_with(&beginning));
    let next = match page.last() {
        Some(last)
            if page.len() == count
                && !index::members(&mut data.store, &set, Some(last), 1).is_empty() =>
        {
            data.scans.insert((set, cursor + count as i64), last.clone());
            cursor + count as i64
        }
        _ => 0,
    };
    let found: Vec<_> = page.iter().filter(|member| glob::matches(&pattern, member)).collect();
    out.array(2);
    out.bulk_int(if found.is_empty() { 0 } else { next });
    out.array(found.len());
    found.iter().for_each(|member| out.bulk(member));
    Ok(After::Go)
}

fn options(words: &[Bytes]) -> Result<(Bytes, usize), Refused> {
    let (mut pattern, mut count) = (b"*".to_vec(), 10);
    for pair in words.chunks(2) {
        let [name, value] = pair else { return Err(errors::SYNTAX.into()) };
        match name.to_ascii_lowercase().as_slice() {
            b"match" => pattern.clone_from(value),
            b"count" => {
                let number = int(value).ok_or(Refused::from(errors::NOT_INTEGER))?;
                count = usize::try_from(number).map_err(|_| errors::SYNTAX)?;
            }
            _ => return Err(errors::SYNTAX.into()),
        }
    }
    Ok((pattern, count))
}

/// SLOTSDEL slot …: deletes the sets, not the keys; how many sets there were.
pub(crate) fn delete(data: &mut Data, words: &[Bytes]) -> i64 {
    let shown = |word: &Bytes| String::from_utf8_lossy(word).into_owned();
    let sets = words[1..].iter().map(|word| index::slot_set(shown(word)));
    sets.filter(|set| data.store.remove(set)).count() as i64
}

impl Pika {
    /// SLOTSRELOAD: files every key there is, in the background.
    pub(super) fn reload(self: &Arc<Self>) -> String {
        let data = &mut *self.data();
        if !data.reload.runs {
            data.reload.runs = true;
            data.reload.started = stamp(now_ms() / 1000);
            let (pika, pause) = (Arc::clone(self), data.settings.background);
            tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                pika.data().file_all();
            });
        }
        format!("{} : 0", data.reload.started)
    }

    /// SLOTSCLEANUP slot …: deletes the slots' keys in the background; the slots being cleaned.
    pub(super) fn clean_up(self: &Arc<Self>, words: &[Bytes]) -> Result<Vec<i64>, Refused> {
        let slots = words[1..].iter().map(|word| int(word).filter(|slot| *slot >= 0));
        let slots: Option<Vec<i64>> = slots.collect();
        let slots = slots.ok_or(Refused::from(errors::NOT_INTEGER))?;
        let data = &mut *self.data();
        if !data.cleanup.runs && !data.reload.runs {
            data.cleanup.runs = true;
            data.cleanup.slots = slots;
            let (pika, pause) = (Arc::clone(self), data.settings.background);
            tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                pika.data().delete_slots();
            });
        }
        Ok(data.cleanup.slots.clone())
    }
}

impl Data {
    /// Files every key under its type's letter, streams under one that no migration knows. Stopped by SLOTSRELOADOFF.
    fn file_all(&mut self) {
        self.tick();
        if !self.reload.runs {
            return;
        }
        self.reload.runs = false;
        if !self.settings.slotmigrate {
            return;
        }
        let all = self.store.keys().filter(|(key, _)| !index::is_hidden(key));
        let all: Vec<_> = all.map(|(key, entry)| (key.clone(), entry.value.kind())).collect();
        let slots = self.slots();
        for (key, kind) in all {
            index::add(&mut self.store, slots, index::letter(kind), &key);
        }
    }

    fn delete_slots(&mut self) {
        self.tick();
        if !self.cleanup.runs {
            return;
        }
        self.cleanup.runs = false;
        let wanted = std::mem::take(&mut self.cleanup.slots);
        let slots = self.slots();
        let gone = self.store.keys().filter(|(key, _)| {
            !index::is_hidden(key) && wanted.contains(&i64::from(slots.of(key).0))
        });
        let gone: Vec<_> = gone.map(|(key, entry)| (key.clone(), entry.value.kind())).collect();
        for (key, kind) in gone {
            let letter = index::letter(kind);
            if index::remove(&mut self.store, slots, (letter, &key), Sets::Slot) {
                self.store.remove(&key);
            }
        }
    }
}

/// Seconds of Unix time as `20261122125002`, in UTC.
pub(crate) fn stamp(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
    // Days to a date of the Gregorian calendar, counted in eras of 400 years that begin on 1 March.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day = shifted.rem_euclid(146_097);
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{date:02}{hour:02}{minute:02}{second:02}")
}

/// PKSCANRANGE type first last LIMIT n: the keys of a type, from the data itself and not the cache, as run on 4.0.1. Names of keys only, and
/// never a second page.
pub(super) fn scan_range(data: &mut Data, words: &[Bytes], out: &mut Reply<'_>) {
    data.tick();
    let kind = match words[1].to_ascii_lowercase().as_slice() {
        b"hash" => Kind::Hash,
        b"set" => Kind::Set,
        b"list" => Kind::List,
        b"zset" => Kind::Zset,
        _ => Kind::Text,
    };
    let inside = |key: &&Bytes| words[2] <= **key && **key <= words[3];
    let mut keys: Vec<Bytes> =
        data.store.keys().map(|(key, _)| key).filter(inside).cloned().collect();
    keys.retain(|key| data.store.kind(key) == Some(kind));
    keys.sort();
    out.array(2);
    out.bulk(b"");
    out.array(keys.len());
    keys.iter().for_each(|key| out.bulk(key));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_a_date() {
        assert_eq!(stamp(0), "19700101000000");
        assert_eq!(stamp(1_795_353_170), "20261122131250");
        assert_eq!(stamp(1_709_164_799), "20240228235959");
    }
}
