//! What this node knows of each slot, and the lock under which it is served.
//!
//! A write command holds its slots' locks exclusively while it runs, a read shares them: that makes read-modify-write atomic, makes the
//! order of capture the order of commit, and makes "drained" mean "took the lock". Several slots are locked in ascending order. The state in
//! the cell decides whether a request may run. Whoever changes a state puts the record ([`Slots::put_record`]) while he still holds the lock,
//! and tells the links that wait ([`Slots::tell`]). No lock is held across an await.

pub mod cache;
pub mod watched;

pub use cache::{Budget, Cache};
pub use watched::Watched;

use crate::config::Config;
use crate::encoding::Prefix;
use crate::engine::{Batch, Engine, EngineError};
use crate::link::Pushes;
use crate::transfer::Capture;
use crate::waiting::Waiters;
use crate::wal::Wal;
use cluster::state::{Access, Admission, Next, Persist, Refused};
use cluster::{Slot, SlotCount, SlotState};
use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Notify;

/// How many keys a slot has in one database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub keys: u64,
    /// Those of them that will expire.
    pub expires: u64,
}

/// A slot, as the holder of its lock sees it.
#[derive(Debug)]
pub struct SlotInner {
    pub state: SlotState,
    /// The life of the slot's data that is or was served here.
    pub incarnation: u32,
    /// What is added to this node's clock, so that a key the former owner saw expired does not live again. Milliseconds.
    pub clock_ahead_ms: u64,
    /// By database.
    pub counts: Box<[Counts]>,
    /// Where committed changes go while the slot is copied.
    pub(crate) capture: Option<Arc<Capture>>,
    /// Keys whose changes somebody wants to know of.
    pub watched: Watched,
}

impl SlotInner {
    /// What its keys begin with.
    pub fn prefix(&self, slot: Slot) -> Prefix {
        Prefix::new(slot, self.incarnation)
    }

    /// Keys in all databases.
    pub fn keys(&self) -> u64 {
        self.counts.iter().map(|c| c.keys).sum()
    }

    /// The time for this slot, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        now_ms() + self.clock_ahead_ms
    }
}

/// This node's clock, in milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| d.as_millis() as u64)
}

/// What is kept of a slot on disk.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    state: SlotState,
    incarnation: u32,
    #[serde(default)]
    clock_ahead_ms: u64,
}

/// One slot. On its own cache line, so that neighbours' locks do not disturb each other.
#[derive(Debug)]
#[repr(align(128))]
pub struct Cell {
    inner: RwLock<SlotInner>,
    /// Recently used records; taken under the slot's lock only.
    cache: Mutex<Cache>,
    /// Commands that wait for keys of this slot.
    pub(crate) waiters: Waiters,
    /// Links with a sticky pair of this slot.
    waiting: Mutex<Vec<Arc<Pushes>>>,
    /// Commands that hold, or want to hold, the slot for long.
    long_holders: AtomicU32,
    /// The state is another one.
    changed: Notify,
}

impl Cell {
    /// Waits until the state changes, or for so long. A change that came before the call is not noticed, so it is only used to shorten a pause.
    pub async fn wait_change(&self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.changed.notified()).await;
    }

    /// Shares the slot.
    pub fn read(&self) -> RwLockReadGuard<'_, SlotInner> {
        self.inner.read()
    }

    /// Shares the slot unless somebody has it.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, SlotInner>> {
        self.inner.try_read()
    }

    /// Takes the slot.
    pub fn write(&self) -> RwLockWriteGuard<'_, SlotInner> {
        self.inner.write()
    }

    /// Takes the slot unless somebody has it.
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, SlotInner>> {
        self.inner.try_write()
    }

    /// Takes the slot unless that takes longer.
    pub fn try_write_for(&self, limit: Duration) -> Option<RwLockWriteGuard<'_, SlotInner>> {
        self.inner.try_write_for(limit)
    }

    /// Recently used records. The caller holds the slot's lock.
    pub fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock()
    }

    /// Whether a command that takes long holds the slot: who would wait for it should not do so on a worker.
    pub fn is_long_held(&self) -> bool {
        self.long_holders.load(Relaxed) > 0
    }

    /// Whether a command waits for a key of the slot.
    pub fn has_waiters(&self) -> bool {
        !self.waiters.is_empty()
    }

    /// The link is told when the slot can be entered again. Called while the slot's lock is held, so that no change slips by.
    pub fn wait(&self, link: &Arc<Pushes>) {
        let mut waiting = self.waiting.lock();
        waiting.retain(|known| known.is_open());
        if !waiting.iter().any(|known| Arc::ptr_eq(known, link)) {
            waiting.push(link.clone());
        }
    }

    /// Sends a frame to the links that wait.
    pub fn push(&self, frame: &[u8]) {
        for link in self.waiting.lock().iter() {
            link.push(frame);
        }
    }

    /// The link no longer waits.
    pub fn forget(&self, link: &Arc<Pushes>) {
        self.waiting.lock().retain(|known| !Arc::ptr_eq(known, link));
    }
}

