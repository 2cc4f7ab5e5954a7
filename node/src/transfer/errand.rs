//! Moves that a codis-dashboard orders (docs/WIRE.md §7): the source does for itself what our controller does for its own moves.
//!
//! ```text
//!  OPEN at the target ─► copy ─► ARM at the target ─► ARM here ─► handoff ─► owned ─► DURABLE at the target ─► CLEAN here
//!  └───────── a failure: called off here, DROP at the target ──────────┘     └── repeated until it is done, also after a restart
//! ```
//!
//! The dashboard asks again and again; an errand goes on by itself and does not need to be asked. Nothing of it is on disk but the slots'
//! records: after a restart what was not armed begins again when the dashboard asks, what was granted is brought to its end.

mod neighbour;

pub(crate) use neighbour::announce;

use super::peer::Peer;
use super::report::Phase;
use super::source::{self, Job};
use super::{change, of_slot};
use crate::shared::Shared;
use cluster::state::{Migration, Persist};
use cluster::{Epoch, MigrationId, Slot, SlotState};
use neighbour::{ask, elsewhere, not_taken};
use parking_lot::Mutex;
use protocol::frame::Value;
use service::failpoint;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

/// How often OPEN is said with a higher epoch before something must be wrong.
const OPENS_MAX: u32 = 4;

/// How often DROP is tried; later the next OPEN does it.
const DROPS_MAX: u32 = 3;

/// A failure is told to a dashboard that asks again this soon; later it is old news.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// How far an errand is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Progress {
    Moving,
    /// The target owns the slot, with so many keys.
    Owned(u64),
    /// The slot is whole and served here. Told to the first who asks in a while.
    Failed(String, Instant),
}

/// One slot that a dashboard wants elsewhere.
#[derive(Debug)]
pub(crate) struct Errand {
    target: String,
    progress: watch::Sender<Progress>,
    /// Known once the target has opened.
    id: Mutex<Option<MigrationId>>,
    stop: watch::Sender<bool>,
}

/// What the dashboard is told: keys moved, and keys left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) moved: u64,
    /// 0 only once the target owns the slot.
    pub(crate) left: u64,
}

/// Moves the slot to the target, or goes on with it; waits at most so long for the end.
pub(crate) async fn move_slot(
    shared: &Arc<Shared>,
    slot: Slot,
    target: &str,
    wait: Duration,
) -> Result<Moved, String> {
    let until = Instant::now() + wait;
    let (state, keys) = {
        let inner = shared.slots.cell(slot).read();
        (inner.state.clone(), inner.keys())
    };
    match &state {
        SlotState::Importing { from, .. } | SlotState::Ready { from, .. } => Err(of_slot(
            slot,
            format!("it is not owned here, it comes in from {}: move it from there", from.peer),
        )),
        SlotState::Absent { hint, .. } => {
            elsewhere(shared, slot, target, hint.as_deref()).await?;
            Ok(Moved { moved: 0, left: 0 })
        }
        SlotState::Granted { out, .. } | SlotState::Doubt { out, .. } if out.peer != target => {
            Err(of_slot(
                slot,
                format!(
                    "it is on its way to {}, not to {target}: wait until it is there, and move it on from there",
                    out.peer
                ),
            ))
        }
        SlotState::Granted { out, .. } | SlotState::Doubt { out, .. } => {
            let owned = match source::job(shared, out.id) {
                Some(job) => reaches(&job, until, &[Phase::Owned, Phase::Failed]).await,
                None => None,
            };
            let left = if owned == Some(Phase::Owned) { 0 } else { keys.max(1) };
            Ok(Moved { moved: 0, left })
        }
        _ => attend(shared, slot, target, until).await,
    }
}

