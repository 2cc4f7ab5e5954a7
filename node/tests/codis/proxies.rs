//! Old codis-proxies in front, sync and semi-async, and clients that talk to a node directly.

use super::*;
use protocol::frame::Value;

/// What a wrapped command came to.
fn wrapped(client: &mut Client, key: &str, command: &str) -> (i64, String) {
    let answer = client.call(&format!("SLOTSMGRT-EXEC-WRAPPER {key} {command}"));
    let items = answer.as_items().unwrap_or_else(|| panic!("{answer:?}")).to_vec();
    assert_eq!(items.len(), 2, "{items:?}");
    (items[0].as_int().unwrap(), crate::harness::client::show(&items[1]))
}

#[test]
fn the_owner_executes_what_is_wrapped_and_others_say_where_not() {
    let (a, b) = (Server::start(), Server::start());
    let slot = slot_of("{t}");
    let mut proxy = a.client();
    assert_eq!(wrapped(&mut proxy, "{t}", "GET {t}"), (2, "nil".into()), "absent keys too");
    assert_eq!(wrapped(&mut proxy, "{t}", "SET {t} v"), (2, "OK".into()));
    assert_eq!(wrapped(&mut proxy, "{t}", "MGET {t} {t}x"), (2, "[v nil]".into()));
    let malformed = wrapped(&mut proxy, "{t}", "GET");
    assert_eq!(malformed.0, 2);
    assert!(malformed.1.starts_with("-ERR wrong number of arguments"), "{malformed:?}");
    let unknown = wrapped(&mut proxy, "{t}", "NOSUCH {t}");
    assert!(unknown.0 == 2 && unknown.1.starts_with("-ERR unknown command"), "{unknown:?}");
    let wrong = wrapped(&mut proxy, "{t}", "LPUSH {t} x");
    assert!(wrong.0 == 2 && wrong.1.starts_with("-WRONGTYPE"), "{wrong:?}");
    for nested in ["SLIPWAY STATE", "SLOTSMGRT-EXEC-WRAPPER {t} GET {t}", "MULTI", "SELECT 1"] {
        let refused = wrapped(&mut proxy, "{t}", nested);
        assert!(refused.0 == 2 && refused.1.starts_with("-ERR"), "{nested}: {refused:?}");
    }
    drive(&mut a.client(), &order(slot, &b));
    assert_eq!(wrapped(&mut proxy, "{t}", "GET {t}").0, 0);
    assert_eq!(wrapped(&mut proxy, "other", "GET other").0, 2);
    assert_eq!(b.client().say("GET {t}"), "v");
}

#[test]
fn a_wrapped_command_is_never_lost_doubled_or_refused_while_slots_move() {
    let (a, b) = (Server::start(), Server::start());
    let stop = Arc::new(AtomicBool::new(false));
    let held = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..4)
        .map(|number| {
            let (mut at_a, mut at_b) = (a.client(), b.client());
            let (stop, held) = (stop.clone(), held.clone());
            std::thread::spawn(move || {
                let key = format!("{{t}}:{number}");
                let (mut count, mut moved) = (0, false);
                while !stop.load(Relaxed) || !moved {
                    let (kind, reply) = wrapped(&mut at_a, &key, &format!("INCR {key}"));
                    match kind {
                        2 => {
                            count += 1;
                            assert_eq!(reply, format!(":{count}"));
                        }
                        1 => {
                            held.fetch_add(1, Relaxed);
                        }
                        0 => {
                            moved = true;
                            count += 1;
                            assert_eq!(at_b.say(&format!("INCR {key}")), format!(":{count}"));
                        }
                        other => panic!("{other} {reply}"),
                    }
                }
                count
            })
        })
        .collect();
    eventually("all write", || a.client().say("EXISTS {t}:0 {t}:1 {t}:2 {t}:3") == ":4");
    drive(&mut a.client(), &order(slot_of("{t}"), &b));
    stop.store(true, Relaxed);
    let counts: Vec<u64> = writers.into_iter().map(|w| w.join().unwrap()).collect();
    println!("{counts:?}, {} were told to try again", held.load(Relaxed));
    for (number, count) in counts.iter().enumerate() {
        assert_eq!(b.client().say(&format!("GET {{t}}:{number}")), count.to_string());
    }
}

