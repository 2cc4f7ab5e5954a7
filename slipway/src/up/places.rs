//! Where the nodes of `slipway up` listen: chosen at the first start, remembered in `up.json`.

use super::Group;
use anyhow::{Context, Result, bail};
use cluster::GroupId;
use serde::{Deserialize, Serialize};
use service::listener::{ListenError, bind};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

const FILE: &str = "up.json";
const FORMAT: u32 = 1;

/// Ports for nodes. Below those the kernel gives to outgoing connections, which could take a remembered one between two starts.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How many ports are tried for one node.
const TRIES: usize = 100;

/// The groups and where their nodes listen.
#[derive(Debug)]
pub(super) struct Places {
    path: PathBuf,
    kept: Kept,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    format: u32,
    groups: Vec<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    id: GroupId,
    addr: SocketAddr,
}

impl Places {
    /// Reads what was remembered in this directory; nothing if this is the first start.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let kept = match fs::read(&path) {
            Ok(bytes) => understand(&bytes, &path)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Kept { format: FORMAT, groups: Vec::new() }
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Ok(Self { path, kept })
    }

    /// How many groups are remembered.
    pub(super) fn count(&self) -> usize {
        self.kept.groups.len()
    }

    /// Takes the ports of `count` groups, `workers` sockets each; those that are new are remembered.
    pub(super) fn bind(&mut self, count: usize, workers: usize) -> Result<Vec<Group>> {
        let mut groups = Vec::with_capacity(count);
        for place in &self.kept.groups {
            let sockets = self.again(place, workers)?;
            groups.push(Group { id: place.id, addr: place.addr.to_string(), sockets });
        }
        if count > self.count() {
            for number in self.count()..count {
                let (addr, sockets) = free(workers)?;
                let id = GroupId(number as u32 + 1);
                self.kept.groups.push(Place { id, addr });
                groups.push(Group { id, addr: addr.to_string(), sockets });
            }
            self.keep().with_context(|| format!("cannot write {}", self.path.display()))?;
        }
        Ok(groups)
    }

    fn again(&self, place: &Place, workers: usize) -> Result<Vec<TcpListener>> {
        bind(place.addr, workers, "up.json").map_err(|error| match error {
            ListenError::InUse { address, .. } => anyhow::anyhow!(
                "cannot listen on {address}, where group {}'s node has its port: it is in use; stop what listens there, or write another \
                 port into {}",
                place.id,
                self.path.display()
            ),
            other => other.into(),
        })
    }

    /// A whole old or a whole new file, whenever the process dies.
    fn keep(&self) -> std::io::Result<()> {
        let temporary = self.path.with_extension("json.new");
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(&self.kept)?)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        File::open(dir)?.sync_all()
    }
}

fn understand(bytes: &[u8], path: &Path) -> Result<Kept> {
    let name = path.display();
    let kept: Kept = serde_json::from_slice(bytes).with_context(|| {
        format!("{name} is damaged: put back a copy, or write the groups and the addresses that control/cluster.json has")
    })?;
    if kept.format != FORMAT {
        bail!(
            "{name} has format {}, and this version of slipway knows format {FORMAT}",
            kept.format
        );
    }
    Ok(kept)
}

/// A free port.
fn free(workers: usize) -> Result<(SocketAddr, Vec<TcpListener>)> {
    for _ in 0..TRIES {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, rand::random_range(PORTS)));
        match bind(addr, workers, "up.json") {
            Ok(sockets) => return Ok((addr, sockets)),
            Err(ListenError::InUse { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bail!(
        "no free port for a node: {TRIES} of {} to {} were tried, all in use",
        PORTS.start,
        PORTS.end - 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_chosen_once_and_more_groups_may_come() {
        let dir = tempfile::tempdir().unwrap();
        let addrs = |count| {
            let mut places = Places::open(dir.path()).unwrap();
            places.bind(count, 2).unwrap().into_iter().map(|g| g.addr).collect::<Vec<_>>()
        };
        let two = addrs(2);
        assert_eq!(addrs(2), two);
        let three = addrs(3);
        assert_eq!(three[..2], two);
        assert_eq!(Places::open(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_port_that_was_taken_meanwhile_is_named_with_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let addr = Places::open(dir.path()).unwrap().bind(1, 1).unwrap().remove(0).addr;
        let _thief = TcpListener::bind(&addr).unwrap();
        let error = Places::open(dir.path()).unwrap().bind(1, 1).err().unwrap().to_string();
        assert!(
            error.contains(&addr) && error.contains("group 1") && error.contains("up.json"),
            "{error}"
        );
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_a_fresh_start() {
        let dir = tempfile::tempdir().unwrap();
        for (text, what) in [("{", "is damaged"), ("{\"format\":9,\"groups\":[]}", "format 9")] {
            fs::write(dir.path().join(FILE), text).unwrap();
            let error = Places::open(dir.path()).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
