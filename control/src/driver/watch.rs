//! What the driver has seen of one migration. All of it may be forgotten: it is seen again.

use crate::config::Limits;
use crate::report::{NodePhase, Report, Whereabouts};
use crate::state::{Figures, Moving, Phase};
use crate::step::{self, Heard, Picture, Role, Sight, Step, Time, View, Word};
use cluster::MigrationId;
use std::mem::discriminant;
use std::time::Duration;
use tokio::time::Instant;

/// The pause after a word that was refused.
const REFUSED_PAUSE: Duration = Duration::from_millis(200);

/// How long the source may take to tell the figures of a handoff that is over.
const FIGURES_TIME: Duration = Duration::from_secs(1);

/// The pause of a migration whose decision the state refused: a bug of ours, which must not become a busy loop.
const HUSH_TIME: Duration = Duration::from_secs(5);

/// A copy that goes on is asked for so many times less often than something that is about to happen.
const COPYING_PAUSE_MAX: u32 = 20;
/// The same for what is neither.
const OTHER_PAUSE_MAX: u32 = 5;

/// What is seen of a migration at one node.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// When the node is asked for it next, and how long after it was asked last. Nothing: at once.
    look_at: Option<Instant>,
    pause: Duration,
    pub(super) sight: Sight,
    pub(super) report: Option<Report>,
    pub(super) whereabouts: Option<Whereabouts>,
}

/// One migration.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) id: MigrationId,
    phase: Phase,
    phase_since: Instant,
    pub(super) source: Side,
    pub(super) target: Side,
    pub(super) heard: Heard,
    /// A batch with this migration was refused: its words go alone from now on.
    pub(super) alone: bool,
    /// No words before this.
    quiet_until: Option<Instant>,
    /// A bug of ours met this migration; no decisions before this.
    hushed_until: Option<Instant>,
    progress_at: Instant,
    /// What is awaited, for people.
    pub(super) awaited: &'static str,
}

/// What is known beside the migration itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    pub(super) now: Instant,
    pub(super) paused: bool,
    /// When anything out of the source has last come on.
    pub(super) progress_at: Instant,
    pub(super) source_lost: Option<&'a str>,
    pub(super) target_lost: Option<&'a str>,
}

impl Watch {
    pub(super) fn new(moving: &Moving, now: Instant) -> Self {
        Self {
            id: moving.id,
            phase: moving.phase.clone(),
            phase_since: now,
            source: Side::default(),
            target: Side::default(),
            heard: Heard::default(),
            alone: false,
            quiet_until: None,
            hushed_until: None,
            progress_at: now,
            awaited: "",
        }
    }

    /// Takes note of the store's phase; what was heard in the phase before counts no more.
    pub(super) fn follow(&mut self, moving: &Moving, now: Instant) {
        if discriminant(&self.phase) == discriminant(&moving.phase) {
            return;
        }
        self.phase = moving.phase.clone();
        self.phase_since = now;
        self.progress_at = now;
        self.stir();
        self.forget_answers();
        self.heard = Heard::default();
        self.quiet_until = None;
    }

    /// What is to be done next.
    pub(super) fn next(&mut self, moving: &Moving, around: &Around<'_>, limits: &Limits) -> Step {
        let step = step::next(&self.picture(moving, around, limits));
        match step {
            Step::Wait(awaited) => {
                self.awaited = awaited;
                // What was answered may be out of date by now: ask again.
                if self.quiet_until.is_none_or(|t| around.now >= t) && self.has_answers() {
                    self.forget_answers();
                    self.quiet_until = Some(around.now + REFUSED_PAUSE);
                }
            }
            Step::Say(_) if self.quiet_until.is_some_and(|t| around.now < t) => {
                return Step::Wait(self.awaited);
            }
            _ => {}
        }
        step
    }

