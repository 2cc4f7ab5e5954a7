//! What an operator sees: the pages of metrics, Prometheus' configuration and rules, the dashboard.
//!
//! There is no Grafana here: what it would ask, Prometheus is asked. So a panel that is empty, or a rule that can never fire, is found.

mod board;
mod page;
mod query;
mod rules;
mod watcher;

use crate::size::size;
use board::Panel;
use harness::cluster::{Cluster, Role};
use harness::load::Load;
use harness::process::free_port;
use harness::resp::Client;
use harness::{Process, eventually, http, program};
use page::Pages;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use watcher::Watcher;

/// Prometheus is asked until it has seen what is awaited, at most so long.
const SEEN_MAX: Duration = Duration::from_secs(90);

/// The repository's own file.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_dashboard_is_as_a_dashboard_should_be() {
    let faults = board::faults(&board::read());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_dashboard_with_a_fault_is_found_out() {
    let faulty = |change: fn(&mut Json)| {
        let mut board = board::read();
        change(&mut board);
        board::faults(&board)
    };
    let panel = |board: &mut Json, change: fn(&mut Json)| change(&mut board["panels"][2]);
    for (what, faults) in [
        ("overlap", faulty(|b| b["panels"][2]["gridPos"] = b["panels"][1]["gridPos"].clone())),
        ("id", faulty(|b| b["panels"][2]["id"] = b["panels"][1]["id"].clone())),
        ("unit", faulty(|b| b["panels"][2]["fieldConfig"]["defaults"]["unit"] = Json::Null)),
        ("description", faulty(|b| b["panels"][2]["description"] = "".into())),
        (
            "data source",
            faulty(|b| b["panels"][2]["targets"][0]["datasource"]["uid"] = "abc".into()),
        ),
        ("first panel", faulty(|b| b["panels"][1]["title"] = "Requests".into())),
        (
            "$__rate_interval",
            faulty(|b| {
                b["panels"][2]["targets"][0]["expr"] =
                    "rate(a_total{job=~\"$job\",instance=~\"$instance\"}[5m])".into()
            }),
        ),
        (
            "only in rate",
            faulty(|b| {
                b["panels"][2]["targets"][0]["expr"] =
                    "sum(a_total{job=~\"$job\",instance=~\"$instance\"})".into()
            }),
        ),
        (
            "no counter",
            faulty(|b| {
                b["panels"][2]["targets"][0]["expr"] =
                    "rate(a{job=~\"$job\",instance=~\"$instance\"}[$__rate_interval])".into()
            }),
        ),
        (
            "$instance",
            faulty(|b| b["panels"][2]["targets"][0]["expr"] = "a_bytes{job=~\"$job\"}".into()),
        ),
        (
            "legend",
            faulty(|b| {
                b["panels"][2]["targets"][0]["legendFormat"] =
                    b["panels"][2]["targets"][1]["legendFormat"].clone()
            }),
        ),
        ("type", faulty(|b| b["panels"][2]["type"] = "graph".into())),
    ] {
        assert!(faults.iter().any(|fault| fault.contains(what)), "{what}: {faults:?}");
    }
    let mut whole = board::read();
    panel(&mut whole, |panel| panel["title"] = "Another".into());
    assert!(board::faults(&whole).is_empty(), "a title may change");
}

#[test]
fn the_rules_fire_when_they_should_and_only_then() {
    rules::check();
}

#[test]
fn every_alert_has_its_section_in_the_runbook() {
    let alerts: BTreeSet<String> = rules::alerts().into_iter().map(|alert| alert.name).collect();
    let sections = read("docs/RUNBOOK.md");
    let sections =
        sections.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect();
    assert_eq!(alerts, sections);
}

