//! A session whose command waits for a key (see [`crate::waiting`]). Requests behind it wait too, those of other sessions do not.
//!
//! The session goes on reading, so that it learns when the client hangs up: then it leaves the queues, and nothing is popped for it. What
//! ends a wait is decided in one place, the waiter's fate; a reply that was decided at the last moment wins over the end of the time.

use super::turn::Later;
use super::{Input, Session, Wake, with_scratch};
use crate::clients::Client;
use crate::command::{Request, Wish};
use crate::error::CommandError;
use crate::exec::{self, Attempt, Caller, SlotList, Try};
use crate::shared::Shared;
use crate::waiting::{Fate, Unblock, Waiter};
use cluster::Slot;
use cluster::state::Admission;
use protocol::command::Command;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

/// A waiter in its queues; it leaves them when this is dropped.
#[derive(Debug)]
pub(crate) struct Standing {
    shared: Arc<Shared>,
    client: Arc<Client>,
    waiter: Arc<Waiter>,
}

impl Standing {
    fn new(shared: &Arc<Shared>, client: &Arc<Client>, waiter: Arc<Waiter>) -> Self {
        *client.waiting.lock() = Some(waiter.clone());
        shared.clients.blocked.fetch_add(1, Relaxed);
        Self { shared: shared.clone(), client: client.clone(), waiter }
    }

    fn leave_queues(&self) {
        for key in self.waiter.keys() {
            let slot = self.shared.slot_count().of(key);
            self.shared.slot(slot).waiters.leave(key, &self.waiter);
        }
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.waiter.leave();
        self.leave_queues();
        *self.client.waiting.lock() = None;
        self.shared.clients.blocked.fetch_sub(1, Relaxed);
    }
}

/// Why the session itself ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    TimeIsUp,
    /// The client is gone, or was killed.
    HungUp,
    Stopping,
    /// The client has sent more behind the command than is kept.
    TooMuch,
}

