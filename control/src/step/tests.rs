//! Every phase of the store with everything the nodes may say.

use super::*;
use cluster::{Epoch, GroupId, MigrationId};

use NodePhase as N;

const SEEN: [Sight; 12] = [
    Sight::Dark,
    Sight::Seen(N::Copying),
    Sight::Seen(N::Copied),
    Sight::Seen(N::Armed),
    Sight::Seen(N::Sealed),
    Sight::Seen(N::Granted),
    Sight::Seen(N::Doubt),
    Sight::Seen(N::Failed),
    Sight::Seen(N::Refused),
    Sight::Seen(N::Unknown),
    Sight::Seen(N::Importing),
    Sight::Seen(N::Ready),
];

fn moving(phase: Phase) -> Moving {
    Moving {
        id: MigrationId(7),
        from: GroupId(1),
        to: GroupId(2),
        epoch: Epoch(5),
        phase,
        opened_ms: 0,
    }
}

fn undo_phase() -> Phase {
    Phase::Undo { reason: "test".to_owned() }
}

fn view(sight: Sight) -> View<'static> {
    View { sight, whereabouts: None, error: None, lost: None }
}

fn seen(phase: N) -> Sight {
    Sight::Seen(phase)
}

fn decide(phase: Phase, source: Sight, target: Sight) -> Step {
    decide_having(phase, source, target, &Heard::default())
}

fn decide_having(phase: Phase, source: Sight, target: Sight, heard: &Heard) -> Step {
    let moving = moving(phase);
    next(&Picture {
        moving: &moving,
        source: view(source),
        target: view(target),
        heard,
        time: Time::default(),
    })
}

#[test]
fn a_move_without_trouble_goes_through_all_steps() {
    use Step::{Say, Store};
    let open = |source, target| decide(Phase::Open, seen(source), seen(target));
    assert_eq!(open(N::Unknown, N::Unknown), Say(Word::Import));
    assert_eq!(open(N::Unknown, N::Importing), Say(Word::Export));
    assert_eq!(open(N::Copying, N::Importing), Step::Wait("copying"));
    assert_eq!(open(N::Copied, N::Importing), Store(Mark::Armed));
    let mut heard = Heard::default();
    let copied =
        |heard: &Heard| decide_having(Phase::Armed, seen(N::Copied), seen(N::Importing), heard);
    assert_eq!(copied(&heard), Say(Word::Arm(Role::Target)));
    heard.target_armed = true;
    assert_eq!(copied(&heard), Say(Word::Arm(Role::Source)));
    for source in [N::Armed, N::Sealed, N::Granted] {
        assert!(
            matches!(decide(Phase::Armed, seen(source), seen(N::Ready)), Step::Wait(_)),
            "{source:?}"
        );
    }
    let mut heard = Heard::default();
    let owned =
        |heard: &Heard| decide_having(Phase::Armed, seen(N::Granted), seen(N::Owned), heard);
    assert_eq!(owned(&heard), Say(Word::Durable));
    heard.durable = true;
    assert_eq!(owned(&heard), Store(Mark::Settled));
    let mut heard = Heard::default();
    let settled =
        |heard: &Heard| decide_having(Phase::Settled, seen(N::Owned), seen(N::Owned), heard);
    assert_eq!(settled(&heard), Say(Word::Clean));
    heard.cleaned = true;
    assert_eq!(settled(&heard), Store(Mark::Moved));
}

/// The rule of WIRE §4 and of the model: DROP follows a source that owns the slot, so `Whole` needs its word.
#[test]
fn a_slot_is_called_whole_only_on_the_word_of_a_source_that_owns_it() {
    let place = |state: &str, epoch| Whereabouts { state: state.to_owned(), epoch: Epoch(epoch) };
    let aborted = Heard { aborted: true, ..Heard::default() };
    let moving = moving(undo_phase());
    let with = |sight, whereabouts: Option<&Whereabouts>, heard: &Heard| {
        let source = View { sight, whereabouts, error: None, lost: None };
        next(&Picture {
            moving: &moving,
            source,
            target: view(Sight::Dark),
            heard,
            time: Time::default(),
        })
    };
    for sight in SEEN.into_iter().filter(|s| *s != Sight::Dark) {
        assert_eq!(with(sight, None, &Heard::default()), Step::Say(Word::Abort), "{sight:?}");
        assert_eq!(with(sight, None, &aborted), Step::Say(Word::Where(Role::Source)));
        assert_eq!(with(sight, Some(&place("owned", 4)), &aborted), Step::Store(Mark::Whole));
        assert_eq!(
            with(sight, Some(&place("granted", 5)), &aborted),
            Step::Store(Mark::GrantedAfterAll)
        );
        assert_eq!(
            with(sight, Some(&place("absent", 5)), &aborted),
            Step::Store(Mark::GrantedAfterAll)
        );
        assert!(matches!(with(sight, Some(&place("doubt", 4)), &aborted), Step::Wait(_)));
    }
    let granted =
        Heard { refused: Some((Word::Abort, "ERR granted".to_owned())), ..Heard::default() };
    assert_eq!(with(seen(N::Granted), None, &granted), Step::Store(Mark::GrantedAfterAll));
    let doubt =
        Heard { refused: Some((Word::Abort, "ERR in doubt".to_owned())), ..Heard::default() };
    assert!(matches!(with(seen(N::Doubt), None, &doubt), Step::Wait(_)));
    assert!(
        matches!(with(Sight::Dark, None, &aborted), Step::Wait(_)),
        "a source that is away decides when it is back"
    );
}