/// Waits for the slot's errand, which is begun if there is none.
async fn attend(
    shared: &Arc<Shared>,
    slot: Slot,
    target: &str,
    until: Instant,
) -> Result<Moved, String> {
    let mut known = live(shared, slot);
    if let Some(errand) = known.as_ref().filter(|errand| errand.target != target) {
        // The dashboard has changed its mind.
        tracing::info!(%slot, from = errand.target, to = target, "the slot shall go to another node");
        cancel(shared, errand);
        if !timeout_at(until, errand.ended()).await.is_ok_and(|failed| failed) {
            return Err(of_slot(
                slot,
                format!("its move to {} is being called off, ask again", errand.target),
            ));
        }
        shared.transfers.errands.lock().remove(&slot);
        known = None;
    }
    let errand = match known {
        Some(errand) => errand,
        None => begin(shared, slot, target)?,
    };
    let mut progress = errand.progress.subscribe();
    let _ = timeout_at(until, progress.wait_for(|p| *p != Progress::Moving)).await;
    let progress = progress.borrow().clone();
    match progress {
        Progress::Owned(moved) => Ok(Moved { moved, left: 0 }),
        Progress::Failed(why, _) => {
            // Told once; who asks again begins anew.
            shared.transfers.errands.lock().remove(&slot);
            Err(why)
        }
        Progress::Moving => Ok(Moved { moved: 0, left: errand.left(shared, slot) }),
    }
}

/// The slot's errand, unless it is over: one that failed long ago, or has moved the slot before the operator has taken it back.
fn live(shared: &Shared, slot: Slot) -> Option<Arc<Errand>> {
    let mut errands = shared.transfers.errands.lock();
    let errand = errands.get(&slot)?.clone();
    let is_over = match &*errand.progress.borrow() {
        Progress::Moving => false,
        Progress::Failed(_, at) => at.elapsed() > TOLD_WITHIN,
        Progress::Owned(_) => {
            let state = &shared.slots.cell(slot).read().state;
            !matches!(state, SlotState::Granted { .. } | SlotState::Absent { .. })
        }
    };
    if is_over {
        errands.remove(&slot);
        return None;
    }
    Some(errand)
}

/// Starts an errand, unless another has.
fn begin(shared: &Arc<Shared>, slot: Slot, target: &str) -> Result<Arc<Errand>, String> {
    if target == shared.config.addr {
        return Err("destination address error: it is this node".into());
    }
    let mut errands = shared.transfers.errands.lock();
    if let Some(errand) = errands.get(&slot) {
        return Ok(errand.clone());
    }
    let errand = Arc::new(Errand {
        target: target.to_owned(),
        progress: watch::Sender::new(Progress::Moving),
        id: Mutex::new(None),
        stop: watch::Sender::new(false),
    });
    errands.insert(slot, errand.clone());
    drop(errands);
    shared.transfers.copy.spawn(run(shared.clone(), slot, errand.clone()));
    Ok(errand)
}

impl Errand {
    fn job(&self, shared: &Shared) -> Option<Arc<Job>> {
        let id = *self.id.lock();
        id.and_then(|id| source::job(shared, id))
    }

    /// Keys that are not at the target yet; at least one until it owns the slot.
    fn left(&self, shared: &Shared, slot: Slot) -> u64 {
        let report = self.job(shared).map(|job| job.report(shared));
        match report {
            Some(report) => report.keys_estimated.saturating_sub(report.keys).max(1),
            None => shared.slots.cell(slot).read().keys().max(1),
        }
    }

    /// Waits for the end; returns whether the slot stays here.
    async fn ended(&self) -> bool {
        let mut progress = self.progress.subscribe();
        let end = progress.wait_for(|p| *p != Progress::Moving).await;
        end.is_ok_and(|p| matches!(*p, Progress::Failed(..)))
    }
}

async fn run(shared: Arc<Shared>, slot: Slot, errand: Arc<Errand>) {
    let peer = shared.transfers.bulk(&errand.target);
    let why = match hand_over(&shared, slot, &errand, &peer).await {
        Ok((out, keys)) => {
            errand.progress.send_replace(Progress::Owned(keys));
            settle(&shared, slot, &out).await;
            forget(&shared, slot, &errand);
            return;
        }
        Err(why) => why,
    };
    let id = *errand.id.lock();
    if let Some(id) = id
        && !call_off(&shared, &peer, id).await
        && let Some(job) = source::job(&shared, id)
        && job.reaches(&[Phase::Owned, Phase::Failed]).await == Phase::Owned
    {
        // It was granted after all.
        let report = job.report(&shared);
        errand.progress.send_replace(Progress::Owned(report.keys_estimated));
        let out = Migration { id, epoch: report.epoch, peer: errand.target.clone() };
        settle(&shared, slot, &out).await;
        return forget(&shared, slot, &errand);
    }
    tracing::warn!(%slot, target = errand.target, why, "a slot could not be moved");
    errand.progress.send_replace(Progress::Failed(why, Instant::now()));
}