/// Slots are marked as held for long while this lives.
#[derive(Debug)]
pub struct LongHold<'a>(Vec<&'a Cell>);

impl Drop for LongHold<'_> {
    fn drop(&mut self) {
        for cell in &self.0 {
            cell.long_holders.fetch_sub(1, Relaxed);
        }
    }
}

/// Why a slot's state did not change.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The event makes no sense in the state the slot is in.
    #[error("{0}")]
    Refused(Refused),
    /// The new state could not be written; the old one holds.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<Refused> for StepError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// All slots.
#[derive(Debug)]
pub struct Slots {
    cells: Box<[Cell]>,
    count: SlotCount,
    /// For the caches of all slots.
    budget: Budget,
    engine: Arc<Engine>,
    wal: Arc<Wal>,
    last_incarnation: AtomicU32,
}

impl Slots {
    /// Reads what is on disk; what no record names is deleted.
    pub fn load(engine: Arc<Engine>, wal: Arc<Wal>, config: &Config) -> Result<Self, EngineError> {
        let (count, databases) = (config.slot_count, config.databases);
        let budget = Budget::new((config.memory_bytes / 6) as usize, usize::from(count.get()));
        let mut cells = Vec::with_capacity(usize::from(count.get()));
        for slot in count.slots() {
            cells.push(load_cell(&engine, slot, databases)?);
        }
        let last_incarnation = AtomicU32::new(1);
        let slots = Self { cells: cells.into(), count, budget, engine, wal, last_incarnation };
        slots.drop_orphans()?;
        Ok(slots)
    }

    /// How many there are.
    pub fn count(&self) -> SlotCount {
        self.count
    }

    /// What the caches of all slots share.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// One slot's cell. Slots come from [`SlotCount`], so it exists.
    pub fn cell(&self, slot: Slot) -> &Cell {
        &self.cells[usize::from(slot.0)]
    }

