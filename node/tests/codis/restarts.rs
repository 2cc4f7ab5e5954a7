//! Either node stops in the middle of a move that a dashboard drives, and comes back: the move goes on when it is asked for.

use super::*;
use std::path::Path;

fn fill(server: &Server, keys: usize) {
    let mut client = server.client();
    for number in 0..keys {
        client.ask(&[b"SET", format!("{{t}}:{number}").as_bytes(), &[b'v'; 1000]]);
    }
    (0..keys).for_each(|_| assert_eq!(client.say_reply(), "OK"));
}

/// Stops it as a crash would as far as the slots are concerned, and starts it again where it was.
fn restart(mut server: Server, directory: &Path) -> Server {
    let port = server.addr.port();
    server.stop();
    drop(server);
    Server::start_at(directory, port, |_| {})
}

/// Asks until the target owns the slot; errors on the way are the dashboard's to repeat.
fn insist(source: &Server, order: &str) {
    eventually("the target owns the slot", || source.client().say(order).ends_with(" :0]"));
}

#[test]
fn a_source_that_restarts_in_the_copy_begins_again_when_it_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let (b, slot) = (Server::start(), slot_of("{t}"));
    let a = Server::start_on(directory.path(), |_| {});
    fill(&a, 3000);
    assert_eq!(link(&a).say("SLIPWAY PACE 100000"), "OK");
    a.client().say(&order(slot, &b));
    eventually("the copy is under way", || state(&b, slot).starts_with("[importing"));
    let a = restart(a, directory.path());
    assert_eq!(driver(&a), "codis", "that is on disk");
    assert_eq!(a.client().say("INCR {t}:n"), ":1", "served as ever");
    insist(&a, &order(slot, &b));
    assert_eq!(b.client().say("INCR {t}:n"), ":2");
    assert_eq!(b.client().say("STRLEN {t}:2999"), ":1000");
    assert_eq!(b.shared.slots.cell(cluster::Slot(slot)).read().keys(), 3001);
}

#[test]
fn a_target_that_restarts_in_the_copy_goes_on_or_is_asked_again() {
    let directory = tempfile::tempdir().unwrap();
    let (a, slot) = (Server::start(), slot_of("{t}"));
    fill(&a, 3000);
    let b = Server::start_on(directory.path(), |_| {});
    assert_eq!(link(&a).say("SLIPWAY PACE 300000"), "OK");
    a.client().say(&order(slot, &b));
    eventually("the copy is under way", || state(&b, slot).starts_with("[importing"));
    let b = restart(b, directory.path());
    assert_eq!(link(&a).say("SLIPWAY PACE 0"), "OK");
    insist(&a, &order(slot, &b));
    assert_eq!(b.client().say("STRLEN {t}:2999"), ":1000");
    eventually("the old copy goes", || state(&a, slot).starts_with("[absent"));
}

#[test]
fn a_source_that_restarts_after_the_grant_brings_it_to_its_end_unasked() {
    let directory = tempfile::tempdir().unwrap();
    let (b, slot) = (Server::start(), slot_of("{t}"));
    let a = Server::start_on(directory.path(), |_| {});
    fill(&a, 100);
    // The grant is written, the end is not: as if it had died in between.
    let target = b.addr.to_string();
    insist(&a, &order(slot, &b));
    let a = restart(a, directory.path());
    eventually("the old copy goes", || {
        state(&a, slot).starts_with(&format!("[absent :2 {target}"))
    });
    assert_eq!(a.client().say(&order(slot, &b)), "[:0 :0]");
    assert_eq!(a.client().say("STRLEN {t}:99"), ":1000", "relayed");
}

#[test]
fn a_copy_whose_source_has_forgotten_it_does_not_stand_in_the_way_of_another() {
    let directory = tempfile::tempdir().unwrap();
    let (b, c, slot) = (Server::start(), Server::start(), slot_of("{t}"));
    let a = Server::start_on(directory.path(), |_| {});
    fill(&a, 3000);
    assert_eq!(link(&a).say("SLIPWAY PACE 100000"), "OK");
    a.client().say(&order(slot, &b));
    eventually("the copy is under way", || state(&b, slot).starts_with("[importing"));
    // It restarts, and the dashboard has another wish now; b keeps half a copy.
    let a = restart(a, directory.path());
    insist(&a, &order(slot, &c));
    assert!(state(&b, slot).starts_with("[importing"));
    insist(&c, &order(slot, &b));
    assert_eq!(b.client().say("STRLEN {t}:2999"), ":1000");
    assert_eq!(b.shared.slots.cell(cluster::Slot(slot)).read().keys(), 3000);
}
