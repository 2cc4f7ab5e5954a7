//! Slots that leave nodes which are not ours, or go to such: what the proxies say, and what follows from it.
//!
//! ```text
//!  store     the proxies do                                what is stored when all have said so
//!
//!  Open      look whether the slot can leave               ready → Locked
//!  Locked    lock it, wait for what is on its way          locked → Armed, or Copying; one refuses, or it takes too long → Undo
//!  Copying   the copier copies what the node cannot send   copied → Copied; it refuses, or it takes too long → Withdrawing
//!  Copied    the copier deletes that at the source         cleared → Armed
//!  Withdrawing  it deletes at the target what it copied    withdrawn, or it takes too long → Undo
//!  Armed     requests follow their keys, a sweep           arrived → Settled: the new owner
//!  Settled                                                 the end
//!  Undo      unlock it: nothing has moved                  the end
//! ```
//!
//! A node that is not ours does not check who sends to it, so nothing goes on without the word of *every* proxy that the store knows: one that
//! still sends to the source after keys have left would read too little there, and what it writes would be lost. A proxy is put into the store before
//! it gets the table that it routes by, and leaves it when it says that it serves nobody any more, when the same proxy was started anew, or at the
//! operator's word. What proxies say is not stored: they say all of it once a second.

use super::decide::Lost;
use super::{Denied, Driver, Peer};
use crate::config::Limits;
use crate::docs::{Proxy, ProxyForget, ProxyHeard, ProxyReport, ProxySays, ProxyWord};
use crate::metrics::Present;
use crate::planner::refusal;
use crate::state::{Change, Moving, Phase, ProxyRecord, SlotRecord, State, WantStatus};
use crate::step::{Mark, Step};
use cluster::{GroupId, MigrationId, Slot};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Proxies that a store may know; one more is refused.
const PROXIES_MAX: usize = 1024;

/// What proxies have said, by boot.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    seen: HashMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    /// When it was heard, or when we began to listen.
    at: Instant,
    words: HashMap<MigrationId, ProxyWord>,
}

impl Seen {
    fn nothing(now: Instant) -> Self {
        Self { at: now, words: HashMap::new() }
    }
}

impl Proxies {
    /// Listens to those that the store knows, and to nobody else.
    fn follow(&mut self, state: &State, now: Instant) {
        self.seen.retain(|boot, _| state.proxies.iter().any(|p| p.boot == *boot));
        for proxy in &state.proxies {
            self.seen.entry(proxy.boot.clone()).or_insert_with(|| Seen::nothing(now));
        }
    }

    fn silence(&self, boot: &str, now: Instant) -> Duration {
        self.seen.get(boot).map_or(Duration::ZERO, |seen| now - seen.at)
    }

    /// Whether there is a proxy, and none is away.
    pub(super) fn are_all_there(&self, state: &State, limits: &Limits, now: Instant) -> bool {
        let is_there = |p: &ProxyRecord| {
            self.seen.get(&p.boot).is_some_and(|seen| now - seen.at < limits.proxy_away_max)
        };
        !state.proxies.is_empty() && state.proxies.iter().all(is_there)
    }

    /// What each proxy of the store says of a migration.
    fn words(&self, state: &State, id: MigrationId) -> Vec<&ProxyWord> {
        let of = |p: &ProxyRecord| self.seen.get(&p.boot)?.words.get(&id);
        state.proxies.iter().filter_map(of).collect()
    }

    /// How many there are, and whose word is waited for.
    pub(super) fn present(&self, state: &State, limits: &Limits, now: Instant) -> Present {
        let is_away = |p: &&ProxyRecord| self.silence(&p.boot, now) >= limits.proxy_away_max;
        let away = state.proxies.iter().filter(is_away).count();
        let by_proxies = state.migrations().filter(|(_, m)| state.is_by_proxies(m.from, m.to));
        let asked: Vec<_> =
            by_proxies.filter_map(|(_, m)| Some((m.id, awaited(&m.phase)?))).collect();
        let owes = |p: &&ProxyRecord| {
            let words = self.seen.get(&p.boot).map(|seen| &seen.words);
            let said = |id| words.and_then(|words| words.get(id)).map(|word| word.what);
            asked.iter().any(|(id, what)| said(id) != Some(*what))
        };
        let awaited = state.proxies.iter().filter(owes).count();
        Present { heard: state.proxies.len() - away, away, awaited }
    }

    /// Whether every proxy of the store says this of a migration.
    fn all_say(&self, state: &State, id: MigrationId, says: ProxySays) -> bool {
        let words = self.words(state, id);
        !state.proxies.is_empty()
            && words.len() == state.proxies.len()
            && words.iter().all(|word| word.what == says)
    }

    /// Whether a proxy has found keys that the copier must copy.
    fn needs_copier(&self, state: &State, id: MigrationId) -> bool {
        self.words(state, id).iter().any(|word| word.needs_copier)
    }

