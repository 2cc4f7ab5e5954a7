//! RocksDB. Only this file and those below it name it.
//!
//! The write-ahead log is flushed by hand ([`Engine::flush_wal`]): a batch goes into the log's buffer, and all batches of a worker's turn leave
//! with one write. Log recovery stops at the first record that is not whole (a torn tail after a crash); the log files that were synced are
//! listed in the manifest, so that a missing or shortened one is an error and not a silent loss.

mod figures;
mod read;

pub use figures::{FamilyFigures, Figures, Level};
pub use read::{Pinned, Several};

use super::{EngineError, Family, Tuning};
use rust_rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRawIterator, DBRecoveryMode, Error, LogLevel, Options, Range, ReadOptions, WriteBatch,
};
use std::path::Path;

const DEFAULT: &str = "default";
const META: &str = "meta";
const DATA: &str = "data";
const SCORE: &str = "score";

/// A batch is kept for reuse up to this size.
const BATCH_BYTES_KEPT: usize = 1 << 20;

/// Records of the node itself are read and written by their whole key, in a family of their own.
pub struct Engine {
    db: DB,
    cache: Cache,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("path", &self.db.path()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the store in `path`; makes it if there is none.
    pub fn open(path: &Path, tuning: &Tuning) -> Result<Self, EngineError> {
        let memory = usize::try_from(tuning.memory_bytes).unwrap_or(usize::MAX);
        let cache = Cache::new_hyper_clock_cache(memory / 2, 0);
        let families = [DEFAULT, META, DATA, SCORE].map(|name| {
            let filter = if name == SCORE { Filter::None } else { Filter::Bloom };
            ColumnFamilyDescriptor::new(name, family_options(&cache, memory, filter))
        });
        let db =
            DB::open_cf_descriptors(&db_options(tuning, memory), path, families).map_err(|e| {
                let text = e.to_string();
                if text.contains("lock") || text.contains("LOCK") {
                    EngineError::Locked { path: path.display().to_string() }
                } else {
                    explain(&e)
                }
            })?;
        Ok(Self { db, cache })
    }

    fn family(&self, family: Family) -> Result<&ColumnFamily, EngineError> {
        self.named(match family {
            Family::Meta => META,
            Family::Data => DATA,
            Family::Score => SCORE,
        })
    }

    fn named(&self, name: &str) -> Result<&ColumnFamily, EngineError> {
        self.db
            .cf_handle(name)
            .ok_or_else(|| EngineError::Broken(format!("column family {name} is missing")))
    }

    /// Reads a record of the node itself.
    pub fn record(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.db.get_cf(self.named(DEFAULT)?, key).map_err(|e| explain(&e))
    }

    /// All records of the node itself whose key begins with `prefix`, in order.
    pub fn records(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, EngineError> {
        let mut cursor = Cursor {
            inner: self.db.raw_iterator_cf_opt(self.named(DEFAULT)?, ReadOptions::default()),
        };
        let mut found = Vec::new();
        cursor.seek(prefix);
        while let Some((key, value)) = cursor.item().filter(|(key, _)| key.starts_with(prefix)) {
            found.push((key.to_vec(), value.to_vec()));
            cursor.next();
        }
        cursor.status()?;
        Ok(found)
    }

    /// Adds a put to the batch.
    pub fn put(
        &self,
        batch: &mut Batch,
        family: Family,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), EngineError> {
        batch.inner.put_cf(self.family(family)?, key, value);
        Ok(())
    }

    /// Adds a deletion to the batch.
    pub fn delete(&self, batch: &mut Batch, family: Family, key: &[u8]) -> Result<(), EngineError> {
        batch.inner.delete_cf(self.family(family)?, key);
        Ok(())
    }

    /// Adds the deletion of all keys from `begin` on, before `end`, to the batch. An empty `end` is the end of the family.
    pub fn delete_range(
        &self,
        batch: &mut Batch,
        family: Family,
        begin: &[u8],
        end: &[u8],
    ) -> Result<(), EngineError> {
        let family = self.family(family)?;
        if end.is_empty() {
            // Keys begin with a slot of at most 0x3fff, so this is behind all of them.
            batch.inner.delete_range_cf(family, begin, &[0xff; 8][..]);
        } else {
            batch.inner.delete_range_cf(family, begin, end);
        }
        Ok(())
    }

    /// Adds a record of the node itself to the batch.
    pub fn put_record(
        &self,
        batch: &mut Batch,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), EngineError> {
        batch.inner.put_cf(self.named(DEFAULT)?, key, value);
        Ok(())
    }

    /// Adds the deletion of a record of the node itself to the batch.
    pub fn delete_record(&self, batch: &mut Batch, key: &[u8]) -> Result<(), EngineError> {
        batch.inner.delete_cf(self.named(DEFAULT)?, key);
        Ok(())
    }

    /// Writes the batch as one. It is in the log's buffer afterwards, not yet in the log: see [`Self::flush_wal`].
    pub fn write(&self, batch: &Batch) -> Result<(), EngineError> {
        self.db.write(&batch.inner).map_err(|e| unwritable(&e))
    }

    /// Gives what is in the log's buffer to the operating system: it survives the death of this process.
    pub fn flush_wal(&self) -> Result<(), EngineError> {
        self.db.flush_wal(false).map_err(|e| unwritable(&e))
    }

    /// Makes the log durable: it survives the loss of power.
    pub fn sync_wal(&self) -> Result<(), EngineError> {
        self.db.flush_wal(true).map_err(|e| unwritable(&e))
    }

    /// Tries to write again after an error of the disk.
    pub fn resume(&self) -> Result<(), EngineError> {
        self.db.resume().map_err(|e| unwritable(&e))
    }

    /// A cursor over the keys of `family` from `begin` on, before `end` (empty: no end), as they are now.
    pub fn cursor(
        &self,
        family: Family,
        begin: &[u8],
        end: &[u8],
    ) -> Result<Cursor<'_>, EngineError> {
        let options = bounds(begin, end);
        Ok(Cursor { inner: self.db.raw_iterator_cf_opt(self.family(family)?, options) })
    }

    /// Everything as it is now, whatever is written later.
    pub fn snapshot(&self) -> Snapshot<'_> {
        let (inner, mut options) = (self.db.snapshot(), ReadOptions::default());
        options.set_snapshot(&inner);
        Snapshot { engine: self, inner, options }
    }

