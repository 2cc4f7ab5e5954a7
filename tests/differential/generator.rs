//! A round: what two connections send, in order. Everything follows from the seed.

use super::argument;
use super::grammar::{Argument, Grammar};
use super::wire::{quoted, words};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::fmt;
use std::time::Duration;

/// The time to live of a key that is to expire, and how long nobody looks at it.
const SHORT_TTL_MS: u64 = 15;
const EXPIRED_AFTER: Duration = Duration::from_millis(45);

/// A round begins with so many of these, or most keys would be missing most of the time.
const FILL: usize = 120;
const FILL_WITH: [&str; 8] =
    ["SET", "HSET", "RPUSH", "SADD", "ZADD", "PFADD", "SETRANGE", "EXPIRE"];

/// One thing that happens in a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Send {
        /// 0 or 1.
        connection: usize,
        request: Vec<Vec<u8>>,
        /// Whether the batch ends here: its replies are read before anything else is sent.
        ends_batch: bool,
    },
    Wait(Duration),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send { connection, request, .. } => write!(f, "{connection}> {}", shown(request)),
            Self::Wait(time) => write!(f, "   wait {} ms", time.as_millis()),
        }
    }
}

/// A request as one would type it in redis-cli; long arguments are cut.
pub(crate) fn shown(request: &[Vec<u8>]) -> String {
    let word = |arg: &Vec<u8>| {
        let plain = !arg.is_empty()
            && arg.iter().all(|b| b.is_ascii_graphic() && *b != b'"' && *b != b'\\');
        let text = if plain { String::from_utf8_lossy(arg).into_owned() } else { quoted(arg) };
        if text.len() > 200 { format!("{}…({} bytes)", &text[..40], arg.len()) } else { text }
    };
    request.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// How the requests of a round travel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// The longest batch.
    pub(crate) batch: usize,
    pub(crate) requests: usize,
}

/// Makes the steps of one round.
pub(crate) struct Generator<'a> {
    grammar: &'a Grammar,
    rng: StdRng,
    serial: u64,
    /// What is believed of the two connections.
    in_transaction: [bool; 2],
    elsewhere: [bool; 2],
    connection: usize,
    steps: Vec<Step>,
}

