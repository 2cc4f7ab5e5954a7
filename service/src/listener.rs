//! Listening sockets: one for each worker, all on one address.
//!
//! The kernel spreads new connections over the sockets (`SO_REUSEPORT`, socket(7)), so that workers share no accept queue. The same
//! option would let a second instance of ours take half of the connections in silence. Hence the first socket binds and listens without
//! it, which the kernel refuses if anyone else listens there, and only then opens the address to its siblings: no moment in between in
//! which two instances could both succeed.

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

/// Connections the kernel completes before we accept them; it cuts this to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// The time to wait after an accept that failed for want of something a closing connection will give back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The text is no address, or its host is unknown.
    #[error(
        "\"{address}\" is no address to listen on: write {flag} HOST:PORT, for example {flag} 127.0.0.1:19000"
    )]
    Address { address: String, flag: &'static str },
    /// Another socket listens there.
    #[error("cannot listen on {address}: the port is in use; choose another with {flag}")]
    InUse { address: SocketAddr, flag: &'static str },
    /// No interface of this machine has the address.
    #[error(
        "cannot listen on {address}: this machine does not have that address; choose another with {flag}"
    )]
    NotHere { address: SocketAddr, flag: &'static str },
    /// Ports below 1024 need a privilege.
    #[error("cannot listen on {address}: not permitted; choose a port above 1023 with {flag}")]
    NotPermitted { address: SocketAddr, flag: &'static str },
    /// Anything else the kernel says.
    #[error("cannot listen on {address} ({flag})")]
    Other { address: SocketAddr, flag: &'static str, source: io::Error },
}

/// Which families of addresses a listener takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// As the address says; what a wildcard of IPv6 takes is the system's choice.
    #[default]
    AsGiven,
    /// A wildcard takes both, wherever the kernel speaks both.
    Both,
    V4,
    /// A wildcard takes no IPv4.
    V6,
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub address: SocketAddr,
    pub family: Family,
}

impl Place {
    /// Returns the place that `HOST:PORT` means in a family; without a host, all addresses of the machine.
    pub fn resolve(text: &str, family: Family, flag: &'static str) -> Result<Self, ListenError> {
        let wrong = || ListenError::Address { address: text.to_owned(), flag };
        let any: IpAddr = match family {
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
            _ => Ipv4Addr::UNSPECIFIED.into(),
        };
        let found: Vec<SocketAddr> = match text.strip_prefix(':') {
            Some(port) => vec![SocketAddr::new(any, port.parse().map_err(|_| wrong())?)],
            None => text.to_socket_addrs().map_err(|_| wrong())?.collect(),
        };
        let fits = |address: &&SocketAddr| match family {
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
            Family::AsGiven | Family::Both => true,
        };
        // IPv4 first, where a name has both.
        let first = found.iter().filter(fits).min_by_key(|address| address.is_ipv6());
        let mut address = *first.ok_or_else(wrong)?;
        if family == Family::Both && address.ip().is_unspecified() && speaks_both() {
            address.set_ip(Ipv6Addr::UNSPECIFIED.into());
        }
        Ok(Self { address, family })
    }
}

/// Whether a socket of IPv6 can serve IPv4 too here: one is bound to see.
pub fn speaks_both() -> bool {
    let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), 0);
    let bound = || {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_only_v6(false)?;
        socket.bind(&mapped.into())
    };
    bound().is_ok()
}

/// Returns the address that `HOST:PORT` means; `flag` is where the operator wrote it.
pub fn resolve(text: &str, flag: &'static str) -> Result<SocketAddr, ListenError> {
    let found = text.to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| ListenError::Address { address: text.to_owned(), flag })
}

/// Returns `count` (at least one) non-blocking sockets listening on `address`; port 0 picks a free port, the same for all of them.
///
/// `flag` is where the operator chose the address; it stands in the errors.
pub fn bind(
    address: SocketAddr,
    count: usize,
    flag: &'static str,
) -> Result<Vec<TcpListener>, ListenError> {
    bind_at(Place { address, family: Family::AsGiven }, count, flag)
}

/// As [`bind`], in a family.
pub fn bind_at(
    place: Place,
    count: usize,
    flag: &'static str,
) -> Result<Vec<TcpListener>, ListenError> {
    let explained = |error| explain(error, place.address, flag);
    let first = exclusive(place).map_err(explained)?;
    let place = Place { address: first.local_addr().map_err(explained)?, ..place };
    let mut listeners = vec![first];
    while listeners.len() < count {
        listeners.push(sibling(place).map_err(explained)?);
    }
    Ok(listeners)
}

/// Prepares an accepted or connected socket for small requests: what is written leaves at once.
///
/// An error would mean that the peer is gone already, which the next read says better.
pub fn prepare(stream: &tokio::net::TcpStream) {
    let _ = stream.set_nodelay(true);
}

/// How long to wait before the next accept after one that failed, so that a lack of file descriptors does not spin a core.
///
/// Nothing for errors that concern only the connection that was about to be accepted (accept(2)).
pub fn pause_after(error: &io::Error) -> Option<Duration> {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    match error.kind() {
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted => None,
        _ => Some(ACCEPT_PAUSE),
    }
}

fn exclusive(place: Place) -> io::Result<TcpListener> {
    let socket = unbound(place)?;
    socket.bind(&place.address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_reuse_port(true)?;
    Ok(socket.into())
}

fn sibling(place: Place) -> io::Result<TcpListener> {
    let socket = unbound(place)?;
    socket.set_reuse_port(true)?;
    socket.bind(&place.address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn unbound(place: Place) -> io::Result<Socket> {
    let domain = Domain::for_address(place.address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    match place.family {
        Family::Both if domain == Domain::IPV6 => socket.set_only_v6(false)?,
        Family::V6 => socket.set_only_v6(true)?,
        _ => {}
    }
    // Connections of the last run that linger in TIME_WAIT must not keep us from starting.
    SockRef::from(&socket).set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn explain(error: io::Error, address: SocketAddr, flag: &'static str) -> ListenError {
    match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address, flag },
        io::ErrorKind::AddrNotAvailable => ListenError::NotHere { address, flag },
        io::ErrorKind::PermissionDenied => ListenError::NotPermitted { address, flag },
        _ => ListenError::Other { address, flag, source: error },
    }
}

#[cfg(test)]
mod tests;
