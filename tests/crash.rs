//! kill -9 of each party at each of its fail points, under load: nothing acknowledged is lost or doubled, and the slots end whole at one owner.

use crate::size::size;
use harness::cluster::{Cluster, Role};
use harness::eventually;
use harness::load::Load;
use std::time::Duration;

/// Where a process dies: its role, the name of the fail point, and at which hit.
const POINTS: &[(Role, &str)] = &[
    (Role::Source, "source.chunk@2"),
    (Role::Source, "source.copied@3"),
    (Role::Source, "source.armed@2"),
    (Role::Source, "source.sealed@3"),
    (Role::Source, "source.ready@3"),
    (Role::Source, "source.granted@3"),
    (Role::Source, "source.owned@3"),
    (Role::Source, "source.cleaned@3"),
    (Role::Target, "target.import@3"),
    (Role::Target, "target.applied@3"),
    (Role::Target, "target.armed@2"),
    (Role::Target, "target.ready@3"),
    (Role::Target, "target.owner@3"),
    (Role::Control, "control.import@5"),
    (Role::Control, "control.export@5"),
    (Role::Control, "control.arm_target@2"),
    (Role::Control, "control.arm_source@2"),
    (Role::Control, "control.durable@2"),
    (Role::Control, "control.clean@2"),
];

#[test]
fn whoever_dies_nothing_acknowledged_is_lost() {
    for (role, point) in POINTS {
        dies_at(*role, point);
    }
}

fn dies_at(role: Role, point: &str) {
    println!("--- {role:?} dies at {point}");
    let mut cluster = Cluster::start();
    let (name, hit) = point.split_once('@').unwrap();
    cluster.process(role).kill();
    cluster.process(role).start(&format!("{name}=kill@{hit}"));
    cluster.wait_until_it_serves();

    let words = format!(
        "--rate 2000 --clients 8 --pipeline 8 --keys 2000 --allow-unknown --seconds {}",
        size(6, 15)
    );
    let load = Load::start(&cluster.proxy, &words);
    cluster.tool("migrate --slots 0-255 --to 2 --detach").unwrap();
    eventually(&format!("{role:?} reaches {point}"), Duration::from_secs(30), || {
        if cluster.process(role).runs() { Err("it lives".to_owned()) } else { Ok(()) }
    });
    cluster.process(role).start("");

    eventually("all slots arrive", Duration::from_secs(60), || {
        let status = cluster.tool_json("status")?;
        let settled = status["slots"]["settled"] == 1024;
        let arrived = status["groups"][1]["slots"] == 768;
        if settled && arrived { Ok(()) } else { Err(status.to_string()) }
    });
    let outcome = load.finish();
    assert!(outcome.success, "{role:?} at {point}: {}", outcome.words);
    assert!(cluster.check_each_key_is_on_one_node() > 100);
}
