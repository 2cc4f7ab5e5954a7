//! kill -9 of each party at each of its fail points, under load: nothing acknowledged is lost or doubled, and the slots end whole at one owner.

mod points;

use crate::size::size;
use harness::cluster::{Cluster, Role, Settings};
use harness::eventually;
use harness::load::{Load, Outcome};
use points::{Deed, RUNS, Run, When};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// Slots that move: a quarter, half of what the source has.
const SLOTS: &str = "0-255";

/// Clients of the load, and how many requests each sends together.
const CLIENTS: u64 = 8;
const PIPELINE: u64 = 8;

#[test]
fn whoever_dies_nothing_acknowledged_is_lost() {
    let wanted = size(When::Always, When::Full);
    // SLIPWAY_POINT=target.reset tries that one alone.
    let only = std::env::var("SLIPWAY_POINT").ok();
    let is_due = |run: &&Run| match &only {
        Some(point) => run.lives.iter().any(|spec| spec.starts_with(point.as_str())),
        None => wanted == When::Full || run.when == When::Always,
    };
    for run in RUNS.iter().filter(is_due) {
        dies(run);
    }
}

fn dies(run: &'static Run) {
    println!("--- {:?} dies at {} ({:?})", run.who, run.lives.join(", then "), run.deed);
    let mut armed = vec![(run.who, run.lives[0])];
    armed.extend(run.beside);
    let mut cluster = Cluster::start_with(Settings { fail: &armed, ..Settings::default() });
    if run.deed == Deed::CallOff {
        // A second or two of copying in which to call it off.
        cluster.tool("pace 65536").unwrap();
    }
    let words = format!(
        "--rate 2000 --clients {CLIENTS} --pipeline {PIPELINE} --keys 2000 --allow-unknown --seconds 120"
    );
    let load = Load::start(&cluster.proxy, &words);
    wait_for_keys(&cluster);

    let mut deaths = Deaths::of(run);
    // The controller may die before it can answer: the tool asks again.
    let (migrate, abort) = (format!("migrate --slots {SLOTS} --to 2 --detach"), "abort");
    deaths.while_asking(&mut cluster, &migrate);
    if run.deed == Deed::CallOff {
        eventually("something is copied", Duration::from_secs(30), || {
            deaths.bury(&mut cluster);
            let copying = cluster.status()?["slots"]["copying"].as_u64();
            if copying > Some(0) { Ok(()) } else { Err(format!("{copying:?} slots are copied")) }
        });
        deaths.while_asking(&mut cluster, abort);
    }
    eventually("all die where they should", Duration::from_secs(30), || {
        deaths.bury(&mut cluster);
        // What a proxy meets is chance: a handoff may pass between two requests. Then the slots go back and come again.
        let all_arrived = cluster.status()?["slots"]["settled"] == 1024;
        if run.who == Role::Proxy && all_arrived && !deaths.left.is_empty() {
            for group in [1, 2] {
                let again = format!("migrate --slots {SLOTS} --to {group}");
                deaths.while_asking(&mut cluster, &again);
            }
        }
        if deaths.left.is_empty() { Ok(()) } else { Err(format!("{:?} live", deaths.left)) }
    });
    settled(&cluster, run);
    // It went on through every death and until all was settled.
    nothing_is_lost(run, &load.end());
    assert!(cluster.check_each_key_is_on_one_node() > 100);
}

/// Lives that are still to end.
struct Deaths {
    left: Vec<(Role, &'static [&'static str])>,
}

impl Deaths {
    fn of(run: &'static Run) -> Self {
        let mut left = vec![(run.who, run.lives)];
        match &run.beside {
            Some((who, spec)) if spec.contains("=kill") => {
                left.push((*who, std::slice::from_ref(spec)))
            }
            _ => {}
        }
        Self { left }
    }

