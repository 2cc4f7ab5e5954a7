//! What a request of the operator means for each slot, and whether it can be done. Pure.

use crate::docs::{Leaving, MovePlanned, Refusal, SlotsChanged, Stage};
use crate::state::{Change, Phase, SlotRecord, State, WantStatus};
use cluster::{GroupId, Slot, SlotRanges};
use std::collections::{BTreeMap, BTreeSet};

/// Rates below this could not be waited for: a chunk would take minutes.
pub const PACE_BYTES_MIN: u64 = 64 << 10;

/// What happens to a slot.
pub fn stage(record: &SlotRecord, all_paused: bool) -> Stage {
    if let Some(moving) = &record.moving {
        return match moving.phase {
            Phase::Open => Stage::Copying,
            Phase::Locked | Phase::Copying | Phase::Copied | Phase::Armed => Stage::HandingOff,
            Phase::Settled => Stage::Cleaning,
            Phase::Withdrawing { .. } | Phase::Undo { .. } => Stage::Undoing,
        };
    }
    match record.want.as_ref().map(|w| &w.status) {
        None => Stage::Settled,
        Some(WantStatus::Failed { .. }) => Stage::Failed,
        Some(WantStatus::Paused) => Stage::Paused,
        Some(WantStatus::Active) if all_paused => Stage::Paused,
        Some(WantStatus::Active) => Stage::Waiting,
    }
}

/// "These slots to that group": what it would do, and the change that does it.
pub fn plan(
    state: &State,
    slots: &SlotRanges,
    to: GroupId,
) -> Result<(MovePlanned, Change), Refusal> {
    slots.check(state.slot_count).map_err(|error| {
        refusal(
            error,
            "name slots that exist, for example --slots 0-99,512; `slipway slots` lists them",
        )
    })?;
    if state.group(to).is_none() {
        let known: Vec<String> = state.groups.iter().map(|g| g.id.to_string()).collect();
        let error = format!("group {to} does not exist; there are {}", known.join(", "));
        return Err(refusal(error, "name one of them, or add the group and start again"));
    }
    let elsewhere: SlotRanges =
        slots.iter().filter(|s| state.slot(*s).is_some_and(|r| goes_elsewhere(r, to))).collect();
    if !elsewhere.is_empty() {
        let error = format!("slots {elsewhere} are on their way to another group");
        let what_to_do =
            format!("wait for that, or call it off: slipway abort --slots {elsewhere}");
        return Err(refusal(error, &what_to_do));
    }
    let mut leaving: BTreeMap<GroupId, Vec<Slot>> = BTreeMap::new();
    check_kinds(state, slots, to)?;
    let (mut there, mut under_way) = (Vec::new(), Vec::new());
    for slot in slots.iter() {
        let Some(record) = state.slot(slot) else { continue };
        if record.group == to && record.moving.is_none() {
            there.push(slot);
        } else if record.moving.as_ref().is_some_and(|m| m.to == to && !is_undone(&m.phase)) {
            under_way.push(slot);
        } else {
            leaving.entry(record.group).or_default().push(slot);
        }
    }
    let from = leaving.into_iter().map(|(group, slots)| Leaving {
        group,
        count: slots.len(),
        slots: text(slots),
    });
    let planned = MovePlanned {
        plan: Some(state.next_plan),
        to,
        there: text(there),
        from: from.collect(),
        under_way: text(under_way),
        slots: slots.len(),
    };
    Ok((planned, Change::Planned { slots: slots.iter().collect(), to }))
}

/// Nodes that are not ours move slots to such as they are, or to ours.
fn check_kinds(state: &State, slots: &SlotRanges, to: GroupId) -> Result<(), Refusal> {
    let kind = |group| state.group(group).map(|g| g.kind).unwrap_or_default();
    let target = kind(to);
    let is_far = |r: &SlotRecord| {
        let source = kind(r.group);
        source != target && !source.is_ours() && !target.is_ours()
    };
    let stuck: SlotRanges =
        slots.iter().filter(|slot| state.slot(*slot).is_some_and(is_far)).collect();
    if stuck.is_empty() {
        return Ok(());
    }
    let error = format!("slots {stuck} are at nodes of another kind than group {to}'s");
    Err(refusal(error, "move them to a group of ours first, and from there"))
}

