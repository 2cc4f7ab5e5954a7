//! CONFIG GET and SET: what a dashboard, a proxy and their tools read or change (`pika-node-contract.md` §3.7).

use super::data::Data;
use super::settings::Fault;
use crate::commands::{Refused, int};
use crate::store::Bytes;
use protocol::glob;
use protocol::reply::Reply;

/// Names and values in the order Pika gives them.
fn all(data: &Data, port: u16) -> Vec<(&'static str, String)> {
    let settings = &data.settings;
    let cache = if data.has(Fault::CacheGhosts) { "1" } else { "0" };
    vec![
        ("port", port.to_string()),
        ("thread-num", "1".to_owned()),
        ("maxmemory", "268435456".to_owned()),
        ("timeout", "60".to_owned()),
        ("requirepass", settings.password.clone()),
        ("masterauth", String::new()),
        ("instance-mode", "classic".to_owned()),
        ("databases", "1".to_owned()),
        ("slotmigrate", if settings.slotmigrate { "yes" } else { "no" }.to_owned()),
        ("slotmigrate-thread-num", settings.senders.to_string()),
        ("thread-migrate-keys-num", settings.keys_per_exchange.to_string()),
        ("maxclients", "20000".to_owned()),
        ("write-binlog", "yes".to_owned()),
        ("slave-priority", "100".to_owned()),
        ("save", String::new()),
        ("appendonly", "no".to_owned()),
        ("default-slot-num", settings.slots.get().to_string()),
        ("cache-model", cache.to_owned()),
    ]
}

/// CONFIG subcommand …
pub(crate) fn config(
    data: &mut Data,
    port: u16,
    words: &[Bytes],
    out: &mut Reply<'_>,
) -> Result<(), Refused> {
    let word = |at: usize| words.get(at).map(|word| String::from_utf8_lossy(word).to_lowercase());
    match word(1).unwrap_or_default().as_str() {
        "get" if words.len() == 3 => {
            let pattern = word(2).unwrap_or_default();
            let found: Vec<_> = all(data, port)
                .into_iter()
                .filter(|(name, _)| glob::matches(pattern.as_bytes(), name.as_bytes()))
                .collect();
            out.array(found.len() * 2);
            for (name, value) in found {
                out.bulk(name.as_bytes());
                out.bulk(value.as_bytes());
            }
        }
        "set" if words.len() == 4 => {
            set(data, &word(2).unwrap_or_default(), &words[3])?;
            out.ok();
        }
        "rewrite" | "resetstat" if words.len() == 2 => out.ok(),
        name @ ("get" | "set" | "rewrite" | "resetstat") => {
            return Err(format!("ERR Wrong number of arguments for CONFIG {name}").into());
        }
        _ => return Err("ERR CONFIG subcommand must be one of GET, SET, RESETSTAT, REWRITE".into()),
    }
    Ok(())
}

fn set(data: &mut Data, name: &str, value: &[u8]) -> Result<(), Refused> {
    let shown = String::from_utf8_lossy(value).into_owned();
    let invalid =
        || Refused::from(format!("ERR Invalid argument '{shown}' for CONFIG SET '{name}'"));
    let settings = &mut data.settings;
    match name {
        "slotmigrate" => match value {
            b"yes" => settings.slotmigrate = true,
            b"no" => settings.slotmigrate = false,
            _ => return Err(invalid()),
        },
        "slotmigrate-thread-num" => {
            let count = int(value).ok_or_else(invalid)?;
            settings.senders = if (1..=24).contains(&count) { count as usize } else { 8 };
        }
        "thread-migrate-keys-num" => {
            let count = int(value).ok_or_else(invalid)?;
            settings.keys_per_exchange =
                if (8..=128).contains(&count) { count as usize } else { 64 };
        }
        "requirepass" => settings.password = shown,
        "cache-model" if value == b"0" => settings.faults.remove(Fault::CacheGhosts),
        "cache-model" => settings.faults.add(Fault::CacheGhosts),
        "masterauth" | "userpass" | "timeout" | "maxclients" | "slave-priority" => {}
        _ => return Err(format!("ERR Unsupported CONFIG parameter: {name}").into()),
    }
    Ok(())
}
