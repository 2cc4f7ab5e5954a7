//! Keys that leave for a node that is not ours, a Pika or a codis-server, one by one (docs/FOREIGN.md). Only a proxy of ours may order that: it
//! has locked the slot, and nobody else asks here for a value while the keys leave.
//!
//! - `far`: the connection to such a node.
//! - `parcel`: a key as the commands that make it, piece by piece.
//!
//! A key is read and sent without a lock, and deleted here when the node has acknowledged all of it, if nothing has changed it meanwhile;
//! otherwise it is sent anew, from the DEL on. Invariants: two movers of one key take turns; whoever is told that a key has left is told so
//! when its deletion survives the loss of power, for what was deleted here and came back would overwrite what clients write there.

mod far;
mod parcel;

use crate::encoding::Meta;
use crate::error::CommandError;
use crate::exec::{self, Entered};
use crate::session::{Watches, watch_key, with_scratch};
use crate::shared::Shared;
use crate::slots::watched::Hold;
use crate::txn::{Flow, Reads, Txn};
use cluster::state::Access;
use cluster::{Slot, SlotState};
use far::Far;
use parcel::Parcel;
use parking_lot::Mutex;
use protocol::frame::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

use super::errand::Moved;

/// Keys of one order that are on their way at a time, each on a connection of its own.
const AT_ONCE: usize = 8;
/// Connections that are kept for the next keys, over all nodes.
const IDLE_MAX: usize = 64;
/// How often a key is sent that is changed here while it is on its way.
const SENDINGS_MAX: u32 = 3;
/// For so long a slot counts as leaving after the last order.
const LEAVING_FOR: Duration = Duration::from_mins(1);

/// What is under way.
#[derive(Debug, Default)]
pub(crate) struct Away {
    /// A mover of a key holds its lock.
    turns: Mutex<HashMap<Place, Arc<tokio::sync::Mutex<()>>>>,
    idle: Mutex<Vec<Far>>,
    leaving: Mutex<HashMap<Slot, Instant>>,
    /// Keys that end in time, of which an attempt that failed may have left something at the target.
    begun: Mutex<HashSet<Place>>,
}

/// A key of one database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) db: u8,
    pub(crate) key: Vec<u8>,
}

/// Where keys go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) addr: String,
    /// What each answer of it may take.
    pub(crate) limit: Duration,
}

/// Moves keys; returns how many were here.
pub(crate) async fn move_keys(
    shared: &Arc<Shared>,
    places: Vec<Place>,
    target: &Target,
) -> Result<u64, String> {
    let runtime = shared.transfers.copy.clone();
    // Whoever asks may hang up, but what was begun is brought to its end: words of a key that is given up half-way could arrive behind those of
    // the next attempt.
    let moving = runtime.spawn(move_all(shared.clone(), places, target.clone()));
    moving.await.unwrap_or_else(|error| Err(error.to_string()))
}

async fn move_all(shared: Arc<Shared>, places: Vec<Place>, target: Target) -> Result<u64, String> {
    let mut places = places.into_iter();
    let (mut sending, mut moved, mut why) = (JoinSet::new(), 0, None);
    loop {
        while sending.len() < AT_ONCE
            && let Some(place) = places.next()
        {
            let (shared, target) = (shared.clone(), target.clone());
            sending.spawn(async move { move_key(&shared, &place, &target).await });
        }
        match sending.join_next().await {
            None => break,
            Some(Ok(Ok(was_here))) => moved += u64::from(was_here),
            Some(Ok(Err(error))) => why = Some(error),
            Some(Err(error)) => why = Some(error.to_string()),
        }
    }
    match why {
        // The others have moved; it is asked for again.
        Some(why) if moved == 0 => Err(why),
        _ => Ok(moved),
    }
}

/// Moves some keys of a slot in one database; returns how many, and how many are left.
pub(crate) async fn move_some(
    shared: &Arc<Shared>,
    (slot, db): (Slot, u8),
    count: usize,
    target: &Target,
) -> Result<Moved, String> {
    shared.transfers.away.note(slot);
    let mut places = Vec::new();
    with_scratch(|scratch| {
        let entered = enter(shared, slot, Access::Read)?;
        let mut txn = Txn::new(shared, scratch, entered, db, Reads::Committed);
        // Those that have expired too, which then go.
        txn.scan_metas(slot, None, |key, _| {
            places.push(Place { db, key: key.to_vec() });
            if places.len() < count { Flow::Continue } else { Flow::Stop }
        })
    })
    .map_err(in_words)?;
    let moved = move_keys(shared, places, target).await?;
    let left = shared.slot(slot).read().counts.get(usize::from(db)).map_or(0, |c| c.keys);
    Ok(Moved { moved, left })
}

/// Whether nothing of the slot is here, and the other node is one to which keys leave one by one: then it has all of the slot there is.
pub(crate) async fn has_left(shared: &Arc<Shared>, slot: Slot, target: &Target) -> bool {
    {
        let inner = shared.slot(slot).read();
        let is_here = matches!(inner.state, SlotState::Unclaimed | SlotState::Owned { .. });
        if !is_here || inner.keys() > 0 {
            return false;
        }
    }
    let (shared, target) = (shared.clone(), target.clone());
    let runtime = shared.transfers.copy.clone();
    let known = runtime.spawn(async move {
        let far = shared.transfers.away.link(&shared, &target).await;
        far.map(|far| shared.transfers.away.give_back(far)).is_ok()
    });
    known.await.unwrap_or(false)
}

impl Away {
    /// Whether the slot's keys leave at this time, so that one which is not here may be there.
    pub(crate) fn is_leaving(&self, slot: Slot) -> bool {
        self.leaving.lock().get(&slot).is_some_and(|at| at.elapsed() < LEAVING_FOR)
    }

