//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! Between MULTI and EXEC commands are checked and kept. EXEC enters the slots of all of them and of all watched keys at once, runs them in
//! one transaction, and commits once: others see all of it or nothing, and a crash too.

use super::{Session, turn::Later, with_scratch};
use crate::command::{Outcome, Request, Run, find};
use crate::error::{CommandError, line};
use crate::exec::{self, Call, Caller, Done, SlotList, Told};
use crate::shared::Shared;
use crate::slots::SlotInner;
use crate::slots::watched::Hold;
use crate::txn::{Reads, Scratch, Txn};
use cluster::Slot;
use cluster::state::Access;
use protocol::command::{Command, Flags, lookup};
use protocol::reply::{Reply, Version};
use protocol::slicer::{Args, Limits, slice_request};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// A command kept for EXEC.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) command: &'static Command,
    pub(crate) frame: Vec<u8>,
}

/// A key whose change makes EXEC answer null.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) slot: Slot,
    pub(crate) db: u8,
    pub(crate) key: Vec<u8>,
    pub(crate) version: u64,
    /// It had expired already when it was watched, so that it is expired now says nothing.
    pub(crate) was_expired: bool,
}

impl Watch {
    /// Whether the key is as it was; `inner` is its slot.
    pub(crate) fn is_unchanged(&self, shared: &Shared, inner: &SlotInner) -> bool {
        inner.watched.unchanged(self.db, &self.key, self.version)
            && (self.was_expired
                || !crate::txn::is_expired(shared, self.slot, inner, self.db, &self.key))
    }
}

/// Watched keys; those of a session are let go when this is dropped.
#[derive(Debug)]
pub(crate) struct Watches {
    shared: Arc<Shared>,
    hold: Hold,
    pub(crate) list: Vec<Watch>,
}

impl Watches {
    pub(crate) fn new(shared: Arc<Shared>, hold: Hold) -> Self {
        Self { shared, hold, list: Vec::new() }
    }

    /// Whether nothing has changed up to now; the slots are looked at one after another.
    fn are_unchanged(&self) -> bool {
        self.list
            .iter()
            .all(|watch| watch.is_unchanged(&self.shared, &self.shared.slot(watch.slot).read()))
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        if self.hold == Hold::Held {
            for watch in &self.list {
                self.shared.slot(watch.slot).write().watched.release(watch.db, &watch.key);
            }
        }
    }
}

/// What a session keeps between MULTI and EXEC.
#[derive(Debug, Default)]
pub(crate) struct Multi {
    /// Nothing outside of MULTI.
    queue: Option<Queue>,
    watches: Option<Watches>,
}

#[derive(Debug, Default)]
struct Queue {
    commands: Vec<Queued>,
    bytes: usize,
    spoiled: bool,
}

impl Multi {
    pub(crate) fn is_queueing(&self) -> bool {
        self.queue.is_some()
    }

    /// EXEC will refuse.
    pub(crate) fn spoil(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.spoiled = true;
        }
    }
}

/// One command of a transaction that is about to run.
#[derive(Debug)]
enum Step {
    Data {
        command: &'static Command,
        run: Run,
        frame: Vec<u8>,
        args: Args,
        /// HELLO may stand before it.
        version: Version,
    },
    /// About the connection: answered already.
    Answered(Vec<u8>),
    Select(u8),
}

/// A transaction that is about to run.
#[derive(Debug)]
pub(crate) struct Exec {
    steps: Vec<Step>,
    slots: SlotList,
    access: Access,
    watches: Watches,
    db: u8,
    version: Version,
}

impl Session {
    /// Keeps a command for EXEC.
    pub(super) fn queue(&mut self, command: &'static Command, request: Request<'_>) {
        let refused = if command.flags.contains(Flags::NO_MULTI) || command.name == "slipway" {
            Some("ERR Command not allowed inside a transaction".into())
        } else {
            exec::check_room(&self.shared, command).err()
        };
        let room = self.shared.config.queue_bytes_max;
        let Some(queue) = &mut self.multi.queue else { return };
        let too_long = queue.bytes + request.frame.len() > room;
        let refused = refused.or_else(|| {
            too_long.then(|| {
                CommandError::from(format!(
                    "ERR the transaction is larger than queue_bytes_max, {room} bytes"
                ))
            })
        });
        if let Some(error) = refused {
            return self.refuse_in_queue(error.line().as_bytes());
        }
        queue.bytes += request.frame.len();
        queue.commands.push(Queued { command, frame: request.frame.to_vec() });
        self.client.queued.store(queue.commands.len() as i64, Relaxed);
        self.reply().simple("QUEUED");
    }