    /// Roughly how many bytes the keys from `begin` on, before `end`, take in files and write buffers.
    pub fn approximate_bytes(
        &self,
        family: Family,
        begin: &[u8],
        end: &[u8],
    ) -> Result<u64, EngineError> {
        let sizes =
            self.db.get_approximate_sizes_cf(self.family(family)?, &[Range::new(begin, end)]);
        Ok(sizes.map_err(|e| explain(&e))?.first().copied().unwrap_or(0))
    }

    /// Drops whole files of deleted ranges and compacts the rest. Blocks for as long as that takes.
    pub fn compact(&self, family: Family, begin: &[u8], end: &[u8]) -> Result<(), EngineError> {
        let handle = self.family(family)?;
        self.db.delete_file_in_range_cf(handle, begin, end).map_err(|e| explain(&e))?;
        self.db.compact_range_cf(handle, Some(begin), Some(end));
        Ok(())
    }

    /// Writes all write buffers to files. Blocks for as long as that takes.
    pub fn flush_memory(&self) -> Result<(), EngineError> {
        for family in Family::ALL {
            self.db.flush_cf(self.family(family)?).map_err(|e| unwritable(&e))?;
        }
        Ok(())
    }

    /// A number RocksDB knows of itself, summed over the families: `rocksdb.estimate-num-keys` and the like.
    pub fn number(&self, property: &str) -> u64 {
        let families = [META, DATA, SCORE].iter().filter_map(|name| self.db.cf_handle(name));
        families
            .filter_map(|family| self.db.property_int_value_cf(family, property).ok().flatten())
            .sum()
    }

    /// Bytes the block cache holds.
    pub fn cache_bytes(&self) -> u64 {
        self.cache.get_usage() as u64
    }

    /// Whether an error of the disk has stopped writing.
    pub fn failed(&self) -> bool {
        self.db.property_int_value("rocksdb.background-errors").ok().flatten().unwrap_or(0) > 0
    }
}

/// Changes that are written as one, or not at all.
pub struct Batch {
    inner: WriteBatch,
}

impl Default for Batch {
    fn default() -> Self {
        Self { inner: WriteBatch::new() }
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("changes", &self.inner.len()).finish()
    }
}

impl Batch {
    /// Forgets all changes and keeps the memory, unless it is large.
    pub fn clear(&mut self) {
        if self.inner.size_in_bytes() > BATCH_BYTES_KEPT {
            self.inner = WriteBatch::new();
        } else if !self.inner.is_empty() {
            self.inner.clear();
        }
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// How many bytes the changes take in the log.
    pub fn bytes(&self) -> usize {
        self.inner.size_in_bytes()
    }
}

/// Walks over keys in order. Starts nowhere: seek first.
pub struct Cursor<'a> {
    inner: DBRawIterator<'a>,
}

impl std::fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").field("key", &self.inner.key()).finish()
    }
}

