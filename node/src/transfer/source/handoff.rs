//! The pause: seal, the last changes, READY, grant.
//!
//! Up to the grant every failure ends in `unseal`, here and at once. From the grant on this node only repeats GRANT.

use super::copy::{Copied, send_captured};
use super::outbox::Undelivered;
use super::{Job, Order, Stop};
use crate::shared::Shared;
use crate::slots::{SlotInner, now_ms};
use crate::transfer::change::{self, ChangeError};
use crate::transfer::peer::{Peer, PeerError};
use crate::transfer::records::Payload;
use crate::transfer::report::Phase;
use crate::transfer::tally::GivenUp;
use crate::transfer::{Capture, of_slot};
use cluster::state::{Migration, Persist, Verdict};
use cluster::{MigrationId, Slot, SlotState, Token};
use protocol::frame::Value;
use service::failpoint;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Attempts with one budget before it is doubled.
const ATTEMPTS_PER_BUDGET: u32 = 10;

/// Keeps the target up to date until the slot may be handed off, and hands it off.
pub(super) async fn hand_off(
    shared: Arc<Shared>,
    job: Arc<Job>,
    copied: Copied,
) -> Result<(), Undelivered> {
    let Copied { mut outbox, capture } = copied;
    let peer = shared.transfers.express(&job.out.peer);
    let mut order = job.order.subscribe();
    let mut attempts = 0;
    loop {
        send_captured(&peer, &capture, &mut outbox).await?;
        let now = *order.borrow_and_update();
        match now {
            Order::Stop => return Err(Undelivered::Stop(Stop::Ordered)),
            Order::Copy => {
                tokio::select! {
                    () = capture.filled.notified() => {}
                    _ = order.changed() => {}
                }
            }
            Order::HandOff => {
                let turn = shared.transfers.handoffs.acquire().await;
                send_captured(&peer, &capture, &mut outbox).await?;
                let mut attempt =
                    Attempt { shared: &shared, job: &job, peer: &peer, capture: &capture };
                let missed = match attempt.run(&mut outbox, budget(&shared, attempts)).await {
                    Ok(granted) => {
                        drop(turn);
                        granted.deliver(&shared, &peer).await;
                        return Ok(());
                    }
                    Err(missed) => missed,
                };
                drop(turn);
                attempts += 1;
                after_miss(&shared, &job, &missed, attempts).await?;
            }
        }
    }
}

fn budget(shared: &Shared, attempts: u32) -> Duration {
    shared.transfers.limits.handoff_budget * (1 << (attempts / ATTEMPTS_PER_BUDGET).min(2))
}

/// Counts a missed attempt and waits before the next.
async fn after_miss(
    shared: &Shared,
    job: &Job,
    missed: &Missed,
    attempts: u32,
) -> Result<(), Undelivered> {
    let limits = &shared.transfers.limits;
    missed.count(&mut shared.transfers.tally.lock().given_up);
    job.note(|r| {
        let counter = match missed {
            Missed::Drain => &mut r.aborts.drain,
            Missed::Tail => &mut r.aborts.tail,
            Missed::Budget => &mut r.aborts.budget,
            Missed::Asked => &mut r.aborts.asked,
            Missed::Target(_) => &mut r.aborts.link,
        };
        *counter += 1;
        r.phase = Phase::Armed;
        r.error = Some(missed.to_string());
    });
    if attempts >= limits.handoff_attempts_max {
        let why = format!("{attempts} handoffs were tried in vain, the last because {missed}");
        return Err(Undelivered::Stop(Stop::Failed(of_slot(job.slot, why))));
    }
    if let Missed::Target(text) = missed
        && text.contains("sequence")
    {
        return Err(Undelivered::StartAgain(text.clone()));
    }
    let pause = limits.handoff_pause * 2_u32.pow((attempts - 1).min(6));
    sleep(pause.mul_f64(rand::random_range(0.75..1.25))).await;
    Ok(())
}