    /// A reply at the end of the output.
    pub(crate) fn reply(&mut self) -> Reply<'_> {
        Reply::new(&mut self.out, self.version)
    }

    pub(crate) fn multi(&mut self) -> Outcome {
        if self.multi.is_queueing() {
            return Err("ERR MULTI calls can not be nested".into());
        }
        self.multi.queue = Some(Queue::default());
        self.client.queued.store(0, Relaxed);
        self.reply().ok();
        Ok(())
    }

    pub(crate) fn discard(&mut self) -> Outcome {
        if !self.multi.is_queueing() {
            return Err("ERR DISCARD without MULTI".into());
        }
        self.forget_transaction();
        self.reply().ok();
        Ok(())
    }

    /// Out of MULTI, nothing watched.
    pub(crate) fn forget_transaction(&mut self) {
        self.multi.queue = None;
        self.client.queued.store(-1, Relaxed);
        self.unwatch();
    }

    pub(crate) fn exec(&mut self) -> Outcome {
        let Some(queue) = self.multi.queue.take() else {
            return Err("ERR EXEC without MULTI".into());
        };
        self.client.queued.store(-1, Relaxed);
        if queue.spoiled {
            self.unwatch();
            return Err(line::EXEC_ABORT.into());
        }
        let watches = self
            .multi
            .watches
            .take()
            .unwrap_or_else(|| Watches::new(self.shared.clone(), Hold::Held));
        // What is about the connection runs before the slots are entered, and must not if EXEC answers null.
        let about_connection =
            |queued: &Queued| matches!(find(queued.command.id), Some(Run::Session(_)));
        if queue.commands.iter().any(about_connection) && !watches.are_unchanged() {
            self.reply().null_array();
            return Ok(());
        }
        let exec = self.prepare(queue.commands, watches);
        self.start(exec);
        Ok(())
    }

    /// Runs the transaction, or leaves it for later if it takes long.
    pub(crate) fn start(&mut self, exec: Exec) {
        if self.is_stuck(&exec.slots) {
            return;
        }
        if exec.is_long(&self.shared) {
            self.later = Some(Later::Exec(exec));
            return;
        }
        let pushes = self.link.as_ref().map(|link| link.pushes.clone());
        let caller = Caller { db: exec.db, version: exec.version, link: pushes.as_ref() };
        let (done, db) =
            with_scratch(|scratch| exec.run(&self.shared, scratch, caller, &mut self.out));
        self.finish_exec(done, db);
    }

    pub(super) async fn run_exec_long(&mut self, exec: Exec) {
        let shared = self.shared.clone();
        let pushes = self.link.as_ref().map(|link| link.pushes.clone());
        let task = self.shared.background.spawn_blocking(move || {
            let mut out = Vec::new();
            let caller = Caller { db: exec.db, version: exec.version, link: pushes.as_ref() };
            let held = shared.slots.hold_long(&exec.slots);
            let done = with_scratch(|scratch| exec.run(&shared, scratch, caller, &mut out));
            drop(held);
            (done, out)
        });
        match task.await {
            Ok(((done, db), out)) => {
                self.out.extend_from_slice(&out);
                self.finish_exec(done, db);
            }
            Err(error) => {
                tracing::error!(%error, "a transaction died");
                self.reply().error(
                    "ERR internal error: the transaction died; please report it with the log",
                );
            }
        }
    }

    fn finish_exec(&mut self, done: Done, db: u8) {
        let Some(command) = lookup(b"exec") else { return };
        if matches!(done, Done::Executed(_)) {
            self.db = db;
            self.client.db.store(db, Relaxed);
        }
        self.finish(command, done);
    }

    /// Answers what is about the connection and finds the slots of the rest.
    pub(crate) fn prepare(&mut self, commands: Vec<Queued>, watches: Watches) -> Exec {
        let mut slots: SlotList = watches.list.iter().map(|watch| watch.slot).collect();
        let mut access = Access::Read;
        let version = self.version;
        let mut steps = Vec::with_capacity(commands.len());
        for Queued { command, frame } in commands {
            let mut args = Args::new();
            let sliced = slice_request(&frame, &Limits::default(), &mut args);
            debug_assert!(sliced.is_ok(), "it was sliced when it was queued");
            let Some(run) = find(command.id) else { continue };
            let request = Request { frame: &frame, args: &args };
            self.stats.command(command.id).calls.one();
            if let Run::Session(function) = run {
                steps.push(self.answer_now(command, function, request));
                continue;
            }
            match run {
                Run::Slots(_) => slots.extend(self.shared.slot_count().slots()),
                _ => match exec::slots_of(&self.shared, command, request) {
                    Ok(its) => slots.extend(its),
                    Err(error) => {
                        let mut reply = Vec::new();
                        Reply::new(&mut reply, self.version).error(error.line().as_bytes());
                        steps.push(Step::Answered(reply));
                        continue;
                    }
                },
            }
            // PFCOUNT keeps what it counted: what stands behind it in the transaction must see that, so it cannot be done afterwards.
            if command.is_write() || command.name == "pfcount" {
                access = Access::Write;
            }
            steps.push(Step::Data { command, run, frame, args, version: self.version });
        }
        slots.sort_unstable();
        slots.dedup();
        Exec { steps, slots, access, watches, db: self.db, version }
    }

    fn answer_now(
        &mut self,
        command: &Command,
        function: fn(&mut Self, Request<'_>) -> Outcome,
        request: Request<'_>,
    ) -> Step {
        let (db, kept) = (self.db, std::mem::take(&mut self.out));
        let outcome = function(self, request);
        if let Err(error) = &outcome {
            self.out.clear();
            self.reply().error(error.line().as_bytes());
        }
        let reply = std::mem::replace(&mut self.out, kept);
        // Also back to the database that is selected now: one before it may have chosen another.
        if command.name == "select" && outcome.is_ok() {
            // It counts for the commands behind it, and for the session once all of them have run.
            return Step::Select(std::mem::replace(&mut self.db, db));
        }
        Step::Answered(reply)
    }

    pub(crate) fn watch(&mut self, request: Request<'_>) -> Outcome {
        if self.multi.is_queueing() {
            return Err("ERR WATCH inside MULTI is not allowed".into());
        }
        for key in request.from(1) {
            let slot = self.shared.slot_count().of(key);
            let (shared, db) = (&self.shared, self.db);
            let watches =
                self.multi.watches.get_or_insert_with(|| Watches::new(shared.clone(), Hold::Held));
            if !watches.list.iter().any(|w| w.db == db && w.key == key) {
                watches.list.push(watch_key(shared, slot, db, key, Hold::Held));
            }
        }
        self.reply().ok();
        Ok(())
    }

    /// Stops watching.
    pub(crate) fn unwatch(&mut self) {
        self.multi.watches = None;
    }
}

