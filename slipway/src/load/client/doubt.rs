//! A client that does not know: its connection broke, or a reply was wrong. It leaves the keys alone while a write may still arrive, and
//! reads them then.

use super::{Client, Pending, Purpose};
use crate::load::inquest::Inquest;
use crate::load::op::{Call, KeyId, Op};
use crate::load::tally::Class;
use std::collections::VecDeque;

impl Client {
    /// Leaves the keys of a request alone for a while, and reads them then.
    pub(super) fn rest(&mut self, call: &Call, now: u64) {
        let until = now + self.shared.plan.rest_us;
        for id in call.keys() {
            let key = self.ledger.key_mut(id);
            key.rest_until = until;
            if !std::mem::replace(&mut key.resting, true) {
                self.resting.push_back((until, id));
            }
        }
    }

    /// Reads the keys that have rested.
    pub(super) fn wake(&mut self, now: u64) {
        while let Some((until, id)) = self.resting.pop_front_if(|(until, _)| *until <= now) {
            let key = self.ledger.key_mut(id);
            if key.rest_until > until {
                self.resting.push_back((key.rest_until, id));
            } else {
                key.resting = false;
                self.resolve(id);
            }
        }
    }

    pub(super) fn resolve(&mut self, key: KeyId) {
        for op in [Op::PTtl, self.ledger.key(key).kind.read()] {
            self.beside.push_back((Call::One(key, op), Purpose::Resolve));
        }
    }

    /// A reply that takes too long is missing, and so is the connection.
    pub(super) fn check_overdue(&mut self) {
        let Some(oldest) = self.pending.front() else { return };
        let waited = self.now().saturating_sub(oldest.sent);
        if waited < self.shared.plan.reply_us_max {
            return;
        }
        let call = oldest.call.clone();
        self.shared.incident(Class::MissingReply, self.number, |incident| {
            self.describe(incident, Some(&call));
            incident.expected = "a reply".into();
            incident.got = format!("nothing for {} ms", waited / 1000);
        });
        self.break_off();
    }

    /// The server closed the connection.
    pub(super) fn lost(&mut self, why: &str) {
        if self.link.is_none() {
            return;
        }
        let writes = self.pending.iter().filter(|pending| pending.call.writes()).count();
        self.shared.incident(Class::ConnectionLost, self.number, |incident| {
            incident.got = why.into();
            incident.detail =
                format!("{} requests in flight, {writes} of them writes", self.pending.len());
        });
        self.break_off();
    }

    /// Ends the connection: the fate of the writes in flight is unknown.
    pub(super) fn break_off(&mut self) {
        let Some(link) = self.link.take() else { return };
        let outcome = self.inquest.conclude();
        self.inquest = Inquest::new(self.ledger.resp());
        self.report(outcome);
        let now = self.now();
        let mut again = VecDeque::new();
        for pending in std::mem::take(&mut self.pending) {
            let Pending { call, purpose, sent, end, .. } = pending;
            let planned = purpose == Purpose::Planned;
            if end > link.written() {
                self.shared.tally.borrow_mut().dropped += u64::from(planned);
            } else if call.writes() {
                let window = self.ledger.window(sent, now + self.shared.plan.rest_us);
                self.ledger.doubt(&call, window);
                self.rest(&call, now);
                self.shared.tally.borrow_mut().count(Class::Unknown, 1);
                continue;
            } else {
                self.shared.tally.borrow_mut().reads_unanswered += u64::from(planned);
            }
            if !planned {
                again.push_back((call, purpose));
            }
        }
        again.append(&mut self.beside);
        self.beside = again;
    }
}
