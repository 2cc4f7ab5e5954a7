//! What a subject that has just been started keeps in memory: for clients that are idle, and for one that asks much and reads nothing.

use crate::cost::resident_mib;
use crate::measure::{Bench, Values};
use crate::subject::Subject;
use anyhow::{Context, Result, bail, ensure};
use protocol::request::encode_request;
use protocol::slicer::ReplyScan;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The names of the cases.
pub(crate) const CLIENTS: &str = "idle-clients";
pub(crate) const BACKLOG: &str = "unread-pipeline";

/// What is told of them, in this order.
pub(crate) const CLIENTS_VALUES: [&str; 9] = [
    "rss_start_mib",
    "rss_50_used_mib",
    "rss_1000_connected_mib",
    "rss_1000_used_mib",
    "rss_10000_connected_mib",
    "rss_10000_used_mib",
    "rss_left_3s_mib",
    "rss_left_15s_mib",
    "kept_share",
];
pub(crate) const BACKLOG_VALUES: [&str; 5] =
    ["answered", "errors", "taken_unread_share", "rss_after_mib", "rss_most_mib"];

/// Requests that one client sends before it reads, the value they ask for, and how long it does not read.
const BACKLOG_REQUESTS: usize = 200_000;
const BACKLOG_VALUE_BYTES: usize = 100;
const UNREAD: Duration = Duration::from_secs(3);

/// When memory is looked at after all clients have left.
const LEFT_SOON: Duration = Duration::from_secs(3);
const LEFT_LATE: Duration = Duration::from_secs(15);

/// Nothing is awaited longer.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A subject whose clients have left.
struct Left {
    subject: Subject,
    at: Instant,
    values: Values,
}

impl Bench {
    /// Clients that connect, ask once, and are idle; then they leave.
    pub(crate) fn idle_clients(&mut self) -> Result<()> {
        let mut left: Vec<Left> = Vec::new();
        for (recipe, program) in &self.recipes {
            let measured = recipe.start(&self.ground, program).and_then(|subject| {
                let values = clients(&subject)?;
                Ok(Left { subject, at: Instant::now(), values })
            });
            match measured {
                Ok(measured) => left.push(measured),
                Err(why) => self.record.refuse(CLIENTS, recipe.name, format!("{why:#}")),
            }
        }
        for Left { subject, at, mut values } in left {
            sleep(LEFT_LATE.saturating_sub(at.elapsed()));
            values.push(("rss_left_15s_mib", resident_mib(subject.processes())?[0]));
            values.push(("kept_share", kept_share(&values)));
            self.record.add(CLIENTS, &subject.name, 0, &values);
        }
        Ok(())
    }

    /// One client with a pipeline of 200,000 GETs which it leaves unread for a while.
    pub(crate) fn unread_pipeline(&mut self) -> Result<()> {
        for (recipe, program) in &self.recipes {
            match recipe.start(&self.ground, program).and_then(|subject| unread(&subject)) {
                Ok(values) => self.record.add(BACKLOG, recipe.name, 0, &values),
                Err(why) => self.record.refuse(BACKLOG, recipe.name, format!("{why:#}")),
            }
        }
        Ok(())
    }
}

/// Of the memory that the clients took, what is still held.
fn kept_share(values: &Values) -> f64 {
    let of = |name| values.iter().find(|(known, _)| *known == name).map_or(0.0, |(_, mib)| *mib);
    let start = of("rss_start_mib");
    (of("rss_left_15s_mib") - start).max(0.0) / (of("rss_10000_used_mib") - start).max(0.1)
}

