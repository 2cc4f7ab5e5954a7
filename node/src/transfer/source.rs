//! The source's side of a migration: copy, keep up, seal, grant.
//!
//! ```text
//!  copy thread                                       handoff thread
//!  RESET ─► chunk, captured, chunk, captured … ─►    keep up ─► (armed) ─► seal ─► FINAL ─► READY ─► grant ─► GRANT ─► done
//!     ▲                                    │            ▲                   │ 5 ms over, or no answer
//!     └── start again: overflow, lost data ┘            └── unseal, wait ◄──┘
//! ```
//!
//! Before the grant everything here may fail at no cost: the slot is served as if nothing had happened. After the grant nothing here may ever
//! serve the slot again; it only repeats GRANT until the target has answered.

mod copy;
mod courtesy;
mod handoff;
mod outbox;
mod pace;

pub(crate) use courtesy::Courtesy;
pub(crate) use handoff::{ask_target, grant_again, repeat_grant};
pub(crate) use pace::Pace;

use super::change::{self, ChangeError};
use super::report::{Phase, Report, Role};
use super::tally::{Counted, Tally};
use super::{Capture, of_slot};
use crate::shared::Shared;
use crate::slots::Counts;
use cluster::state::{Migration, Persist, Refused};
use cluster::{MigrationId, Slot, SlotState};
use outbox::Undelivered;
use parking_lot::Mutex;
use service::failpoint;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::watch;

/// What the controller wants of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Copy and keep up.
    Copy,
    /// Hand off as soon as it can be done within the budget.
    HandOff,
    /// Let go of it.
    Stop,
}

/// One slot on its way out.
#[derive(Debug)]
pub(crate) struct Job {
    slot: Slot,
    out: Migration,
    order: watch::Sender<Order>,
    /// The report's, for who waits for it.
    phase: watch::Sender<Phase>,
    report: Mutex<Report>,
    tally: Arc<Mutex<Tally>>,
    /// A task repeats GRANT.
    delivering: AtomicBool,
}

/// Why a migration ended before the grant. The slot is whole and served here.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("called off")]
    Ordered,
    #[error("{0}")]
    Failed(String),
}

impl Job {
    fn new(shared: &Shared, slot: Slot, out: Migration, phase: Phase) -> Arc<Self> {
        let report = Report::new(out.id, slot, out.epoch, Role::Source, phase);
        let phase = watch::Sender::new(phase);
        let tally = Arc::clone(&shared.transfers.tally);
        let (order, report) = (watch::Sender::new(Order::Copy), Mutex::new(report));
        Arc::new(Self {
            slot,
            out,
            order,
            phase,
            report,
            tally,
            delivering: AtomicBool::new(false),
        })
    }

    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }

    pub(crate) fn phase(&self) -> Phase {
        self.report.lock().phase
    }

    pub(crate) fn id(&self) -> MigrationId {
        self.out.id
    }

    /// Waits until the migration is in one of these phases.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub(crate) async fn reaches(&self, phases: &[Phase]) -> Phase {
        let mut phase = self.phase.subscribe();
        let reached = phase.wait_for(|phase| phases.contains(phase)).await;
        reached.map_or(Phase::Failed, |phase| *phase)
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.report.lock().phase == Phase::Failed
    }

    pub(crate) fn report(&self, shared: &Shared) -> Report {
        let mut report = self.report.lock().clone();
        if let Some(capture) = &shared.slots.cell(self.slot).read().capture {
            report.lag_bytes = capture.bytes() as u64;
        }
        report
    }

    fn note(&self, change: impl FnOnce(&mut Report)) {
        let mut report = self.report.lock();
        let before = Counted::of(&report);
        change(&mut report);
        self.tally.lock().reported(before, &report);
        self.phase.send_if_modified(|phase| {
            let is_news = *phase != report.phase;
            *phase = report.phase;
            is_news
        });
    }
}

/// The migration, if it goes out of this node.
pub(crate) fn job(shared: &Shared, id: MigrationId) -> Option<Arc<Job>> {
    shared.transfers.outgoing.lock().get(&id).cloned()
}

/// Whether another node is known to own the slot: not only granted, but taken over.
pub(crate) fn is_handed_over(shared: &Shared, slot: Slot) -> bool {
    let out = match &shared.slots.cell(slot).read().state {
        SlotState::Absent { hint, .. } => return hint.is_some(),
        SlotState::Granted { out, .. } => out.id,
        _ => return false,
    };
    job(shared, out).is_some_and(|job| job.phase() == Phase::Owned)
}

/// EXPORT: starts to copy the slot to the target. Repeating it changes nothing.
pub(crate) fn export(shared: &Arc<Shared>, slot: Slot, out: &Migration) -> Result<(), String> {
    shared.transfers.check_not_called_off(out.id)?;
    shared.transfers.prune();
    let job = {
        let mut outgoing = shared.transfers.outgoing.lock();
        if outgoing.contains_key(&out.id) {
            return Ok(());
        }
        change::step(shared, slot, |state| state.export(out.clone()))
            .map_err(|e| of_slot(slot, e))?;
        let job = Job::new(shared, slot, out.clone(), Phase::Copying);
        outgoing.insert(out.id, job.clone());
        job
    };
    let keys = shared.slots.cell(slot).read().keys();
    job.note(|r| r.keys_estimated = keys);
    failpoint::hit("source.exported");
    shared.transfers.copy.spawn(run(shared.clone(), job));
    Ok(())
}

