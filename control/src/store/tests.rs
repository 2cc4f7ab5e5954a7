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
    let state = store.state().clone();
    drop(store);
    let files = [FILE, JOURNAL].map(|name| (name, fs::read(path(name)).unwrap()));
    let reopened = |what: &str| {
        let store = Store::open(dir.path(), never).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(*store.state(), state, "{what}");
    };
    let back = || files.iter().for_each(|(name, bytes)| fs::write(path(name), bytes).unwrap());
    reopened("what the journal has is written whole");
    let whole = fs::read(path(FILE)).unwrap();
    for leftover in ["cluster.json.new", "cluster.json.bak.new", "cluster.journal.new"] {
        back();
        fs::write(path(leftover), &whole[..whole.len() / 2]).unwrap();
        reopened(leftover);
    }
    back();
    fs::rename(path(JOURNAL), path(JOURNAL_BACKUP)).unwrap();
    reopened("the journal has its new name, the state has not");
    fs::remove_file(path(JOURNAL)).unwrap();
    reopened("the journal is not begun yet");
    fs::write(path(JOURNAL), &files[1].1).unwrap();
    reopened("a journal that the state has taken in");
    fs::remove_file(path(BACKUP)).unwrap();
    reopened("there is no backup");
}

/// A crash while a batch is written may leave any part of it; nobody has acted upon it.
#[test]
fn a_last_batch_that_was_not_written_to_its_end_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let mut store = Store::open(dir.path(), founded).unwrap();
    store.apply(vec![plan(0..3)], 2).unwrap();
    let (before, len) = (store.state().clone(), written(&path(JOURNAL)));
    store.apply(vec![plan(3..5)], 3).unwrap();
    let (after, end) = (store.state().clone(), written(&path(JOURNAL)));
    drop(store);
    let (state, journal) = (fs::read(path(FILE)).unwrap(), fs::read(path(JOURNAL)).unwrap());
    for cut in len..=end {
        for torn in [Torn::Short, Torn::Zeros, Torn::FirstMissing] {
            let mut bytes = journal.clone();
            match torn {
                Torn::Short => bytes.truncate(cut),
                Torn::Zeros => bytes[cut..].fill(0),
                Torn::FirstMissing => bytes[len..cut].fill(0),
            }
            fs::write(path(FILE), &state).unwrap();
            fs::write(path(JOURNAL), bytes).unwrap();
            fs::remove_file(path(JOURNAL_BACKUP)).ok();
            let store = Store::open(dir.path(), never).unwrap();
            let is_whole = match torn {
                // Without its line feed it is whole as well.
                Torn::Short => cut + 1 >= end,
                Torn::Zeros => cut == end,
                Torn::FirstMissing => cut == len,
            };
            let expected = if is_whole { &after } else { &before };
            assert!(store.state() == expected, "{torn:?}, {cut} of {len} to {end}");
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Torn {
    Short,
    Zeros,
    FirstMissing,
}

/// Bytes of a journal before the zeros.
fn written(path: &Path) -> usize {
    let bytes = fs::read(path).unwrap();
    bytes.iter().rposition(|&b| b != 0).unwrap() + 1
}

#[test]
fn a_batch_that_others_follow_may_not_be_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join(JOURNAL);
    let mut store = Store::open(dir.path(), founded).unwrap();
    let first = written(&journal);
    store.apply(vec![plan(0..3)], 2).unwrap();
    let second = written(&journal);
    store.apply(vec![plan(3..5)], 3).unwrap();
    drop(store);
    let good = fs::read(&journal).unwrap();
    for (at, what) in [(3, "does not begin"), (first + 20, "batch 1"), (second - 5, "batch 1")] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&journal, &bytes).unwrap();
        let error = Store::open(dir.path(), never).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("cluster.journal is damaged"), "{error}");
        assert_eq!(fs::read(&journal).unwrap(), bytes, "it is kept");
    }
    let newer = String::from_utf8_lossy(&good).replacen("\"format\":1", "\"format\":7", 1);
    fs::write(&journal, newer).unwrap();
    Store::open(dir.path(), never).expect_err("its checksum does not fit");
}

/// The file is damaged, the backup is put back as the error says: with both journals nothing is lost.
#[test]
fn the_state_before_and_both_journals_make_the_same_state_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let mut store = Store::open(dir.path(), founded).unwrap();
    let mut slot = 0;
    while !path(JOURNAL_BACKUP).exists() {
        store.apply(vec![plan(slot % 1000..slot % 1000 + 20)], u64::from(slot)).unwrap();
        slot += 1;
    }
    assert!(slot > 100, "the journal was full after {slot} batches");
    store.apply(vec![plan(5..6)], 9999).unwrap();
    let state = store.state().clone();
    drop(store);
    fs::copy(path(BACKUP), path(FILE)).unwrap();
    assert_eq!(*Store::open(dir.path(), never).unwrap().state(), state);
}

#[test]
fn a_file_of_a_version_without_a_journal_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE);
    let mut store = Store::open(dir.path(), founded).unwrap();
    let text = fs::read_to_string(&file).unwrap().replacen("\"format\":2", "\"format\":1", 1);
    store.apply(vec![plan(0..3)], 2).unwrap();
    let state = store.state().clone();
    drop(store);
    fs::write(&file, text).unwrap();
    assert_eq!(*Store::open(dir.path(), never).unwrap().state(), state);
    assert!(
        fs::read_to_string(&file).unwrap().contains("\"format\":2"),
        "older versions refuse it"
    );
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
        .replacen("\"format\":2", "\"format\":9", 1)
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
    let obstacles = [JOURNAL, "cluster.json.new"].map(|name| dir.path().join(name));
    fs::remove_file(&obstacles[0]).unwrap();
    obstacles.iter().for_each(|obstacle| fs::create_dir(obstacle).unwrap());
    for _ in 0..3 {
        let error = store.apply(vec![plan(0..10)], 2).unwrap_err();
        assert!(matches!(error, Error::Disk { .. }), "{error}");
        assert_eq!(*store.state(), before);
    }
    obstacles.iter().for_each(|obstacle| fs::remove_dir(obstacle).unwrap());
    for _ in 0..2 {
        store.apply(vec![plan(0..10)], 2).unwrap();
    }
    assert_eq!(store.state().plans.len(), 2);
    let state = store.state().clone();
    drop(store);
    assert_eq!(*Store::open(dir.path(), never).unwrap().state(), state);
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
    drop(store);
    let store = Store::open(dir.path(), never).unwrap();
    let bytes = fs::metadata(dir.path().join(FILE)).unwrap().len();
    assert!(bytes < 150_000, "{bytes} bytes");
    assert_eq!(
        store.state().history.iter().filter(|e| e.kind == EventKind::Opened).count(),
        1,
        "a batch is one line"
    );
}
