//! twemproxy: one thread, always; one connection to each server.

use super::{Alone, Ground, Started};
use anyhow::Result;
use harness::process::free_port;
use std::path::Path;

pub(super) fn start(ground: &Ground, program: &Path) -> Result<Started> {
    let alone = Alone::new()?;
    let servers: Vec<_> = ground.addrs().iter().map(|addr| format!("   - {addr}:1\n")).collect();
    let servers = servers.concat();
    let text = format!(
        "bench:\n  listen: {}\n  hash: crc16\n  distribution: modula\n  redis: true\n  timeout: 5000\n  \
         server_connections: 1\n  servers:\n{servers}",
        alone.addr()
    );
    let file = alone.write("nutcracker.yml", &text)?;
    let stats = free_port().to_string();
    Ok(alone.run(program, &["-c", &file, "-a", "127.0.0.1", "-s", &stats, "-v", "4"], Some(ground)))
}