    fn picture<'a>(
        &'a self,
        moving: &'a Moving,
        around: &Around<'a>,
        limits: &Limits,
    ) -> Picture<'a> {
        let in_phase = around.now - self.phase_since;
        let standing = around.now - self.progress_at.max(around.progress_at);
        Picture {
            moving,
            source: self.source.view(around.source_lost),
            target: self.target.view(around.target_lost),
            heard: &self.heard,
            time: Time {
                paused: around.paused,
                standing: standing > limits.copy_standing_max,
                armed_long: moving.phase == Phase::Armed && in_phase > limits.armed_max,
                settled_long: in_phase > FIGURES_TIME,
            },
        }
    }

    pub(super) fn side(&mut self, role: Role) -> &mut Side {
        match role {
            Role::Source => &mut self.source,
            Role::Target => &mut self.target,
        }
    }

    /// The link to one of the nodes is gone.
    pub(super) fn dark(&mut self, role: Role) {
        let side = self.side(role);
        side.sight = Sight::Dark;
        side.stir();
        side.whereabouts = None;
        if role == Role::Target {
            self.heard.target_armed = false;
        }
    }

    /// Takes a report in.
    pub(super) fn saw(&mut self, role: Role, report: Report, now: Instant) -> Saw {
        let side = self.side(role);
        let sight = Sight::Seen(report.phase);
        let known = side.report.as_ref();
        let turned = side.sight != sight;
        let came_on = known.is_none_or(|k| {
            (k.bytes, k.keys, k.starts) != (report.bytes, report.keys, report.starts)
        });
        side.sight = sight;
        // A node that knows nothing any more must not wipe out the figures it once told.
        if report.phase != NodePhase::Unknown {
            side.report = Some(report);
        }
        if turned || came_on {
            self.progress_at = now;
        }
        match (turned, came_on) {
            (true, _) => Saw::Turn,
            (false, true) => Saw::Progress,
            (false, false) => Saw::Nothing,
        }
    }

    /// When the node of this role is to be asked.
    pub(super) fn look_at(&self, role: Role, now: Instant) -> Instant {
        match role {
            Role::Source => self.source.look_at.unwrap_or(now),
            Role::Target => self.target.look_at.unwrap_or(now),
        }
    }

    /// Whether the node of this role, which is asked for others now, is asked for this one as well.
    pub(super) fn is_nearly_due(&self, role: Role, now: Instant) -> bool {
        let side = if role == Role::Source { &self.source } else { &self.target };
        side.look_at.is_none_or(|at| at <= now + side.pause / 2)
    }

    /// Something happens: its nodes are asked soon.
    pub(super) fn stir(&mut self) {
        self.source.stir();
        self.target.stir();
    }

    /// A word was refused.
    pub(super) fn refused(&mut self, word: Word, text: String, now: Instant) {
        self.heard.refused = Some((word, text));
        self.quiet_until = Some(now + REFUSED_PAUSE);
    }

    /// How long it has been in its phase.
    pub(super) fn in_phase(&self, now: Instant) -> Duration {
        now - self.phase_since
    }

    /// Nothing is decided about this migration for a while.
    pub(super) fn hush(&mut self, now: Instant) {
        self.hushed_until = Some(now + HUSH_TIME);
    }

    pub(super) fn is_hushed(&self, now: Instant) -> bool {
        self.hushed_until.is_some_and(|t| now < t)
    }

    /// The figures of the whole migration, as far as its nodes told.
    pub(super) fn figures(&self) -> Figures {
        let (source, target) = (self.source.report.as_ref(), self.target.report.as_ref());
        let stall =
            |of: fn(&Report) -> Option<u64>| source.and_then(of).or_else(|| target.and_then(of));
        Figures {
            keys: source.or(target).map_or(0, |r| r.keys),
            bytes: source.or(target).map_or(0, |r| r.bytes),
            attempts: source.map_or(0, |r| r.attempt),
            took_ms: 0,
            stall_write_us: stall(|r| r.stall_write_us),
            stall_read_us: stall(|r| r.stall_read_us),
        }
    }

    /// What either node says is wrong.
    pub(super) fn error(&self) -> Option<&str> {
        let refused = self.heard.refused.as_ref().map(|(_, text)| text.as_str());
        refused.or_else(|| self.source.error()).or_else(|| self.target.error())
    }

    fn has_answers(&self) -> bool {
        self.heard.refused.is_some()
            || self.source.whereabouts.is_some()
            || self.target.whereabouts.is_some()
    }

    fn forget_answers(&mut self) {
        self.heard.refused = None;
        self.heard.aborted = false;
        self.source.whereabouts = None;
        self.target.whereabouts = None;
    }
}

/// What a report said that was not known, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Saw {
    Nothing,
    /// More keys or bytes.
    Progress,
    /// Another phase.
    Turn,
}

impl Side {
    fn stir(&mut self) {
        (self.look_at, self.pause) = (None, Duration::ZERO);
    }

    /// The node has told: it is asked again after `poll_time`, and later each time at which nothing has turned.
    pub(super) fn told(&mut self, saw: Saw, now: Instant, poll_time: Duration) {
        let is_copying =
            matches!(self.sight, Sight::Seen(NodePhase::Copying | NodePhase::Importing));
        let most = if is_copying { COPYING_PAUSE_MAX } else { OTHER_PAUSE_MAX };
        self.pause = match saw {
            Saw::Turn => poll_time,
            Saw::Progress | Saw::Nothing => {
                (self.pause.max(poll_time) * 3 / 2).min(poll_time * most)
            }
        };
        self.look_at = Some(now + self.pause);
    }

    fn view<'a>(&'a self, lost: Option<&'a str>) -> View<'a> {
        View {
            sight: self.sight,
            whereabouts: self.whereabouts.as_ref(),
            error: self.error(),
            lost,
        }
    }

    fn error(&self) -> Option<&str> {
        self.report.as_ref()?.error.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::{Epoch, GroupId};

    const POLL: Duration = Duration::from_millis(10);

    #[test]
    fn a_copy_that_goes_on_is_asked_for_ever_less_often_until_something_turns() {
        let now = Instant::now();
        let (from, to) = (GroupId(1), GroupId(2));
        let phase = Phase::Open;
        let mut moving =
            Moving { id: MigrationId(1), from, to, epoch: Epoch(2), phase, opened_ms: 0 };
        let mut watch = Watch::new(&moving, now);
        assert_eq!(watch.look_at(Role::Source, now), now, "at once");
        let told = |watch: &mut Watch, phase, times| {
            for _ in 0..times {
                let report = Report { phase, ..Report::default() };
                let saw = watch.saw(Role::Source, report, now);
                watch.side(Role::Source).told(saw, now, POLL);
            }
            watch.look_at(Role::Source, now) - now
        };
        assert_eq!(told(&mut watch, NodePhase::Copying, 1), POLL);
        assert_eq!(told(&mut watch, NodePhase::Copying, 2), POLL * 9 / 4);
        assert_eq!(told(&mut watch, NodePhase::Copying, 20), POLL * COPYING_PAUSE_MAX);
        assert!(watch.is_nearly_due(Role::Source, now + POLL * COPYING_PAUSE_MAX / 2));
        assert!(!watch.is_nearly_due(Role::Source, now));
        assert_eq!(told(&mut watch, NodePhase::Copied, 1), POLL);
        assert_eq!(told(&mut watch, NodePhase::Copied, 20), POLL * OTHER_PAUSE_MAX);
        moving.phase = Phase::Armed;
        watch.follow(&moving, now);
        assert_eq!(watch.look_at(Role::Source, now), now, "the store has another phase");
    }
}
