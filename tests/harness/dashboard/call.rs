//! One HTTP call with a limit of time, as a dashboard's client makes it: a second to connect, status 800 is a failure with a cause.

use codis::model::RemoteError;
use serde_json::Value as Json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// Calls, and returns the answer of status 200; the reason otherwise.
pub fn call(
    addr: &str,
    method: &str,
    path: &str,
    body: &[u8],
    limit: Duration,
) -> Result<Json, String> {
    let end = Instant::now() + limit;
    let place: SocketAddr = addr.parse().map_err(|_| format!("{addr} is no address"))?;
    let mut stream = TcpStream::connect_timeout(&place, CONNECT_MAX.min(limit))
        .map_err(|e| format!("rpc: {addr}: {e}"))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nUser-Agent: Go-http-client/1.1\r\n\
         Content-Length: {}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.set_write_timeout(Some(limit)).unwrap();
    stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body))
        .map_err(|e| e.to_string())?;
    let answer = read(&mut stream, end)?;
    let at = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("no whole answer")?;
    let (head, body) = (String::from_utf8_lossy(&answer[..at]), &answer[at + 4..]);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    match RemoteError::read(status, body) {
        Some(cause) => Err(cause),
        None if status == 200 => serde_json::from_slice(body).map_err(|e| e.to_string()),
        None => Err(format!("[{status}] {method} {path}: {}", String::from_utf8_lossy(body))),
    }
}

fn read(stream: &mut TcpStream, end: Instant) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("timeout".to_owned());
        }
        stream.set_read_timeout(Some(left)).unwrap();
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(all),
            Ok(n) => all.extend_from_slice(&buffer[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e.to_string()),
        }
    }
}