    /// Whether the copier, and not another one that was it before, says this of a migration.
    fn copier_says(&self, state: &State, moving: &Moving, says: ProxySays) -> bool {
        let copier = state.copier(moving.from).and_then(|p| self.seen.get(&p.boot));
        copier.and_then(|seen| seen.words.get(&moving.id)).is_some_and(|word| word.what == says)
    }

    /// Why a proxy refuses the slot.
    fn refusal(&self, state: &State, id: MigrationId) -> Option<String> {
        let words = self.words(state, id);
        let refused = words.iter().find(|word| word.what == ProxySays::Refused)?;
        Some(refused.why.clone().unwrap_or_else(|| "a proxy refuses it".to_owned()))
    }

    /// Keys that sweeps have moved.
    pub(super) fn keys(&self, id: MigrationId) -> u64 {
        self.seen.values().filter_map(|seen| seen.words.get(&id)).map(|word| word.keys).sum()
    }

    /// What is in the way of a migration.
    pub(super) fn why(&self, id: MigrationId) -> Option<String> {
        self.seen.values().find_map(|seen| seen.words.get(&id)?.why.clone())
    }

    /// For people.
    pub(super) fn view(&self, state: &State, limits: &Limits, now: Instant) -> Vec<Proxy> {
        let view = |p: &ProxyRecord| {
            let silence = self.silence(&p.boot, now);
            Proxy {
                name: p.name.clone(),
                silent_ms: silence.as_millis() as u64,
                is_away: silence >= limits.proxy_away_max,
            }
        };
        state.proxies.iter().map(view).collect()
    }
}

/// What each proxy is to say of a migration in this phase.
fn awaited(phase: &Phase) -> Option<ProxySays> {
    match phase {
        Phase::Open => Some(ProxySays::Ready),
        Phase::Locked => Some(ProxySays::Locked),
        Phase::Armed => Some(ProxySays::Arrived),
        // The word of one of them.
        Phase::Copying | Phase::Copied | Phase::Withdrawing { .. } => None,
        Phase::Settled | Phase::Undo { .. } => None,
    }
}

impl Driver {
    /// A proxy has said something. It is stored before it is told anything.
    pub(super) async fn heard_proxy(&mut self, report: ProxyReport) -> Result<ProxyHeard, Denied> {
        let is_known = self.state.proxies.iter().any(|p| p.boot == report.boot);
        let now = Instant::now();
        if report.is_gone {
            if is_known {
                self.obey(Change::ProxyGone { boot: report.boot }).await?;
            }
        } else {
            if !is_known {
                if self.state.proxies.len() >= PROXIES_MAX {
                    let error = format!("there are {PROXIES_MAX} proxies already");
                    return Err(Denied::Wrong(refusal(
                        error,
                        "slipway forget-proxy those that are gone",
                    )));
                }
                tracing::info!(proxy = report.name, "a proxy joins");
                let proxy = ProxyRecord { name: report.name, boot: report.boot.clone() };
                self.obey(Change::ProxyJoined { proxy }).await?;
            }
            let words = report.words.into_iter().map(|word| (word.id, word)).collect();
            self.seen_proxy(report.boot, Seen { at: now, words });
        }
        Ok(ProxyHeard { table_version: self.state.version })
    }

    fn seen_proxy(&mut self, boot: String, seen: Seen) {
        self.proxies.seen.insert(boot, seen);
    }

    /// The operator says that a proxy is gone for good.
    pub(super) async fn forget_proxy(&mut self, request: &ProxyForget) -> Result<Proxy, Denied> {
        let known = self.proxies.view(&self.state, &self.limits, Instant::now());
        let missing = || {
            let names: Vec<&str> = known.iter().map(|p| p.name.as_str()).collect();
            let error =
                format!("there is no proxy {}; there are {}", request.name, names.join(", "));
            Denied::Missing(refusal(error, "`slipway status` lists the proxies"))
        };
        let proxy = known.iter().find(|p| p.name == request.name).ok_or_else(missing)?;
        if !proxy.is_away {
            let error = format!("proxy {} was heard {} ms ago", proxy.name, proxy.silent_ms);
            return Err(Denied::Wrong(refusal(error, "stop it: a proxy that ends says so itself")));
        }
        for record in self.state.proxies.clone().iter().filter(|p| p.name == request.name) {
            self.obey(Change::ProxyGone { boot: record.boot.clone() }).await?;
        }
        Ok(proxy.clone())
    }

    /// Proxies that were started anew: the former process has ended.
    pub(super) fn former_proxies(&mut self, now: Instant) -> Vec<Change> {
        let state = std::sync::Arc::clone(&self.state);
        self.proxies.follow(&state, now);
        let is_former = |(index, old): &(usize, &ProxyRecord)| {
            self.proxies.silence(&old.boot, now) >= self.limits.proxy_away_max
                && state.proxies.iter().skip(index + 1).any(|new| new.name == old.name)
        };
        let former = state.proxies.iter().enumerate().filter(is_former);
        former.map(|(_, old)| Change::ProxyGone { boot: old.boot.clone() }).collect()
    }