impl Cursor<'_> {
    /// Goes to the first key.
    pub fn first(&mut self) {
        self.inner.seek_to_first();
    }

    /// Goes to the last key.
    pub fn last(&mut self) {
        self.inner.seek_to_last();
    }

    /// Goes to the first key at or behind `key`.
    pub fn seek(&mut self, key: &[u8]) {
        self.inner.seek(key);
    }

    /// Goes to the last key at or before `key`.
    pub fn seek_back(&mut self, key: &[u8]) {
        self.inner.seek_for_prev(key);
    }

    /// Goes one key on.
    pub fn next(&mut self) {
        if self.inner.valid() {
            self.inner.next();
        }
    }

    /// Goes one key back.
    pub fn prev(&mut self) {
        if self.inner.valid() {
            self.inner.prev();
        }
    }

    /// The key and the value it stands at; nothing past either end, or after an error: see [`Self::status`].
    pub fn item(&self) -> Option<(&[u8], &[u8])> {
        self.inner.item()
    }

    /// Whether the walk ended because of an error.
    pub fn status(&self) -> Result<(), EngineError> {
        self.inner.status().map_err(|e| explain(&e))
    }
}

/// Everything as it was at one moment. Holding one for long keeps old records from being dropped.
pub struct Snapshot<'a> {
    engine: &'a Engine,
    inner: rust_rocksdb::Snapshot<'a>,
    /// Of its single reads.
    options: ReadOptions,
}

impl std::fmt::Debug for Snapshot<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("sequence", &self.inner.sequence_number()).finish()
    }
}

impl<'a> Snapshot<'a> {
    /// A cursor over the keys of `family` from `begin` on, before `end` (empty: no end). What it reads does not displace the cache.
    pub fn cursor(
        &self,
        family: Family,
        begin: &[u8],
        end: &[u8],
    ) -> Result<Cursor<'_>, EngineError> {
        let mut options = bounds(begin, end);
        options.fill_cache(false);
        options.set_readahead_size(READAHEAD_BYTES);
        Ok(Cursor { inner: self.inner.raw_iterator_cf_opt(self.engine.family(family)?, options) })
    }

    /// Reads a record as it was.
    pub fn get(&self, family: Family, key: &[u8]) -> Result<Option<Pinned<'a>>, EngineError> {
        self.engine.get_as(family, key, &self.options)
    }
}

/// So many write buffers become one file. Finding a record's place in a small buffer takes fewer steps, and they meet the processor's caches;
/// a file of the first level stays as large, and free of overwritten records, as if there were one large buffer.
const WRITE_BUFFERS_MERGED: i32 = 8;

/// What a scan of a snapshot reads ahead.
const READAHEAD_BYTES: usize = 256 << 10;

fn bounds(begin: &[u8], end: &[u8]) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(begin);
    if !end.is_empty() {
        options.set_iterate_upper_bound(end);
    }
    options
}

fn db_options(tuning: &Tuning, memory: usize) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_manual_wal_flush(true);
    // Few workers write, each for microseconds: one at a time is cheaper than in step with each other.
    options.set_allow_concurrent_memtable_write(false);
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_max_total_wal_size((memory as u64).max(64 << 20));
    options.set_db_write_buffer_size(memory / 3);
    options.set_max_open_files(tuning.open_files_max);
    options.set_max_background_jobs(tuning.background_jobs);
    // Spreads the writing of files, so that a sync does not meet gigabytes of dirty pages.
    options.set_bytes_per_sync(1 << 20);
    options.set_stats_dump_period_sec(0);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(16 << 20);
    options.set_is_fd_close_on_exec(true);
    options
}

/// Whether point reads are worth a filter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filter {
    Bloom,
    None,
}

fn family_options(cache: &Cache, memory: usize, filter: Filter) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(8 << 10);
    table.set_format_version(6);
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    if filter == Filter::Bloom {
        table.set_bloom_filter(10.0, false);
        table.set_optimize_filters_for_memory(true);
        options.set_memtable_whole_key_filtering(true);
        options.set_memtable_prefix_bloom_ratio(0.05);
    }
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size((memory / 64).clamp(256 << 10, 16 << 20));
    options.set_min_write_buffer_number_to_merge(WRITE_BUFFERS_MERGED);
    options.set_max_write_buffer_number(3 * WRITE_BUFFERS_MERGED);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_target_file_size_base(32 << 20);
    options.set_max_bytes_for_level_base(256 << 20);
    // Dropped slots and large collections leave range tombstones and dead records behind: files older than this are looked through.
    options.set_periodic_compaction_seconds(3 * 24 * 3600);
    options
}

/// An error of a read.
fn explain(error: &Error) -> EngineError {
    EngineError::Broken(error.to_string())
}

/// An error of a write: whatever it is, reads may go on.
fn unwritable(error: &Error) -> EngineError {
    EngineError::Unwritable(error.to_string())
}
