//! Commands that wait for a key: who is served, in which order, and who is not. What single replies look like is compared with Redis' own.

use crate::harness::{Client, Server, eventually};
use crate::oracle::Oracle;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

fn blocked(client: &mut Client) -> usize {
    let text = client.say("INFO clients");
    let line = text.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
    line.unwrap().trim().parse().unwrap()
}

/// Sends a command and returns when one client more waits.
fn wait_for(control: &mut Client, client: &mut Client, line: &str) {
    let before = blocked(control);
    client.ask(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>());
    eventually("the client waits", || blocked(control) == before + 1);
}

fn link(server: &Server) -> Client {
    let mut client = server.client();
    let answer = client.say("SLIPWAY LINK proxy p1 - 1024");
    assert!(answer.ends_with(":1024]"), "{answer}");
    client
}

fn nobody_waits(server: &Server) {
    let mut control = server.client();
    eventually("nobody waits", || blocked(&mut control) == 0);
    assert!(server.shared.slots.iter().all(|(_, cell)| !cell.has_waiters()), "queues are left");
}

#[test]
fn the_replies_are_redis_own() {
    let (node, redis) = (Server::start(), Oracle::start());
    for version in ["2", "3"] {
        let mut said = Vec::new();
        for mut connect in
            [Box::new(|| node.client()) as Box<dyn FnMut() -> Client>, Box::new(|| redis.client())]
        {
            said.push(play(&mut connect, version));
        }
        for (ours, theirs) in said[0].iter().zip(&said[1]) {
            assert_eq!(ours, theirs, "RESP{version}");
        }
        assert_eq!(said[0].len(), said[1].len());
    }
    nobody_waits(&node);
}

/// Plays one script on connections of one server; returns what it heard.
fn play(connect: &mut dyn FnMut() -> Client, version: &str) -> Vec<String> {
    let mut heard = Vec::new();
    let [mut a, mut b, mut c] = [connect(), connect(), connect()];
    for client in [&mut a, &mut b, &mut c] {
        client.say(&format!("HELLO {version}"));
    }
    c.say("FLUSHALL");
    let waits = [
        ("BLPOP l{t} m{t} 0", "RPUSH m{t} 1 2"),
        ("BRPOP m{t} 0", "PING"),
        ("BLMOVE l{t} m{t} LEFT RIGHT 0", "RPUSH l{t} 1"),
        ("BRPOPLPUSH l{t} l{t} 0", "RPUSH l{t} 1 2"),
        ("BLMPOP 0 2 x{t} y{t} RIGHT COUNT 3", "RPUSH y{t} 1 2 3 4"),
        ("BZPOPMIN z{t} 0", "ZADD z{t} 1.5 a 2 b"),
        ("BZPOPMAX z{t} 0", "PING"),
        ("BZMPOP 0 1 z{t} MAX COUNT 2", "ZADD z{t} 1 a 2 b 3 c"),
        ("BLPOP q{t} 0", "RESTOREME"),
        ("BLMOVE n{t} s{t} LEFT LEFT 0", "RPUSH n{t} 1"),
        ("BLPOP n2{t} 0", "LINSERTME"),
    ];
    c.say("SET s{t} text");
    for (wait, push) in waits {
        let there = blocked(&mut c);
        a.ask(&wait.split(' ').map(str::as_bytes).collect::<Vec<_>>());
        let pushes: &[&str] = match push {
            "PING" => &["PING"],
            "RESTOREME" => &["MULTI", "RPUSH q{t} 1 2", "LPUSH q{t} 0", "EXEC", "LRANGE q{t} 0 -1"],
            "LINSERTME" => &["RPUSH o{t} v", "COPY o{t} n2{t}", "RENAME o{t} n2{t}"],
            push => &[push],
        };
        if push != "PING" {
            eventually(wait, || blocked(&mut c) == there + 1);
        }
        heard.extend(pushes.iter().filter(|p| **p != "COPY o{t} n2{t}").map(|push| b.say(push)));
        heard.push(format!("{wait} → {}", a.say_reply()));
    }
    for line in [
        "BLPOP s{t} 0",
        "BZPOPMIN s{t} 0",
        "BLMPOP 0 1 s{t} LEFT",
        "BLPOP none{t} 0.02",
        "BLMOVE none{t} a{t} LEFT LEFT 0.02",
        "BRPOPLPUSH none{t} a{t} 0.02",
        "BLMPOP 0.02 1 none{t} LEFT",
        "BZPOPMAX none{t} 0.02",
        "BZMPOP 0.02 1 none{t} MIN",
        "BLPOP none{t} -1",
        "BLPOP none{t} x",
        "BLPOP none{t} 1e30",
        "BLPOP none{t} inf",
        "BLPOP none{t} -inf",
        "BLPOP none{t} nan",
        "BLPOP none{t}",
        "BLMOVE none{t} a{t} UP LEFT 0",
        "BLMPOP 0 0 a{t} LEFT",
        "BLMPOP 0 1 a{t} LEFT COUNT 0",
        "BLMPOP 0 1 a{t}",
        "BZMPOP 0 1 a{t} LEFT",
        "CLIENT UNBLOCK x",
        "CLIENT UNBLOCK 1 whatever",
        "CLIENT UNBLOCK 99999999",
        "MULTI",
        "BLPOP none{t} 0",
        "BLMOVE none{t} a{t} LEFT LEFT 0",
        "BZPOPMIN none{t} 0",
        "BLMPOP 0 1 none{t} LEFT",
        "BZMPOP 0 1 none{t} MIN",
        "BLPOP none{t} -1",
        "EXEC",
    ] {
        heard.push(format!("{line} → {}", a.say(line)));
    }
    heard
}

