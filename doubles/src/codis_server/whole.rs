//! Moves while the server stands still: SLOTSMGRTONE, SLOTSMGRTTAGONE, SLOTSMGRTSLOT, SLOTSMGRTTAGSLOT, by one SLOTSRESTORE.

use super::order::{Kept, Reach, group, limit, slot};
use super::{Codis, State, payload};
use crate::commands::{Refused, int};
use crate::store::Bytes;
use crate::wire::{Broken, Link};
use protocol::frame::Value as Reply;
use protocol::request::encode_request;
use std::time::Duration;

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
