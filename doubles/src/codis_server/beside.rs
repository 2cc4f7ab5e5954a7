//! Moves beside the server's work: SLOTSMGRTONE-ASYNC, SLOTSMGRTTAGONE-ASYNC, SLOTSMGRTSLOT-ASYNC, SLOTSMGRTTAGSLOT-ASYNC.

use super::batch::{self, Batch};
use super::order::{Kept, Order, Reach, group, order, slot};
use super::{Codis, State};
use crate::commands::{Refused, int};
use crate::store::Bytes;
use crate::wire::{Broken, Link};
use protocol::frame::Value as Reply;
use protocol::reply::{Reply as Out, Version};
use protocol::request::encode_request;
use std::time::Duration;

/// What a reply of the four -ASYNC commands counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Keys,
    Slot(u16),
}

impl Codis {
    /// SLOTSMGRTONE-ASYNC, SLOTSMGRTTAGONE-ASYNC host port ms bulks bytes key …
    pub(super) async fn order_keys(
        &self,
        words: &[Bytes],
        database: i64,
        reach: Reach,
    ) -> Result<Vec<u8>, Refused> {
        let order = order(words)?;
        let keys = {
            let state = &mut *self.state.lock().await;
            refuse_if_busy(state, database)?;
            state.tick();
            let mut keys = Vec::new();
            for key in &words[6..] {
                for key in group(state, database, key, reach) {
                    if !keys.contains(&key) {
                        keys.push(key);
                    }
                }
            }
            // A key that is not there is named all the same, and nobody may write it meanwhile.
            words[6..].iter().for_each(|key| {
                if !keys.contains(key) {
                    keys.push(key.clone());
                }
            });
            keys
        };
        self.move_beside(order, database, keys, Asked::Keys).await
    }

    /// SLOTSMGRTSLOT-ASYNC, SLOTSMGRTTAGSLOT-ASYNC host port ms bulks bytes slot numkeys
    pub(super) async fn order_slot(
        &self,
        words: &[Bytes],
        database: i64,
        reach: Reach,
    ) -> Result<Vec<u8>, Refused> {
        let order = order(words)?;
        let invalid = |what: &str, at: usize| {
            Refused::from(format!(
                "ERR invalid value of {what} ({})",
                String::from_utf8_lossy(&words[at])
            ))
        };
        let slot = slot(&words[6]).map_err(|_| invalid("slot", 6))?;
        let most = int(&words[7]).filter(|most| *most >= 0).ok_or_else(|| invalid("numkeys", 7))?;
        let most = if most == 0 { 100 } else { most as usize };
        let keys = {
            let state = &mut *self.state.lock().await;
            refuse_if_busy(state, database)?;
            state.tick();
            let (mut keys, mut count) = (Vec::new(), 0);
            let all: Vec<Bytes> = state.places(database).keys(slot).take(most).cloned().collect();
            for key in all {
                if count >= most {
                    break;
                }
                for key in group(state, database, &key, reach) {
                    let store = state.store(database);
                    if let Some(entry) = store.entry(&key).filter(|_| !keys.contains(&key)) {
                        count += batch::messages(&entry.value, order.bulks);
                        keys.push(key);
                    }
                }
            }
            keys
        };
        self.move_beside(order, database, keys, Asked::Slot(slot)).await
    }

