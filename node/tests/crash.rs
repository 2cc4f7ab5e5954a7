//! Kill -9: what was acknowledged, or seen, is there afterwards.

use crate::harness::Client;
use crate::harness::server::Process;
use std::collections::HashMap;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let process = Process::start(directory.path());
        let acknowledged = Mutex::new(HashMap::new());
        thread::scope(|scope| {
            for writer in 0..4 {
                let (acknowledged, addr) = (&acknowledged, process.addr);
                scope.spawn(move || {
                    let mut client = Client::connect(addr);
                    for round in 0_u64.. {
                        let key = format!("k{writer}:{}", round % 100);
                        client.try_ask(&[b"SET", key.as_bytes(), round.to_string().as_bytes()]);
                        client.try_ask(&[b"INCR", format!("n{writer}").as_bytes()]);
                        let (Some(_), Some(count)) = (client.try_reply(), client.try_reply())
                        else {
                            return;
                        };
                        let mut acknowledged = acknowledged.lock().unwrap();
                        acknowledged.insert(key, round as i64);
                        acknowledged.insert(format!("n{writer}"), count.as_int().unwrap());
                    }
                });
            }
            thread::sleep(Duration::from_millis(400));
            process.kill();
        });
        let process = Process::start(directory.path());
        let mut client = Client::connect(process.addr);
        let acknowledged = acknowledged.into_inner().unwrap();
        assert!(acknowledged.len() > 50);
        for (key, value) in acknowledged {
            let found = client.call_bytes(&[b"GET", key.as_bytes()]).as_int().unwrap();
            // One more may have been on its way.
            assert!(found >= value, "{key} is {found}, {value} was acknowledged");
        }
        let keys = client.call("KEYS *").as_items().unwrap().len() as i64;
        assert_eq!(client.call("DBSIZE").as_int(), Some(keys), "counts are right after a crash");
        client.call("FLUSHALL");
    }
}

#[test]
fn what_another_client_has_read_is_there_after_the_writer_never_got_its_reply() {
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(directory.path());
    let seen = thread::scope(|scope| {
        let addr = process.addr;
        scope.spawn(move || {
            let mut client = Client::connect(addr);
            // Never reads a reply.
            for round in 0_u64.. {
                if !client.try_ask(&[b"SET", b"k", round.to_string().as_bytes()]) {
                    return;
                }
                if round % 16 == 0 {
                    thread::yield_now();
                }
            }
        });
        let reader = scope.spawn(move || {
            let mut client = Client::connect(addr);
            let mut seen = 0;
            loop {
                client.try_ask(&[b"GET", b"k"]);
                match client.try_reply() {
                    Some(value) => seen = value.as_int().unwrap_or(seen),
                    None => return seen,
                }
            }
        });
        thread::sleep(Duration::from_millis(300));
        process.kill();
        reader.join().unwrap()
    });
    let process = Process::start(directory.path());
    let found = Client::connect(process.addr).call("GET k").as_int().unwrap();
    assert!(found >= seen, "{seen} was seen, {found} is left");
    assert!(seen > 0);
}
