//! One turn of a session: every whole request that has arrived. Hot path.

use super::standing::Standing;
use super::{CHUNK_BYTES, Input, Mute, Session, with_scratch};
use crate::command::{self, Order, Request, Run, Word};
use crate::error::{CommandError, line};
use crate::exec::{self, Call, Caller, Done, Pace, SlotList, Told};
use crate::link::Pushes;
use crate::slots::now_ms;
use crate::slowlog;
use crate::txn::Scratch;
use cluster::state::Access;
use protocol::command::{Command, Flags, Keys, lookup};
use protocol::reply::{Reply, Version, errors};
use protocol::slicer::{Args, Limits, Sliced, slice_request};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// What takes time: the session waits for it, the worker does not.
#[derive(Debug)]
pub(crate) enum Later {
    /// A command over many records.
    Long { command: &'static Command, slots: SlotList },
    /// All commands of a transaction, some of which are long.
    Exec(super::transaction::Exec),
    /// A word between our own parts.
    Word(Word),
    /// What a codis-dashboard, or a codis-proxy, wants of slots.
    Order(Order),
    /// A request within a request.
    Inner(super::proxied::Inner),
    /// A request for another node.
    Outer(super::proxied::Outer),
    /// A command that waits for a key.
    Wait(Standing),
}

/// A command that runs on a thread of the blocking pool.
#[derive(Debug)]
pub(super) struct LongCall {
    pub(super) command: &'static Command,
    pub(super) slots: SlotList,
    pub(super) frame: Vec<u8>,
    /// The database, and how the reply is written.
    pub(super) of: (u8, Version),
}

impl Session {
    /// Runs every whole request in the input, until the client must read first.
    pub(super) async fn turn(
        &mut self,
        stream: &mut TcpStream,
        input: &mut Input,
    ) -> io::Result<()> {
        self.stats.turns.one();
        let limits = self.shared.config.limits.clone();
        let mut clock = Instant::now();
        // Whether the next request runs for itself.
        let mut alone = false;
        while !self.closing {
            if self.must_pause(stream, input).await? {
                return Ok(());
            }
            let rest = &input.bytes[input.at..];
            let (len, inline) = match slice_request(rest, &limits, &mut input.args) {
                Ok(Sliced::Request { len }) => (len, None),
                Ok(Sliced::Inline { len, frame }) => (len, Some(frame)),
                Ok(Sliced::Nothing { len }) => {
                    input.at += len;
                    continue;
                }
                Ok(Sliced::Incomplete { at_least }) => {
                    // Slicing goes on from the same first byte when more has come.
                    if !rest.is_empty() {
                        input.bytes.drain(..input.at);
                        input.at = 0;
                        input.expect(at_least);
                    }
                    return Ok(());
                }
                Err(error) => {
                    self.begin_reply(false);
                    Reply::new(&mut self.out, self.version).error(format!("ERR {error}"));
                    self.closing = true;
                    return Ok(());
                }
            };
            let frame = inline.as_deref().unwrap_or(&rest[..len]);
            let request = Request { frame, args: &input.args };
            let command = lookup(request.get(0));
            let more = input.bytes.len() > input.at + len;
            if more && !alone && inline.is_none() && command.is_some_and(|c| self.may_burst(c)) {
                let at = input.at;
                clock = self.burst(input, &limits, clock);
                alone = input.at == at;
                continue;
            }
            alone = false;
            let (start, mute) = (self.out.len(), self.mute);
            self.request(command, request);
            let standing = match self.later.take() {
                Some(Later::Wait(standing)) => Some(standing),
                Some(later) => {
                    self.finish_later(later, frame.to_vec(), &limits).await;
                    None
                }
                None => None,
            };
            clock = self.account(clock, request);
            input.at += len;
            let start = match standing {
                Some(standing) => {
                    let start = self.stand(stream, input, standing).await?;
                    // Waiting is not work.
                    clock = Instant::now();
                    start
                }
                None => start,
            };
            if self.restores {
                self.acknowledge(start);
            }
            self.keep_back(start, mute);
        }
        Ok(())
    }

