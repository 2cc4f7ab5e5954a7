//! The store on a real directory.

use super::*;
use crate::state::{EventKind, Phase};
use cluster::{GroupId, MigrationId, Slot, SlotCount};
use std::collections::BTreeSet;
use std::fs;

#[expect(clippy::unnecessary_wraps, reason = "as Store::open wants it")]
fn founded() -> Result<State, Error> {
    let groups =
        [(GroupId(1), "127.0.0.1:7001".to_owned()), (GroupId(2), "127.0.0.1:7002".to_owned())];
    Ok(State::found("c1".to_owned(), SlotCount::DEFAULT, &groups, 1))
}

fn never() -> Result<State, Error> {
    panic!("there is a state: no new cluster may be founded");
}

fn plan(slots: std::ops::Range<u16>) -> Change {
    Change::Planned { slots: slots.map(Slot).collect(), to: GroupId(2) }
}

#[test]
fn what_was_applied_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), founded).unwrap();
    let id = MigrationId(7);
    store
        .apply(
            vec![
                plan(0..10),
                Change::Opened { slot: Slot(3), id },
                Change::Armed { slot: Slot(3) },
            ],
            2,
        )
        .unwrap();
    let before = store.state().clone();
    drop(store);
    let store = Store::open(dir.path(), never).unwrap();
    assert_eq!(*store.state(), before);
    assert_eq!(store.state().slot(Slot(3)).unwrap().moving.as_ref().unwrap().phase, Phase::Armed);
}

#[test]
fn a_refused_change_leaves_nothing_of_its_batch() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), founded).unwrap();
    let before = store.state().clone();
    assert!(store.apply(vec![plan(0..10), Change::Settled { slot: Slot(3) }], 2).is_err());
    assert_eq!(*store.state(), before);
    drop(store);
    assert_eq!(*Store::open(dir.path(), never).unwrap().state(), before);
}

#[test]
fn a_second_writer_is_turned_away_and_told_who_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(dir.path(), founded).unwrap();
    let error = Store::open(dir.path(), never).unwrap_err().to_string();
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    drop(first);
    Store::open(dir.path(), never).unwrap();
}

/// Each step of the replacement, stopped there: what lies about is ignored and the state is the old or the new one.
#[test]
fn a_crash_at_any_step_of_the_replacement_leaves_a_whole_state() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let mut store = Store::open(dir.path(), founded).unwrap();
    store.apply(vec![plan(0..10)], 2).unwrap();
    let old = fs::read(path(FILE)).unwrap();
    store.apply(vec![plan(10..20)], 3).unwrap();
    let (new, new_state) = (fs::read(path(FILE)).unwrap(), store.state().clone());
    drop(store);
    assert_eq!(
        fs::read(path(BACKUP)).unwrap(),
        old,
        "the backup is the state before the last batch"
    );

    let reopened = |what: &str| {
        let store = Store::open(dir.path(), never).unwrap_or_else(|e| panic!("{what}: {e}"));
        store.state().clone()
    };
    fs::write(path("cluster.json.new"), &new[..new.len() / 2]).unwrap();
    assert_eq!(reopened("the temporary file is half written"), new_state);
    fs::write(path("cluster.json.bak.new"), b"").unwrap();
    assert_eq!(reopened("the backup's new name is there"), new_state);
    fs::remove_file(path(BACKUP)).unwrap();
    assert_eq!(reopened("there is no backup"), new_state);
    fs::write(path(FILE), &old).unwrap();
    assert_eq!(reopened("the new file did not get its name").plans.len(), 1);

    let mut store = Store::open(dir.path(), never).unwrap();
    store
        .apply(vec![plan(20..30)], 4)
        .expect("leftovers do not stand in the way of the next batch");
}

#[test]
fn a_damaged_file_is_named_with_the_copy_to_put_back_and_nothing_is_founded() {
    let dir = tempfile::tempdir().unwrap();
    let (file, backup) = (dir.path().join(FILE), dir.path().join(BACKUP));
    let mut store = Store::open(dir.path(), founded).unwrap();
    store.apply(vec![plan(0..10)], 2).unwrap();
    drop(store);
    let good = fs::read(&file).unwrap();
    let mut flipped = good.clone();
    *flipped.iter_mut().rev().nth(40).unwrap() ^= 1;
    let newer = String::from_utf8(good.clone())
        .unwrap()
        .replacen("\"format\":1", "\"format\":9", 1)
        .into_bytes();
    for (bytes, what) in [
        (&good[..good.len() / 2], "cut short"),
        (&b""[..], "cut short"),
        (&flipped, "checksum"),
        (&b"nonsense, and a comma"[..], "does not begin"),
        (&newer, "format 9"),
    ] {
        fs::write(&file, bytes).unwrap();
        let error = Store::open(dir.path(), never).unwrap_err().to_string();
        assert!(error.contains(what), "{what}: {error}");
        assert!(
            error.contains("cluster.json is damaged")
                && error.contains(&format!("cp {}", backup.display())),
            "{error}"
        );
        assert_eq!(fs::read(&file).unwrap(), bytes, "the damaged file is kept");
    }
    fs::write(&backup, b"also bad").unwrap();
    assert!(Store::open(dir.path(), never).unwrap_err().to_string().contains("no good either"));
    fs::remove_file(&file).unwrap();
    assert!(Store::open(dir.path(), never).unwrap_err().to_string().contains("it is missing"));
    fs::write(&file, &good).unwrap();
    Store::open(dir.path(), never).expect("the good file is put back");
}

#[test]
fn a_disk_that_refuses_changes_nothing_and_the_batch_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), founded).unwrap();
    let before = store.state().clone();
    let obstacle = dir.path().join("cluster.json.new");
    fs::create_dir(&obstacle).unwrap();
    let error = store.apply(vec![plan(0..10)], 2).unwrap_err();
    assert!(matches!(error, Error::Disk { .. }), "{error}");
    assert_eq!(*store.state(), before);
    fs::remove_dir(&obstacle).unwrap();
    store.apply(vec![plan(0..10)], 2).unwrap();
    assert_eq!(store.state().plans.len(), 1);
}

#[test]
fn a_thousand_moving_slots_stay_a_small_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), founded).unwrap();
    let slots: BTreeSet<Slot> = (0..512).map(Slot).collect();
    let opened = slots
        .iter()
        .map(|&slot| Change::Opened { slot, id: MigrationId(u128::MAX - u128::from(slot.0)) });
    let batch = [Change::Planned { slots: slots.clone(), to: GroupId(2) }]
        .into_iter()
        .chain(opened)
        .collect();
    store.apply(batch, 2).unwrap();
    let bytes = fs::metadata(dir.path().join(FILE)).unwrap().len();
    assert!(bytes < 150_000, "{bytes} bytes");
    assert_eq!(
        store.state().history.iter().filter(|e| e.kind == EventKind::Opened).count(),
        1,
        "a batch is one line"
    );
}
