//! The rules of the stored state.

use super::*;

const A: GroupId = GroupId(1);
const B: GroupId = GroupId(2);
const SLOT: Slot = Slot(3);

fn state() -> State {
    let groups = [(A, "a:1".to_owned()), (B, "b:1".to_owned())];
    State::found("c".to_owned(), SlotCount::new(16).unwrap(), &groups, 1)
}

fn with(changes: impl IntoIterator<Item = Change>) -> State {
    let mut state = state();
    for change in changes {
        state.apply(change.clone(), 5).unwrap_or_else(|e| panic!("{change:?}: {e}"));
    }
    state.check().unwrap();
    state
}

fn planned() -> Change {
    Change::Planned { slots: [SLOT].into(), to: B }
}

fn opened(n: u128) -> Change {
    Change::Opened { slot: SLOT, id: MigrationId(n) }
}

fn called_off() -> Change {
    Change::CalledOff { slot: SLOT, reason: "test".to_owned() }
}

fn moved() -> Change {
    let figures = Figures { keys: 5, bytes: 100, stall_write_us: Some(900), ..Figures::default() };
    Change::Moved { slot: SLOT, figures }
}

#[test]
fn a_new_cluster_is_spread_in_equal_runs() {
    let state = state();
    let owners: Vec<u32> = state.slots.iter().map(|s| s.group.0).collect();
    assert_eq!(owners, [[1; 8], [2; 8]].concat());
    assert_eq!(state.check(), Ok(()));
}

#[test]
fn a_move_that_succeeds_changes_owner_epoch_and_table_and_adds_up_in_its_plan() {
    let armed = Change::Armed { slot: SLOT };
    let before = with([planned(), opened(1), armed.clone()]);
    assert_eq!(before.version, 1, "the table changes when a slot settles, not before");
    let state = with([planned(), opened(1), armed, Change::Settled { slot: SLOT }, moved()]);
    let record = state.slot(SLOT).unwrap();
    assert_eq!((record.group, record.epoch, record.reserved), (B, Epoch(2), Epoch(2)));
    assert_eq!((&record.moving, &record.want), (&None, &None));
    assert_eq!(state.version, 2);
    let plan = &state.plans[0];
    assert_eq!((plan.keys, plan.bytes, plan.ended_ms, plan.arrived.len()), (5, 100, Some(5), 1));
    assert_eq!(plan.stall_write.spread().max, 900);
}

#[test]
fn an_epoch_is_never_promised_twice() {
    let whole = Change::Whole { slot: SLOT };
    let state = with([
        planned(),
        opened(1),
        called_off(),
        whole.clone(),
        opened(2),
        called_off(),
        whole,
        opened(3),
    ]);
    let record = state.slot(SLOT).unwrap();
    assert_eq!((record.epoch, record.reserved), (Epoch(1), Epoch(4)));
    assert_eq!(record.moving.as_ref().unwrap().epoch, Epoch(4));
    assert_eq!(record.want.as_ref().unwrap().tries, 2);
    assert_eq!(state.debris.len(), 2);
}

#[test]
fn changes_that_make_no_sense_are_refused() {
    let settled = Change::Settled { slot: SLOT };
    let cases: [(&[Change], Change); 8] = [
        (&[], opened(1)),
        (&[], settled.clone()),
        (&[], called_off()),
        (&[planned(), opened(1)], opened(2)),
        (&[planned(), opened(1)], moved()),
        (&[planned(), opened(1)], Change::Whole { slot: SLOT }),
        (&[planned(), opened(1), settled.clone()], called_off()),
        (&[planned(), opened(1), settled], Change::Armed { slot: SLOT }),
    ];
    for (before, change) in cases {
        let mut state = with(before.to_vec());
        assert!(state.apply(change.clone(), 6).is_err(), "{before:?} then {change:?}");
    }
    assert!(state().apply(Change::Settled { slot: Slot(99) }, 6).is_err());
}

#[test]
fn an_abort_that_comes_too_late_is_undone_in_the_plan() {
    let abort = Change::Aborted { slots: None };
    let state = with([planned(), opened(1), Change::Armed { slot: SLOT }, abort.clone()]);
    assert!(state.plans[0].aborted.contains(&SLOT));
    assert_eq!(state.plans[0].ended_ms, Some(5));
    let settled = Change::Settled { slot: SLOT };
    let state =
        with([planned(), opened(1), Change::Armed { slot: SLOT }, abort.clone(), settled.clone()]);
    assert!(state.plans[0].open.contains(&SLOT), "the target owned it already");
    let granted = Change::GrantedAfterAll { slot: SLOT };
    let state = with([
        planned(),
        opened(1),
        Change::Armed { slot: SLOT },
        abort,
        granted,
        settled,
        moved(),
    ]);
    assert!(state.plans[0].arrived.contains(&SLOT));
}

#[test]
fn a_failed_move_is_taken_up_again_by_resume_and_forgotten_by_abort() {
    let failed = Change::Failed { slot: SLOT, reason: "no room".to_owned() };
    let state = with([planned(), failed.clone()]);
    assert_eq!(state.plans[0].failed[&SLOT], "no room");
    assert!(state.plans[0].ended_ms.is_some() && state.slot(SLOT).unwrap().wanted().is_none());
    let state = with([planned(), failed.clone(), Change::Resumed { slots: None }]);
    assert!(state.plans[0].open.contains(&SLOT) && state.plans[0].ended_ms.is_none());
    assert!(state.slot(SLOT).unwrap().wanted().is_some());
    let state = with([planned(), failed, Change::Aborted { slots: Some([SLOT].into()) }]);
    assert!(state.plans[0].aborted.contains(&SLOT) && state.slot(SLOT).unwrap().want.is_none());
}

#[test]
fn a_slot_that_is_wished_back_before_it_left_has_arrived() {
    let back = Change::Planned { slots: [SLOT].into(), to: A };
    let abort = Change::Aborted { slots: None };
    let state = with([planned(), opened(1), abort, back, Change::Whole { slot: SLOT }]);
    assert!(state.plans[1].arrived.contains(&SLOT));
    assert!(state.slot(SLOT).unwrap().want.is_none());
}

#[test]
fn a_group_without_slots_can_leave() {
    let c = GroupId(3);
    let state = with([
        Change::GroupAdded { id: c, addr: "c:1".to_owned() },
        Change::GroupRemoved { id: c },
    ]);
    assert_eq!((state.groups.len(), state.version), (2, 3));
    assert!(self::state().apply(Change::GroupRemoved { id: A }, 6).is_err());
}

#[test]
fn the_history_keeps_the_last_thousand_lines() {
    let mut state = state();
    for n in 0..2 * HISTORY_MAX as u64 {
        state.apply(Change::PaceSet { bytes: n }, n).unwrap();
    }
    assert_eq!(state.history.len(), HISTORY_MAX);
    assert_eq!(state.history.back().unwrap().detail, "1999 bytes/s");
}

#[test]
fn plans_that_ended_are_forgotten_one_day_and_running_ones_never() {
    let mut state = with([planned()]);
    for _ in 0..2 * PLANS_ENDED_MAX {
        state.apply(Change::Planned { slots: [Slot(0)].into(), to: A }, 7).unwrap();
    }
    assert_eq!(state.plans.len(), PLANS_ENDED_MAX + 1);
    assert_eq!(state.plans[0].id, PlanId(1));
    assert_eq!(state.plans.last().unwrap().id, PlanId(1 + 2 * PLANS_ENDED_MAX as u64));
}
