//! Commands that wait for a key (BLPOP and its like): who waits, in which order, and what becomes of each.
//!
//! ```text
//!              found nothing                 a write commits
//!   session ──────────────────► queue of ──────────────────────► served: the writer has popped for it
//!      ▲      (slot's lock)     each key       (slot's lock)
//!      │                            │ slot given away, or the writer cannot do it alone
//!      └────────────────────────────┴──► again: the session runs the command as a fresh one, at its old place
//! ```
//!
//! **Who serves.** The writer, before it lets go of the slot ([`crate::txn`], `serve`). So nobody, be it a fresh BLPOP or an LPOP, gets between
//! a push and those who wait for it, and the pop is an ordinary write: captured, logged, seen by WATCH.
//!
//! **No wake-up is lost.** A waiter enters the queues of its keys while it holds all their slots' locks exclusively, in the same hold in which it
//! found the keys empty. A key gets elements only under that lock, by a transaction that looks into the queue after its commit. So either the
//! push was before, and the waiter has found the element, or the push finds the waiter. What is not done by serving ends a wait with
//! [`Fate::Again`], and the session then looks for itself, under the locks as at first. A slot that goes to another node wakes all its
//! waiters under the lock under which it is granted away ([`crate::slots::Slots::tell`]).
//!
//! **Fair.** The queue of a key is ordered by [`Place`]: by how long each has waited, here and at former owners of the slot, then by arrival. The
//! writer begins at the front and goes on until the key is empty. One exception: a move between two slots of which the writer holds only one.
//! It is woken, the others are served without waiting for it, and it keeps its place if it comes too late.
//!
//! **Served once, and nobody who is gone.** What becomes of a waiter is decided once, under the lock of its fate. The writer holds that lock from
//! before the pop until it is committed; a session whose client is gone, or whose time is up, takes the fate first. So an element is popped only
//! for a session that will put the reply into its output.
//!
//! Order of locks: slots ascending, then a fate, then a slot's queues. No lock is held across an await.

use crate::command::{Request, Wish};
use parking_lot::{Mutex, MutexGuard};
use protocol::command::Command;
use protocol::reply::Version;
use protocol::slicer::{Args, Limits, slice_request};
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Where a waiter stands among others: since when it has waited, and a number nobody else has.
pub type Place = (Instant, u64);

/// What became of a waiter.
#[derive(Debug)]
pub enum Fate {
    Waiting,
    /// The reply; what it took is taken.
    Served(Vec<u8>),
    /// It must look for itself: its slot may be elsewhere, or its command needs more slots than the writer held.
    Again,
    /// CLIENT UNBLOCK.
    Unblocked(Unblock),
    /// Nobody waits any more.
    Gone,
}

/// How CLIENT UNBLOCK ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unblock {
    /// As if its time were up.
    Timeout,
    Error,
}

/// A command that waits.
#[derive(Debug)]
pub struct Waiter {
    pub command: &'static Command,
    pub wish: Wish,
    pub db: u8,
    pub version: Version,
    pub place: Place,
    /// Nothing: for ever.
    pub end: Option<Instant>,
    frame: Vec<u8>,
    args: Args,
    fate: Mutex<Fate>,
    decided: Notify,
}

/// A time beyond which nobody looks at the clock.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);

static TICKETS: AtomicU64 = AtomicU64::new(0);

impl Waiter {
    /// A waiter for a request that has come now and was sliced under these limits, from a client that has waited elsewhere for `waited`.
    pub fn new(
        (command, wish): (&'static Command, Wish),
        (request, limits): (Request<'_>, &Limits),
        (db, version): (u8, Version),
        waited: Duration,
    ) -> Self {
        let frame = request.frame.to_vec();
        let mut args = Args::new();
        let sliced = slice_request(&frame, limits, &mut args);
        debug_assert!(sliced.is_ok(), "it was sliced before");
        let now = Instant::now();
        let since = now.checked_sub(waited).unwrap_or(now);
        Self {
            command,
            wish,
            db,
            version,
            place: (since, TICKETS.fetch_add(1, Relaxed)),
            end: wish.timeout.filter(|time| *time < FOR_EVER).map(|time| now + time),
            frame,
            args,
            fate: Mutex::new(Fate::Waiting),
            decided: Notify::new(),
        }
    }

    /// The request.
    pub fn request(&self) -> Request<'_> {
        Request { frame: &self.frame, args: &self.args }
    }

    /// The keys it waits for.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.request().from(self.wish.first).take(self.wish.keys)
    }

