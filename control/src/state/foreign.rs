//! Slots that leave nodes which are not ours, and the proxies that must follow.

use super::{Event, EventKind, Phase, State};
use crate::Error;
use cluster::table::{Leaving, LeavingStage};
use cluster::{GroupId, Kind, Slot};
use serde::{Deserialize, Serialize};

/// A proxy that routes by our table. Until it is known to be gone, no slot leaves a node that is not ours without its word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyRecord {
    /// Where it runs and listens, for people; a proxy that is started anew has the same.
    pub name: String,
    /// New at each start.
    pub boot: String,
}

impl State {
    /// Whether the group's node is ours.
    pub fn is_ours(&self, group: GroupId) -> bool {
        self.group(group).is_none_or(|g| g.kind.is_ours())
    }

    /// Whether the proxies see to it that a slot moves from one group to the other: all moves but those between nodes of ours.
    pub fn is_by_proxies(&self, from: GroupId, to: GroupId) -> bool {
        !self.is_ours(from) || !self.is_ours(to)
    }

    /// What the proxies are to do about slots that leave nodes which are not ours.
    pub(super) fn leaving(&self) -> Vec<Leaving> {
        if self.groups.iter().all(|g| g.kind.is_ours()) {
            return Vec::new();
        }
        let by_proxies = self.migrations().filter(|(_, m)| self.is_by_proxies(m.from, m.to));
        let leaving = by_proxies.filter_map(|(slot, moving)| {
            let stage = match moving.phase {
                Phase::Open => LeavingStage::Examine,
                Phase::Locked => LeavingStage::Prepare,
                Phase::Copying => LeavingStage::Copy,
                Phase::Withdrawing { .. } => LeavingStage::Withdraw,
                Phase::Copied => LeavingStage::Clear,
                Phase::Armed => LeavingStage::Migrate,
                Phase::Settled | Phase::Undo { .. } => return None,
            };
            let copier = self.copier(moving.from).map(|proxy| proxy.boot.clone());
            Some(Leaving { slot, id: moving.id, to: moving.to, stage, copier })
        });
        leaving.collect()
    }

    /// The proxy that copies what the group's node cannot send: the one that joined first, so that it is another one only when the store says that
    /// the former is gone. Codis-servers send everything.
    pub fn copier(&self, from: GroupId) -> Option<&ProxyRecord> {
        let is_pika = self.group(from).is_some_and(|g| g.kind == Kind::Pika);
        self.proxies.first().filter(|_| is_pika)
    }

    /// Something has changed that the proxies must hear of, if the slot moves by them.
    pub(super) fn tell_proxies(&mut self, from: GroupId, to: GroupId) {
        self.version += u64::from(self.is_by_proxies(from, to));
    }

    pub(super) fn group_is(&mut self, id: GroupId, kind: Kind) {
        self.version += 1;
        for group in self.groups.iter_mut().filter(|g| g.id == id) {
            group.kind = kind;
            group.node = None;
        }
    }

    pub(super) fn proxy_joined(&mut self, proxy: ProxyRecord, at_ms: u64) {
        if self.proxies.iter().any(|known| known.boot == proxy.boot) {
            return;
        }
        self.note(Event::new(at_ms, EventKind::ProxyJoined).detail(proxy.name.clone()));
        self.proxies.push(proxy);
        self.copier_is_another(self.proxies.len() == 1);
    }

    /// Every proxy must hear who copies now.
    fn copier_is_another(&mut self, is_another: bool) {
        self.version += u64::from(is_another && !self.leaving().is_empty());
    }

    pub(super) fn proxy_gone(&mut self, boot: &str, at_ms: u64) {
        let Some(index) = self.proxies.iter().position(|known| known.boot == boot) else { return };
        let proxy = self.proxies.remove(index);
        self.copier_is_another(index == 0);
        self.note(Event::new(at_ms, EventKind::ProxyGone).detail(proxy.name));
    }

