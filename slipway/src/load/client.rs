//! One client: its connection, its keys, and the requests that are under way.
//!
//! A task of its own that waits for four things (the next batch is due, a reply came, there is room to write, a tick) and never for a
//! reply in particular: what is due is sent, whatever is outstanding. The commands of one connection are executed in order, so the replies
//! are applied to the model in order, each as it comes.

mod doubt;
mod replies;

use super::author::Author;
use super::belief::Belief;
use super::inquest::Inquest;
use super::ledger::{Ledger, Naming};
use super::link::{Link, Refusal};
use super::op::{Call, KeyId, Op};
use super::run::Shared;
use super::schedule::Schedule;
use super::tally::Class;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// How many clients have keys that begin big.
const BIG_CLIENTS: usize = 4;
/// Requests beside the plan that a client has under way at most.
const BESIDE_OUTSTANDING_MAX: usize = 128;
/// How often a client looks at what is overdue, in milliseconds.
const TICK_MS: u64 = 100;
/// Pause before the first attempt to connect again, and the longest one, in milliseconds.
const RECONNECT_MS: std::ops::RangeInclusive<u64> = 10..=200;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// The load itself; the only one whose latency counts.
    Planned,
    Setup,
    /// To know a key again.
    Resolve,
    /// To compare a key, in the middle of the load.
    Audit,
    /// To compare a key, at the end.
    Verify,
    Cleanup,
}

/// A request without a reply.
#[derive(Debug)]
struct Pending {
    call: Call,
    purpose: Purpose,
    intended: u64,
    sent: u64,
    /// Where it ends in the bytes of the connection.
    end: u64,
}

/// A part of a run.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// Until a moment of the run's clock.
    Setup(u64),
    Load(Rc<Schedule>),
    Verify(u64),
    Cleanup(u64),
}

/// A client between two stages or in one.
pub(crate) struct Client {
    number: usize,
    shared: Rc<Shared>,
    ledger: Ledger,
    author: Author,
    link: Option<Link>,
    inquest: Inquest,
    pending: VecDeque<Pending>,
    /// Requests beside the plan that are still to be sent.
    beside: VecDeque<(Call, Purpose)>,
    /// Keys that rest after a write of unknown fate, in the order in which they may be read again.
    resting: VecDeque<(u64, KeyId)>,
    /// Keys to be compared in the middle of the load.
    audit: VecDeque<KeyId>,
    audit_at: u64,
    /// How many batches were sent.
    turn: u64,
    /// The last moment at which something else than our own pace kept a batch back.
    held_at: u64,
}

impl Client {
    /// Connects a client. Its keys are not there yet.
    pub(crate) async fn new(number: usize, shared: Rc<Shared>) -> Result<Self, Refusal> {
        let plan = &shared.plan;
        let link = Link::open(&plan.target).await?;
        let naming = Naming {
            run: plan.run.clone(),
            client: number,
            slot_count: plan.slot_count,
            slots: plan.slots.clone(),
        };
        let mut ledger = Ledger::new(plan.target.resp, plan.margin_us);
        let clients = plan.volume.clients;
        let share = plan.keys / clients + u64::from((number as u64) < plan.keys % clients);
        for (kind, count) in plan.mix.keys(share as usize) {
            for _ in 0..count {
                ledger.add(
                    &naming,
                    kind,
                    if plan.run_repeated { Belief::nothing() } else { Belief::missing() },
                );
            }
        }
        Ok(Self {
            number,
            ledger,
            author: Author::new(plan, number),
            link: Some(link),
            inquest: Inquest::new(plan.target.resp),
            pending: VecDeque::new(),
            beside: VecDeque::new(),
            resting: VecDeque::new(),
            audit: VecDeque::new(),
            audit_at: 0,
            turn: 0,
            held_at: 0,
            shared,
        })
    }

    /// How many keys it has.
    pub(crate) fn keys(&self) -> u64 {
        self.ledger.len() as u64
    }

    /// Does its part of a stage, until all is answered or time is up.
    pub(crate) async fn perform(&mut self, stage: &Stage) {
        if let (Stage::Verify(_), Some((until, _))) = (stage, self.resting.back()) {
            tokio::time::sleep(Duration::from_micros(until.saturating_sub(self.now()))).await;
        }
        self.prepare(stage);
        let mut tick = tokio::time::interval(Duration::from_millis(TICK_MS));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let shared = Rc::clone(&self.shared);
        loop {
            let now = self.now();
            self.wake(now);
            self.fill(stage, now);
            self.exchange();
            if self.is_done(stage) {
                return;
            }
            if now > self.deadline(stage) {
                return self.give_up(stage);
            }
            let Some(link) = &self.link else {
                if !self.reconnect(stage).await {
                    return self.give_up(stage);
                }
                continue;
            };
            tokio::select! {
                ready = link.ready() => if let Err(error) = ready { self.lost(&error.to_string()) },
                () = shared.wakes[self.number].notified() => {}
                _ = tick.tick() => self.check_overdue(),
            }
        }
    }

    fn now(&self) -> u64 {
        self.shared.clock.now()
    }

    fn deadline(&self, stage: &Stage) -> u64 {
        match stage {
            Stage::Load(schedule) => schedule.end() + self.shared.plan.reply_us_max,
            Stage::Setup(at) | Stage::Verify(at) | Stage::Cleanup(at) => *at,
        }
    }