    /// The argument that is this key.
    pub fn argument_of(&self, key: &[u8]) -> Option<usize> {
        self.keys().position(|known| known == key).map(|at| self.wish.first + at)
    }

    /// The right to decide what becomes of it; nothing if that is decided.
    pub fn claim(&self) -> Option<Claim<'_>> {
        let fate = self.fate.lock();
        matches!(*fate, Fate::Waiting).then(|| Claim { waiter: self, fate })
    }

    /// Ends the wait in this way, unless it has ended; returns whether it did.
    pub fn end_with(&self, fate: Fate) -> bool {
        self.claim().map(|claim| claim.decide(fate)).is_some()
    }

    /// Nobody will wait from here on: takes what became of it.
    pub fn leave(&self) -> Fate {
        std::mem::replace(&mut *self.fate.lock(), Fate::Gone)
    }

    /// What has been decided, if anything: then it no longer waits.
    pub fn decision(&self) -> Fate {
        let mut fate = self.fate.lock();
        match *fate {
            Fate::Waiting => Fate::Waiting,
            _ => std::mem::replace(&mut *fate, Fate::Gone),
        }
    }

    /// It waits once more, at its place. Called where it enters its queues again.
    pub fn renew(&self) {
        *self.fate.lock() = Fate::Waiting;
    }

    /// Returns when what becomes of it may have been decided.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub async fn decided(&self) {
        self.decided.notified().await;
    }
}

/// A waiter whose fate is in the holder's hand; dropped, it waits on.
#[derive(Debug)]
pub struct Claim<'a> {
    waiter: &'a Waiter,
    fate: MutexGuard<'a, Fate>,
}

impl Claim<'_> {
    /// Decides, and wakes the session.
    pub fn decide(mut self, fate: Fate) {
        *self.fate = fate;
        self.waiter.decided.notify_one();
    }
}

/// The waiters of one key, the one that has waited longest first.
type Queue = BTreeMap<Place, Arc<Waiter>>;

/// Who waits for keys of one slot.
#[derive(Debug, Default)]
pub struct Waiters {
    /// By database and key; no queue is empty.
    queues: Mutex<HashMap<(u8, Vec<u8>), Queue>>,
    /// How many queues there are.
    count: AtomicUsize,
}

impl Waiters {
    /// Whether nobody waits. Exact for whoever holds the slot's lock exclusively, but for those who are leaving.
    pub fn is_empty(&self) -> bool {
        self.count.load(Relaxed) == 0
    }

    /// The waiter stands in the key's queue from here on. The caller holds the slot's lock exclusively and has found nothing in the key.
    pub fn enter(&self, key: &[u8], waiter: &Arc<Waiter>) {
        let mut queues = self.queues.lock();
        queues.entry((waiter.db, key.to_vec())).or_default().insert(waiter.place, waiter.clone());
        self.count.store(queues.len(), Relaxed);
    }

    /// The waiter no longer stands in the key's queue, if it did.
    pub fn leave(&self, key: &[u8], waiter: &Waiter) {
        let mut queues = self.queues.lock();
        let name = (waiter.db, key.to_vec());
        if let Some(queue) = queues.get_mut(&name) {
            queue.remove(&waiter.place);
            if queue.is_empty() {
                queues.remove(&name);
            }
        }
        self.count.store(queues.len(), Relaxed);
    }

    /// Whether anybody waits for the key.
    pub fn has(&self, db: u8, key: &[u8]) -> bool {
        self.queues.lock().contains_key(&(db, key.to_vec()))
    }

    /// The first waiter for the key behind this place, or of all.
    pub fn next(&self, db: u8, key: &[u8], behind: Option<Place>) -> Option<Arc<Waiter>> {
        let queues = self.queues.lock();
        let queue = queues.get(&(db, key.to_vec()))?;
        let from = behind.map_or(Bound::Unbounded, Bound::Excluded);
        queue.range((from, Bound::Unbounded)).next().map(|(_, waiter)| waiter.clone())
    }

    /// The slot goes to another node: everybody is to look for himself. The caller holds the slot's lock exclusively.
    pub fn send_away(&self) {
        let queues = {
            let mut queues = self.queues.lock();
            self.count.store(0, Relaxed);
            std::mem::take(&mut *queues)
        };
        for waiter in queues.values().flat_map(BTreeMap::values) {
            waiter.end_with(Fate::Again);
        }
    }
}
