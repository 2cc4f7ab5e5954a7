//! A slot on the move, seen from a node: the words of docs/WIRE.md §4 and §5.
//!
//! - `source`: copies the slot, keeps the copy up to date, hands the slot off.
//! - `target`: takes the copy in, becomes the owner.
//! - `capture`: the changes a copy has already passed.
//! - `change`: a slot's state, its data and its records on disk, changed as one.
//! - `records`: those changes and the copy as bytes.
//! - `chunk`: reads the next piece of a slot.
//! - `peer`: the link to the other node.
//! - `open`, `errand`: migrations that nodes open themselves, because a codis-dashboard wants a slot elsewhere.
//! - `away`: keys that leave for a node that is not ours, one by one.
//! - `report`: what the controller is told. `tally`: what is counted.
//!
//! Every decision is one of `cluster::SlotState`; here it is carried out under the slot's lock and kept on disk as surely as the state says.
//! Copying and handing off run on two threads of their own, so that neither a client nor another slot's handoff waits for a chunk.

pub(crate) mod away;
pub(crate) mod capture;
mod change;
mod chunk;
mod errand;
mod open;
mod peer;
pub(crate) mod records;
pub mod report;
mod source;
pub mod tally;
mod target;
mod word;

pub(crate) use crate::engine::Family;
pub(crate) use capture::Capture;
pub(crate) use errand::{Moved, announce, cancel_all, move_slot, under_way};
pub(crate) use open::{Opened, Partial, disclaim, force_own, open, yield_to};
pub(crate) use peer::{Introduction, Peer, PeerError};
pub(crate) use source::{is_handed_over, unseal};
pub(crate) use target::presented;
pub(crate) use word::{check_not_codis, is_ours, word};

use crate::shared::{Driver, Shared};
use cluster::{MigrationId, Slot, SlotState};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;

/// The limits of moving slots out of and into this node.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Records of one CHUNK message, bytes. One record may be larger.
    pub chunk_bytes: usize,
    /// Changes of one slot that wait to be sent, bytes; past it the copy starts again.
    pub capture_bytes_max: usize,
    /// What may be left to send when the slot is sealed, bytes.
    pub tail_bytes_max: usize,
    /// How long writers in flight may take to leave the slot.
    pub drain_max: Duration,
    /// From the seal to READY, first; twice and four times that after ten attempts each.
    pub handoff_budget: Duration,
    /// Pause after a failed attempt, doubled each time up to 64 times that.
    pub handoff_pause: Duration,
    /// Attempts before the migration fails.
    pub handoff_attempts_max: u32,
    /// Slots that are copied out at a time; others wait.
    pub copies_at_once: usize,
    /// The share of the time that copying out of this node may take while clients are served here or at the target, per cent, 1 to 100.
    pub copy_percent_beside_clients: u32,
    /// How often a copy may start.
    pub copy_starts_max: u32,
    /// One call to the other node.
    pub call_timeout: Duration,
    /// How long a request of a client that is no part of ours is kept for a slot that is between two nodes.
    pub relay_max: Duration,
    /// No handoff to or from a node whose clock differs by more.
    pub clock_offset_max: Duration,
    /// Migrations whose end is remembered for the controller.
    pub reports_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            chunk_bytes: 512 << 10,
            capture_bytes_max: 64 << 20,
            tail_bytes_max: 32 << 10,
            drain_max: Duration::from_millis(2),
            handoff_budget: Duration::from_millis(5),
            handoff_pause: Duration::from_millis(50),
            handoff_attempts_max: 30,
            copies_at_once: 4,
            copy_percent_beside_clients: 10,
            copy_starts_max: 4,
            call_timeout: Duration::from_secs(10),
            relay_max: Duration::from_secs(3),
            clock_offset_max: Duration::from_millis(50),
            reports_max: 4096,
        }
    }
}

/// All migrations this node takes part in.
#[derive(Debug)]
pub(crate) struct Transfers {
    limits: Limits,
    introduction: Introduction,
    copy: Handle,
    handoff: Handle,
    /// Taken when the node stops.
    runtimes: Mutex<Vec<Runtime>>,
    copies: Semaphore,
    handoffs: Semaphore,
    pace: source::Pace,
    courtesy: source::Courtesy,
    bulk: Mutex<HashMap<String, Peer>>,
    express: Mutex<HashMap<String, Peer>>,
    tally: Arc<Mutex<tally::Tally>>,
    outgoing: Mutex<HashMap<MigrationId, Arc<source::Job>>>,
    incoming: Mutex<HashMap<MigrationId, Arc<target::Import>>>,
    /// Moves that a codis-dashboard has ordered, one a slot at most.
    errands: Mutex<HashMap<Slot, Arc<errand::Errand>>>,
    /// Whom this node has told that it owns a slot, one a slot.
    announced: Mutex<HashMap<Slot, String>>,
    /// Keys that leave for nodes that are not ours.
    away: away::Away,
    /// Called off; a word about them that was sent earlier may still come.
    called_off: Mutex<VecDeque<MigrationId>>,
}

