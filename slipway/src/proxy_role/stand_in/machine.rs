//! What the machine says of itself: its network interfaces, its name, its kernel, its time. A proxy's identity is made of it.

use crate::proxy_role::kernel;
use anyhow::Result;
use codis::announce::{Announce, NAME_MS_MAX, announced};
use codis::identity::hardware_text;
use codis::time::GoTime;
use service::local_time;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// Looked at once, when a proxy starts.
#[derive(Debug)]
pub(super) struct Machine {
    /// Of every interface that has one, up or down.
    pub(super) macs: Vec<String>,
    pub(super) hostname: String,
    /// What the name resolves to, if it does so at once.
    named: Vec<IpAddr>,
    interfaces: Vec<IpAddr>,
    /// What `uname -a` says.
    pub(super) sys: String,
    pub(super) pwd: String,
    pub(super) now: GoTime,
}

/// How long an announced address that was chosen by the operator may take to resolve.
const CHOSEN_TIME: Duration = Duration::from_secs(5);

const NAME_TIME: Duration = Duration::from_millis(NAME_MS_MAX);

impl Machine {
    pub(super) async fn look() -> Self {
        let hostname = kernel("hostname");
        let named = resolved(&format!("{hostname}:0"), NAME_TIME).await;
        let (unix_s, nanos) = local_time::now();
        let offset = local_time::ZONE.at(unix_s);
        Self {
            macs: macs(Path::new("/sys/class/net")),
            named: named.into_iter().map(|address| address.ip()).collect(),
            interfaces: interfaces(),
            sys: format!(
                "{} {hostname} {} {} {} GNU/Linux",
                kernel("ostype"),
                kernel("osrelease"),
                kernel("version"),
                std::env::consts::ARCH
            ),
            pwd: std::env::current_dir().unwrap_or_default().display().to_string(),
            now: GoTime { unix_s, nanos, offset_s: offset.seconds, zone: zone_name(offset.name) },
            hostname,
        }
    }

    /// The address of a listener that others are told; `wanted` is the operator's choice, empty for none.
    pub(super) async fn announced(&self, wanted: &str, bound: SocketAddr) -> Result<String> {
        let chosen = match wanted {
            "" => None,
            text => Some((text, resolved(text, CHOSEN_TIME).await.first().copied())),
        };
        let hostname = (self.hostname.as_str(), self.named.as_slice());
        Ok(announced(Announce { wanted: chosen, bound, hostname, interfaces: &self.interfaces })?)
    }
}

/// Go tells a zone without a letter in its name by its offset alone.
fn zone_name(name: String) -> String {
    if name.starts_with(['+', '-']) { String::new() } else { name }
}

async fn resolved(text: &str, time: Duration) -> Vec<SocketAddr> {
    match tokio::time::timeout(time, tokio::net::lookup_host(text.to_owned())).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// The hardware addresses in the folder of interfaces.
fn macs(folder: &Path) -> Vec<String> {
    let Ok(interfaces) = fs::read_dir(folder) else { return Vec::new() };
    let mac = |interface: fs::DirEntry| {
        let read = |name: &str| fs::read_to_string(interface.path().join(name)).ok();
        let kind: u16 = read("type")?.trim().parse().ok()?;
        let bytes = read("address")?;
        let bytes = bytes.trim().split(':').map(|hex| u8::from_str_radix(hex, 16));
        hardware_text(kind, &bytes.collect::<Result<Vec<_>, _>>().ok()?)
    };
    interfaces.flatten().filter_map(mac).collect()
}

/// The addresses of all interfaces, IPv4 first, as the kernel's routing tables have them.
fn interfaces() -> Vec<IpAddr> {
    let v4 = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    own_v4(&v4).into_iter().map(IpAddr::V4).chain(own_v6(&v6).into_iter().map(IpAddr::V6)).collect()
}

/// The machine's own addresses in `/proc/net/fib_trie`: those above a line `/32 host LOCAL`, each once.
fn own_v4(trie: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut above = None;
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            above = address.parse().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = above
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

/// The addresses in `/proc/net/if_inet6`: 32 hexadecimal digits at the beginning of each line.
fn own_v6(table: &str) -> Vec<Ipv6Addr> {
    let address = |line: &str| u128::from_str_radix(line.get(..32)?, 16).ok().map(Ipv6Addr::from);
    table.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_all_interfaces_count_but_those_of_loopback_and_tunnels() {
        let folder = tempfile::tempdir().unwrap();
        for (name, kind, address) in [
            ("lo", "772", "00:00:00:00:00:00"),
            ("eth0", "1", "02:42:ac:11:00:02"),
            ("tunl0", "768", "00:00:00:00"),
            ("gre0", "778", "0a:00:00:01"),
            ("wg0", "65534", ""),
        ] {
            let place = folder.path().join(name);
            fs::create_dir(&place).unwrap();
            fs::write(place.join("type"), format!("{kind}\n")).unwrap();
            fs::write(place.join("address"), format!("{address}\n")).unwrap();
        }
        // A file beside the interfaces, as `bonding_masters` is one.
        fs::write(folder.path().join("bonding_masters"), "").unwrap();
        assert_eq!(macs(folder.path()), ["02:42:ac:11:00:02"]);
        assert_eq!(macs(&folder.path().join("nowhere")), Vec::<String>::new());
    }

    #[test]
    fn own_addresses_are_found_in_the_kernels_tables() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.0.0.5\n        /32 host LOCAL\n\
                    Local:\n     |-- 10.0.0.5\n        /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        assert_eq!(own_v4(trie), [Ipv4Addr::new(10, 0, 0, 5), Ipv4Addr::LOCALHOST]);
        let table = "fe800000000000000042acfffe110002 0a 40 20 80     eth0\n00000000000000000000000000000001 01 80 10 80       lo\n";
        assert_eq!(
            own_v6(table),
            ["fe80::42:acff:fe11:2".parse::<Ipv6Addr>().unwrap(), Ipv6Addr::LOCALHOST]
        );
        assert_eq!(own_v6("x\n"), Vec::<Ipv6Addr>::new());
    }

    #[tokio::test]
    async fn this_machine_says_who_it_is() {
        let machine = Machine::look().await;
        assert!(!machine.hostname.is_empty() && machine.sys.starts_with("Linux "), "{machine:?}");
        assert!(interfaces().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let bound = "127.0.0.1:19000".parse().unwrap();
        assert_eq!(machine.announced("", bound).await.unwrap(), "127.0.0.1:19000");
        let refused = machine.announced("0.0.0.0:19000", bound).await.unwrap_err();
        assert_eq!(refused.to_string(), "resolve address '0.0.0.0:19000' to '0.0.0.0:19000'");
    }
}