/// A proxy that knows nothing of moves and asks one node only; INCRs in pipelines, each exactly once and in order.
fn incr_through(at: &Server, key: &str, stop: &AtomicBool) -> u64 {
    let mut client = at.client();
    let mut count = 0;
    while !stop.load(Relaxed) {
        (0..16).for_each(|_| client.ask(&[b"INCR", key.as_bytes()]));
        for _ in 0..16 {
            count += 1;
            assert_eq!(client.say_reply(), format!(":{count}"));
        }
    }
    count
}

#[test]
fn a_client_that_stays_at_the_old_owner_notices_nothing() {
    let (a, b) = (Server::start(), Server::start());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let counts: Vec<_> = (0..3)
            .map(|number| {
                let (a, stop) = (&a, &stop);
                scope.spawn(move || incr_through(a, &format!("{{t}}:{number}"), stop))
            })
            .collect();
        let slot = slot_of("{t}");
        for _ in 0..3 {
            drive(&mut a.client(), &order(slot, &b));
            assert!(state(&b, slot).starts_with("[owned"));
            drive(&mut b.client(), &order(slot, &a));
        }
        drive(&mut a.client(), &order(slot, &b));
        stop.store(true, Relaxed);
        for (number, count) in counts.into_iter().enumerate() {
            let count = count.join().unwrap();
            assert_eq!(b.client().say(&format!("GET {{t}}:{number}")), count.to_string());
        }
    });
}

#[test]
fn a_sync_proxy_that_sends_to_the_target_before_its_time_is_answered_by_the_source() {
    let (a, b) = (Server::start(), Server::start());
    let slot = slot_of("{t}");
    a.client().say("SET {t}:0 41");
    // Before the dashboard has said anything to the nodes.
    let mut proxy = (a.client(), b.client());
    let one = format!("SLOTSMGRTTAGONE {} {} 3000 {{t}}:0", b.addr.ip(), b.addr.port());
    assert_eq!(proxy.0.say(&one), ":0");
    assert_eq!(proxy.1.say("INCR {t}:0"), ":42");
    assert_eq!(a.client().say("GET {t}:0"), "42", "the source has executed it");
    assert_eq!(b.shared.slots.cell(cluster::Slot(slot)).read().keys(), 0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let counts: Vec<_> = (1..4)
            .map(|number| {
                let (b, stop) = (&b, &stop);
                scope.spawn(move || incr_through(b, &format!("{{t}}:{number}"), stop))
            })
            .collect();
        drive(&mut a.client(), &order_sync(slot, &b));
        assert_eq!(proxy.0.say(&one), ":0");
        stop.store(true, Relaxed);
        for (number, count) in counts.into_iter().enumerate() {
            let (count, key) = (count.join().unwrap(), number + 1);
            assert_eq!(b.client().say(&format!("GET {{t}}:{key}")), count.to_string());
        }
    });
}

#[test]
fn what_is_relayed_keeps_its_database_its_protocol_and_its_bytes() {
    let (a, b) = (Server::start(), Server::start());
    drive(&mut a.client(), &order(slot_of("{t}"), &b));
    let mut client = a.client();
    client.say("SELECT 5");
    client.call("HELLO 3");
    assert_eq!(client.call_bytes(&[b"HSET", b"{t}h", b"f\r\n", b"\0\xff"]), Value::Int(1));
    let all = client.call("HGETALL {t}h");
    assert!(matches!(&all, Value::Map(pairs) if pairs.len() == 1), "{all:?}");
    let mut there = b.client();
    assert_eq!(there.say("EXISTS {t}h"), ":0");
    there.say("SELECT 5");
    assert_eq!(there.call_bytes(&[b"HGET", b"{t}h", b"f\r\n"]).as_bytes(), Some(&b"\0\xff"[..]));
    assert!(client.say("LPUSH {t}h x").starts_with("-WRONGTYPE"));
    assert!(a.client().say("INFO slots").contains("relayed_requests:3"));
}

