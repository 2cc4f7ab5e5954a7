//! What is known of each foreign node for as long as the proxy lives: whether its list of keys is whole, and which slots its read cache may
//! still have.
//!
//! A Pika lists the keys of its slots command by command, and misses what some commands write, and all that was written while `slotmigrate`
//! was off. SLOTSRELOAD makes the list whole; what clients write through this proxy afterwards is listed (`commands.rs`). So each Pika is
//! told once, in the background; keys that other commands write are noted here, and listed by `examine.rs`. A node that was started anew (another `run_id`) has an empty cache and is told again.

use super::examine::{Node, Refusal, look_at_node};
use super::link::{Link, LinkError};
use crate::config::Config;
use cluster::Slot;
use dashmap::DashMap;
use parking_lot::Mutex;
use protocol::frame::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks at a SLOTSRELOAD; each is longer by as much, up to a hundred times.
const RELOAD_PAUSE: Duration = Duration::from_millis(5);
const RELOAD_PAUSES_MAX: u32 = 100;
/// Between two looks at whether it has ended; and for how long a move waits for that, which a node without data needs milliseconds for. Not
/// longer: another proxy may have locked the slot already, and its clients would wait as long.
const INDEX_PAUSE: Duration = Duration::from_millis(2);
const INDEX_WAIT: Duration = Duration::from_millis(50);
/// A SLOTSRELOAD that takes longer is given up; the next move begins another.
const RELOAD_MAX: Duration = Duration::from_hours(24);
/// Between two looks at a cache that is being emptied, and how many.
const CACHE_PAUSE: Duration = Duration::from_millis(2);
const CACHE_LOOKS: usize = 100;
/// How a cache is marked that is being emptied or just was, and for how long at most: Pika takes the mark back every 10 s, when nothing keeps it
/// from doing so.
const MARK: &str = "Clear";
const MARK_MAX: Duration = Duration::from_mins(5);
/// What the thread that empties a cache may take to begin where its beginning cannot be seen.
const CACHE_BEGINS: Duration = Duration::from_millis(100);

/// What is known of the nodes.
#[derive(Debug, Default)]
pub struct Known {
    nodes: DashMap<String, Memory>,
    noted: Mutex<Noted>,
    /// How many noted keys nodes had to be made to list.
    pub(crate) listed: Listed,
}

/// Keys that were listed, before their slot was locked and when it was.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) before: AtomicU64,
    pub(crate) locked: AtomicU64,
}

/// Keys that were written by commands which list nothing. When the newer ones are too many, the older ones are forgotten, and every node must
/// list its keys anew before a slot leaves it: by then whatever was asked with the older ones has long been answered.
#[derive(Debug, Default)]
struct Noted {
    newer: Keys,
    older: Keys,
}

#[derive(Debug, Default)]
struct Keys {
    by_slot: HashMap<Slot, HashSet<Box<[u8]>>>,
    count: usize,
}

/// What is known of one node.
#[derive(Debug, Default)]
struct Memory {
    run_id: String,
    index: Index,
    cache: Cache,
}

/// The list of a node's keys.
#[derive(Debug, Default, PartialEq, Eq)]
enum Index {
    #[default]
    Unknown,
    /// Since when.
    Reloading(Instant),
    Whole,
}

/// What a node's read cache may still have.
#[derive(Debug)]
struct Cache {
    /// Since when it is watched which slots leave the node: any may have been there before.
    watched: Instant,
    /// When slots have last left.
    left: HashMap<Slot, Instant>,
    /// When somebody has last had it emptied, and when that has certainly begun: from then on it has nothing that was there before the former.
    emptied: Option<(Instant, Instant)>,
}

impl Default for Cache {
    fn default() -> Self {
        Self { watched: Instant::now(), left: HashMap::new(), emptied: None }
    }
}

impl Cache {
    /// Whether it has nothing of a slot that is not at the node.
    fn is_without(&self, slot: Slot) -> bool {
        let left = self.left.get(&slot).copied().unwrap_or(self.watched);
        self.emptied.is_some_and(|(told, _)| left <= told) && !self.is_being_emptied()
    }

    fn is_being_emptied(&self) -> bool {
        self.emptied.is_some_and(|(_, begun)| begun > Instant::now())
    }

    fn was_emptied(&mut self, told: Instant, begun: Instant) {
        self.emptied = self.emptied.max(Some((told, begun)));
    }
}

