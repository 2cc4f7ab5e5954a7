//! Scripts of several connections, for what a single one cannot show: who waits is served, in which order; what fails a WATCH; how clients of
//! many libraries say hello. Both servers play each script, and their replies are compared like those of generated requests.
//!
//! ```text
//! == what it shows             a script begins; played in RESP2 and in RESP3, from empty databases
//! == (plain) what it shows     played once, on connections that have not said HELLO
//! == (node) what it shows      not played through a proxy
//! A: SET k "two words"         connection A sends a request, and its reply is compared
//! A:: PEXPIRETIME k            the same to the last digit, where a clock would be allowed some
//! A~ BLPOP k 0                 A sends and waits; goes on when both servers count one waiting client more
//! A! PING                      A sends; nothing is awaited
//! A raw "PING\r\n"             A sends bytes
//! A<                           the next reply of A
//! A< after 50                  and it came no sooner than 50 ms after the request was sent
//! A: CLIENT ID -> id           the reply is kept: $id stands for it in later requests, and it is not compared
//! A closes, wait 60, B: …      A hangs up; 60 ms pass
//! ```

mod quoting;

use super::allowed::{Allowed, Place};
use super::compare::{Mismatch, mismatches};
use super::duel::session::Session;
use super::server::Server;
use super::wire::{Connection, Reply, decode_requests, encode};
use quoting::unquoted;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::time::{Duration, Instant};

const SCRIPTS: [&str; 5] = [
    include_str!("scenarios/blocking.txt"),
    include_str!("scenarios/watch.txt"),
    include_str!("scenarios/expiry.txt"),
    include_str!("scenarios/connection.txt"),
    include_str!("scenarios/first_contact.txt"),
];

const REPLY_MAX: Duration = Duration::from_secs(5);
/// A script that has shown so many differences is not played on.
const DIFFERENCES_MAX: usize = 5;
/// What is due after a time may be so much later on a busy machine.
const LATE_MAX: Duration = Duration::from_secs(3);

/// Plays all scripts; returns what differed, in words.
pub(crate) fn play_all(
    redis: &Server,
    slipway: &Server,
    allowed: &Allowed,
    place: Place,
) -> Vec<String> {
    let mut faults = Vec::new();
    for script in SCRIPTS.iter().flat_map(|text| text.split("\n== ").skip(1)) {
        let (name, lines) = script.split_once('\n').unwrap();
        if place == Place::Proxy && name.starts_with("(node)") {
            continue;
        }
        let plain = name.starts_with("(plain)");
        let protocols: &[u8] = if plain { &[0] } else { &[2, 3] };
        for &protocol in protocols {
            let mut stage = Stage {
                servers: [redis, slipway],
                allowed,
                protocol,
                actors: BTreeMap::new(),
                kept: BTreeMap::new(),
            };
            let found = stage.play(lines);
            drop(stage);
            if !found.is_empty() {
                faults.push(format!("== {name} (RESP{protocol})\n{found}"));
                slipway.revive();
                // The other language would say the same once more.
                break;
            }
        }
    }
    faults
}

/// One script being played.
struct Stage<'a> {
    servers: [&'a Server; 2],
    allowed: &'a Allowed,
    /// RESP 2 or 3; 0: nobody has said.
    protocol: u8,
    actors: BTreeMap<String, Actor>,
    /// Kept replies, one for each server.
    kept: BTreeMap<String, [Vec<u8>; 2]>,
}

/// A connection to each server.
struct Actor {
    connections: [Connection; 2],
    session: Session,
    /// Requests without a reply, and when they were sent.
    outstanding: VecDeque<(Vec<Vec<u8>>, Instant)>,
    waits: bool,
}

