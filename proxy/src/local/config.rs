//! CONFIG: our own settings under Redis' names, and what clients ask for at the start.

use super::{Answer, Asks};
use crate::shared::Shared;
use protocol::glob::matches;
use protocol::help;
use protocol::number::parse_int;
use protocol::reply::{Reply, errors};
use service::config_file::{self, Setting};

pub(super) fn config(asks: &Asks<'_>, reply: &mut Reply<'_>) -> Answer {
    match asks.subcommand()? {
        "get" => {
            let patterns: Vec<Vec<u8>> = asks.args(2).map(<[u8]>::to_ascii_lowercase).collect();
            let mut found = settings(&asks.worker.shared);
            found.retain(|(name, _)| {
                patterns.iter().any(|pattern| matches(pattern, name.as_bytes()))
            });
            reply.map(found.len());
            for (name, value) in found {
                reply.bulk(name.as_bytes());
                reply.bulk(value.as_bytes());
            }
        }
        "set" => return set(asks, reply),
        "resetstat" => reply.ok(),
        "rewrite" => return rewrite(&asks.worker.shared, reply),
        _ => reply.help("CONFIG", help::CONFIG),
    }
    Ok(())
}

/// Every setting and its value. Those that mean nothing to a proxy have the value that promises nothing.
fn settings(shared: &Shared) -> Vec<(&'static str, String)> {
    let (live, limits) = (&shared.live, &shared.config.limits);
    let slow_us = i64::try_from(live.slow_us()).unwrap_or(-1);
    vec![
        ("appendfsync", "everysec".to_owned()),
        ("appendonly", "no".to_owned()),
        ("client-query-buffer-limit", limits.request.frame_bytes_max.to_string()),
        ("cluster-enabled", "no".to_owned()),
        ("databases", shared.config.databases.to_string()),
        ("io-threads", shared.config.workers.to_string()),
        ("maxclients", live.clients_max().to_string()),
        ("maxmemory", "0".to_owned()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("notify-keyspace-events", String::new()),
        ("proto-max-bulk-len", limits.request.bulk_bytes_max.to_string()),
        ("requirepass", live.password().map_or_else(String::new, |p| p.to_string())),
        ("save", String::new()),
        ("slowlog-log-slower-than", slow_us.to_string()),
        ("slowlog-max-len", live.slow_len_max().to_string()),
        ("timeout", live.client_idle_max().as_secs().to_string()),
    ]
}

/// All pairs are checked before the first is set.
fn set(asks: &Asks<'_>, reply: &mut Reply<'_>) -> Answer {
    if !asks.count().is_multiple_of(2) {
        return Err(errors::SYNTAX.into());
    }
    let shared = &asks.worker.shared;
    let pairs: Vec<(String, &[u8])> = (2..asks.count())
        .step_by(2)
        .map(|at| {
            (
                String::from_utf8_lossy(asks.arg(at).unwrap_or_default()).to_ascii_lowercase(),
                asks.arg(at + 1).unwrap_or_default(),
            )
        })
        .collect();
    for (index, (name, value)) in pairs.iter().enumerate() {
        check(shared, name, value)?;
        if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
            return failed(name, "duplicate parameter");
        }
    }
    for (name, value) in pairs {
        apply(shared, &name, value);
    }
    reply.ok();
    Ok(())
}

fn check(shared: &Shared, name: &str, value: &[u8]) -> Answer {
    let least = match name {
        "requirepass" => return Ok(()),
        "maxclients" => 1,
        "timeout" | "slowlog-max-len" => 0,
        "slowlog-log-slower-than" => -1,
        name if settings(shared).iter().any(|(known, _)| *known == name) => {
            return failed(name, "can't set immutable config");
        }
        _ => {
            return Err(format!(
                "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
            )
            .into_bytes());
        }
    };
    match parse_int(value) {
        None => failed(name, "argument couldn't be parsed into an integer"),
        Some(number) if number < least || number > MOST => {
            failed(name, &format!("argument must be between {least} and {MOST} inclusive"))
        }
        Some(_) => Ok(()),
    }
}

fn failed(name: &str, why: &str) -> Answer {
    Err(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
        .into_bytes())
}

/// The largest number a setting may have.
const MOST: i64 = 1 << 31;

fn apply(shared: &Shared, name: &str, value: &[u8]) {
    let number = parse_int(value).unwrap_or(0);
    match name {
        "requirepass" => shared.live.set_password(&String::from_utf8_lossy(value)),
        "maxclients" => shared.live.set_clients_max(number as usize),
        "timeout" => shared.live.set_client_idle_max_s(number as u64),
        "slowlog-max-len" => shared.live.set_slow_len_max(number as usize),
        // As in Redis: zero logs everything, a negative number nothing.
        "slowlog-log-slower-than" => {
            shared.live.set_slow_us(u64::try_from(number).unwrap_or(u64::MAX))
        }
        _ => {}
    }
}

/// Writes what CONFIG SET can change into the file this proxy was started with, under the file's own names. The worker waits for the disk.
fn rewrite(shared: &Shared, reply: &mut Reply<'_>) -> Answer {
    let Some(file) = &shared.config.file else {
        return Err(b"ERR The server is running without a config file".to_vec());
    };
    let live = &shared.live;
    let integer = |n: u64| Setting::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let slow = i64::try_from(live.slow_us()).unwrap_or(-1);
    let password = live.password().map_or(Setting::Default, |p| Setting::Text(p.to_string()));
    let settings = [
        ("client_password", password),
        ("client_idle_ms_max", integer(live.client_idle_max().as_millis() as u64)),
        ("limits.clients_max", integer(live.clients_max() as u64)),
        ("slow_log.slower_than_us", Setting::Integer(slow)),
        ("slow_log.len_max", integer(live.slow_len_max() as u64)),
    ];
    config_file::rewrite(file, &settings).map_err(|error| {
        tracing::error!(file = %file.display(), %error, "CONFIG REWRITE has written nothing");
        format!("ERR Rewriting config file: {error}").into_bytes()
    })?;
    reply.ok();
    Ok(())
}
