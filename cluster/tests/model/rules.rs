//! The rules that can be removed, each a variation of how the real functions of `cluster` are used.

use super::alphabet::Event;
use cluster::state::{Next, Persist, SlotState, Verdict};
use cluster::{Epoch, Token};

/// A rule of the handoff that a run can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A target that is READY waits for the grant or its token.
    GrantNeeded,
    /// A source that crashed while armed is in doubt. Removed: it takes its last owner's record at its word.
    ArmedIsDoubt,
    /// The armed record and the grant reach the log. Removed: the source has forgotten both after a crash.
    GrantSurvives,
    /// A target that said REFUSED never becomes the owner through that migration.
    RefusalBinds,
    /// READY, GRANT and FINAL count only for the attempt they name.
    AttemptsNumbered,
    /// The record of a new owner is in the log before its first write is acknowledged.
    OwnershipLogged,
    /// Nothing brings a slot back after the grant because time passed.
    NoResumeByTime,
    /// A connection that was turned away stays turned away until RESUME.
    StickyBounce,
    /// A new request waits behind those the gate holds.
    GateKeepsOrder,
    /// The gate sends RESUME only when nothing of the slot is outstanding.
    GateAwaits,
    /// FINAL leaves when the writers that had entered before the seal are out.
    SealDrains,
    /// The source keeps its copy until the target's is on disk.
    CleanWaits,
    /// The target's import is on disk before the source is armed.
    TargetArmed,
    /// A source in GRANTED sends FINAL again also to a target that is READY for an older attempt. Removed: only if nothing is ready.
    FinalAgain,
    /// A target that starts again and is not the owner asks the source, also if it has lost its READY. Removed: only if it has it.
    TargetAsks,
    /// A node that was told to let go of a migration refuses a word that comes late and would open it again.
    OffIsOff,
    /// A proxy believes the node of its route that another one is the owner, whatever the epoch.
    DenialCounts,
    /// What ends a node's part in a migration is on disk before the controller hears of it.
    EndsSynced,
    /// The controller records the new owner only when that is on the owner's disk.
    DurableFirst,
}

/// What an event does to a slot, with or without one of the rules.
pub(crate) fn after(
    removed: Option<Rule>,
    state: &SlotState,
    event: Event,
) -> (Next, Option<Verdict>) {
    let was = state.clone();
    let next = match event {
        Event::Import(m, peer) => was.import(m.to(peer)),
        Event::Export(m, peer) => was.export(m.to(peer)),
        Event::Open(m, peer) => was.open(m.to(peer)),
        Event::Arm(m) => was.arm(m.id()),
        Event::Seal(m) => was.seal(m.id()),
        Event::Unseal(m, attempt) => was.unseal(m.id(), attempt.into()),
        Event::Abort(m) => was.abort(m.id()),
        Event::Clean(m) => was.clean(m.id()),
        Event::Dropped(m) => was.dropped(m.id()),
        Event::Grant(m, attempt, token) => {
            let attempt = numbered(removed, state, attempt.into());
            was.grant(m.id(), attempt, Token(token.into()))
        }
        Event::Ready(m, attempt, token) => was.ready(m.id(), attempt.into(), Token(token.into())),
        Event::Granted(m, attempt) => was.granted(m.id(), numbered(removed, state, attempt.into())),
        Event::Presented(token) => was.presented(Token(token.into())),
        Event::Resolved(m, owned) => {
            was.resolved(m.id(), if owned { Verdict::Owned } else { Verdict::Refused })
        }
        Event::Resolve(m) => {
            let (next, persist, verdict) = was.resolve(m.id(), m.epoch());
            let forgets = removed == Some(Rule::RefusalBinds) && verdict == Verdict::Refused;
            return (Ok((if forgets { state.clone() } else { next }, persist)), Some(verdict));
        }
        Event::Restarted => Ok((restarted(removed, state), Persist::No)),
        Event::TimedOut => Ok(timed_out(state)),
    };
    (next.map(|(next, persist)| (next, persisted(removed, event, persist))), None)
}

/// Without numbers every answer is taken for one to the running attempt.
fn numbered(removed: Option<Rule>, state: &SlotState, attempt: u32) -> u32 {
    match state {
        SlotState::Sealed { attempt: running, .. } | SlotState::Ready { attempt: running, .. }
            if removed == Some(Rule::AttemptsNumbered) =>
        {
            *running
        }
        _ => attempt,
    }
}

fn restarted(removed: Option<Rule>, state: &SlotState) -> SlotState {
    match state.clone().restarted() {
        SlotState::Doubt { epoch, .. } if removed == Some(Rule::ArmedIsDoubt) => {
            SlotState::Owned { epoch }
        }
        next => next,
    }
}

/// What a source must never do.
fn timed_out(state: &SlotState) -> (SlotState, Persist) {
    match state {
        SlotState::Granted { out, .. } => {
            (SlotState::Owned { epoch: Epoch(out.epoch.0 - 1) }, Persist::Lazy)
        }
        state => (state.clone(), Persist::No),
    }
}

fn persisted(removed: Option<Rule>, event: Event, persist: Persist) -> Persist {
    match (removed, event) {
        (Some(Rule::EndsSynced), Event::Clean(_) | Event::Dropped(_))
            if persist == Persist::Sync =>
        {
            Persist::Lazy
        }
        (Some(Rule::GrantSurvives), Event::Arm(_) | Event::Grant(..)) => Persist::No,
        (Some(Rule::OwnershipLogged), Event::Granted(..) | Event::Presented(_)) => Persist::No,
        _ => persist,
    }
}
