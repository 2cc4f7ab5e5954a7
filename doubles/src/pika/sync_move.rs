//! SLOTSMGRTTAGONE, SLOTSMGRTONE, SLOTSMGRTTAGSLOT, SLOTSMGRTSLOT: moves while the caller waits (`pika-node-contract.md` §2.4).
//!
//! One lock of the whole process is held over the exchange with the target. The connections to targets are kept; no AUTH is sent on them.

use super::data::Data;
use super::index::{self, Sets};
use super::settings::Fault;
use super::{Pika, parcel};
use crate::commands::{Refused, int};
use crate::store::{Bytes, Set};
use crate::wire::{Broken, Link};
use protocol::frame::Value as Reply;
use protocol::reply::errors;
use protocol::request::encode_request;
use std::collections::HashMap;
use std::time::Duration;

/// The connections to targets, by address.
pub(crate) type Links = HashMap<String, Link>;

/// Where to, and how long each step may take.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub host: String,
    pub port: u16,
    pub limit: Duration,
}

impl Target {
    fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Words 1 to 3: host, port, limit in milliseconds.
fn target(pika: &Pika, words: &[Bytes]) -> Result<Target, Refused> {
    let host = String::from_utf8_lossy(&words[1]).to_lowercase();
    let port = int(&words[2]).unwrap_or(0);
    if int(&words[2]).is_none() || !(0..=65535).contains(&port) {
        return Err(format!("ERR invalid port number {port}").into());
    }
    let port = port as u16;
    if pika.is_self(&host, port) {
        return Err("ERR destination address error".into());
    }
    let limit = int(&words[3]).ok_or(Refused::from(errors::NOT_INTEGER))?;
    if limit < 0 {
        return Err(format!("ERR invalid timeout number {limit}").into());
    }
    let limit = if limit == 0 { 100 } else { limit.unsigned_abs() };
    Ok(Target { host, port, limit: Duration::from_millis(limit) })
}

/// Why a key was not moved: the text behind `ERR `.
type Detail = String;

impl Pika {
    /// SLOTSMGRTTAGONE host port ms key: how many keys were moved.
    pub(super) async fn move_key(&self, words: &[Bytes]) -> Result<i64, Refused> {
        if words.len() != 5 {
            return Err(errors::arity("slotsmgrttagslot").into());
        }
        let target = target(self, words)?;
        self.refuse_without_slotmigrate()?;
        let key = &words[4];
        if !self.is_there(key) {
            return Ok(0);
        }
        let mut links = self.links.lock().await;
        let letter = {
            let data = &mut *self.data();
            let there = data.store.has(key);
            if !there && data.has(Fault::LoserRefused) && index::tag_set(key).is_none() {
                return Err("ERR cont get the key type.".into());
            }
            // Without the fault: a missing key is looked up as a string that is not there, and 0 is the answer.
            data.looked_up(key).unwrap_or(b'k')
        };
        let moved = self.move_group(&target, (letter, key), &mut links).await;
        moved.map_err(|detail| {
            let detail = if detail.is_empty() { "Unknown Error".to_owned() } else { detail };
            format!("ERR {detail}").into()
        })
    }

    /// Whether a move of this key finds anything: the key itself, or a key of its tag in the tag's set.
    fn is_there(&self, key: &[u8]) -> bool {
        let data = &mut *self.data();
        match index::tag_set(key) {
            None => data.store.has(key),
            Some(tag) => data.store.has(&tag),
        }
    }

    /// SLOTSMGRTTAGSLOT host port ms slot: moved and left. Takes the first key of the slot's set, with its tag.
    pub(super) async fn move_from_slot(&self, words: &[Bytes]) -> Result<(i64, i64), Refused> {
        if words.len() != 5 {
            return Err(errors::arity("slotsmgrttagslot").into());
        }
        let target = target(self, words)?;
        let slot = int(&words[4]).ok_or(Refused::from(errors::NOT_INTEGER))?;
        if slot < 0 || self.data().slots().slot(slot.unsigned_abs()).is_none() {
            return Err(format!("ERR invalid slot number {slot}").into());
        }
        self.refuse_without_slotmigrate()?;
        let left = index::count(&mut self.data().store, slot).unwrap_or(0) as i64;
        // Somebody else in here: nothing is moved, and that is no error.
        let Ok(mut links) = self.links.try_lock() else { return Ok((0, left)) };
        let first = index::members(&mut self.data().store, &index::slot_set(slot), None, 1);
        let Some(member) = first.first().filter(|_| left > 0) else { return Ok((0, left)) };
        let entry = (member[0], &member[1..]);
        match self.move_group(&target, entry, &mut links).await {
            Ok(moved) => Ok((moved, left - moved)),
            Err(detail) => Err(format!("ERR {detail}").into()),
        }
    }