/// Why an attempt was given up. The slot is open again.
#[derive(Debug, thiserror::Error)]
enum Missed {
    #[error("writers did not leave the slot in time")]
    Drain,
    #[error("writes come faster than they can be sent")]
    Tail,
    #[error("the target was not ready within the budget")]
    Budget,
    #[error("a proxy or the operator asked for the slot")]
    Asked,
    #[error("the target could not take it: {0}")]
    Target(String),
}

impl Missed {
    fn count(&self, given_up: &mut GivenUp) {
        let counter = match self {
            Self::Drain => &mut given_up.drain,
            Self::Tail => &mut given_up.tail,
            Self::Budget => &mut given_up.budget,
            Self::Asked => &mut given_up.asked,
            Self::Target(_) => &mut given_up.link,
        };
        *counter += 1;
    }
}

struct Attempt<'a> {
    shared: &'a Arc<Shared>,
    job: &'a Arc<Job>,
    peer: &'a Peer,
    capture: &'a Capture,
}

struct Sealed {
    attempt: u32,
    at: Instant,
    tail: Payload,
    counts: String,
}

impl Attempt<'_> {
    async fn run(
        &mut self,
        outbox: &mut super::outbox::Outbox,
        budget: Duration,
    ) -> Result<Granted, Missed> {
        self.warm_up(budget).await?;
        let sealed = self.seal()?;
        // It can be slow or deadly here; a failure that is asked for is one of the target's answer.
        let _ = failpoint::reach("source.sealed").await;
        let sequence = outbox.sequence + u64::from(!sealed.tail.is_empty());
        let ready = timeout_at(sealed.at + budget, self.last_changes(&sealed, sequence)).await;
        let missed = match ready {
            Ok(Ok(token)) => match self.grant(&sealed, token) {
                Some(granted) => {
                    outbox.sequence = sequence;
                    return Ok(granted);
                }
                None => Missed::Asked,
            },
            Ok(Err(error)) => Missed::Target(error.to_string()),
            Err(_) => Missed::Budget,
        };
        self.unseal(&sealed);
        self.keep_tail(outbox, sealed).await?;
        Err(missed)
    }

    /// One empty round trip: the other side is awake, and near enough for the budget.
    async fn warm_up(&self, budget: Duration) -> Result<(), Missed> {
        let id = self.job.out.id.to_string();
        let args: [&[u8]; 3] = [b"SLIPWAY", b"CURSOR", id.as_bytes()];
        for _ in 0..3 {
            let begin = Instant::now();
            match timeout(Duration::from_millis(500), self.peer.call(&args)).await {
                Ok(Ok(_)) if begin.elapsed() * 2 < budget => return Ok(()),
                Ok(Ok(_)) | Err(_) => {}
                Ok(Err(error)) => return Err(Missed::Target(error.to_string())),
            }
        }
        Err(Missed::Budget)
    }

    /// From here on writes of the slot wait. Taking the lock is the drain: writers hold it while they apply and are captured.
    fn seal(&self) -> Result<Sealed, Missed> {
        let limits = &self.shared.transfers.limits;
        let at = Instant::now();
        let mut sealed = Err(Missed::Drain);
        let done = change::within(self.shared, self.job.slot, limits.drain_max, |inner, _| {
            sealed = self.seal_locked(inner, at, limits.tail_bytes_max);
            Ok(Persist::No)
        });
        done.map_err(|e| Missed::Target(e.to_string()))?;
        if let Ok(sealed) = &sealed {
            self.job.note(|r| {
                r.phase = Phase::Sealed;
                r.attempt = sealed.attempt;
            });
        }
        sealed
    }

    fn seal_locked(
        &self,
        inner: &mut SlotInner,
        at: Instant,
        tail_bytes_max: usize,
    ) -> Result<Sealed, Missed> {
        if self.capture.bytes() > tail_bytes_max {
            return Err(Missed::Tail);
        }
        let (next, _) =
            inner.state.clone().seal(self.job.out.id).map_err(|e| Missed::Target(e.to_string()))?;
        let SlotState::Sealed { attempt, .. } = next else { return Err(Missed::Asked) };
        let tail = self.capture.take().map_err(|e| Missed::Target(e.to_string()))?;
        inner.state = next;
        Ok(Sealed { attempt, at, tail, counts: counts_json(inner) })
    }

    /// FINAL, answered by READY and the attempt's token.
    async fn last_changes(&self, sealed: &Sealed, sequence: u64) -> Result<Token, PeerError> {
        let (id, attempt) = (self.job.out.id.to_string(), sealed.attempt.to_string());
        let (number, clock) = (sequence.to_string(), now_ms().to_string());
        let args: [&[u8]; 8] = [
            b"SLIPWAY",
            b"FINAL",
            id.as_bytes(),
            attempt.as_bytes(),
            number.as_bytes(),
            clock.as_bytes(),
            sealed.counts.as_bytes(),
            sealed.tail.bytes(),
        ];
        let answer = self.peer.call(&args).await?;
        let odd = || PeerError::Refused {
            addr: self.job.out.peer.clone(),
            text: format!("odd answer {answer:?}"),
        };
        let Value::Array(items) = &answer else { return Err(odd()) };
        let same = items.get(1).and_then(Value::as_int) == Some(i64::from(sealed.attempt));
        let token = items.get(2).and_then(Value::as_str).and_then(|t| t.parse().ok());
        token.filter(|_| same).ok_or_else(odd)
    }

    /// Gives the slot away, unless somebody has unsealed it meanwhile.
    fn grant(&self, sealed: &Sealed, token: Token) -> Option<Granted> {
        let job = self.job;
        failpoint::hit("source.ready");
        let granted = change::change(self.shared, job.slot, |inner, _| {
            let (next, persist) = inner.state.clone().grant(job.out.id, sealed.attempt, token)?;
            inner.state = next;
            inner.capture = None;
            Ok(persist)
        });
        granted.ok()?;
        let at = Instant::now();
        failpoint::hit("source.granted");
        job.note(|r| r.phase = Phase::Granted);
        let (out, attempt) = (job.out.clone(), sealed.attempt);
        Some(Granted { job: job.clone(), out, attempt, sealed_at: Some(sealed.at), at })
    }

    /// Legal as long as the grant has not been given; if somebody else has unsealed it, nothing changes.
    fn unseal(&self, sealed: &Sealed) {
        let step = change::step(self.shared, self.job.slot, |state| {
            state.unseal(self.job.out.id, sealed.attempt)
        });
        if let Err(ChangeError::Engine(error)) = step {
            tracing::error!(slot = %self.job.slot, %error, "the slot cannot be unsealed");
        }
        failpoint::hit("source.unsealed");
    }

    /// The tail was taken out of the capture: the target must get it as an ordinary message, under the number it already had.
    async fn keep_tail(
        &self,
        outbox: &mut super::outbox::Outbox,
        sealed: Sealed,
    ) -> Result<(), Missed> {
        if sealed.tail.is_empty() {
            return Ok(());
        }
        match outbox.send(self.peer, "STREAM", &sealed.tail).await {
            Ok(_) => Ok(()),
            Err(Undelivered::StartAgain(why)) => {
                Err(Missed::Target(format!("sequence lost: {why}")))
            }
            Err(Undelivered::Stop(stop)) => Err(Missed::Target(stop.to_string())),
        }
    }
}

