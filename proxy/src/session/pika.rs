//! Requests whose slot is at a Pika, where what is sent differs from what was said (`foreign/commands.rs`).

use super::requests::{Found, Step};
use super::{Pause, Session};
use crate::dialect::Dialect;
use crate::foreign::commands::{Harm, Treatment, treatment};
use crate::gate::Room;
use crate::plan::one_slot;
use crate::session::replies::Frame;
use crate::worker::Worker;
use cluster::Slot;
use smallvec::SmallVec;
use std::rc::Rc;

type Words<'a> = SmallVec<[&'a [u8]; 8]>;

impl Session {
    /// Takes a request that is sent in other words, or refused; nothing: it is to be taken as any other.
    pub(super) fn take_for_pika(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        found: &Found<'_>,
    ) -> Option<Step> {
        let treatment = treatment(found.command.id);
        if treatment == Treatment::AsItIs || !found.command.check_arity(found.args.len()) {
            return None;
        }
        let words: Words<'_> = found.args.iter(found.frame).collect();
        if let Treatment::Refused(harm) = treatment {
            let is_concerned = matches!(harm, Harm::Dbsize | Harm::SlotsDel)
                || self.pika_slot(worker, found).is_some();
            let why = harm.why(&words).filter(|_| is_concerned)?;
            let name = found.command.name;
            self.refuse_unlooked(worker, found, format!("ERR slipway: {name}: {why}").as_bytes());
            return Some(Step::Done);
        }
        let slot = self.pika_slot(worker, found)?;
        match treatment {
            Treatment::Said(said) => match said.say(&words) {
                Some(frame) => return Some(self.send_instead(worker, found, slot, &frame)),
                None => note(worker, slot, &words[1..2]),
            },
            Treatment::Noted(at) => note(worker, slot, &at.keys(&words)),
            Treatment::AsItIs | Treatment::Refused(_) => {}
        }
        None
    }

    /// The slot of the request, if it is at a Pika.
    fn pika_slot(&self, worker: &Worker, found: &Found<'_>) -> Option<Slot> {
        let slot = one_slot(found.command, found.request(), worker.routes.count).ok()?;
        let node = worker.routes.route(slot).node;
        (worker.dialects.of(node) == Dialect::Pika).then_some(slot)
    }

    fn send_instead(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        found: &Found<'_>,
        slot: Slot,
        frame: &[u8],
    ) -> Step {
        if worker.room(slot, self) == Room::None {
            return Step::Wait(Pause::Stalled);
        }
        let number = self.open(found.asked(self, worker));
        worker.send(self.to_slot(slot, number, 0, found.command), Frame::Short(frame));
        Step::Done
    }
}

fn note(worker: &Worker, slot: Slot, keys: &[&[u8]]) {
    let Some(router) = &worker.shared.router else { return };
    for key in keys {
        // The command refuses keys of other slots.
        router.known().note(&worker.config, slot, key);
    }
}
