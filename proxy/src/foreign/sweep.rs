//! Empties one slot that moves key by key, until the source says that none is left.
//!
//! Of a Pika only the synchronous words are used, while no migration of its own runs: two of them for one key take turns at the source, and the
//! second finds it gone. Of a codis-server only the asynchronous ones, of which it runs one at a time. A node of ours lets movers take turns too. So any number of proxies may sweep one
//! slot, and move keys on demand, at the same time (`docs/FOREIGN.md`).

use super::examine::drop_absent;
use super::link::{Link, LinkError};
use crate::config::Config;
use crate::dialect::Dialect;
use codis::model::{ForwardMethod, Slot};
use protocol::frame::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// What is swept.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) config: Arc<Config>,
    pub(crate) slot: u16,
    pub(crate) source: String,
    pub(crate) target: String,
    /// What the source is.
    pub(crate) dialect: Dialect,
    /// [`ForwardMethod::SemiAsync`]: the source, a Pika, migrates it by itself.
    pub(crate) method: ForwardMethod,
}

impl Job {
    /// The slot as the workers have it.
    pub(crate) fn new(config: &Arc<Config>, slot: &Slot, dialect: Dialect) -> Self {
        Self {
            config: Arc::clone(config),
            slot: u16::try_from(slot.id).unwrap_or(u16::MAX),
            source: slot.migrate_from.clone(),
            target: slot.backend_addr.clone(),
            dialect,
            method: slot.forward_method,
        }
    }
}

/// How far a sweep is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Nothing is left at the source.
    pub(crate) is_empty: bool,
    /// Keys that were moved by the sweep.
    pub(crate) moved: u64,
    /// Why it does not go on. For people.
    pub(crate) trouble: Option<String>,
}

/// The pause behind a round in which nothing could be moved; the longest is so many times as long.
const PAUSE: Duration = Duration::from_millis(5);
const PAUSES_MAX: u32 = 100;
/// Keys that a codis-server moves in one go; requests wait that long for keys of their own.
const BATCH_KEYS: &str = "64";
/// Keys that a Pika takes on at a time when it migrates by itself; as many as a dashboard says.
const ITSELF_KEYS: &str = "500";
/// When requests get at a codis-server between two goes.
const BETWEEN: Duration = Duration::from_millis(2);
/// Keys listed at a time.
const LIST_KEYS: usize = 512;
/// Beyond what a move may take, for everything else.
const MARGIN: Duration = Duration::from_secs(5);

/// Sweeps until the slot is empty; whoever has enough of it drops this.
pub(crate) async fn run(job: Job, progress: watch::Sender<Swept>) {
    let mut pauses = 1;
    loop {
        let before = progress.borrow().moved;
        match attempt(&job, &progress).await {
            Ok(()) => {
                progress.send_modify(|swept| {
                    swept.is_empty = true;
                    swept.trouble = None;
                });
                return;
            }
            Err(why) => {
                tracing::warn!(
                    slot = job.slot,
                    source = job.source,
                    why,
                    "a slot is not empty yet"
                );
                progress.send_modify(|swept| swept.trouble = Some(why));
            }
        }
        pauses = if progress.borrow().moved > before { 1 } else { (pauses * 2).min(PAUSES_MAX) };
        sleep(PAUSE * pauses).await;
    }
}

async fn attempt(job: &Job, progress: &watch::Sender<Swept>) -> Result<(), String> {
    let patience = job.config.foreign.move_timeout + MARGIN;
    let link = Link::open(&job.config, &job.source, patience).await;
    let mut sweep = Sweep::new(job, link.map_err(|error| error.to_string())?, progress)?;
    for database in 0..job.config.databases {
        if database > 0 {
            let number = database.to_string();
            if let Value::Error(_) = sweep.ask(&[b"SELECT", number.as_bytes()]).await? {
                // It has no more.
                break;
            }
        }
        match job.dialect {
            Dialect::CodisServer | Dialect::Slipway => sweep.in_batches().await?,
            _ if job.method == ForwardMethod::SemiAsync => sweep.by_itself().await?,
            _ => sweep.pika_database().await?,
        }
    }
    Ok(())
}

struct Sweep<'a> {
    link: Link,
    progress: &'a watch::Sender<Swept>,
    slot: String,
    number: cluster::Slot,
    host: &'a str,
    port: &'a str,
    limit: String,
    in_flight_max: usize,
}

