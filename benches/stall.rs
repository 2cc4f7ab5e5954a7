//! One client with a big reply, or one that does not read: what do the others notice?

use crate::case::KEYS;
use crate::load::{NUMBER, Pace, Template, Traffic};
use crate::measure::{Bench, Values};
use crate::subject::Subject;
use anyhow::{Result, ensure};
use protocol::request::encode_request;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The others: so many clients with so many GETs a second together.
const CLIENTS: usize = 20;
const RATE: f64 = 1000.0;

/// The big value, and how the one who asks for it reads: pieces with pauses, about 60 MiB/s.
const BIG_BYTES: usize = 16 << 20;
const PIECE_BYTES: usize = 64 << 10;
const PIECE_PAUSE: Duration = Duration::from_millis(1);

/// The disturber waits no longer for bytes.
const READ_MAX: Duration = Duration::from_secs(5);

/// The value that the one who does not read asks for, again and again.
const UNREAD_BYTES: usize = 4096;
/// How many it asks for between two pauses: 80 MB/s, which a server may keep or refuse to.
const UNREAD_PIPELINE: usize = 20;

/// What the one client does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Disturbance {
    BigReply,
    NeverReads,
}

impl Disturbance {
    /// All there are.
    pub(crate) const ALL: [Self; 2] = [Self::BigReply, Self::NeverReads];

    /// The name of the case.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BigReply => "beside-a-big-reply",
            Self::NeverReads => "beside-one-who-never-reads",
        }
    }

    fn value_bytes(self) -> usize {
        match self {
            Self::BigReply => BIG_BYTES,
            Self::NeverReads => UNREAD_BYTES,
        }
    }
}

impl Bench {
    /// Measures what other clients notice.
    pub(crate) fn stall(&mut self, disturbance: Disturbance) -> Result<()> {
        self.interleave(disturbance.name(), |bench, subject| beside(bench, subject, disturbance))
    }
}

fn beside(bench: &Bench, subject: &Subject, disturbance: Disturbance) -> Result<Values> {
    write_value(subject, disturbance)?;
    let words = ["GET".to_owned(), format!("short:{NUMBER}")];
    let traffic = Traffic::random(vec![(1, Template::new(&words))], KEYS);
    let pace = Pace::Open { rate: RATE, time: bench.time * 2 };
    let mut fleet = bench.fleet(subject, CLIENTS)?;
    let quiet = fleet.run(&traffic, pace)?;
    let stop = AtomicBool::new(false);
    let addr = subject.addr();
    let outcome = std::thread::scope(|scope| {
        let disturber = scope.spawn(|| disturb(addr, disturbance, &stop));
        let outcome = fleet.run(&traffic, pace);
        stop.store(true, Ordering::Relaxed);
        // Being cut off is an answer too; what counts is what the others have seen.
        let _ = disturber.join();
        outcome
    })?;
    Ok(vec![
        ("quiet_p99_ms", quiet.millis(0.99)),
        ("quiet_max_ms", quiet.millis(1.0)),
        ("p50_ms", outcome.millis(0.5)),
        ("p99_ms", outcome.millis(0.99)),
        ("max_ms", outcome.millis(1.0)),
        ("errors", outcome.errors as f64),
    ])
}

fn key(disturbance: Disturbance) -> Vec<u8> {
    format!("stall:{}", disturbance.name()).into_bytes()
}

fn write_value(subject: &Subject, disturbance: Disturbance) -> Result<()> {
    let mut set = Vec::new();
    let value = vec![b'v'; disturbance.value_bytes()];
    encode_request(&mut set, &[b"SET", &key(disturbance), &value]);
    let mut stream = TcpStream::connect(subject.addr())?;
    stream.set_read_timeout(Some(READ_MAX))?;
    stream.write_all(&set)?;
    let mut reply = [0; 5];
    stream.read_exact(&mut reply)?;
    ensure!(&reply == b"+OK\r\n", "it does not take a value of {} bytes", value.len());
    Ok(())
}

fn disturb(addr: &str, disturbance: Disturbance, stop: &AtomicBool) -> Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(READ_MAX))?;
    let mut get = Vec::new();
    encode_request(&mut get, &[b"GET", &key(disturbance)]);
    match disturbance {
        Disturbance::BigReply => {
            let mut piece = vec![0; PIECE_BYTES];
            // Two at a time, so that there is always one under way.
            stream.write_all(&get)?;
            let mut left = 0;
            while !stop.load(Ordering::Relaxed) {
                if left == 0 {
                    stream.write_all(&get)?;
                    left = BIG_BYTES;
                }
                left = left.saturating_sub(stream.read(&mut piece)?);
                std::thread::sleep(PIECE_PAUSE);
            }
        }
        Disturbance::NeverReads => {
            stream.set_nonblocking(true)?;
            let requests = get.repeat(UNREAD_PIPELINE);
            let mut at = 0;
            while !stop.load(Ordering::Relaxed) {
                match stream.write(&requests[at..]) {
                    Ok(written) => at = (at + written) % requests.len(),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
                std::thread::sleep(PIECE_PAUSE);
            }
        }
    }
    Ok(())
}
