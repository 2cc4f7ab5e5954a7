//! What RocksDB says of itself. Asked for by who scrapes, never on the way of a request.

use super::{DATA, DEFAULT, Engine, META, SCORE};
use std::collections::BTreeMap;

/// Levels a family has.
pub(crate) const LEVELS: usize = 7;

/// The store as it is now. Bytes where nothing else is said; all families together, but for [`Self::families`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Write buffers that take writes.
    pub memtable_active: u64,
    /// Write buffers that are full and wait to be written to files.
    pub memtable_immutable: u64,
    /// Write buffers that are in files already and that a reader keeps.
    pub memtable_pinned: u64,
    pub cache: u64,
    pub cache_capacity: u64,
    pub cache_pinned: u64,
    /// Files and their bytes, by level.
    pub levels: [Level; LEVELS],
    /// What compaction has to rewrite until the levels have their sizes.
    pub pending_compaction: u64,
    pub compactions: u64,
    pub flushes: u64,
    pub background_errors: u64,
    /// Times RocksDB began to slow writes down, and to stop them.
    pub stalls_delayed: u64,
    pub stalls_stopped: u64,
    pub writes_stopped: bool,
    /// The rate writes are slowed down to, bytes a second; 0: they are not.
    pub delayed_write_rate: u64,
    pub snapshots: u64,
    /// When the oldest snapshot was taken, seconds since 1970; nothing without one.
    pub oldest_snapshot: Option<u64>,
    /// The files of the write-ahead log.
    pub wal: u64,
    pub families: [(&'static str, FamilyFigures); 4],
}

/// One level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    pub files: u64,
    pub bytes: u64,
}

/// One column family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FamilyFigures {
    /// Records; RocksDB's estimate, which counts overwritten and deleted ones in part.
    pub records: u64,
    /// Bytes without what newer records hide; an estimate too.
    pub live_bytes: u64,
}

impl Engine {
    /// Asks for all of it.
    pub fn figures(&self) -> Figures {
        let (active, unflushed, all) = (
            self.sum("rocksdb.cur-size-active-mem-table"),
            self.sum("rocksdb.cur-size-all-mem-tables"),
            self.sum("rocksdb.size-all-mem-tables"),
        );
        let stalls = self.stalls();
        Figures {
            memtable_active: active,
            memtable_immutable: unflushed.saturating_sub(active),
            memtable_pinned: all.saturating_sub(unflushed),
            cache: self.cache_bytes(),
            cache_capacity: self.whole("rocksdb.block-cache-capacity"),
            cache_pinned: self.cache.get_pinned_usage() as u64,
            levels: self.levels(),
            pending_compaction: self.sum("rocksdb.estimate-pending-compaction-bytes"),
            compactions: self.whole("rocksdb.num-running-compactions"),
            flushes: self.whole("rocksdb.num-running-flushes"),
            background_errors: self.whole("rocksdb.background-errors"),
            stalls_delayed: stalls.get("total-delays").copied().unwrap_or(0),
            stalls_stopped: stalls.get("total-stops").copied().unwrap_or(0),
            writes_stopped: self.whole("rocksdb.is-write-stopped") > 0,
            delayed_write_rate: self.whole("rocksdb.actual-delayed-write-rate"),
            snapshots: self.whole("rocksdb.num-snapshots"),
            oldest_snapshot: Some(self.whole("rocksdb.oldest-snapshot-time"))
                .filter(|&time| time > 0),
            wal: self.wal_bytes(),
            families: [DEFAULT, META, DATA, SCORE].map(|name| (name, self.family_figures(name))),
        }
    }

    /// Of the whole store.
    fn whole(&self, property: &str) -> u64 {
        self.db.property_int_value(property).ok().flatten().unwrap_or(0)
    }

    /// Of one family.
    fn of(&self, name: &str, property: &str) -> u64 {
        let family = self.db.cf_handle(name);
        family
            .and_then(|family| self.db.property_int_value_cf(family, property).ok().flatten())
            .unwrap_or(0)
    }

    fn sum(&self, property: &str) -> u64 {
        [DEFAULT, META, DATA, SCORE].iter().map(|name| self.of(name, property)).sum()
    }

    fn family_figures(&self, name: &str) -> FamilyFigures {
        FamilyFigures {
            records: self.of(name, "rocksdb.estimate-num-keys"),
            live_bytes: self.of(name, "rocksdb.estimate-live-data-size"),
        }
    }