/// What one round over the keys of a slot has brought.
#[derive(Default)]
struct Round {
    moved: u64,
    /// Of the last key that could not be moved.
    refusal: Option<String>,
}

impl<'a> Sweep<'a> {
    fn new(job: &'a Job, link: Link, progress: &'a watch::Sender<Swept>) -> Result<Self, String> {
        let (host, port) =
            job.target.rsplit_once(':').ok_or_else(|| format!("{} is no address", job.target))?;
        Ok(Self {
            link,
            progress,
            slot: job.slot.to_string(),
            number: cluster::Slot(job.slot),
            host,
            port,
            limit: job.config.foreign.move_timeout.as_millis().to_string(),
            in_flight_max: job.config.foreign.sweep_in_flight_max,
        })
    }

    async fn ask(&mut self, words: &[&[u8]]) -> Result<Value, String> {
        self.link.ask(words).await.map_err(|error| error.to_string())
    }

    /// Orders so many keys of the slot over.
    async fn order(&mut self, keys: &str) -> Result<Value, String> {
        let words = [
            &b"SLOTSMGRTTAGSLOT-ASYNC"[..],
            self.host.as_bytes(),
            self.port.as_bytes(),
            self.limit.as_bytes(),
            b"200",
            b"33554432",
            self.slot.as_bytes(),
            keys.as_bytes(),
        ];
        self.link.ask(&words).await.map_err(|error| error.to_string())
    }

    /// Empties the slot in the database that is selected, some keys at a time, so that those that are asked for get in between.
    async fn in_batches(&mut self) -> Result<(), String> {
        loop {
            let answer = self.order(BATCH_KEYS).await?;
            match answer.as_items() {
                Some(&[Value::Int(moved), Value::Int(left)]) => {
                    let moved = u64::try_from(moved).unwrap_or(0);
                    self.progress.send_modify(|swept| swept.moved += moved);
                    if left == 0 {
                        return Ok(());
                    }
                    sleep(BETWEEN).await;
                }
                _ if answer.as_error().is_some_and(|line| line.contains("being migrated")) => {
                    sleep(BETWEEN).await;
                }
                _ => return Err(refused_order(&answer)),
            }
        }
    }

    /// Has a Pika migrate the slot by itself, as a codis-dashboard would; it answers with the keys that were left before. Others may order the
    /// same at the same time, and for other slots it has no time meanwhile.
    async fn by_itself(&mut self) -> Result<(), String> {
        let mut before = None;
        loop {
            let answer = self.order(ITSELF_KEYS).await?;
            match answer.as_items() {
                Some(&[Value::Int(_), Value::Int(left)]) => {
                    let moved =
                        before.map_or(0, |before| u64::try_from(before - left).unwrap_or(0));
                    self.progress.send_modify(|swept| swept.moved += moved);
                    before = Some(left);
                    if left == 0 && self.is_empty().await? {
                        return Ok(());
                    }
                }
                _ if answer.as_error().is_some_and(|line| line.contains("currently migrating")) => {
                }
                _ => return Err(refused_order(&answer)),
            }
            sleep(BETWEEN).await;
        }
    }

    /// Empties the slot in the database that is selected.
    async fn pika_database(&mut self) -> Result<(), String> {
        loop {
            let round = self.round().await?;
            if round.moved > 0 {
                continue;
            }
            let answer = self.next_of_slot().await?;
            match answer.as_items().map(|items| (items.first(), items.get(1))) {
                Some((Some(Value::Int(0)), Some(Value::Int(0)))) if self.is_empty().await? => {
                    return Ok(());
                }
                Some((Some(Value::Int(_)), Some(Value::Int(_)))) => {}
                _ => {
                    let refusal = round.refusal.unwrap_or_else(|| format!("{answer:?}"));
                    return Err(refusal);
                }
            }
            if let Some(refusal) = round.refusal {
                return Err(refusal);
            }
        }
    }

