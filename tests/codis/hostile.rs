//! Clients and callers that mean harm, beside a client that must not notice.

use crate::size::size;
use codis::identity::proxy_xauth;
use harness::product::{Kind, Parts, Product};
use harness::resp::Client;
use protocol::frame::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const CLIENTS: usize = 20;

/// No reply of the client that behaves may take longer, milliseconds.
const STALL_MAX_MS: u128 = 500;

const WORDS: [&str; 20] = [
    "HELLO 3",
    "SSUBSCRIBE c",
    "SUBSCRIBE c",
    "BZPOPMIN z 0",
    "BLPOP l 0",
    "BLMOVE l m LEFT RIGHT 0",
    "XREAD BLOCK 0 STREAMS s $",
    "MONITOR",
    "REPLICAOF 127.0.0.1 1",
    "SLAVEOF 127.0.0.1 1",
    "RESET",
    "CLIENT REPLY OFF",
    "MULTI",
    "SLOTSMGRTTAGSLOT 127.0.0.1 1 1000",
    "SLOTSMGRTTAGSLOT-ASYNC 127.0.0.1 x 1 1 1 1 1",
    "SLOTSMGRT-EXEC-WRAPPER a",
    "SLOTSRESTORE a 0",
    "SLOTSINFO x y",
    "SHUTDOWN NOSAVE",
    "DEBUG SLEEP 60",
];

#[test]
fn twenty_hostile_clients_are_no_other_clients_business_in_front_of_redis() {
    twenty_hostile_clients(Kind::Redis);
}

#[test]
fn twenty_hostile_clients_are_no_other_clients_business_in_front_of_our_nodes() {
    twenty_hostile_clients(Kind::Ours);
}

fn twenty_hostile_clients(kind: Kind) {
    let mut product = Product::start(Parts { kind, ..Parts::default() });
    let end = Instant::now() + Duration::from_secs(size(5, 60));
    let done = AtomicBool::new(false);
    let worst = std::thread::scope(|scope| {
        for i in 0..CLIENTS {
            let (done, addr) = (&done, &product.proxies[0].addr);
            scope.spawn(move || {
                for round in i.. {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    abuse(addr, WORDS[round % WORDS.len()], round);
                }
            });
        }
        let worst = behave(&mut product.proxies[0].client(), end);
        done.store(true, Ordering::Relaxed);
        worst
    });
    println!("worst reply {worst} ms");
    assert!(worst <= STALL_MAX_MS, "{worst} ms");
    product.assert_all_run();
}

/// Says it, alone or in a pipeline, and leaves without waiting for long.
fn abuse(addr: &str, words: &str, round: usize) {
    let Ok(mut stream) = TcpStream::connect(addr) else { return };
    let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
    let line = format!("{words}\r\n");
    let text =
        if round.is_multiple_of(3) { line.repeat(50) } else { format!("{line}PING\r\nGET a\r\n") };
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.read(&mut [0; 4096]);
}

/// Writes and reads until the end; the worst time of a reply in milliseconds.
fn behave(client: &mut Client, end: Instant) -> u128 {
    let mut worst = 0;
    let mut count = 0;
    while Instant::now() < end {
        count += 1;
        let begin = Instant::now();
        let key = format!("behave:{}", count % 100);
        let set = client.command(&format!("SET {key} {count}")).unwrap();
        assert_eq!(set.as_str(), Some("OK"), "{set:?}");
        let got = client.command(&format!("GET {key}")).unwrap();
        assert_eq!(got, Value::Bulk(count.to_string().into()), "{got:?}");
        worst = worst.max(begin.elapsed().as_millis());
    }
    assert!(count > 100, "{count} writes");
    worst
}

#[test]
fn hostile_calls_of_the_admin_api_get_clear_errors_and_leave_the_routes() {
    let product = Product::start(Parts { kind: Kind::Redis, ..Parts::default() });
    let (admin, model) = (&product.proxies[0].admin, &product.models[0]);
    let before = product.dashboard.slots_of(model).unwrap();
    let xauth = proxy_xauth("codis-demo", "", &model.token);
    let path = format!("PUT /api/proxy/fillslots/{xauth}");
    let huge = vec![b' '; 100 << 20];
    let (status, answer) = harness::http::ask(admin, &path, &huge).unwrap();
    assert!(matches!(status, 413 | 800), "{answer}");
    // A slow loris at each step keeps nobody else waiting.
    let partial = [
        String::new(),
        "PUT /api".to_owned(),
        format!("{path} HTTP/1.1\r\nContent-Length: 10\r\n"),
        format!("{path} HTTP/1.1\r\nContent-Length: 10\r\n\r\n[{{"),
    ];
    let _lorises: Vec<TcpStream> = (0..200)
        .map(|i| {
            let mut stream = TcpStream::connect(admin).unwrap();
            stream.write_all(partial[i % partial.len()].as_bytes()).unwrap();
            stream
        })
        .collect();
    let begin = Instant::now();
    assert!(product.dashboard.stats(model).unwrap().online);
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
    assert_eq!(product.dashboard.slots_of(model).unwrap(), before);
    assert_eq!(product.proxies[0].client().command("SET a 1").unwrap().as_str(), Some("OK"));
}