impl Transfers {
    /// Starts the two threads.
    pub(crate) fn start(limits: Limits, introduction: Introduction) -> std::io::Result<Self> {
        let thread = |name: &str| {
            Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build()
        };
        let courtesy = source::Courtesy::new(limits.copy_percent_beside_clients);
        let (copy, handoff) = (thread("node-copy")?, thread("node-handoff")?);
        Ok(Self {
            copies: Semaphore::new(limits.copies_at_once),
            handoffs: Semaphore::new(1),
            limits,
            introduction,
            copy: copy.handle().clone(),
            handoff: handoff.handle().clone(),
            runtimes: Mutex::new(vec![copy, handoff]),
            pace: source::Pace::default(),
            courtesy,
            bulk: Mutex::default(),
            express: Mutex::default(),
            tally: Arc::default(),
            outgoing: Mutex::default(),
            incoming: Mutex::default(),
            errands: Mutex::default(),
            announced: Mutex::default(),
            away: away::Away::default(),
            called_off: Mutex::default(),
        })
    }

    /// Ends the threads; whatever is under way is as if the process had died.
    pub(crate) fn stop(&self, grace: Duration) {
        let runtimes = std::mem::take(&mut *self.runtimes.lock());
        for runtime in runtimes {
            runtime.shutdown_timeout(grace);
        }
    }

    /// From now on the migration cannot be opened here any more.
    fn call_off(&self, id: MigrationId) {
        let mut called_off = self.called_off.lock();
        if !called_off.contains(&id) {
            called_off.push_back(id);
        }
        if called_off.len() > self.limits.reports_max {
            called_off.pop_front();
        }
    }

    fn check_not_called_off(&self, id: MigrationId) -> Result<(), String> {
        let called_off = self.called_off.lock().contains(&id);
        if called_off { Err(format!("migration {id} was called off here")) } else { Ok(()) }
    }

    /// Forgets what ended long ago, so that what is kept for the controller stays bounded.
    fn prune(&self) {
        let mut outgoing = self.outgoing.lock();
        if outgoing.len() > self.limits.reports_max {
            outgoing.retain(|_, job| !job.has_failed());
        }
        let mut incoming = self.incoming.lock();
        if incoming.len() > self.limits.reports_max {
            incoming.retain(|_, import| !import.has_ended());
        }
    }

    /// How long copies waited for clients, all together.
    pub(crate) fn courtesy_seconds(&self) -> f64 {
        self.courtesy.waited_seconds()
    }

    /// What has been counted.
    pub(crate) fn tally(&self) -> tally::Tally {
        self.tally.lock().clone()
    }

    /// Migrations under way, by role and phase.
    pub(crate) fn phases(&self, shared: &Shared) -> BTreeMap<(report::Role, report::Phase), u64> {
        let mut phases = BTreeMap::new();
        for job in self.outgoing.lock().values() {
            *phases.entry((report::Role::Source, job.phase())).or_default() += 1;
        }
        for import in self.incoming.lock().values() {
            if let Some(phase) = import.phase(shared) {
                *phases.entry((report::Role::Target, phase)).or_default() += 1;
            }
        }
        phases
    }

    /// The ceiling of copying out of this node, bytes a second; 0 for none.
    pub(crate) fn pace_bytes(&self) -> u64 {
        self.pace.get()
    }

    /// What links to other nodes say of this one.
    pub(crate) fn introduction(&self) -> &Introduction {
        &self.introduction
    }

    /// Keys that leave for nodes that are not ours.
    pub(crate) fn away(&self) -> &away::Away {
        &self.away
    }

    /// The limits.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    fn bulk(&self, addr: &str) -> Peer {
        let _runtime = self.copy.enter();
        let mut peers = self.bulk.lock();
        peers
            .entry(addr.to_owned())
            .or_insert_with(|| Peer::start(addr, self.introduction.clone()))
            .clone()
    }

    fn express(&self, addr: &str) -> Peer {
        let _runtime = self.handoff.enter();
        let mut peers = self.express.lock();
        peers
            .entry(addr.to_owned())
            .or_insert_with(|| Peer::start(addr, self.introduction.clone()))
            .clone()
    }
}

/// Takes up again what the slot records say was under way when the node stopped.
pub(crate) fn resume(shared: &Arc<Shared>) {
    let settles_itself = shared.driver() == Driver::Codis;
    for (slot, cell) in shared.slots.iter() {
        let state = cell.read().state.clone();
        let out = match &state {
            SlotState::Doubt { out, .. } | SlotState::Granted { out, .. } => Some(out.clone()),
            _ => None,
        };
        match state {
            SlotState::Doubt { out, .. } => source::ask_target(shared, slot, out),
            SlotState::Granted { out, attempt, .. } => {
                source::repeat_grant(shared, slot, out, attempt)
            }
            SlotState::Importing { from, .. } | SlotState::Ready { from, .. } => {
                target::take_up(shared, slot, &from)
            }
            _ => {}
        }
        if let Some(out) = out.filter(|_| settles_itself) {
            errand::take_up(shared, slot, out);
        }
    }
}

/// The name of a slot's place in an error.
fn of_slot(slot: Slot, text: impl std::fmt::Display) -> String {
    format!("slot {slot}: {text}")
}
