//! A node that keeps the rules of `docs/WIRE.md` §1–3 over a small key-value store in memory, and fails in whatever way a test asks for.

use cluster::{SlotCount, Token};
use protocol::frame::{Value, decode};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

pub(crate) const SLOTS: SlotCount = SlotCount::DEFAULT;

/// What the node is for a slot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Slot {
    Owned,
    /// Reads are served, writes bounce.
    Sealed,
    /// Everything bounces with XHOLD: in doubt, importing.
    Doubt,
    /// XMOVED epoch addr token.
    Granted {
        epoch: u64,
        addr: String,
        token: Option<Token>,
    },
    /// XASK.
    Absent,
    /// Becomes `Owned` when the token is presented; XHOLD before.
    Ready {
        token: Token,
    },
}

/// How the node mistreats connections.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Manner {
    #[default]
    Good,
    /// Reads nothing.
    Deaf,
    /// Executes and keeps the replies to itself until the manner changes.
    Mute,
    /// Closes the connection instead of executing the next client's request.
    DropBefore,
    /// Executes the next client's request and closes the connection instead of answering.
    DropAfter,
}

#[derive(Default)]
struct State {
    slots: HashMap<u16, Slot>,
    data: HashMap<Vec<u8>, Vec<u8>>,
    /// Every request that was executed, in order: its words.
    executed: Vec<Vec<String>>,
    /// Every word of ours that was said to the node.
    words: Vec<Vec<String>>,
    manner: Manner,
    silent_pushes: bool,
    /// Knows no word of ours, as Redis.
    plain: bool,
    /// Its `INFO replication`.
    vitals: String,
    /// The error that answers every command of a client's.
    refusal: Option<String>,
    /// Connections that came, in all.
    accepted: usize,
    /// How often each key was written.
    versions: HashMap<Vec<u8>, u64>,
    links: HashMap<u64, Link>,
    last_link: u64,
    /// Requests that were answered with a bounce.
    bounced: usize,
    in_flight_max: usize,
}

struct Link {
    sticky: HashSet<u16>,
    pushes: mpsc::UnboundedSender<Vec<u8>>,
}

/// A node that can be told to misbehave.
#[derive(Clone)]
pub(crate) struct FakeNode {
    pub(crate) addr: String,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    accepting: Arc<Mutex<Option<JoinHandle<()>>>>,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl FakeNode {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let node = Self {
            addr: listener.local_addr().unwrap().to_string(),
            state: Arc::default(),
            changed: Arc::new(Notify::new()),
            accepting: Arc::default(),
            connections: Arc::default(),
        };
        node.accept(listener);
        node
    }

    /// A node that knows none of our words, as Redis.
    pub(crate) async fn start_plain() -> Self {
        let node = Self::start().await;
        node.state.lock().unwrap().plain = true;
        node
    }

    /// A plain node that says that it is a replica, linked to its primary; it copies nothing.
    pub(crate) async fn start_replica() -> Self {
        let node = Self::start_plain().await;
        node.say_of_itself("role:slave\r\nmaster_link_status:up\r\n");
        node
    }

    /// What it tells of its replication from now on.
    pub(crate) fn say_of_itself(&self, info: &str) {
        self.state.lock().unwrap().vitals = info.to_owned();
    }

    /// Answers every request of a client with this error; nothing ends that.
    pub(crate) fn refuse(&self, line: Option<&str>) {
        self.state.lock().unwrap().refusal = line.map(str::to_owned);
    }

    /// Has the value without having been sent it, as by replication.
    pub(crate) fn put(&self, key: &str, value: &str) {
        self.state.lock().unwrap().data.insert(key.into(), value.into());
    }

    /// How many requests of this name were executed.
    pub(crate) fn count(&self, name: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.executed.iter().filter(|words| words[0].eq_ignore_ascii_case(name)).count()
    }

    /// Connections that came, in all.
    pub(crate) fn accepted(&self) -> usize {
        self.state.lock().unwrap().accepted
    }