impl Known {
    /// A slot has left the node, or has been filled with another one.
    pub fn left(&self, node: &str, slot: Slot) {
        if let Some(mut memory) = self.nodes.get_mut(node) {
            memory.cache.left.insert(slot, Instant::now());
        }
    }

    /// A client writes this key by a command that does not list it: it is listed when its slot is about to move.
    pub fn note(&self, config: &Config, slot: Slot, key: &[u8]) {
        let mut noted = self.noted.lock();
        if noted.older.has(slot, key) || !noted.newer.add(slot, key) {
            return;
        }
        if noted.newer.count < config.foreign.noted_keys_max {
            return;
        }
        let newer = std::mem::take(&mut noted.newer);
        let older = std::mem::replace(&mut noted.older, newer);
        if older.count > 0 {
            tracing::info!(
                keys = older.count,
                "too many keys are noted; nodes list theirs anew before slots move"
            );
            for mut memory in self.nodes.iter_mut() {
                memory.index = Index::Unknown;
            }
        }
    }

    /// The noted keys of a slot.
    pub fn noted(&self, slot: Slot) -> Vec<Vec<u8>> {
        let noted = self.noted.lock();
        let of = |keys: &Keys| {
            let keys = keys.by_slot.get(&slot).into_iter().flatten();
            keys.map(|key| key.to_vec()).collect::<Vec<_>>()
        };
        [of(&noted.older), of(&noted.newer)].concat()
    }

    /// Has the node's list of keys made whole in the background, unless it is, or is being made so. For a node that is a Pika.
    pub fn attach(self: &Arc<Self>, config: &Arc<Config>, node: &str) {
        {
            let mut memory = self.nodes.entry(node.to_owned()).or_default();
            if memory.index != Index::Unknown {
                return;
            }
            memory.index = Index::Reloading(Instant::now());
        }
        let (known, config, node) = (Arc::clone(self), Arc::clone(config), node.to_owned());
        tokio::spawn(async move {
            let done = reload(&config, &node).await;
            let mut memory = known.nodes.entry(node.clone()).or_default();
            match done {
                // Unless it has been overtaken.
                Ok(run_id) if memory.index != Index::Unknown => {
                    memory.index = Index::Whole;
                    memory.run_id = run_id;
                    tracing::info!(node, "the node's list of keys is whole");
                }
                Ok(_) => {}
                Err(why) => {
                    memory.index = Index::Unknown;
                    tracing::warn!(node, why, "the node's list of keys could not be made whole");
                }
            }
        });
    }

    /// Refuses while the node's list of keys is not whole; sees to it that it will be.
    pub(super) async fn await_index(
        self: &Arc<Self>,
        config: &Arc<Config>,
        node: &Node,
    ) -> Result<(), Refusal> {
        let end = Instant::now() + INDEX_WAIT;
        loop {
            let said = self.check_index(config, node);
            if said.is_ok() || Instant::now() >= end {
                return said;
            }
            sleep(INDEX_PAUSE).await;
        }
    }

    fn check_index(self: &Arc<Self>, config: &Arc<Config>, node: &Node) -> Result<(), Refusal> {
        if node.dialect != crate::Dialect::Pika {
            return Ok(());
        }
        self.forget_former(node);
        let since = match self.nodes.entry(node.addr.clone()).or_default().index {
            Index::Whole => return Ok(()),
            Index::Reloading(since) => since,
            Index::Unknown => Instant::now(),
        };
        self.attach(config, &node.addr);
        Err(Refusal::Reloading { node: node.addr.clone(), seconds: since.elapsed().as_secs() })
    }

    /// Forgets what was known of a process that has ended.
    fn forget_former(&self, node: &Node) {
        let mut memory = self.nodes.entry(node.addr.clone()).or_default();
        if memory.index != Index::Whole || memory.run_id == node.run_id {
            return;
        }
        memory.index = Index::Unknown;
        memory.cache = Cache::default();
        memory.run_id.clone_from(&node.run_id);
    }

