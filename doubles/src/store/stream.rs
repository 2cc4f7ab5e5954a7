//! A stream: entries by ID, and the last ID given. No groups.

use super::Bytes;
use std::collections::BTreeMap;

/// Milliseconds and a number within them.
pub(crate) type Id = (u64, u64);

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stream {
    pub entries: BTreeMap<Id, Vec<Bytes>>,
    pub last: Id,
}

impl Stream {
    /// Adds an entry; false if `id` is not behind the last.
    pub(crate) fn add(&mut self, id: Id, fields: Vec<Bytes>) -> bool {
        if id <= self.last {
            return false;
        }
        self.last = id;
        self.entries.insert(id, fields);
        true
    }
}
