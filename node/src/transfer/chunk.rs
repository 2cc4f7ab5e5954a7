//! Reads the next piece of a slot, in the order of (family, key), from a snapshot that lives no longer than that.

use super::records::{Payload, Record};
use super::{Capture, Family};
use crate::encoding::Prefix;
use crate::engine::EngineError;
use crate::shared::Shared;
use cluster::Slot;

/// Where the last chunk ended; the default is the start of the slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Position(Option<(Family, Vec<u8>)>);

/// A piece of a slot.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) payload: Payload,
    /// Keys (not records) in it.
    pub(crate) keys: u64,
    /// Where it ends; nothing if the slot ends with it.
    pub(crate) last: Option<Position>,
}

/// Which piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) slot: Slot,
    /// It begins behind this.
    pub(crate) after: &'a Position,
    /// It ends with the record that reaches so many bytes.
    pub(crate) bytes_max: usize,
}

/// Reads a chunk. What changes meanwhile at or before its end is in `capture` when this returns.
pub(crate) fn read_chunk(
    shared: &Shared,
    Wanted { slot, after: position, bytes_max }: Wanted<'_>,
    capture: &Capture,
) -> Result<Chunk, EngineError> {
    let (snapshot, prefix) = {
        // Nobody writes between the two: what the snapshot lacks is captured.
        let inner = shared.slots.cell(slot).write();
        capture.chunk_begins();
        (shared.engine.snapshot(), inner.prefix(slot))
    };
    let mut chunk = Chunk { payload: Payload::default(), keys: 0, last: None };
    let first = position.0.as_ref().map_or(Family::Meta, |(family, _)| *family);
    for family in Family::ALL.into_iter().filter(|f| *f >= first) {
        let after =
            position.0.as_ref().filter(|(f, _)| *f == family).map(|(_, key)| key.as_slice());
        let begin = [&prefix.0, after.unwrap_or_default()].concat();
        let mut cursor = snapshot.cursor(family, &begin, &prefix.end())?;
        cursor.seek(&begin);
        while let Some((key, value)) = cursor.item() {
            let key = key.get(Prefix::LEN..).unwrap_or_default();
            if after != Some(key) {
                chunk.payload.push(Record::Put { family, key, value });
                chunk.keys += u64::from(family == Family::Meta);
            }
            if chunk.payload.len() >= bytes_max {
                capture.chunk_ended(family, key.to_vec());
                chunk.last = Some(Position(Some((family, key.to_vec()))));
                return Ok(chunk);
            }
            cursor.next();
        }
        cursor.status()?;
    }
    Ok(chunk)
}
