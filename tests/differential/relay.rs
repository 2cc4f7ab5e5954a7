//! A relay that lies: between a client and a redis-server it changes one request or one reply, so that the comparison has something to find.

use super::wire::{Connection, Reply, encode};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The lie.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lie {
    /// The first INCR after a FLUSHALL counts by two.
    IncrCountsByTwo,
    /// LLEN of a list with three elements says two.
    ThreeAreTwo,
    /// RENAME forgets the time to live.
    RenameForgetsTheTtl,
}

/// A listener on a port of its own; it ends with the test's process.
pub(crate) struct Relay {
    pub(crate) addr: String,
}

impl Relay {
    pub(crate) fn start(to: &str, lie: Lie) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let to = to.to_owned();
        let told = Arc::new(AtomicBool::new(false));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (to, told) = (to.clone(), Arc::clone(&told));
                std::thread::spawn(move || serve(client, &to, lie, &told));
            }
        });
        Self { addr }
    }
}

fn serve(client: TcpStream, to: &str, lie: Lie, told: &AtomicBool) {
    let Ok(mut upstream) = Connection::open(to, Duration::from_mins(1)) else { return };
    // Else each small answer waits for an acknowledgement.
    let _ = client.set_nodelay(true);
    let Ok(mut answers) = client.try_clone() else { return };
    let mut client = Connection::over(client);
    loop {
        let Reply::Items(_, request) = client.reply() else { return };
        let mut request: Vec<_> =
            request.into_iter().filter_map(|arg| arg.bulk().map(<[u8]>::to_vec)).collect();
        let name = request[0].to_ascii_uppercase();
        match (lie, name.as_slice(), request.len()) {
            (_, b"FLUSHALL", _) => told.store(false, Ordering::Relaxed),
            (Lie::IncrCountsByTwo, b"INCR", 2) if !told.swap(true, Ordering::Relaxed) => {
                request = vec![b"INCRBY".to_vec(), request[1].clone(), b"2".to_vec()];
            }
            _ => {}
        }
        let mut bytes = Vec::new();
        encode(&mut bytes, &request);
        upstream.send(&bytes);
        let mut raw = upstream.raw_reply();
        match (lie, name.as_slice()) {
            (Lie::ThreeAreTwo, b"LLEN") if raw == b":3\r\n" => raw = b":2\r\n".to_vec(),
            (Lie::RenameForgetsTheTtl, b"RENAME") if raw == b"+OK\r\n" => {
                upstream.call(&[b"PERSIST".to_vec(), request[2].clone()]);
            }
            _ => {}
        }
        if raw.is_empty() || answers.write_all(&raw).is_err() {
            return;
        }
    }
}
