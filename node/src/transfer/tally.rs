//! What this node has counted of slots that moved, since it started. Off the path of requests.

use super::report::{Phase, Report, Role};

/// Upper bounds of the buckets of [`Stalls`], in seconds. Stalls are to be below 9 ms: fine steps there.
pub const STALL_SECONDS: [f64; 14] = [
    0.000_25, 0.000_5, 0.001, 0.001_5, 0.002, 0.003, 0.005, 0.007, 0.009, 0.015, 0.025, 0.05, 0.1,
    1.0,
];

/// How long slots stood still in their handoffs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stalls {
    /// By [`STALL_SECONDS`], not cumulative; the last is for what is above all.
    pub buckets: [u64; STALL_SECONDS.len() + 1],
    /// All together.
    pub seconds: f64,
}

/// One direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    pub keys: u64,
    /// Bytes of records.
    pub bytes: u64,
    /// Migrations whose target became the owner.
    pub moved: u64,
    /// Migrations that ended otherwise.
    pub failed: u64,
}

/// Attempts to hand off that were given up, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenUp {
    pub drain: u64,
    pub budget: u64,
    pub asked: u64,
    pub link: u64,
    pub tail: u64,
}

/// Everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    pub outgoing: Carried,
    pub incoming: Carried,
    /// Copies that were begun, those that were begun again included.
    pub copy_starts: u64,
    /// Times a slot was sealed.
    pub attempts: u64,
    pub given_up: GivenUp,
    pub stall_write: Stalls,
    pub stall_read: Stalls,
}

impl Stalls {
    fn add(&mut self, micros: u64) {
        let seconds = micros as f64 / 1e6;
        let bucket =
            STALL_SECONDS.iter().position(|&bound| seconds <= bound).unwrap_or(STALL_SECONDS.len());
        self.buckets[bucket] += 1;
        self.seconds += seconds;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

impl Carried {
    fn end(&mut self, phase: Phase) {
        match phase {
            Phase::Owned => self.moved += 1,
            Phase::Failed | Phase::Refused => self.failed += 1,
            _ => {}
        }
    }
}

impl GivenUp {
    /// Each reason with its name and count.
    pub fn named(&self) -> [(&'static str, u64); 5] {
        let Self { drain, budget, asked, link, tail } = *self;
        [("drain", drain), ("budget", budget), ("asked", asked), ("link", link), ("tail", tail)]
    }
}

/// What of a report is counted when it changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    phase: Phase,
    keys: u64,
    bytes: u64,
    stall: Option<u64>,
}

impl Counted {
    pub(super) fn of(report: &Report) -> Self {
        Self {
            phase: report.phase,
            keys: report.keys,
            bytes: report.bytes,
            stall: report.stall_write_us,
        }
    }
}

impl Tally {
    /// The source's report of a migration has changed.
    pub(super) fn reported(&mut self, before: Counted, now: &Report) {
        debug_assert_eq!(now.role, Role::Source, "the target counts by itself");
        self.outgoing.keys += now.keys.saturating_sub(before.keys);
        self.outgoing.bytes += now.bytes.saturating_sub(before.bytes);
        if before.phase != now.phase {
            self.attempts += u64::from(now.phase == Phase::Sealed);
            if !matches!(before.phase, Phase::Owned | Phase::Failed) {
                self.outgoing.end(now.phase);
            }
        }
        if let (None, Some(micros)) = (before.stall, now.stall_write_us) {
            self.stall_write.add(micros);
            self.stall_read.add(now.stall_read_us.unwrap_or(0));
        }
    }

    /// The target has taken records in.
    pub(super) fn taken_in(&mut self, keys: u64, bytes: u64) {
        self.incoming.keys += keys;
        self.incoming.bytes += bytes;
    }

    /// A migration into this node has ended so.
    pub(super) fn came_in(&mut self, phase: Phase) {
        self.incoming.end(phase);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::{Epoch, MigrationId, Slot};

    #[test]
    fn a_migration_counts_once_however_often_it_is_reported() {
        let mut tally = Tally::default();
        let mut report =
            Report::new(MigrationId(1), Slot(2), Epoch(3), Role::Source, Phase::Copying);
        let mut note = |change: fn(&mut Report)| {
            let before = Counted::of(&report);
            change(&mut report);
            tally.reported(before, &report);
        };
        note(|r| (r.keys, r.bytes) = (5, 50));
        note(|r| (r.keys, r.bytes) = (8, 80));
        note(|r| r.phase = Phase::Sealed);
        note(|r| r.phase = Phase::Armed);
        note(|r| r.phase = Phase::Sealed);
        note(|r| {
            r.phase = Phase::Owned;
            (r.stall_write_us, r.stall_read_us) = (Some(1200), Some(400));
        });
        note(|r| r.error = None);
        assert_eq!(tally.outgoing, Carried { keys: 8, bytes: 80, moved: 1, failed: 0 });
        assert_eq!(
            (tally.attempts, tally.stall_write.count(), tally.stall_read.count()),
            (2, 1, 1)
        );
        assert_eq!(tally.stall_write.buckets[3], 1, "1.2 ms is at most 1.5 ms");
        assert!((tally.stall_write.seconds - 0.0012).abs() < 1e-9);
    }
}