    fn accept(&self, listener: TcpListener) {
        let node = self.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = tokio::spawn(node.clone().serve(stream));
                node.connections.lock().unwrap().push(serving);
            }
        });
        *self.accepting.lock().unwrap() = Some(task);
    }

    /// Closes the listener and every connection.
    pub(crate) async fn stop(&self) {
        let task = self.accepting.lock().unwrap().take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
        self.cut();
    }

    /// Listens again at the same address.
    pub(crate) async fn start_again(&self) {
        let listener = loop {
            match TcpListener::bind(&self.addr).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        self.accept(listener);
    }

    /// Closes every connection.
    pub(crate) fn cut(&self) {
        for task in self.connections.lock().unwrap().drain(..) {
            task.abort();
        }
        self.state.lock().unwrap().links.clear();
    }

    pub(crate) fn behave(&self, manner: Manner) {
        self.state.lock().unwrap().manner = manner;
        self.changed.notify_waiters();
    }

    /// From now on nobody is told when a slot opens or moves.
    pub(crate) fn push_nothing(&self) {
        self.state.lock().unwrap().silent_pushes = true;
    }

    /// Changes a slot; whoever waits for it is told.
    pub(crate) fn set(&self, slot: u16, to: Slot) {
        let mut state = self.state.lock().unwrap();
        let push = match &to {
            Slot::Owned => Some(format!(">3\r\n+slipway\r\n+open\r\n:{slot}\r\n")),
            Slot::Granted { epoch, addr, token } => {
                let token = token.map_or("-".to_owned(), |t| t.to_string());
                Some(format!(
                    ">6\r\n+slipway\r\n+moved\r\n:{slot}\r\n:{epoch}\r\n+{addr}\r\n+{token}\r\n"
                ))
            }
            _ => None,
        };
        state.slots.insert(slot, to);
        self.changed.notify_waiters();
        if let Some(push) = push.filter(|_| !state.silent_pushes) {
            for link in state.links.values().filter(|l| l.sticky.contains(&slot)) {
                let _ = link.pushes.send(push.clone().into_bytes());
            }
        }
    }

    /// Gives the keys of a slot to another node.
    pub(crate) fn hand_over(&self, to: &Self, slot: u16) {
        let mut state = self.state.lock().unwrap();
        let keys: Vec<Vec<u8>> =
            state.data.keys().filter(|k| SLOTS.of(k).0 == slot).cloned().collect();
        let moved: Vec<_> = keys.into_iter().filter_map(|k| state.data.remove_entry(&k)).collect();
        drop(state);
        to.state.lock().unwrap().data.extend(moved);
    }

    pub(crate) fn get(&self, key: &str) -> Option<String> {
        self.state
            .lock()
            .unwrap()
            .data
            .get(key.as_bytes())
            .map(|v| String::from_utf8(v.clone()).unwrap())
    }

    /// Requests that were executed, each as one line.
    pub(crate) fn executed(&self) -> Vec<String> {
        self.state.lock().unwrap().executed.iter().map(|words| words.join(" ")).collect()
    }

    /// Our own words that were said to the node, each as one line without `SLIPWAY`.
    pub(crate) fn words(&self) -> Vec<String> {
        self.state.lock().unwrap().words.iter().map(|words| words[1..].join(" ")).collect()
    }

    pub(crate) fn said(&self, word: &str) -> usize {
        self.words().iter().filter(|line| line.split(' ').next() == Some(word)).count()
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.state.lock().unwrap().links.len()
    }

    pub(crate) fn bounced(&self) -> usize {
        self.state.lock().unwrap().bounced
    }

    /// The most requests that were in one read of one connection, behind a RESUME.
    pub(crate) fn batch_max(&self) -> usize {
        self.state.lock().unwrap().in_flight_max
    }

    pub(crate) fn slot(&self, slot: u16) -> Slot {
        self.state.lock().unwrap().slots.get(&slot).cloned().unwrap_or(Slot::Owned)
    }

    async fn serve(self, mut stream: TcpStream) {
        let (sender, mut pushes) = mpsc::unbounded_channel();
        let link = {
            let mut state = self.state.lock().unwrap();
            state.accepted += 1;
            state.last_link += 1;
            let link = state.last_link;
            state.links.insert(link, Link { sticky: HashSet::new(), pushes: sender });
            link
        };
        let mut input = Vec::new();
        let mut kept: Vec<u8> = Vec::new();
        let mut parked: Option<Parked> = None;
        loop {
            let changed = self.changed.notified();
            if let Some(waiting) = &parked
                && let Some(reply) = self.state.lock().unwrap().blocked(link, waiting)
            {
                kept.extend(reply);
                parked = None;
            }
            let wakes = parked
                .as_ref()
                .and_then(|p| p.end)
                .unwrap_or_else(|| Instant::now() + Duration::from_mins(1));
            let manner = self.state.lock().unwrap().manner;
            if manner != Manner::Mute && stream.write_all(&std::mem::take(&mut kept)).await.is_err()
            {
                break;
            }
            tokio::select! {
                read = stream.read_buf(&mut input), if manner != Manner::Deaf => {
                    if read.unwrap_or(0) == 0 {
                        break;
                    }
                    let Some((out, waiting)) = self.answer_all(link, &mut input) else { break };
                    parked = waiting.or(parked);
                    if self.state.lock().unwrap().manner == Manner::Mute {
                        kept.extend(out);
                    } else if stream.write_all(&out).await.is_err() {
                        break;
                    }
                }
                Some(push) = pushes.recv() => {
                    if stream.write_all(&push).await.is_err() {
                        break;
                    }
                }
                () = changed => {}
                () = sleep_until(wakes) => {}
            }
        }
        self.state.lock().unwrap().links.remove(&link);
    }

    /// Nothing: the connection is to be closed.
    fn answer_all(&self, link: u64, input: &mut Vec<u8>) -> Option<(Vec<u8>, Option<Parked>)> {
        let mut parked = None;
        let mut out = Vec::new();
        let mut batch = 0;
        while let Some((value, len)) = decode(input).unwrap() {
            input.drain(..len);
            let Value::Array(items) = value else { panic!("a request is an array") };
            let words: Vec<Vec<u8>> =
                items.iter().map(|i| i.as_bytes().unwrap().to_vec()).collect();
            let mut state = self.state.lock().unwrap();
            let ours = words[0].eq_ignore_ascii_case(b"slipway")
                || words[0].eq_ignore_ascii_case(b"hello");
            batch += usize::from(!ours);
            state.in_flight_max = state.in_flight_max.max(batch);
            if !ours && state.manner == Manner::DropBefore {
                state.manner = Manner::Good;
                return None;
            }
            if words[0].eq_ignore_ascii_case(b"blpop") {
                let seconds: f64 = String::from_utf8_lossy(&words[2]).parse().unwrap();
                let end =
                    (seconds > 0.0).then(|| Instant::now() + Duration::from_secs_f64(seconds));
                parked = Some(Parked { key: words[1].clone(), end });
                state
                    .executed
                    .push(words.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect());
                continue;
            }
            let reply = state.answer(link, &words);
            if ours {
                self.changed.notify_waiters();
            }
            if !ours && state.manner == Manner::DropAfter {
                state.manner = Manner::Good;
                return None;
            }
            out.extend_from_slice(&reply);
        }
        self.changed.notify_waiters();
        Some((out, parked))
    }
}