    /// Has every key moved that the source lists.
    async fn round(&mut self) -> Result<Round, String> {
        let mut round = Round::default();
        let mut cursor = b"0".to_vec();
        loop {
            let count = LIST_KEYS.to_string();
            let slot = self.slot.clone();
            let listed = self
                .ask(&[b"SLOTSSCAN", slot.as_bytes(), &cursor, b"COUNT", count.as_bytes()])
                .await?;
            let (next, members) = read_list(&listed)
                .ok_or_else(|| format!("the answer to SLOTSSCAN is {listed:?}"))?;
            for members in members.chunks(self.in_flight_max.max(1)) {
                self.move_keys(members, &mut round).await?;
            }
            if next == b"0" {
                return Ok(round);
            }
            cursor = next;
        }
    }

    async fn move_keys(&mut self, members: &[Vec<u8>], round: &mut Round) -> Result<(), String> {
        let lost = |error: LinkError| error.to_string();
        let words: Vec<[&[u8]; 5]> = members
            .iter()
            .map(|member| {
                [
                    b"SLOTSMGRTTAGONE",
                    self.host.as_bytes(),
                    self.port.as_bytes(),
                    self.limit.as_bytes(),
                    &member[1..],
                ]
            })
            .collect();
        self.link.send(words.iter().map(<[&[u8]; 5]>::as_slice)).await.map_err(lost)?;
        let (mut moved, mut none) = (0, Vec::new());
        for member in members {
            match self.link.answer().await.map_err(lost)? {
                Value::Int(0) => none.push(member),
                Value::Int(count) => moved += u64::try_from(count).unwrap_or(0),
                other => {
                    let why = other.as_error().unwrap_or("no number").to_owned();
                    let key = String::from_utf8_lossy(&member[1..]).into_owned();
                    round.refusal = Some(format!("key {key:?}: {why}"));
                }
            }
        }
        // Nobody makes a key here any more. SLOTSMGRTTAGSLOT would take such entries off too, one at a time, and past all that was listed once.
        for member in none {
            drop_absent(&mut self.link, self.number, member).await.map_err(lost)?;
        }
        round.moved += moved;
        if moved > 0 {
            self.progress.send_modify(|swept| swept.moved += moved);
        }
        Ok(())
    }

    async fn next_of_slot(&mut self) -> Result<Value, String> {
        let (host, port) = (self.host.as_bytes(), self.port.as_bytes());
        let words =
            [&b"SLOTSMGRTTAGSLOT"[..], host, port, self.limit.as_bytes(), self.slot.as_bytes()];
        self.link.ask(&words).await.map_err(|error| error.to_string())
    }

    async fn is_empty(&mut self) -> Result<bool, String> {
        Ok(keys_listed(&mut self.link, &self.slot).await? == 0)
    }
}

fn refused_order(answer: &Value) -> String {
    let why = answer.as_error().map_or_else(|| format!("{answer:?}"), str::to_owned);
    format!("the answer to SLOTSMGRTTAGSLOT-ASYNC is {why}")
}

/// How many keys the source lists for a slot.
async fn keys_listed(link: &mut Link, slot: &str) -> Result<u64, String> {
    let answer = link.ask(&[b"SLOTSINFO", slot.as_bytes(), b"1"]).await;
    let answer = answer.map_err(|error| error.to_string())?;
    let slots =
        answer.as_items().ok_or_else(|| format!("the answer to SLOTSINFO is {answer:?}"))?;
    let of_slot = slots.first().and_then(Value::as_items).and_then(|pair| pair.get(1));
    Ok(of_slot.and_then(Value::as_int).and_then(|keys| u64::try_from(keys).ok()).unwrap_or(0))
}

/// How many keys a source lists for a slot, within a second or so.
pub(crate) async fn count(job: &Job) -> Result<u64, String> {
    let counted = async {
        let link = Link::open(&job.config, &job.source, MARGIN).await;
        keys_listed(&mut link.map_err(|error| error.to_string())?, &job.slot.to_string()).await
    };
    timeout(COUNT_TIME, counted).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

const COUNT_TIME: Duration = Duration::from_secs(1);

/// The cursor and the members of an answer to SLOTSSCAN, keys with a letter for their type in front.
fn read_list(answer: &Value) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let [cursor, members] = answer.as_items()? else { return None };
    let members = members.as_items()?.iter().filter_map(Value::as_bytes);
    let members = members.filter(|member| !member.is_empty()).map(<[u8]>::to_vec);
    Some((cursor.as_bytes()?.to_vec(), members.collect()))
}