#[test]
fn whoever_waits_longest_is_served_first_and_each_once() {
    let server = Server::start();
    let (mut control, mut pusher) = (server.client(), server.client());
    let mut waiters: Vec<Client> = (0..20).map(|_| server.client()).collect();
    for (i, waiter) in waiters.iter_mut().enumerate() {
        let line = if i % 2 == 0 { "BLPOP a b 0" } else { "BLPOP b a 0" };
        wait_for(&mut control, waiter, line);
    }
    for i in 0..10 {
        pusher.say(&format!(
            "RPUSH {} {} {}",
            if i % 3 == 0 { "a" } else { "b" },
            2 * i,
            2 * i + 1
        ));
    }
    for (i, waiter) in waiters.iter_mut().enumerate() {
        let reply = waiter.say_reply();
        assert!(reply.ends_with(&format!(" {i}]")), "{i}: {reply}");
    }
    assert_eq!(pusher.say("EXISTS a b"), ":0");
    nobody_waits(&server);
}

#[test]
fn a_client_that_hangs_up_is_killed_or_gives_up_takes_nothing() {
    let server = Server::start();
    let (mut control, mut pusher) = (server.client(), server.client());
    let mut hangs_up = server.client();
    wait_for(&mut control, &mut hangs_up, "BLPOP k 0");
    let mut killed = server.client();
    let id = killed.say("CLIENT ID").trim_start_matches(':').to_owned();
    wait_for(&mut control, &mut killed, "BLPOP k 0");
    let list = control.say("CLIENT LIST");
    let line = list.lines().find(|line| line.starts_with(&format!("id={id} "))).unwrap();
    assert!(line.contains(" flags=b ") && line.contains(" cmd=blpop "), "{line}");
    let mut gives_up = server.client();
    wait_for(&mut control, &mut gives_up, "BLPOP k 0.05");
    let mut stays = server.client();
    wait_for(&mut control, &mut stays, "BLPOP k 0");
    drop(hangs_up);
    assert_eq!(control.say(&format!("CLIENT KILL ID {id}")), ":1");
    assert_eq!(killed.try_reply(), None);
    assert_eq!(gives_up.say_reply(), "nil");
    eventually("only one waits", || blocked(&mut control) == 1);
    assert_eq!(pusher.say("RPUSH k 1 2"), ":2");
    assert_eq!(stays.say_reply(), "[k 1]");
    assert_eq!(pusher.say("LRANGE k 0 -1"), "[2]");
    nobody_waits(&server);
}