#[test]
fn a_link_is_told_where_the_slot_is_and_nothing_is_relayed_for_it() {
    let (a, b) = (Server::start(), Server::start());
    let slot = slot_of("{t}");
    drive(&mut a.client(), &order(slot, &b));
    let moved = link(&a).say("GET {t}");
    assert!(moved.starts_with(&format!("-XMOVED {slot} 2 {}", b.addr)), "{moved}");
    assert_eq!(a.client().say("SET {t} v"), "OK");
    let relayed = link(&a).say("SLIPWAY RELAY 0 2 - GET {t}");
    assert!(relayed.starts_with("-XMOVED"), "one hop: {relayed}");
    assert!(a.client().say("SLIPWAY RELAY 0 2 - GET {t}").contains("is a word of links"));
    let apart = a.client().say("MSET {t} v key1 v");
    assert!(apart.starts_with("-TRYAGAIN the keys"), "{apart}");
    assert_eq!(a.client().say("EXISTS key1"), ":0", "nothing of it was executed");
}

#[test]
fn a_dashboard_finds_what_it_reads() {
    let server = Server::start_with(|config| config.password = Some("auth".into()));
    let mut client = server.client();
    assert!(client.say("SLOTSINFO").starts_with("-NOAUTH"));
    assert_eq!(client.say("AUTH auth"), "OK");
    assert_eq!(client.say("SLOTSINFO"), "[]");
    assert_eq!(client.say("CONFIG GET maxmemory"), "[maxmemory 0]");
    let info = client.say("INFO replication");
    for line in ["role:master", "connected_slaves:0", "is_eligible_for_master_election:true"] {
        assert!(info.contains(line), "{info}");
    }
    for (line, answer) in [
        ("MULTI", "OK"),
        ("CONFIG SET masterauth auth", "QUEUED"),
        ("SLAVEOF NO ONE", "QUEUED"),
        ("CLIENT KILL TYPE normal", "QUEUED"),
    ] {
        assert_eq!(client.say(line), answer, "{line}");
    }
    assert_eq!(client.say("EXEC"), "[OK OK :0]");
    assert!(client.say("SLAVEOF 127.0.0.1 6379").contains("cannot be a replica yet"));
    assert_eq!(client.say("CONFIG GET masterauth"), "[masterauth auth]");
    assert_eq!(client.say("SLOTSCHECK"), "OK");
    assert!(client.say("SLOTSRELOAD").ends_with(" : 0"));
    assert_eq!(client.say("SLOTSRELOADOFF"), "OK");
    client.say("SET key1 v");
    assert_eq!(client.say("SLOTSINFO"), "[[:80 :1]]");
    assert_eq!(client.say("SLOTSCLEANUP 80"), "[:80]");
    assert_eq!(client.say("SLOTSCLEANUPOFF"), "OK");
    assert_eq!(client.say("DBSIZE"), ":0");
    assert_eq!(client.say("SLOTSMGRT-ASYNC-CANCEL"), "OK");
    assert_eq!(client.say("SLOTSMGRT-ASYNC-FENCE"), "OK");
    assert_eq!(
        client.say("SLOTSMGRT-ASYNC-STATUS"),
        "[dest server: :-1 slot number: -1 migrating  : no moved keys : -1 remain keys: -1]"
    );
    assert!(client.say("SLOTSRESTORE k 0 x").contains("payload"));
    for (wrong, text) in [
        ("SLOTSMGRTTAGSLOT 127.0.0.1 0 100 5", "invalid port number 0"),
        ("SLOTSMGRTTAGSLOT 127.0.0.1 1 -1 5", "invalid timeout number -1"),
        ("SLOTSMGRTTAGSLOT 127.0.0.1 1 100 5000", "invalid slot number 5000"),
        ("SLOTSMGRTTAGSLOT-ASYNC 127.0.0.1 1 100 0 1 5 1", "not an integer or out of range"),
        ("SLOTSMGRTTAGSLOT-ASYNC 127.0.0.1 1 100 1 1 5 -1", "not an integer or out of range"),
        ("SLOTSMGRT-EXEC-WRAPPER k", "wrong number of arguments"),
    ] {
        let answer = client.say(wrong);
        assert!(answer.starts_with("-ERR") && answer.contains(text), "{wrong}: {answer}");
    }
}
