//! The payload of CHUNK, STREAM and FINAL: after-images of records, without slot and incarnation (docs/WIRE.md §5).
//!
//! `op u8 · family u8 · key length u32 LE · key · value length u32 LE · value`, repeated. Applying a record twice, or an older one before a
//! newer one, gives the same result as applying the newer one once: that is why a copy can be taken while writes go on.

use super::Family;
use xxhash_rust::xxh3::xxh3_128;

const PUT: u8 = 0;
const DELETE: u8 = 1;
const DELETE_RANGE: u8 = 2;

/// One change of one record. Keys start behind the slot and the incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    Put {
        family: Family,
        key: &'a [u8],
        value: &'a [u8],
    },
    Delete {
        family: Family,
        key: &'a [u8],
    },
    /// All keys from `begin` on, before `end`.
    DeleteRange {
        family: Family,
        begin: &'a [u8],
        end: &'a [u8],
    },
}

impl<'a> Record<'a> {
    /// The family and the (first) key.
    pub(crate) fn position(&self) -> (Family, &'a [u8]) {
        match *self {
            Self::Put { family, key, .. } | Self::Delete { family, key } => (family, key),
            Self::DeleteRange { family, begin, .. } => (family, begin),
        }
    }
}

/// Records in the order in which they must be applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Payload {
    bytes: Vec<u8>,
    count: u64,
}

impl Payload {
    pub(crate) fn push(&mut self, record: Record<'_>) {
        let (op, family, key, value) = match record {
            Record::Put { family, key, value } => (PUT, family, key, value),
            Record::Delete { family, key } => (DELETE, family, key, &[][..]),
            Record::DeleteRange { family, begin, end } => (DELETE_RANGE, family, begin, end),
        };
        self.bytes.reserve(10 + key.len() + value.len());
        self.bytes.extend_from_slice(&[op, family as u8]);
        self.bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(value);
        self.count += 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn hash(&self) -> String {
        hash(&self.bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn records(&self) -> Records<'_> {
        Records { rest: &self.bytes }
    }

    /// Keeps the records for which `keep` says so.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Record<'_>) -> bool) {
        let mut kept = Self::default();
        for record in self.records().flatten().filter(keep) {
            kept.push(record);
        }
        *self = kept;
    }
}

/// What both sides compare.
pub(crate) fn hash(payload: &[u8]) -> String {
    format!("{:032x}", xxh3_128(payload))
}

/// The payload ends in the middle of a record, or names an unknown operation or family.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged payload")]
pub(crate) struct Damaged;

/// Reads a payload.
pub(crate) struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    fn field(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        let (field, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.rest = rest;
        Some(field)
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let (&[op, family], rest) = self.rest.split_first_chunk::<2>()?;
        self.rest = rest;
        let family = Family::from_number(family)?;
        let (key, value) = (self.field()?, self.field()?);
        match op {
            PUT => Some(Record::Put { family, key, value }),
            DELETE => Some(Record::Delete { family, key }),
            DELETE_RANGE => Some(Record::DeleteRange { family, begin: key, end: value }),
            _ => None,
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.record();
        if record.is_none() {
            self.rest = &[];
        }
        Some(record.ok_or(Damaged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Payload {
        let mut payload = Payload::default();
        payload.push(Record::Put { family: Family::Meta, key: b"a", value: b"1" });
        payload.push(Record::Delete { family: Family::Data, key: b"" });
        payload.push(Record::DeleteRange { family: Family::Score, begin: b"x", end: b"y" });
        payload
    }

    #[test]
    fn what_is_written_is_read() {
        let payload = sample();
        let records: Vec<_> = payload.records().map(Result::unwrap).collect();
        assert_eq!(records.len(), 3);
        assert_eq!(records[0], Record::Put { family: Family::Meta, key: b"a", value: b"1" });
        assert_eq!(
            records[2],
            Record::DeleteRange { family: Family::Score, begin: b"x", end: b"y" }
        );
    }

    #[test]
    fn a_payload_cut_anywhere_is_damaged_and_never_read_as_something_else() {
        let payload = sample();
        let whole: Vec<_> = payload.records().map(Result::unwrap).collect();
        for cut in 0..payload.len() {
            let read: Vec<_> = Records::new(&payload.bytes()[..cut]).collect();
            let good: Vec<_> = read.iter().filter_map(|r| r.as_ref().ok().copied()).collect();
            assert_eq!(good, whole[..good.len()], "cut at {cut}");
            assert!(good.len() < whole.len());
        }
        assert_eq!(Records::new(&[9, 0, 0, 0, 0, 0, 0, 0, 0, 0]).next(), Some(Err(Damaged)));
        assert_eq!(Records::new(&[0, 9, 0, 0, 0, 0, 0, 0, 0, 0]).next(), Some(Err(Damaged)));
    }

    #[test]
    fn retain_keeps_order_and_count() {
        let mut payload = sample();
        payload.retain(|r| r.position().0 != Family::Data);
        assert_eq!(payload.count(), 2);
        assert_eq!(payload.records().count(), 2);
    }
}