#[test]
fn a_client_is_let_go_by_another_and_its_pipeline_goes_on() {
    let server = Server::start();
    let (mut control, mut waiter) = (server.client(), server.client());
    let id = waiter.say("CLIENT ID").trim_start_matches(':').to_owned();
    for (how, want) in [
        ("", "nil"),
        (" TIMEOUT", "nil"),
        (" ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"),
    ] {
        wait_for(&mut control, &mut waiter, "BLPOP k 0");
        waiter.ask(&[b"SET", b"behind", how.as_bytes()]);
        assert_eq!(control.say("EXISTS behind"), ":0");
        assert_eq!(control.say(&format!("CLIENT UNBLOCK {id}{how}")), ":1");
        assert_eq!(waiter.say_reply(), want);
        assert_eq!(waiter.say_reply(), "OK");
        assert_eq!(control.say(&format!("CLIENT UNBLOCK {id}{how}")), ":0");
        assert_eq!(control.say("DEL behind"), ":1");
    }
    // CLIENT REPLY SKIP is about the one command, however long it takes.
    waiter.ask(&[b"CLIENT", b"REPLY", b"SKIP"]);
    wait_for(&mut control, &mut waiter, "BLPOP k 0");
    control.say("RPUSH k v");
    assert_eq!(waiter.say("PING"), "PONG");
    nobody_waits(&server);
}

#[test]
fn a_served_pop_is_a_write_as_any_other() {
    let server = Server::start();
    let (mut control, mut watcher, mut waiter) =
        (server.client(), server.client(), server.client());
    wait_for(&mut control, &mut waiter, "BLMOVE from to LEFT RIGHT 0");
    watcher.say("WATCH to");
    control.say("RPUSH from v");
    assert_eq!(waiter.say_reply(), "v");
    watcher.say("MULTI");
    watcher.say("PING");
    assert_eq!(watcher.say("EXEC"), "nil");
    assert_eq!(control.say("DBSIZE"), ":1");
    // What it pushed serves whoever waits there.
    let (mut second, mut third) = (server.client(), server.client());
    control.say("DEL to");
    wait_for(&mut control, &mut waiter, "BLMOVE from to LEFT RIGHT 0");
    wait_for(&mut control, &mut second, "BLMOVE to end LEFT RIGHT 0");
    wait_for(&mut control, &mut third, "BLPOP end 0");
    control.say("RPUSH from w");
    for (client, want) in [(&mut waiter, "w"), (&mut second, "w"), (&mut third, "[end w]")] {
        assert_eq!(client.say_reply(), want);
    }
    eventually("the chain is through", || control.say("EXISTS from to end") == ":0");
    nobody_waits(&server);
}

#[test]
fn a_move_over_two_slots_is_made_wherever_its_slots_are_locked() {
    let server = Server::start();
    let (mut control, mut pusher) = (server.client(), server.client());
    // In both orders of the slots.
    for (from, to) in [("key1", "key2"), ("key2", "key1")] {
        let mut waiters: Vec<Client> = (0..3).map(|_| server.client()).collect();
        for waiter in &mut waiters {
            wait_for(&mut control, waiter, &format!("BLMOVE {from} {to} LEFT RIGHT 0"));
        }
        for i in 0..3 {
            pusher.say(&format!("RPUSH {from} {i}"));
        }
        let mut replies: Vec<String> = waiters.iter_mut().map(Client::say_reply).collect();
        replies.sort();
        assert_eq!(replies, ["0", "1", "2"]);
        assert_eq!(pusher.say(&format!("LLEN {to}")), ":3");
        pusher.say("FLUSHALL");
    }
    // A transaction that holds both serves it itself.
    let mut waiter = server.client();
    wait_for(&mut control, &mut waiter, "BLMOVE key1 key2 LEFT RIGHT 0");
    for line in ["MULTI", "RPUSH key2 first", "RPUSH key1 second", "EXEC"] {
        pusher.say(line);
    }
    assert_eq!(pusher.say("LRANGE key2 0 -1"), "[first second]");
    assert_eq!(waiter.say_reply(), "second");
    nobody_waits(&server);
}

