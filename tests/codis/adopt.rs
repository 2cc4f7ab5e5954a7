//! `slipway check codis` against products that are well and not, and `slipway adopt` there and back under checked writes.

use crate::moves_under_load::nothing_wrong;
use codis::model::Slot;
use harness::dashboard::Server;
use harness::load::Load;
use harness::product::{Parts, Product, free_addr};
use harness::{Process, eventually, program};
use serde_json::Value as Json;
use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// Runs the operator's tool with `--json`; its exit status and what it prints.
fn tool(words: &str) -> (i32, Json) {
    let mut command = Command::new(program());
    let output = command.args(words.split_whitespace()).arg("--json").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    (output.status.code().unwrap(), serde_json::from_str(&text).unwrap_or(Json::Null))
}

#[test]
fn a_check_of_a_product_that_is_well_finds_nothing_and_one_of_a_sick_one_finds_each_thing() {
    let mut product = Product::start(Parts { proxies: 2, ..Parts::default() });
    let api = Server::start(&product.dashboard);
    let words = format!("check codis --dashboard {}", api.addr);
    let (status, report) = tool(&words);
    assert_eq!((status, &report["ok"]), (0, &Json::Bool(true)), "{report}");
    // A fill that broke off.
    let locked = Slot {
        locked: true,
        ..product.dashboard.content(&product.store.records().clone(), &product.models[0], 7)
    };
    product.dashboard.fill_slots(&product.models[0], &[locked]).unwrap();
    product.proxies[1].process.kill();
    product.servers[1].process.kill();
    let (status, report) = tool(&words);
    let found: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|f| f["of"].as_str().unwrap()).collect();
    let mut want = [
        format!("proxy {}", product.proxies[0].admin),
        format!("proxy {}", product.proxies[1].admin),
        format!("server {}", product.servers[1].addr),
    ];
    want[..2].sort_by_key(|of| found.iter().position(|f| f == of));
    assert_eq!((status, found), (3, want.iter().map(String::as_str).collect()), "{report}");
    drop(api);
    assert_eq!(tool("check codis --dashboard 127.0.0.1:1").0, 4);
}

#[test]
fn a_product_is_adopted_and_given_back_and_no_client_notices() {
    let product = Product::start(Parts::default());
    let api = Server::start(&product.dashboard);
    product.dashboard.create_range(0..=15, 2).unwrap();
    product.dashboard.run(LIMIT).unwrap();
    let words = "--rate 500 --clients 8 --pipeline 8 --keys 5000 --seconds 3600";
    let load = Load::start(&product.proxies[0].addr, words);
    let data = product.directory.path().join("control");
    let adopt = format!("adopt --dashboard {} --data {}", api.addr, data.display());
    let (status, report) = tool(&format!("{adopt} --dry-run"));
    assert_eq!((status, data.exists()), (0, false), "{report}");
    // Twice: what is done is found done.
    for _ in 0..2 {
        let (status, report) = tool(&adopt);
        assert_eq!((status, &report["slots"]), (0, &1024.into()), "{report}");
    }
    product.dashboard.create_action(100, 2).unwrap();
    let refused = product.dashboard.finish(100).unwrap_err();
    assert!(refused.contains("controller"), "{refused}");
    product.dashboard.give_up(100).unwrap();
    migrate_with_a_controller(&product, &data);
    let (status, report) = tool(&format!("{adopt} --back"));
    assert_eq!(status, 0, "{report}");
    let groups = |id| product.store.records().slot(id).group_id;
    assert_eq!([0, 100, 299, 300].map(groups), [2, 2, 2, 1]);
    product.dashboard.create_range(0..=31, 1).unwrap();
    product.dashboard.run(LIMIT).unwrap();
    nothing_wrong(&load.end());
}

/// Our controller has the product: slots 100-299 go to group 2.
fn migrate_with_a_controller(product: &Product, data: &std::path::Path) {
    let listen = free_addr();
    let mut text = format!("data = \"{}\"\nlisten = \"{listen}\"\n", data.display());
    for (id, server) in (1..).zip(&product.servers) {
        write!(text, "[[group]]\nid = {id}\naddr = \"{}\"\n", server.addr).unwrap();
    }
    let file = product.directory.path().join("control.toml");
    std::fs::write(&file, text).unwrap();
    let args = ["control", "--config", file.to_str().unwrap()];
    let mut control = Process::new("control", program(), &args, product.directory.path());
    control.start("");
    let moved = eventually("the controller moves slots", LIMIT, || {
        match tool(&format!("migrate --slots 100-299 --to 2 --admin {listen}")) {
            (0, moved) => Ok(moved),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(moved["arrived"], 200, "{moved}");
    assert!(control.stop().success());
}