    fn prepare(&mut self, stage: &Stage) {
        let keys = 0..self.ledger.len();
        match stage {
            Stage::Load(schedule) => {
                self.audit_at = schedule.start() + self.shared.plan.verify_every_us.unwrap_or(0);
            }
            Stage::Setup(_) => {
                for key in keys {
                    if self.shared.plan.run_repeated {
                        self.beside.push_back((Call::One(key, Op::Del), Purpose::Setup));
                    }
                    let first = self.author.first(&mut self.ledger, key);
                    let mut calls: Vec<Call> = first.into_iter().collect();
                    if self.number < BIG_CLIENTS && self.ledger.is_first(key) {
                        let big = self.shared.plan.big;
                        calls.extend(self.author.grow(&mut self.ledger, key, big));
                    }
                    self.beside.extend(calls.into_iter().map(|call| (call, Purpose::Setup)));
                }
            }
            Stage::Verify(_) => {
                for key in keys {
                    let kind = self.ledger.key(key).kind;
                    if self.shared.plan.server.forgets_the_gone() {
                        self.beside.push_back((Call::One(key, Op::Type), Purpose::Verify));
                    }
                    // PTTL before the read, so that a key of which nothing is known is believed with its deadline.
                    for op in [Op::PTtl, kind.read()] {
                        self.beside.push_back((Call::One(key, op), Purpose::Verify));
                    }
                }
            }
            Stage::Cleanup(_) => {
                const AT_ONCE: usize = 16;
                let keys: Vec<_> = keys.collect();
                let calls =
                    keys.chunks(AT_ONCE).map(|keys| (Call::Del(keys.to_vec()), Purpose::Cleanup));
                self.beside.extend(calls);
            }
        }
    }

    /// Sends what is due.
    fn fill(&mut self, stage: &Stage, now: u64) {
        if self.shared.stopped.get() && matches!(stage, Stage::Setup(_)) {
            self.beside.clear();
        }
        while self.link.is_some() && self.pending.len() < BESIDE_OUTSTANDING_MAX {
            let Some((call, purpose)) = self.beside.pop_front() else { break };
            self.shared.tally.borrow_mut().beside += 1;
            self.send(call, purpose, now);
        }
        let Stage::Load(schedule) = stage else { return };
        while let Some(batch) =
            schedule.batch(self.number as u64, self.turn).filter(|batch| batch.intended <= now)
        {
            let full =
                self.pending.len() + batch.requests as usize > self.shared.plan.outstanding_max;
            if self.link.is_none() || (full && !self.pending.is_empty()) {
                if self.link.is_some() && self.held_at < batch.intended {
                    self.shared.tally.borrow_mut().throttled += 1;
                }
                self.held_at = now;
                return;
            }
            let sent = self.now();
            if batch.intended > self.held_at {
                self.shared.tally.borrow_mut().late.saturating_record(sent - batch.intended);
            }
            for _ in 0..batch.requests {
                let call = self.author.next(&mut self.ledger);
                self.send(call, Purpose::Planned, batch.intended);
            }
            self.shared.tally.borrow_mut().sent += batch.requests;
            self.turn += 1;
            self.audit(now);
        }
    }

    fn send(&mut self, call: Call, purpose: Purpose, intended: u64) {
        let sent = self.now();
        let Some(link) = &mut self.link else { return };
        let end = link.push(&self.ledger.words(&call));
        self.pending.push_back(Pending { call, purpose, intended, sent, end });
    }

    /// Compares all keys every so often, a few beside each batch.
    fn audit(&mut self, now: u64) {
        let Some(every) = self.shared.plan.verify_every_us else { return };
        if now >= self.audit_at && self.audit.is_empty() {
            self.audit.extend(0..self.ledger.len());
            self.audit_at = now + every;
        }
        let few = self.audit.len().min(self.shared.plan.volume.pipeline.div_ceil(2) as usize);
        for key in self.audit.drain(..few) {
            let key_kind = self.ledger.key(key);
            if !key_kind.resting {
                self.beside.push_back((Call::One(key, key_kind.kind.read()), Purpose::Audit));
            }
        }
    }

    /// Connects again; returns whether it did before time was up.
    async fn reconnect(&mut self, stage: &Stage) -> bool {
        let begin = self.now();
        let mut pause = *RECONNECT_MS.start();
        loop {
            if let Ok(link) = Link::open(&self.shared.plan.target).await {
                self.link = Some(link);
                self.held_at = self.now();
                return true;
            }
            self.shared.tally.borrow_mut().connect_failures += 1;
            // The load goes on to its end, in case the server comes back; the other stages make no sense without one.
            let last = match stage {
                Stage::Load(_) => self.deadline(stage),
                _ => begin + self.shared.plan.reply_us_max,
            };
            if self.now() > last {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
            pause = (pause * 2).min(*RECONNECT_MS.end());
        }
    }

    fn is_done(&self, stage: &Stage) -> bool {
        let sent = match stage {
            Stage::Load(schedule) => schedule.batch(self.number as u64, self.turn).is_none(),
            _ => true,
        };
        sent && self.pending.is_empty() && self.beside.is_empty() && self.resting.is_empty()
    }

    /// Time is up: what was not sent or not answered is unfinished.
    fn give_up(&mut self, stage: &Stage) {
        let planned =
            self.pending.iter().filter(|pending| pending.purpose == Purpose::Planned).count();
        let mut unfinished = planned as u64;
        if let Stage::Load(schedule) = stage {
            while let Some(batch) = schedule.batch(self.number as u64, self.turn) {
                unfinished += batch.requests;
                self.turn += 1;
            }
        }
        if unfinished > 0 {
            let call = self.pending.front().map(|pending| pending.call.clone());
            self.shared.incidents(unfinished, Class::Unfinished, self.number, |incident| {
                self.describe(incident, call.as_ref());
                incident.expected = "a reply".into();
                incident.got = "nothing until time was up".into();
                incident.detail = format!("{unfinished} requests of this client");
            });
        }
        self.break_off();
        self.beside.clear();
        self.audit.clear();
    }
}
