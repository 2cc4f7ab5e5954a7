//! Which wanted moves may begin now, and which slots may be locked: pure.

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

/// Slots of nodes that are not ours are locked one at a time: clients wait for the slowest proxy. And no more are locked than such a node can
/// empty: it sends keys one after the other, so those of each further slot wait for the others', and clients with them.
#[derive(Debug)]
pub(super) struct Door {
    max: usize,
    one_is_locked: bool,
    on_their_way: HashMap<(GroupId, GroupId), usize>,
}

impl Door {
    /// Keys of `max` slots may be on their way for each pair; `under_way` are moved by the proxies.
    pub(super) fn new<'a>(max: usize, under_way: impl Iterator<Item = &'a Moving>) -> Self {
        let mut door = Self { max, one_is_locked: false, on_their_way: HashMap::new() };
        for moving in under_way {
            door.one_is_locked |= matches!(
                moving.phase,
                Phase::Locked | Phase::Copying | Phase::Copied | Phase::Withdrawing { .. }
            );
            let count = door.on_their_way.entry((moving.from, moving.to)).or_insert(0);
            *count += usize::from(moving.phase == Phase::Armed);
        }
        door
    }

    /// Takes the lock if it is free.
    pub(super) fn enter(&mut self, from: GroupId, to: GroupId) -> bool {
        let is_full = self.on_their_way.get(&(from, to)).is_some_and(|count| *count >= self.max);
        let may = !self.one_is_locked && !is_full;
        self.one_is_locked |= may;
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::{Epoch, MigrationId};

    fn moving(to: u32, phase: Phase) -> Moving {
        let (from, to, epoch) = (GroupId(1), GroupId(to), Epoch(2));
        Moving { id: MigrationId(1), from, to, epoch, phase, opened_ms: 0 }
    }

    #[test]
    fn slots_are_locked_one_at_a_time_and_behind_those_whose_keys_are_on_their_way() {
        let (one, two) = (GroupId(1), GroupId(2));
        let opens = |under_way: &[Moving]| Door::new(2, under_way.iter()).enter(one, two);
        assert!(opens(&[moving(2, Phase::Open), moving(2, Phase::Armed)]));
        let reason = String::new();
        for phase in [Phase::Locked, Phase::Copying, Phase::Copied, Phase::Withdrawing { reason }] {
            assert!(!opens(&[moving(3, phase)]), "one is locked, wherever it goes");
        }
        assert!(!opens(&[moving(2, Phase::Armed), moving(2, Phase::Armed)]));
        assert!(opens(&[moving(2, Phase::Armed), moving(3, Phase::Armed)]), "another pair");
        let mut door = Door::new(2, std::iter::empty());
        assert!(door.enter(one, two) && !door.enter(two, one));
    }

    #[test]
    fn each_pair_and_direction_has_its_own_limit_and_settled_slots_leave_it() {
        let under_way = [moving(2, Phase::Armed), moving(2, Phase::Settled)];
        let mut window = Window::new(2, under_way.iter());
        assert!(window.enter(GroupId(1), GroupId(2)));
        assert!(!window.was_full);
        assert!(!window.enter(GroupId(1), GroupId(2)) && window.was_full);
        assert!(window.enter(GroupId(2), GroupId(1)) && window.enter(GroupId(1), GroupId(3)));
    }
}
