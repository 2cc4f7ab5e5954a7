//! Runs one command: enters the slots of its keys, lets its function work on them, commits. Hot path.
//!
//! Synchronous. Called by a worker for short commands, by a thread of the blocking pool for long ones.

use crate::command::{Ctx, Found, Outcome, Request, Run, Wish};
use crate::error::CommandError;
use crate::link::{Pushes, bounce, redirect};
use crate::shared::Shared;
use crate::slots::SlotInner;
use crate::txn::{Guard, Reads, Scratch, Txn};
use crate::waiting::Waiter;
use cluster::Slot;
use cluster::state::{Access, Admission};
use protocol::command::{Command, Flags, Keys};
use protocol::reply::{Reply, Version};
use smallvec::SmallVec;
use std::sync::Arc;

/// The slots of a command, ascending, each once.
pub type SlotList = SmallVec<[Slot; 4]>;

/// Who wants a command run, and how.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    pub db: u8,
    pub version: Version,
    /// Where to push when a slot that turned the command away opens; links only.
    pub link: Option<&'a Arc<Pushes>>,
}

/// A command with its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub command: &'static Command,
    pub run: Run,
    pub request: Request<'a>,
}

/// Whether slots are held while a command reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It takes microseconds: the slots are held.
    Short,
    /// It may take long: a read lets the slots go and reads a snapshot.
    Long,
}

/// What became of a command. Its reply is written in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    Executed(Told),
    /// Nothing was executed: one of these slots may not be entered.
    TurnedAway(SlotList),
}

/// What a command tells its caller besides the reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub failed: bool,
    pub hits: u32,
    pub misses: u32,
    /// Keys that had expired when they were read, to be deleted.
    pub expired: Vec<(Slot, u8, Vec<u8>)>,
    /// Sketches whose estimate was out of date, to be given a new one.
    pub stale: Vec<(Slot, u8, Vec<u8>)>,
}

/// What a command does with its slots.
pub fn access(command: &Command) -> Access {
    if command.is_write() { Access::Write } else { Access::Read }
}

/// The slots of a request's keys; an error is the client's mistake.
pub fn slots_of(
    shared: &Shared,
    command: &Command,
    request: Request<'_>,
) -> Result<SlotList, CommandError> {
    let count = shared.slot_count();
    // Nearly all commands.
    if let Keys::Range { first, last, .. } = command.keys
        && i32::from(first) == i32::from(last)
        && usize::from(first) < request.len()
    {
        return Ok(SlotList::from_iter([count.of(request.get(usize::from(first)))]));
    }
    let keys = command
        .key_positions(request.frame, request.args)
        .map_err(|e| CommandError::from(e.to_string()))?;
    let mut slots: SlotList = keys.iter().map(|&at| count.of(request.get(at as usize))).collect();
    slots.sort_unstable();
    slots.dedup();
    Ok(slots)
}

/// Runs a command whose slots are known, and writes its reply to the end of `out`.
pub fn run(
    shared: &Shared,
    scratch: &mut Scratch,
    caller: Caller<'_>,
    call: Call<'_>,
    (slots, pace): (&[Slot], Pace),
    out: &mut Vec<u8>,
) -> Done {
    let start = out.len();
    let entered = match enter(shared, slots, access(call.command), caller.link, out) {
        Ok(entered) => entered,
        Err(slots) => return Done::TurnedAway(slots),
    };
    let mut txn = Txn::new(shared, scratch, entered, caller.db, Reads::Committed);
    if pace == Pace::Long && !call.command.is_write() {
        txn.detach();
    }
    let result = check_room(shared, call.command)
        .and_then(|()| invoke(shared, call, caller.version, &mut txn, out));
    let mut told = Told { expired: txn.take_expired(), stale: txn.take_stale(), ..Told::default() };
    (told.hits, told.misses) = txn.lookups();
    let result = result.and_then(|()| if call.command.is_write() { txn.commit() } else { Ok(()) });
    if let Err(error) = result {
        out.truncate(start);
        Reply::new(out, caller.version).error(error.line().as_bytes());
    }
    told.failed = out.get(start) == Some(&b'-');
    Done::Executed(told)
}

/// Calls the command's function.
pub fn invoke(
    shared: &Shared,
    call: Call<'_>,
    version: Version,
    txn: &mut Txn<'_>,
    out: &mut Vec<u8>,
) -> Outcome {
    let before = txn.changes();
    let mut ctx = Ctx {
        shared,
        command: call.command,
        args: call.request,
        txn,
        reply: Reply::new(out, version),
    };
    let result = match call.run {
        Run::Keys(function) | Run::Slots(function) => function(&mut ctx),
        // Here nothing waits.
        Run::Waits(read) => read(call.request).and_then(|wish| {
            if wish.take(&mut ctx)? == Found::Nothing {
                wish.nothing(&mut ctx.reply);
            }
            Ok(())
        }),
        Run::Session(_) => return Err("ERR internal error: a command of the connection was sent to the data; please report it".into()),
    };
    if result.is_err() && txn.changes() != before {
        tracing::error!(
            command = call.command.name,
            "a command failed after it had changed something: a bug in slipway"
        );
    }
    result
}

/// A command that waits if it finds nothing.
#[derive(Clone, Copy, Debug)]
pub struct Try<'a> {
    pub command: &'static Command,
    pub wish: Wish,
    pub request: Request<'a>,
    pub slots: &'a [Slot],
}

