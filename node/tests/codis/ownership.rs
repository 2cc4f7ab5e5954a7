//! The table of the design's section on Codis: who owns a slot, and what may change it.

use super::*;

#[test]
fn a_fresh_node_serves_every_slot_to_everybody() {
    let server = Server::start();
    assert_eq!(driver(&server), "none");
    assert_eq!(server.client().say("SET key1 v"), "OK");
    assert_eq!(link(&server).say("GET key1"), "v");
    assert_eq!(state(&server, 80), "[unclaimed :0 - -]");
}

#[test]
fn a_slot_is_moved_by_asking_until_nothing_is_left() {
    let (a, b) = (Server::start(), Server::start());
    let slot = slot_of("{t}");
    let mut client = a.client();
    for number in 0..500 {
        client.ask(&[b"SET", format!("{{t}}:{number}").as_bytes(), b"v"]);
    }
    (0..500).for_each(|_| assert_eq!(client.say_reply(), "OK"));
    client.say("SELECT 3");
    client.say("SET {t}:three v");
    let mut dashboard = a.client();
    drive(&mut dashboard, &order(slot, &b));
    assert_eq!(driver(&a), "codis");
    assert_eq!(driver(&b), "codis");
    assert_eq!(state(&b, slot), "[owned :2 - -]");
    // The next database has gone with it.
    assert_eq!(dashboard.say("SELECT 3"), "OK");
    assert_eq!(dashboard.say(&order(slot, &b)), "[:0 :0]");
    let mut there = b.client();
    assert_eq!(there.say("GET {t}:499"), "v");
    there.say("SELECT 3");
    assert_eq!(there.say("GET {t}:three"), "v");
    assert!(there.say("INFO keyspace").contains("db3:keys=1,"));
    eventually("the old copy goes", || state(&a, slot).starts_with("[absent :2"));
    assert_eq!(a.client().say("DBSIZE"), ":0");
}

#[test]
fn an_almost_empty_slot_is_moved_with_the_first_call_and_all_of_them_soon() {
    let (a, b) = (Server::start(), Server::start());
    a.client().say("SET key1 v");
    let mut dashboard = a.client();
    let begin = Instant::now();
    let calls: usize = (0..256).map(|slot| drive(&mut dashboard, &order_sync(slot, &b))).sum();
    println!("256 slots in {:?}, {calls} calls", begin.elapsed());
    assert!(calls < 2 * 256, "{calls} calls for 256 slots");
    assert_eq!(b.client().say("GET key1"), "v");
    assert_eq!(drive(&mut dashboard, &order(80, &b)), 1);
}

#[test]
fn a_slot_comes_home() {
    let (a, b) = (Server::start(), Server::start());
    let slot = slot_of("{t}");
    let mut client = a.client();
    assert_eq!(client.say("SET {t}:a 1"), "OK");
    for round in 0..3 {
        drive(&mut a.client(), &order(slot, &b));
        assert_eq!(b.client().say("INCR {t}:a"), format!(":{}", 2 * round + 2));
        drive(&mut b.client(), &order_sync(slot, &a));
        assert_eq!(client.say("INCR {t}:a"), format!(":{}", 2 * round + 3));
    }
    assert_eq!(state(&a, slot), "[owned :7 - -]");
}

#[test]
fn a_target_that_has_keys_of_the_slot_refuses_and_says_what_to_do() {
    let (a, b) = (Server::start(), Server::start());
    let slot = slot_of("{t}");
    a.client().say("SET {t}:a here");
    b.client().say("MSET {t}:a there {t}:b there");
    let refused = refusal(&a, &order(slot, &b));
    assert!(refused.contains("has 2 keys of the slot already"), "{refused}");
    assert!(refused.contains(&format!("`SLOTSDEL {slot}` at {}", b.addr)), "{refused}");
    assert_eq!(a.client().say("GET {t}:a"), "here", "the source serves it as ever");
    assert_eq!(b.client().say("GET {t}:a"), "there");
    // What it says helps.
    b.client().say(&format!("SLOTSDEL {slot}"));
    drive(&mut a.client(), &order(slot, &b));
    assert_eq!(b.client().say("GET {t}:a"), "here");
    assert_eq!(b.client().say("EXISTS {t}:b"), ":0");
}

