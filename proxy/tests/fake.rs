//! A node that keeps the rules of `docs/WIRE.md` §1–3 over a small key-value store in memory, and fails in whatever way a test asks for.

mod state;

use cluster::{SlotCount, Token};
use protocol::frame::{Value, decode};
use state::{Link, Parked, State};
use std::collections::HashSet;
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
