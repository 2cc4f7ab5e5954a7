//! Words over all slots that this node serves (docs/WIRE.md §6).
//!
//! SCAN stops before a slot that is not served here, so that the proxy asks its owner; it never passes over one. FLUSHDB waits for slots that
//! take no writes for a moment, and is turned away by those of other nodes.

use super::super::key::{Page, flush_all_databases, scan_page};
use super::super::{HELD_KEYS_MAX, scan};
use super::{argument, number, reply_of};
use crate::error::{CommandError, line};
use crate::exec::{Entered, enter};
use crate::shared::Shared;
use crate::txn::{Flow, Guard, Reads, Scratch, Txn};
use bytes::Bytes;
use cluster::Slot;
use cluster::state::{Access, Admission};
use protocol::request::encode_request;
use protocol::slicer::{Args, Limits, slice_request};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long FLUSHDB waits for slots that are handed off.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

/// What SCAN's cursor is at the beginning of a slot.
const BEGINNING: &[u8] = b"0";

/// `SCAN first last cursor count [MATCH pattern] [TYPE type]`, answered with `[next-slot or -1, cursor, keys]`.
pub(super) async fn scan(
    shared: &Arc<Shared>,
    db: u8,
    args: Vec<Bytes>,
) -> Result<Vec<u8>, CommandError> {
    let shared_there = shared.clone();
    let task = shared.background.spawn_blocking(move || scan_now(&shared_there, db, &args));
    task.await.map_err(|_| "ERR internal error: SCAN died; please report it with the log")?
}

fn scan_now(shared: &Shared, db: u8, args: &[Bytes]) -> Result<Vec<u8>, CommandError> {
    let (first, last): (u64, u64) = (number(argument(args, 0)?)?, number(argument(args, 1)?)?);
    let last = last.min(u64::from(shared.slot_count().get()) - 1);
    // The options are read as those of a request: COUNT is its own argument here.
    let mut frame = Vec::new();
    let mut words: Vec<&[u8]> = vec![b"SCAN", b"0", b"COUNT", argument(args, 3)?];
    words.extend(args.iter().skip(4).map(AsRef::as_ref));
    encode_request(&mut frame, &words);
    let mut slices = Args::new();
    slice_request(&frame, &Limits::default(), &mut slices)
        .map_err(|e| CommandError::from(format!("ERR {e}")))?;
    let options = scan::options(
        super::super::Request { frame: &frame, args: &slices },
        2,
        scan::Kinds::Filtered,
    )?;
    let mut page = Page::after(position(argument(args, 2)?)?);
    let mut scratch = Scratch::default();
    let (mut next, mut at) = (None, first);
    while at <= last {
        let slot = shared
            .slot_count()
            .slot(at)
            .ok_or_else(|| CommandError::from(format!("ERR slot {at} does not exist")))?;
        let mut word = Vec::new();
        let Ok(entered) = enter(shared, &[slot], Access::Read, None, &mut word) else {
            if at == first {
                // As a bounce: nothing was done.
                return Ok(bounce_of(shared, slot));
            }
            next = Some(at);
            break;
        };
        if scan_slot(shared, &mut scratch, (slot, db), entered, (&options, &mut page))?
            == Flow::Stop
        {
            next = Some(at);
            break;
        }
        at += 1;
    }
    let cursor = page.after.as_deref().map_or_else(|| BEGINNING.to_vec(), hex);
    Ok(reply_of(|reply| {
        reply.array(3);
        reply.bulk(next.map_or_else(|| "-1".to_owned(), |slot| slot.to_string()).as_bytes());
        reply.bulk(&cursor);
        reply.array(page.keys.len());
        page.keys.iter().for_each(|(key, _)| reply.bulk(key));
    }))
}

fn scan_slot<'a>(
    shared: &'a Shared,
    scratch: &'a mut Scratch,
    (slot, db): (Slot, u8),
    entered: Entered<'a>,
    (options, page): (&scan::Options<'_>, &mut Page),
) -> Result<Flow, CommandError> {
    let mut txn = Txn::new(shared, scratch, entered, db, Reads::Committed);
    if txn.key_counts(slot)?.keys > HELD_KEYS_MAX {
        txn.detach();
    }
    scan_page(&mut txn, slot, options, page)
}

