//! Reads at replicas: real Redis servers that replicate, and a dashboard that names them.

use codis::model::Slot;
use harness::eventually;
use harness::product::{Backend, Kind, Parts, Product};
use harness::resp::Client;
use protocol::frame::Value;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const KEYS: usize = 500;
/// Asked often, so that tests do not take long.
const ASKED: &str = "backend_ping_period = \"1s\"";

/// A product whose first group is to have replicas.
fn product(proxy: &'static str) -> Product {
    Product::start(Parts { kind: Kind::Redis, proxy, ..Parts::default() })
}

fn number(client: &mut Client, section: &str, field: &str) -> usize {
    let info = client.command(&format!("INFO {section}")).unwrap();
    let text = info.as_str().unwrap();
    let found = text.lines().find_map(|line| line.strip_prefix(field));
    let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
    found.map_or(0, |rest| digits(rest).parse().unwrap())
}

/// How many GETs a server has executed.
fn gets(server: &Backend) -> usize {
    number(&mut Client::connect(&server.addr).unwrap(), "commandstats", "cmdstat_get:calls=")
}

fn order(server: &Backend, line: &str) {
    let reply = Client::connect(&server.addr).unwrap().command(line).unwrap();
    assert!(reply.as_error().is_none(), "{line}: {reply:?}");
}

/// Makes a server a replica of another, and waits until it has what that one has.
fn replicate(replica: &Backend, primary: &str) {
    let (host, port) = primary.rsplit_once(':').unwrap();
    order(replica, &format!("REPLICAOF {host} {port}"));
    eventually("the replica has all keys", LIMIT, || {
        let mut client = Client::connect(&replica.addr)?;
        let info = client.command("INFO replication")?;
        let is_up = info.as_str().is_some_and(|text| text.contains("master_link_status:up"));
        match client.command("DBSIZE")? {
            Value::Int(n) if n as usize == KEYS && is_up => Ok(()),
            other => Err(format!("{other:?} {info:?}")),
        }
    });
}

/// A replica of the first group's primary, with all keys.
fn replica(product: &Product, name: &str) -> Backend {
    let replica = Backend::redis(name, product.directory.path());
    replicate(&replica, &product.servers[0].addr);
    replica
}

/// The first group has these servers, of these datacenters, beside its primary, which is not read in its own right; SYNC.
fn group(product: &Product, replicas: &[(&Backend, &str)]) {
    let mut servers = vec![product.servers[0].addr.as_str()];
    servers.extend(replicas.iter().map(|(server, _)| server.addr.as_str()));
    product.dashboard.put_group(1, &servers);
    {
        let mut records = product.store.records();
        let servers = &mut records.groups.get_mut(&1).unwrap().servers;
        servers[0].replica_group = false;
        for (server, (_, datacenter)) in servers[1..].iter_mut().zip(replicas) {
            (*datacenter).clone_into(&mut server.datacenter);
        }
    }
    product.dashboard.resync_group(1).unwrap();
}

fn write_all(product: &Product) {
    let mut client = product.proxies[0].client();
    for n in 0..KEYS {
        assert_eq!(client.command(&format!("SET key:{n} {n}")).unwrap().as_str(), Some("OK"));
    }
}

fn read_all(product: &Product) {
    let mut client = product.proxies[0].client();
    for n in 0..KEYS {
        let reply = client.command(&format!("GET key:{n}")).unwrap();
        assert_eq!(reply.as_str(), Some(&*n.to_string()));
    }
}

/// Waits until reads reach the server.
fn is_read(product: &Product, server: &Backend) {
    eventually(&format!("{} is read", server.addr), LIMIT, || {
        let before = gets(server);
        read_all(product);
        if gets(server) > before { Ok(()) } else { Err("nothing reaches it".to_owned()) }
    });
}

/// Clients that read, pipelined and alone, while `change` goes on. Every reply must be right.
fn under_reads(product: &Product, change: impl FnOnce()) -> usize {
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let addr = &product.proxies[0].addr;
    std::thread::scope(|scope| {
        for first in 0..4_usize {
            let (stop, answered) = (&stop, &answered);
            scope.spawn(move || {
                let mut client = Client::connect(addr).unwrap();
                let mut n = first;
                while !stop.load(Relaxed) {
                    n = (n + 7) % (KEYS - 2);
                    let line = format!("MGET key:{n} key:{}\r\nGET key:{n}\r\n", n + 1);
                    client.send(line.repeat(8).as_bytes()).unwrap();
                    for _ in 0..8 {
                        let both = client.reply().unwrap();
                        let both: Vec<_> =
                            both.as_items().unwrap_or_default().iter().map(Value::as_str).collect();
                        let (one, two) = (n.to_string(), (n + 1).to_string());
                        assert_eq!(both, [Some(&*one), Some(&*two)]);
                        assert_eq!(client.reply().unwrap().as_str(), Some(&*one));
                        answered.fetch_add(2, Relaxed);
                    }
                }
            });
        }
        change();
        stop.store(true, Relaxed);
    });
    answered.load(Relaxed)
}