    /// Sends replies if there are many; returns whether the client must read them before it is served on.
    async fn must_pause(&mut self, stream: &mut TcpStream, input: &mut Input) -> io::Result<bool> {
        if self.out.len() - self.sent < CHUNK_BYTES {
            return Ok(false);
        }
        self.send(stream).await?;
        input.stalled = self.unsent() >= self.shared.config.output_bytes_max;
        Ok(input.stalled)
    }

    /// CLIENT REPLY: the reply that begins at `start` may have to be forgotten; `mute` is as it was before the command.
    fn keep_back(&mut self, start: usize, mute: Mute) {
        if self.mute != Mute::Off {
            self.out.truncate(start);
        }
        if mute == Mute::Next && self.mute == Mute::Next {
            self.mute = Mute::Off;
        }
    }

    /// Adds the time since `clock` to the last command; returns the time now.
    pub(super) fn account(&self, clock: Instant, request: Request<'_>) -> Instant {
        let now = Instant::now();
        let index = self.client.command.load(Relaxed);
        if let Some(command) = protocol::command::table().get(usize::from(index)) {
            let taken = now.saturating_duration_since(clock);
            self.stats.command(command.id).took.add(taken);
            let limit = self.shared.settings.slowlog_micros();
            if limit >= 0
                && taken.as_micros() >= limit as u128
                && !command.flags.contains(Flags::SKIP_SLOWLOG)
            {
                self.note_slow(taken.as_micros() as u64, request);
            }
        }
        now
    }

    #[cold]
    fn note_slow(&self, micros: u64, request: Request<'_>) {
        let entry = slowlog::Entry {
            id: 0,
            at_ms: now_ms(),
            micros,
            args: slowlog::shorten(request),
            addr: self.client.addr.to_string(),
            name: self.client.name.lock().clone(),
        };
        self.shared.slowlog.add(self.shared.settings.slowlog_entries_max(), entry);
    }

    /// Answers one request, or leaves in `later` what takes time.
    fn request(&mut self, command: Option<&'static Command>, request: Request<'_>) {
        let Some(command) = command else {
            self.begin_reply(false);
            return self.refuse_in_queue(&errors::unknown_command(request.get(0), request.from(1)));
        };
        self.begin_reply(command.is_write());
        self.client.command.store(command.id.0, Relaxed);
        let counts = self.stats.command(command.id);
        match self.check(command, request) {
            Ok(run) => {
                counts.calls.one();
                self.dispatch(command, run, request);
            }
            Err(error) => {
                counts.rejected.one();
                let mut line = error.line();
                if command.name == "exec" {
                    self.forget_transaction();
                    line = errors::exec_refused(&line).into();
                }
                self.refuse_in_queue(line.as_bytes());
            }
        }
    }

    /// Whether the request may be looked at at all.
    fn check(&self, command: &'static Command, request: Request<'_>) -> Result<Run, CommandError> {
        let Some(run) = command::find(command.id) else {
            let why = match command.route {
                protocol::command::RouteRule::Refused(why) => why,
                _ => "this node does not know it yet",
            };
            return Err(errors::refused(command.name, why).into());
        };
        if !command.check_arity(request.len()) {
            return Err(errors::arity(command.name).into());
        }
        if !command.subcommands.is_empty() && request.len() > 1 {
            command::subcommand(command.name, request)?;
        }
        if !self.authenticated && !command.flags.contains(Flags::NO_AUTH) {
            return Err(line::NO_AUTH.into());
        }
        Ok(run)
    }

    /// An error before a command ran: within MULTI it spoils the transaction.
    pub(super) fn refuse_in_queue(&mut self, text: &[u8]) {
        self.multi.spoil();
        self.stats.errors.one();
        Reply::new(&mut self.out, self.version).error(text);
    }

    fn dispatch(&mut self, command: &'static Command, run: Run, request: Request<'_>) {
        if self.multi.is_queueing() && !is_about_transaction(command) {
            return self.queue(command, request);
        }
        let start = self.out.len();
        match run {
            Run::Session(function) => {
                if let Err(error) = function(self, request) {
                    self.out.truncate(start);
                    Reply::new(&mut self.out, self.version).error(error.line().as_bytes());
                }
                self.count_failure(command, start);
            }
            Run::Keys(_) | Run::Slots(_) => self.run_data(command, run, request),
            Run::Waits(read) => self.run_waiting(command, read, request),
        }
    }