#[test]
fn who_waits_for_a_slot_that_goes_away_hears_where_it_is() {
    let server = Server::start();
    let (mut control, mut plain, mut link) = (server.client(), server.client(), link(&server));
    wait_for(&mut control, &mut plain, "BLPOP key1 0");
    wait_for(&mut control, &mut link, "BLPOP key1 0");
    // One that waits for a key of another slot too is not served twice.
    let mut both = server.client();
    wait_for(&mut control, &mut both, "BLPOP key1 key2 0");
    assert_eq!(control.say("SLIPWAY ASSIGN 3 other:7000 80"), ":1");
    assert_eq!(plain.say_reply(), "-MOVED 80 other:7000");
    assert_eq!(link.say_reply(), "-XMOVED 80 3 other:7000 -");
    assert_eq!(link.say("GET key1"), "-XMOVED 80 3 other:7000 -", "the pair is sticky");
    assert_eq!(both.say_reply(), "-MOVED 80 other:7000");
    assert_eq!(control.say("RPUSH key2 v"), ":1");
    assert_eq!(control.say("LRANGE key2 0 -1"), "[v]");
    nobody_waits(&server);
}

#[test]
fn who_has_waited_elsewhere_keeps_that_time() {
    let server = Server::start();
    let mut control = server.client();
    assert!(control.say("SLIPWAY WAITED 5").starts_with("-ERR"), "a word of links");
    let mut waiters: Vec<Client> = (0..3).map(|_| link(&server)).collect();
    for (waiter, waited) in waiters.iter_mut().zip([1_000, 60_000, 30_000]) {
        assert_eq!(waiter.say(&format!("SLIPWAY WAITED {waited}")), "OK");
        wait_for(&mut control, waiter, "BLPOP k 0");
    }
    control.say("RPUSH k first second third");
    for (waiter, want) in waiters.iter_mut().zip(["third", "first", "second"]) {
        assert_eq!(waiter.say_reply(), format!("[k {want}]"));
    }
}

#[test]
fn a_node_that_stops_ends_the_waits_with_a_word() {
    let mut server = Server::start();
    let (mut control, mut plain, mut link) = (server.client(), server.client(), link(&server));
    wait_for(&mut control, &mut plain, "BLPOP key1 0");
    wait_for(&mut control, &mut link, "BLPOP key1 0");
    server.stop();
    assert!(plain.say_reply().starts_with("-ERR this node is stopping; nothing was taken"));
    assert_eq!(plain.try_reply(), None);
    assert_eq!(link.say_reply(), "-XHOLD 80");
}

#[test]
fn what_stands_behind_a_command_that_waits_is_bounded() {
    let server = Server::start_with(|config| config.queue_bytes_max = 10_000);
    let (mut control, mut waiter) = (server.client(), server.client());
    wait_for(&mut control, &mut waiter, "BLPOP k 0");
    waiter.ask(&[b"SET", b"behind", &[b'v'; 20_000]]);
    let reply = waiter.say_reply();
    assert!(reply.contains("queue_bytes_max, 10000"), "{reply}");
    assert_eq!(waiter.try_reply(), None);
    assert_eq!(control.say("RPUSH k v"), ":1");
    assert_eq!(control.say("EXISTS k behind"), ":1");
    nobody_waits(&server);
}

#[test]
fn a_wait_lasts_as_long_as_it_says_and_no_idle_timeout_ends_it() {
    let server = Server::start_with(|config| config.idle_timeout = Duration::from_secs(1));
    let mut client = server.client();
    let begun = Instant::now();
    assert_eq!(client.say("BLPOP k 1.6"), "nil");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1_600) && took < Duration::from_secs(5), "{took:?}");
    let begun = Instant::now();
    assert_eq!(client.say("BLPOP k 0.0001"), "nil");
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_slot_that_is_held_for_long_stops_no_worker() {
    let server = Server::start_with(|config| config.workers = 1);
    let (mut waiter, mut other) = (server.client(), server.client());
    let slot = server.shared.slot_count().of(b"k");
    let mark = server.shared.slots.hold_long(&[slot]);
    let held = server.shared.slot(slot).write();
    waiter.ask(&[b"BLPOP", b"k", b"0"]);
    assert_eq!(other.say("SET elsewhere v"), "OK");
    eventually("it waits for the slot", || blocked(&mut other) == 1);
    drop(held);
    drop(mark);
    eventually("it stands in the queue", || server.shared.slot(slot).has_waiters());
    other.say("RPUSH k v");
    assert_eq!(waiter.say_reply(), "[k v]");
    nobody_waits(&server);
}

