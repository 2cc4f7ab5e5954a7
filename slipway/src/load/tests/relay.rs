//! A relay between the load and a server that tells one lie.
//!
//! Of each connection one thread reads the requests and decides what becomes of each; another one takes the replies in the same order.

use crate::load::reply::{Reply, decode};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Requests before the first lie: more than it takes to write the first values of the small load.
const TRUE_REQUESTS: u64 = 400;
/// Longer than the small load waits for a reply.
const DEAF: Duration = Duration::from_millis(2500);
const DOUBT: &[u8] =
    b"-ERR the connection to the node broke: the command may or may not have been executed\r\n";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// One byte of a GET's value.
    Corrupt,
    /// A number for a GET.
    OtherType,
    /// A GET's reply and the one behind it.
    Swap,
    /// An INCR is answered and not executed.
    SwallowIncr,
    /// An RPUSH is executed twice.
    RepeatRPush,
    DropReply,
    /// One connection gets no replies any more.
    Silence,
    /// Of one connection nothing is read any more.
    Deaf,
    RepeatReply,
    Garble,
    /// A SET is refused and not executed.
    Refuse(&'static str),
    /// An INCR gets an error that leaves its fate open.
    DoubtUnexecuted,
    DoubtExecuted,
    DoubtTwice,
    /// The connection breaks after a request was forwarded.
    Cut,
    /// Replies wait for 60 ms.
    Stall,
    /// Every PEXPIRE gives ten times the life.
    LongLife,
}

pub(super) struct Relay {
    addr: String,
    lies: Arc<AtomicU64>,
}

/// What becomes of a request's reply.
enum Fate {
    Pass,
    /// Read and not passed on.
    Drop,
    /// This one instead, without reading any.
    Fake(Vec<u8>),
    /// This one instead of the server's.
    Replace(Vec<u8>),
    /// The number in the reply and one more, as an INCR answers.
    Next,
    Corrupt,
    Twice,
    BehindNext,
    Silence,
    Wait,
    Cut,
}

impl Relay {
    pub(super) fn start(server: &str, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Self { addr: listener.local_addr().unwrap().to_string(), lies: Arc::default() };
        let (server, lies) = (server.to_owned(), Arc::clone(&relay.lies));
        let requests = Arc::new(AtomicU64::new(0));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(server) = TcpStream::connect(&server) else { continue };
                for stream in [&client, &server] {
                    stream.set_nodelay(true).unwrap();
                }
                let (fates, taken) = channel();
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let liar = Liar { fault, requests: Arc::clone(&requests), lies: Arc::clone(&lies) };
                std::thread::spawn(move || liar.requests(from, to, &fates));
                std::thread::spawn(move || replies(server, client, &taken));
            }
        });
        relay
    }

    pub(super) fn addr(&self) -> &str {
        &self.addr
    }

    pub(super) fn lies(&self) -> u64 {
        self.lies.load(Ordering::SeqCst)
    }
}

/// What is forwarded instead of a request, and what becomes of each reply.
type Lie = (Vec<Command>, Vec<Fate>);
type Command = Vec<Vec<u8>>;

struct Liar {
    fault: Fault,
    requests: Arc<AtomicU64>,
    lies: Arc<AtomicU64>,
}

impl Liar {
    fn requests(&self, mut client: TcpStream, mut server: TcpStream, fates: &Sender<Fate>) {
        let mut input = Frames::default();
        while let Some(request) = input.next(&mut client) {
            let number = self.requests.fetch_add(1, Ordering::SeqCst);
            let words = words(&request);
            let (forward, after) = match self.lie(number, &words) {
                Some(lie) => lie,
                None => (vec![words], vec![Fate::Pass]),
            };
            for words in forward {
                if server.write_all(&encode(&words)).is_err() {
                    return;
                }
            }
            if self.fault == Fault::Deaf && matches!(after[..], [Fate::Silence]) {
                std::thread::sleep(DEAF);
                break;
            }
            for fate in after {
                if fates.send(fate).is_err() {
                    return;
                }
            }
        }
        let _ = server.shutdown(Shutdown::Both);
    }