/// A BLPOP that waits.
struct Parked {
    key: Vec<u8>,
    end: Option<Instant>,
}

fn keys_of(words: &[Vec<u8>]) -> Vec<&[u8]> {
    match words[0].to_ascii_lowercase().as_slice() {
        b"mget" | b"del" | b"exists" => words[1..].iter().map(Vec::as_slice).collect(),
        b"mset" => words[1..].iter().step_by(2).map(Vec::as_slice).collect(),
        b"ping" | b"select" => Vec::new(),
        _ => words.get(1).map(Vec::as_slice).into_iter().collect(),
    }
}

fn bulk(bytes: Option<&Vec<u8>>) -> Vec<u8> {
    match bytes {
        Some(bytes) => [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat(),
        None => b"$-1\r\n".to_vec(),
    }
}

impl State {
    /// The reply to a BLPOP that waits, if it is time for one.
    fn blocked(&mut self, link: u64, parked: &Parked) -> Option<Vec<u8>> {
        if let Some(bounce) = self.refuses(link, SLOTS.of(&parked.key).0, true) {
            self.bounced += 1;
            return Some(bounce.into_bytes());
        }
        if let Some(value) = self.data.remove(&parked.key) {
            let mut out = b"*2\r\n".to_vec();
            out.extend(bulk(Some(&parked.key)));
            out.extend(bulk(Some(&value)));
            return Some(out);
        }
        parked.end.filter(|end| Instant::now() >= *end).map(|_| b"*-1\r\n".to_vec())
    }

    /// Enters slots, all or none; the bounce if it may not.
    fn enter(&mut self, link: u64, slots: &[u16], write: bool) -> Option<String> {
        let bounce = slots.iter().find_map(|&slot| self.refuses(link, slot, write))?;
        self.bounced += 1;
        if let Some(link) = self.links.get_mut(&link) {
            link.sticky.extend(slots.iter().copied());
        }
        Some(bounce)
    }

    fn version(&self, key: &[u8]) -> String {
        format!("boot:{}", self.versions.get(key).copied().unwrap_or(0))
    }

    /// `EXEC n watch-count {key version}… {argc arg…}…`
    fn exec(&mut self, link: u64, words: &[String]) -> String {
        let mut rest = words[2..].iter().cloned();
        let mut number = || rest.next().unwrap().parse::<usize>().unwrap();
        let (commands, watches) = (number(), number());
        let watched: Vec<(String, String)> =
            (0..watches).map(|_| (rest.next().unwrap(), rest.next().unwrap())).collect();
        let commands: Vec<Vec<Vec<u8>>> = (0..commands)
            .map(|_| {
                let argc = rest.next().unwrap().parse::<usize>().unwrap();
                (0..argc).map(|_| rest.next().unwrap().into_bytes()).collect()
            })
            .collect();
        let keys = commands.iter().flat_map(|c| keys_of(c)).map(<[u8]>::to_vec);
        let slots: Vec<u16> = keys
            .chain(watched.iter().map(|w| w.0.clone().into_bytes()))
            .map(|k| SLOTS.of(&k).0)
            .collect();
        if let Some(bounce) = self.enter(link, &slots, true) {
            return bounce;
        }
        if watched.iter().any(|(key, version)| self.version(key.as_bytes()) != *version) {
            return "*-1\r\n".to_owned();
        }
        let mut out = format!("*{}\r\n", commands.len()).into_bytes();
        for command in commands {
            self.executed
                .push(command.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect());
            out.extend(self.execute(&command));
        }
        String::from_utf8(out).unwrap()
    }

    /// A word over ranges of slots.
    fn over_slots(&mut self, link: u64, words: &[String]) -> String {
        let ranges: cluster::SlotRanges = words[2].parse().unwrap();
        let slots: Vec<u16> = ranges.iter().map(|s| s.0).collect();
        if let Some(bounce) = self.enter(link, &slots, words[1] == "FLUSHDB") {
            return bounce;
        }
        let mut keys: Vec<Vec<u8>> =
            self.data.keys().filter(|k| slots.contains(&SLOTS.of(k).0)).cloned().collect();
        keys.sort();
        let out = match words[1].as_str() {
            "DBSIZE" => format!(":{}\r\n", keys.len()).into_bytes(),
            "RANDOMKEY" => bulk(keys.first()),
            "KEYS" => {
                let list: Vec<u8> = keys.iter().flat_map(|k| bulk(Some(k))).collect();
                [format!("*{}\r\n", keys.len()).as_bytes(), &list].concat()
            }
            _ => {
                self.data.retain(|key, _| !keys.contains(key));
                b"+OK\r\n".to_vec()
            }
        };
        String::from_utf8(out).unwrap()
    }

    /// `SCAN first last position count`: stops before a slot that is not served here.
    fn scan(&mut self, link: u64, words: &[String]) -> String {
        let number = |index: usize| words[index].parse::<u16>().unwrap();
        let (first, last, count) = (number(2), number(3), usize::from(number(5)));
        let mut after = words[4].strip_prefix('x').map(|key| key.as_bytes().to_vec());
        let (mut found, mut next) = (Vec::new(), "-1".to_owned());
        for slot in first..=last {
            if let Some(bounce) = self.refuses(link, slot, false) {
                if slot == first {
                    self.bounced += 1;
                    return bounce;
                }
                next = slot.to_string();
                break;
            }
            let mut keys: Vec<&Vec<u8>> =
                self.data.keys().filter(|k| SLOTS.of(k).0 == slot).collect();
            keys.sort();
            let start = after.take();
            keys.retain(|key| start.as_ref().is_none_or(|after| *key > after));
            for key in keys {
                found.push(key.clone());
                if found.len() == count {
                    after = Some(key.clone());
                    break;
                }
            }
            if after.is_some() {
                next = slot.to_string();
                break;
            }
        }
        let position =
            after.map_or("0".to_owned(), |key| format!("x{}", String::from_utf8(key).unwrap()));
        let list: Vec<u8> = found.iter().flat_map(|k| bulk(Some(k))).collect();
        let list = String::from_utf8(list).unwrap();
        format!("*3\r\n+{next}\r\n+{position}\r\n*{}\r\n{list}", found.len())
    }

    fn answer(&mut self, link: u64, words: &[Vec<u8>]) -> Vec<u8> {
        let text: Vec<String> =
            words.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect();
        if text[0].eq_ignore_ascii_case("slipway") {
            self.words.push(text.clone());
            if self.plain {
                return b"-ERR unknown command 'SLIPWAY'\r\n".to_vec();
            }
            return self.word(link, &text).into_bytes();
        }
        if text[0].eq_ignore_ascii_case("hello") {
            return b"%1\r\n+server\r\n+fake\r\n".to_vec();
        }
        if self.plain && text[0] == "SLOTSHASHKEY" {
            return b"-ERR unknown command 'SLOTSHASHKEY'\r\n".to_vec();
        }
        if self.plain && text == ["INFO", "server"] {
            return bulk(Some(&b"# Server\r\nredis_version:7.0.15\r\n".to_vec()));
        }
        if text == ["INFO", "replication"] {
            return bulk(Some(&self.vitals.clone().into_bytes()));
        }
        if let Some(line) = &self.refusal {
            return format!("-{line}\r\n").into_bytes();
        }
        let mut slots: Vec<u16> = keys_of(words).iter().map(|k| SLOTS.of(k).0).collect();
        slots.sort_unstable();
        slots.dedup();
        let write = !matches!(text[0].to_ascii_lowercase().as_str(), "get" | "mget" | "exists");
        if let Some(bounce) = self.enter(link, &slots, write) {
            return bounce.into_bytes();
        }
        self.executed.push(text);
        self.execute(words)
    }

    fn refuses(&self, link: u64, slot: u16, write: bool) -> Option<String> {
        let sticky = self.links.get(&link).is_some_and(|l| l.sticky.contains(&slot));
        match self.slots.get(&slot).unwrap_or(&Slot::Owned) {
            Slot::Owned if !sticky => None,
            Slot::Sealed if !sticky && !write => None,
            Slot::Owned | Slot::Sealed | Slot::Doubt | Slot::Ready { .. } => {
                Some(format!("-XHOLD {slot}\r\n"))
            }
            Slot::Granted { epoch, addr, token } => {
                let token = token.map_or("-".to_owned(), |t| t.to_string());
                Some(format!("-XMOVED {slot} {epoch} {addr} {token}\r\n"))
            }
            Slot::Absent => Some(format!("-XASK {slot}\r\n")),
        }
    }

    fn word(&mut self, link: u64, words: &[String]) -> String {
        let slot = words.get(2).and_then(|w| w.parse::<u16>().ok()).unwrap_or(0);
        let known = self.slots.get(&slot).cloned().unwrap_or(Slot::Owned);
        match words[1].as_str() {
            "LINK" => format!("*4\r\n+fake\r\n+boot\r\n+-\r\n:{}\r\n", SLOTS.get()),
            "RESUME" => {
                if let Some(link) = self.links.get_mut(&link) {
                    link.sticky.remove(&slot);
                }
                if let (Slot::Ready { token }, Some(shown)) = (known, words.get(3))
                    && token.to_string() == *shown
                {
                    self.slots.insert(slot, Slot::Owned);
                }
                "+OK\r\n".to_owned()
            }
            "WHERE" => {
                let (state, epoch, addr, token) = match known {
                    Slot::Owned => ("owned", 1, "-".to_owned(), None),
                    Slot::Sealed => ("sealed", 1, "-".to_owned(), None),
                    Slot::Doubt => ("doubt", 1, "-".to_owned(), None),
                    Slot::Granted { epoch, addr, token } => ("granted", epoch, addr, token),
                    Slot::Absent => ("absent", 1, "-".to_owned(), None),
                    Slot::Ready { .. } => ("ready", 1, "-".to_owned(), None),
                };
                let token = token.map_or("-".to_owned(), |t| t.to_string());
                format!("*4\r\n+{state}\r\n:{epoch}\r\n+{addr}\r\n+{token}\r\n")
            }
            "UNSEAL" if known == Slot::Sealed => {
                self.slots.insert(slot, Slot::Owned);
                ":1\r\n".to_owned()
            }
            "UNSEAL" => ":0\r\n".to_owned(),
            "WATCH" => {
                let slots: Vec<u16> = words[2..].iter().map(|k| SLOTS.of(k.as_bytes()).0).collect();
                if let Some(bounce) = self.enter(link, &slots, false) {
                    return bounce;
                }
                let versions: Vec<String> =
                    words[2..].iter().map(|k| self.version(k.as_bytes())).collect();
                format!("*{}\r\n+{}\r\n", versions.len(), versions.join("\r\n+"))
            }
            "EXEC" => self.exec(link, words),
            "DBSIZE" | "KEYS" | "RANDOMKEY" | "FLUSHDB" => self.over_slots(link, words),
            "SCAN" => self.scan(link, words),
            other => format!("-ERR unknown word {other}\r\n"),
        }
    }

    fn execute(&mut self, words: &[Vec<u8>]) -> Vec<u8> {
        if !matches!(words[0].to_ascii_lowercase().as_slice(), b"get" | b"mget" | b"exists") {
            for key in keys_of(words) {
                *self.versions.entry(key.to_vec()).or_default() += 1;
            }
        }
        match words[0].to_ascii_lowercase().as_slice() {
            b"select" => b"+OK\r\n".to_vec(),
            b"ping" if !self.vitals.is_empty() => b"+PONG\r\n".to_vec(),
            b"get" => bulk(self.data.get(&words[1])),
            b"set" => {
                self.data.insert(words[1].clone(), words[2].clone());
                b"+OK\r\n".to_vec()
            }
            b"append" => {
                let value = self.data.entry(words[1].clone()).or_default();
                value.extend_from_slice(&words[2]);
                format!(":{}\r\n", value.len()).into_bytes()
            }
            b"mget" => {
                let mut out = format!("*{}\r\n", words.len() - 1).into_bytes();
                for key in &words[1..] {
                    out.extend(bulk(self.data.get(key)));
                }
                out
            }
            b"mset" => {
                for pair in words[1..].chunks(2) {
                    self.data.insert(pair[0].clone(), pair[1].clone());
                }
                b"+OK\r\n".to_vec()
            }
            b"del" => {
                let gone = words[1..].iter().filter(|key| self.data.remove(*key).is_some()).count();
                format!(":{gone}\r\n").into_bytes()
            }
            _ => b"-ERR the fake node does not know this command\r\n".to_vec(),
        }
    }
}
