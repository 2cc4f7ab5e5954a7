//! What cannot be started says why and what to do, and exits with 1: settings, ports, data directories.

use super::says;
use harness::process::{free_port, program};
use harness::{Process, eventually};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A role, what stands in its file behind what must be there, and what must be said.
const FILES: &[(&str, &str, &[&str])] = &[
    ("node", "worker = 1", &["unknown field `worker`", "workers"]),
    ("node", "idle_ms_max = \"5s\"", &["idle_ms_max = \"5s\"", "expected u64"]),
    ("node", "idle_ms_max = -5", &["idle_ms_max"]),
    ("node", "workers = 0", &["workers must be 1 to 256"]),
    ("node", "memory_bytes = 1", &["memory_bytes must be at least"]),
    ("node", "slots = 99999", &["slots is 99999"]),
    ("node", "wal_sync = \"sometimes\"", &["sometimes", "every-second"]),
    ("node", "[transfer]\nbudget = 5", &["unknown field `budget`", "handoff_budget_us"]),
    ("node", "= = =", &["TOML parse error"]),
    ("proxy", "[hold]\nsoft = 50", &["unknown field `soft`", "soft_ms"]),
    ("proxy", "workers = 0", &["workers"]),
    ("proxy", "slots = 0", &["slots is 0"]),
    ("control", "", &["there is no [[group]]"]),
    ("control", "[[group]]\nid = 1\naddr = \"nowhere\"", &["write host:port"]),
    (
        "control",
        "[limits]\npoll_ms = 0\n[[group]]\nid = 1\naddr = \"h:1\"",
        &["limits.poll_ms is 0", "1 to 1000"],
    ),
];

/// What must be in each role's file.
fn needed(role: &str, dir: &Path) -> String {
    let data = format!("data = \"{}\"\n", dir.join("data").display());
    let own = format!("listen = \"127.0.0.1:{}\"\n", free_port());
    let admin = format!("admin = \"127.0.0.1:{}\"\n", free_port());
    match role {
        "node" => data + &own + &admin,
        "control" => data + &own,
        _ => own + &admin + "controller = \"127.0.0.1:1\"\n",
    }
}

/// Runs the program until it ends; its status, and what it said.
fn run(words: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(program())
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually(&format!("slipway {words:?} ends"), Duration::from_secs(20), || {
        child.try_wait().unwrap().map(drop).ok_or_else(|| "it runs".to_owned())
    });
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// It ends with status 1, and says this.
fn refuses(words: &[&str], what: &[&str]) {
    let (status, said) = run(words);
    assert_eq!(status, Some(1), "{words:?}: {said}");
    says(&said, what, &words.join(" "));
}

#[test]
fn a_file_of_settings_that_cannot_be_is_refused_by_name() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("slipway.toml");
    let file = path.to_str().unwrap();
    for (role, more, what) in FILES {
        fs::write(&path, needed(role, dir.path()) + more).unwrap();
        refuses(&[role, "--config", file, "--check"], what);
        refuses(&[role, "--config", file], &[file]);
    }
    refuses(&["node", "--config", "/nowhere/node.toml"], &["cannot read /nowhere/node.toml"]);
    fs::write(&path, "data = \"d\"\nlisten = \"nowhere\"\nadmin = \"127.0.0.1:0\"\n").unwrap();
    refuses(&["node", "--config", file], &["\"nowhere\" is no address", "HOST:PORT"]);
}

#[test]
fn a_taken_port_is_named_with_what_to_change() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("slipway.toml");
    for role in ["node", "proxy", "control"] {
        let text = needed(role, dir.path()) + "[[group]]\nid = 1\naddr = \"127.0.0.1:1\"\n";
        let text = if role == "control" { text } else { needed(role, dir.path()) };
        let taken = text.split("listen = \"").nth(1).unwrap().split('"').next().unwrap();
        let _thief = TcpListener::bind(taken).unwrap();
        fs::write(&path, &text).unwrap();
        refuses(
            &[role, "--config", path.to_str().unwrap()],
            &["cannot listen on", taken, "in use", "listen"],
        );
    }
    let thief = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = thief.local_addr().unwrap().to_string();
    let data = dir.path().join("up");
    refuses(
        &["up", "--data", data.to_str().unwrap(), "--listen", &taken, "--admin", "127.0.0.1:0"],
        &["cannot listen on", &taken, "--listen"],
    );
}

#[test]
fn a_second_instance_a_damaged_file_and_a_directory_that_is_none_are_told_apart() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let (listen, admin) = (address(), address());
    let words = ["up", "--data", data.to_str().unwrap(), "--listen", &listen, "--admin", &admin];
    let mut first = Process::new("first", program(), &words, dir.path());
    first.start("");
    eventually("the first one serves", Duration::from_secs(30), || {
        harness::http::get(&admin, "/readyz").map(drop)
    });
    let again = |words: &[&str], what: &[&str]| {
        let (other, other_admin) = (address(), address());
        refuses(&[words, &["--listen", &other, "--admin", &other_admin]].concat(), what);
    };
    let here = ["up", "--data", data.to_str().unwrap()];
    again(
        &here,
        &["is in use by another slipway", &first.id().to_string(), "another data directory"],
    );
    harness::http::get(&admin, "/readyz").unwrap();
    // Now there is a state before the last one.
    let (status, said) = run(&["migrate", "--slots", "0", "--to", "2", "--admin", &admin]);
    assert_eq!(status, Some(0), "{said}");
    first.kill();

    let store = data.join("control/cluster.json");
    let whole = fs::read(&store).unwrap();
    for (bytes, what) in [
        (&whole[..whole.len() / 2], "cut short"),
        (&[&whole[..100], b"x", &whole[101..]].concat(), "checksum"),
        (b"", "cut short"),
    ] {
        fs::write(&store, bytes).unwrap();
        again(&here, &["cluster.json is damaged", what, "put it back: cp"]);
        assert_eq!(fs::read(&store).unwrap(), bytes, "a damaged file is not replaced");
    }
    fs::write(&store, &whole).unwrap();
    let remembered = data.join("up.json");
    let places = fs::read(&remembered).unwrap();
    fs::write(&remembered, "{").unwrap();
    again(&here, &["up.json is damaged", "put back a copy"]);
    fs::write(&remembered, places).unwrap();
    let manifest = find(&data.join("node-1"), "CURRENT").expect("RocksDB has a file of this name");
    let current = fs::read(&manifest).unwrap();
    fs::write(&manifest, "nonsense").unwrap();
    again(&here, &["group 1", "cannot open the node's data", "CURRENT"]);
    fs::write(&manifest, current).unwrap();

    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    again(&["up", "--data", file.to_str().unwrap()], &["cannot create", file.to_str().unwrap()]);

    first.start("");
    eventually("it goes on with what was put back", Duration::from_secs(30), || {
        harness::http::get(&admin, "/readyz").map(drop)
    });
}

fn address() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// A file of this name somewhere below a folder.
fn find(folder: &Path, name: &str) -> Option<std::path::PathBuf> {
    fs::read_dir(folder).ok()?.filter_map(Result::ok).find_map(|entry| {
        let path = entry.path();
        if path.is_dir() { find(&path, name) } else { (path.file_name()? == name).then_some(path) }
    })
}
