//! A client hears its replies: each answers the oldest request, is measured, and is compared with what the ledger says it must be.

use super::{Client, Pending, Purpose};
use crate::load::expect::Fit;
use crate::load::inquest::{Finding, Heard, Outcome};
use crate::load::op::Call;
use crate::load::reply::Reply;
use crate::load::report::slow_line;
use crate::load::tally::{Class, Incident, Slow};

/// What an error line says when a write may have been executed.
const FATE_UNKNOWN: &str = "may or may not";

impl Client {
    /// Writes what is to be written, and takes the replies that have come.
    pub(super) fn exchange(&mut self) {
        let Some(link) = &mut self.link else { return };
        let mut broken = link.write().err();
        if broken.is_some() {
            // What the server sent before it closed the connection still counts.
            while link.read().is_ok_and(|count| count > 0) {}
        } else {
            broken = link.read().err();
        }
        self.take_replies();
        if let Some(error) = broken {
            self.lost(&error.to_string());
        }
    }

    fn take_replies(&mut self) {
        let received = self.now();
        loop {
            let Some(link) = &mut self.link else { return };
            match link.reply() {
                Ok(Some(reply)) => self.hear(reply, received),
                Ok(None) => return,
                Err(garbled) => {
                    let call = self.pending.front().map(|pending| pending.call.clone());
                    self.shared.incident(Class::Garbled, self.number, |incident| {
                        self.describe(incident, call.as_ref());
                        incident.got = garbled.0;
                    });
                    return self.break_off();
                }
            }
        }
    }

    /// Takes one reply: it answers the oldest request.
    fn hear(&mut self, reply: Reply, received: u64) {
        let Some(pending) = self.pending.pop_front() else {
            self.shared.incident(Class::ExtraReply, self.number, |incident| {
                incident.expected = "nothing: no request is without a reply".into();
                incident.got = reply.to_string();
            });
            return self.break_off();
        };
        if pending.purpose == Purpose::Planned {
            self.measure(&pending, received);
        }
        if let Reply::Error(line) = &reply {
            self.refused(&pending, line, received);
        } else {
            self.compare(pending, reply, received);
        }
        if self.pending.is_empty() && self.inquest.is_open() {
            let outcome = self.inquest.conclude();
            self.report(outcome);
        }
    }

    fn measure(&mut self, pending: &Pending, received: u64) {
        let shared = &self.shared;
        let latency = shared.tally.borrow_mut().replied(pending.intended, pending.sent, received);
        let print = shared.plan.slow_us.is_some_and(|slow| latency >= slow);
        if !print && !shared.tally.borrow().is_worst(latency) {
            return;
        }
        let (key, slot, command) = self.names(&pending.call);
        let slow = Slow {
            latency_us: latency,
            intended: pending.intended,
            at_s: shared.seconds(pending.intended),
            unix_ms: shared.clock.unix_ms(pending.intended),
            sent_late_us: pending.sent.saturating_sub(pending.intended),
            client: self.number,
            key,
            slot,
            command,
        };
        if print {
            shared.print(&slow_line(&slow));
        }
        shared.tally.borrow_mut().keep_worst(slow);
    }

    /// Takes a reply that is no error.
    fn compare(&mut self, pending: Pending, reply: Reply, received: u64) {
        let Pending { call, purpose, sent, .. } = pending;
        let window = self.ledger.window(sent, received);
        let reply = match &call {
            Call::One(_, op) => self.shared.plan.server.translated(op, reply),
            _ => reply,
        };
        let known = !call.keys().iter().any(|&key| self.ledger.key(key).belief.is_nothing());
        let judgement = self.ledger.judge(&call, window, &reply);
        {
            let mut tally = self.shared.tally.borrow_mut();
            tally.unchecked +=
                u64::from(!known && matches!(purpose, Purpose::Planned | Purpose::Audit));
            if let (Purpose::Verify, Call::One(_, op)) = (purpose, &call)
                && op.reads_all()
            {
                tally.read_back += 1;
                tally.adopted += u64::from(!known);
            }
        }
        if judgement.fit != Fit::Exact {
            self.ledger.distrust(&call);
            if !matches!(purpose, Purpose::Verify | Purpose::Cleanup) {
                for key in call.keys() {
                    self.resolve(key);
                }
            }
        }
        let heard = Heard { call, expect: judgement.expect, fit: judgement.fit, reply, received };
        let outcome = self.inquest.hear(heard);
        self.report(outcome);
    }

    pub(super) fn report(&mut self, outcome: Outcome) {
        for Finding { class, detail, heard } in outcome.findings {
            self.shared.incident(class, self.number, |incident| {
                self.describe(incident, Some(&heard.call));
                incident.expected = heard.expect.to_string();
                incident.got = heard.reply.to_string();
                incident.detail = detail;
                incident.at_s = self.shared.seconds(heard.received);
                incident.unix_ms = self.shared.clock.unix_ms(heard.received);
            });
        }
        if outcome.misled.is_empty() {
            return;
        }
        self.break_off();
        let now = self.now();
        for call in outcome.misled {
            self.ledger.distrust(&call);
            self.rest(&call, now);
        }
    }

    /// Takes an error reply.
    fn refused(&mut self, pending: &Pending, line: &[u8], received: u64) {
        let line = String::from_utf8_lossy(line).into_owned();
        let unknown = pending.call.writes() && line.contains(FATE_UNKNOWN);
        // A command over several keys may have been executed for some of them.
        let partial = pending.call.writes() && !matches!(pending.call, Call::One(..));
        if unknown || partial {
            self.ledger.doubt(
                &pending.call,
                self.ledger.window(pending.sent, received + self.shared.plan.rest_us),
            );
            self.rest(&pending.call, received);
        } else if pending.purpose == Purpose::Resolve {
            self.rest(&pending.call, received);
        }
        let describe = |incident: &mut Incident| {
            self.describe(incident, Some(&pending.call));
            incident.expected = "no error".into();
            incident.got = format!("-{line}");
        };
        if unknown {
            self.shared.incident(Class::Unknown, self.number, describe);
        } else {
            self.shared.error(&line, self.number, describe);
        }
    }

    pub(super) fn describe(&self, incident: &mut Incident, call: Option<&Call>) {
        if let Some(call) = call {
            (incident.key, incident.slot, incident.command) = self.names(call);
        }
    }

    /// The first key of a request, its slot, and the command as people read it.
    fn names(&self, call: &Call) -> (String, u16, String) {
        const SHOWN: usize = 160;
        let key = self.ledger.key(call.keys()[0]);
        let words: Vec<_> =
            self.ledger.words(call).iter().map(|word| word.escape_ascii().to_string()).collect();
        let mut command = words.join(" ");
        if command.len() > SHOWN {
            // All of it is ASCII.
            command.truncate(SHOWN);
            command.push('…');
        }
        (key.name.escape_ascii().to_string(), key.slot.0, command)
    }
}
