//! Reads of single records: one look-up each, and no copy beyond what RocksDB makes itself.
//!
//! A record from the block cache stays there and is pinned for as long as it is held; one from a write buffer is a copy that RocksDB has made
//! anyway.

use super::{Engine, EngineError, Family, explain};
use rust_rocksdb::{DBPinnableBatch, DBPinnableSlice, ReadOptions};

/// A record as the store keeps it.
pub struct Pinned<'a>(DBPinnableSlice<'a>);

impl std::fmt::Debug for Pinned<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pinned").field("bytes", &self.0.len()).finish()
    }
}

impl Pinned<'_> {
    /// What was read.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What came of reading several records at once.
pub struct Several<'a>(DBPinnableBatch<'a>);

impl std::fmt::Debug for Several<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Several").field("records", &self.0.len()).finish()
    }
}

impl Several<'_> {
    /// The record whose key was at this place among the keys, if there is one.
    pub fn get(&self, at: usize) -> Result<Option<&[u8]>, EngineError> {
        self.0.get(at).unwrap_or(Ok(None)).map_err(|e| explain(&e))
    }
}

impl Engine {
    /// Reads a record.
    pub fn get(&self, family: Family, key: &[u8]) -> Result<Option<Pinned<'_>>, EngineError> {
        let found = self.db.get_pinned_cf(self.family(family)?, key);
        Ok(found.map_err(|e| explain(&e))?.map(Pinned))
    }

    /// Reads several records as they are at one moment, cheaper than one after the other. All are held together: give it few keys.
    pub fn get_several<'k>(
        &self,
        family: Family,
        keys: impl IntoIterator<Item = &'k [u8]>,
    ) -> Result<Several<'_>, EngineError> {
        let found = self.db.batched_multi_get_pinned_batch_cf(self.family(family)?, keys, false);
        found.map(Several).map_err(|e| explain(&e))
    }

    /// Reads a record as these options say.
    pub(super) fn get_as(
        &self,
        family: Family,
        key: &[u8],
        options: &ReadOptions,
    ) -> Result<Option<Pinned<'_>>, EngineError> {
        let found = self.db.get_pinned_cf_opt(self.family(family)?, key, options);
        Ok(found.map_err(|e| explain(&e))?.map(Pinned))
    }
}
