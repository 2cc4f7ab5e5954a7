//! A product of Pika that a codis-dashboard drove becomes our controller's, with the slots that its groups have, and goes back.

use super::super::world::{LIMIT, Parts, World, name, ok};
use harness::dashboard::Server as Api;
use harness::process::Process;
use harness::product::free_addr;
use harness::resp::Client;
use harness::{eventually, program};
use protocol::frame::Value;
use serde_json::Value as Json;
use std::process::Command;

/// Runs the operator's tool; what it prints, or what it complains of.
fn tool(words: &str) -> Result<String, String> {
    let output = Command::new(program()).args(words.split_whitespace()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    if output.status.success() { Ok(text) } else { Err(text) }
}

#[test]
fn groups_of_pika_are_taken_over_with_their_slots_and_given_back() {
    let mut world = World::start(Parts::default());
    world.dashboard.create_range(0..=9, 2).unwrap();
    assert_eq!(world.run(), 10);
    let (moved, stayed) = (name("Moved", 7), name("Stayed", 700));
    let mut client = world.client();
    [&moved, &stayed].iter().for_each(|key| _ = ok(&mut client, &format!("SET {key} v")));
    let api = Api::start(&world.dashboard);
    let directory = tempfile::TempDir::new().unwrap();
    let data = directory.path().join("control");
    let adopt = format!("adopt --dashboard {} --data {}", api.addr, data.display());
    // Twice: what is done is found done.
    let mut told = String::new();
    for _ in 0..2 {
        told = tool(&adopt).unwrap();
    }
    // The file is as it was printed, but for the port.
    let admin = free_addr();
    let lines = told.lines().filter_map(|line| line.strip_prefix("     "));
    let text: Vec<&str> = lines.filter(|line| !line.starts_with("listen")).collect();
    assert!(text.contains(&"kind = \"pika\"") && told.contains("slipway resume"), "{told}");
    let start = |name: &str, role: &str, text: &str| {
        let file = directory.path().join(format!("{name}.toml"));
        std::fs::write(&file, text).unwrap();
        let args = [role, "--config", file.to_str().unwrap()];
        let mut process = Process::new(name, program(), &args, directory.path());
        process.start("");
        process
    };
    let text = format!("listen = \"{admin}\"\n{}\n", text.join("\n"));
    let mut control = start("control", "control", &text);
    world.proxies[0].process.stop();
    let [addr, own] = [free_addr(), free_addr()];
    let text = format!("listen = \"{addr}\"\nadmin = \"{own}\"\ncontroller = \"{admin}\"\n");
    let mut proxy = start("ours", "proxy", &text);
    for key in [&moved, &stayed] {
        eventually("the proxy serves", LIMIT, || {
            match Client::connect(&addr)?.command(&format!("GET {key}"))? {
                Value::Bulk(value) if value.as_ref() == b"v" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }
    let slots = |group: usize| -> Json {
        let text = harness::http::get(&admin, "/api/v1/status").unwrap();
        serde_json::from_str::<Json>(&text).unwrap()["groups"][group - 1]["slots"].clone()
    };
    assert_eq!((slots(1), slots(2)), (1014.into(), 10.into()));
    // Nothing moves before the operator says that no proxy of before runs any more.
    let migrate = format!("migrate --slots 7 --to 1 --admin {admin}");
    tool(&format!("{migrate} --detach")).unwrap();
    assert_eq!(slots(2), 10);
    tool(&format!("resume --admin {admin}")).unwrap();
    tool(&migrate).unwrap();
    let mut client = Client::connect(&addr).unwrap();
    assert_eq!(ok(&mut client, &format!("GET {moved}")).as_str(), Some("v"));
    assert_eq!(ok(&mut world.source.client(), &format!("GET {moved}")).as_str(), Some("v"));
    assert!(proxy.stop().success() && control.stop().success());
    // The dashboard and its proxies first, and then its records.
    world.dashboard.force_remove_proxy(&world.models[0].token).unwrap();
    world.proxies[0].process.start("");
    eventually("the dashboard has a proxy", LIMIT, || {
        world.dashboard.create_proxy(&world.proxies[0].admin)
    });
    tool(&format!("{adopt} --back")).unwrap();
    assert_eq!(ok(&mut world.client(), &format!("GET {moved}")).as_str(), Some("v"));
    let groups = |id| world.store.records().slot(id).group_id;
    assert_eq!([6, 7, 700].map(groups), [2, 1, 1]);
}
