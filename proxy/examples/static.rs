//! A proxy in front of plain Redis servers, the slots shared out evenly: for trying things and for measuring.
//!
//! `static LISTEN WORKERS NODE [NODE…]`, each `host:port`.

use anyhow::{Context, bail};
use cluster::table::{Group, GroupId, Kind, Owner};
use cluster::{Epoch, SlotCount, Table};
use proxy::config::Nodes;
use proxy::{Config, TableSource};
use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, TcpListener};
use tokio_util::sync::CancellationToken;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [listen, workers, nodes @ ..] = args.as_slice() else {
        bail!("usage: static LISTEN WORKERS NODE…")
    };
    let workers: usize = workers.parse().context("WORKERS is a number")?;
    let (_tables, source) = TableSource::new(table(nodes));
    let listeners =
        (0..workers).map(|_| listener(listen.parse()?)).collect::<anyhow::Result<Vec<_>>>()?;
    let config = Config { nodes: Nodes::Foreign, workers, ..Config::default() };
    let stop = CancellationToken::new();
    let on_signal = stop.clone();
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        on_signal.cancel();
    });
    proxy::run(config, listeners, source, stop).await?;
    Ok(())
}

fn table(nodes: &[String]) -> Table {
    let groups = nodes
        .iter()
        .zip(1..)
        .map(|(addr, id)| Group { id: GroupId(id), addr: addr.clone(), kind: Kind::default() })
        .collect();
    let count = usize::from(SlotCount::DEFAULT.get());
    let slots = (0..count).map(|slot| {
        let group = GroupId((slot * nodes.len() / count) as u32 + 1);
        Owner { epoch: Epoch(1), group }
    });
    Table {
        version: 1,
        cluster: "static".to_owned(),
        groups,
        slots: slots.collect(),
        leaving: Vec::new(),
    }
}

fn listener(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&addr.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}
