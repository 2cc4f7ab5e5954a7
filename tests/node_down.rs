//! A node that is gone for a moment costs its writes in flight; one that stays away is named in clear errors, and soon.

use harness::cluster::{Cluster, Role, Settings};
use harness::eventually;
use harness::http::metric;
use harness::load::Load;
use harness::resp::Client;
use std::time::{Duration, Instant};

/// A key of slots 0-511, and one of the others.
const AT_SOURCE: &str = "n1";
const AT_TARGET: &str = "a";

#[test]
fn a_node_killed_and_back_within_the_hold_costs_only_its_writes_in_flight() {
    let mut cluster = Cluster::start();
    let words = "--rate 2000 --clients 8 --pipeline 8 --keys 2000 --allow-unknown --seconds 6";
    let load = Load::start(&cluster.proxy, words);
    eventually("the load has written", Duration::from_secs(30), || {
        let keys = cluster.check_each_key_is_on_one_node();
        if keys > 1000 { Ok(()) } else { Err(format!("{keys} keys")) }
    });
    for role in [Role::Source, Role::Target] {
        cluster.process(role).kill();
        cluster.process(role).start("");
        eventually("both nodes are up", Duration::from_secs(30), || {
            cluster.tool_json("status").map(drop)
        });
    }
    let outcome = load.finish();
    assert!(outcome.success, "{}", outcome.words);
    let unknown = outcome.report["classes"]["unknown"].as_u64().unwrap();
    println!("writes of unknown fate: {unknown}, {}", outcome.report["latency_us"]);
    assert!(unknown <= 2 * 8 * 8, "{unknown} writes in flight at the dead");
}

#[test]
fn a_node_that_stays_away_is_named_in_an_error_after_the_hold_and_served_when_it_is_back() {
    let proxy = "[hold]\nnode_down_ms = 500\n";
    let mut cluster = Cluster::start_with(Settings { proxy, ..Settings::default() });
    let mut client = Client::connect(&cluster.proxy).unwrap();
    for key in [AT_SOURCE, AT_TARGET] {
        assert_eq!(client.command(&format!("SET {key} v")).unwrap().as_str(), Some("OK"));
    }
    cluster.process(Role::Source).kill();
    let begin = Instant::now();
    let reply = client.command(&format!("GET {AT_SOURCE}")).unwrap();
    let error = reply.as_error().expect("nobody serves it").to_owned();
    let took = begin.elapsed();
    assert!(error.contains(&cluster.nodes[0]) && error.contains("is down"), "{error}");
    assert!(took > Duration::from_millis(300) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(
        client.command(&format!("GET {AT_TARGET}")).unwrap().as_str(),
        Some("v"),
        "the other node serves"
    );
    let refused = metric(&cluster.proxy_admin, "slipway_proxy_errors_total", "node_down");
    assert!(refused >= 1.0, "{refused}");

    cluster.process(Role::Source).start("");
    eventually("it is served again", Duration::from_secs(30), || {
        let reply = client.command(&format!("GET {AT_SOURCE}"))?;
        if reply.as_str() == Some("v") { Ok(()) } else { Err(format!("{reply:?}")) }
    });
}

#[test]
fn past_the_bound_of_held_requests_a_socket_is_not_read_and_nothing_is_lost() {
    let proxy = "[hold]\nnode_down_ms = 20000\ntimeout_ms = 20000\nrequests_per_slot_max = 8\n";
    let mut cluster = Cluster::start_with(Settings { proxy, ..Settings::default() });
    let mut client = Client::connect(&cluster.proxy).unwrap();
    assert_eq!(client.command(&format!("DEL {AT_SOURCE}")).unwrap().as_int(), Some(0));
    cluster.process(Role::Source).kill();
    for i in 0..100 {
        client.send(format!("RPUSH {AT_SOURCE} {i}\r\n").as_bytes()).unwrap();
    }
    let waits = || metric(&cluster.proxy_admin, "slipway_proxy_back_pressure_total", "hold");
    eventually("the bound bites", Duration::from_secs(10), || {
        if waits() >= 1.0 { Ok(()) } else { Err("no back-pressure".to_owned()) }
    });
    assert!(metric(&cluster.proxy_admin, "slipway_proxy_held_requests", "") <= 2.0 * 8.0);
    cluster.process(Role::Source).start("");
    for i in 1..=100 {
        assert_eq!(client.reply().unwrap().as_int(), Some(i), "in their order, each once");
    }
}
