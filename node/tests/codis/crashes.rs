//! Either node is killed with -9 at each place of a move that a dashboard drives, under the writes of an old codis-proxy.
//!
//! Every acknowledged INCR is in the value, and none twice: only of those in flight at a process that dies the fate is unknown.

use super::*;
use crate::harness::server::{Process, free_port};
use protocol::frame::Value;
use std::net::SocketAddr;

/// Keys the slot has besides the counters.
const KEYS: usize = 300;

/// A client of an old codis-proxy in semi-async mode: what is wrapped goes to the source, what is not there to the target.
struct Proxy {
    addrs: [SocketAddr; 2],
    clients: [Option<Client>; 2],
}

impl Proxy {
    /// Nothing if the connection broke: the fate of the command is unknown.
    fn ask(&mut self, at: usize, args: &[&str]) -> Option<Value> {
        if self.clients[at].is_none() {
            let Some(client) = Client::try_connect(self.addrs[at]) else {
                std::thread::yield_now();
                return Some(Value::Error("not sent".into()));
            };
            self.clients[at] = Some(client);
        }
        let client = self.clients[at].as_mut()?;
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        let reply = if client.try_ask(&args) { client.try_reply() } else { None };
        if reply.is_none() {
            self.clients[at] = None;
        }
        reply
    }

    /// The counter's value; nothing if it is unknown whether it was raised. An error means that it was not.
    fn incr(&mut self, key: &str) -> Option<Result<i64, String>> {
        let wrapped = match self.ask(0, &["SLOTSMGRT-EXEC-WRAPPER", key, "INCR", key])? {
            Value::Error(text) => return Some(Err(text)),
            wrapped => wrapped,
        };
        let items = wrapped.as_items().unwrap().to_vec();
        let reply = match items[0].as_int().unwrap() {
            2 => items[1].clone(),
            1 => return Some(Err("again".into())),
            0 => self.ask(1, &["INCR", key])?,
            other => panic!("{other}: {items:?}"),
        };
        Some(match reply {
            Value::Int(count) => Ok(count),
            other => Err(crate::harness::client::show(&other)),
        })
    }
}

/// Raises a counter until it is told to stop; returns how often that was acknowledged, and how often nobody knows.
fn count_up(addrs: [SocketAddr; 2], key: &str, stop: &AtomicBool) -> (i64, i64) {
    let mut proxy = Proxy { addrs, clients: [None, None] };
    let (mut acknowledged, mut unknown) = (0, 0);
    while !stop.load(Relaxed) {
        match proxy.incr(key) {
            Some(Ok(value)) => {
                acknowledged += 1;
                let most = acknowledged + unknown;
                assert!((acknowledged..=most).contains(&value), "{value} of {most}");
            }
            Some(Err(why)) => {
                let is_fine = why == "not sent" || why == "again" || why.starts_with("-TRYAGAIN");
                assert!(is_fine, "{why}");
            }
            None => unknown += 1,
        }
    }
    (acknowledged, unknown)
}