    /// What is forwarded instead of a request, and what becomes of each reply.
    fn lie(&self, number: u64, words: &[Vec<u8>]) -> Option<Lie> {
        let name = std::str::from_utf8(&words[0]).unwrap();
        let same = words.to_vec();
        let key = words.get(1).cloned().unwrap_or_default();
        let mut long = same.clone();
        let (command, forward, fates) = match self.fault {
            Fault::Corrupt => ("GET", vec![same], vec![Fate::Corrupt]),
            Fault::OtherType => ("GET", vec![same], vec![Fate::Replace(b":1\r\n".into())]),
            Fault::Swap => ("GET", vec![same], vec![Fate::BehindNext]),
            Fault::SwallowIncr => ("INCR", vec![vec![b"GET".into(), key]], vec![Fate::Next]),
            Fault::RepeatRPush => ("RPUSH", vec![same.clone(), same], vec![Fate::Pass, Fate::Drop]),
            Fault::DropReply => ("GET", vec![same], vec![Fate::Drop]),
            Fault::Silence | Fault::Deaf => (name, vec![same], vec![Fate::Silence]),
            Fault::RepeatReply => ("GET", vec![same], vec![Fate::Twice]),
            Fault::Garble => ("GET", vec![same], vec![Fate::Replace(b"hello\r\n".into())]),
            Fault::Refuse(line) => {
                ("SET", vec![], vec![Fate::Fake(format!("{line}\r\n").into_bytes())])
            }
            Fault::DoubtUnexecuted => ("INCR", vec![], vec![Fate::Fake(DOUBT.into())]),
            Fault::DoubtExecuted => ("INCR", vec![same], vec![Fate::Replace(DOUBT.into())]),
            Fault::DoubtTwice => {
                ("INCR", vec![same.clone(), same], vec![Fate::Replace(DOUBT.into()), Fate::Drop])
            }
            Fault::Cut => (name, vec![same], vec![Fate::Cut]),
            Fault::Stall => (name, vec![same], vec![Fate::Wait]),
            Fault::LongLife => {
                if name == "PEXPIRE" {
                    long[2].push(b'0');
                }
                ("PEXPIRE", vec![long], vec![Fate::Pass])
            }
        };
        if name != command || number < TRUE_REQUESTS {
            return None;
        }
        let first = self.lies.fetch_add(1, Ordering::SeqCst) == 0;
        (first || self.fault == Fault::LongLife).then_some((forward, fates))
    }
}

fn replies(mut server: TcpStream, mut client: TcpStream, fates: &Receiver<Fate>) {
    let mut input = Frames::default();
    let mut behind = None;
    for fate in fates {
        let got = if let Fate::Fake(reply) = &fate {
            reply.clone()
        } else {
            match input.next(&mut server) {
                Some(reply) => reply,
                None => break,
            }
        };
        let mut out = match fate {
            Fate::Pass | Fate::Fake(_) => got,
            Fate::Drop => Vec::new(),
            Fate::Replace(reply) => reply,
            Fate::Next => next(&got),
            Fate::Corrupt => corrupt(got),
            Fate::Twice => [&got[..], &got[..]].concat(),
            Fate::BehindNext => {
                behind = Some(got);
                continue;
            }
            Fate::Wait => {
                std::thread::sleep(Duration::from_millis(60));
                got
            }
            Fate::Silence => {
                // Until the client gives the connection up.
                for _ in fates {}
                break;
            }
            Fate::Cut => break,
        };
        out.extend(behind.take().unwrap_or_default());
        if client.write_all(&out).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

fn next(got: &[u8]) -> Vec<u8> {
    let number = match decode(got) {
        Ok(Some((Reply::Bulk(text), _))) => String::from_utf8(text).unwrap().parse().unwrap(),
        _ => 0_i64,
    };
    format!(":{}\r\n", number + 1).into_bytes()
}

fn corrupt(mut got: Vec<u8>) -> Vec<u8> {
    if got == b"$-1\r\n" {
        return b"$3\r\nxyz\r\n".into();
    }
    let last = got.len() - 3;
    got[last] ^= 1;
    got
}

fn words(request: &[u8]) -> Vec<Vec<u8>> {
    let Ok(Some((Reply::Array(words), _))) = decode(request) else { panic!("no request") };
    words
        .into_iter()
        .map(|word| if let Reply::Bulk(word) = word { word } else { panic!("no word") })
        .collect()
}

fn encode(words: &[Vec<u8>]) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    crate::load::op::encode(&words.iter().map(Into::into).collect(), &mut out);
    out.to_vec()
}

/// The frames of one direction of a connection.
#[derive(Default)]
struct Frames {
    input: Vec<u8>,
}

impl Frames {
    fn next(&mut self, from: &mut TcpStream) -> Option<Vec<u8>> {
        loop {
            if let Some((_, length)) = decode(&self.input).ok()? {
                return Some(self.input.drain(..length).collect());
            }
            let mut some = [0; 16 << 10];
            let count = from.read(&mut some).ok().filter(|&count| count > 0)?;
            self.input.extend_from_slice(&some[..count]);
        }
    }
}
