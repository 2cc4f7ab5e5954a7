//! The migration thread at work: rounds of keys, shared out to senders.
//!
//! A round is what one ASYNC or wrapper asks for: the keys wrappers have asked for, then `numkeys` of the slot's set. Between reading a key
//! and deleting it no lock keeps a client's write away: such a write is lost, as in Pika.

use super::super::data::Data;
use super::super::index::{self, Sets};
use super::super::settings::Fault;
use super::super::{Pika, parcel};
use super::{Filed, Job};
use crate::store::Bytes;
use crate::wire::Link;
use protocol::request::encode_request;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;

/// After so long a round counts as done.
const ROUND_MAX: Duration = Duration::from_secs(60);

/// A sender's work ended: how many keys it moved, or that one failed. With its connection.
type Sent = Result<(Link, usize), ()>;

/// Whether the thread sees to its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Own,
    Cancelled,
}

/// The thread, from its start to its end.
pub(super) async fn thread(pika: Arc<Pika>, job: Job) {
    let Some(mut idle) = connect(&pika, &job).await else {
        return finish(&pika, JoinSet::new(), End::Own).await;
    };
    let mut cursor: Option<Bytes> = None;
    let migrator = &pika.migrator;
    while !migrator.exit.load(Ordering::SeqCst) {
        while !migrator.requested.swap(false, Ordering::SeqCst) {
            migrator.wake.notified().await;
        }
        if migrator.exit.load(Ordering::SeqCst) {
            return finish(&pika, JoinSet::new(), End::Cancelled).await;
        }
        let keys = migrator.job.lock().await.keys;
        fill(&pika, job.slot, keys, &mut cursor);
        let mut senders = JoinSet::new();
        for link in idle.drain(..) {
            senders.spawn(send(Arc::clone(&pika), link));
        }
        let done = wait(&pika, &mut senders, &mut idle).await;
        if migrator.exit.load(Ordering::SeqCst) {
            return finish(&pika, senders, End::Cancelled).await;
        }
        let Ok(moved) = done else { return finish(&pika, senders, End::Own).await };
        migrator.job.lock().await.moved += moved;
        migrator.queues.lock().round.clear();
        let empty = index::count(&mut pika.data().store, job.slot).is_none();
        if empty {
            return finish(&pika, senders, End::Own).await;
        }
    }
    // Only after CANCEL and a wrapper: nobody sets the state back (`pika-live.md` §4.6).
    migrator.runs.store(false, Ordering::SeqCst);
}

/// Connects the senders and logs in with the source's own password.
async fn connect(pika: &Arc<Pika>, job: &Job) -> Option<Vec<Link>> {
    let (count, password) = {
        let data: &Data = &pika.data();
        (data.settings.senders, data.settings.password.clone())
    };
    let mut hello = Vec::new();
    if password.is_empty() {
        encode_request(&mut hello, &[b"ping"]);
    } else {
        encode_request(&mut hello, &[b"auth", password.as_bytes()]);
    }
    let mut links = Vec::new();
    for _ in 0..count {
        let target = &job.target;
        let mut link = Link::connect(&target.host, target.port, target.limit).await.ok()?;
        link.send(&hello).await.ok()?;
        let reply = link.receive().await.ok()?;
        let text = reply.as_error().or_else(|| reply.as_str()).unwrap_or("").to_lowercase();
        if text != "ok" && text != "pong" && !text.contains("no password") {
            return None;
        }
        links.push(link);
    }
    Some(links)
}

/// Queues what wrappers have asked for, in front, and the next `keys` of the slot's set.
fn fill(pika: &Pika, slot: i64, keys: usize, cursor: &mut Option<Bytes>) {
    let queues = &mut *pika.migrator.queues.lock();
    while let Some(filed) = queues.asked.pop_front() {
        queues.round.insert(filed.clone());
        queues.keys.push_front(filed);
    }
    let data = &mut *pika.data();
    data.tick();
    let members = index::members(&mut data.store, &index::slot_set(slot), cursor.as_ref(), keys);
    // At the end of the set the cursor begins anew.
    *cursor = if members.len() < keys { None } else { members.last().cloned() };
    for member in members {
        let filed: Filed = (member[0], member[1..].to_vec());
        if queues.round.insert(filed.clone()) {
            queues.keys.push_back(filed);
        }
    }
}

