//! What the keys of a Pika say against moving their slots: some cannot move, some would be damaged, some are seen by no move.
//!
//! The same looks as a proxy of ours takes before each move, over all slots, and a part of all keys compared with the lists by which they move.
//! Nothing is locked and nothing is changed: what clients do meanwhile may be missed, or seen half. The read cache is not believed, but asked
//! for what other nodes have: what has moved there, and is shown here still.

use super::judge::Finding;
use anyhow::Result;
use cluster::{Slot, SlotCount};
use codis::Flavour;
use protocol::frame::Value;
use proxy::config::FractionalScores;
use proxy::foreign::examine::{Depth, Refusal, WrongLetters, look_at_slot};
use proxy::foreign::link::{Link, LinkError};
use proxy::foreign::probe;
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
/// Keys of each other node that a node is asked for.
const GHOSTS_ASKED_MAX: usize = 20_000;
/// Characters of a key that are shown.
const SHOWN_MAX: usize = 200;
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
    /// The primaries of the other groups.
    pub(super) others: Vec<String>,
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
    let config = config(asked);
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
    // Proxies of ours empty the cache when a slot comes home.
    let others = asked.others.iter().filter(|_| !asked.all_ours);
    for other in others {
        if let Ok(mut other) = Link::open(&config, other, ANSWER_TIME).await {
            let ghosts = ghosts(&mut link, &mut other).await.map_err(said)?;
            found.extend(ghosts.map(|ghosts| ghosts.finding(&of, asked)));
        }
    }
    Ok(found)
}

/// By which nodes are asked that are not ours.
fn config(asked: &Asked) -> Config {
    Config {
        codis: Some(Arc::new(codis::config::Config::defaults(Flavour::Fork))),
        node_password: asked.password.clone(),
        slot_count: asked.slots,
        ..Config::default()
    }
}

/// What is to be done in short; the refusal itself says how.
fn remedy(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Stream { .. } => "copy it elsewhere, SET the key to anything, DEL it",
        Refusal::HyperLogLog { .. } => "delete it, or leave its slot where it is",
        Refusal::WrongLetter { .. } => {
            "proxies of ours cure it when the slot moves; else the three commands above, while nobody writes the key"
        }
        Refusal::Score { .. } => "round it yourself",
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
    let (mut compared, mut cursor) = (Compared::default(), Some(b"0".to_vec()));
    while let Some(at) = cursor.take().filter(|_| compared.keys < COMPARED_MAX) {
        let page = page(link, &at).await?;
        cursor = page.next;
        let keys: Vec<&[u8]> = page.keys.iter().map(Vec::as_slice).collect();
        compared.take(link, slots, &keys).await?;
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
        let mut listed = Vec::new();
        for key in keys {
            // Streams are found by other means.
            if let Some(letter) = link.answer().await?.as_str().and_then(probe::letter) {
                listed.push((*key, probe::listed(slots.of(key), letter, key)));
            }
        }
        let words = listed.iter().map(|(_, words)| words.each_ref().map(Vec::as_slice));
        link.send(words.collect::<Vec<_>>().iter().map(<[&[u8]; 7]>::as_slice)).await?;
        for (key, _) in listed {
            self.keys += 1;
            self.capitals += usize::from(key.iter().any(u8::is_ascii_uppercase));
            if probe::says(&link.answer().await?, key) == Some(false) {
                self.unlisted.get_or_insert_with(|| (shown(key), 0)).1 += 1;
            }
        }
        Ok(())
    }
}

/// Keys that the read cache shows and the disk has not.
#[derive(Debug)]
struct Ghosts {
    asked: usize,
    first: String,
    count: usize,
}

impl Ghosts {
    fn finding(self, of: &str, asked: &Asked) -> Finding {
        let Self { asked: keys, first, count } = self;
        Finding {
            of: of.to_owned(),
            what: format!(
                "{count} of {keys} keys of another group that {of} was asked for, {first} among them, are in its read cache and not on its disk: if \
                 their slots come home, what was changed or deleted meanwhile is seen as it was"
            ),
            remedy: format!(
                "CLEARCACHE at {} before a slot comes home; proxies of ours do that by themselves",
                asked.addr
            ),
        }
    }
}

/// Asks a node for keys that another one has.
async fn ghosts(link: &mut Link, other: &mut Link) -> Result<Option<Ghosts>, LinkError> {
    let mut ghosts = Ghosts { asked: 0, first: String::new(), count: 0 };
    let mut cursor = Some(b"0".to_vec());
    while let Some(at) = cursor.take().filter(|_| ghosts.asked < GHOSTS_ASKED_MAX) {
        let page = page(other, &at).await?;
        cursor = page.next;
        ghosts.asked += page.keys.len();
        for key in in_cache_alone(link, &page.keys).await? {
            if ghosts.count == 0 {
                ghosts.first = shown(&key);
            }
            ghosts.count += 1;
        }
    }
    Ok(Some(ghosts).filter(|ghosts| ghosts.count > 0))
}

/// Those of the keys that exist, but not on the disk.
async fn in_cache_alone(link: &mut Link, keys: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, LinkError> {
    let asked: Vec<[&[u8]; 2]> = keys.iter().map(|key| [b"EXISTS", key.as_slice()]).collect();
    link.send(asked.iter().map(<[&[u8]; 2]>::as_slice)).await?;
    let mut shown = Vec::new();
    for key in keys {
        if link.answer().await?.as_int() == Some(1) {
            shown.push(key);
        }
    }
    let mut alone = Vec::new();
    for key in shown {
        let asked = probe::KINDS.map(|(kind, _)| probe::there(kind, key));
        let kind: &[&[u8]] = &[b"TYPE", key];
        link.send(asked.iter().map(<[&[u8]; 6]>::as_slice).chain([kind])).await?;
        let mut is_there = false;
        for _ in asked {
            is_there |= probe::says(&link.answer().await?, key) != Some(false);
        }
        // Of streams PKSCANRANGE knows nothing, and they are not cached.
        let kind = link.answer().await?;
        if !is_there && kind.as_str().is_some_and(|kind| probe::letter(kind).is_some()) {
            alone.push(key.clone());
        }
    }
    Ok(alone)
}

/// Keys of a node.
struct Page {
    keys: Vec<Vec<u8>>,
    /// Where it goes on; nothing at the end.
    next: Option<Vec<u8>>,
}

/// Without the lists themselves.
async fn page(link: &mut Link, cursor: &[u8]) -> Result<Page, LinkError> {
    let answer = link.ask(&[b"SCAN", cursor, b"COUNT", PAGE]).await?;
    let Some([next, keys]) = answer.as_items() else {
        return Err(LinkError::Lost(format!("SCAN is answered with {answer:?}")));
    };
    let keys = keys.as_items().unwrap_or_default().iter().filter_map(Value::as_bytes);
    let keys = keys.filter(|key| !key.starts_with(b"_internal:slot")).map(<[u8]>::to_vec);
    let next = next.as_bytes().filter(|next| *next != b"0").map(<[u8]>::to_vec);
    Ok(Page { keys: keys.collect(), next })
}

/// A key for people.
fn shown(key: &[u8]) -> String {
    String::from_utf8_lossy(key).escape_debug().take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests;
