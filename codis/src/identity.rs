//! Who a proxy is: its token, which is its name everywhere, and its xauth, the secret in the paths of the admin API.

use crate::config::Network;
use md5::Md5;
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};

/// What a token is made of. Product and listeners are texts as codis-proxy has them: see [`listener_text`].
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub product_name: &'a str,
    /// Where clients connect: `0.0.0.0:19000`, or the path of a unix socket.
    pub proxy_listener: &'a str,
    /// Where the admin API is: `[::]:11080`.
    pub admin_listener: &'a str,
}

/// The token: 32 hexadecimal digits. `macs` are the hardware addresses of all interfaces, each by [`hardware_text`], in any order, with
/// duplicates.
///
/// The same machine, product and ports give the same token as codis-proxy, so that the dashboard updates the old record instead of keeping it
/// as a dead proxy. A network interface that comes or goes changes it, there and here.
pub fn token(macs: &[String], place: Place<'_>) -> String {
    let mut macs: Vec<&str> = macs.iter().map(String::as_str).collect();
    macs.sort_unstable();
    let mut text = format!("Codis-Token@[{}]", macs.join(" "));
    for part in [place.product_name, place.proxy_listener, place.admin_listener] {
        text.push_str(&format!("-{{{part}}}"));
    }
    hex(&Md5::digest(text))
}

/// The secret of a proxy.
pub fn proxy_xauth(product_name: &str, product_auth: &str, token: &str) -> String {
    xauth(&[product_name, product_auth, token])
}

/// The secret of a dashboard: the product's name is all it takes.
pub fn dashboard_xauth(product_name: &str) -> String {
    xauth(&[product_name])
}

fn xauth(parts: &[&str]) -> String {
    let mut text = "Codis-XAuth".to_owned();
    parts.iter().for_each(|part| text.push_str(&format!("-[{part}]")));
    hex(&Sha256::digest(text)[..16])
}

/// The answer to an xauth in a path: `Err` is the text of the refusal. Compares in the same time wherever the two differ.
pub fn check_xauth(given: &str, own: &str) -> Result<(), &'static str> {
    if given.is_empty() {
        return Err("missing xauth, please check product name & auth");
    }
    let differing = given.bytes().zip(own.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    if given.len() == own.len() && differing == 0 {
        Ok(())
    } else {
        Err("invalid xauth, please check product name & auth")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The text of an interface's hardware address, if Go would show one. `kind` is the kernel's ARPHRD number, as in
/// `/sys/class/net/NAME/type`: the address of a tunnel is an IP address and does not count.
pub fn hardware_text(kind: u16, bytes: &[u8]) -> Option<String> {
    const V4_TUNNELS: [u16; 3] = [768, 776, 778];
    const V6_TUNNELS: [u16; 2] = [769, 823];
    let is_tunnel = match bytes.len() {
        4 => V4_TUNNELS.contains(&kind),
        16 => V6_TUNNELS.contains(&kind),
        _ => false,
    };
    if is_tunnel || bytes.iter().all(|&byte| byte == 0) {
        return None;
    }
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"))
}

/// Which families the kernel speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// IPv6 too.
    Both,
    V4,
}

/// The address of a listener as Go tells it: a wildcard of the network `tcp` is `[::]` wherever there is IPv6, whatever was configured.
pub fn listener_text(network: Network, bound: SocketAddr, stack: Stack) -> String {
    let port = bound.port();
    match (network, bound.ip(), stack) {
        (Network::Tcp, ip, Stack::Both) if ip.is_unspecified() => format!("[::]:{port}"),
        (_, IpAddr::V6(ip), _) => match ip.to_ipv4_mapped() {
            Some(ip) => format!("{ip}:{port}"),
            None => bound.to_string(),
        },
        _ => bound.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: Place<'_> = Place {
        product_name: "codis-demo",
        proxy_listener: "0.0.0.0:19000",
        admin_listener: "[::]:11080",
    };

    fn token_of(macs: &[&str]) -> String {
        token(&macs.iter().map(|&mac| mac.to_owned()).collect::<Vec<_>>(), DEMO)
    }

    #[test]
    fn tokens_are_those_of_codis_proxy() {
        assert_eq!(token_of(&["02:42:ac:11:00:02"]), "15fba3007f3c6ee0887749681cb82307");
        assert_eq!(token_of(&[]), "87c71d43ca7471bf4606be15775cde0f");
        let both = "3ae28f5b262d9f9cfed628dedd23a78c";
        assert_eq!(token_of(&["52:54:00:aa:bb:cc", "02:42:ac:11:00:02"]), both);
        assert_eq!(token_of(&["02:42:ac:11:00:02", "52:54:00:aa:bb:cc"]), both);
    }

    #[test]
    fn xauths_are_those_of_codis() {
        let token = "15fba3007f3c6ee0887749681cb82307";
        assert_eq!(proxy_xauth("codis-demo", "", token), "66b18d3006f86cd50181f8707cb6a866");
        assert_eq!(proxy_xauth("codis-demo", "secret", token), "fcf2eb4261ad9fe7cfb518835e185c64");
        assert_eq!(dashboard_xauth("codis-demo"), "95b62887719520f17e312eaa76d28f2b");
    }

    #[test]
    fn a_wrong_xauth_is_told_from_none() {
        assert_eq!(check_xauth("ab", "ab"), Ok(()));
        assert_eq!(check_xauth("", "ab"), Err("missing xauth, please check product name & auth"));
        for wrong in ["aB", "a", "abc"] {
            assert_eq!(
                check_xauth(wrong, "ab"),
                Err("invalid xauth, please check product name & auth")
            );
        }
    }

    #[test]
    fn interfaces_without_a_hardware_address_do_not_count() {
        assert_eq!(
            hardware_text(1, &[2, 0x42, 0xac, 0x11, 0, 2]).as_deref(),
            Some("02:42:ac:11:00:02")
        );
        assert_eq!(hardware_text(772, &[0; 6]), None);
        assert_eq!(hardware_text(65534, &[]), None);
        assert_eq!(hardware_text(768, &[10, 0, 0, 1]), None);
        assert_eq!(hardware_text(823, &[1; 16]), None);
        assert_eq!(hardware_text(1, &[10, 0, 0, 1]).as_deref(), Some("0a:00:00:01"));
    }

    #[test]
    fn listeners_are_told_as_go_tells_them() {
        let at = |text: &str| text.parse().unwrap();
        for (network, bound, stack, want) in [
            (Network::Tcp4, "0.0.0.0:19000", Stack::Both, "0.0.0.0:19000"),
            (Network::Tcp, "0.0.0.0:11080", Stack::Both, "[::]:11080"),
            (Network::Tcp, "[::]:11080", Stack::Both, "[::]:11080"),
            (Network::Tcp, "0.0.0.0:11080", Stack::V4, "0.0.0.0:11080"),
            (Network::Tcp, "10.1.2.3:11080", Stack::Both, "10.1.2.3:11080"),
            (Network::Tcp, "[::ffff:10.1.2.3]:11080", Stack::Both, "10.1.2.3:11080"),
        ] {
            assert_eq!(listener_text(network, at(bound), stack), want);
        }
    }
}
