//! Commands on keys of any type.

use super::{Call, Done, Refused};
use crate::store::{Bytes, Kind, Store};
use protocol::glob;
use protocol::reply::{Reply, errors};

pub(super) fn del(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let count = call.from(1).iter().filter(|key| store.remove(key)).count();
    out.int(count as i64);
    Ok(())
}

pub(super) fn exists(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    // Of a deleted stream Pika keeps a record that counts as a key.
    let there = |store: &mut Store, key: &[u8]| {
        store.has(key) || call.is_pika() && store.buried(key) == Some(Kind::Stream)
    };
    let count = call.from(1).iter().filter(|key| there(store, key)).count();
    out.int(count as i64);
    Ok(())
}

/// TTL and PTTL. Of a missing key Pika says 0, and −2 only while its record is still on disk.
pub(super) fn ttl(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let key = call.key();
    let unit = if call.option(0) == "ttl" { 1000 } else { 1 };
    let now_ms = store.now_ms;
    let missing = |store: &Store| match store.buried(key) {
        None | Some(Kind::Stream) if call.is_pika() => 0,
        _ => -2,
    };
    let stream = call.is_pika() && store.kind(key) == Some(Kind::Stream);
    let answer = match store.entry(key).map(|entry| entry.ends_ms) {
        None => missing(store),
        // A Pika stream has no end, and says so with 0.
        Some(_) if stream => 0,
        Some(None) => -1,
        // Redis rounds to the nearest second, Pika cuts.
        Some(Some(ends)) if unit == 1000 && !call.is_pika() => (ends - now_ms + 500) / 1000,
        Some(Some(ends)) => (ends - now_ms) / unit,
    };
    out.int(answer);
    Ok(())
}

/// EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT. A Pika stream has no end.
pub(super) fn expire(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let number = call.int(2)?;
    let name = call.option(0);
    let unit = if name.starts_with('p') { 1 } else { 1000 };
    let start = if name.ends_with("at") { 0 } else { store.now_ms };
    let ends = start.saturating_add(number.saturating_mul(unit));
    let key = call.key();
    let found = match store.kind(key) {
        None => false,
        Some(Kind::Stream) if call.is_pika() => false,
        Some(_) if ends <= store.now_ms => store.remove(key),
        Some(_) => {
            store.end_at(key, Some(ends));
            true
        }
    };
    out.int(i64::from(found));
    Ok(())
}

pub(super) fn persist(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let had = store.entry(call.key()).and_then(|entry| entry.ends_ms.take());
    out.int(i64::from(had.is_some()));
    Ok(())
}

pub(crate) fn kind_name(kind: Kind, call: &Call<'_>) -> &'static str {
    match kind {
        Kind::Text => "string",
        Kind::Hash => "hash",
        Kind::List => "list",
        Kind::Set => "set",
        Kind::Zset => "zset",
        Kind::Stream if call.is_pika() => "streams",
        Kind::Stream => "stream",
    }
}

/// TYPE. Pika names the old type while the record of a deleted collection or an expired key is still on disk.
pub(super) fn kind(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let mut kind = store.kind(call.key());
    if call.is_pika() {
        kind = kind.or_else(|| store.buried(call.key()));
    }
    out.simple(kind.map_or("none", |kind| kind_name(kind, call)));
    Ok(())
}

/// KEYS. Pika gives them by type: strings, hashes, sets, lists, sorted sets, streams.
pub(super) fn keys(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let mut found: Vec<(Kind, &Bytes)> = store
        .keys()
        .filter(|(key, _)| glob::matches(call.key(), key))
        .map(|(key, entry)| (entry.value.kind(), key))
        .collect();
    if call.is_pika() {
        found.sort_by_key(|(kind, _)| *kind);
    }
    out.array(found.len());
    found.iter().for_each(|(_, key)| out.bulk(key));
    Ok(())
}

/// SCAN cursor [MATCH pattern] [COUNT n]. The cursor is a number of keys passed.
pub(super) fn scan(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let page = Page::read(call, 1)?;
    let all: Vec<&Bytes> = store.keys().map(|(key, _)| key).collect();
    let (cursor, keys) = page.cut(&all);
    let keys: Vec<_> = keys.iter().filter(|key| glob::matches(&page.pattern, key)).collect();
    out.array(2);
    out.bulk_int(cursor);
    out.array(keys.len());
    keys.iter().for_each(|key| out.bulk(key));
    Ok(())
}

/// RENAME; Pika has none.
pub(super) fn rename(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let Some(entry) = store.entry(call.key()).cloned() else { return Err(errors::NO_KEY.into()) };
    store.remove(call.key());
    store.put_until(call.word(2), entry.value, entry.ends_ms);
    out.ok();
    Ok(())
}

/// Cursor and options of the SCAN family.
pub(super) struct Page {
    cursor: usize,
    count: usize,
    pub pattern: Bytes,
}

impl Page {
    /// Reads the cursor at word `at` and the options behind it.
    pub(super) fn read(call: &Call<'_>, at: usize) -> Result<Self, Refused> {
        let cursor = usize::try_from(call.int(at).map_err(|_| errors::CURSOR)?).unwrap_or(0);
        let mut page = Self { cursor, count: 10, pattern: b"*".to_vec() };
        let mut next = at + 1;
        while next < call.words.len() {
            match call.option(next).as_str() {
                "match" => page.pattern = call.word(next + 1).to_vec(),
                "count" => page.count = usize::try_from(call.int(next + 1)?).unwrap_or(0),
                _ => return Err(errors::SYNTAX.into()),
            }
            next += 2;
        }
        Ok(page)
    }

    /// The next cursor and the elements of this page.
    pub(super) fn cut<'a, T>(&self, all: &'a [T]) -> (i64, &'a [T]) {
        let begin = self.cursor.min(all.len());
        let end = (begin + self.count).min(all.len());
        let cursor = if end == all.len() || self.count == 0 { 0 } else { end as i64 };
        (cursor, &all[begin..end])
    }
}
