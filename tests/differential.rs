//! Generated commands, sent to a node or a proxy and to Debian's redis-server: no reply and no key differs, but as `differential/allowed.toml` says.
//!
//! `DIFF_COMMANDS` says how many, `DIFF_SEED` and `DIFF_ROUND` repeat what was found, `DIFF_NODE` and `DIFF_PROXY` compare servers that run already.

mod allowed;
mod argument;
mod compare;
mod duel;
mod generator;
mod grammar;
mod page;
mod relay;
mod run;
mod scenario;
mod server;
mod shrink;
mod wire;

use crate::size::size;
use allowed::{Allowed, Place};
use relay::{Lie, Relay};
use run::{Report, Run, size_and_seed};
use server::Server;

/// A list of more differences is for nobody.
const FAULTS_MAX: usize = 40;

#[test]
fn the_node_answers_as_redis_does() {
    let node = Server::node();
    compare(Place::Node, &node, &Allowed::read(Place::Node));
}

#[test]
fn the_proxy_answers_as_redis_does() {
    let proxy = Server::proxy();
    compare(Place::Proxy, &proxy, &Allowed::read(Place::Proxy));
}

/// If Redis differs from itself, the comparison is to blame.
#[test]
fn redis_answers_as_itself() {
    compare(Place::Node, &Server::redis(), &Allowed::nothing());
}

#[test]
fn a_command_that_does_more_is_found_and_shrunk() {
    let report = against(Lie::IncrCountsByTwo);
    let fault = &report.faults[0];
    assert_eq!(fault.found.topic(), "INCR", "{report:?}");
    assert_eq!(fault.steps.len(), 1, "{fault:?}");
}

#[test]
fn a_wrong_reply_is_found_and_shrunk() {
    let report = against(Lie::ThreeAreTwo);
    let fault = &report.faults[0];
    assert_eq!(
        (fault.found.topic().as_str(), fault.found.mismatch.slipway.integer()),
        ("LLEN", Some(2)),
        "{report:?}"
    );
    assert!(fault.steps.len() <= 8, "{fault:?}");
}

/// No reply is wrong at first, only the data.
#[test]
fn wrong_data_are_found_and_shrunk() {
    let report = against(Lie::RenameForgetsTheTtl);
    let fault = &report.faults[0];
    let steps: Vec<_> = fault.steps.iter().map(|step| step.to_string().to_uppercase()).collect();
    assert!(steps.iter().any(|step| step.contains("RENAME")), "{steps:#?}");
    assert!(steps.len() <= 4, "{steps:#?}");
}

fn compare(place: Place, slipway: &Server, allowed: &Allowed) {
    let (requests, seed) = size_and_seed(size(20_000, 100_000));
    let redis = Server::redis();
    let scenarios = scenario::play_all(&redis, slipway, allowed, place);
    let mut report =
        Run { redis: &redis, slipway, allowed, requests, seed, faults_max: FAULTS_MAX }.report();
    report.scenarios = scenarios;
    report.conclude(seed, allowed);
}

fn against(lie: Lie) -> Report {
    let (redis, liar) = (Server::redis(), Server::behind(|addr| Relay::start(addr, lie)));
    let report = Run {
        redis: &redis,
        slipway: &liar,
        allowed: &Allowed::nothing(),
        // It ends with the first fault.
        requests: 200_000,
        seed: 1,
        faults_max: 1,
    }
    .report();
    assert!(!report.faults.is_empty(), "nothing was found");
    report
}
