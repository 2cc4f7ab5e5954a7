//! Walking over the elements of a collection, the transaction's own changes included.

use super::overlay::Overlay;
use super::{Collection, Txn};
use crate::encoding::{life_key, successor};
use crate::engine::{Cursor, Family};
use crate::error::CommandError;

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

/// Whether a scan goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Continue,
    Stop,
}

/// What a scan covers: elements from `from` on, before `to` (nothing: to the end), whichever way it goes.
#[derive(Clone, Debug)]
pub struct Span<'a> {
    pub family: Family,
    pub from: &'a [u8],
    pub to: Option<&'a [u8]>,
    pub direction: Direction,
}

impl Span<'_> {
    /// Everything.
    pub fn all(family: Family, direction: Direction) -> Self {
        Span { family, from: &[], to: None, direction }
    }
}

impl Txn<'_> {
    /// Shows `visit` the elements of the span with their values, in the order of their bytes.
    pub fn scan(
        &mut self,
        collection: &Collection<'_>,
        span: &Span<'_>,
        visit: impl FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<(), CommandError> {
        let mut begin = Vec::with_capacity(32 + collection.key.len() + span.from.len());
        life_key(
            &mut begin,
            self.parts[collection.part].prefix,
            self.db,
            collection.key,
            collection.meta.version,
        );
        let life = begin.len();
        let end = match span.to {
            None => successor(&begin),
            Some(to) => [begin.as_slice(), to].concat(),
        };
        begin.extend_from_slice(span.from);
        if begin >= end {
            return Ok(());
        }
        let mut visit = visit;
        let visit = |key: &[u8], value: &[u8]| visit(key.get(life..).unwrap_or_default(), value);
        self.scan_records(span.family, span.direction, (&begin, &end), visit)
    }

    /// Shows `visit` the records of a range forward, by their whole keys.
    pub(super) fn scan_range(
        &mut self,
        family: Family,
        begin: &[u8],
        end: &[u8],
        visit: impl FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<(), CommandError> {
        if begin >= end {
            return Ok(());
        }
        self.scan_records(family, Direction::Forward, (begin, end), visit)
    }

    fn scan_records(
        &mut self,
        family: Family,
        direction: Direction,
        (begin, end): (&[u8], &[u8]),
        mut visit: impl FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<(), CommandError> {
        let mut cursor = match &self.snapshot {
            Some(snapshot) => snapshot.cursor(family, begin, end)?,
            None => self.shared.engine.cursor(family, begin, end)?,
        };
        match direction {
            Direction::Forward => cursor.first(),
            Direction::Backward => cursor.last(),
        }
        match &self.overlay {
            None => {
                while let Some((key, value)) = cursor.item() {
                    if visit(key, value) == Flow::Stop {
                        break;
                    }
                    step(&mut cursor, direction);
                }
            }
            Some(overlay) => {
                let pending = overlay.range(family, begin, end);
                merge(Pending { overlay, family, direction, pending }, &mut cursor, &mut visit);
            }
        }
        cursor.status()?;
        Ok(())
    }
}

fn step(cursor: &mut Cursor<'_>, direction: Direction) {
    match direction {
        Direction::Forward => cursor.next(),
        Direction::Backward => cursor.prev(),
    }
}

/// The transaction's own changes in a range.
struct Pending<'a> {
    overlay: &'a Overlay,
    family: Family,
    direction: Direction,
    /// In ascending order.
    pending: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Both in order; where both have a key, the pending one counts.
fn merge(
    changes: Pending<'_>,
    cursor: &mut Cursor<'_>,
    visit: &mut impl FnMut(&[u8], &[u8]) -> Flow,
) {
    let Pending { overlay, family, direction, mut pending } = changes;
    if direction == Direction::Forward {
        // Taken from the end.
        pending.reverse();
    }
    while let Some((key, value)) = cursor.item() {
        let is_next = |other: &[u8]| match direction {
            Direction::Forward => other <= key,
            Direction::Backward => other >= key,
        };
        if let Some((ours, change)) = pending.pop_if(|(ours, _)| is_next(ours)) {
            let same = ours == key;
            if let Some(value) = change
                && visit(&ours, &value) == Flow::Stop
            {
                return;
            }
            if same {
                step(cursor, direction);
            }
            continue;
        }
        if !overlay.erased(family, key) && visit(key, value) == Flow::Stop {
            return;
        }
        step(cursor, direction);
    }
    while let Some((key, change)) = pending.pop() {
        if let Some(value) = change
            && visit(&key, &value) == Flow::Stop
        {
            return;
        }
    }
}
