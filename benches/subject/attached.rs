//! A server that somebody else has started: measured by its address and the ids of its processes.

use super::{Started, Subject};
use anyhow::{Context, Result, bail};
use std::str::FromStr;

/// `NAME=HOST:PORT,ID[,ID…]`, from the command line.
#[derive(Clone, Debug)]
pub(crate) struct Attached {
    name: String,
    addr: String,
    processes: Vec<u32>,
}

impl Attached {
    /// Measured as a proxy; it is never started afresh, so what needs that leaves it out.
    pub(crate) fn subject(&self) -> Subject {
        let (addr, processes) = (self.addr.clone(), self.processes.clone());
        let started = Started { addr, processes, behind: Vec::new(), _parts: Vec::new() };
        Subject { name: self.name.clone(), started }
    }
}

impl FromStr for Attached {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, rest) = text.split_once('=').context("write NAME=HOST:PORT,PROCESS")?;
        let (addr, processes) = rest.split_once(',').context("write NAME=HOST:PORT,PROCESS")?;
        let processes = processes.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>();
        let processes = processes.context("a process is a number")?;
        if name.is_empty() || !addr.contains(':') {
            bail!("write NAME=HOST:PORT,PROCESS");
        }
        Ok(Self { name: name.to_owned(), addr: addr.to_owned(), processes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_an_address_and_processes_are_read() {
        let attached: Attached = "other=127.0.0.1:7,12,13".parse().unwrap();
        assert_eq!((attached.name.as_str(), attached.addr.as_str()), ("other", "127.0.0.1:7"));
        assert_eq!(attached.processes, [12, 13]);
        assert!("other=127.0.0.1:7".parse::<Attached>().is_err());
        assert!("other=7,x".parse::<Attached>().is_err());
    }
}
