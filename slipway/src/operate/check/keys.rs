//! What the keys of a Pika say against moving their slots: some cannot move, some would be damaged, some are seen by no move.
//!
//! The same looks as a proxy of ours takes before each move, over all slots, and a part of all keys compared with the lists by which they move.
//! Nothing is locked and nothing is changed: what clients do meanwhile may be missed, or seen half.

use super::judge::Finding;
use anyhow::Result;
use cluster::{Slot, SlotCount};
use codis::Flavour;
use protocol::frame::Value;
use proxy::config::FractionalScores;
use proxy::foreign::examine::{Depth, Refusal, WrongLetters, look_at_slot};
use proxy::foreign::link::{Link, LinkError};
use proxy::{Config, Dialect};
use std::sync::Arc;
use std::time::Duration;

/// For each answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// Of one type in one slot.
const KEYS_MAX: usize = 10_000;
/// Of one slot, and of one server.
const FINDINGS_OF_SLOT: usize = 3;
const FINDINGS_MAX: usize = 20;
/// Keys that are compared with the lists of their slots.
const COMPARED_MAX: usize = 100_000;
/// Asked for at a time.
const PAGE: &[u8] = b"512";

/// A Pika and how to ask it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) addr: String,
    pub(super) password: Option<String>,
    pub(super) slots: SlotCount,
    /// Whether every proxy is one of ours.
    pub(super) all_ours: bool,
}

/// Keys compared with the lists.
#[derive(Debug, Default)]
struct Compared {
    keys: usize,
    /// The first that is on no list, and how many are.
    unlisted: Option<(String, usize)>,
    /// With capitals.
    capitals: usize,
}

/// Looks at a Pika; the reason if it cannot be asked.
pub(super) async fn look(asked: &Asked) -> Result<Vec<Finding>, String> {
    let config = Config {
        codis: Some(Arc::new(codis::config::Config::defaults(Flavour::Fork))),
        node_password: asked.password.clone(),
        slot_count: asked.slots,
        ..Config::default()
    };
    let said = |error: LinkError| error.to_string();
    let mut link = Link::open(&config, &asked.addr, ANSWER_TIME).await.map_err(said)?;
    if link.dialect() != Dialect::Pika {
        return Ok(Vec::new());
    }
    let of = format!("server {}", asked.addr);
    let mut found = Vec::new();
    for slot in slots_with_keys(&mut link).await.map_err(said)? {
        if found.len() >= FINDINGS_MAX {
            break;
        }
        let depth = Depth {
            keys_max: KEYS_MAX,
            scores: FractionalScores::Refuse,
            wrong_letters: WrongLetters::Report,
            findings_max: FINDINGS_OF_SLOT,
        };
        let seen = look_at_slot(&mut link, slot, depth).await.map_err(said)?;
        found.extend(seen.findings.iter().map(|refusal| Finding {
            of: of.clone(),
            what: format!("slot {slot} of {of} cannot move: {refusal}"),
            remedy: remedy(refusal).to_owned(),
        }));
    }
    let compared = compare(&mut link, asked.slots).await.map_err(said)?;
    found.extend(compared.findings(&of, asked));
    Ok(found)
}

/// What is to be done in short; the refusal itself says how.
fn remedy(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Stream { .. } => "copy it elsewhere, SET the key to anything, DEL it",
        Refusal::HyperLogLog { .. } => "delete it, or leave its slot where it is",
        Refusal::WrongLetter { .. } => {
            "proxies of ours cure it when the slot moves; else the three commands above, while nobody writes the key"
        }
        Refusal::Score { .. } => {
            "round it, or let a proxy of ours round: foreign.fractional_scores"
        }
        _ => "try again",
    }
}

