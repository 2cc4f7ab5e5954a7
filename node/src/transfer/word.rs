//! Reads the words of docs/WIRE.md §4 and §5 and answers them.

use super::target::Final;
use super::{source, target};
use crate::shared::{Driver, Shared};
use bytes::Bytes;
use cluster::state::{Migration, Persist, Verdict};
use cluster::{Epoch, MigrationId, Slot, SlotState};
use protocol::reply::{Reply, Version};
use service::failpoint;
use std::str::FromStr;
use std::sync::Arc;

/// Executes one word; `args` is what stands behind it. The answer is a whole RESP reply.
pub(crate) async fn word(shared: &Arc<Shared>, word: &[u8], args: Vec<Bytes>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, Version::Resp2);
    let name = String::from_utf8_lossy(word).to_ascii_uppercase();
    if let Err(why) = answer(shared, &name, Arguments(&args), &mut reply).await {
        out.clear();
        Reply::new(&mut out, Version::Resp2).error(format!("ERR {why}"));
    }
    out
}

/// Whether the word is answered here.
pub(crate) fn is_ours(word: &[u8]) -> bool {
    const WORDS: [&str; 17] = [
        "IMPORT", "EXPORT", "ARM", "MOVES", "ABORT", "DROP", "DURABLE", "CLEAN", "PACE", "RESET",
        "CURSOR", "CHUNK", "STREAM", "FINAL", "GRANT", "CONFIRM", "RESOLVE",
    ];
    WORDS.iter().any(|w| w.as_bytes().eq_ignore_ascii_case(word))
}

async fn answer(
    shared: &Arc<Shared>,
    word: &str,
    args: Arguments<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), String> {
    match word {
        "IMPORT" => {
            check_not_codis(shared)?;
            let (slot, from) = migration(shared, &args)?;
            target::import(shared, slot, &from)?;
            reply.ok();
        }
        "EXPORT" => {
            check_not_codis(shared)?;
            let (slot, out) = migration(shared, &args)?;
            source::export(shared, slot, &out)?;
            reply.ok();
        }
        "ARM" => arm(shared, args.ids()?, reply).await?,
        "MOVES" => moves(shared, args.ids()?, reply).await,
        "ABORT" => {
            if source::abort(shared, args.get(0)?)? == Persist::Sync {
                shared.wal.sync().await.map_err(|e| e.to_string())?;
            }
            reply.ok();
        }
        "DROP" => {
            target::dropped(shared, args.get(0)?)?;
            shared.wal.sync().await.map_err(|e| e.to_string())?;
            reply.ok();
        }
        "DURABLE" => {
            durable(shared, &args)?;
            shared.wal.sync().await.map_err(|e| e.to_string())?;
            reply.ok();
        }
        "CLEAN" => {
            for id in args.ids()? {
                if let Some(slot) = slot_of(shared, id) {
                    source::clean(shared, slot, id)?;
                }
            }
            shared.wal.sync().await.map_err(|e| e.to_string())?;
            reply.ok();
        }
        "PACE" => {
            shared.transfers.pace.set(args.get(0)?);
            reply.ok();
        }
        "RESET" => {
            target::reset(shared, args.get(0)?).await?;
            reply.ok();
        }
        "CURSOR" => {
            let sequence = target::cursor(shared, args.get(0)?).await?;
            reply.array(1);
            reply.int(sequence as i64);
        }
        "CHUNK" | "STREAM" => {
            let (count, hash) = take(shared, &args).await?;
            reply.array(3);
            reply.int(count as i64);
            reply.bulk(hash.as_bytes());
            reply.int(i64::from(shared.transfers.courtesy.serves(&shared.stats)));
        }
        "FINAL" => {
            let last = Final {
                id: args.get(0)?,
                attempt: args.get(1)?,
                sequence: args.get(2)?,
                clock_ms: args.get(3)?,
                counts: args.bytes(4)?,
                payload: args.bytes(5)?,
            };
            let attempt = last.attempt;
            let token = target::last(shared, last).await?;
            reply.array(3);
            reply.bulk(b"READY");
            reply.int(i64::from(attempt));
            reply.bulk(token.to_string().as_bytes());
        }
        "GRANT" => {
            let (slot, epoch) = (args.slot(shared, 1)?, Epoch(args.get(2)?));
            target::granted(shared, slot, epoch, (args.get(0)?, args.get(3)?))?;
            reply.simple("OWNED");
        }
        "CONFIRM" => confirm(shared, args.get(0)?, args.get(1)?, reply),
        "RESOLVE" => {
            let slot = args.slot(shared, 1)?;
            let verdict = target::resolve(shared, args.get(0)?, slot, Epoch(args.get(2)?))?;
            shared.wal.sync().await.map_err(|e| e.to_string())?;
            reply.simple(if verdict == Verdict::Owned { "OWNED" } else { "REFUSED" });
        }
        _ => return Err(format!("unknown word {word}")),
    }
    Ok(())
}

/// Words of our controller are refused by a node that a codis-dashboard drives.
pub(crate) fn check_not_codis(shared: &Shared) -> Result<(), String> {
    if shared.driver() == Driver::Codis {
        return Err("this node is driven by a codis-dashboard: move the slot there, or take the product over with `slipway adopt`".to_owned());
    }
    Ok(())
}