fn clients(subject: &Subject) -> Result<Values> {
    let resident = || Ok::<_, anyhow::Error>(resident_mib(subject.processes())?[0]);
    let mut values = vec![("rss_start_mib", resident()?)];
    let mut streams = Vec::new();
    let steps = [
        (50, None, "rss_50_used_mib"),
        (1_000, Some("rss_1000_connected_mib"), "rss_1000_used_mib"),
        (10_000, Some("rss_10000_connected_mib"), "rss_10000_used_mib"),
    ];
    for (count, connected, used) in steps {
        while streams.len() < count {
            let stream = TcpStream::connect(subject.addr())
                .with_context(|| format!("connection {}", streams.len() + 1))?;
            stream.set_read_timeout(Some(ANSWER_MAX))?;
            streams.push(stream);
        }
        if let Some(name) = connected {
            // The last ones may not be accepted yet.
            ask(streams.last_mut().context("no connection")?)?;
            values.push((name, resident()?));
        }
        for (number, stream) in streams.iter_mut().enumerate() {
            ask(stream).with_context(|| format!("client {number} of {count}"))?;
        }
        values.push((used, resident()?));
    }
    drop(streams);
    sleep(LEFT_SOON);
    values.push(("rss_left_3s_mib", resident()?));
    Ok(values)
}

/// One SET and one GET of 64 bytes.
fn ask(stream: &mut TcpStream) -> Result<()> {
    let value = [b'v'; 64];
    let mut request = Vec::new();
    encode_request(&mut request, &[b"SET", b"idle", &value]);
    encode_request(&mut request, &[b"GET", b"idle"]);
    stream.write_all(&request)?;
    let expected = b"+OK\r\n$64\r\n".len() + value.len() + 2;
    let mut reply = vec![0; expected];
    stream.read_exact(&mut reply)?;
    ensure!(reply.starts_with(b"+OK"), "it says {}", String::from_utf8_lossy(&reply));
    Ok(())
}

fn unread(subject: &Subject) -> Result<Values> {
    let mut stream = TcpStream::connect(subject.addr())?;
    let (mut set, mut requests) = (Vec::new(), Vec::new());
    encode_request(&mut set, &[b"SET", b"backlog", &[b'v'; BACKLOG_VALUE_BYTES]]);
    stream.write_all(&set)?;
    stream.read_exact(&mut [0; 5])?;
    (0..BACKLOG_REQUESTS).for_each(|_| encode_request(&mut requests, &[b"GET", b"backlog"]));
    stream.set_nonblocking(true)?;

    let begin = Instant::now();
    let mut sent = 0;
    while begin.elapsed() < UNREAD {
        // Being cut off is an answer too: what came before is counted.
        let Ok(more) = write_some(&mut stream, &requests[sent..]) else { break };
        sent += more;
        sleep(Duration::from_millis(1));
    }
    let before_reading = sent as f64 / requests.len() as f64;
    let (answered, errors) = read_all(&mut stream, &requests, sent)?;
    let [resident, most] = resident_mib(subject.processes())?;
    Ok(vec![
        ("answered", answered as f64),
        ("errors", errors as f64),
        ("taken_unread_share", before_reading),
        ("rss_after_mib", resident),
        ("rss_most_mib", most),
    ])
}

/// Reads to the last reply, and sends what was not taken before; returns replies and how many were errors. Closed early: what came.
fn read_all(stream: &mut TcpStream, requests: &[u8], mut sent: usize) -> Result<(usize, usize)> {
    let (mut answered, mut errors) = (0, 0);
    let (mut input, mut scan) = (Vec::new(), ReplyScan::default());
    let mut buffer = vec![0; 1 << 20];
    let mut last = Instant::now();
    while answered < BACKLOG_REQUESTS {
        if let Ok(more) = write_some(stream, &requests[sent..]) {
            sent += more;
        }
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                last = Instant::now();
                input.extend_from_slice(&buffer[..read]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if last.elapsed() > ANSWER_MAX {
                    bail!("only {answered} answers in {ANSWER_MAX:?}");
                }
                sleep(Duration::from_micros(200));
            }
            Err(_) => break,
        }
        let mut at = 0;
        while let Some(len) = scan.scan(&input[at..])? {
            answered += 1;
            errors += usize::from(input[at] == b'-');
            at += len;
        }
        input.drain(..at);
    }
    Ok((answered, errors))
}

fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(written) => sent += written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sent)
}