    fn note(&self, slot: Slot) {
        self.leaving.lock().insert(slot, Instant::now());
    }

    async fn link(&self, shared: &Shared, target: &Target) -> Result<Far, String> {
        let kept = {
            let mut idle = self.idle.lock();
            let at = idle.iter().position(|far| far.addr() == target.addr);
            at.map(|at| idle.swap_remove(at))
        };
        match kept {
            Some(far) => Ok(far.within(target.limit)),
            None => Far::connect(target, shared.transfers.introduction()).await,
        }
    }

    fn give_back(&self, far: Far) {
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(far);
        }
    }

    /// Other connections to that node may be as broken.
    fn forget(&self, addr: &str) {
        self.idle.lock().retain(|far| far.addr() != addr);
    }

    fn turn(&self, place: &Place) -> Arc<tokio::sync::Mutex<()>> {
        self.turns.lock().entry(place.clone()).or_default().clone()
    }

    /// Forgets the lock of a key that nobody else waits for.
    fn end_turn(&self, place: &Place) {
        let mut turns = self.turns.lock();
        if turns.get(place).is_some_and(|turn| Arc::strong_count(turn) <= 2) {
            turns.remove(place);
        }
    }
}

/// Returns whether the key was here.
async fn move_key(shared: &Arc<Shared>, place: &Place, target: &Target) -> Result<bool, String> {
    let away = &shared.transfers.away;
    away.note(shared.slot_count().of(&place.key));
    let turn = away.turn(place);
    let moved = {
        let _its_turn = turn.lock().await;
        let moved = send_until_unchanged(shared, place, target).await;
        if moved.is_ok() {
            away.begun.lock().remove(place);
        }
        moved
    };
    away.end_turn(place);
    if moved.is_err() {
        away.forget(&target.addr);
    }
    // What was deleted before, by another mover too, must stay so.
    shared.wal.sync().await.map_err(|error| error.to_string())?;
    moved
}

/// What came of sending a key.
enum Sent {
    Moved,
    /// Nothing is here.
    Gone,
    Changed,
}

async fn send_until_unchanged(
    shared: &Arc<Shared>,
    place: &Place,
    target: &Target,
) -> Result<bool, String> {
    for _ in 0..SENDINGS_MAX {
        match send(shared, place, target).await? {
            Sent::Moved => return Ok(true),
            Sent::Gone => return Ok(false),
            Sent::Changed => {}
        }
    }
    Err("the key is written at its old node all the time".to_owned())
}

async fn send(shared: &Arc<Shared>, place: &Place, target: &Target) -> Result<Sent, String> {
    let slot = shared.slot_count().of(&place.key);
    let mut watches = Watches::new(shared.clone(), Hold::Held);
    watches.list.push(watch_key(shared, slot, place.db, &place.key, Hold::Held));
    let Some(meta) = look(shared, slot, place).map_err(in_words)? else {
        return clean(shared, place, target).await.map(|()| Sent::Gone);
    };
    let mut far = shared.transfers.away.link(shared, target).await?;
    far.choose(place.db).await?;
    if meta.expire_ms != 0 {
        shared.transfers.away.begun.lock().insert(place.clone());
    }
    let mut parcel = Parcel::new(place, meta, far.kind());
    while let Some(piece) = parcel.next(shared, slot).map_err(in_words)? {
        far.say(&piece.frames).await?;
        for wanted in piece.answers {
            let answer = far.answer().await?;
            if !wanted.fits(&answer) {
                return Err(format!("{} answers {}", target.addr, shown(&answer)));
            }
        }
    }
    let deleted = with_scratch(|scratch| {
        let entered = enter(shared, slot, Access::Write)?;
        let mut txn = Txn::new(shared, scratch, entered, place.db, Reads::Committed);
        if !watches.list.iter().all(|watch| txn.is_unchanged(watch)) {
            return Ok(Sent::Changed);
        }
        txn.delete_key(&place.key)?;
        txn.commit().map(|()| Sent::Moved)
    });
    let deleted = deleted.map_err(in_words)?;
    shared.transfers.away.give_back(far);
    Ok(deleted)
}

/// The key has expired here: takes away what an attempt that failed may have left at the target.
async fn clean(shared: &Arc<Shared>, place: &Place, target: &Target) -> Result<(), String> {
    if !shared.transfers.away.begun.lock().contains(place) {
        return Ok(());
    }
    let mut far = shared.transfers.away.link(shared, target).await?;
    far.choose(place.db).await?;
    let answer = far.ask(&[b"DEL", &place.key]).await?;
    if answer.as_int().is_none() {
        return Err(format!("{} answers {}", target.addr, shown(&answer)));
    }
    shared.transfers.away.give_back(far);
    Ok(())
}

/// What the key is, if it is here.
fn look(shared: &Shared, slot: Slot, place: &Place) -> Result<Option<Meta>, CommandError> {
    with_scratch(|scratch| {
        let entered = enter(shared, slot, Access::Read)?;
        Txn::new(shared, scratch, entered, place.db, Reads::Committed).meta(&place.key)
    })
}

/// The slot, if it is served here.
fn enter(shared: &Shared, slot: Slot, access: Access) -> Result<Entered<'_>, CommandError> {
    let mut refusal = Vec::new();
    exec::enter(shared, &[slot], access, None, &mut refusal).map_err(|_| {
        CommandError::from(format!("ERR slot {slot} is not served by this node, or not now"))
    })
}

fn in_words(error: CommandError) -> String {
    error.line().into_owned()
}

fn shown(answer: &Value) -> String {
    match answer {
        Value::Error(line) => line.clone(),
        other => format!("{other:?}").chars().take(200).collect(),
    }
}