impl Stage<'_> {
    /// Plays the lines; returns what differed, in words: empty if nothing did.
    fn play(&mut self, lines: &str) -> String {
        for server in self.servers {
            let flushed =
                Connection::open(&server.addr, REPLY_MAX).map(|mut c| c.words("FLUSHALL"));
            if flushed != Ok(Reply::line("+OK")) {
                return format!("   FLUSHALL: {flushed:?}\n");
            }
        }
        let lines =
            lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (mut told, mut found, mut count) = (String::new(), String::new(), 0);
        for line in lines {
            let _ = writeln!(told, "   {line}");
            let (why, goes_on) = match self.line(line) {
                Ok(()) => continue,
                Err(Trouble::Differs(why)) => (why, count < DIFFERENCES_MAX),
                Err(Trouble::Stuck(why)) => (format!("     {why}\n"), false),
            };
            count += 1;
            found += &std::mem::take(&mut told);
            found += &why;
            if !goes_on {
                break;
            }
        }
        found
    }

    fn line(&mut self, line: &str) -> Result<(), Trouble> {
        if let Some(ms) = line.strip_prefix("wait ") {
            std::thread::sleep(Duration::from_millis(ms.parse().unwrap()));
            return Ok(());
        }
        let (name, rest) = line.split_at(1);
        if !self.actors.contains_key(name) {
            let actor = self.actor().map_err(Trouble::Stuck)?;
            self.actors.insert(name.to_owned(), actor);
        }
        if let Some(request) = rest.strip_prefix(":: ") {
            self.send(name, request);
            self.reply(name, Duration::ZERO, Exactness::Exact)
        } else if let Some(request) = rest.strip_prefix(": ") {
            if let Some((request, kept)) = request.split_once(" -> ") {
                self.keep(name, request, kept);
                return Ok(());
            }
            self.send(name, request);
            self.reply(name, Duration::ZERO, Exactness::AsPromised)
        } else if let Some(request) = rest.strip_prefix("~ ") {
            self.wait_in(name, request).map_err(Trouble::Stuck)
        } else if let Some(request) = rest.strip_prefix("! ") {
            self.send(name, request);
            Ok(())
        } else if let Some(bytes) = rest.strip_prefix(" raw ") {
            self.send_bytes(name, &unquoted(bytes)[0]);
            Ok(())
        } else if let Some(after) = rest.strip_prefix("<") {
            let ms = after.trim().strip_prefix("after ").map_or(0, |ms| ms.parse().unwrap());
            self.reply(name, Duration::from_millis(ms), Exactness::AsPromised)
        } else if rest == " closes" {
            self.close(name).map_err(Trouble::Stuck)
        } else {
            panic!("no such line in a script: {line}")
        }
    }

    fn actor(&self) -> Result<Actor, String> {
        let open = |server: &Server| {
            let mut connection = Connection::open(&server.addr, REPLY_MAX)?;
            let hello =
                (self.protocol > 0).then(|| connection.words(&format!("HELLO {}", self.protocol)));
            if hello.as_ref().is_some_and(|reply| reply.items().is_none()) {
                Err(format!("HELLO: {hello:?}"))
            } else {
                Ok(connection)
            }
        };
        let connections = [open(self.servers[0])?, open(self.servers[1])?];
        Ok(Actor {
            connections,
            session: Session::default(),
            outstanding: VecDeque::new(),
            waits: false,
        })
    }

    fn send(&mut self, name: &str, request: &str) {
        let request = unquoted(request);
        let actor = self.actors.get_mut(name).unwrap();
        actor.outstanding.push_back((request.clone(), Instant::now()));
        for (server, connection) in actor.connections.iter_mut().enumerate() {
            let mut filled = request.clone();
            for word in &mut filled {
                let kept = word
                    .strip_prefix(b"$")
                    .and_then(|word| self.kept.get(std::str::from_utf8(word).ok()?));
                if let Some(kept) = kept {
                    *word = kept[server].clone();
                }
            }
            let mut bytes = Vec::new();
            encode(&mut bytes, &filled);
            connection.send(&bytes);
        }
    }

    fn send_bytes(&mut self, name: &str, bytes: &[u8]) {
        let actor = self.actors.get_mut(name).unwrap();
        for request in decode_requests(bytes) {
            actor.outstanding.push_back((request, Instant::now()));
        }
        for connection in &mut actor.connections {
            connection.send(bytes);
        }
    }

    fn reply(&mut self, name: &str, after: Duration, exactness: Exactness) -> Result<(), Trouble> {
        let actor = self.actors.get_mut(name).unwrap();
        let bytes = (vec![b"(bytes)".to_vec()], Instant::now());
        let (request, sent) = actor.outstanding.pop_front().unwrap_or(bytes);
        let mut replies = Vec::new();
        for connection in &mut actor.connections {
            replies.push(connection.reply());
            let took = sent.elapsed();
            if !after.is_zero() && (took < after || took > after + LATE_MAX) {
                let reply = replies.last().unwrap();
                return Err(Trouble::Stuck(format!("the reply came after {took:?}: {reply}")));
            }
        }
        actor.waits = false;
        let [redis, slipway] = [&replies[0], &replies[1]];
        let found = match exactness {
            Exactness::AsPromised => mismatches(&request, actor.session.queued(), redis, slipway),
            Exactness::Exact if redis == slipway => Vec::new(),
            Exactness::Exact => vec![Mismatch {
                request: request.clone(),
                redis: redis.clone(),
                slipway: slipway.clone(),
            }],
        };
        actor.session.answered(&request, redis);
        match found.iter().find(|mismatch| !self.allowed.has(mismatch)) {
            None => Ok(()),
            Some(mismatch) if slipway.is_lost() => Err(Trouble::Stuck(mismatch.to_string())),
            Some(mismatch) => Err(Trouble::Differs(mismatch.to_string())),
        }
    }

    fn keep(&mut self, name: &str, request: &str, kept: &str) {
        self.send(name, request);
        let actor = self.actors.get_mut(name).unwrap();
        actor.outstanding.pop_back();
        let mut text = |server: usize| match actor.connections[server].reply() {
            Reply::Line(line) => line[1..].to_vec(),
            Reply::Bulk(bytes) => bytes,
            other => other.to_string().into_bytes(),
        };
        let both = [text(0), text(1)];
        self.kept.insert(kept.to_owned(), both);
    }

    fn wait_in(&mut self, name: &str, request: &str) -> Result<(), String> {
        let before = [self.servers[0].waiting()?, self.servers[1].waiting()?];
        self.send(name, request);
        self.actors.get_mut(name).unwrap().waits = true;
        self.count(before.map(|count| count + 1), Some(name))
    }

    fn close(&mut self, name: &str) -> Result<(), String> {
        let before = [self.servers[0].waiting()?, self.servers[1].waiting()?];
        let waits = self.actors.remove(name).is_some_and(|actor| actor.waits);
        if waits { self.count(before.map(|count| count - 1), None) } else { Ok(()) }
    }

    /// Waits until so many clients wait; `waiter` is the one that should.
    fn count(&mut self, wanted: [i64; 2], waiter: Option<&str>) -> Result<(), String> {
        for (server, wanted) in self.servers.iter().zip(wanted) {
            let begin = Instant::now();
            while server.waiting()? != wanted {
                let waiter = waiter.and_then(|name| self.actors.get_mut(name));
                if let Some(actor) = waiter.filter(|actor| actor.connections[1].has_input()) {
                    return Err(format!("it does not wait: {}", actor.connections[1].reply()));
                }
                if begin.elapsed() > REPLY_MAX {
                    return Err(format!(
                        "blocked_clients does not become {wanted} at {}",
                        server.addr
                    ));
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(())
    }
}

/// Why a line is not as it should be.
enum Trouble {
    Differs(String),
    /// And there is no use in going on.
    Stuck(String),
}

#[derive(Clone, Copy)]
enum Exactness {
    AsPromised,
    Exact,
}
