use super::*;

const M: MigrationId = MigrationId(7);
const T: Token = Token(42);

fn out() -> Migration {
    Migration { id: M, epoch: Epoch(2), peer: "target:1".into() }
}
fn from() -> Migration {
    Migration { id: M, epoch: Epoch(2), peer: "source:1".into() }
}

/// One of each state, with the migration in question where it has one.
fn states() -> Vec<SlotState> {
    let epoch = Epoch(1);
    vec![
        SlotState::Unclaimed,
        SlotState::Owned { epoch },
        SlotState::Copying { epoch, out: out() },
        SlotState::Armed { epoch, out: out(), attempt: 0 },
        SlotState::Sealed { epoch, out: out(), attempt: 1 },
        SlotState::Doubt { epoch, out: out() },
        SlotState::Granted { out: out(), attempt: 1, token: Some(T) },
        SlotState::Absent { epoch, hint: Some("source:1".into()), refused: None },
        SlotState::Absent { epoch, hint: None, refused: Some(M) },
        SlotState::Importing { from: from(), last: epoch },
        SlotState::Ready { from: from(), last: epoch, attempt: 1, token: T },
    ]
}

/// Every event that can happen to a slot.
fn after_each_event(state: &SlotState) -> Vec<(&'static str, SlotState)> {
    let s = || state.clone();
    let tried: Vec<(&'static str, Next)> = vec![
        ("assign me", s().assign(Epoch(1), None)),
        ("assign other", s().assign(Epoch(1), Some("b:1".into()))),
        ("disclaim", s().disclaim(Epoch(1))),
        ("export", s().export(out())),
        ("arm", s().arm(M)),
        ("seal", s().seal(M)),
        ("unseal", s().unseal(M, 1)),
        ("grant", s().grant(M, 1, T)),
        ("resolved owned", s().resolved(M, Verdict::Owned)),
        ("resolved refused", s().resolved(M, Verdict::Refused)),
        ("abort", s().abort(M)),
        ("clean", s().clean(M)),
        ("import", s().import(from())),
        ("ready", s().ready(M, 1, T)),
        ("ready again", s().ready(M, 2, T)),
        ("granted", s().granted(M, 1)),
        ("presented", s().presented(T)),
        ("dropped", s().dropped(M)),
        ("restarted", Ok((s().restarted(), Persist::No))),
        ("resolve", Ok((s().resolve(M, Epoch(2)).0, Persist::No))),
    ];
    tried.into_iter().filter_map(|(name, next)| next.ok().map(|(n, _)| (name, n))).collect()
}

/// The only ways to begin to write are those the diagram shows.
#[test]
fn a_node_becomes_a_writer_only_by_right() {
    let mut ways = Vec::new();
    for state in states() {
        for (event, next) in after_each_event(&state) {
            if !state.writes() && next.writes() {
                ways.push(format!("{} {event}", state.name()));
            }
        }
    }
    assert_eq!(
        ways,
        [
            "sealed unseal",
            "sealed abort",
            "doubt resolved refused",
            "absent disclaim",
            "refused disclaim",
            "ready granted",
            "ready presented"
        ]
    );
}

/// After the grant no event but the target's own word, or a new import, leads back.
#[test]
fn what_is_granted_stays_granted() {
    let granted = SlotState::Granted { out: out(), attempt: 1, token: Some(T) };
    for (event, next) in after_each_event(&granted) {
        assert!(!next.writes(), "{event} made the source a writer again: {next:?}");
    }
}

#[test]
fn a_crash_while_armed_leaves_doubt_and_a_crash_after_the_grant_does_not() {
    for state in states() {
        let name = format!("{state:?}");
        let armed = matches!(
            state,
            SlotState::Armed { .. } | SlotState::Sealed { .. } | SlotState::Doubt { .. }
        );
        assert_eq!(matches!(state.restarted(), SlotState::Doubt { .. }), armed, "{name}");
    }
}

#[test]
fn a_refusal_binds() {
    let ready = SlotState::Ready { from: from(), last: Epoch(1), attempt: 1, token: T };
    let (refused, persist, verdict) = ready.resolve(M, Epoch(2));
    assert_eq!((persist, verdict), (Persist::Sync, Verdict::Refused));
    assert!(refused.clone().granted(M, 1).is_err());
    assert!(refused.clone().presented(T).is_err());
    assert!(refused.clone().ready(M, 2, T).is_err());
    assert!(refused.import(from()).is_err());
}

#[test]
fn an_owner_says_so_for_ever() {
    let owned = SlotState::Owned { epoch: Epoch(2) };
    assert_eq!(owned.clone().resolve(M, Epoch(2)).2, Verdict::Owned);
    let passed_on = SlotState::Absent { epoch: Epoch(5), hint: None, refused: None };
    assert_eq!(passed_on.resolve(M, Epoch(2)).2, Verdict::Owned);
    let never = SlotState::Absent { epoch: Epoch(1), hint: None, refused: None };
    let (state, _, verdict) = never.resolve(M, Epoch(2));
    assert_eq!(verdict, Verdict::Refused);
    assert!(state.import(from()).is_err(), "a late IMPORT must not undo the answer");
}

#[test]
fn a_slot_of_a_node_that_is_not_ours_is_nobodys_unless_it_moves_or_has_a_later_owner() {
    for state in states() {
        let name = state.name();
        let idle = matches!(
            state,
            SlotState::Unclaimed | SlotState::Owned { .. } | SlotState::Absent { .. }
        );
        assert_eq!(state.clone().disclaim(Epoch(1)).is_ok(), idle, "{name}");
        let is_old = state.epoch() == Epoch(0);
        assert_eq!(state.disclaim(Epoch(0)).is_ok(), is_old, "{name}");
    }
}

#[test]
fn what_ends_a_migration_is_synced() {
    let granted = SlotState::Granted { out: out(), attempt: 1, token: Some(T) };
    assert_eq!(granted.clean(M).unwrap().1, Persist::Sync);
    let ready = SlotState::Ready { from: from(), last: Epoch(1), attempt: 1, token: T };
    assert_eq!(ready.dropped(M).unwrap().1, Persist::Sync);
    let armed = SlotState::Armed { epoch: Epoch(1), out: out(), attempt: 0 };
    assert_eq!(armed.abort(M).unwrap().1, Persist::Sync);
}

#[test]
fn attempts_are_numbered() {
    let ready = SlotState::Ready { from: from(), last: Epoch(1), attempt: 2, token: T };
    assert!(ready.clone().granted(M, 1).is_err());
    assert!(ready.clone().ready(M, 1, T).is_err());
    assert!(ready.presented(Token(1)).is_err());
    let sealed = SlotState::Sealed { epoch: Epoch(1), out: out(), attempt: 2 };
    assert!(sealed.clone().grant(M, 1, T).is_err());
    assert!(sealed.unseal(M, 1).is_err());
}

#[test]
fn records_survive_the_trip_to_disk() {
    for state in states() {
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<SlotState>(&text).unwrap(), state, "{text}");
    }
}