    fn refuse_without_slotmigrate(&self) -> Result<(), Refused> {
        if self.data().settings.slotmigrate {
            Ok(())
        } else {
            Err("ERR not set slotmigrate".into())
        }
    }

    /// Moves a key, or all keys of its tag; how many.
    async fn move_group(
        &self,
        target: &Target,
        (letter, key): (u8, &[u8]),
        links: &mut Links,
    ) -> Result<i64, Detail> {
        let Some(tag) = index::tag_set(key) else {
            return self.move_one(target, (letter, key), links).await;
        };
        let members = match self.data().store.find::<Set>(&tag) {
            Ok(set) => set.map(|set| set.iter().cloned().collect::<Vec<_>>()).unwrap_or_default(),
            Err(_) => return Err(String::new()),
        };
        let mut moved = 0;
        for member in members {
            moved += self.move_one(target, (member[0], &member[1..]), links).await?;
        }
        Ok(moved)
    }

    /// Moves one key: 1, or 0 if it is not there, when only its entry in the index goes.
    async fn move_one(
        &self,
        target: &Target,
        (letter, key): (u8, &[u8]),
        links: &mut Links,
    ) -> Result<i64, Detail> {
        let link = self.link(target, links).await?;
        let (parcel, pace) = {
            let data = &mut *self.data();
            let parcel = parcel::whole(data, letter, key);
            (parcel.map_err(|_| "ParseKey failed".to_owned())?, data.settings.pace)
        };
        tokio::time::sleep(pace).await;
        if parcel.commands > 0
            && let Err((detail, broken)) = exchange(link, &parcel, self).await
        {
            if broken {
                links.remove(&target.address());
            }
            return Err(detail);
        }
        let data = &mut *self.data();
        if parcel.commands > 0 {
            // The read cache is not told.
            data.store.remove(key);
        }
        let slots = data.slots();
        index::remove(&mut data.store, slots, (letter, key), Sets::SlotAndTag);
        Ok(i64::from(parcel.commands > 0))
    }

    async fn link<'a>(
        &self,
        target: &Target,
        links: &'a mut Links,
    ) -> Result<&'a mut Link, Detail> {
        let address = target.address();
        if !links.contains_key(&address) {
            let link = Link::connect(&target.host, target.port, target.limit).await;
            let refused = |_: Broken| "IOERR error or timeout connecting to the client".to_owned();
            let mut link = link.map_err(refused)?;
            if let Some(login) = self.sync_login() {
                link.send(&login).await.map_err(refused)?;
                link.receive().await.map_err(refused)?;
            }
            links.insert(address.clone(), link);
        }
        let link = links.get_mut(&address).ok_or_else(String::new)?;
        link.set_limit(target.limit);
        Ok(link)
    }

    /// The AUTH that 4.0.1 does not send.
    fn sync_login(&self) -> Option<Vec<u8>> {
        let data: &Data = &self.data();
        if data.settings.password.is_empty() || data.has(Fault::SyncWithoutAuth) {
            return None;
        }
        let mut login = Vec::new();
        encode_request(&mut login, &[b"AUTH", data.settings.password.as_bytes()]);
        Some(login)
    }
}

/// Sends and reads all replies; the detail, and whether the connection is of no more use.
async fn exchange(
    link: &mut Link,
    parcel: &parcel::Parcel,
    pika: &Pika,
) -> Result<(), (Detail, bool)> {
    let failed = |step: &str, broken: Broken| {
        let why = match (broken, step) {
            (Broken::Timeout, "Send") => "Timeout: Send timeout",
            (Broken::Timeout, _) => "Timeout: ",
            (Broken::Closed, _) => "IO error: Read null",
        };
        (format!("Connect slots target, {step} error: {why}"), true)
    };
    link.send(&parcel.bytes).await.map_err(|broken| failed("Send", broken))?;
    let streams_break = pika.data().has(Fault::Streams);
    for _ in 0..parcel.commands {
        let reply = link.receive().await.map_err(|broken| failed("Recv", broken))?;
        if !parcel::accepted(&reply, streams_break) {
            // The replies behind it stay unread on the kept connection.
            let text = match &reply {
                Reply::Error(line) => line.clone(),
                other => other.as_str().unwrap_or_default().to_owned(),
            };
            return Err((format!("something wrong with slots migrate, reply: {text}"), false));
        }
    }
    Ok(())
}