    pub(super) fn locked(&mut self, slot: Slot, at_ms: u64) -> Result<(), Error> {
        let (from, to) = self.phase(slot, Phase::Locked, |p| *p == Phase::Open)?;
        self.tell_proxies(from, to);
        self.note(Event::new(at_ms, EventKind::Locked).slots([slot]).path(from, to));
        Ok(())
    }

    /// A slot with keys that its node cannot send, locked by every proxy, goes one step on.
    pub(super) fn copy_goes_on(
        &mut self,
        slot: Slot,
        next: Phase,
        at_ms: u64,
    ) -> Result<(), Error> {
        let (before, kind) = match next {
            Phase::Copying => (Phase::Locked, EventKind::Copying),
            _ => (Phase::Copying, EventKind::Copied),
        };
        let (from, to) = self.phase(slot, next, |p| *p == before)?;
        self.tell_proxies(from, to);
        self.note(Event::new(at_ms, kind).slots([slot]).path(from, to));
        Ok(())
    }

    /// What was copied is deleted at the target, or left behind there: the slot may be unlocked.
    pub(super) fn unlocked(
        &mut self,
        slot: Slot,
        kind: EventKind,
        at_ms: u64,
    ) -> Result<(), Error> {
        let moving = self.slot(slot).and_then(|record| record.moving.as_ref());
        let mut reason = match moving.map(|m| &m.phase) {
            Some(Phase::Withdrawing { reason }) => reason.clone(),
            _ => String::new(),
        };
        if kind == EventKind::LeftBehind {
            reason.push_str(
                "; copies of keys may have been left at its target, which could not be asked",
            );
        }
        let is_withdrawing = |p: &Phase| matches!(p, Phase::Withdrawing { .. });
        let detail = reason.clone();
        let (from, to) = self.phase(slot, Phase::Undo { reason }, is_withdrawing)?;
        self.tell_proxies(from, to);
        self.note(Event::new(at_ms, kind).slots([slot]).path(from, to).detail(detail));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner;
    use crate::state::{Change, Figures};
    use cluster::{Epoch, MigrationId, SlotCount};

    const S: Slot = Slot(3);

    /// Groups 1 and 2 are Pikas, 3 is ours; slot 3 is to move from 1.
    fn state(to: u32, changes: &[Change]) -> State {
        let groups = [1, 2, 3].map(|id| (GroupId(id), format!("n{id}:1")));
        let mut state = State::found("c".to_owned(), SlotCount::new(30).unwrap(), &groups, 1);
        let kinds = [1, 2].map(|id| Change::GroupIs { id: GroupId(id), kind: Kind::Pika });
        let wanted = Change::Planned { slots: [S].into(), to: GroupId(to) };
        let opened = Change::Opened { slot: S, id: MigrationId(7) };
        for change in kinds.iter().chain([&wanted, &opened]).chain(changes) {
            state.apply(change.clone(), 2).unwrap();
        }
        state.check().unwrap();
        state
    }

    fn stage(state: &State) -> Option<LeavingStage> {
        let table = state.table();
        table.check().unwrap();
        table.leaving.first().map(|leaving| leaving.stage)
    }

    #[test]
    fn each_step_is_news_for_the_proxies_and_the_last_names_the_new_owner() {
        let mut state = state(2, &[]);
        let mut seen = vec![(stage(&state), state.version)];
        for change in
            [Change::Locked { slot: S }, Change::Armed { slot: S }, Change::Settled { slot: S }]
        {
            state.apply(change, 3).unwrap();
            seen.push((stage(&state), state.version));
        }
        let stages: Vec<_> = seen.iter().map(|(stage, _)| *stage).collect();
        use LeavingStage as L;
        assert_eq!(stages, [Some(L::Examine), Some(L::Prepare), Some(L::Migrate), None]);
        assert!(seen.windows(2).all(|two| two[0].1 < two[1].1), "{seen:?}");
        assert_eq!(state.table().owner(S).unwrap().group, GroupId(2));
        state.apply(Change::Moved { slot: S, figures: Figures::default() }, 4).unwrap();
        assert_eq!(state.slot(S).unwrap().epoch, Epoch(2));
    }

    #[test]
    fn what_is_locked_can_be_called_off_and_leaves_nothing_behind() {
        let mut state = state(2, &[Change::Locked { slot: S }]);
        let version = state.version;
        state.apply(Change::Aborted { slots: None }, 3).unwrap();
        assert!(stage(&state).is_none() && state.version > version, "the proxies must unlock it");
        state.apply(Change::Whole { slot: S }, 4).unwrap();
        assert!(state.debris.is_empty(), "no node of ours has a copy");
        assert_eq!(state.slot(S).unwrap().group, GroupId(1));
    }

    #[test]
    fn keys_that_are_on_their_way_are_not_called_back() {
        let mut state = state(2, &[Change::Locked { slot: S }, Change::Armed { slot: S }]);
        state.apply(Change::Aborted { slots: None }, 3).unwrap();
        assert_eq!(stage(&state), Some(LeavingStage::Migrate));
        assert_eq!(planner::abort(&state, None).unwrap().0.count, 0);
    }

    #[test]
    fn keys_that_the_node_cannot_send_are_copied_while_the_slot_is_locked() {
        let mut state = state(2, &[Change::Locked { slot: S }]);
        let mut seen = vec![(stage(&state), state.version)];
        for change in
            [Change::Copying { slot: S }, Change::Copied { slot: S }, Change::Armed { slot: S }]
        {
            state.apply(change, 3).unwrap();
            seen.push((stage(&state), state.version));
        }
        let stages: Vec<_> = seen.iter().filter_map(|(stage, _)| *stage).collect();
        use LeavingStage as L;
        assert_eq!(stages, [L::Prepare, L::Copy, L::Clear, L::Migrate]);
        assert!(seen.windows(2).all(|two| two[0].1 < two[1].1), "{seen:?}");
    }

    /// Whether the operator or the controller calls it off, and however often.
    #[test]
    fn what_was_copied_is_withdrawn_before_the_slot_is_unlocked() {
        let called_off = Change::CalledOff { slot: S, reason: "r".to_owned() };
        for undo in [called_off, Change::Aborted { slots: None }] {
            let mut state = state(2, &[Change::Locked { slot: S }, Change::Copying { slot: S }]);
            for change in [undo, Change::Aborted { slots: None }] {
                state.apply(change, 3).unwrap();
                assert_eq!(stage(&state), Some(LeavingStage::Withdraw));
            }
            assert!(state.apply(Change::Whole { slot: S }, 4).is_err(), "it is still locked");
            assert!(state.apply(Change::Copied { slot: S }, 4).is_err());
            let version = state.version;
            state.apply(Change::Withdrawn { slot: S }, 4).unwrap();
            assert!(stage(&state).is_none() && state.version > version, "the proxies unlock it");
            state.apply(Change::Whole { slot: S }, 5).unwrap();
            assert!(state.slot(S).unwrap().group == GroupId(1) && state.debris.is_empty());
        }
    }

    /// A target that is away keeps nobody waiting; what is found there later is named by the next look.
    #[test]
    fn a_slot_is_unlocked_though_copies_may_be_left_behind() {
        let mut state = state(2, &[Change::Locked { slot: S }, Change::Copying { slot: S }]);
        assert!(state.apply(Change::LeftBehind { slot: S }, 3).is_err(), "it is being copied");
        let reason = "the target is away".to_owned();
        state.apply(Change::CalledOff { slot: S, reason: reason.clone() }, 3).unwrap();
        state.apply(Change::LeftBehind { slot: S }, 4).unwrap();
        assert!(stage(&state).is_none(), "the proxies unlock it");
        let moving = state.slot(S).unwrap().moving.as_ref().unwrap();
        let Phase::Undo { reason: said } = &moving.phase else { panic!("{moving:?}") };
        assert!(said.starts_with(&reason) && said.contains("left at its target"), "{said}");
        state.apply(Change::Whole { slot: S }, 5).unwrap();
        assert_eq!(state.slot(S).unwrap().group, GroupId(1));
    }

    #[test]
    fn what_is_deleted_at_the_source_is_not_called_back() {
        let copied = [Change::Locked { slot: S }, Change::Copying { slot: S }];
        let mut state = state(2, &copied);
        state.apply(Change::Copied { slot: S }, 3).unwrap();
        state.apply(Change::Aborted { slots: None }, 3).unwrap();
        assert_eq!(stage(&state), Some(LeavingStage::Clear));
        assert!(state.apply(Change::CalledOff { slot: S, reason: String::new() }, 4).is_err());
        assert_eq!(planner::abort(&state, None).unwrap().0.count, 0);
    }

    #[test]
    fn another_proxy_copies_only_when_the_first_is_known_to_be_gone() {
        let mut state = state(2, &[]);
        let join = |boot: &str| {
            let (name, boot) = (format!("m/{boot}"), boot.to_owned());
            Change::ProxyJoined { proxy: ProxyRecord { name, boot } }
        };
        let copier = |state: &State| state.table().leaving[0].copier.clone();
        assert_eq!(copier(&state), None);
        let version = state.version;
        for boot in ["a", "b"] {
            state.apply(join(boot), 3).unwrap();
            assert_eq!(copier(&state).as_deref(), Some("a"));
            assert_eq!(state.version, version + 1);
        }
        state.apply(Change::ProxyGone { boot: "a".to_owned() }, 4).unwrap();
        assert_eq!((copier(&state).as_deref(), state.version), (Some("b"), version + 2));
    }

    /// A slot of ours goes to such a node as one of such a node does, and nobody has a copy to drop.
    #[test]
    fn slots_of_ours_go_to_others_by_the_proxies_too() {
        let mut state = state(2, &[]);
        let slot = Slot(25);
        let planned = planner::plan(&state, &"25".parse().unwrap(), GroupId(2)).unwrap().1;
        let opened = Change::Opened { slot, id: MigrationId(8) };
        for change in [planned, opened, Change::Locked { slot }] {
            state.apply(change, 3).unwrap();
        }
        let stages: Vec<_> = state.table().leaving.iter().map(|l| (l.slot, l.stage)).collect();
        assert_eq!(stages, [(S, LeavingStage::Examine), (slot, LeavingStage::Prepare)]);
        let reason = String::new();
        state.apply(Change::CalledOff { slot, reason }, 4).unwrap();
        state.apply(Change::Whole { slot }, 4).unwrap();
        assert!(state.debris.is_empty(), "no node of ours has a copy");
    }

    #[test]
    fn slots_do_not_move_between_strangers_of_two_kinds() {
        let kind = Change::GroupIs { id: GroupId(2), kind: Kind::CodisServer };
        let state = state(3, &[kind]);
        let refused = planner::plan(&state, &"4-5".parse().unwrap(), GroupId(2)).unwrap_err();
        assert!(refused.error.contains("slots 4-5 are at nodes of another kind"), "{refused:?}");
    }

    #[test]
    fn a_proxy_joins_once_and_is_gone_by_its_boot() {
        let mut state = state(2, &[]);
        let proxy = ProxyRecord { name: "m/p:1".to_owned(), boot: "b".to_owned() };
        for _ in 0..2 {
            state.apply(Change::ProxyJoined { proxy: proxy.clone() }, 3).unwrap();
        }
        assert_eq!(state.proxies.len(), 1);
        let kept: State = serde_json::from_slice(&serde_json::to_vec(&state).unwrap()).unwrap();
        assert_eq!(kept, state);
        state.apply(Change::ProxyGone { boot: "b".to_owned() }, 4).unwrap();
        assert!(state.proxies.is_empty());
    }
}
