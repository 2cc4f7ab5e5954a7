//! RocksDB, its log, and the disk under both.

use crate::engine::{FamilyFigures, Figures};
use crate::shared::Shared;
use crate::stats::BOUNDS_SECONDS;
use service::metrics::Page;

pub(super) fn write(shared: &Shared, page: &mut Page) {
    let figures = shared.engine.figures();
    memory(&figures, page);
    files(&figures, page);
    writes(&figures, page);
    log(shared, &figures, page);
    disk(shared, page);
}

fn memory(figures: &Figures, page: &mut Page) {
    page.gauge(
        "slipway_node_rocksdb_memtable_bytes",
        "Write buffers: taking writes, waiting to be written out, kept by a reader.",
        ["kind"],
    )
    .put(["active"], figures.memtable_active)
    .put(["immutable"], figures.memtable_immutable)
    .put(["pinned"], figures.memtable_pinned);
    page.gauge("slipway_node_rocksdb_block_cache_bytes", "What the block cache holds.", [])
        .put([], figures.cache);
    page.gauge("slipway_node_rocksdb_block_cache_capacity_bytes", "What it may hold.", [])
        .put([], figures.cache_capacity);
    page.gauge(
        "slipway_node_rocksdb_block_cache_pinned_bytes",
        "What of it is in use and cannot be let go.",
        [],
    )
    .put([], figures.cache_pinned);
}

fn files(figures: &Figures, page: &mut Page) {
    let levels = || figures.levels.iter().enumerate().map(|(level, of)| (level.to_string(), of));
    let mut bytes =
        page.gauge("slipway_node_rocksdb_sst_bytes", "Bytes of data files, by level.", ["level"]);
    for (level, of) in levels() {
        bytes.put([&level], of.bytes);
    }
    let mut files =
        page.gauge("slipway_node_rocksdb_sst_files", "Data files, by level.", ["level"]);
    for (level, of) in levels() {
        files.put([&level], of.files);
    }
    let mut family = |name, help, of: fn(&FamilyFigures) -> u64| {
        let mut series = page.gauge(name, help, ["family"]);
        for (family, figures) in &figures.families {
            series.put([family], of(figures));
        }
    };
    family("slipway_node_rocksdb_estimated_records", "Records, as RocksDB estimates.", |f| {
        f.records
    });
    family(
        "slipway_node_rocksdb_live_data_bytes",
        "Bytes that no newer record hides, as RocksDB estimates.",
        |f| f.live_bytes,
    );
}

fn writes(figures: &Figures, page: &mut Page) {
    page.gauge(
        "slipway_node_rocksdb_pending_compaction_bytes",
        "What compaction has yet to rewrite.",
        [],
    )
    .put([], figures.pending_compaction);
    page.gauge("slipway_node_rocksdb_compactions_running", "Compactions that run now.", [])
        .put([], figures.compactions);
    page.gauge("slipway_node_rocksdb_flushes_running", "Flushes that run now.", [])
        .put([], figures.flushes);
    page.counter(
        "slipway_node_rocksdb_write_stalls_total",
        "Times RocksDB began to delay or to stop writes.",
        ["kind"],
    )
    .put(["delayed"], figures.stalls_delayed)
    .put(["stopped"], figures.stalls_stopped);
    page.gauge("slipway_node_rocksdb_write_stopped", "1 while RocksDB takes no writes.", [])
        .put([], u64::from(figures.writes_stopped));
    page.gauge(
        "slipway_node_rocksdb_delayed_write_rate_bytes",
        "What writes are slowed down to, bytes a second; 0 when they are not.",
        [],
    )
    .put([], figures.delayed_write_rate);
    page.counter(
        "slipway_node_rocksdb_background_errors_total",
        "Flushes and compactions that failed.",
        [],
    )
    .put([], figures.background_errors);
    page.gauge(
        "slipway_node_rocksdb_snapshots",
        "Snapshots that keep old records from being dropped.",
        [],
    )
    .put([], figures.snapshots);
    page.gauge(
        "slipway_node_rocksdb_oldest_snapshot_timestamp_seconds",
        "When the oldest snapshot was taken; 0 without one.",
        [],
    )
    .put([], figures.oldest_snapshot.unwrap_or(0));
}

fn log(shared: &Shared, figures: &Figures, page: &mut Page) {
    page.gauge("slipway_node_wal_bytes", "Bytes of the write-ahead log's files.", [])
        .put([], figures.wal);
    let syncs = shared.wal.syncs();
    page.histogram(
        ("slipway_node_wal_sync_duration_seconds", "Time to make the write-ahead log durable."),
        [],
        &BOUNDS_SECONDS,
    )
    .put([], syncs.took.buckets(), syncs.took.nanos().get() as f64 / 1e9);
    page.counter(
        "slipway_node_wal_sync_errors_total",
        "Times the write-ahead log could not be made durable.",
        [],
    )
    .put([], syncs.failed.get());
}

fn disk(shared: &Shared, page: &mut Page) {
    let disk = &shared.disk;
    page.gauge("slipway_node_disk_free_bytes", "Room on the disk that has the data.", [])
        .put([], disk.free_bytes());
    page.gauge("slipway_node_disk_size_bytes", "Size of that disk.", []).put([], disk.size_bytes());
    page.gauge(
        "slipway_node_disk_reserve_bytes",
        "Below this much room, writes that need space are refused.",
        [],
    )
    .put([], shared.config.disk_reserve_bytes);
    page.gauge("slipway_node_writes_refused", "1 while writes are refused, by reason.", ["reason"])
        .put(["disk_full"], u64::from(!disk.has_room()))
        .put(["disk_error"], u64::from(disk.has_failed()));
}