    /// Starts who has died, with the next life's point armed.
    fn bury(&mut self, cluster: &mut Cluster) {
        for (who, lives) in &mut self.left {
            if !cluster.process(*who).runs() {
                *lives = &lives[1..];
                cluster.process(*who).start(lives.first().unwrap_or(&""));
            }
        }
        self.left.retain(|(_, lives)| !lives.is_empty());
    }

    /// Runs the tool while whoever dies meanwhile is started again.
    fn while_asking(&mut self, cluster: &mut Cluster, words: &str) {
        let mut tool = cluster.tool_process(words);
        let ended = eventually(words, Duration::from_secs(60), || {
            self.bury(cluster);
            tool.try_wait().unwrap().ok_or_else(|| "the tool still asks".to_owned())
        });
        assert!(ended.success(), "{words}: {ended}");
    }
}

fn wait_for_keys(cluster: &Cluster) {
    eventually("the load has written", Duration::from_secs(30), || {
        let keys = cluster.check_each_key_is_on_one_node();
        if keys > 1000 { Ok(()) } else { Err(format!("{keys} keys")) }
    });
}

/// Nothing moves any more, and the slots are where they should be.
fn settled(cluster: &Cluster, run: &Run) {
    eventually("everything settles", Duration::from_secs(60), || {
        let status = cluster.status()?;
        let settled = status["slots"]["settled"] == 1024;
        let at_target = status["groups"][1]["slots"].as_u64().unwrap_or_default();
        let there = match run.deed {
            Deed::Move => at_target == 768,
            // What had been handed over before the word came stays.
            Deed::CallOff => (512..768).contains(&at_target),
        };
        if settled && there { Ok(()) } else { Err(status.to_string()) }
    });
}

/// Everything acknowledged is there once, and only what was in flight at the dead has an unknown fate.
fn nothing_is_lost(run: &Run, outcome: &Outcome) {
    assert!(outcome.success, "{run:?}: {}", outcome.words);
    let unknown = outcome.report["classes"]["unknown"].as_u64().unwrap();
    println!("    unknown {unknown}, broken {}", outcome.report["broken"]);
    if run.who == Role::Control && run.beside.is_none() {
        assert_eq!(outcome.report["broken"], 0, "nobody notices that the controller dies");
    }
    if matches!(run.who, Role::Source | Role::Target) {
        let deaths = run.lives.len() as u64 + u64::from(run.beside.is_some());
        assert!(unknown <= deaths * CLIENTS * PIPELINE, "{unknown} writes in flight at the dead");
    }
}

/// A fail point that nobody dies at is a transition that nobody has tried.
#[test]
fn every_fail_point_of_the_code_is_a_run_and_stands_in_the_handoff_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut in_code = BTreeSet::new();
    for crate_folder in ["node/src", "proxy/src", "control/src"] {
        names_in(&root.join(crate_folder), &mut in_code);
    }
    let in_runs: BTreeSet<String> = points::deadly().map(str::to_owned).collect();
    assert_eq!(in_code, in_runs, "left: in the code, right: in tests/crash/points.rs");

    let page = std::fs::read_to_string(root.join("docs/HANDOFF.md")).unwrap();
    let in_page: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(in_runs, in_page, "left: in the runs, right: in docs/HANDOFF.md");
}

/// Collects the texts that name a fail point: `"role.place"` in anything but tests.
fn names_in(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names_in(&path, names);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let quoted = text.split('"').skip(1).step_by(2).filter(|text| is_name(text));
            names.extend(quoted.map(str::to_owned));
        }
    }
}

fn is_name(text: &str) -> bool {
    let parties = ["source.", "target.", "control.", "proxy."];
    let plain = |place: &str| place.bytes().all(|b| b.is_ascii_lowercase() || b"._".contains(&b));
    parties.iter().any(|party| text.strip_prefix(party).is_some_and(plain))
        && !["lock", "toml", "rs", "json"].iter().any(|end| text.ends_with(end))
}
