//! Plain writes that follow each other in a pipeline, written to the store as one batch. Hot path.
//!
//! A plain write is about one key, is short and may run here and now. The slots stay locked until the batch is written, and no reply leaves
//! before, so nobody sees half of it; if writing fails, every one of them is answered with the error. Invariants: locks behind the first are
//! only tried for, so that holding several never waits; a key is touched once, so that no command reads what another one has not written yet.

use super::{CHUNK_BYTES, Input, Mute, Session, with_scratch};
use crate::command::{Request, Run, find};
use crate::error::CommandError;
use crate::exec::{self, Call};
use crate::shared::Shared;
use crate::txn::{Guard, Reads, Scratch, Txn};
use cluster::Slot;
use cluster::state::{Access, Admission};
use protocol::command::{Command, Flags, Keys, lookup};
use protocol::reply::Reply;
use protocol::slicer::{Limits, Sliced, slice_request};
use smallvec::SmallVec;
use std::sync::atomic::Ordering::Relaxed;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

/// So many writes at most, and bytes of them: others wait for their slots meanwhile.
const WRITES_MAX: usize = 32;
const BYTES_MAX: usize = 64 << 10;

/// Writes that are not committed yet.
struct Burst<'a> {
    shared: &'a Shared,
    txn: Txn<'a>,
    /// Hashes of the keys.
    keys: SmallVec<[u64; WRITES_MAX]>,
    commands: SmallVec<[&'static Command; WRITES_MAX]>,
}

impl<'a> Burst<'a> {
    fn new(shared: &'a Shared, scratch: &'a mut Scratch, db: u8) -> Self {
        let txn = Txn::new(shared, scratch, [], db, Reads::Committed);
        Self { shared, txn, keys: SmallVec::new(), commands: SmallVec::new() }
    }

    fn has_room(&self) -> bool {
        self.keys.len() < WRITES_MAX && self.txn.bytes() < BYTES_MAX && !self.txn.reads_own()
    }

    /// Enters the key's slot; returns whether the key may be written now.
    fn enter(&mut self, key: &[u8]) -> bool {
        let hash = xxh3_64(key);
        if self.keys.contains(&hash) {
            return false;
        }
        let slot = self.shared.slot_count().of(key);
        if !self.txn.go_to(slot) && !self.enter_slot(slot) {
            return false;
        }
        self.keys.push(hash);
        true
    }

    fn enter_slot(&mut self, slot: Slot) -> bool {
        let cell = self.shared.slot(slot);
        if cell.is_long_held() {
            return false;
        }
        let Some(inner) = cell.try_write() else { return false };
        if inner.state.admit(Access::Write) != Admission::Execute || cell.has_waiters() {
            return false;
        }
        self.txn.go_on_to(slot, Guard::Exclusive(inner));
        true
    }
}

/// The place of the key of a command that may be in a burst.
fn key_of(command: &Command) -> Option<usize> {
    match command.keys {
        Keys::Range { first, last, .. }
            if i32::from(first) == i32::from(last)
                && command.is_write()
                && !command.flags.contains(Flags::BULK)
                && command.subcommands.is_empty()
                && matches!(find(command.id), Some(Run::Keys(_))) =>
        {
            Some(usize::from(first))
        }
        _ => None,
    }
}

impl Session {
    /// Whether a burst may begin with this command.
    pub(super) fn may_burst(&self, command: &Command) -> bool {
        self.mute == Mute::Off
            && !self.restores
            && self.authenticated
            && !self.multi.is_queueing()
            && key_of(command).is_some()
    }

    /// Runs the plain writes at the head of the input, as far as they come without waiting; returns the time now. None of them may have run.
    pub(super) fn burst(&mut self, input: &mut Input, limits: &Limits, clock: Instant) -> Instant {
        let shared = self.shared.clone();
        let (first, start) = (self.unsettled.len(), self.out.len());
        with_scratch(|scratch| {
            let mut burst = Burst::new(&shared, scratch, self.db);
            let mut clock = clock;
            while burst.has_room() && self.out.len() < start + CHUNK_BYTES {
                let rest = &input.bytes[input.at..];
                let Ok(Sliced::Request { len }) = slice_request(rest, limits, &mut input.args)
                else {
                    break;
                };
                let request = Request { frame: &rest[..len], args: &input.args };
                if !self.burst_on(&mut burst, request) {
                    break;
                }
                clock = self.account(clock, request);
                input.at += len;
            }
            if let Err(error) = burst.txn.commit() {
                self.refuse_burst(first, &burst.commands, &error);
            }
            clock
        })
    }

    /// Runs the next write; returns whether it was one.
    fn burst_on(&mut self, burst: &mut Burst<'_>, request: Request<'_>) -> bool {
        let Some(command) = lookup(request.get(0)) else { return false };
        let (Some(at), Some(run)) = (key_of(command), find(command.id)) else { return false };
        if !command.check_arity(request.len()) || at >= request.len() {
            return false;
        }
        let key = request.get(at);
        let slot = [self.shared.slot_count().of(key)];
        if self.link.as_ref().is_some_and(|link| link.stuck(&slot).is_some()) || !burst.enter(key) {
            return false;
        }
        self.begin_reply(true);
        self.client.command.store(command.id.0, Relaxed);
        self.stats.command(command.id).calls.one();
        burst.commands.push(command);
        let start = self.out.len();
        let call = Call { command, run, request };
        let result = exec::check_room(burst.shared, command).and_then(|()| {
            exec::invoke(burst.shared, call, self.version, &mut burst.txn, &mut self.out)
        });
        if let Err(error) = result {
            self.out.truncate(start);
            Reply::new(&mut self.out, self.version).error(error.line().as_bytes());
        }
        self.count_failure(command, start);
        true
    }

    /// The batch could not be written: the replies from `first` on become errors.
    #[cold]
    fn refuse_burst(&mut self, first: usize, commands: &[&'static Command], error: &CommandError) {
        if let Some((start, _)) = self.unsettled.get(first) {
            self.out.truncate(*start);
        }
        self.unsettled.truncate(first);
        for command in commands {
            self.begin_reply(true);
            let start = self.out.len();
            Reply::new(&mut self.out, self.version).error(error.line().as_bytes());
            self.count_failure(command, start);
        }
    }
}
