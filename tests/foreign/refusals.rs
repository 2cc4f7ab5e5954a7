//! Slots that Pika cannot move as they are: refused with the reason and the remedy, or made right; clients notice nothing.

use super::world::{LIMIT, Parts, World, name, names, not_noticed, ok};
use codis::records::SlotState;
use harness::eventually;
use protocol::frame::Value;

/// In the middle of those that move.
const SLOT: u16 = 5;

/// The move of [`SLOT`] is refused with these words; what was ordered before it moves, and all of it once `cure` was said to the source.
fn refused(world: &World, words: &[&str], cure: &[String]) {
    let load = world.load(0, "--server pika");
    let (slot, slots) = (i64::from(SLOT), World::slots());
    world.dashboard.create_range(0..=slots - 1, 2).unwrap();
    (0..slot).for_each(|slot| world.dashboard.finish(slot).unwrap());
    for _ in 0..3 {
        let why = world.dashboard.finish(slot).unwrap_err();
        assert!(words.iter().all(|word| why.contains(word)), "{words:?}: {why}");
        assert_eq!(world.store.records().slot(slot).action.state, SlotState::Preparing);
        eventually("it is as before", LIMIT, || {
            let filled = world.dashboard.slots_of(&world.models[0])?.swap_remove(SLOT.into());
            let as_before = filled.backend_addr == world.source.addr() && !filled.locked;
            if as_before { Ok(()) } else { Err(format!("{filled:?}")) }
        });
    }
    // Those behind it.
    (slot + 1..slots).for_each(|slot| world.dashboard.finish(slot).unwrap());
    let mut source = world.source.client();
    cure.iter().for_each(|words| _ = ok(&mut source, words));
    assert_eq!(world.run(), 1);
    not_noticed(&load.end());
    world.source_is_empty();
}

#[test]
fn a_slot_with_a_stream_is_refused_with_the_name_of_the_key() {
    let world = World::start(Parts::default());
    let key = name("Event", SLOT);
    ok(&mut world.client(), &format!("XADD {key} 1-1 field value"));
    // Of a deleted stream Pika keeps a record.
    let cure = [format!("DEL {key}"), format!("SET {key} 1"), format!("DEL {key}")];
    refused(&world, &[&key, "stream"], &cure);
}

#[test]
fn a_slot_with_a_hyperloglog_is_refused_with_the_name_of_the_key() {
    let world = World::start(Parts::default());
    let key = name("Visitors", SLOT);
    ok(&mut world.client(), &format!("PFADD {key} a b c"));
    refused(&world, &[&key, "HyperLogLog"], &[format!("DEL {key}")]);
}

/// Pika files the list that RPOPLPUSH has made as a string, and could then not move it.
#[test]
fn what_rpoplpush_has_left_behind_moves_with_its_slot() {
    let world = World::start(Parts::default());
    let [from, to] = [0, 1].map(|at| names("Queue", SLOT).nth(at).unwrap());
    let mut source = world.source.client();
    ok(&mut source, &format!("RPUSH {from} a b"));
    ok(&mut source, &format!("RPOPLPUSH {from} {to}"));
    let load = world.load(0, "--server pika");
    assert_eq!(world.move_all(2), usize::try_from(World::slots()).unwrap());
    not_noticed(&load.end());
    for (key, element) in [(from, "a"), (to, "b")] {
        let got = ok(&mut world.client(), &format!("LRANGE {key} 0 -1"));
        assert_eq!(got, Value::Array(vec![Value::Bulk(element.into())]), "{key}");
    }
    world.source_is_empty();
}

#[test]
fn a_source_with_slotmigrate_off_is_refused_by_that_name() {
    let world = World::start(Parts::default());
    let load = world.load(0, "--server pika");
    ok(&mut world.source.client(), "CONFIG SET slotmigrate no");
    world.dashboard.create_action(3, 2).unwrap();
    let why = world.dashboard.finish(3).unwrap_err();
    assert!(why.contains("slotmigrate"), "{why}");
    ok(&mut world.source.client(), "CONFIG SET slotmigrate yes");
    assert_eq!(world.run(), 1);
    not_noticed(&load.end());
}