/// The word that turns a request away because of this slot.
pub(super) fn bounce_of(shared: &Shared, slot: Slot) -> Vec<u8> {
    let mut word = Vec::new();
    crate::link::bounce(&mut word, slot, &shared.slot(slot).read().state.admit(Access::Read));
    word
}

/// A position as text: an `x` and the key in hex digits.
fn hex(key: &[u8]) -> Vec<u8> {
    let digits = key
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| b"0123456789abcdef"[usize::from(digit)]);
    std::iter::once(b'x').chain(digits).collect()
}

fn position(text: &[u8]) -> Result<Option<Vec<u8>>, CommandError> {
    if text == BEGINNING {
        return Ok(None);
    }
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let pairs = text
        .strip_prefix(b"x")
        .filter(|digits| digits.len().is_multiple_of(2))
        .ok_or(line::INVALID_CURSOR)?;
    let bytes = pairs.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?));
    bytes.collect::<Option<Vec<u8>>>().map(Some).ok_or_else(|| line::INVALID_CURSOR.into())
}

/// `FLUSHDB first-last db|*`
pub(super) async fn flush(shared: &Arc<Shared>, args: &[Bytes]) -> Result<Vec<u8>, CommandError> {
    let ranges: cluster::SlotRanges = super::parsed(argument(args, 0)?)?;
    ranges.check(shared.slot_count()).map_err(|e| CommandError::from(format!("ERR {e}")))?;
    let db = match argument(args, 1)? {
        b"*" => None,
        db => Some(number::<u8>(db)?).filter(|db| *db < shared.config.databases),
    };
    if db.is_none() && argument(args, 1)? != b"*" {
        return Err("ERR DB index is out of range".into());
    }
    let begun = Instant::now();
    let mut left: Vec<Slot> = ranges.iter().collect();
    loop {
        let (its, slots) = (shared.clone(), std::mem::take(&mut left));
        let task = shared.background.spawn_blocking(move || flush_now(&its, &slots, db));
        left = task
            .await
            .map_err(|_| "ERR internal error: FLUSHDB died; please report it with the log")??;
        let Some(&first) = left.first() else { return Ok(reply_of(|reply| reply.ok())) };
        // The proxy must ask its owner for it; it then asks here for the others once more, which does no harm.
        if let Some(&away) = left.iter().find(|&&slot| is_away(shared, slot)) {
            return Ok(bounce_of(shared, away));
        }
        if begun.elapsed() > FLUSH_PATIENCE {
            return Ok(bounce_of(shared, first));
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Whether the slot is another node's, as far as this one knows.
fn is_away(shared: &Shared, slot: Slot) -> bool {
    let inner = shared.slot(slot).read();
    matches!(inner.state.admit(Access::Write), Admission::Moved { .. } | Admission::Ask)
}

/// Flushes the slots that take writes; returns the others.
fn flush_now(shared: &Shared, slots: &[Slot], db: Option<u8>) -> Result<Vec<Slot>, CommandError> {
    let mut scratch = Scratch::default();
    let mut left = Vec::new();
    for &slot in slots {
        let inner = shared.slot(slot).write();
        match inner.state.admit(Access::Write) {
            Admission::Execute => {}
            Admission::Hold | Admission::Moved { .. } | Admission::Ask => {
                left.push(slot);
                continue;
            }
        }
        let mut txn = Txn::new(
            shared,
            &mut scratch,
            [(slot, Guard::Exclusive(inner))],
            db.unwrap_or(0),
            Reads::Committed,
        );
        match db {
            Some(_) => txn.flush(slot)?,
            None => flush_all_databases(&mut txn, slot, shared.config.databases)?,
        }
        txn.commit()?;
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_written() {
        for key in [&b""[..], b"a", b"\x00\xff\r\n"] {
            assert_eq!(position(&hex(key)).ok().flatten().as_deref(), Some(key));
        }
        assert_eq!(position(b"0").ok(), Some(None));
        for text in [&b"x1"[..], b"1234", b"xzz", b""] {
            assert!(position(text).is_err());
        }
    }
}
