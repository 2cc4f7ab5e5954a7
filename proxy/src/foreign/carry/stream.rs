//! Streams, which Pika's migration does not know: entries with their ids, and the last id that was given. Pika has no groups of consumers. How
//! many entries were ever added cannot be told to a Pika: at the target it is as many as there are.

use super::{Ends, Trouble, done};
use crate::foreign::examine::{Kind, Pages, kinds, tag_hash};
use crate::foreign::link::{Link, LinkError};
use cluster::Slot;
use protocol::frame::Value;

/// The letters in a slot's list: XADD writes the first, SLOTSRELOAD the second.
pub(super) const LETTERS: [u8; 2] = *b"mx";

/// Entries of one question to XRANGE.
const ENTRIES_A_PAGE: usize = 512;

/// What an entry costs beside its bytes, in bytes.
const ENTRY_COST: u64 = 64;

/// One entry, as XRANGE shows it.
#[derive(Debug, PartialEq)]
struct Entry {
    id: String,
    /// Names and values in turn.
    fields: Vec<Vec<u8>>,
}

/// The streams of a slot, deleted ones among them: they are in the way as well.
pub(super) async fn keys(source: &mut Link, slot: Slot) -> Result<Vec<Vec<u8>>, LinkError> {
    let mut found = Vec::new();
    for letter in LETTERS {
        let mut pages = Pages::new(slot, &format!("{}*", char::from(letter)));
        while let Some(members) = pages.next(source).await? {
            let keys: Vec<&[u8]> = members.iter().map(|member| &member[1..]).collect();
            let kinds = kinds(source, &keys).await?;
            let streams = keys.iter().zip(kinds).filter(|(_, kind)| kind.is_stream());
            found.extend(streams.map(|(key, _)| key.to_vec()));
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// What carrying it costs, in bytes; not much more than `bytes_max` is counted.
pub(super) async fn size(source: &mut Link, key: &[u8], bytes_max: u64) -> Result<u64, LinkError> {
    let (mut walk, mut bytes) = (Walk::default(), 0);
    while bytes <= bytes_max
        && let Some(entries) = walk.next(source, key).await?
    {
        let sizes = entries.iter().flat_map(|entry| &entry.fields).map(|f| f.len() as u64);
        bytes += sizes.sum::<u64>() + entries.len() as u64 * ENTRY_COST;
    }
    Ok(bytes)
}

/// Puts it at the target, in place of what is there.
pub(super) async fn copy(ends: &mut Ends<'_>, key: &[u8]) -> Result<(), Trouble> {
    let node = ends.moved.target;
    if kinds(&mut ends.target, &[key]).await?.iter().any(|kind| kind.is_stream() || kind.exists) {
        remove(node, &mut ends.target, ends.moved.slot, key).await?;
    }
    let Some(given) = last_id(&mut ends.source, key).await? else { return Ok(()) };
    let (mut walk, mut last) = (Walk::default(), String::new());
    while let Some(entries) = walk.next(&mut ends.source, key).await? {
        let words: Vec<Vec<&[u8]>> = entries.iter().map(|entry| add(key, entry)).collect();
        ends.target.send(words.iter().map(Vec::as_slice)).await?;
        for _ in &entries {
            done(node, "XADD", &ends.target.answer().await?)?;
        }
        last = entries.last().map(|entry| entry.id.clone()).unwrap_or(last);
    }
    if given != last {
        // Its entry has been deleted.
        let fields = vec![b"f".to_vec(), b"v".to_vec()];
        let entry = Entry { id: given, fields };
        done(node, "XADD", &ends.target.ask(&add(key, &entry)).await?)?;
        done(node, "XDEL", &ends.target.ask(&[b"XDEL", key, entry.id.as_bytes()]).await?)?;
    }
    Ok(())
}

/// Whether both sides have the same entries, and will give the same ids from now on.
pub(super) async fn is_equal(ends: &mut Ends<'_>, key: &[u8]) -> Result<bool, Trouble> {
    let given = last_id(&mut ends.source, key).await?;
    if given != last_id(&mut ends.target, key).await? || given.is_none() {
        let is_there = kinds(&mut ends.target, &[key]).await?.iter().any(|kind| kind.exists);
        return Ok(given.is_none() && !is_there);
    }
    let (mut walk_here, mut walk_there) = (Walk::default(), Walk::default());
    loop {
        let here = walk_here.next(&mut ends.source, key).await?;
        if here != walk_there.next(&mut ends.target, key).await? {
            return Ok(false);
        }
        if here.is_none() {
            return Ok(true);
        }
    }
}

/// Deletes it so that nothing of it is in the way: DEL alone leaves a record that goes on being a stream. What takes its place lives for a
/// moment only, whoever may die meanwhile.
pub(super) async fn remove(
    node: &str,
    link: &mut Link,
    slot: Slot,
    key: &[u8],
) -> Result<(), Trouble> {
    link.send([&[b"DEL", key][..], &[b"SET", key, b"", b"PX", b"1"], &[b"DEL", key]]).await?;
    for command in ["DEL", "SET", "DEL"] {
        done(node, command, &link.answer().await?)?;
    }
    let of_tag = tag_hash(key).map(|hash| format!("_internal:slottag:4migrate:{hash}"));
    let of_slot = format!("_internal:slotkey:4migrate:{slot}");
    let entries = [LETTERS[0], LETTERS[1], b'k'].map(|letter| [&[letter], key].concat());
    for list in [Some(of_slot), of_tag].into_iter().flatten() {
        let mut words: Vec<&[u8]> = vec![b"SREM", list.as_bytes()];
        words.extend(entries.iter().map(Vec::as_slice));
        done(node, "SREM", &link.ask(&words).await?)?;
    }
    Ok(())
}

/// XADD of an entry.
fn add<'a>(key: &'a [u8], entry: &'a Entry) -> Vec<&'a [u8]> {
    let mut words: Vec<&[u8]> = vec![b"XADD", key, entry.id.as_bytes()];
    words.extend(entry.fields.iter().map(Vec::as_slice));
    words
}

/// The last id that was given, whose entry may be gone; nothing if there is no stream. A deleted one is a key like any other to EXISTS, and has
/// given none.
async fn last_id(link: &mut Link, key: &[u8]) -> Result<Option<String>, LinkError> {
    if !kinds(link, &[key]).await?.iter().any(Kind::is_stream) {
        return Ok(None);
    }
    let answer = link.ask(&[b"XINFO", b"STREAM", key]).await?;
    let mut pairs = answer.as_items().unwrap_or_default().chunks_exact(2);
    let pair = pairs.find(|pair| pair[0].as_str() == Some("last-generated-id"));
    Ok(pair.and_then(|pair| pair[1].as_str()).filter(|id| *id != "0-0").map(str::to_owned))
}

/// A way through the entries of a stream, page by page.
#[derive(Debug, Default)]
struct Walk {
    last: Option<String>,
    is_over: bool,
}

impl Walk {
    /// The next entries; nothing at the end.
    async fn next(&mut self, link: &mut Link, key: &[u8]) -> Result<Option<Vec<Entry>>, LinkError> {
        if self.is_over {
            return Ok(None);
        }
        let from = self.last.as_deref().map_or_else(|| Some("-".to_owned()), behind);
        let Some(from) = from else { return Ok(None) };
        let count = ENTRIES_A_PAGE.to_string();
        let words: [&[u8]; 6] = [b"XRANGE", key, from.as_bytes(), b"+", b"COUNT", count.as_bytes()];
        let answer = link.ask(&words).await?;
        let entries: Option<Vec<Entry>> =
            answer.as_items().and_then(|items| items.iter().map(read).collect());
        let Some(entries) = entries else {
            return Err(LinkError::Lost(format!("XRANGE is answered with {answer:?}")));
        };
        self.is_over = entries.len() < ENTRIES_A_PAGE;
        self.last = entries.last().map(|entry| entry.id.clone());
        Ok(Some(entries).filter(|entries| !entries.is_empty()))
    }
}

/// The lowest id behind another.
fn behind(id: &str) -> Option<String> {
    let (ms, number) = id.split_once('-')?;
    let (ms, number): (u64, u64) = (ms.parse().ok()?, number.parse().ok()?);
    match number.checked_add(1) {
        Some(number) => Some(format!("{ms}-{number}")),
        None => Some(format!("{}-0", ms.checked_add(1)?)),
    }
}

fn read(entry: &Value) -> Option<Entry> {
    let [id, fields] = entry.as_items()? else { return None };
    let fields = fields.as_items()?.iter().map(|field| field.as_bytes().map(<[u8]>::to_vec));
    Some(Entry { id: id.as_str()?.to_owned(), fields: fields.collect::<Option<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_id_is_the_lowest_that_is_higher() {
        assert_eq!(behind("5-7").as_deref(), Some("5-8"));
        assert_eq!(behind(&format!("5-{}", u64::MAX)).as_deref(), Some("6-0"));
        assert_eq!(behind(&format!("{0}-{0}", u64::MAX)), None);
    }
}