async fn run(shared: Arc<Shared>, job: Arc<Job>) {
    loop {
        let ended = match copy::copy(&shared, &job).await {
            Ok(copied) => {
                // The pause must not wait for another slot's chunk: from here on another thread has it.
                let task = handoff::hand_off(shared.clone(), job.clone(), copied);
                let done = shared.transfers.handoff.spawn(task).await;
                done.unwrap_or_else(|e| Err(Undelivered::Stop(Stop::Failed(e.to_string()))))
            }
            Err(stop) => Err(Undelivered::Stop(stop)),
        };
        match ended {
            Ok(()) => return,
            Err(Undelivered::StartAgain(why)) => job.note(|r| r.error = Some(why)),
            Err(Undelivered::Stop(stop)) => return give_up(&shared, &job, &stop).await,
        }
    }
}

/// The migration ends before the grant: the slot is served here as ever.
async fn give_up(shared: &Arc<Shared>, job: &Job, stop: &Stop) {
    let let_go = call_off(shared, job.slot, job.out.id);
    if matches!(let_go, Ok(Persist::Sync))
        && let Err(error) = shared.wal.sync().await
    {
        tracing::warn!(slot = %job.slot, %error, "the end of a migration could not be synced; after a crash the target would be asked");
    }
    job.note(|r| {
        r.phase = Phase::Failed;
        r.error = Some(stop.to_string());
    });
    tracing::info!(slot = %job.slot, migration = %job.out.id, why = %stop, "a migration ended before the grant");
}

/// Takes the slot back from a migration that has not granted it. Changes nothing if the migration has let go of it already.
fn call_off(shared: &Shared, slot: Slot, id: MigrationId) -> Result<Persist, ChangeError> {
    change::change(shared, slot, |inner, _| {
        if inner.state.migration().is_none_or(|m| m.id != id) {
            return Ok(Persist::No);
        }
        let (next, persist) = inner.state.clone().abort(id)?;
        inner.state = next;
        inner.capture = None;
        Ok(persist)
    })
}

/// ARM: from now on a crash leaves this node in doubt. The caller syncs before it answers.
pub(crate) fn arm(shared: &Shared, id: MigrationId) -> Result<(), String> {
    let job = shared
        .transfers
        .outgoing
        .lock()
        .get(&id)
        .cloned()
        .ok_or("no such migration goes out of this node")?;
    if !matches!(job.report.lock().phase, Phase::Copied | Phase::Armed | Phase::Sealed) {
        return Err(of_slot(job.slot, "not copied yet"));
    }
    change::step(shared, job.slot, |state| state.arm(id)).map_err(|e| of_slot(job.slot, e))?;
    Ok(())
}

/// After ARM is on disk: let the handoff begin.
pub(crate) fn begin_handoff(shared: &Shared, id: MigrationId) {
    if let Some(job) = shared.transfers.outgoing.lock().get(&id) {
        job.note(|r| r.phase = Phase::Armed);
        job.order.send_if_modified(|order| {
            *order == Order::Copy && {
                *order = Order::HandOff;
                true
            }
        });
    }
}

/// ABORT: legal before the grant. Returns how surely it must be on disk before it is answered.
pub(crate) fn abort(shared: &Shared, id: MigrationId) -> Result<Persist, String> {
    let Some(job) = shared.transfers.outgoing.lock().get(&id).cloned() else {
        shared.transfers.call_off(id);
        return Ok(Persist::Sync);
    };
    let persist = call_off(shared, job.slot, id).map_err(|e| e.to_string())?;
    failpoint::hit("source.aborted");
    shared.transfers.call_off(id);
    job.order.send_replace(Order::Stop);
    Ok(persist)
}

/// UNSEAL: gives the running attempt up, unless it is granted. Returns whether there was one.
pub(crate) fn unseal(shared: &Shared, slot: Slot) -> bool {
    let mut asked = None;
    let opened = change::step(shared, slot, |state| match &state {
        SlotState::Sealed { out, attempt, .. } => {
            asked = Some(out.id);
            let (id, attempt) = (out.id, *attempt);
            state.unseal(id, attempt)
        }
        _ => Err(Refused("the slot is not sealed")),
    });
    if let Some(job) = asked.and_then(|id| shared.transfers.outgoing.lock().get(&id).cloned()) {
        job.note(|r| r.aborts.asked += 1);
    }
    opened.is_ok()
}

/// CLEAN: the new owner is on record and durable; the old copy goes.
pub(crate) fn clean(shared: &Shared, slot: Slot, id: MigrationId) -> Result<(), String> {
    let cleaned = change::change(shared, slot, |inner, batch| {
        let (next, persist) = inner.state.clone().clean(id)?;
        if next == inner.state {
            return Ok(Persist::No);
        }
        inner.state = next;
        inner.capture = None;
        change::drop_incarnation(shared, batch, slot, inner.incarnation)?;
        inner.incarnation = shared.slots.new_incarnation();
        inner.counts.fill(Counts::default());
        Ok(persist)
    });
    cleaned.map_err(|e| of_slot(slot, e))?;
    shared.transfers.outgoing.lock().remove(&id);
    failpoint::hit("source.cleaned");
    Ok(())
}

/// Installs a fresh capture on the slot, if this migration is still the one that copies it.
fn install_capture(shared: &Shared, job: &Job) -> Result<Arc<Capture>, Stop> {
    let capture = Arc::new(Capture::new(shared.transfers.limits.capture_bytes_max));
    let installed = change::change(shared, job.slot, |inner, _| {
        if inner.state.migration().is_none_or(|m| m.id != job.out.id) {
            return Err(ChangeError::Refused("called off".into()));
        }
        inner.capture = Some(capture.clone());
        Ok(Persist::No)
    });
    installed.map_err(|_| Stop::Ordered)?;
    Ok(capture)
}