#[test]
fn the_words_of_another_driver_are_refused() {
    let (a, b) = (Server::start(), Server::start());
    let slot = slot_of("{t}");
    // Our controller's node under a dashboard.
    assert_eq!(link(&b).say("SLIPWAY CLAIM c 1"), "OK");
    let refused = refusal(&a, &order(slot, &b));
    assert!(refused.contains("driven by the controller of cluster c"), "{refused}");
    let refused = refusal(&b, &order(slot, &a));
    assert!(refused.contains("driven by the controller of cluster c"), "{refused}");
    assert_eq!(a.client().say("SET {t} v"), "OK");
    // A dashboard's node under our controller.
    assert_eq!(driver(&a), "codis");
    let mut control = link(&a);
    let m = "000000000000000000000000000000a1";
    for word in [
        "CLAIM c 1".to_owned(),
        "ASSIGN 1 OWNED 0-1023".to_owned(),
        format!("IMPORT {m} 5 2 {}", b.addr),
        format!("EXPORT {m} 5 2 {}", b.addr),
    ] {
        let refused = control.say(&format!("SLIPWAY {word}"));
        assert!(refused.contains("driven by a codis-dashboard"), "{word}: {refused}");
    }
    // The operator may change it, and that holds.
    assert_eq!(control.say("SLIPWAY DRIVER none"), "none");
    assert_eq!(control.say("SLIPWAY CLAIM c 1"), "OK");
    assert_eq!(control.say("SLIPWAY DRIVER"), "slipway");
}

#[test]
fn a_dead_target_is_named_and_the_slot_stays() {
    let (a, mut b) = (Server::start(), Server::start());
    let slot = slot_of("{t}");
    a.client().say("SET {t} v");
    let order = order(slot, &b);
    b.stop();
    let refused = refusal(&a, &order);
    assert!(refused.contains("cannot reach node"), "{refused}");
    assert!(refused.contains(&b.addr.to_string()), "{refused}");
    assert_eq!(a.client().say("INCR {t}:n"), ":1");
}

#[test]
fn a_target_that_is_no_node_of_ours_is_refused_by_name() {
    let a = Server::start();
    let foreign = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = foreign.local_addr().unwrap();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        while let Ok((mut stream, _)) = foreign.accept() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"-ERR unknown command 'SLIPWAY'\r\n");
        }
    });
    let refused = refusal(&a, &format!("SLOTSMGRTTAGSLOT {} {} 3000 5", addr.ip(), addr.port()));
    assert!(refused.contains("is not a Slipway node"), "{refused}");
}

#[test]
fn a_node_is_no_target_for_itself() {
    let a = Server::start();
    let refused = refusal(&a, &order(5, &a));
    assert!(refused.contains("destination address error"), "{refused}");
    // By another name too.
    let other = format!("SLOTSMGRTTAGSLOT localhost {} 3000 5", a.addr.port());
    let refused = refusal(&a, &other);
    assert!(refused.contains("destination address error"), "{refused}");
    assert_eq!(a.client().say("SET key1 v"), "OK");
}

#[test]
fn an_owner_that_is_gone_for_good_is_replaced_by_the_operators_word_alone() {
    let (a, mut b) = (Server::start(), Server::start());
    let slot = slot_of("{t}");
    a.client().say("SET {t} v");
    drive(&mut a.client(), &order(slot, &b));
    eventually("the old copy goes", || state(&a, slot).starts_with("[absent"));
    b.stop();
    // Forced back in the dashboard's table only: nothing is decided by itself.
    let refused = a.client().say("GET {t}");
    assert!(refused.starts_with("-TRYAGAIN"), "{refused}");
    assert!(refused.contains("cannot reach node"), "{refused}");
    let c = Server::start();
    let elsewhere = refusal(&a, &order(slot, &c));
    assert!(elsewhere.contains(&format!("SLIPWAY FORCEOWN {slot}")), "{elsewhere}");
    assert_eq!(link(&a).say(&format!("SLIPWAY FORCEOWN {slot}")), "[:65538 :0]");
    assert_eq!(a.client().say("GET {t}"), "nil");
    assert_eq!(a.client().say("SET {t} anew"), "OK");
    drive(&mut a.client(), &order(slot, &c));
    assert_eq!(c.client().say("GET {t}"), "anew");
}

#[test]
fn the_dashboard_may_change_its_mind_before_the_grant() {
    let (a, b, c) = (Server::start(), Server::start(), Server::start());
    let slot = slot_of("{t}");
    let mut client = a.client();
    for number in 0..200 {
        client.say(&format!("SET {{t}}:{number} {}", "v".repeat(20_000)));
    }
    // So slow that the copy stands still.
    assert_eq!(link(&a).say("SLIPWAY PACE 100000"), "OK");
    let answer = a.client().call(&order(slot, &b));
    assert!(answer.as_items().unwrap()[1].as_int() > Some(0), "{answer:?}");
    assert_eq!(link(&a).say("SLIPWAY PACE 0"), "OK");
    let mut dashboard = a.client();
    eventually("it goes to c", || {
        let answer = dashboard.say(&order(slot, &c));
        answer.ends_with(":0]")
    });
    let owner = if state(&c, slot).starts_with("[owned") { &c } else { &b };
    assert_eq!(owner.client().say("STRLEN {t}:199"), ":20000");
    assert_eq!(owner.shared.slots.cell(cluster::Slot(slot)).read().keys(), 200);
}
