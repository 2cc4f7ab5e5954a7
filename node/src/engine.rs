//! The ordered store under the node: three families of records, batches that are written as one, cursors, snapshots.
//!
//! `rocks` alone names RocksDB. Nothing here knows slots, keys or types: see [`crate::encoding`]. Point reads and writes may be
//! called from a worker; long scans, flushes and compactions belong on the blocking pool.

mod rocks;

pub use rocks::{Batch, Cursor, Engine, FamilyFigures, Figures, Level, Pinned, Several, Snapshot};

/// What a record is for. The numbers travel in migrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Family {
    /// One record a key.
    Meta = 0,
    /// The elements of collections.
    Data = 1,
    /// The members of sorted sets by score.
    Score = 2,
}

impl Family {
    /// All of them, in the order in which a slot is copied.
    pub const ALL: [Self; 3] = [Self::Meta, Self::Data, Self::Score];

    /// The inverse of `as u8`.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// How memory and files are dealt out.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// For the store's cache (a half) and write buffers (a third); the rest is for the caches of slots.
    pub memory_bytes: u64,
    /// Files that may be open at once.
    pub open_files_max: i32,
    /// Threads that flush and compact.
    pub background_jobs: i32,
}

/// What went wrong in the store, by what the caller can do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// Another process has the directory open.
    #[error("{path} is in use by another process: stop it, or choose another data directory")]
    Locked { path: String },
    /// The disk is full, or writing failed: reads go on, writes may work again later.
    #[error("the disk refuses writes: {0}")]
    Unwritable(String),
    /// A file is damaged, or something else that does not pass.
    #[error("storage: {0}")]
    Broken(String),
}
