//! The arguments of the commands that move: where to, how long, how much, and what goes along.

use super::State;
use crate::commands::{Refused, int};
use crate::store::{Bytes, Places};
use crate::wire::Link;
use protocol::reply::errors;
use std::time::Duration;

/// Arguments 1 to 5 of the four commands.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub host: String,
    pub port: u16,
    pub limit: Duration,
    pub bulks: usize,
    pub bytes: usize,
}

/// A kept connection to a target.
#[derive(Debug)]
pub(crate) struct Kept {
    pub address: String,
    pub link: Link,
    /// The database the other side is in; none before the first.
    pub database: Option<i64>,
}

/// Whether a key's tag group goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Key,
    Tag,
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
pub(crate) fn group(state: &mut State, database: i64, key: &[u8], reach: Reach) -> Vec<Bytes> {
    let store = state.store(database);
    let all = match (reach, &store.places) {
        (Reach::Tag, Some(places)) => Places::group(places, key),
        _ => vec![key.to_vec()],
    };
    all.into_iter().filter(|key| store.has(key)).collect()
}

/// A timeout in milliseconds.
pub(crate) fn limit(word: &[u8]) -> Result<Duration, Refused> {
    match number(word)? {
        limit if limit < 0 => Err(format!("ERR invalid timeout = {limit}").into()),
        0 => Ok(Duration::from_millis(100)),
        limit => Ok(Duration::from_millis(limit.unsigned_abs())),
    }
}

/// Arguments 1 to 5: host, port, timeout, bulks, bytes; 0 is a default.
pub(crate) fn order(words: &[Bytes]) -> Result<Order, Refused> {
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
