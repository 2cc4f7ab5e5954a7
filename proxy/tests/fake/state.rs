//! What the node knows and does: its slots, its keys, the words of ours.

use super::{Manner, SLOTS, Slot};
use std::collections::{HashMap, HashSet};
use tokio::sync::mpsc;
use tokio::time::Instant;

#[derive(Default)]
pub(super) struct State {
    pub(super) slots: HashMap<u16, Slot>,
    pub(super) data: HashMap<Vec<u8>, Vec<u8>>,
    /// Every request that was executed, in order: its words.
    pub(super) executed: Vec<Vec<String>>,
    /// Every word of ours that was said to the node.
    pub(super) words: Vec<Vec<String>>,
    pub(super) manner: Manner,
    pub(super) silent_pushes: bool,
    /// Knows no word of ours, as Redis.
    pub(super) plain: bool,
    /// Its `INFO replication`.
    pub(super) vitals: String,
    /// The error that answers every command of a client's.
    pub(super) refusal: Option<String>,
    /// Connections that came, in all.
    pub(super) accepted: usize,
    /// How often each key was written.
    pub(super) versions: HashMap<Vec<u8>, u64>,
    pub(super) links: HashMap<u64, Link>,
    pub(super) last_link: u64,
    /// Requests that were answered with a bounce.
    pub(super) bounced: usize,
    pub(super) in_flight_max: usize,
}

pub(super) struct Link {
    pub(super) sticky: HashSet<u16>,
    pub(super) pushes: mpsc::UnboundedSender<Vec<u8>>,
}

/// A BLPOP that waits.
pub(super) struct Parked {
    pub(super) key: Vec<u8>,
    pub(super) end: Option<Instant>,
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
    pub(super) fn blocked(&mut self, link: u64, parked: &Parked) -> Option<Vec<u8>> {
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

    pub(super) fn answer(&mut self, link: u64, words: &[Vec<u8>]) -> Vec<u8> {
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
        if text == ["INFO", "replication"] && !self.vitals.is_empty() {
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