/// The errand is over; another may have taken its place.
fn forget(shared: &Shared, slot: Slot, errand: &Arc<Errand>) {
    let mut errands = shared.transfers.errands.lock();
    if errands.get(&slot).is_some_and(|known| Arc::ptr_eq(known, errand)) {
        errands.remove(&slot);
    }
}

/// Up to the target's ownership. Returns the migration and the keys.
async fn hand_over(
    shared: &Arc<Shared>,
    slot: Slot,
    errand: &Errand,
    peer: &Peer,
) -> Result<(Migration, u64), String> {
    if shared.driven_by_codis().map_err(|e| e.line().into_owned())? {
        shared.wal.sync().await.map_err(|e| e.to_string())?;
    }
    change::step(shared, slot, |state| state.claim()).map_err(|e| of_slot(slot, e))?;
    let id = MigrationId(rand::random());
    *errand.id.lock() = Some(id);
    let epoch = say_open(shared, slot, peer, (&errand.target, id)).await?;
    let out = Migration { id, epoch, peer: errand.target.clone() };
    source::export(shared, slot, &out)?;
    let job = source::job(shared, id).ok_or_else(|| of_slot(slot, "the move is gone"))?;
    let mut stop = errand.stop.subscribe();
    tokio::select! {
        moved = arm_and_wait(shared, slot, peer, &job) => moved?,
        () = async { drop(stop.wait_for(|stop| *stop).await) } => {
            // Too late if it is granted: then it goes on.
            match source::abort(shared, id) {
                Ok(_) => return Err(of_slot(slot, "called off")),
                Err(_) => at_the_target(slot, &job).await?,
            }
        }
    }
    Ok((out, job.report(shared).keys_estimated))
}

/// OPEN, with an epoch that is above all the target knows.
async fn say_open(
    shared: &Shared,
    slot: Slot,
    peer: &Peer,
    (target, id): (&str, MigrationId),
) -> Result<Epoch, String> {
    let mut epoch = Epoch(shared.slots.cell(slot).read().state.epoch_used().0 + 1);
    let own = (shared.config.addr.clone(), shared.identity.read().node_id.clone());
    for _ in 0..OPENS_MAX {
        let (id, number, at) = (id.to_string(), slot.to_string(), epoch.to_string());
        let args: [&[u8]; 7] = [
            b"SLIPWAY",
            b"OPEN",
            id.as_bytes(),
            number.as_bytes(),
            at.as_bytes(),
            own.0.as_bytes(),
            own.1.as_bytes(),
        ];
        let answer = ask(shared, peer, &args).await.map_err(|e| not_taken(slot, target, &e))?;
        let items = answer.as_items().unwrap_or_default();
        match (items.first().and_then(Value::as_str), items.get(1).and_then(Value::as_int)) {
            (Some("OPENED"), _) => return Ok(epoch),
            (Some("BEHIND"), Some(known)) => epoch = Epoch(known as u64 + 1),
            _ => return Err(of_slot(slot, format!("{target} gives an odd answer: {answer:?}"))),
        }
    }
    Err(of_slot(slot, format!("{target} takes no epoch: look at its log")))
}

async fn arm_and_wait(
    shared: &Arc<Shared>,
    slot: Slot,
    peer: &Peer,
    job: &Arc<Job>,
) -> Result<(), String> {
    match job.reaches(&[Phase::Copied, Phase::Failed]).await {
        Phase::Copied => {}
        _ => return Err(failed(shared, slot, job)),
    }
    let id = job.id();
    let name = id.to_string();
    let answer = ask(shared, peer, &[b"SLIPWAY", b"ARM", name.as_bytes()]).await;
    let answer = answer.map_err(|e| of_slot(slot, e))?;
    let items = answer.as_items().unwrap_or_default();
    if items.first().and_then(Value::as_str) != Some("OK") {
        return Err(of_slot(slot, format!("the target cannot be armed: {answer:?}")));
    }
    source::arm(shared, id)?;
    shared.wal.sync().await.map_err(|e| e.to_string())?;
    failpoint::hit("source.armed");
    source::begin_handoff(shared, id);
    at_the_target(slot, job).await.map_err(|_| failed(shared, slot, job))
}

async fn at_the_target(slot: Slot, job: &Job) -> Result<(), String> {
    match job.reaches(&[Phase::Owned, Phase::Failed]).await {
        Phase::Owned => Ok(()),
        _ => Err(of_slot(slot, "called off")),
    }
}