/// Whether a move of the slot to `to` would cross one that is wanted or under way.
fn goes_elsewhere(record: &SlotRecord, to: GroupId) -> bool {
    let moving = record
        .moving
        .as_ref()
        .is_some_and(|m| m.to != to && !is_undone(&m.phase) && m.phase != Phase::Settled);
    moving || record.wanted().is_some_and(|w| w.to != to)
}

fn is_undone(phase: &Phase) -> bool {
    matches!(phase, Phase::Withdrawing { .. } | Phase::Undo { .. })
}

/// "Pause these moves", or everything.
pub fn pause(state: &State, slots: Option<&SlotRanges>) -> Result<(SlotsChanged, Change), Refusal> {
    let about = about(state, slots, |r| r.wanted().is_some())?;
    let note = "nothing new begins and no slot changes hands; copies under way are finished and kept up to date; `slipway resume` goes on";
    Ok((changed(&about, note), Change::Paused { slots: slots.map(|_| about) }))
}

/// "Go on", and take up what had failed.
pub fn resume(
    state: &State,
    slots: Option<&SlotRanges>,
) -> Result<(SlotsChanged, Change), Refusal> {
    let about = about(state, slots, |r| r.want.is_some())?;
    let note = if slots.is_some() && state.paused {
        "everything is still paused: `slipway resume` without --slots goes on"
    } else {
        ""
    };
    Ok((changed(&about, note), Change::Resumed { slots: slots.map(|_| about) }))
}

/// "Call these moves off", or all.
pub fn abort(state: &State, slots: Option<&SlotRanges>) -> Result<(SlotsChanged, Change), Refusal> {
    // Keys that have left by the proxies do not go back.
    let is_tidying = |r: &SlotRecord| {
        r.moving.as_ref().is_some_and(|m| match m.phase {
            Phase::Settled | Phase::Copied => true,
            Phase::Armed => state.is_by_proxies(m.from, m.to),
            _ => false,
        })
    };
    let about = about(state, slots, |r| r.want.is_some() && !is_tidying(r))?;
    let note = "the slots stay where they are, but for those that have just been handed over";
    Ok((changed(&about, note), Change::Aborted { slots: Some(about) }))
}

/// "Copy no faster than this."
pub fn pace(bytes: u64) -> Result<Change, Refusal> {
    if bytes != 0 && bytes < PACE_BYTES_MIN {
        let error = format!(
            "{bytes} bytes a second are too few: at least {PACE_BYTES_MIN}, or 0 for no ceiling"
        );
        return Err(refusal(error, "choose another rate, or `slipway pause`"));
    }
    Ok(Change::PaceSet { bytes })
}

fn about(
    state: &State,
    slots: Option<&SlotRanges>,
    concerns: impl Fn(&SlotRecord) -> bool,
) -> Result<BTreeSet<Slot>, Refusal> {
    if let Some(slots) = slots {
        slots
            .check(state.slot_count)
            .map_err(|error| refusal(error, "`slipway slots` lists the slots"))?;
    }
    let named = |slot: Slot| slots.is_none_or(|s| s.contains(slot));
    Ok(state
        .records()
        .filter(|(slot, record)| named(*slot) && concerns(record))
        .map(|(slot, _)| slot)
        .collect())
}

fn changed(about: &BTreeSet<Slot>, note: &str) -> SlotsChanged {
    SlotsChanged { slots: text(about.iter().copied()), count: about.len(), note: note.to_owned() }
}

fn text(slots: impl IntoIterator<Item = Slot>) -> String {
    slots.into_iter().collect::<SlotRanges>().to_string()
}