impl Compared {
    fn findings(self, of: &str, asked: &Asked) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut add = |what: String, remedy: &str| {
            found.push(Finding { of: of.to_owned(), what, remedy: remedy.to_owned() });
        };
        if let Some((key, count)) = self.unlisted {
            let keys = self.keys;
            add(
                format!(
                    "{count} of {keys} keys that were looked at in {of}, {key} among them, are not listed in their slots: a move leaves them behind"
                ),
                &format!(
                    "SLOTSRELOAD at {}, and wait until INFO stats says is_slots_reloading:No; proxies of ours do that by themselves",
                    asked.addr
                ),
            );
        }
        if self.capitals > 0 && !asked.all_ours {
            let (capitals, keys) = (self.capitals, self.keys);
            add(
                format!(
                    "{capitals} of {keys} keys that were looked at in {of} have capitals: by way of a codis-proxy requests for them fail while their slot moves semi-async"
                ),
                "put proxies of ours in the place of all others, or set migration_method = \"sync\"",
            );
        }
        found
    }
}

/// The slots whose list is not empty.
async fn slots_with_keys(link: &mut Link) -> Result<Vec<Slot>, LinkError> {
    let answer = link.ask(&[b"SLOTSINFO"]).await?;
    let numbers = answer.as_items().unwrap_or_default().iter();
    let numbers = numbers.filter_map(|pair| pair.as_items()?.first()?.as_int());
    Ok(numbers.filter_map(|number| u16::try_from(number).ok().map(Slot)).collect())
}

/// Compares keys with the lists of their slots.
async fn compare(link: &mut Link, slots: SlotCount) -> Result<Compared, LinkError> {
    let (mut compared, mut cursor) = (Compared::default(), b"0".to_vec());
    while compared.keys < COMPARED_MAX {
        let answer = link.ask(&[b"SCAN", &cursor, b"COUNT", PAGE]).await?;
        let Some([next, keys]) = answer.as_items() else { break };
        let keys = keys.as_items().unwrap_or_default().iter().filter_map(Value::as_bytes);
        let keys: Vec<&[u8]> = keys.filter(|key| !key.starts_with(b"_internal:slot")).collect();
        compared.take(link, slots, &keys).await?;
        cursor = next.as_bytes().unwrap_or(b"0").to_vec();
        if cursor == b"0" {
            break;
        }
    }
    Ok(compared)
}

impl Compared {
    async fn take(
        &mut self,
        link: &mut Link,
        slots: SlotCount,
        keys: &[&[u8]],
    ) -> Result<(), LinkError> {
        let asked: Vec<[&[u8]; 2]> = keys.iter().map(|&key| [b"TYPE".as_slice(), key]).collect();
        link.send(asked.iter().map(<[&[u8]; 2]>::as_slice)).await?;
        let mut entries = Vec::new();
        for key in keys {
            if let Some(letter) = link.answer().await?.as_str().and_then(letter) {
                let list = format!("_internal:slotkey:4migrate:{}", slots.of(key));
                entries.push((list, [&[letter], *key].concat()));
            }
        }
        let asked: Vec<[&[u8]; 3]> = entries
            .iter()
            .map(|(list, entry)| [b"SISMEMBER".as_slice(), list.as_bytes(), entry])
            .collect();
        link.send(asked.iter().map(<[&[u8]; 3]>::as_slice)).await?;
        for (_, entry) in &entries {
            self.keys += 1;
            self.capitals += usize::from(entry.iter().any(u8::is_ascii_uppercase));
            if link.answer().await?.as_int() == Some(0) {
                let name = || String::from_utf8_lossy(&entry[1..]).into_owned();
                self.unlisted.get_or_insert_with(|| (name(), 0)).1 += 1;
            }
        }
        Ok(())
    }
}

/// The letter under which Pika lists a type. Streams are found by other means.
fn letter(kind: &str) -> Option<u8> {
    match kind {
        "string" => Some(b'k'),
        "hash" => Some(b'h'),
        "list" => Some(b'l'),
        "set" => Some(b's'),
        "zset" => Some(b'z'),
        _ => None,
    }
}
