//! What codis-proxy answers itself, in its words: AUTH, SELECT, SLOTSMAPPING, CODIS.INFO, PCONFIG.

use super::{Answer, Asks, hello};
use codis::commands::{slots_mapping, slots_mapping_all, texts};
use codis::config::pconfig::{self, Request};
use codis::config::rewrite;
use codis::time::GoTime;
use protocol::number::parse_int;
use protocol::reply::{Reply, errors};
use service::config_file;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What is answered only where a codis-dashboard drives us.
pub(super) const NAMES: [&str; 3] = ["codis.info", "pconfig", "slotsmapping"];

/// What the fork shows as the build; ours has one name for both.
const COMPILE: &str = "slipway";

/// `AUTH [user] password`. A wrong one logs the client out.
pub(super) fn auth(asks: &Asks<'_>, reply: &mut Reply<'_>) -> Answer {
    if !(2..=3).contains(&asks.count()) {
        return Err(texts::arity("AUTH").into());
    }
    let (user, said) = match (asks.arg(1), asks.arg(2)) {
        (Some(user), Some(said)) => (user, said),
        (said, _) => (&b"default"[..], said.unwrap_or_default()),
    };
    if asks.count() == 2 && !asks.worker.shared.live.asks_password() {
        return Err(texts::NO_PASSWORD.into());
    }
    if hello::check(asks, user, said).is_err() {
        asks.session.log_out();
        return Err(texts::WRONG_PASSWORD.into());
    }
    reply.ok();
    Ok(())
}

/// `SELECT database`
pub(super) fn select(asks: &Asks<'_>, reply: &mut Reply<'_>) -> Answer {
    let databases = i64::from(asks.worker.config.databases);
    let number = asks.arg(1).and_then(parse_int).ok_or(texts::DB_INDEX)?;
    if !(0..databases).contains(&number) {
        return Err(texts::db_range(databases).into());
    }
    asks.session.select(number as u32);
    reply.ok();
    Ok(())
}

/// `SLOTSMAPPING [slot]`: as filled.
pub(super) fn mapping(asks: &Asks<'_>, reply: &mut Reply<'_>) -> Answer {
    let Some(router) = &asks.worker.shared.router else { return Err(not_driven(asks)) };
    let slots = router.slots();
    match (asks.arg(1), asks.count()) {
        (None, _) => slots_mapping_all(&slots, reply),
        (Some(text), 2) => {
            let number = texts::slot_number(&String::from_utf8_lossy(text), slots.len() as i64)?;
            if let Some(slot) = slots.get(number as usize) {
                slots_mapping(slot, reply);
            }
        }
        _ => return Err(texts::arity("SLOTSMAPPING").into()),
    }
    Ok(())
}

/// `CODIS.INFO`: version, build, admin address, start.
pub(super) fn info(asks: &Asks<'_>, reply: &mut Reply<'_>) -> Answer {
    let Some(codis) = asks.worker.shared.live.codis() else { return Err(not_driven(asks)) };
    if asks.count() > 1 {
        return Err(texts::arity("CODIS.INFO").into());
    }
    let up = asks.worker.shared.started.elapsed();
    let start = SystemTime::now().checked_sub(up).unwrap_or(UNIX_EPOCH);
    let since_1970 = start.duration_since(UNIX_EPOCH).unwrap_or_default();
    let start = GoTime::utc(since_1970.as_secs() as i64, since_1970.subsec_nanos());
    reply.array(4);
    for text in [env!("CARGO_PKG_VERSION"), COMPILE, &codis.admin_addr, &start.to_string()] {
        reply.bulk(text.as_bytes());
    }
    Ok(())
}

/// `PCONFIG GET key`, `PCONFIG SET key [value]`, `PCONFIG REWRITE`.
pub(super) fn pconfig(asks: &Asks<'_>, reply: &mut Reply<'_>) -> Answer {
    let live = &asks.worker.shared.live;
    let Some(codis) = live.codis() else { return Err(not_driven(asks)) };
    let words: Vec<_> = asks.args(1).map(String::from_utf8_lossy).collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match Request::parse(&words)? {
        Request::Get(key) => write_value(&codis.pconfig_get(&key)?, reply),
        Request::Set { key, value } => {
            live.change_codis(|codis| codis.pconfig_set(&key, &value))?;
            tracing::info!(client = asks.session.id, key, value, "PCONFIG SET");
            reply.ok();
        }
        Request::Rewrite => {
            write_file(codis).map_err(|why| {
                tracing::error!(%why, "PCONFIG REWRITE has written nothing");
                format!("ERR Rewriting config file: {why}")
            })?;
            reply.ok();
        }
    }
    Ok(())
}

fn write_value(value: &pconfig::Answer, reply: &mut Reply<'_>) {
    match value {
        pconfig::Answer::Value(text) => reply.bulk(text.as_bytes()),
        pconfig::Answer::Texts(texts) => {
            reply.array(texts.len());
            texts.iter().for_each(|text| reply.bulk(text.as_bytes()));
        }
        pconfig::Answer::Pairs(pairs) => {
            reply.array(2 * pairs.len());
            for (name, value) in pairs {
                reply.bulk(name.as_bytes());
                reply.bulk(value.as_bytes());
            }
        }
    }
}

/// Writes the changed values into the file that the proxy was started with. The worker waits for the disk.
fn write_file(mut codis: codis::config::Config) -> Result<(), String> {
    if codis.config_file_name.is_empty() {
        return Err("the proxy is running without one".to_owned());
    }
    if codis.flavour == codis::Flavour::Upstream {
        // Our own threshold; upstream's file has none.
        let none = codis::config::Config::defaults(codis.flavour);
        codis.slowlog_log_slower_than = none.slowlog_log_slower_than;
    }
    let path = Path::new(&codis.config_file_name);
    let before = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let after = rewrite(&before, &codis).map_err(|error| error.to_string())?;
    config_file::replace(path, after.as_bytes()).map_err(|error| error.to_string())
}

fn not_driven(asks: &Asks<'_>) -> Vec<u8> {
    errors::refused(asks.command.name, "this proxy is not driven by a codis-dashboard").into_bytes()
}
