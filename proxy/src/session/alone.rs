//! Commands that run alone: nothing of the session is on its way when they begin, and nothing is sent until they have ended.

use super::requests::{Found, Step};
use super::{Pause, Phase, Session};
use crate::metrics::Gone;
use crate::private::{Blocking, CallOff, Caller, Nudge};
use crate::registry::Unblock;
use crate::scan::Scan;
use crate::session::replies::Frame;
use crate::whole::Whole;
use crate::worker::Worker;
use bytes::Bytes;
use cluster::Slot;
use std::future::Future;
use std::rc::Rc;
use tokio::task::{AbortHandle, spawn_local};

/// The command that runs.
pub(super) struct Alone {
    task: AbortHandle,
    kind: Kind,
}

/// What becomes of it when the client says that it will send no more.
pub(super) enum Kind {
    /// It ends; its reply is still wanted.
    Finishes,
    /// It is called off: it may wait for ever, and take something from a list that nobody gets.
    Blocks(Rc<Nudge>),
}

impl Session {
    /// A command that blocks, on a connection of its own.
    pub(super) fn block(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        found: &Found<'_>,
        slot: Slot,
    ) -> Step {
        if self.in_flight() > 0 {
            return Step::Wait(Pause::Barrier);
        }
        let nudge = Rc::<Nudge>::default();
        let (flavour, version) = (self.flavour.get(), self.version.get());
        let (card, its) = (self.card.clone(), Rc::clone(&nudge));
        let caller = Caller { flavour, version, card, nudge: its };
        let blocking = Blocking::new(worker, found.command, found.request(), slot, caller);
        let running = blocking.run(Rc::clone(worker));
        self.run_alone(worker, found, Kind::Blocks(nudge), running);
        Step::Done
    }

    /// A command over every slot.
    pub(super) fn fan_out(self: &Rc<Self>, worker: &Rc<Worker>, found: &Found<'_>) -> Step {
        if self.in_flight() > 0 {
            return Step::Wait(Pause::Barrier);
        }
        let args: Vec<Vec<u8>> = found.args.iter(found.frame).skip(1).map(<[u8]>::to_vec).collect();
        let (flavour, version) = (self.flavour.get(), self.version.get());
        if found.command.name == "scan" {
            match Scan::new(worker, (flavour, version), &args) {
                Ok(scan) => self.run_alone(worker, found, Kind::Finishes, scan.run()),
                Err(line) => self.refuse(worker, found, line.as_bytes()),
            }
            return Step::Done;
        }
        let database = self.state.borrow().database;
        let name = found.command.name;
        let whole = Whole { worker: Rc::clone(worker), flavour, version, database, name, args };
        self.run_alone(worker, found, Kind::Finishes, whole.run());
        Step::Done
    }

    pub(super) fn run_alone(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        found: &Found<'_>,
        kind: Kind,
        running: impl Future<Output = Bytes> + 'static,
    ) {
        let number = self.open(found.asked(self, worker));
        let (session, worker) = (Rc::clone(self), Rc::clone(worker));
        let frame: Bytes = Bytes::copy_from_slice(found.frame);
        let is_work = matches!(kind, Kind::Finishes);
        let task = spawn_local(async move {
            let reply = running.await;
            worker.tick();
            session.alone.take();
            if let Some(slow) =
                session.deliver(&worker, number, 0, Frame::Long(reply)).filter(|_| is_work)
            {
                worker.log_slow(&session, slow, &frame);
            }
        });
        *self.alone.borrow_mut() = Some(Alone { task: task.abort_handle(), kind });
    }

    /// Whether a command runs alone.
    pub(super) fn is_alone(&self) -> bool {
        self.alone.borrow().is_some()
    }

    /// The client is gone: whatever runs for it is called off.
    pub(super) fn stop_alone(&self) {
        if let Some(alone) = self.alone.take() {
            alone.task.abort();
        }
    }

    /// CLIENT UNBLOCK of the command that blocks with this number.
    pub(crate) fn unblock(&self, number: u64, how: Unblock) {
        if let Some(nudge) = self.nudge().filter(|_| self.card.blocked() == Some(number)) {
            nudge.call_off(CallOff::Unblock(how));
        }
    }

    /// Of the command that blocks, if there is one.
    fn nudge(&self) -> Option<Rc<Nudge>> {
        match &self.alone.borrow().as_ref()?.kind {
            Kind::Blocks(nudge) => Some(Rc::clone(nudge)),
            Kind::Finishes => None,
        }
    }

    /// Nothing more is read of the client.
    pub(super) fn end_of_input(&self, gone: Gone) {
        self.phase.set(match (self.nudge(), gone) {
            (Some(nudge), Gone::Stop) => {
                nudge.call_off(CallOff::Stop);
                Phase::Finishing(gone)
            }
            (Some(_), _) => Phase::Closed(gone),
            (None, _) => Phase::Finishing(gone),
        });
    }
}
