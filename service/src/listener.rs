//! Listening sockets: one for each worker, all on one address.
//!
//! The kernel spreads new connections over the sockets (`SO_REUSEPORT`, socket(7)), so that workers share no accept queue. The same
//! option would let a second instance of ours take half of the connections in silence. Hence the first socket binds and listens without
//! it, which the kernel refuses if anyone else listens there, and only then opens the address to its siblings: no moment in between in
//! which two instances could both succeed.

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
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
    let first = exclusive(address).map_err(|error| explain(error, address, flag))?;
    let address = first.local_addr().map_err(|error| explain(error, address, flag))?;
    let mut listeners = vec![first];
    while listeners.len() < count {
        listeners.push(sibling(address).map_err(|error| explain(error, address, flag))?);
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

fn exclusive(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = unbound(address)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_reuse_port(true)?;
    Ok(socket.into())
}

fn sibling(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = unbound(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn unbound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
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