    fn levels(&self) -> [Level; LEVELS] {
        let mut levels = [Level::default(); LEVELS];
        for file in self.db.live_files().unwrap_or_default() {
            if let Some(level) = usize::try_from(file.level).ok().and_then(|at| levels.get_mut(at))
            {
                level.files += 1;
                level.bytes += file.size as u64;
            }
        }
        levels
    }

    /// `name: count` lines (`cf-write-stall-stats`, which only exists as text), summed over the families.
    fn stalls(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for name in [DEFAULT, META, DATA, SCORE] {
            let Some(family) = self.db.cf_handle(name) else { continue };
            let text = self
                .db
                .property_value_cf(family, "rocksdb.cf-write-stall-stats")
                .ok()
                .flatten()
                .unwrap_or_default();
            for (reason, count) in stall_counts(&text) {
                *sums.entry(reason.to_owned()).or_default() += count;
            }
        }
        sums
    }

    fn wal_bytes(&self) -> u64 {
        let files = std::fs::read_dir(self.db.path()).into_iter().flatten().flatten();
        let logs = files.filter(|file| file.path().extension().is_some_and(|e| e == "log"));
        logs.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
    }
}

/// Reads `Write Stall (count): name: 1, name: 2, …`.
fn stall_counts(text: &str) -> impl Iterator<Item = (&str, u64)> {
    let counts = text.trim().trim_start_matches("Write Stall (count):").split(',');
    counts.filter_map(|pair| {
        let (name, count) = pair.rsplit_once(':')?;
        Some((name.trim(), count.trim().parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Batch, Family, Tuning};

    fn open() -> (tempfile::TempDir, Engine) {
        let directory = tempfile::tempdir().unwrap();
        let tuning = Tuning { memory_bytes: 16 << 20, open_files_max: 64, background_jobs: 2 };
        let engine = Engine::open(directory.path(), &tuning).unwrap();
        (directory, engine)
    }

    fn write(engine: &Engine, records: u32) {
        let mut batch = Batch::default();
        for n in 0..records {
            engine.put(&mut batch, Family::Data, &n.to_be_bytes(), &[7; 100]).unwrap();
        }
        engine.write(&batch).unwrap();
    }

    #[test]
    fn what_is_written_shows_in_memory_then_in_the_log_and_in_files() {
        let (_directory, engine) = open();
        let empty = engine.figures();
        assert!(empty.cache_capacity > 0, "{empty:?}");
        assert_eq!((empty.levels, empty.oldest_snapshot), ([Level::default(); LEVELS], None));
        write(&engine, 1000);
        engine.flush_wal().unwrap();
        let written = engine.figures();
        assert!(written.memtable_active > empty.memtable_active + 100_000, "{written:?}");
        assert!(written.wal > empty.wal + 100_000, "{written:?}");
        assert_eq!(
            written.families[2],
            ("data", FamilyFigures { records: 1000, ..written.families[2].1 })
        );
        engine.flush_memory().unwrap();
        let kept = engine.figures();
        let files: u64 = kept.levels.iter().map(|level| level.files).sum();
        assert!(files > 0 && kept.memtable_active < written.memtable_active, "{kept:?}");
    }

    #[test]
    fn a_snapshot_shows_with_its_age() {
        let (_directory, engine) = open();
        write(&engine, 1);
        let snapshot = engine.snapshot();
        let figures = engine.figures();
        assert_eq!(figures.snapshots, 1);
        assert!(figures.oldest_snapshot.is_some(), "{figures:?}");
        drop(snapshot);
        assert_eq!(engine.figures().snapshots, 0);
    }

    #[test]
    fn the_counts_of_stalls_are_found_in_their_text() {
        let (_directory, engine) = open();
        let stalls = engine.stalls();
        assert_eq!(
            (stalls.get("total-delays"), stalls.get("total-stops")),
            (Some(&0), Some(&0)),
            "{stalls:?}"
        );
        let text = "Write Stall (count): cf-l0-file-count-limit-delays-with-ongoing-compaction: 2, total-delays: 3, total-stops: 4,\n";
        let counts: Vec<_> = stall_counts(text).collect();
        assert_eq!(counts[1..], [("total-delays", 3), ("total-stops", 4)]);
    }
}