#[test]
fn a_target_that_owns_the_slot_settles_it_whatever_else_is_seen() {
    let durable = Heard { durable: true, ..Heard::default() };
    let not_yet = Heard {
        refused: Some((Word::Durable, "ERR slot 3 is not owned".to_owned())),
        ..Heard::default()
    };
    for phase in [Phase::Open, Phase::Armed, undo_phase()] {
        for source in SEEN {
            let with = |heard: &Heard| decide_having(phase.clone(), source, seen(N::Owned), heard);
            assert_eq!(with(&Heard::default()), Step::Say(Word::Durable), "{phase:?} {source:?}");
            assert_eq!(with(&durable), Step::Store(Mark::Settled), "{phase:?} {source:?}");
            assert!(
                matches!(with(&not_yet), Step::Wait(_)),
                "{phase:?} {source:?}: it lost its power, and may own it again"
            );
        }
    }
}

#[test]
fn nobody_is_told_to_arm_before_the_store_says_so_nor_to_clean_and_nothing_settles_before_it_is_durable()
 {
    for phase in [Phase::Open, Phase::Armed, Phase::Settled, undo_phase()] {
        for (source, target) in SEEN.into_iter().flat_map(|s| SEEN.map(|t| (s, t))) {
            let step = decide(phase.clone(), source, target);
            if matches!(step, Step::Say(Word::Arm(_))) {
                assert_eq!(phase, Phase::Armed);
            }
            let tidies = matches!(step, Step::Say(Word::Clean) | Step::Store(Mark::Moved));
            assert!(!tidies || phase == Phase::Settled, "{phase:?}: {step:?}");
            assert_ne!(step, Step::Store(Mark::Settled), "{phase:?}: nothing is durable yet");
            if let Step::Say(word) = step {
                let sight = if word.role() == Role::Source { source } else { target };
                assert_ne!(sight, Sight::Dark, "{phase:?}: {word:?} to a node that is away");
            }
        }
    }
}

#[test]
fn after_the_grant_nothing_is_called_off() {
    let heard =
        Heard { refused: Some((Word::Arm(Role::Source), "x".to_owned())), ..Heard::default() };
    let time = Time { armed_long: true, standing: true, ..Time::default() };
    let moving = moving(Phase::Armed);
    for target in SEEN {
        let target = View { lost: Some("away"), ..view(target) };
        let step = next(&Picture {
            moving: &moving,
            source: view(seen(N::Granted)),
            target,
            heard: &heard,
            time,
        });
        assert!(
            matches!(step, Step::Wait(_) | Step::Say(Word::Where(_))),
            "{:?}: {step:?}",
            target.sight
        );
    }
}

#[test]
fn what_can_come_to_nothing_any_more_is_called_off_with_the_reason() {
    let called_off = |step: Step, reason: &str| match step {
        Step::Store(Mark::CalledOff(text)) => assert!(text.contains(reason), "{text}"),
        other => panic!("{reason}: {other:?}"),
    };
    for phase in [Phase::Open, Phase::Armed] {
        let refused =
            Heard { refused: Some((Word::Import, "holds 3 keys".to_owned())), ..Heard::default() };
        called_off(
            decide_having(phase.clone(), seen(N::Copied), seen(N::Importing), &refused),
            "3 keys",
        );
        called_off(
            decide(phase.clone(), seen(N::Failed), seen(N::Importing)),
            "given the migration up",
        );
        called_off(decide(phase.clone(), seen(N::Copying), seen(N::Refused)), "refused");
        let (moving, heard) = (moving(phase), Heard::default());
        let base = Picture {
            moving: &moving,
            source: view(seen(N::Copying)),
            target: view(seen(N::Importing)),
            heard: &heard,
            time: Time::default(),
        };
        let lost = View { lost: Some("group 2's node is away"), ..view(Sight::Dark) };
        called_off(next(&Picture { target: lost, ..base.clone() }), "group 2's node");
        let standing = Time { standing: true, ..Time::default() };
        called_off(next(&Picture { time: standing, ..base.clone() }), "does not come on");
    }
    let armed = moving(Phase::Armed);
    let time = Time { armed_long: true, ..Time::default() };
    let (source, target) = (view(seen(N::Armed)), view(seen(N::Ready)));
    let heard = Heard::default();
    called_off(
        next(&Picture { moving: &armed, source, target, heard: &heard, time }),
        "no handoff",
    );
}

#[test]
fn an_owner_that_was_restarted_is_recognised_by_the_slot_s_epoch() {
    let moving = moving(Phase::Armed);
    let heard = Heard::default();
    let decide = |source, state: Option<(&str, u64)>| {
        let place = state
            .map(|(state, epoch)| Whereabouts { state: state.to_owned(), epoch: Epoch(epoch) });
        let target = View { whereabouts: place.as_ref(), ..view(seen(N::Unknown)) };
        next(&Picture {
            moving: &moving,
            source: view(source),
            target,
            heard: &heard,
            time: Time::default(),
        })
    };
    assert_eq!(decide(Sight::Dark, None), Step::Say(Word::Where(Role::Target)));
    assert_eq!(decide(Sight::Dark, Some(("owned", 5))), Step::Say(Word::Durable));
    assert!(matches!(decide(seen(N::Armed), Some(("absent", 4))), Step::Store(Mark::CalledOff(_))));
    assert!(matches!(decide(seen(N::Granted), Some(("absent", 4))), Step::Wait(_)));
}

#[test]
fn a_paused_migration_copies_but_is_not_handed_over() {
    let moving = moving(Phase::Open);
    let time = Time { paused: true, ..Time::default() };
    let heard = Heard::default();
    let decide = |source| {
        let target = view(seen(N::Importing));
        next(&Picture { moving: &moving, source: view(seen(source)), target, heard: &heard, time })
    };
    assert_eq!(decide(N::Copied), Step::Wait("paused: copied, not handed over"));
    assert_eq!(decide(N::Copying), Step::Wait("copying"));
}