    /// Sends a batch while others are served; its caller waits.
    async fn move_beside(
        &self,
        order: Order,
        database: i64,
        keys: Vec<Bytes>,
        asked: Asked,
    ) -> Result<Vec<u8>, Refused> {
        let mut kept = self.beside.lock().await.remove(&database);
        let address = format!("{}:{}", order.host, order.port);
        if kept.as_ref().is_none_or(|kept| kept.address != address) {
            // A connection is waited for 100 ms at most.
            let limit = order.limit.min(Duration::from_millis(100));
            let link = Link::connect(&order.host, order.port, limit).await;
            let failed = |_| Refused::from(format!("ERR create client to {address} failed"));
            let link = link.map_err(failed)?;
            kept = Some(Kept { address, link, database: None });
        }
        let Some(mut kept) = kept else { return Err("ERR create client failed".into()) };
        kept.link.set_limit(order.limit);
        let (messages, cancel, pace) = {
            let state = &mut *self.state.lock().await;
            refuse_if_busy(state, database)?;
            state.tick();
            let batch = Batch::new(&keys);
            let cancel = batch.cancel.clone();
            let messages = batch::written(state.store(database), &keys, &order);
            state.batches.insert(database, batch);
            (greeted(state, &mut kept, database, messages), cancel, state.settings.pace)
        };
        let result = tokio::select! {
            () = cancel.cancelled() => Err("interrupted: canceled"),
            sent = acknowledged(&mut kept.link, &messages, order.bytes, pace) => sent,
        };
        let state = &mut *self.state.lock().await;
        state.tick();
        let mut reply = Vec::new();
        match result {
            Ok(()) => {
                let store = state.store(database);
                let there: Vec<_> = keys.iter().filter(|key| store.has(key)).collect();
                let out = &mut Out::new(&mut reply, Version::Resp2);
                if let Asked::Slot(slot) = asked {
                    // Counted before the keys of this batch go.
                    out.array(2);
                    out.int(there.len() as i64);
                    out.int(store.places.as_ref().map_or(0, |places| places.count(slot)) as i64);
                } else {
                    out.int(there.len() as i64);
                }
                there.into_iter().for_each(|key| {
                    store.remove(key);
                });
                self.beside.lock().await.insert(database, kept);
            }
            Err(why) => Out::new(&mut reply, Version::Resp2).error(format!("ERR {why}")),
        }
        if let Some(batch) = state.batches.remove(&database) {
            batch.done.send_replace(Some(reply.clone()));
        }
        Ok(reply)
    }
}

/// The messages, with log-in and database in front on a new connection, which only a batch with keys needs.
fn greeted(
    state: &State,
    kept: &mut Kept,
    database: i64,
    messages: Vec<batch::Message>,
) -> Vec<batch::Message> {
    if messages.is_empty() || kept.database.is_some() {
        return messages;
    }
    kept.database = Some(database);
    let mut all = Vec::new();
    let mut push = |name: &[u8], word: &[u8]| {
        let mut frame = Vec::new();
        encode_request(&mut frame, &[name, word]);
        all.push(batch::Message(frame));
    };
    if !state.settings.password.is_empty() {
        push(b"SLOTSRESTORE-ASYNC-AUTH", state.settings.password.as_bytes());
    }
    push(b"SLOTSRESTORE-ASYNC-SELECT", database.to_string().as_bytes());
    all.extend(messages);
    all
}

fn refuse_if_busy(state: &State, database: i64) -> Result<(), Refused> {
    if state.batches.contains_key(&database) {
        return Err("ERR the specified DB is being migrated".into());
    }
    Ok(())
}

/// Sends messages, at most about `bytes` ahead of their acknowledgements.
async fn acknowledged(
    link: &mut Link,
    messages: &[batch::Message],
    bytes: usize,
    pace: Duration,
) -> Result<(), &'static str> {
    let broken = |broken| match broken {
        Broken::Timeout => "interrupted: migration timeout",
        Broken::Closed => "interrupted: connection closed",
    };
    let mut rest = messages;
    while !rest.is_empty() {
        let mut frames = Vec::new();
        let mut count = 0;
        while count < rest.len() && (count == 0 || frames.len() < bytes) {
            frames.extend_from_slice(&rest[count].0);
            count += 1;
        }
        tokio::time::sleep(pace * count as u32).await;
        link.send(&frames).await.map_err(broken)?;
        for _ in 0..count {
            let ack = link.receive().await.map_err(broken)?;
            let code = ack.as_items().and_then(|items| items.get(1)).and_then(Reply::as_int);
            if code != Some(0) {
                return Err("interrupted: connection closed");
            }
        }
        rest = &rest[count..];
    }
    Ok(())
}