    /// Whether a slot may set out by the proxies: all of them are known, and a target of ours knows that the slot is at a node which is not.
    pub(super) fn may_go_by_proxies(&self, from: GroupId, to: GroupId, now: Instant) -> bool {
        // Proxies that were started before there were such nodes go on sending to ours; they say so as soon as they have the table.
        let all_have_spoken = now - self.born >= self.limits.proxy_away_max;
        let is_told = self.peers.get(&to).is_some_and(Peer::is_told);
        self.proxies.are_all_there(&self.state, &self.limits, now)
            && is_told
            && (all_have_spoken || !self.state.is_ours(from))
    }

    /// What is next for a slot that the proxies move.
    pub(super) fn next_by_proxies(
        &mut self,
        slot: Slot,
        moving: &Moving,
        lost: &Lost,
        now: Instant,
    ) -> Step {
        let state = std::sync::Arc::clone(&self.state);
        let Some(watch) = self.watches.get_mut(&slot) else { return Step::Wait("") };
        if watch.is_hushed(now) {
            return Step::Wait("");
        }
        let is_paused = state.paused
            || state
                .slot(slot)
                .and_then(|r| r.want.as_ref())
                .is_some_and(|w| w.status == WantStatus::Paused);
        let all_say = |says| self.proxies.all_say(&state, moving.id, says);
        let copier_says = |says| self.proxies.copier_says(&state, moving, says);
        let needs_copier = self.proxies.needs_copier(&state, moving.id);
        let locked = if needs_copier { Mark::Copying } else { Mark::Armed };
        let refused = self.proxies.refusal(&state, moving.id);
        let call_off = |reason: String| Step::Store(Mark::CalledOff(reason));
        let gone = lost.get(&moving.from).or_else(|| lost.get(&moving.to));
        let step = match &moving.phase {
            Phase::Open | Phase::Locked | Phase::Copying if refused.is_some() => {
                call_off(refused.unwrap_or_default())
            }
            Phase::Open if gone.is_some() => call_off(gone.cloned().unwrap_or_default()),
            Phase::Open if is_paused => Step::Wait("paused: nothing of it has begun"),
            Phase::Open
                if all_say(ProxySays::Ready)
                    && self.proxies.are_all_there(&state, &self.limits, now) =>
            {
                Step::Store(Mark::Locked)
            }
            Phase::Open => Step::Wait("the proxies look whether it can leave"),
            Phase::Locked if all_say(ProxySays::Locked) => Step::Store(locked),
            Phase::Locked if watch.in_phase(now) > self.limits.locked_max => call_off(format!(
                "not every proxy had locked it within {:?}",
                self.limits.locked_max
            )),
            Phase::Locked => Step::Wait("the proxies lock it"),
            Phase::Copying if copier_says(ProxySays::Copied) => Step::Store(Mark::Copied),
            Phase::Copying if watch.in_phase(now) > self.limits.locked_max => call_off(format!(
                "what its node cannot send was not copied within {:?}",
                self.limits.locked_max
            )),
            Phase::Copying => Step::Wait("a proxy copies what its node cannot send"),
            Phase::Copied if copier_says(ProxySays::Cleared) => Step::Store(Mark::Armed),
            Phase::Copied => Step::Wait("what was copied is deleted at its node"),
            Phase::Withdrawing { .. } if copier_says(ProxySays::Withdrawn) => {
                Step::Store(Mark::Withdrawn)
            }
            Phase::Withdrawing { .. } if watch.in_phase(now) > self.limits.locked_max / 2 => {
                Step::Store(Mark::LeftBehind)
            }
            Phase::Withdrawing { .. } => Step::Wait("what was copied is deleted at the target"),
            Phase::Armed if all_say(ProxySays::Arrived) => Step::Store(Mark::Settled),
            Phase::Armed => Step::Wait("keys follow their requests, the rest is swept"),
            Phase::Settled => Step::Store(Mark::Moved),
            Phase::Undo { .. } => Step::Store(Mark::Whole),
        };
        if let Step::Wait(awaited) = step {
            watch.awaited = awaited;
        }
        step
    }

    /// What keeps slots that the proxies move.
    pub(super) fn notes_of_proxies(&self, mut slots: impl Iterator<Item = Slot>) -> Option<String> {
        let is_theirs = |r: &SlotRecord| {
            let to = r.want.as_ref().map_or(r.group, |want| want.to);
            self.state.is_by_proxies(r.group, to)
        };
        if !slots.any(|slot| self.state.slot(slot).is_some_and(is_theirs)) {
            return None;
        }
        if self.state.proxies.is_empty() {
            return Some("no proxy of this cluster runs: proxies move the keys".to_owned());
        }
        let view = self.proxies.view(&self.state, &self.limits, Instant::now());
        let away = view.iter().find(|p| p.is_away)?;
        let (name, seconds) = (&away.name, away.silent_ms / 1000);
        Some(format!(
            "waiting for proxy {name}, silent for {seconds} s; if it is gone for good: slipway forget-proxy {name}"
        ))
    }
}