/// Everything in one process: one page has the metrics of all roles.
#[test]
fn the_pages_are_documented_and_pass_promtool() {
    let directory = tempfile::TempDir::new().unwrap();
    let [listen, admin] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let data = directory.path().join("data").display().to_string();
    let args = ["up", "--data", &data, "--listen", &listen, "--admin", &admin];
    let mut up = Process::new("up", program(), &args, directory.path());
    up.start("");
    eventually("slipway up serves", Duration::from_secs(60), || {
        http::get(&admin, "/readyz")?;
        Client::connect(&listen)?.command("SET a 1").map(drop)
    });
    http::get(&admin, "/livez").unwrap();
    // The page of the pages counts requests by status: the first is on the second.
    http::get(&admin, "/metrics").unwrap();
    let text = http::get(&admin, "/metrics").unwrap();
    page::check_with_promtool(&text);

    let written = Pages::of([text.as_str()]).document();
    if std::env::var_os("SLIPWAY_WRITE_DOCS").is_some() {
        fs::write(file("docs/METRICS.md"), &written).unwrap();
    }
    let kept = read("docs/METRICS.md");
    let differs = kept.lines().zip(written.lines()).find(|(kept, written)| kept != written);
    assert!(
        kept == written,
        "docs/METRICS.md is not what the pages say: run the test with SLIPWAY_WRITE_DOCS=1 and commit it; first at {differs:?}"
    );
}

#[test]
fn no_panel_is_empty_idle_or_while_slots_move() {
    let mut cluster = Cluster::start();
    let [one, two] = &cluster.node_admins;
    let admins = [
        ("proxy", vec![&cluster.proxy_admin]),
        ("node", vec![one, two]),
        ("control", vec![&cluster.admin]),
    ];
    for admin in admins.iter().flat_map(|(_, admins)| admins) {
        http::get(admin, "/livez").unwrap();
        eventually("every process says that it is ready", SEEN_MAX, || http::get(admin, "/readyz"));
    }
    let watcher = Watcher::start(cluster.directory.path(), &admins);
    let board = board::read();
    let panels = board::panels(&board);

    eventually("no panel is empty while nothing happens", SEEN_MAX, || {
        none_empty(&watcher, &panels)
    });
    everything_named_exists(&cluster, &watcher, &panels);
    eventually("no alert fires or is about to", SEEN_MAX, || {
        // How much room this machine's disk has is not ours to say.
        let alerts = watcher
            .alerts()
            .into_iter()
            .filter(|alert| !alert.starts_with("SlipwayDiskNearlyFull "));
        let alerts: Vec<_> = alerts.collect();
        if alerts.is_empty() { Ok(()) } else { Err(format!("{alerts:?}")) }
    });

    let moved = while_slots_move(&cluster, &watcher, &panels);
    eventually("nodes and controller have counted the same moves", SEEN_MAX, || {
        let counts = [
            "sum(slipway_control_migrations_total{result=\"moved\"})",
            "sum(slipway_node_migrations_ended_total{role=\"source\",result=\"moved\"})",
            "sum(slipway_node_migrations_ended_total{role=\"target\",result=\"moved\"})",
            "sum(slipway_node_handoff_stall_write_seconds_count)",
        ]
        .map(|query| watcher.value(query));
        if counts.iter().all(|&count| count == Some(moved)) {
            Ok(())
        } else {
            Err(format!("{counts:?}, moved {moved}"))
        }
    });
    let errors = &panels[0].queries[0].expr;
    assert_eq!(watcher.value(&query::expand(errors)), Some(0.0), "{errors}");
    assert_eq!(
        watcher
            .value("sum(increase(slipway_proxy_held_requests_total{outcome!=\"released\"}[10m]))"),
        Some(0.0)
    );
    let firing: Vec<_> =
        watcher.alerts().into_iter().filter(|alert| alert.contains("firing")).collect();
    assert!(firing.is_empty(), "{firing:?}");

    cluster.process(Role::Target).kill();
    eventually("the alerts of a node that is down are on their way", SEEN_MAX, || {
        let alerts = watcher.alerts();
        let missing: Vec<_> =
            ["SlipwayDown", "SlipwayUpstreamDown", "SlipwayNodeAway", "SlipwaySlotsUnserved"]
                .into_iter()
                .filter(|name| !alerts.iter().any(|alert| alert.starts_with(&format!("{name} "))))
                .collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("no {missing:?} among {alerts:?}")) }
    });
}