    fn run_data(&mut self, command: &'static Command, run: Run, request: Request<'_>) {
        let start = self.out.len();
        let slots = match exec::slots_of(&self.shared, command, request) {
            Ok(slots) => slots,
            Err(error) => {
                Reply::new(&mut self.out, self.version).error(error.line().as_bytes());
                return self.count_failure(command, start);
            }
        };
        if self.is_stuck(&slots) {
            return;
        }
        if self.is_long(command, request, &slots) {
            self.later = Some(Later::Long { command, slots });
            return;
        }
        let caller = Caller {
            db: self.db,
            version: self.version,
            link: self.link.as_ref().map(|link| &link.pushes),
        };
        let call = Call { command, run, request };
        let done = with_scratch(|scratch| {
            exec::run(&self.shared, scratch, caller, call, (&slots, Pace::Short), &mut self.out)
        });
        match done {
            Done::TurnedAway(slots) if self.passes_on() => self.pass_on(command, slots, start),
            done => self.finish(command, done),
        }
    }

    /// Bounces a request of a link that has a sticky pair with one of the slots; returns whether it did.
    pub(super) fn is_stuck(&mut self, slots: &[cluster::Slot]) -> bool {
        let Some(link) = &mut self.link else { return false };
        let Some(slot) = link.stuck(slots) else { return false };
        link.stick(slots);
        let inner = self.shared.slot(slot).read();
        for &slot in slots {
            self.shared.slot(slot).wait(&link.pushes);
        }
        crate::link::bounce(&mut self.out, slot, &inner.state.admit(Access::Write));
        self.stats.bounce(self.client.command.load(Relaxed));
        true
    }

    /// As a read of these slots is turned away, if one of them is not served here; returns whether it was.
    pub(crate) fn turn_away_readers(&mut self, slots: &[cluster::Slot]) -> bool {
        let mut slots: SlotList = slots.into();
        slots.sort_unstable();
        slots.dedup();
        if self.is_stuck(&slots) {
            return true;
        }
        let pushes = self.link.as_ref().map(|link| link.pushes.clone());
        let turned_away =
            exec::enter(&self.shared, &slots, Access::Read, pushes.as_ref(), &mut self.out).err();
        if let (Some(slots), Some(link)) = (&turned_away, &mut self.link) {
            link.stick(slots);
        }
        turned_away.is_some()
    }

    /// Keeps what a command told.
    pub(super) fn finish(&mut self, command: &'static Command, done: Done) {
        match done {
            Done::Executed(told) => self.finish_told(command, told),
            Done::TurnedAway(slots) => {
                self.stats.bounce(command.id.0);
                if let Some(link) = &mut self.link {
                    link.stick(&slots);
                }
            }
        }
    }

    fn finish_told(&mut self, command: &'static Command, told: Told) {
        if !command.is_write() {
            self.stats.hits.add(u64::from(told.hits));
            self.stats.misses.add(u64::from(told.misses));
        }
        if told.failed {
            self.stats.errors.one();
            self.stats.command(command.id).failed.one();
        }
        if !told.expired.is_empty() {
            let deleted =
                with_scratch(|scratch| exec::delete_expired(&self.shared, scratch, told.expired));
            self.stats.expired.add(deleted as u64);
        }
        if !told.stale.is_empty() {
            with_scratch(|scratch| exec::refresh_stale(&self.shared, scratch, told.stale));
        }
    }

    pub(super) fn count_failure(&self, command: &Command, start: usize) {
        if self.out.get(start) == Some(&b'-') {
            self.stats.errors.one();
            self.stats.command(command.id).failed.one();
        }
    }

