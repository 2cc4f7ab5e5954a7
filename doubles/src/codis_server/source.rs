//! The source's side: moves while the server stands still (SLOTSMGRT*), and moves beside its work (SLOTSMGRT*-ASYNC).

use super::batch::{self, Batch, Order};
use super::{Codis, State, payload};
use crate::commands::{Refused, int};
use crate::store::{Bytes, Places};
use crate::wire::{Broken, Link};
use protocol::frame::Value as Reply;
use protocol::reply::{Reply as Out, Version, errors};
use protocol::request::encode_request;
use std::time::Duration;

/// A kept connection to a target.
#[derive(Debug)]
pub(crate) struct Kept {
    address: String,
    link: Link,
    /// The database the other side is in; none before the first.
    database: Option<i64>,
}

/// Whether a key's tag group goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Key,
    Tag,
}

/// What a reply of the four -ASYNC commands counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Keys,
    Slot(u16),
}

fn number(word: &[u8]) -> Result<i64, Refused> {
    let number = int(word).ok_or(Refused::from(errors::NOT_INTEGER))?;
    if i32::try_from(number).is_err() {
        return Err("ERR value is out of range".into());
    }
    Ok(number)
}

/// A slot's number.
pub(crate) fn slot(word: &[u8]) -> Result<u16, Refused> {
    let slot = number(word)?;
    if !(0..1024).contains(&slot) {
        return Err(format!("ERR invalid slot number = {slot}").into());
    }
    Ok(slot as u16)
}

/// The keys of the group that exist.
fn group(state: &mut State, database: i64, key: &[u8], reach: Reach) -> Vec<Bytes> {
    let store = state.store(database);
    let all = match (reach, &store.places) {
        (Reach::Tag, Some(places)) => Places::group(places, key),
        _ => vec![key.to_vec()],
    };
    all.into_iter().filter(|key| store.has(key)).collect()
}

impl Codis {
    /// SLOTSMGRTONE, SLOTSMGRTTAGONE host port ms key. The whole server waits.
    pub(super) async fn move_key(
        &self,
        words: &[Bytes],
        database: i64,
        reach: Reach,
    ) -> Result<i64, Refused> {
        let limit = limit(&words[3])?;
        let state = &mut *self.state.lock().await;
        state.tick();
        let keys = group(state, database, &words[4], reach);
        self.send_whole(state, words, limit, (database, &keys)).await
    }

    /// SLOTSMGRTSLOT, SLOTSMGRTTAGSLOT host port ms slot: moved and left.
    pub(super) async fn move_from_slot(
        &self,
        words: &[Bytes],
        database: i64,
        reach: Reach,
    ) -> Result<(i64, i64), Refused> {
        let (limit, slot) = (limit(&words[3])?, slot(&words[4])?);
        let state = &mut *self.state.lock().await;
        state.tick();
        let first = state.places(database).keys(slot).next().cloned();
        let mut moved = 0;
        if let Some(key) = first {
            let keys = group(state, database, &key, reach);
            moved = self.send_whole(state, words, limit, (database, &keys)).await?;
        }
        Ok((moved, state.places(database).count(slot) as i64))
    }

    /// Sends keys in one SLOTSRESTORE and deletes them.
    async fn send_whole(
        &self,
        state: &mut State,
        words: &[Bytes],
        limit: Duration,
        (database, keys): (i64, &[Bytes]),
    ) -> Result<i64, Refused> {
        let address =
            (String::from_utf8_lossy(&words[1]).into_owned(), int(&words[2]).unwrap_or(0) as u16);
        let named = format!("{}:{}", address.0, address.1);
        if state.kept.as_ref().is_none_or(|kept| kept.address != named) {
            let link =
                Link::connect(&address.0, address.1, limit).await.map_err(
                    |broken| match broken {
                        Broken::Timeout => {
                            Refused::from("IOERR error or timeout connecting to the client")
                        }
                        Broken::Closed => {
                            "ERR Can't connect to target node: Connection refused".into()
                        }
                    },
                )?;
            state.kept = Some(Kept { address: named, link, database: None });
        }
        if keys.is_empty() {
            return Ok(0);
        }
        let Some(mut kept) = state.kept.take() else { return Ok(0) };
        kept.link.set_limit(limit);
        let frame = whole(state, (database, keys));
        let password = state.settings.password.clone();
        exchange(&mut kept, database, &password, &frame).await?;
        state.kept = Some(kept);
        let store = state.store(database);
        keys.iter().for_each(|key| {
            store.remove(key);
        });
        Ok(keys.len() as i64)
    }

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
            (self.greeted(state, &mut kept, database, messages), cancel, state.settings.pace)
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

