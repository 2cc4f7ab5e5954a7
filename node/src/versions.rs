//! The numbers that tell the lives of keys apart: one counter a node, never the same number twice.
//!
//! It starts at the clock (microseconds, shifted by 12 bits) or above the mark that the last run left on disk, whichever is higher, and the mark
//! is always ahead of the counter. So a clock that was set back does no harm. A version that comes in with a migration lifts the counter.

use crate::engine::{Batch, Engine, EngineError};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const KEY: &[u8] = b"v";

/// How far the mark is put ahead.
const STRIDE: u64 = 1 << 32;

/// The counter.
#[derive(Debug)]
pub struct Versions {
    engine: Arc<Engine>,
    next: AtomicU64,
    /// No version at or above it is given before a higher mark is in a batch that is written no later than the version's own.
    mark: Mutex<u64>,
    reached: AtomicU64,
}

impl Versions {
    /// Reads the mark and puts it ahead.
    pub fn load(engine: Arc<Engine>) -> Result<Self, EngineError> {
        let mark =
            engine.record(KEY)?.and_then(|v| v.try_into().ok()).map_or(0, u64::from_be_bytes);
        let clock = (crate::slots::now_ms() * 1000) << 12;
        let next = clock.max(mark).max(1);
        let versions = Self {
            engine,
            next: AtomicU64::new(next),
            mark: Mutex::new(0),
            reached: AtomicU64::new(0),
        };
        let mut batch = Batch::default();
        versions.put_mark(&mut batch, next)?;
        versions.engine.write(&batch)?;
        Ok(versions)
    }

    /// A version nobody has had; `batch` is the one in which it is used.
    pub fn next(&self, batch: &mut Batch) -> Result<u64, EngineError> {
        let version = self.next.fetch_add(1, Relaxed);
        self.cover(batch, version)?;
        Ok(version)
    }

    /// A version has come in from another node: ours will be higher. `batch` is the one in which it is written.
    pub fn observe(&self, batch: &mut Batch, version: u64) -> Result<(), EngineError> {
        let above = version.saturating_add(1);
        if self.next.fetch_max(above, Relaxed) < above {
            self.cover(batch, above)?;
        }
        Ok(())
    }

    fn cover(&self, batch: &mut Batch, version: u64) -> Result<(), EngineError> {
        if version < self.reached.load(Relaxed) { Ok(()) } else { self.put_mark(batch, version) }
    }

    /// Half of a stride before the mark is reached every batch carries the next mark, so that no version depends on another one's batch.
    fn put_mark(&self, batch: &mut Batch, version: u64) -> Result<(), EngineError> {
        let mut mark = self.mark.lock();
        *mark = (*mark).max(version.saturating_add(STRIDE));
        self.engine.put_record(batch, KEY, &mark.to_be_bytes())?;
        self.reached.store(*mark - STRIDE / 2, Relaxed);
        Ok(())
    }
}