#[test]
fn a_database_and_a_kind_of_its_own() {
    let server = Server::start();
    let (mut control, mut list, mut zset) = (server.client(), server.client(), server.client());
    list.say("SELECT 3");
    wait_for(&mut control, &mut list, "BLPOP k 0");
    wait_for(&mut control, &mut zset, "BZPOPMIN k 0");
    control.say("RPUSH k zero");
    control.say("DEL k");
    for line in ["MULTI", "SELECT 3", "RPUSH k three", "SELECT 0", "ZADD k 1 m"] {
        assert!(!control.say(line).starts_with('-'), "{line}");
    }
    assert_eq!(control.say("EXEC"), "[OK :1 OK :1]");
    assert_eq!(list.say_reply(), "[k three]");
    assert_eq!(zset.say_reply(), "[k m 1]");
    nobody_waits(&server);
}

#[test]
fn every_element_is_taken_once_by_many_clients_that_come_and_go() {
    const ELEMENTS: usize = 6_000;
    let server = Server::start();
    let addr = server.addr;
    let (done, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let takers: Vec<_> = (0..8)
        .map(|number| {
            let (done, taken) = (done.clone(), taken.clone());
            thread::spawn(move || {
                let (mut mine, mut client) = (Vec::new(), Client::connect(addr));
                while !done.load(Relaxed) {
                    // Timeouts that race with the pushes.
                    let reply = match number % 4 {
                        0 => client.say("BLPOP q1 q2 0.002"),
                        1 => client.say("BRPOP q2 q1 0.001"),
                        2 => client.say("BLMPOP 0.01 2 q2 q1 LEFT COUNT 3"),
                        _ => client.say("BLPOP q2 0.005"),
                    };
                    let elements = reply.trim_matches(['[', ']']).split([' ', '[', ']']);
                    let numbers: Vec<usize> = elements.filter_map(|e| e.parse().ok()).collect();
                    assert!(reply == "nil" || !numbers.is_empty(), "{reply}");
                    taken.fetch_add(numbers.len(), Relaxed);
                    mine.extend(numbers);
                }
                mine
            })
        })
        .collect();
    let pushers: Vec<_> = (0..2)
        .map(|number| {
            thread::spawn(move || {
                let mut client = Client::connect(addr);
                for element in (number..ELEMENTS).step_by(2) {
                    let line = format!("RPUSH q{} {element}", 1 + element % 3 % 2);
                    assert!(client.say(&line).starts_with(':'));
                }
            })
        })
        .collect();
    pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
    eventually("all are taken", || taken.load(Relaxed) >= ELEMENTS);
    done.store(true, Relaxed);
    let all: Vec<usize> = takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect();
    assert_eq!(all.len(), ELEMENTS);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), ELEMENTS);
    nobody_waits(&server);
}

#[test]
fn a_key_that_goes_away_while_a_client_waits_changes_nothing() {
    let server = Server::start();
    let (mut control, mut waiter) = (server.client(), server.client());
    wait_for(&mut control, &mut waiter, "BLPOP k 0");
    for line in [
        "SET k text PX 20",
        "SADD other x",
        "RENAME other k",
        "DEL k",
        "SET k text",
        "FLUSHALL",
        "MULTI",
        "RPUSH k v",
        "PEXPIREAT k 1",
        "EXEC",
    ] {
        control.say(line);
    }
    assert_eq!(blocked(&mut control), 1);
    assert_eq!(control.say("DBSIZE"), ":0");
    control.say("RPUSH k v");
    assert_eq!(waiter.say_reply(), "[k v]");
    nobody_waits(&server);
}
