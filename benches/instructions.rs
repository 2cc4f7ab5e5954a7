//! Hot functions take no more instructions than they did: a count does not depend on what else a machine does, time does.
//!
//! valgrind counts (callgrind, which sees every instruction of user space). The counts to hold are in `instructions.json`, made by
//! `make bench-instructions WRITE=1`; who makes a function dearer on purpose commits the new counts and says why.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// How often a function runs: the start of the process is a small part of it, and it is subtracted.
const TIMES: u64 = 2000;

/// What a count may be above the one to hold; the best library routines for a processor differ a little.
const TOLERANCE: f64 = 0.05;

/// A count that has fallen by more than this wants to be the new one to hold.
const WORTH_KEEPING: f64 = 0.1;

#[test]
fn hot_functions_take_no_more_instructions_than_before() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("valgrind is not installed: nothing is counted");
        return;
    }
    let counts = counts();
    if std::env::var_os("BENCH_WRITE").is_some() {
        std::fs::write(file(), serde_json::to_string_pretty(&counts).unwrap() + "\n").unwrap();
        return;
    }
    let text = std::fs::read_to_string(file()).unwrap();
    let held: BTreeMap<String, f64> = serde_json::from_str(&text).unwrap();
    let mut faults = Vec::new();
    for (name, count) in &counts {
        let Some(held) = held.get(name) else {
            faults.push(format!("{name}: {count:.0}, and nothing to hold it against"));
            continue;
        };
        println!("{name:20} {count:8.0}, held {held:8.0}");
        if *count > held * (1.0 + TOLERANCE) + 1.0 {
            faults.push(format!("{name}: {count:.0} instructions, {held:.0} before"));
        }
        if *count < held * (1.0 - WORTH_KEEPING) {
            println!("{name} has become cheaper: keep it with `make bench-instructions WRITE=1`");
        }
    }
    let gone: Vec<_> = held.keys().filter(|name| !counts.contains_key(*name)).collect();
    assert!(gone.is_empty(), "held, but not counted: {gone:?}");
    assert!(
        faults.is_empty(),
        "dearer than {:.0} % above what is held in benches/instructions.json:\n  {}",
        TOLERANCE * 100.0,
        faults.join("\n  ")
    );
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json")
}

fn names() -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_hot")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().map(str::to_owned).collect()
}

/// The functions at once: a count does not mind company.
fn counts() -> BTreeMap<String, f64> {
    let counting: Vec<_> = names()
        .into_iter()
        .map(|name| (name.clone(), thread::spawn(move || count(&name))))
        .collect();
    counting.into_iter().map(|(name, thread)| (name, thread.join().unwrap())).collect()
}

/// Instructions of one run of a function, to a tenth.
fn count(name: &str) -> f64 {
    let more = collected(name, TIMES) - collected(name, 0);
    (more as f64 / TIMES as f64 * 10.0).round() / 10.0
}

/// Instructions of a whole process.
fn collected(name: &str, times: u64) -> u64 {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", env!("CARGO_BIN_EXE_hot")]);
    let output = command.args([name, &times.to_string()]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name}: {text}");
    let line = text.lines().find_map(|line| line.split_once("Collected :")).map(|(_, rest)| rest);
    line.and_then(|rest| rest.trim().parse().ok()).unwrap_or_else(|| panic!("no count in {text}"))
}