pub(crate) fn refusal(error: impl Into<String>, what_to_do: &str) -> Refusal {
    Refusal { error: error.into(), what_to_do: what_to_do.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::{MigrationId, SlotCount};

    fn state(changes: &[Change]) -> State {
        let groups = [
            (GroupId(1), "a:1".to_owned()),
            (GroupId(2), "b:1".to_owned()),
            (GroupId(3), "c:1".to_owned()),
        ];
        let mut state = State::found("c".to_owned(), SlotCount::new(30).unwrap(), &groups, 1);
        for change in changes {
            state.apply(change.clone(), 2).unwrap();
        }
        state
    }

    fn ranges(text: &str) -> SlotRanges {
        text.parse().unwrap()
    }

    fn planned(slots: &str, to: u32) -> Change {
        Change::Planned { slots: ranges(slots).iter().collect(), to: GroupId(to) }
    }

    #[test]
    fn a_plan_says_what_moves_from_where_and_what_is_there() {
        let (plan, change) = plan(&state(&[]), &ranges("5-14,25"), GroupId(2)).unwrap();
        assert_eq!((plan.there.as_str(), plan.slots, plan.under_way.as_str()), ("10-14", 11, ""));
        let from: Vec<_> =
            plan.from.iter().map(|f| (f.group.0, f.slots.as_str(), f.count)).collect();
        assert_eq!(from, [(1, "5-9", 5), (3, "25", 1)]);
        assert_eq!(change, planned("5-14,25", 2));
    }

    #[test]
    fn what_cannot_be_planned_is_refused_with_what_to_do() {
        let refused =
            |state: &State, slots, to| plan(state, &ranges(slots), GroupId(to)).unwrap_err();
        assert!(refused(&state(&[]), "30", 2).error.contains("slot 30 does not exist"));
        assert!(refused(&state(&[]), "3", 9).error.contains("there are 1, 2, 3"));
        let queued = state(&[planned("0-3", 2)]);
        let error = refused(&queued, "3-4", 3);
        assert!(error.error.contains("slots 3 are"), "{error:?}");
        assert!(error.what_to_do.contains("slipway abort --slots 3"), "{error:?}");
    }

    #[test]
    fn the_same_wish_twice_joins_the_first_and_a_settled_slot_may_be_wished_back() {
        let opened = Change::Opened { slot: Slot(3), id: MigrationId(1) };
        let moving = state(&[planned("0-3", 2), opened]);
        let (again, _) = plan(&moving, &ranges("0-3"), GroupId(2)).unwrap();
        assert_eq!((again.under_way.as_str(), again.from[0].slots.as_str()), ("3", "0-2"));
        let mut settled = moving;
        settled.apply(Change::Settled { slot: Slot(3) }, 3).unwrap();
        settled.apply(Change::Aborted { slots: None }, 3).unwrap();
        assert!(settled.slot(Slot(3)).unwrap().want.is_some(), "what has settled is not aborted");
        assert!(plan(&settled, &ranges("3"), GroupId(3)).is_err());
    }

    #[test]
    fn words_without_slots_are_about_everything_and_with_slots_only_about_those_that_want_to_move()
    {
        let state = state(&[planned("0-3", 2)]);
        assert_eq!(pause(&state, None).unwrap().1, Change::Paused { slots: None });
        let (changed, change) = pause(&state, Some(&ranges("3-20"))).unwrap();
        assert_eq!((changed.slots.as_str(), changed.count), ("3", 1));
        assert_eq!(change, Change::Paused { slots: Some([Slot(3)].into()) });
        assert_eq!(abort(&state, None).unwrap().0.slots, "0-3");
        assert!(resume(&state, Some(&ranges("99"))).is_err());
    }

    #[test]
    fn a_pace_that_would_stand_still_is_refused() {
        assert!(pace(1).is_err() && pace(0).is_ok() && pace(PACE_BYTES_MIN).is_ok());
    }
}