impl Session {
    /// Runs a command that waits if it finds nothing: then it is left in `later`.
    pub(super) fn run_waiting(
        &mut self,
        command: &'static Command,
        read: fn(Request<'_>) -> Result<Wish, CommandError>,
        request: Request<'_>,
    ) {
        let start = self.out.len();
        let waited = std::mem::take(&mut self.waited);
        let read = read(request)
            .and_then(|wish| Ok((wish, exec::slots_of(&self.shared, command, request)?)));
        let (wish, slots) = match read {
            Ok(read) => read,
            Err(error) => {
                self.reply().error(error.line().as_bytes());
                return self.count_failure(command, start);
            }
        };
        if self.is_stuck(&slots) {
            return;
        }
        let (of, shared) = ((self.db, self.version), self.shared.clone());
        let waiter = || {
            let request = (request, &shared.config.limits);
            Arc::new(Waiter::new((command, wish), request, of, waited))
        };
        let attempt = if self.is_any_long_held(&slots) {
            // In no queue: it looks where only this session waits for the slot.
            let waiter = waiter();
            waiter.end_with(Fate::Again);
            Attempt::Waits(waiter)
        } else {
            let tried = Try { command, wish, request, slots: &slots };
            let link = self.link.as_ref().map(|link| &link.pushes);
            let caller = Caller { db: self.db, version: self.version, link };
            with_scratch(|scratch| {
                exec::attempt(&self.shared, scratch, caller, (tried, waiter), &mut self.out)
            })
        };
        match attempt {
            Attempt::Done(done) => self.finish(command, done),
            Attempt::Waits(waiter) => {
                self.later = Some(Later::Wait(Standing::new(&self.shared, &self.client, waiter)));
            }
        }
    }

    /// Waits until the command is answered; returns where in the output its reply begins.
    pub(super) async fn stand(
        &mut self,
        stream: &mut TcpStream,
        input: &mut Input,
        standing: Standing,
    ) -> io::Result<usize> {
        // The reply begins later, behind what is sent meanwhile.
        self.unsettled.pop();
        input.rest();
        let waiter = standing.waiter.clone();
        loop {
            let ended = self.until_decided(stream, input, &waiter).await?;
            let fate = match ended {
                None => waiter.decision(),
                Some(_) => waiter.leave(),
            };
            let is_late = waiter.end.is_some_and(|end| Instant::now() >= end);
            match (fate, ended) {
                (Fate::Served(reply), _) => {
                    return Ok(self.say_at_last(&waiter, |s| s.out.extend_from_slice(&reply)));
                }
                (Fate::Unblocked(Unblock::Error), _) => {
                    return Ok(self.say_at_last(&waiter, |s| s.reply().error(UNBLOCKED)));
                }
                (Fate::Unblocked(Unblock::Timeout), _) => return Ok(self.say_nothing(&waiter)),
                (_, Some(Ended::HungUp)) => return Err(io::ErrorKind::ConnectionAborted.into()),
                (_, Some(Ended::TimeIsUp)) => return Ok(self.say_nothing(&waiter)),
                (_, Some(Ended::Stopping)) => return Ok(self.say_stopping(&waiter)),
                (_, Some(Ended::TooMuch)) => return Ok(self.say_too_much(&waiter)),
                (Fate::Again, None) if is_late => return Ok(self.say_nothing(&waiter)),
                (Fate::Again, None) => {
                    standing.leave_queues();
                    if let Some(start) = self.attempt_again(&waiter).await {
                        return Ok(start);
                    }
                }
                // Woken for nothing.
                (Fate::Waiting | Fate::Gone, None) => {}
            }
        }
    }

    /// Waits for a decision, or for a reason to give up. Meanwhile what the client sends is kept, and what is to be pushed is pushed.
    async fn until_decided(
        &mut self,
        stream: &mut TcpStream,
        input: &mut Input,
        waiter: &Waiter,
    ) -> io::Result<Option<Ended>> {
        loop {
            self.send(stream).await?;
            let wake = tokio::select! {
                biased;
                () = waiter.decided() => return Ok(None),
                () = until(waiter.end) => return Ok(Some(Ended::TimeIsUp)),
                wake = self.wake(stream, input) => wake?,
            };
            match wake {
                Wake::Read(0) => return Ok(Some(Ended::HungUp)),
                Wake::Read(bytes) => {
                    self.stats.bytes_in.add(bytes as u64);
                    if input.bytes.len() > self.shared.config.queue_bytes_max {
                        return Ok(Some(Ended::TooMuch));
                    }
                }
                Wake::Closed if self.client.killed.load(Relaxed) => {
                    return Ok(Some(Ended::HungUp));
                }
                Wake::Closed => return Ok(Some(Ended::Stopping)),
                Wake::Writable => {}
                Wake::Pushed => self.take_pushes(),
            }
        }
    }

    /// As a fresh command at its old place; returns where its reply begins, or nothing if it waits again.
    async fn attempt_again(&mut self, waiter: &Arc<Waiter>) -> Option<usize> {
        let slots = exec::slots_of(&self.shared, waiter.command, waiter.request()).ok()?;
        self.begin_reply(true);
        let start = self.out.len();
        if self.is_stuck(&slots) {
            return Some(start);
        }
        let attempt = if self.is_any_long_held(&slots) {
            self.attempt_elsewhere(waiter, slots).await
        } else {
            let link = self.link.as_ref().map(|link| &link.pushes);
            let caller = Caller { db: waiter.db, version: waiter.version, link };
            attempt(&self.shared, caller, waiter, &slots, &mut self.out)
        };
        match attempt {
            Attempt::Done(done) => {
                self.finish(waiter.command, done);
                Some(start)
            }
            Attempt::Waits(_) => {
                self.unsettled.pop();
                None
            }
        }
    }

    /// On a thread that may wait for a slot that is held for long.
    async fn attempt_elsewhere(&mut self, waiter: &Arc<Waiter>, slots: SlotList) -> Attempt {
        let (shared, waiter) = (self.shared.clone(), waiter.clone());
        let pushes = self.link.as_ref().map(|link| link.pushes.clone());
        let task = self.shared.background.spawn_blocking(move || {
            let mut out = Vec::new();
            let caller = Caller { db: waiter.db, version: waiter.version, link: pushes.as_ref() };
            (attempt(&shared, caller, &waiter, &slots, &mut out), out)
        });
        match task.await {
            Ok((attempt, out)) => {
                self.out.extend_from_slice(&out);
                attempt
            }
            Err(error) => {
                tracing::error!(%error, "a command died");
                self.reply()
                    .error("ERR internal error: the command died; please report it with the log");
                Attempt::Done(exec::Done::Executed(exec::Told::default()))
            }
        }
    }

    fn is_any_long_held(&self, slots: &[Slot]) -> bool {
        slots.iter().any(|&slot| self.shared.slot(slot).is_long_held())
    }

    /// Writes the reply; returns where it begins.
    fn say_at_last(&mut self, waiter: &Waiter, say: impl FnOnce(&mut Self)) -> usize {
        self.begin_reply(true);
        let start = self.out.len();
        say(self);
        self.count_failure(waiter.command, start);
        start
    }

    fn say_nothing(&mut self, waiter: &Waiter) -> usize {
        self.say_at_last(waiter, |session| session.reply().null_array())
    }

    /// Nothing was taken. A proxy may go on waiting for this node, or for who serves the slot next.
    fn say_stopping(&mut self, waiter: &Waiter) -> usize {
        self.closing = true;
        let slot = waiter.keys().next().map(|key| self.shared.slot_count().of(key));
        self.say_at_last(waiter, |session| match (&session.link, slot) {
            (Some(_), Some(slot)) => crate::link::bounce(&mut session.out, slot, &Admission::Hold),
            _ => session.reply().error(STOPPING),
        })
    }

    fn say_too_much(&mut self, waiter: &Waiter) -> usize {
        self.closing = true;
        let max = self.shared.config.queue_bytes_max;
        self.say_at_last(waiter, |session| {
            session.reply().error(format!(
                "ERR more bytes stand behind a command that waits than queue_bytes_max, {max}; nothing was taken"
            ));
        })
    }
}

const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

const STOPPING: &str = "ERR this node is stopping; nothing was taken, send the command again";

/// Looks once more for a waiter that stands in no queue.
fn attempt(
    shared: &Shared,
    caller: Caller<'_>,
    waiter: &Arc<Waiter>,
    slots: &[Slot],
    out: &mut Vec<u8>,
) -> Attempt {
    let Waiter { command, wish, .. } = **waiter;
    let tried = Try { command, wish, request: waiter.request(), slots };
    let renewed = || {
        waiter.renew();
        waiter.clone()
    };
    with_scratch(|scratch| exec::attempt(shared, scratch, caller, (tried, renewed), out))
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}