fn none_empty(watcher: &Watcher, panels: &[Panel]) -> Result<(), String> {
    let empty: Vec<_> = panels.iter().filter_map(|panel| watcher.fault_of(panel)).collect();
    if empty.is_empty() { Ok(()) } else { Err(empty.join("\n")) }
}

/// Metrics and labels in queries and rules are those on the pages; a value that no series has is a slip.
fn everything_named_exists(cluster: &Cluster, watcher: &Watcher, panels: &[Panel]) {
    let pages: Vec<String> = [&cluster.proxy_admin, &cluster.admin]
        .into_iter()
        .chain(&cluster.node_admins)
        .map(|admin| http::get(admin, "/metrics").unwrap())
        .collect();
    pages.iter().for_each(|page| page::check_with_promtool(page));
    let pages = Pages::of(pages.iter().map(String::as_str));
    let queries =
        panels.iter().flat_map(|panel| panel.queries.iter().map(|query| query.expr.clone()));
    let mut faults = BTreeSet::new();
    for expr in queries.chain(rules::alerts().into_iter().map(|alert| alert.expr)) {
        let expr = query::expand(&expr);
        faults.extend(pages.faults_of(&expr));
        for selector in query::selectors(&expr).into_iter().filter(|selector| selector.must_match())
        {
            if watcher.value(&format!("count({})", selector.text)).is_none() {
                faults.insert(format!("no series is {}", selector.text));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Moves all slots there and back under checked load until the panels have shown it; returns how many slots moved.
fn while_slots_move(cluster: &Cluster, watcher: &Watcher, panels: &[Panel]) -> f64 {
    let seconds = size(30, 90);
    let words = format!("--rate 2000 --clients 8 --pipeline 8 --keys 10000 --seconds {seconds}");
    let mut load = Load::start(&cluster.proxy, &words);
    let enough = AtomicBool::new(false);
    let moved = std::thread::scope(|scope| {
        let mover = scope.spawn(|| {
            let mut moved = 0;
            while !enough.load(Relaxed) {
                for group in [2, 1] {
                    let report =
                        cluster.tool_json(&format!("migrate --slots 0-1023 --to {group}")).unwrap();
                    moved += report["arrived"].as_u64().unwrap();
                }
            }
            moved
        });
        let _enough = Flag(&enough);
        eventually("the panels of a migration show one", SEEN_MAX, || {
            assert!(!mover.is_finished(), "the migrations have failed");
            let of = |title: &str| panels.iter().find(|panel| panel.title == title).unwrap();
            let is_flat =
                |title: &str| watcher.highest(of(title)).is_none_or(|highest| highest <= 0.0);
            let flat: Vec<_> =
                SHOW_A_MIGRATION.into_iter().filter(|title| is_flat(title)).collect();
            if flat.is_empty() { Ok(()) } else { Err(format!("{flat:?} stay at 0")) }
        });
        eventually("no panel is empty while slots move", SEEN_MAX, || none_empty(watcher, panels));
        assert!(load.runs(), "the load was over before everything was seen");
        enough.store(true, Relaxed);
        mover.join().unwrap()
    });
    crate::moves_under_load::nothing_wrong(&load.finish());
    moved as f64
}

/// Panels that must rise above 0 when slots move under load.
const SHOW_A_MIGRATION: [&str; 16] = [
    "Stall of handoffs",
    "Latency",
    "Slots on the move",
    "Slots moved",
    "Keys copied",
    "Bytes copied",
    "Stall of writes, each handoff",
    "Handoffs tried and given up",
    "Time a slot's migration took",
    "Requests by command",
    "Latency by command, p99",
    "Latency of nodes, p99",
    "Redirects",
    "Requests sent again",
    "Holds",
    "How long requests were held",
];

/// Set when this is dropped, also by a panic: whoever waits for it must not wait for ever.
struct Flag<'a>(&'a AtomicBool);

impl Drop for Flag<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
