//! redis-server, all in memory: the floor that is measured, and the stores behind every proxy.

use super::{Alone, Ground, Started};
use anyhow::Result;
use std::path::Path;

/// One that runs.
pub(crate) struct Redis {
    pub(crate) addr: String,
    started: Started,
}

impl Redis {
    pub(super) fn start(program: &Path) -> Result<Self> {
        let started = run(program)?;
        super::wait_until_it_answers("redis-server", &started.addr)?;
        Ok(Self { addr: started.addr.clone(), started })
    }

    pub(super) fn id(&self) -> u32 {
        self.started.processes[0]
    }
}

pub(super) fn start(_: &Ground, program: &Path) -> Result<Started> {
    run(program)
}

fn run(program: &Path) -> Result<Started> {
    let alone = Alone::new()?;
    let port = alone.port.to_string();
    let args = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    let args = [&args[..], &["--maxclients", "15000"]].concat();
    Ok(alone.run(program, &args, None))
}