/// What came of looking for what it wants.
#[derive(Debug)]
pub enum Attempt {
    /// The reply is written.
    Done(Done),
    /// There was nothing, and nothing is written: it stands in the queue of each of its keys.
    Waits(Arc<Waiter>),
}

/// Runs a command that may wait: takes what is there, or has it stand in the queues, under the same locks.
pub fn attempt(
    shared: &Shared,
    scratch: &mut Scratch,
    caller: Caller<'_>,
    (tried, waiter): (Try<'_>, impl FnOnce() -> Arc<Waiter>),
    out: &mut Vec<u8>,
) -> Attempt {
    let start = out.len();
    let entered = match enter(shared, tried.slots, Access::Write, caller.link, out) {
        Ok(entered) => entered,
        Err(slots) => return Attempt::Done(Done::TurnedAway(slots)),
    };
    let mut txn = Txn::new(shared, scratch, entered, caller.db, Reads::Committed);
    let found = check_room(shared, tried.command).and_then(|()| {
        let reply = Reply::new(out, caller.version);
        let (command, args) = (tried.command, tried.request);
        tried.wish.take(&mut Ctx { shared, command, args, txn: &mut txn, reply })
    });
    let cell_of = |key: &[u8]| shared.slot(shared.slot_count().of(key));
    let result = match found {
        Ok(Found::Taken) => txn.commit(),
        Ok(Found::Nothing) => {
            let waiter = waiter();
            waiter.keys().for_each(|key| cell_of(key).waiters.enter(key, &waiter));
            // Keys that had expired go, and with that the locks.
            match txn.commit() {
                Ok(()) => return Attempt::Waits(waiter),
                Err(error) => {
                    waiter.leave();
                    waiter.keys().for_each(|key| cell_of(key).waiters.leave(key, &waiter));
                    Err(error)
                }
            }
        }
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        out.truncate(start);
        Reply::new(out, caller.version).error(error.line().as_bytes());
    }
    let failed = out.get(start) == Some(&b'-');
    Attempt::Done(Done::Executed(Told { failed, ..Told::default() }))
}

/// Commands that need space are refused while there is none.
pub fn check_room(shared: &Shared, command: &Command) -> Result<(), CommandError> {
    if command.flags.contains(Flags::DENYOOM) && !shared.disk.has_room() {
        Err(shared.disk.refusal())
    } else {
        Ok(())
    }
}

/// Slots with their locks held.
pub type Entered<'a> = SmallVec<[(Slot, Guard<'a>); 1]>;

/// Enters slots in ascending order. If one of them turns the caller away, none is entered, the word for it is written, and a link is
/// registered with all of them.
pub fn enter<'a>(
    shared: &'a Shared,
    slots: &[Slot],
    access: Access,
    link: Option<&Arc<Pushes>>,
    out: &mut Vec<u8>,
) -> Result<Entered<'a>, SlotList> {
    let mut entered = Entered::new();
    for &slot in slots {
        let cell = shared.slot(slot);
        let guard = match access {
            Access::Read => Guard::Shared(cell.read()),
            Access::Write => Guard::Exclusive(cell.write()),
        };
        match guard.inner().map(|inner| inner.state.admit(access)) {
            Some(Admission::Execute) => {}
            Some(admission) => {
                turn_away(shared, slots, (slot, &admission), link, out);
                return Err(slots.into());
            }
            None => continue,
        }
        entered.push((slot, guard));
    }
    Ok(entered)
}

/// Called with the lock of the slot that turns away.
fn turn_away(
    shared: &Shared,
    slots: &[Slot],
    (slot, admission): (Slot, &Admission<'_>),
    link: Option<&Arc<Pushes>>,
    out: &mut Vec<u8>,
) {
    let Some(link) = link else { return redirect(out, slot, admission) };
    bounce(out, slot, admission);
    for &slot in slots {
        shared.slot(slot).wait(link);
    }
}

/// Whether plain clients find the slot's keys here.
pub fn is_served(inner: &SlotInner) -> bool {
    inner.state.admit(Access::Read) == Admission::Execute
}

/// Deletes keys that a read found expired, unless their slot takes no writes now.
pub fn delete_expired(
    shared: &Shared,
    scratch: &mut Scratch,
    keys: Vec<(Slot, u8, Vec<u8>)>,
) -> usize {
    let mut deleted = 0;
    for (slot, db, key) in keys {
        let mut nowhere = Vec::new();
        let Ok(entered) = enter(shared, &[slot], Access::Write, None, &mut nowhere) else {
            continue;
        };
        let mut txn = Txn::new(shared, scratch, entered, db, Reads::Committed);
        // Looking at it in a write deletes it, if it is still expired.
        if txn.meta(&key).is_ok_and(|meta| meta.is_none()) && txn.commit().is_ok() {
            deleted += 1;
        }
    }
    deleted
}

/// Keeps new estimates in sketches, unless their slot takes no writes now: it is for speed alone.
pub fn refresh_stale(shared: &Shared, scratch: &mut Scratch, keys: Vec<(Slot, u8, Vec<u8>)>) {
    for (slot, db, key) in keys {
        let mut nowhere = Vec::new();
        let Ok(entered) = enter(shared, &[slot], Access::Write, None, &mut nowhere) else {
            continue;
        };
        let mut txn = Txn::new(shared, scratch, entered, db, Reads::Committed);
        let kept = crate::command::refresh(&mut txn, &key).and_then(|()| txn.commit());
        if let Err(error) = kept {
            tracing::debug!(error = %error.line(), "an estimate was not kept");
        }
    }
}