/// Chunks are applied on the copy thread: no client of this worker waits for them.
async fn take(shared: &Arc<Shared>, args: &Arguments<'_>) -> Result<(u64, String), String> {
    let (id, sequence) = (args.get(0)?, args.get(1)?);
    let payload = args.0.get(2).cloned().ok_or("an argument is missing")?;
    let task = {
        let shared = shared.clone();
        async move { target::take(&shared, id, sequence, &payload).await }
    };
    shared.transfers.copy.spawn(task).await.map_err(|e| e.to_string())?
}

/// M slot epoch peer.
fn migration(shared: &Shared, args: &Arguments<'_>) -> Result<(Slot, Migration), String> {
    let migration =
        Migration { id: args.get(0)?, epoch: Epoch(args.get(2)?), peer: args.get::<String>(3)? };
    Ok((args.slot(shared, 1)?, migration))
}

/// One sync for the whole batch; only then may handoffs begin.
async fn arm(
    shared: &Arc<Shared>,
    ids: Vec<MigrationId>,
    reply: &mut Reply<'_>,
) -> Result<(), String> {
    let comes_in = |id: &MigrationId| shared.transfers.incoming.lock().contains_key(id);
    let results: Vec<_> =
        ids.iter().map(|id| if comes_in(id) { Ok(()) } else { source::arm(shared, *id) }).collect();
    shared.wal.sync().await.map_err(|e| e.to_string())?;
    failpoint::hit(if ids.iter().any(comes_in) { "target.armed" } else { "source.armed" });
    reply.array(results.len());
    for (id, result) in ids.iter().zip(results) {
        match result {
            Ok(()) => {
                source::begin_handoff(shared, *id);
                reply.bulk(b"OK");
            }
            Err(why) => reply.bulk(why.as_bytes()),
        }
    }
    Ok(())
}

async fn moves(shared: &Arc<Shared>, ids: Vec<MigrationId>, reply: &mut Reply<'_>) {
    let outgoing: Vec<_> = shared.transfers.outgoing.lock().values().cloned().collect();
    let incoming: Vec<_> = shared.transfers.incoming.lock().values().cloned().collect();
    let mut reports: Vec<_> = outgoing.iter().map(|job| job.report(shared)).collect();
    for import in incoming {
        reports.push(import.report(shared).await);
    }
    let texts: Vec<String> = if ids.is_empty() {
        reports.iter().filter_map(|r| serde_json::to_string(r).ok()).collect()
    } else {
        ids.iter()
            .map(|id| match reports.iter().find(|r| r.id == *id) {
                Some(report) => serde_json::to_string(report).unwrap_or_default(),
                None => format!("{{\"id\":\"{id}\",\"phase\":\"unknown\"}}"),
            })
            .collect()
    };
    reply.array(texts.len());
    for text in texts {
        reply.bulk(text.as_bytes());
    }
}

/// `slot:epoch`, since an owner keeps no migration id.
fn durable(shared: &Shared, args: &Arguments<'_>) -> Result<(), String> {
    for index in 0..args.0.len() {
        let pair: String = args.get(index)?;
        let numbers =
            pair.split_once(':').and_then(|(s, e)| Some((s.parse().ok()?, e.parse().ok()?)));
        let (slot, epoch) = numbers.ok_or_else(|| format!("\"{pair}\" is not slot:epoch"))?;
        let slot =
            shared.slots.count().slot(slot).ok_or_else(|| format!("slot {slot} does not exist"))?;
        let state = shared.slots.cell(slot).read().state.clone();
        if state.epoch() < Epoch(epoch) || state.name() == "absent" {
            return Err(format!(
                "slot {slot} is not owned here since epoch {epoch}: it is {}",
                state.name()
            ));
        }
    }
    Ok(())
}

fn slot_of(shared: &Shared, id: MigrationId) -> Option<Slot> {
    shared.transfers.outgoing.lock().get(&id).map(|job| job.slot())
}

fn confirm(shared: &Arc<Shared>, id: MigrationId, attempt: u32, reply: &mut Reply<'_>) {
    let granted =
        slot_of(shared, id).and_then(|slot| match &shared.slots.cell(slot).read().state {
            SlotState::Granted { out, attempt, .. } if out.id == id => Some(*attempt),
            _ => None,
        });
    if granted.is_some_and(|k| k != attempt) {
        // The target has lost what it had: it must hear all of it again.
        source::grant_again(shared, id);
    }
    reply.array(1);
    reply.bulk(if granted == Some(attempt) { b"GRANTED" } else { b"NO" });
}

/// The words behind the word.
struct Arguments<'a>(&'a [Bytes]);

impl Arguments<'_> {
    fn bytes(&self, index: usize) -> Result<&[u8], String> {
        self.0.get(index).map(AsRef::as_ref).ok_or_else(|| "an argument is missing".to_owned())
    }

    fn get<T: FromStr>(&self, index: usize) -> Result<T, String> {
        let text = std::str::from_utf8(self.bytes(index)?)
            .map_err(|_| "an argument is not text".to_owned())?;
        text.parse().map_err(|_| format!("\"{text}\" is not what stands at place {index}"))
    }

    fn slot(&self, shared: &Shared, index: usize) -> Result<Slot, String> {
        let number = self.get(index)?;
        shared.slots.count().slot(number).ok_or_else(|| format!("slot {number} does not exist"))
    }

    fn ids(&self) -> Result<Vec<MigrationId>, String> {
        (0..self.0.len()).map(|i| self.get(i)).collect()
    }
}
