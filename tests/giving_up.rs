//! A move that cannot be done, or shall not, costs no client anything: the slots stay whole where they are, it is said why, and one command
//! goes on.

use crate::moves_under_load::nothing_wrong;
use harness::cluster::{Cluster, Role, Settings};
use harness::eventually;
use harness::http::metric;
use harness::load::Load;
use harness::resp::Client;
use serde_json::Value as Json;
use std::time::Duration;

/// One migration a wish, so that a failure is said at once.
const ONE_TRY: &str = "[limits]\ntries_max = 1\n";

#[test]
fn a_target_that_is_never_ready_in_time_is_given_up_by_budget_and_no_client_notices() {
    let mut cluster = Cluster::start_with(Settings {
        control: ONE_TRY,
        node: "[transfer]\nhandoff_attempts_max = 5\nhandoff_pause_ms = 5\n",
        fail: &[(Role::Target, "target.ready=slow:30ms")],
        ..Settings::default()
    });
    let load = Load::start(&cluster.proxy, "--rate 1000 --clients 8 --keys 2000 --seconds 5");
    let said = cluster.tool("migrate --slots 0-7 --to 2 --json").unwrap_err();
    let summary = json_in(&said);
    assert_eq!(
        (&summary["ok"], &summary["arrived"]),
        (&Json::from(false), &Json::from(0)),
        "{said}"
    );
    let reason = summary["failed"][0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("5 handoffs were tried in vain") && reason.contains("budget"),
        "{reason}"
    );
    assert_eq!(slots_of(&cluster, 0), 512, "whole where they were");
    let over = metric(&cluster.node_admins[0], "slipway_node_handoff_aborts_total", "budget");
    assert!(over >= 40.0, "{over}");
    nothing_wrong(&load.finish());

    cluster.process(Role::Target).kill();
    cluster.process(Role::Target).start("");
    cluster.tool("resume").unwrap();
    eventually("the slots arrive after all", Duration::from_secs(30), || arrived(&cluster, 504));
    assert!(cluster.check_each_key_is_on_one_node() > 1000);
}

#[test]
fn the_operator_calls_a_move_off_under_load_and_takes_it_up_again() {
    let cluster = Cluster::start();
    cluster.tool("pace 65536").unwrap();
    let load = Load::start(
        &cluster.proxy,
        "--rate 2000 --clients 8 --pipeline 8 --keys 5000 --value-bytes 512 --seconds 6",
    );
    for _ in 0..3 {
        cluster.tool("migrate --slots 0-511 --to 2 --detach").unwrap();
        eventually("something is copied", Duration::from_secs(30), || {
            let copying = cluster.status()?["slots"]["copying"].as_u64();
            if copying > Some(0) { Ok(()) } else { Err(format!("{copying:?} slots are copied")) }
        });
        cluster.tool("abort").unwrap();
        eventually("nothing moves", Duration::from_secs(30), || {
            let status = cluster.status()?;
            if status["slots"]["settled"] == 1024 { Ok(()) } else { Err(status.to_string()) }
        });
        assert!(slots_of(&cluster, 0) > 0, "most are where they were");
    }
    cluster.tool("pace 0").unwrap();
    let moved = cluster.tool_json("migrate --slots 0-511 --to 2").unwrap();
    assert_eq!(moved["ok"], true, "{moved}");
    nothing_wrong(&load.finish());
    assert!(cluster.check_each_key_is_on_one_node() > 1000);
}