#[test]
fn reads_reach_the_replica_and_killing_it_costs_no_client_anything() {
    let product = product(ASKED);
    write_all(&product);
    let mut one = replica(&product, "one");
    group(&product, &[(&one, "")]);
    is_read(&product, &one);
    let (at_primary, at_replica) = (gets(&product.servers[0]), gets(&one));
    read_all(&product);
    assert_eq!((gets(&product.servers[0]), gets(&one)), (at_primary, at_replica + KEYS));
    let stats = product.dashboard.stats(&product.models[0]).unwrap();
    assert!(!stats.backend.primary_only);

    let read = under_reads(&product, || {
        for _ in 0..2 {
            one.process.kill();
            std::thread::sleep(Duration::from_millis(300));
            // It comes back as nobody's replica, and empty.
            one.process.start("");
            one.wait();
            std::thread::sleep(Duration::from_secs(2));
            assert_eq!(gets(&one), 0, "an empty server is not read");
            replicate(&one, &product.servers[0].addr);
            eventually("it is read again", LIMIT, || match gets(&one) {
                0 => Err("nothing reaches it".to_owned()),
                _ => Ok(()),
            });
        }
    });
    println!("{read} reads were right");
    assert!(read > 1000);
}

#[test]
fn a_replica_without_its_primary_is_never_read() {
    let product = product(ASKED);
    write_all(&product);
    let one = replica(&product, "one");
    order(&one, "REPLICAOF 127.0.0.1 1");
    order(&one, "CONFIG RESETSTAT");
    group(&product, &[(&one, "")]);
    under_reads(&product, || std::thread::sleep(Duration::from_secs(3)));
    assert_eq!(gets(&one), 0);
    // It serves again as soon as it is linked, and refuses at once where it is set to.
    order(&one, "CONFIG SET replica-serve-stale-data no");
    replicate(&one, &product.servers[0].addr);
    is_read(&product, &one);
    under_reads(&product, || {
        order(&one, "REPLICAOF 127.0.0.1 1");
        std::thread::sleep(Duration::from_secs(2));
        replicate(&one, &product.servers[0].addr);
        let before = gets(&one);
        eventually("it is read again", LIMIT, || {
            if gets(&one) > before { Ok(()) } else { Err("nothing reaches it".to_owned()) }
        });
    });
}

#[test]
fn primary_only_reads_at_the_primary_only() {
    let product = product("backend_primary_only = true");
    write_all(&product);
    let one = replica(&product, "one");
    group(&product, &[(&one, "")]);
    under_reads(&product, || std::thread::sleep(Duration::from_secs(2)));
    assert_eq!(gets(&one), 0);
    assert!(product.dashboard.stats(&product.models[0]).unwrap().backend.primary_only);
}

#[test]
fn the_own_datacenter_is_read_first_and_the_other_when_it_is_gone() {
    let product = product("backend_ping_period = \"1s\"\nproxy_datacenter = \"here\"");
    write_all(&product);
    let (there, mut here) = (replica(&product, "there"), replica(&product, "here"));
    group(&product, &[(&there, "elsewhere"), (&here, "here")]);
    let filled = product.dashboard.slots_of(&product.models[0]).unwrap().swap_remove(0);
    assert_eq!(filled.replica_groups, [[here.addr.clone()], [there.addr.clone()]]);
    is_read(&product, &here);
    // Until the near one was known to be well the far one may have been read.
    let before = gets(&there);
    under_reads(&product, || std::thread::sleep(Duration::from_secs(1)));
    assert_eq!(gets(&there), before);
    under_reads(&product, || {
        here.process.kill();
        eventually("the other is read", LIMIT, || {
            if gets(&there) > before { Ok(()) } else { Err("nothing reaches it".to_owned()) }
        });
    });
}

/// As a dashboard fills a slot that is about to move, and leaves it until somebody syncs.
#[test]
fn a_slot_that_is_filled_without_replicas_is_read_at_the_primary_until_the_next_sync() {
    let product = product(ASKED);
    write_all(&product);
    let one = replica(&product, "one");
    group(&product, &[(&one, "")]);
    is_read(&product, &one);
    let with = product.dashboard.slots_of(&product.models[0]).unwrap();
    let without = with.into_iter().map(|slot| Slot { replica_groups: Vec::new(), ..slot });
    product.dashboard.fill_slots(&product.models[0], &without.collect::<Vec<_>>()).unwrap();
    let before = gets(&one);
    // What is written is read, as nothing is read elsewhere.
    let mut client = product.proxies[0].client();
    for n in 0..KEYS {
        client.send(format!("SET key:{n} {n}\r\nGET key:{n}\r\n").as_bytes()).unwrap();
        assert_eq!(client.reply().unwrap().as_str(), Some("OK"));
        assert_eq!(client.reply().unwrap().as_str(), Some(&*n.to_string()));
    }
    assert_eq!(gets(&one), before);
    product.dashboard.resync_group(1).unwrap();
    is_read(&product, &one);
}