    /// All slots in order.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Cell)> {
        self.count.slots().zip(self.cells.iter())
    }

    /// One step of a slot's state machine, with all that belongs to it. With [`Persist::Sync`] the caller waits for [`Wal::sync`] before it
    /// tells anybody.
    pub fn step(
        &self,
        slot: Slot,
        step: impl FnOnce(SlotState) -> Next,
    ) -> Result<Persist, StepError> {
        let mut inner = self.cell(slot).write();
        let (next, persist) = step(inner.state.clone())?;
        let before = std::mem::replace(&mut inner.state, next);
        if persist != Persist::No
            && let Err(error) = self.put_record(slot, &inner)
        {
            inner.state = before;
            return Err(error.into());
        }
        self.tell(slot, &mut inner);
        Ok(persist)
    }

    /// Writes the slot's record: state, incarnation. The caller holds the slot's lock.
    pub fn put_record(&self, slot: Slot, inner: &SlotInner) -> Result<(), EngineError> {
        let mut batch = Batch::default();
        self.put_record_in(&mut batch, slot, inner)?;
        self.write(&batch)
    }

    /// As [`Self::put_record`], into a batch that has more.
    pub fn put_record_in(
        &self,
        batch: &mut Batch,
        slot: Slot,
        inner: &SlotInner,
    ) -> Result<(), EngineError> {
        self.engine.put_record(batch, &record_key(slot), &encode_record(inner)?)
    }

    /// Writes the record and the key counts of a slot that has become this node's. The caller holds the slot's lock.
    pub fn put_owner(&self, slot: Slot, inner: &SlotInner) -> Result<(), EngineError> {
        let mut batch = Batch::default();
        self.put_record_in(&mut batch, slot, inner)?;
        for (db, counts) in inner.counts.iter().enumerate() {
            put_counts(&self.engine, &mut batch, inner.prefix(slot), db as u8, *counts)?;
        }
        self.write(&batch)
    }

    /// Deletes everything of one life of a slot, its counts included.
    pub fn drop_incarnation(&self, slot: Slot, incarnation: u32) -> Result<(), EngineError> {
        let mut batch = Batch::default();
        drop_incarnation(&self.engine, &mut batch, Prefix::new(slot, incarnation))?;
        self.write(&batch)
    }

    /// Deletes the data of a slot that is no longer served here, and puts its record, as one. The caller holds the slot's lock.
    pub fn drop_data(&self, slot: Slot, inner: &mut SlotInner) -> Result<(), EngineError> {
        let mut batch = Batch::default();
        drop_incarnation(&self.engine, &mut batch, inner.prefix(slot))?;
        self.put_record_in(&mut batch, slot, inner)?;
        self.write(&batch)?;
        inner.counts.fill(Counts::default());
        Ok(())
    }

    /// Marks the slots as held for long until the guard is dropped.
    pub fn hold_long(&self, slots: &[Slot]) -> LongHold<'_> {
        let cells: Vec<_> = slots.iter().map(|&slot| self.cell(slot)).collect();
        for cell in &cells {
            cell.long_holders.fetch_add(1, Relaxed);
        }
        LongHold(cells)
    }

    /// An incarnation no slot has had.
    pub fn new_incarnation(&self) -> u32 {
        self.last_incarnation.fetch_add(1, Relaxed) + 1
    }

    /// Tells those who wait for the slot, and those who watch keys of it or wait for them, what its state means to them now. The caller holds the slot's lock.
    pub fn tell(&self, slot: Slot, inner: &mut SlotInner) {
        self.cell(slot).changed.notify_waiters();
        let admission = inner.state.admit(Access::Write);
        if admission != Admission::Execute && inner.state.admit(Access::Read) != Admission::Execute
        {
            inner.watched.clear();
            self.cell(slot).cache().clear(&self.budget);
        }
        if matches!(admission, Admission::Moved { .. } | Admission::Ask) {
            self.cell(slot).waiters.send_away();
        }
        let push = match &admission {
            Admission::Execute => crate::link::open_push(slot),
            Admission::Moved { epoch, addr, token } => {
                crate::link::moved_push(slot, *epoch, addr, *token)
            }
            Admission::Hold | Admission::Ask => return,
        };
        self.cell(slot).push(&push);
    }

    fn write(&self, batch: &Batch) -> Result<(), EngineError> {
        self.engine.write(batch)?;
        self.wal.wrote();
        Ok(())
    }

    /// Deletes what a crash may have left behind: lives of slots that no record names.
    fn drop_orphans(&self) -> Result<(), EngineError> {
        let mut batch = Batch::default();
        for prefix in lives(&self.engine)? {
            let Some((slot, incarnation)) = Prefix::of(&prefix.0) else { continue };
            self.last_incarnation.fetch_max(incarnation, Relaxed);
            if !self.names(slot, incarnation) {
                tracing::info!(%slot, incarnation, "data of a former life of the slot is deleted");
                drop_incarnation(&self.engine, &mut batch, prefix)?;
            }
        }
        for (_, cell) in self.iter() {
            let inner = cell.read();
            self.last_incarnation.fetch_max(inner.incarnation, Relaxed);
        }
        if batch.is_empty() { Ok(()) } else { self.write(&batch) }
    }

    fn names(&self, slot: Slot, incarnation: u32) -> bool {
        let Some(cell) = self.cells.get(usize::from(slot.0)) else { return false };
        let inner = cell.read();
        inner.incarnation == incarnation
    }
}