/// Waits for the senders; how many keys they moved. Ends early when one has failed, or at CANCEL.
async fn wait(
    pika: &Arc<Pika>,
    senders: &mut JoinSet<Sent>,
    idle: &mut Vec<Link>,
) -> Result<usize, ()> {
    let round = async {
        let mut moved = 0;
        while let Some(sent) = senders.join_next().await {
            let (link, count) = sent.map_err(|_| ()).and_then(|sent| sent)?;
            moved += count;
            idle.push(link);
            if pika.migrator.exit.load(Ordering::SeqCst) {
                break;
            }
        }
        Ok(moved)
    };
    tokio::time::timeout(ROUND_MAX, round).await.unwrap_or(Ok(0))
}

/// One sender: takes keys from the queue, sends them all, reads all replies, then deletes them.
async fn send(pika: Arc<Pika>, mut link: Link) -> Sent {
    let mut moved = 0;
    loop {
        let (most, pace, streams_break) = {
            let data: &Data = &pika.data();
            (data.settings.keys_per_exchange, data.settings.pace, data.has(Fault::Streams))
        };
        let batch: Vec<Filed> = {
            let queue = &mut pika.migrator.queues.lock().keys;
            let count = most.min(queue.len());
            queue.drain(..count).collect()
        };
        if batch.is_empty() || pika.migrator.exit.load(Ordering::SeqCst) {
            return Ok((link, moved));
        }
        let (mut bytes, mut commands) = (Vec::new(), 0);
        for (letter, key) in &batch {
            let parcel = {
                let data = &mut *pika.data();
                data.tick();
                parcel::piecewise(data, *letter, key)
            };
            let Ok(parcel) = parcel else {
                // What the batch had sent so far has left already.
                let _ = link.send(&bytes).await;
                return Err(());
            };
            bytes.extend_from_slice(&parcel.bytes);
            commands += parcel.commands;
        }
        tokio::time::sleep(pace * batch.len() as u32).await;
        link.send(&bytes).await.map_err(|_| ())?;
        for _ in 0..commands {
            let reply = link.receive().await.map_err(|_| ())?;
            if !parcel::accepted(&reply, streams_break) {
                return Err(());
            }
        }
        for (letter, key) in &batch {
            if !delete(&pika, *letter, key) {
                return Err(());
            }
        }
        moved += batch.len();
    }
}

/// Deletes a key that has been sent: first its entry in the index, then the key; the cache only under a wrong name. False at the crash
/// between the two that [`Fault::CrashBehindIndex`] arms.
fn delete(pika: &Arc<Pika>, letter: u8, key: &[u8]) -> bool {
    let data = &mut *pika.data();
    let slots = data.slots();
    if !index::remove(&mut data.store, slots, (letter, key), Sets::Slot) {
        // Without a set of the slot nothing is deleted.
        return true;
    }
    if data.has(Fault::CrashBehindIndex) {
        data.settings.faults.remove(Fault::CrashBehindIndex);
        let pika = Arc::clone(pika);
        tokio::spawn(async move { pika.restart().await });
        return false;
    }
    if data.has(Fault::CacheGhosts) {
        data.cache.remove(&[&[letter], key].concat());
    }
    data.store.remove(key);
    true
}

/// The end of the thread: under the state lock it waits for what its senders still have under way.
async fn finish(pika: &Arc<Pika>, mut senders: JoinSet<Sent>, end: End) {
    let migrator = &pika.migrator;
    let mut job = migrator.job.lock().await;
    {
        let queues = &mut *migrator.queues.lock();
        queues.keys.clear();
        queues.round.clear();
    }
    while senders.join_next().await.is_some() {}
    if end == End::Own {
        let ending = pika.data().settings.ending;
        tokio::time::sleep(ending).await;
    }
    job.migrating = false;
    job.moved = 0;
    migrator.runs.store(false, Ordering::SeqCst);
}