#[test]
fn writes_that_outrun_the_copy_restart_it_and_then_fail_the_move_and_no_client_notices() {
    let mut cluster = Cluster::start_with(Settings {
        control: ONE_TRY,
        node: "[transfer]\ncapture_bytes_max = 65536\nchunk_bytes = 65536\ncopy_starts_max = 3\ncopy_percent_beside_clients = 100\n",
        fail: &[(Role::Source, "source.chunk=slow:500ms")],
        ..Settings::default()
    });
    let words = "--rate 1000 --clients 8 --keys 400 --value-bytes 4096 --mix strings=1 --slots 7 --seconds 10";
    let mut load = Load::start(&cluster.proxy, words);
    eventually("the slot has more than a chunk", Duration::from_secs(30), || {
        let keys = cluster.check_each_key_is_on_one_node();
        if keys > 200 { Ok(()) } else { Err(format!("{keys} keys")) }
    });
    let said = cluster.tool("migrate --slots 7 --to 2 --json").unwrap_err();
    assert!(load.runs(), "the writer was there all the time");
    let reason = json_in(&said)["failed"][0]["reason"].as_str().unwrap().to_owned();
    let parts = ["slot 7", "the copy started 3 times", "writes came faster", "65536 bytes"];
    assert!(parts.iter().all(|part| reason.contains(part)), "{reason}");
    assert!(metric(&cluster.node_admins[0], "slipway_node_migration_copies_total", "") >= 3.0);
    nothing_wrong(&load.finish());

    cluster.process(Role::Source).kill();
    cluster.process(Role::Source).start("");
    cluster.tool("resume").unwrap();
    eventually("the slot arrives after all", Duration::from_secs(60), || arrived(&cluster, 511));
    assert!(cluster.check_each_key_is_on_one_node() > 200);
}

#[test]
fn a_source_killed_in_the_middle_of_a_big_copy_begins_it_again_and_nothing_is_left_of_the_first() {
    let mut cluster = Cluster::start_with(Settings {
        node: "[transfer]\nchunk_bytes = 65536\n",
        fail: &[(Role::Source, "source.chunk=kill@20")],
        ..Settings::default()
    });
    let mut client = Client::connect(&cluster.proxy).unwrap();
    let value = |i: usize| format!("{i}:").repeat(100);
    for i in 0..5000 {
        client.call(&[b"SET", key(i).as_bytes(), value(i).as_bytes()]).unwrap();
    }
    let slot = cluster::SlotCount::DEFAULT.of(key(0).as_bytes());
    cluster.tool(&format!("migrate --slots {slot} --to 2 --detach")).unwrap();
    eventually("the source dies", Duration::from_secs(30), || {
        if cluster.process(Role::Source).runs() { Err("it lives".to_owned()) } else { Ok(()) }
    });
    cluster.process(Role::Source).start("");
    // What the target has already must go with the first copy, not come back from it.
    for i in 0..1000 {
        client.call(&[b"DEL", key(i).as_bytes()]).unwrap();
    }
    eventually("the slot arrives", Duration::from_secs(60), || arrived(&cluster, 511));
    for i in 0..5000 {
        let found = client.call(&[b"GET", key(i).as_bytes()]).unwrap();
        let wanted = (i >= 1000).then(|| value(i));
        assert_eq!(found.as_str().map(str::to_owned), wanted, "{}", key(i));
    }
    // One key more: the harness's own.
    assert_eq!(cluster.check_each_key_is_on_one_node(), 4001);
}

fn key(i: usize) -> String {
    format!("{{n1}}:{i}")
}

/// The source has so many slots left, and nothing moves.
fn arrived(cluster: &Cluster, left: u64) -> Result<(), String> {
    let status = cluster.status()?;
    let settled = status["slots"]["settled"] == 1024 && status["groups"][0]["slots"] == left;
    if settled { Ok(()) } else { Err(status.to_string()) }
}

fn slots_of(cluster: &Cluster, group: usize) -> u64 {
    cluster.status().unwrap()["groups"][group]["slots"].as_u64().unwrap()
}

/// The document in what a tool that failed has said.
fn json_in(said: &str) -> Json {
    let (begin, end) = (said.find('{').unwrap(), said.rfind('}').unwrap());
    serde_json::from_str(&said[begin..=end]).unwrap_or_else(|e| panic!("{e} in {said}"))
}
