//! Which wanted moves may begin now: pure.

use crate::state::{Moving, Phase};
use cluster::GroupId;
use std::collections::HashMap;

/// Counts what is under way for each pair of groups, in one direction.
#[derive(Debug)]
pub(super) struct Window {
    max: usize,
    open: HashMap<(GroupId, GroupId), usize>,
    /// Whether the limit kept anything from beginning.
    pub(super) was_full: bool,
}

impl Window {
    /// `max` slots may be under way for each pair. What has settled is tidied up outside of the window.
    pub(super) fn new<'a>(max: usize, under_way: impl Iterator<Item = &'a Moving>) -> Self {
        let mut open = HashMap::new();
        for moving in under_way.filter(|m| m.phase != Phase::Settled) {
            *open.entry((moving.from, moving.to)).or_insert(0) += 1;
        }
        Self { max, open, was_full: false }
    }

    /// Takes a place if there is one.
    pub(super) fn enter(&mut self, from: GroupId, to: GroupId) -> bool {
        let count = self.open.entry((from, to)).or_insert(0);
        if *count >= self.max {
            self.was_full = true;
            return false;
        }
        *count += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::{Epoch, MigrationId};

    #[test]
    fn each_pair_and_direction_has_its_own_limit_and_settled_slots_leave_it() {
        let moving = |phase| Moving {
            id: MigrationId(1),
            from: GroupId(1),
            to: GroupId(2),
            epoch: Epoch(2),
            phase,
            opened_ms: 0,
        };
        let under_way = [moving(Phase::Armed), moving(Phase::Settled)];
        let mut window = Window::new(2, under_way.iter());
        assert!(window.enter(GroupId(1), GroupId(2)));
        assert!(!window.was_full);
        assert!(!window.enter(GroupId(1), GroupId(2)) && window.was_full);
        assert!(window.enter(GroupId(2), GroupId(1)) && window.enter(GroupId(1), GroupId(3)));
    }
}
