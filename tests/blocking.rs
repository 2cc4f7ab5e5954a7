//! Queues consumed by clients that wait in blocking commands, while the queues' slots move to and fro: every element once, in order, no error.

use harness::cluster::Cluster;
use harness::eventually;
use harness::resp::Client;
use protocol::frame::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// All in one slot, that of the tag.
const QUEUES: [&str; 3] = ["{q}a", "{q}b", "{q}c"];
const ELEMENTS: usize = 1_000;
const CONSUMERS: usize = 10;

/// What one consumer took: the queue and the element's number, in the order in which it took them.
type Taken = Vec<(String, usize)>;

fn consume(
    proxy: String,
    number: usize,
    count: Arc<AtomicUsize>,
    done: Arc<AtomicBool>,
) -> JoinHandle<Taken> {
    thread::spawn(move || {
        let mut client = Client::connect(&proxy).unwrap();
        let mut taken = Vec::new();
        while !done.load(Relaxed) {
            // Some waits end while a slot is on its way.
            let command = match number % 3 {
                0 => "BLPOP {q}a {q}b {q}c 2",
                1 => "BLPOP {q}c {q}a {q}b 0.05",
                _ => "BLMPOP 0.5 3 {q}b {q}c {q}a LEFT COUNT 2",
            };
            match client.command(command).unwrap() {
                Value::Null => {}
                Value::Array(items) => {
                    let queue = items[0].as_str().unwrap().to_owned();
                    let elements: Vec<&Value> = match &items[1] {
                        Value::Array(elements) => elements.iter().collect(),
                        element => vec![element],
                    };
                    for element in elements {
                        taken.push((queue.clone(), element.as_str().unwrap().parse().unwrap()));
                        count.fetch_add(1, Relaxed);
                    }
                }
                other => panic!("consumer {number}: {other:?}"),
            }
        }
        taken
    })
}

#[test]
fn each_element_of_a_queue_is_taken_once_while_its_slot_moves() {
    let cluster = Cluster::start();
    let slot = cluster_slot();
    let (count, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let consumers: Vec<_> = (0..CONSUMERS)
        .map(|number| consume(cluster.proxy.clone(), number, count.clone(), done.clone()))
        .collect();
    let pusher = {
        let proxy = cluster.proxy.clone();
        thread::spawn(move || {
            let mut client = Client::connect(&proxy).unwrap();
            for number in 0..ELEMENTS {
                let queue = QUEUES[number % QUEUES.len()];
                let reply = client.command(&format!("RPUSH {queue} {number}")).unwrap();
                assert!(matches!(reply, Value::Int(_)), "{reply:?}");
                // Spread over the moves.
                thread::sleep(Duration::from_millis(3));
            }
        })
    };
    let mut moves = 0;
    while !pusher.is_finished() {
        let group = if moves % 2 == 0 { 2 } else { 1 };
        cluster.tool(&format!("migrate --slots {slot} --to {group}")).unwrap();
        moves += 1;
    }
    pusher.join().unwrap();
    eventually("all are taken", Duration::from_secs(20), || {
        let count = count.load(Relaxed);
        if count >= ELEMENTS { Ok(()) } else { Err(format!("{count} are")) }
    });
    done.store(true, Relaxed);
    let taken: Vec<Taken> = consumers.into_iter().map(|c| c.join().unwrap()).collect();
    println!("{moves} moves");
    assert!(moves >= 4, "{moves} moves");
    check(&taken);
}

fn cluster_slot() -> u16 {
    // CRC-32 of "q" modulo 1024, as a client would find out.
    cluster::SlotCount::DEFAULT.of(b"q").0
}

/// Everything once; what one consumer took of one queue, in the order of the queue.
fn check(taken: &[Taken]) {
    let mut all: Vec<usize> = taken.iter().flatten().map(|(_, number)| *number).collect();
    all.sort_unstable();
    assert!(all.iter().copied().eq(0..ELEMENTS), "{} taken: {all:?}", all.len());
    for one in taken {
        let mut last: BTreeMap<&str, usize> = BTreeMap::new();
        for (queue, number) in one {
            assert_eq!(QUEUES[number % QUEUES.len()], queue);
            let before = last.insert(queue, *number);
            assert!(before.is_none_or(|before| before < *number), "{queue}: {before:?} {number}");
        }
    }
}

#[test]
fn who_waits_is_served_at_the_new_owner_in_the_old_order_and_in_time() {
    let cluster = Cluster::start();
    let slot = cluster_slot();
    // It may be there already.
    let _ = cluster.tool(&format!("migrate --slots {slot} --to 1"));
    let mut waiters: Vec<Client> = Vec::new();
    let mut control = Client::connect(&cluster.proxy).unwrap();
    let node_waits = |node: usize, count: usize| {
        let mut client = Client::connect(&cluster.nodes[node]).unwrap();
        eventually(&format!("{count} wait at node {node}"), Duration::from_secs(20), || {
            let info = client.command("INFO clients")?;
            let wanted = format!("blocked_clients:{count}\r\n");
            let text = info.as_str().unwrap_or_default().to_owned();
            if text.contains(&wanted) { Ok(()) } else { Err(text) }
        });
    };
    for number in 0..5 {
        let mut client = Client::connect(&cluster.proxy).unwrap();
        client.send(&request("BLPOP {q}a 0")).unwrap();
        node_waits(0, number + 1);
        waiters.push(client);
    }
    let begun = Instant::now();
    let mut impatient = Client::connect(&cluster.proxy).unwrap();
    impatient.send(&request("BLMOVE {q}a {q}b LEFT RIGHT 4")).unwrap();
    node_waits(0, 6);
    cluster.tool(&format!("migrate --slots {slot} --to 2")).unwrap();
    node_waits(1, 6);
    node_waits(0, 0);
    cluster.tool(&format!("migrate --slots {slot} --to 1")).unwrap();
    node_waits(0, 6);
    assert_eq!(impatient.reply().unwrap(), Value::Null);
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(4) && took < Duration::from_secs(8), "{took:?}");
    // One who hangs up takes nothing.
    drop(waiters.remove(2));
    node_waits(0, 4);
    control.command("RPUSH {q}a 0 1 2 3 4").unwrap();
    for (number, waiter) in waiters.iter_mut().enumerate() {
        let Value::Array(items) = waiter.reply().unwrap() else { panic!("no element") };
        assert_eq!(items[1].as_str().unwrap(), number.to_string());
    }
    let rest = control.command("LRANGE {q}a 0 -1").unwrap();
    assert_eq!(rest.as_items().unwrap().len(), 1, "{rest:?}");
}