    /// Empties the node's cache if it may have something of the slot, and waits until it answers nothing from it any more. Refuses where that
    /// cannot be seen: nothing slow is waited for, because another proxy may have locked the slot already.
    pub(super) async fn clear_cache(
        &self,
        link: &mut Link,
        node: &Node,
        slot: Slot,
    ) -> Result<(), Refusal> {
        if node.dialect != crate::Dialect::Pika {
            return Ok(());
        }
        let addr = node.addr.clone();
        let cache = || self.nodes.entry(addr.clone()).or_default().map(|memory| &mut memory.cache);
        if cache().is_without(slot) {
            return Ok(());
        }
        let busy = Refusal::CacheBusy { node: addr.clone() };
        let failed =
            |error: LinkError| Refusal::Unreachable { node: addr.clone(), why: error.to_string() };
        let now = Instant::now();
        let before = mark(link).await.map_err(failed)?;
        // Versions without a cache do not know the section.
        if before.as_deref().is_none_or(|mark| mark == "Disable") {
            cache().was_emptied(now, now);
            return Ok(());
        }
        let was_marked = before.as_deref() == Some(MARK);
        // Somebody else has emptied it: that will do for a slot that left long ago.
        if was_marked && let Some(told) = now.checked_sub(MARK_MAX) {
            cache().was_emptied(told, told);
            if cache().is_without(slot) {
                return Ok(());
            }
        }
        if cache().is_being_emptied() {
            return Err(busy);
        }
        let answer = link.ask(&[b"CLEARCACHE"]).await.map_err(failed)?;
        if answer.as_error().is_some() {
            return Err(busy);
        }
        if was_marked {
            cache().was_emptied(now, Instant::now() + CACHE_BEGINS);
            return Err(busy);
        }
        for _ in 0..CACHE_LOOKS {
            if mark(link).await.map_err(failed)?.as_deref() == Some(MARK) {
                cache().was_emptied(now, now);
                return Ok(());
            }
            sleep(CACHE_PAUSE).await;
        }
        Err(busy)
    }
}

impl Keys {
    fn has(&self, slot: Slot, key: &[u8]) -> bool {
        self.by_slot.get(&slot).is_some_and(|keys| keys.contains(key))
    }

    /// Returns whether it is new.
    fn add(&mut self, slot: Slot, key: &[u8]) -> bool {
        if self.has(slot, key) {
            return false;
        }
        self.count += 1;
        self.by_slot.entry(slot).or_default().insert(key.into())
    }
}

/// What the node says of its cache. CLEARCACHE answers before anything is done; a cache that is marked as being emptied answers nothing any
/// more. The mark stays for some seconds after it has been emptied.
async fn mark(link: &mut Link) -> Result<Option<String>, LinkError> {
    let answer = link.ask(&[b"INFO", b"cache"]).await?;
    Ok(super::examine::line(&answer, "cache_status:"))
}

/// Has a Pika list its keys anew, and waits for the end. Returns the number of the process that did.
async fn reload(config: &Config, addr: &str) -> Result<String, String> {
    let patience = config.upstream.reply_timeout;
    let mut link = Link::open(config, addr, patience).await.map_err(|e| e.to_string())?;
    let end = Instant::now() + RELOAD_MAX;
    let (mut began, mut pauses): (Option<String>, u32) = (None, 1);
    let mut first: Option<Node> = None;
    while Instant::now() < end {
        let node = look_at_node(&mut link, addr, Slot(0)).await.map_err(|e| e.to_string())?;
        node.check(config.slot_count).map_err(|refusal| refusal.to_string())?;
        let first = first.get_or_insert_with(|| node.clone());
        if first.run_id != node.run_id {
            return Err("it was started anew meanwhile".to_owned());
        }
        // One that ran when we came may be past what clients write now; any other will do, whoever began it.
        if began.is_none() && node.reload_began != first.reload_began {
            began = Some(node.reload_began.clone());
        }
        match began.as_deref() {
            // A node runs one at a time: while another runs, this one is over.
            Some(began) if !(node.is_reloading && node.reload_began == began) => {
                return Ok(node.run_id);
            }
            // Beside a migration of the node's own it would list again what has just left, and the migration goes by the list.
            None if !node.is_reloading && node.migrating.is_none() => {
                let answer = link.ask(&[b"SLOTSRELOAD"]).await.map_err(|e| e.to_string())?;
                began = start(&answer).filter(|start| *start != node.reload_began);
            }
            _ => {}
        }
        sleep(RELOAD_PAUSE * pauses).await;
        pauses = (pauses + 1).min(RELOAD_PAUSES_MAX);
    }
    Err(format!("SLOTSRELOAD has not ended after {} h", RELOAD_MAX.as_secs() / 3600))
}

/// When a SLOTSRELOAD began, by its answer, `20261122130229 : 0`. A node that saves its data ignores the command and names an older one.
fn start(answer: &Value) -> Option<String> {
    let (start, _) = answer.as_str()?.split_once(':')?;
    Some(start.trim().to_owned())
}