/// Begins to watch a key. One that has expired is deleted first, or its deletion a moment later would count as a change.
pub(crate) fn watch_key(shared: &Shared, slot: Slot, db: u8, key: &[u8], hold: Hold) -> Watch {
    if crate::txn::is_expired(shared, slot, &shared.slot(slot).read(), db, key) {
        let expired = vec![(slot, db, key.to_vec())];
        with_scratch(|scratch| exec::delete_expired(shared, scratch, expired));
    }
    let mut inner = shared.slot(slot).write();
    let version = inner.watched.watch(db, key, hold);
    let was_expired = crate::txn::is_expired(shared, slot, &inner, db, key);
    Watch { slot, db, key: key.to_vec(), version, was_expired }
}

impl Exec {
    fn is_long(&self, shared: &Shared) -> bool {
        let bulk = |step: &Step| match step {
            Step::Data { command, .. } => command.flags.contains(Flags::BULK),
            Step::Answered(_) | Step::Select(_) => false,
        };
        self.steps.iter().any(bulk)
            || self.slots.iter().any(|&slot| shared.slot(slot).is_long_held())
    }

    /// Runs everything; returns what became of it and the database that is selected then.
    fn run(
        &self,
        shared: &Shared,
        scratch: &mut Scratch,
        caller: Caller<'_>,
        out: &mut Vec<u8>,
    ) -> (Done, u8) {
        let start = out.len();
        let entered = match exec::enter(shared, &self.slots, self.access, caller.link, out) {
            Ok(entered) => entered,
            Err(slots) => return (Done::TurnedAway(slots), self.db),
        };
        let mut txn = Txn::new(shared, scratch, entered, self.db, Reads::Own);
        if !self.watches.list.iter().all(|watch| txn.is_unchanged(watch)) {
            Reply::new(out, caller.version).null_array();
            return (Done::Executed(Told::default()), self.db);
        }
        Reply::new(out, caller.version).array(self.steps.len());
        let outcome = self.steps.iter().try_for_each(|step| step.run(shared, &mut txn, out));
        let (expired, stale) = (txn.take_expired(), txn.take_stale());
        let db = txn.db;
        let outcome =
            outcome.and_then(|()| if self.access == Access::Write { txn.commit() } else { Ok(()) });
        if let Err(error) = outcome {
            out.truncate(start);
            Reply::new(out, caller.version).error(error.line().as_bytes());
        }
        let failed = out.get(start) == Some(&b'-');
        (Done::Executed(Told { failed, expired, stale, ..Told::default() }), db)
    }
}

impl Step {
    /// Runs one command. Its own error is one reply among the others; an error of the store ends the transaction.
    fn run(&self, shared: &Shared, txn: &mut Txn<'_>, out: &mut Vec<u8>) -> Outcome {
        match self {
            Self::Answered(reply) => out.extend_from_slice(reply),
            Self::Select(db) => {
                txn.db = *db;
                Reply::new(out, Version::Resp2).ok();
            }
            Self::Data { command, run, frame, args, version } => {
                let version = *version;
                let start = out.len();
                let call = Call { command, run: *run, request: Request { frame, args } };
                let before = txn.changes();
                match exec::invoke(shared, call, version, txn, out) {
                    Ok(()) => {}
                    Err(CommandError::Line(line)) if txn.changes() == before => {
                        out.truncate(start);
                        Reply::new(out, version).error(line.as_bytes());
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}