fn record_key(slot: Slot) -> [u8; 3] {
    let [a, b] = slot.0.to_be_bytes();
    [b's', a, b]
}

fn encode_record(inner: &SlotInner) -> Result<Vec<u8>, EngineError> {
    let record = Record {
        state: inner.state.clone(),
        incarnation: inner.incarnation,
        clock_ahead_ms: inner.clock_ahead_ms,
    };
    serde_json::to_vec(&record).map_err(|e| EngineError::Broken(e.to_string()))
}

fn counts_key(prefix: Prefix, db: u8) -> [u8; Prefix::LEN + 2] {
    let [a, b, c, d, e, f] = prefix.0;
    [b'c', a, b, c, d, e, f, db]
}

/// Puts a life's key counts into a batch.
pub(crate) fn put_counts(
    engine: &Engine,
    batch: &mut Batch,
    prefix: Prefix,
    db: u8,
    counts: Counts,
) -> Result<(), EngineError> {
    let key = counts_key(prefix, db);
    if counts == Counts::default() {
        return engine.delete_record(batch, &key);
    }
    let mut value = [0; 16];
    value[..8].copy_from_slice(&counts.keys.to_be_bytes());
    value[8..].copy_from_slice(&counts.expires.to_be_bytes());
    engine.put_record(batch, &key, &value)
}

fn load_cell(engine: &Engine, slot: Slot, databases: u8) -> Result<Cell, EngineError> {
    let record = match engine.record(&record_key(slot))? {
        None => Record { state: SlotState::Unclaimed, incarnation: 1, clock_ahead_ms: 0 },
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
            EngineError::Broken(format!("the record of slot {slot} is damaged: {e}"))
        })?,
    };
    let mut counts = vec![Counts::default(); usize::from(databases)];
    let prefix = Prefix::new(slot, record.incarnation);
    let mut begin = vec![b'c'];
    begin.extend_from_slice(&prefix.0);
    for (key, value) in engine.records(&begin)? {
        let (Some(db), Some((keys, expires))) = (key.last(), value.split_first_chunk::<8>()) else {
            continue;
        };
        let (Some(counts), Ok(expires)) = (counts.get_mut(usize::from(*db)), expires.try_into())
        else {
            continue;
        };
        *counts = Counts { keys: u64::from_be_bytes(*keys), expires: u64::from_be_bytes(expires) };
    }
    let inner = SlotInner {
        state: record.state.restarted(),
        incarnation: record.incarnation,
        clock_ahead_ms: record.clock_ahead_ms,
        counts: counts.into(),
        capture: None,
        watched: Watched::default(),
    };
    Ok(Cell {
        inner: RwLock::new(inner),
        cache: Mutex::default(),
        waiters: Waiters::default(),
        waiting: Mutex::default(),
        long_holders: AtomicU32::new(0),
        changed: Notify::new(),
    })
}

/// The lives of slots that have any data on disk: one seek for each of them.
fn lives(engine: &Engine) -> Result<Vec<Prefix>, EngineError> {
    let mut found = std::collections::BTreeSet::new();
    for family in crate::engine::Family::ALL {
        let mut cursor = engine.cursor(family, &[], &[])?;
        cursor.first();
        while let Some(prefix) = cursor.item().and_then(|(key, _)| key.first_chunk().copied()) {
            found.insert(prefix);
            cursor.seek(&Prefix(prefix).end());
        }
        cursor.status()?;
    }
    for (key, _) in engine.records(b"c")? {
        found.extend(key.get(1..).and_then(<[u8]>::first_chunk).copied());
    }
    Ok(found.into_iter().map(Prefix).collect())
}

pub(crate) fn drop_incarnation(
    engine: &Engine,
    batch: &mut Batch,
    prefix: Prefix,
) -> Result<(), EngineError> {
    for family in crate::engine::Family::ALL {
        engine.delete_range(batch, family, &prefix.0, &prefix.end())?;
    }
    let mut begin = vec![b'c'];
    begin.extend_from_slice(&prefix.0);
    for (key, _) in engine.records(&begin)? {
        engine.delete_record(batch, &key)?;
    }
    Ok(())
}