/// Asks as the dashboard does, whatever it is answered, and starts again who has died, until the target owns the slot.
fn drive_through(nodes: &mut [(Process, &std::path::Path); 2], order: &str) -> bool {
    let begin = Instant::now();
    let mut has_died = false;
    loop {
        assert!(begin.elapsed() < Duration::from_secs(60), "the move does not come to an end");
        for (node, data) in nodes.iter_mut() {
            if node.is_dead() {
                has_died = true;
                *node = Process::start_at(data, node.addr.port(), "");
            }
        }
        let mut proxy = Proxy { addrs: [nodes[0].0.addr; 2], clients: [None, None] };
        let words: Vec<&str> = order.split(' ').collect();
        if let Some(Value::Array(items)) = proxy.ask(0, &words)
            && items[1].as_int() == Some(0)
            // One that dies on its last steps is waited for.
            && (has_died || begin.elapsed() > Duration::from_secs(3))
        {
            return has_died;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn survives(point: &str) {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let dies =
        |side: &str| if point.starts_with(side) { format!("{point}=kill") } else { String::new() };
    let mut nodes = [
        (
            Process::start_at(directories[0].path(), free_port(), &dies("source")),
            directories[0].path(),
        ),
        (
            Process::start_at(directories[1].path(), free_port(), &dies("target")),
            directories[1].path(),
        ),
    ];
    let addrs = [nodes[0].0.addr, nodes[1].0.addr];
    let mut client = Client::connect(addrs[0]);
    for number in 0..KEYS {
        client.ask(&[b"SET", format!("{{t}}:{number}").as_bytes(), &[b'v'; 4000]]);
    }
    (0..KEYS).for_each(|_| assert_eq!(client.say_reply(), "OK"));
    let slot = slot_of("{t}");
    let order = format!(
        "SLOTSMGRTTAGSLOT-ASYNC {} {} 5000 200 33554432 {slot} 500",
        addrs[1].ip(),
        addrs[1].port()
    );
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let counters: Vec<_> = (0..3)
            .map(|number| {
                let stop = &stop;
                scope.spawn(move || count_up(addrs, &format!("{{t}}count:{number}"), stop))
            })
            .collect();
        let has_died = drive_through(&mut nodes, &order);
        stop.store(true, Relaxed);
        assert!(has_died, "{point}: nobody came by");
        let mut owner = Client::connect(addrs[1]);
        for (number, counter) in counters.into_iter().enumerate() {
            let (acknowledged, unknown) = counter.join().unwrap();
            let value: i64 = owner.say(&format!("GET {{t}}count:{number}")).parse().unwrap();
            println!("{point}: {acknowledged} acknowledged, {unknown} unknown, {value}");
            assert!((acknowledged..=acknowledged + unknown).contains(&value), "{point}");
        }
        assert_eq!(owner.say(&format!("STRLEN {{t}}:{}", KEYS - 1)), ":4000");
        assert_eq!(owner.say("DBSIZE"), format!(":{}", KEYS + 3), "{point}");
    });
    eventually("the old copy goes", || {
        Client::connect(addrs[0]).say(&format!("SLIPWAY WHERE {slot}")).starts_with("[absent")
    });
    assert_eq!(Client::connect(addrs[0]).say("DBSIZE"), ":0", "{point}");
}

#[test]
fn a_relayed_write_whose_node_dies_is_in_doubt_and_is_not_sent_again() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let a = Process::start(directories[0].path());
    let mut b = Process::start(directories[1].path());
    let (slot, port) = (slot_of("{t}"), b.addr.port());
    let order = format!("SLOTSMGRTTAGSLOT 127.0.0.1 {port} 30000 {slot}");
    drive(&mut Client::connect(a.addr), &order);
    let stop = AtomicBool::new(false);
    let (acknowledged, unknown, value) = std::thread::scope(|scope| {
        let counter = scope.spawn(|| {
            let mut client = Client::connect(a.addr);
            let (mut acknowledged, mut unknown) = (0, 0);
            while !stop.load(Relaxed) {
                match client.call("INCR {t}") {
                    Value::Int(value) => {
                        acknowledged += 1;
                        let most = acknowledged + unknown;
                        assert!((acknowledged..=most).contains(&value), "{value} of {most}");
                    }
                    Value::Error(text) if text.contains("may or may not") => unknown += 1,
                    Value::Error(text) if text.starts_with("TRYAGAIN") => {}
                    other => panic!("{other:?}"),
                }
            }
            (acknowledged, unknown)
        });
        for _ in 0..3 {
            let count = || Client::connect(b.addr).say("GET {t}").parse().unwrap_or(0_i64);
            let before = count();
            eventually("more are acknowledged", || count() > before + 20);
            b.kill();
            b = Process::start_at(directories[1].path(), port, "");
        }
        stop.store(true, Relaxed);
        let (acknowledged, unknown) = counter.join().unwrap();
        let value: i64 = Client::connect(b.addr).say("GET {t}").parse().unwrap();
        (acknowledged, unknown, value)
    });
    println!("{acknowledged} acknowledged, {unknown} unknown, {value}");
    assert!((acknowledged..=acknowledged + unknown).contains(&value));
}

#[test]
fn a_source_may_die_wherever_it_is() {
    for point in [
        "source.exported",
        "source.chunk",
        "source.copied",
        "source.armed",
        "source.sealed",
        "source.ready",
        "source.granted",
        "source.owned",
        "source.cleaned",
    ] {
        survives(point);
    }
}

#[test]
fn a_target_may_die_wherever_it_is() {
    for point in ["target.applied", "target.armed", "target.ready", "target.owner"] {
        survives(point);
    }
}