    /// The messages, with log-in and database in front on a new connection, which only a batch with keys needs.
    fn greeted(
        &self,
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
}

fn refuse_if_busy(state: &State, database: i64) -> Result<(), Refused> {
    if state.batches.contains_key(&database) {
        return Err("ERR the specified DB is being migrated".into());
    }
    Ok(())
}

fn limit(word: &[u8]) -> Result<Duration, Refused> {
    match number(word)? {
        limit if limit < 0 => Err(format!("ERR invalid timeout = {limit}").into()),
        0 => Ok(Duration::from_millis(100)),
        limit => Ok(Duration::from_millis(limit.unsigned_abs())),
    }
}

/// Arguments 1 to 5: host, port, timeout, bulks, bytes; 0 is a default.
fn order(words: &[Bytes]) -> Result<Order, Refused> {
    let number = |at: usize, name: &str, least: i64| {
        let found = int(&words[at]).filter(|n| *n >= least && *n <= i32::MAX.into());
        let shown = String::from_utf8_lossy(&words[at]);
        found.ok_or_else(|| Refused::from(format!("ERR invalid value of {name} ({shown})")))
    };
    let or = |number: i64, default: i64| if number == 0 { default } else { number };
    let port = number(2, "port", 1)?;
    Ok(Order {
        host: String::from_utf8_lossy(&words[1]).into_owned(),
        port: u16::try_from(port).map_err(|_| format!("ERR invalid value of port ({port})"))?,
        limit: Duration::from_millis(or(number(3, "timeout", 0)?, 30_000).unsigned_abs()),
        bulks: or(number(4, "maxbulks", 0)?, 200).min(512 << 10) as usize,
        bytes: or(number(5, "maxbytes", 0)?, 512 << 10) as usize,
    })
}

/// One SLOTSRESTORE of all keys.
fn whole(state: &mut State, (database, keys): (i64, &[Bytes])) -> Vec<u8> {
    let store = state.store(database);
    let now_ms = store.now_ms;
    let mut words = vec![b"SLOTSRESTORE".to_vec()];
    for key in keys {
        let Some(entry) = store.entry(key) else { continue };
        let left = entry.ends_ms.map_or(0, |ends| (ends - now_ms).max(1));
        words.extend([key.clone(), left.to_string().into_bytes(), payload::encode(&entry.value)]);
    }
    let mut frame = Vec::new();
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    encode_request(&mut frame, &words);
    frame
}

/// Log-in, database and keys in one write, then their replies.
async fn exchange(
    kept: &mut Kept,
    database: i64,
    password: &str,
    keys: &[u8],
) -> Result<(), Refused> {
    let mut frames = Vec::new();
    let mut steps = Vec::new();
    if kept.database.is_none() && !password.is_empty() {
        encode_request(&mut frames, &[b"AUTH", password.as_bytes()]);
        steps.push("auth");
    }
    if kept.database != Some(database) {
        encode_request(&mut frames, &[b"SELECT", database.to_string().as_bytes()]);
        steps.push("select");
    }
    frames.extend_from_slice(keys);
    steps.push("migration");
    let lost = |what: &str| Refused::from(format!("IOERR error or timeout {what} target"));
    kept.link.send(&frames).await.map_err(|_| lost("writing to"))?;
    for step in steps {
        let reply = kept.link.receive().await.map_err(|_| lost("reading from"))?;
        if matches!(reply, Reply::Error(_)) {
            return Err(format!("ERR error on slotsrestore, {step} failed").into());
        }
    }
    kept.database = Some(database);
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
