//! Ours: a node alone, which owns all slots of its cluster; a proxy before two nodes; and one before plain servers, as codis-proxy stands there.

use super::{Ground, Started, codis};
use anyhow::{Context, Result};
use harness::cluster::{Cluster, Role, Settings};
use std::path::Path;

pub(super) fn node(ground: &Ground, _: &Path) -> Result<Started> {
    node_with(ground, "")
}

/// With more lines in the nodes' configuration.
pub(super) fn node_with(ground: &Ground, more: &str) -> Result<Started> {
    let mut cluster = start(ground, more, Settings::default().slots);
    cluster
        .tool("migrate --slots 0-1023 --to 1")
        .map_err(anyhow::Error::msg)
        .context("the node that is measured alone does not get all slots")?;
    // Neither proxy nor controller has a part in it; without them nothing else moves.
    cluster.process(Role::Proxy).kill();
    Ok(Started {
        addr: cluster.nodes[0].clone(),
        processes: vec![cluster.process(Role::Source).id()],
        behind: Vec::new(),
        _parts: vec![Box::new(cluster)],
    })
}

/// With codis-proxy's configuration and flags: what the drop-in costs is what is measured.
pub(super) fn proxy(ground: &Ground, program: &Path) -> Result<Started> {
    codis::start_as(ground, program, &["proxy"])
}

pub(super) fn proxy_before_nodes(ground: &Ground, _: &Path) -> Result<Started> {
    let (cluster, started) = cluster(ground);
    Ok(Started { _parts: vec![Box::new(cluster)], ..started })
}

/// A whole cluster, and its proxy, which is measured for as long as the cluster is kept.
pub(super) fn cluster(ground: &Ground) -> (Cluster, Started) {
    cluster_with_slots(ground, Settings::default().slots)
}

pub(super) fn cluster_with_slots(ground: &Ground, slots: u16) -> (Cluster, Started) {
    let mut cluster = start(ground, "", slots);
    let started = Started {
        addr: cluster.proxy.clone(),
        processes: vec![cluster.process(Role::Proxy).id()],
        behind: vec![cluster.process(Role::Source).id(), cluster.process(Role::Target).id()],
        _parts: Vec::new(),
    };
    (cluster, started)
}

fn start(ground: &Ground, more: &str, slots: u16) -> Cluster {
    let workers = format!("workers = {}", ground.workers);
    let node = format!("{workers}\nclients_max = 15_000\n{more}");
    let proxy = format!("{workers}\n[limits]\nclients_max = 15_000");
    Cluster::start_with(Settings { node: &node, proxy: &proxy, slots, ..Settings::default() })
}