    /// Whether the command would hold up the worker: it touches many records, or a slot of it is held by one that does.
    pub(super) fn is_long(
        &self,
        command: &Command,
        request: Request<'_>,
        slots: &[cluster::Slot],
    ) -> bool {
        if slots.iter().any(|&slot| self.shared.slot(slot).is_long_held()) {
            return true;
        }
        command.flags.contains(Flags::BULK)
            && (matches!(command.keys, Keys::None)
                || with_scratch(|scratch| self.has_many(scratch, command, request, slots)))
    }

    fn has_many(
        &self,
        scratch: &mut Scratch,
        command: &Command,
        request: Request<'_>,
        slots: &[cluster::Slot],
    ) -> bool {
        let Ok(keys) = command.key_positions(request.frame, request.args) else { return false };
        let mut nowhere = Vec::new();
        let Ok(entered) = exec::enter(&self.shared, slots, Access::Read, None, &mut nowhere) else {
            return false;
        };
        let mut txn = crate::txn::Txn::new(
            &self.shared,
            scratch,
            entered,
            self.db,
            crate::txn::Reads::Committed,
        );
        let elements = keys.iter().filter_map(|&at| {
            let meta = txn.meta(request.get(at as usize)).ok()??;
            (meta.kind != crate::encoding::Kind::String).then_some(meta.count)
        });
        elements.sum::<u64>() >= self.shared.config.bulk_elements_min
    }

    /// Waits for what takes time. Requests behind it wait too, those of other sessions do not.
    async fn finish_later(&mut self, later: Later, frame: Vec<u8>, limits: &Limits) {
        match later {
            Later::Long { command, slots } => {
                let start = self.out.len();
                let of = (self.db, self.version);
                let call = LongCall { command, slots, frame: frame.clone(), of };
                let pushes = self.link.as_ref().map(|link| link.pushes.clone());
                match self.run_elsewhere(call, pushes).await {
                    Some(Done::TurnedAway(slots)) if self.passes_on() => {
                        self.pass_on(command, slots, start);
                        if let Some(Later::Outer(outer)) = self.later.take() {
                            self.relay(outer, &frame, limits).await;
                        }
                    }
                    Some(done) => self.finish(command, done),
                    None => {}
                }
            }
            Later::Exec(exec) => self.run_exec_long(exec).await,
            Later::Word(word) => command::word(self, word).await,
            Later::Order(order) => command::order(self, order).await,
            Later::Inner(inner) => self.run_inner_later(inner).await,
            Later::Outer(outer) => self.relay(outer, &frame, limits).await,
            Later::Wait(_) => debug_assert!(false, "it needs the connection"),
        }
    }

    /// Runs a command where only this session waits for it, and writes its reply. Nothing if the command died, which is said.
    pub(super) async fn run_elsewhere(
        &mut self,
        call: LongCall,
        pushes: Option<Arc<Pushes>>,
    ) -> Option<Done> {
        let LongCall { command, slots, frame, of: (db, version) } = call;
        let (shared, limits) = (self.shared.clone(), self.shared.config.limits.clone());
        let task = self.shared.background.spawn_blocking(move || {
            let mut args = Args::new();
            let mut out = Vec::new();
            let sliced = slice_request(&frame, &limits, &mut args);
            debug_assert!(sliced.is_ok(), "it was sliced before");
            let Some(run) = command::find(command.id) else {
                return (Done::Executed(Told::default()), out);
            };
            let caller = Caller { db, version, link: pushes.as_ref() };
            let call = Call { command, run, request: Request { frame: &frame, args: &args } };
            let held = command.is_write().then(|| shared.slots.hold_long(&slots));
            let done = with_scratch(|scratch| {
                exec::run(&shared, scratch, caller, call, (&slots, Pace::Long), &mut out)
            });
            drop(held);
            (done, out)
        });
        match task.await {
            Ok((done, out)) => {
                self.out.extend_from_slice(&out);
                Some(done)
            }
            Err(error) => {
                tracing::error!(%error, command = command.name, "a command died");
                Reply::new(&mut self.out, self.version)
                    .error("ERR internal error: the command died; please report it with the log");
                None
            }
        }
    }
}

/// Commands that are not queued within MULTI.
fn is_about_transaction(command: &Command) -> bool {
    matches!(command.name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset")
}