/// The slot is given away; what is left is to say so until the target has heard it.
struct Granted {
    job: Arc<Job>,
    out: Migration,
    attempt: u32,
    sealed_at: Option<Instant>,
    at: Instant,
}

impl Granted {
    async fn deliver(self, shared: &Arc<Shared>, peer: &Peer) {
        self.job.delivering.store(true, Relaxed);
        let (id, attempt) = (self.out.id.to_string(), self.attempt.to_string());
        let (slot, epoch) = (self.job.slot.to_string(), self.out.epoch.to_string());
        let args: [&[u8]; 6] = [
            b"SLIPWAY",
            b"GRANT",
            id.as_bytes(),
            slot.as_bytes(),
            epoch.as_bytes(),
            attempt.as_bytes(),
        ];
        let mut pause = Duration::from_millis(10);
        loop {
            if !is_granted(shared, &self.job) {
                // The operator has made this node the owner again.
                self.job.delivering.store(false, Relaxed);
                return self.job.note(|r| r.phase = Phase::Failed);
            }
            match timeout(shared.transfers.limits.call_timeout, peer.call(&args)).await {
                Ok(Ok(_)) => break,
                Ok(Err(PeerError::Refused { text, .. })) => {
                    // The target has lost the READY it had given: the slot is frozen here, so it can have it again.
                    tracing::warn!(slot = %self.job.slot, why = text, "the target does not take a granted slot: it is copied again");
                    if let Err(stop) =
                        super::copy::again_after_grant(shared, &self.job, self.attempt).await
                    {
                        tracing::warn!(slot = %self.job.slot, why = %stop, "the frozen slot could not be copied again yet");
                    }
                }
                Ok(Err(error)) => {
                    tracing::debug!(slot = %self.job.slot, %error, "GRANT is repeated")
                }
                Err(_) => {}
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
        self.job.delivering.store(false, Relaxed);
        let now = Instant::now();
        self.job.note(|r| {
            r.phase = Phase::Owned;
            r.error = None;
            r.stall_write_us = self.sealed_at.map(|t| (now - t).as_micros() as u64);
            r.stall_read_us = self.sealed_at.map(|_| (now - self.at).as_micros() as u64);
        });
        let _ = failpoint::reach("source.owned").await;
    }
}

fn is_granted(shared: &Shared, job: &Job) -> bool {
    matches!(&shared.slots.cell(job.slot).read().state, SlotState::Granted { out, .. } if out.id == job.out.id)
}

/// After a restart in GRANTED: the target may not have heard of it.
pub(crate) fn repeat_grant(shared: &Arc<Shared>, slot: Slot, out: Migration, attempt: u32) {
    let job = Job::new(shared, slot, out.clone(), Phase::Granted);
    shared.transfers.outgoing.lock().insert(out.id, job.clone());
    say_grant(shared, job, attempt);
}

/// The target asks for a grant it had heard of before: it has lost something.
pub(crate) fn grant_again(shared: &Arc<Shared>, id: MigrationId) {
    let Some(job) = shared.transfers.outgoing.lock().get(&id).cloned() else { return };
    let granted = match &shared.slots.cell(job.slot).read().state {
        SlotState::Granted { out, attempt, .. } if out.id == id => Some(*attempt),
        _ => None,
    };
    if let Some(attempt) = granted
        && !job.delivering.load(Relaxed)
    {
        say_grant(shared, job, attempt);
    }
}

fn say_grant(shared: &Arc<Shared>, job: Arc<Job>, attempt: u32) {
    job.delivering.store(true, Relaxed);
    let shared = shared.clone();
    let peer = shared.transfers.express(&job.out.peer);
    let handoff = shared.transfers.handoff.clone();
    let out = job.out.clone();
    handoff.spawn(async move {
        Granted { job, out, attempt, sealed_at: None, at: Instant::now() }
            .deliver(&shared, &peer)
            .await;
    });
}

/// After a restart while armed: only the target knows who owns the slot. Asked for ever; nothing is served before it answers.
pub(crate) fn ask_target(shared: &Arc<Shared>, slot: Slot, out: Migration) {
    let job = Job::new(shared, slot, out.clone(), Phase::Doubt);
    shared.transfers.outgoing.lock().insert(out.id, job.clone());
    let shared = shared.clone();
    let peer = shared.transfers.express(&out.peer);
    let handoff = shared.transfers.handoff.clone();
    handoff.spawn(async move {
        let Some(verdict) = resolve(&shared, &peer, slot, &out, &job).await else {
            return job.note(|r| r.phase = Phase::Failed);
        };
        if let Err(error) = change::step(&shared, slot, |state| state.resolved(out.id, verdict)) {
            tracing::error!(%slot, %error, "the target's answer could not be taken in");
            return;
        }
        failpoint::hit("source.resolved");
        job.note(|r| match verdict {
            Verdict::Owned => r.phase = Phase::Owned,
            Verdict::Refused => {
                shared.transfers.call_off(out.id);
                r.phase = Phase::Failed;
                r.error = Some(
                    "this node stopped while armed, and the target had not become the owner".into(),
                );
            }
        });
    });
}

/// Nothing if the doubt has ended otherwise: the operator has made this node the owner.
async fn resolve(
    shared: &Shared,
    peer: &Peer,
    slot: Slot,
    out: &Migration,
    job: &Job,
) -> Option<Verdict> {
    let (id, number, epoch) = (out.id.to_string(), slot.to_string(), out.epoch.to_string());
    let mut pause = Duration::from_millis(10);
    while matches!(&shared.slots.cell(slot).read().state, SlotState::Doubt { .. }) {
        let args: [&[u8]; 5] =
            [b"SLIPWAY", b"RESOLVE", id.as_bytes(), number.as_bytes(), epoch.as_bytes()];
        let why = match timeout(shared.transfers.limits.call_timeout, peer.call(&args)).await {
            Ok(Ok(value)) => match value.as_str() {
                Some("OWNED") => return Some(Verdict::Owned),
                Some("REFUSED") => return Some(Verdict::Refused),
                _ => format!("odd answer {value:?}"),
            },
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the target does not answer".into(),
        };
        job.note(|r| r.error = Some(format!("in doubt: {why}")));
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
    None
}

/// FINAL once more for an attempt that was granted and whose READY the target has lost. It brings a new token, which replaces the old one.
pub(super) async fn ready_again(
    shared: &Arc<Shared>,
    job: &Arc<Job>,
    peer: &Peer,
    attempt: u32,
    sequence: u64,
) -> Result<(), Stop> {
    let capture = Capture::new(0);
    let counts = counts_json(&shared.slots.cell(job.slot).read());
    let sealed = Sealed { attempt, at: Instant::now(), tail: Payload::default(), counts };
    let last = Attempt { shared, job, peer, capture: &capture };
    let answer =
        timeout(shared.transfers.limits.call_timeout, last.last_changes(&sealed, sequence)).await;
    let token = match answer {
        Ok(Ok(token)) => token,
        Ok(Err(error)) => return Err(Stop::Failed(error.to_string())),
        Err(_) => return Err(Stop::Failed("the target does not answer".into())),
    };
    let renewed = change::change(shared, job.slot, |inner, _| match &mut inner.state {
        SlotState::Granted { out, attempt: k, token: known }
            if out.id == job.out.id && *k == attempt =>
        {
            *known = Some(token);
            Ok(Persist::Lazy)
        }
        _ => Err(ChangeError::Refused("the slot is no longer granted by this attempt".into())),
    });
    renewed.map(drop).map_err(|e| Stop::Failed(e.to_string()))
}

/// Key counts as FINAL carries them.
fn counts_json(inner: &SlotInner) -> String {
    let counts = inner.counts.iter().enumerate().filter(|(_, c)| c.keys > 0);
    let counts: Vec<_> = counts.map(|(db, c)| (db, c.keys, c.expires)).collect();
    serde_json::to_string(&counts).unwrap_or_default()
}
