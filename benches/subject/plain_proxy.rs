//! Our proxy before plain servers: in a process of its own, which is this program called by another name.

use super::{Alone, Ground, Started};
use anyhow::{Context, Result, bail};
use cluster::table::{Group, GroupId, Owner};
use cluster::{Epoch, SlotCount, Table};
use proxy::config::Nodes;
use proxy::{Config, TableSource};
use std::path::Path;
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

/// The first argument of this program that makes it a proxy.
pub(crate) const CALL: &str = "serve-plain-proxy";

pub(super) fn start(ground: &Ground, _: &Path) -> Result<Started> {
    let alone = Alone::new()?;
    let (addr, workers, stores) = (alone.addr(), ground.workers.to_string(), ground.addrs());
    let args: Vec<&str> =
        [CALL, &addr, &workers].into_iter().chain(stores.iter().map(String::as_str)).collect();
    Ok(alone.run(&std::env::current_exe()?, &args, Some(ground)))
}

/// Serves until it is killed, if that is what the arguments ask for: [`CALL`], where to listen, workers, stores.
pub(crate) fn serve(args: &[String]) -> Option<Result<()>> {
    let [_, call, rest @ ..] = args else { return None };
    (call == CALL).then(|| {
        let [listen, workers, stores @ ..] = rest else { bail!("{CALL} LISTEN WORKERS STORE…") };
        run(listen, workers.parse().context("WORKERS is a number")?, stores)
    })
}

fn run(listen: &str, workers: usize, stores: &[String]) -> Result<()> {
    let address = service::listener::resolve(listen, "listen")?;
    let listeners = service::listener::bind(address, workers, "listen")?;
    let (_tables, source) = TableSource::new(table(stores));
    let mut config = Config { nodes: Nodes::Foreign, workers, ..Config::default() };
    config.limits.clients_max = 15_000;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(proxy::run(config, listeners, source, CancellationToken::new()))?;
    Ok(())
}

/// The slots in equal runs over the stores.
fn table(stores: &[String]) -> Table {
    let groups =
        stores.iter().zip(1..).map(|(addr, id)| Group { id: GroupId(id), addr: addr.clone() });
    let count = usize::from(SlotCount::DEFAULT.get());
    let slots = (0..count).map(|slot| {
        let group = GroupId((slot * stores.len() / count) as u32 + 1);
        Owner { epoch: Epoch(1), group }
    });
    Table {
        version: 1,
        cluster: "bench".to_owned(),
        groups: groups.collect(),
        slots: slots.collect(),
    }
}
