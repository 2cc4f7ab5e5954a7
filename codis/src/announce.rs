//! Which address of a listener is told to others: the dashboard dials the one, clients the other.

use crate::Error;
use std::net::{IpAddr, SocketAddr};

/// What is known of one listener and its machine; whoever asks has looked it up.
#[derive(Clone, Copy, Debug)]
pub struct Announce<'a> {
    /// `--host-admin` or `--host-proxy`, and what it resolves to.
    pub wanted: Option<(&'a str, Option<SocketAddr>)>,
    /// Where the listener is bound.
    pub bound: SocketAddr,
    /// The machine's name, and the addresses it resolves to within [`NAME_MS_MAX`].
    pub hostname: (&'a str, &'a [IpAddr]),
    /// The addresses of all interfaces, in the system's order.
    pub interfaces: &'a [IpAddr],
}

/// So long may the machine's own name take to resolve, milliseconds.
pub const NAME_MS_MAX: u64 = 30;

/// The address that codis-proxy would announce, or why there is none.
pub fn announced(of: Announce<'_>) -> Result<String, Error> {
    if let Some((text, resolved)) = of.wanted {
        let fits = |at: &SocketAddr| at.port() != 0 && !at.ip().is_unspecified();
        return match resolved.filter(fits) {
            Some(_) => Ok(text.to_owned()),
            None => Err(Error::Announce(
                text.to_owned(),
                resolved.map_or_else(String::new, |at| at.to_string()),
            )),
        };
    }
    let port = of.bound.port();
    if !of.bound.ip().is_unspecified() {
        return Ok(of.bound.to_string());
    }
    let (name, addresses) = of.hostname;
    if addresses.iter().any(is_global_unicast) && !name.is_empty() {
        return Ok(format!("{name}:{port}"));
    }
    let first = of.interfaces.iter().find(|ip| is_global_unicast(ip));
    first
        .map(|&ip| SocketAddr::new(ip, port).to_string())
        .ok_or_else(|| Error::Announce(of.bound.to_string(), String::new()))
}

/// Go's `IsGlobalUnicast`: private addresses count.
fn is_global_unicast(ip: &IpAddr) -> bool {
    let local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
    };
    !(local || ip.is_unspecified() || ip.is_loopback() || ip.is_multicast())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(
        wanted: Option<(&str, Option<&str>)>,
        bound: &str,
        name: &[&str],
        interfaces: &[&str],
    ) -> Result<String, String> {
        let ips = |texts: &[&str]| {
            texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>()
        };
        let (name, interfaces) = (ips(name), ips(interfaces));
        let of = Announce {
            wanted: wanted.map(|(text, at)| (text, at.map(|at| at.parse().unwrap()))),
            bound: bound.parse().unwrap(),
            hostname: ("host5", &name),
            interfaces: &interfaces,
        };
        announced(of).map_err(|error| error.to_string())
    }

    #[test]
    fn each_case_has_its_address() {
        let wild = "0.0.0.0:11080";
        assert_eq!(said(None, "10.0.0.5:11080", &[], &[]).unwrap(), "10.0.0.5:11080");
        assert_eq!(said(None, wild, &["10.0.0.5"], &["10.0.0.9"]).unwrap(), "host5:11080");
        assert_eq!(
            said(None, wild, &["127.0.1.1"], &["127.0.0.1", "169.254.1.1", "10.0.0.9"]).unwrap(),
            "10.0.0.9:11080"
        );
        assert_eq!(
            said(None, "[::]:11080", &[], &["fe80::1", "2001:db8::1"]).unwrap(),
            "[2001:db8::1]:11080"
        );
        assert_eq!(
            said(None, wild, &[], &["127.0.0.1"]).unwrap_err(),
            "resolve address '0.0.0.0:11080' to ''"
        );
    }

    #[test]
    fn what_the_operator_says_is_announced_unchanged() {
        let wild = "0.0.0.0:11080";
        assert_eq!(
            said(Some(("proxy1:11080", Some("10.0.0.5:11080"))), wild, &[], &[]).unwrap(),
            "proxy1:11080"
        );
        for (text, at) in [
            ("nowhere:11080", None),
            ("0.0.0.0:11080", Some(wild)),
            ("10.0.0.5:0", Some("10.0.0.5:0")),
        ] {
            let refused = said(Some((text, at)), wild, &["10.0.0.5"], &[]).unwrap_err();
            assert_eq!(
                refused,
                format!("resolve address '{text}' to '{}'", at.unwrap_or_default())
            );
        }
    }
}