impl<'a> Generator<'a> {
    pub(crate) fn new(grammar: &'a Grammar, seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self {
            grammar,
            rng,
            serial: 0,
            in_transaction: [false; 2],
            elsewhere: [false; 2],
            connection: 0,
            steps: Vec::new(),
        }
    }

    pub(crate) fn round(mut self, shape: Shape) -> Vec<Step> {
        for _ in 0..FILL {
            self.serial += 1;
            let request =
                self.grammar.request(&mut self.rng, self.serial, |name| FILL_WITH.contains(&name));
            self.send(request.into_iter().map(|argument| argument.bytes).collect());
        }
        while self.steps.len() < shape.requests {
            if self.rng.random_ratio(1, 40) {
                self.end_batch();
                self.connection = 1 - self.connection;
            }
            self.next();
            if self.rng.random_ratio(1, shape.batch.max(1) as u32) {
                self.end_batch();
            }
        }
        for connection in [0, 1] {
            if self.in_transaction[connection] {
                self.connection = connection;
                self.end_batch();
                self.send(words("EXEC"));
            }
        }
        self.steps
    }

    fn end_batch(&mut self) {
        if let Some(Step::Send { ends_batch, .. }) = self.steps.last_mut() {
            *ends_batch = true;
        }
    }

    fn send(&mut self, request: Vec<Vec<u8>>) {
        let name = request.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        let connection = self.connection;
        match (name.as_slice(), request.len()) {
            (b"MULTI", 1) => self.in_transaction[connection] = true,
            (b"EXEC" | b"DISCARD" | b"RESET", 1) => self.in_transaction[connection] = false,
            (b"SELECT", 2) => self.elsewhere[connection] = request[1] != b"0",
            _ => {}
        }
        // Redis keeps a string that is set with a time in the past until somebody looks at it, and DBSIZE counts it.
        let past =
            |arg: &Vec<u8>| matches!(arg.as_slice(), b"1" | b"1000000000" | b"1000000000000");
        let looks = (name == b"SET" && request.iter().skip(3).any(past))
            .then(|| vec![b"EXISTS".to_vec(), request[1].clone()]);
        self.steps.push(Step::Send { connection, request, ends_batch: false });
        if let Some(request) = looks {
            self.steps.push(Step::Send { connection, request, ends_batch: false });
        }
    }

    fn next(&mut self) {
        self.serial += 1;
        let in_transaction = self.in_transaction[self.connection];
        match self.rng.random_range(0..1000) {
            0..2 if !in_transaction => return self.let_expire(),
            2 if self.rng.random() => return self.send(words("FLUSHDB")),
            3 if self.rng.random() => return self.send(words("FLUSHALL")),
            4..160 if in_transaction => return self.send(words("EXEC")),
            160..300 if self.elsewhere[self.connection] => return self.send(words("SELECT 0")),
            _ => {}
        }
        let mut request = self.grammar.request(&mut self.rng, self.serial, |name| {
            // What they return may differ between two right servers, and later commands of the transaction would build on it.
            !(in_transaction && (name.ends_with("SCAN") || name == "SPOP"))
        });
        // One bad request spoils a whole transaction.
        if self.rng.random_ratio(1, if in_transaction { 40 } else { 9 }) {
            self.spoil(&mut request);
        }
        self.send(request.into_iter().map(|argument| argument.bytes).collect());
    }

    /// A key gets a short time to live, and nobody looks at it until it must be gone everywhere.
    fn let_expire(&mut self) {
        let family = ["string", "hash", "list", "set", "zset"].choose(&mut self.rng).unwrap();
        let context =
            argument::Context { family, tag: argument::tag(&mut self.rng), serial: self.serial };
        let key = argument::key(&mut self.rng, context);
        let ttl = SHORT_TTL_MS.to_string().into_bytes();
        let mut request = match self.rng.random_range(0..6) {
            0 => words("SET K v PX T"),
            1 => words("PSETEX K T v"),
            2 => words("GETEX K PX T"),
            _ => words("PEXPIRE K T"),
        };
        for arg in &mut request {
            if arg == b"K" {
                arg.clone_from(&key);
            } else if arg == b"T" {
                arg.clone_from(&ttl);
            }
        }
        self.send(request);
        self.end_batch();
        self.steps.push(Step::Wait(EXPIRED_AFTER));
        // DBSIZE counts an expired key until somebody has looked at it.
        self.send(vec![b"EXISTS".to_vec(), key]);
    }

    /// Makes it a request that nobody meant.
    fn spoil(&mut self, request: &mut Vec<Argument>) {
        let has = |wanted: fn(&str) -> bool| request.iter().any(|argument| wanted(argument.kind));
        // Swapped or doubled, a time might become a short one, and a member of a set without scores might become a score.
        let timed = has(argument::is_time);
        let fragile = timed || has(|kind| kind == "lexkey");
        let at = self.rng.random_range(0..request.len());
        match self.rng.random_range(0..20) {
            0 => request[0].bytes.push(b'X'),
            1..5 if at > 0 => drop(request.remove(at)),
            5..7 => {
                let more = if timed { "0.001" } else { "1" };
                request.push(Argument { kind: "", bytes: more.as_bytes().to_vec() });
            }
            7 => {
                let word = ["NX", "GET", "WITHSCORES", "LIMIT", "COUNT", "EX", "REV", "ANY"]
                    .choose(&mut self.rng)
                    .unwrap();
                request.push(Argument { kind: "", bytes: word.as_bytes().to_vec() });
            }
            8..10 if at > 0 && !fragile => request.insert(at, request[at].clone()),
            10..12 if at > 1 && !fragile => request.swap(at, at - 1),
            _ if at > 0 && !(fragile && request[at].kind.is_empty()) => {
                let kind = request[at].kind;
                request[at].bytes = argument::junk(&mut self.rng, kind);
            }
            _ => {}
        }
    }
}

impl Step {
    /// The command, in upper case.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Send { request, .. } => String::from_utf8_lossy(&request[0]).to_uppercase(),
            Self::Wait(_) => String::new(),
        }
    }

    /// How many words it sends.
    pub(crate) fn request_len(&self) -> usize {
        if let Self::Send { request, .. } = self { request.len() } else { 0 }
    }
}