fn failed(shared: &Shared, slot: Slot, job: &Job) -> String {
    job.report(shared).error.unwrap_or_else(|| of_slot(slot, "called off"))
}

/// The slot stays here, and the target's part of a copy goes. False if it was granted.
async fn call_off(shared: &Arc<Shared>, peer: &Peer, id: MigrationId) -> bool {
    match source::abort(shared, id) {
        Ok(Persist::Sync) => {
            if let Err(error) = shared.wal.sync().await {
                tracing::warn!(%error, "the end of a move could not be synced");
                return true;
            }
        }
        Ok(_) => {}
        Err(why) => {
            tracing::warn!(why, migration = %id, "a move cannot be called off");
            return false;
        }
    }
    let name = id.to_string();
    for attempt in 1..=DROPS_MAX {
        if ask(shared, peer, &[b"SLIPWAY", b"DROP", name.as_bytes()]).await.is_ok() {
            return true;
        }
        sleep(Duration::from_millis(10) * attempt).await;
    }
    tracing::info!(migration = %id, "the target has not dropped its copy: the next move of the slot does it");
    true
}

/// The dashboard does not want it any more.
fn cancel(shared: &Shared, errand: &Errand) {
    errand.stop.send_replace(true);
    let id = *errand.id.lock();
    if let Some(id) = id.filter(|id| source::job(shared, *id).is_some()) {
        let _ = source::abort(shared, id);
    }
}

/// Calls off all moves that are not granted yet; returns how many were under way.
pub(crate) fn cancel_all(shared: &Shared) -> usize {
    let errands: Vec<_> = shared.transfers.errands.lock().values().cloned().collect();
    let moving = |errand: &&Arc<Errand>| *errand.progress.borrow() == Progress::Moving;
    errands.iter().filter(moving).map(|errand| cancel(shared, errand)).count()
}

/// A move under way, for SLOTSMGRT-ASYNC-STATUS.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    pub(crate) slot: Slot,
    pub(crate) target: String,
    pub(crate) moved: u64,
    pub(crate) left: u64,
}

/// The moves under way.
pub(crate) fn under_way(shared: &Shared) -> Vec<Status> {
    let errands: Vec<_> =
        shared.transfers.errands.lock().iter().map(|(slot, e)| (*slot, e.clone())).collect();
    let mut found: Vec<_> = errands
        .iter()
        .filter(|(_, errand)| *errand.progress.borrow() == Progress::Moving)
        .map(|(slot, errand)| Status {
            slot: *slot,
            target: errand.target.clone(),
            moved: errand.job(shared).map_or(0, |job| job.report(shared).keys),
            left: errand.left(shared, *slot),
        })
        .collect();
    found.sort_unstable_by_key(|status| status.slot);
    found
}

/// The target owns the slot: once its copy is durable, the one here goes. Repeated until it is done.
async fn settle(shared: &Arc<Shared>, slot: Slot, out: &Migration) {
    let peer = shared.transfers.bulk(&out.peer);
    let pair = format!("{slot}:{}", out.epoch);
    let mut pause = Duration::from_millis(10);
    loop {
        match &shared.slots.cell(slot).read().state {
            SlotState::Granted { out: now, .. } if now.id == out.id => {}
            _ => return,
        }
        match ask(shared, &peer, &[b"SLIPWAY", b"DURABLE", pair.as_bytes()]).await {
            Ok(_) => break,
            Err(error) => tracing::debug!(%slot, %error, "DURABLE is repeated"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
    if let Err(why) = source::clean(shared, slot, out.id) {
        return tracing::warn!(%slot, why, "the old copy of a moved slot stays");
    }
    if let Err(error) = shared.wal.sync().await {
        tracing::warn!(%slot, %error, "the end of a move could not be synced; after a power loss it is done again");
    }
}

/// After a restart: what was granted, or turns out to be, is brought to its end.
pub(crate) fn take_up(shared: &Arc<Shared>, slot: Slot, out: Migration) {
    let shared = shared.clone();
    let copy = shared.transfers.copy.clone();
    copy.spawn(async move {
        let Some(job) = source::job(&shared, out.id) else { return };
        if job.reaches(&[Phase::Owned, Phase::Failed]).await == Phase::Owned {
            settle(&shared, slot, &out).await;
        }
    });
}

async fn reaches(job: &Job, until: Instant, phases: &[Phase]) -> Option<Phase> {
    timeout_at(until, job.reaches(phases)).await.ok()
}