#[test]
fn an_unblock_that_meets_a_push_loses_nothing() {
    let cluster = Cluster::start();
    let connect = || Client::connect(&cluster.proxy).unwrap();
    let [mut waiter, mut pusher, mut other, mut control] = std::array::from_fn(|_| connect());
    let id = waiter.command("CLIENT ID").unwrap().as_int().unwrap();
    let (mut served, mut unblocked) = (0, 0);
    for round in 0..300 {
        waiter.send(&request("BLPOP {q}a 0")).unwrap();
        eventually("it waits", Duration::from_secs(20), || {
            let info = control.command("INFO clients")?;
            let text = info.as_str().unwrap_or_default().to_owned();
            if text.contains("blocked_clients:1\r\n") { Ok(()) } else { Err(text) }
        });
        let push = request(&format!("RPUSH {{q}}a {round}"));
        let unblock = request(&format!("CLIENT UNBLOCK {id}"));
        if round % 2 == 0 {
            pusher.send(&push).and_then(|()| other.send(&unblock)).unwrap();
        } else {
            other.send(&unblock).and_then(|()| pusher.send(&push)).unwrap();
        }
        let (pushed, answer) = (pusher.reply().unwrap(), other.reply().unwrap());
        assert_eq!(pushed, Value::Int(1), "alone in its list when it was pushed");
        assert!(matches!(answer, Value::Int(0 | 1)), "{answer:?}");
        let (heard, left) = (waiter.reply().unwrap(), control.command("LPOP {q}a").unwrap());
        match (&heard, &left) {
            (Value::Array(_), Value::Null) => served += 1,
            (Value::Null, Value::Bulk(_)) => unblocked += 1,
            other => panic!("round {round}: {other:?}"),
        }
    }
    println!("{served} served, {unblocked} unblocked");
}

fn request(words: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    let args: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    protocol::request::encode_request(&mut frame, &args);
    frame
}
