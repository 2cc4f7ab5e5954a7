//! CLIENT.

use super::{Answer, Asks};
use crate::registry::{Card, Unblock};
use protocol::help;
use protocol::number::parse_int;
use protocol::reply::{Reply, errors};
use std::fmt::Write;
use std::sync::Arc;
use tokio::time::Instant;

/// Whether the client wants replies: CLIENT REPLY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mute {
    /// It does.
    #[default]
    No,
    /// Not to the next request.
    Next,
    /// Not until it says so.
    Yes,
}

pub(super) fn client(asks: &Asks<'_>, reply: &mut Reply<'_>) -> Answer {
    // Of Redis 7.2; clients send it unasked.
    if asks.arg(1).is_some_and(|sub| sub.eq_ignore_ascii_case(b"setinfo")) {
        return set_info(asks, reply);
    }
    let session = asks.session;
    match asks.subcommand()? {
        "id" => reply.int(session.id as i64),
        "getname" => match session.card.says.lock().name.as_str() {
            "" => reply.null(),
            name => reply.bulk(name.as_bytes()),
        },
        "setname" => {
            let name = checked_name(asks.arg(2).unwrap_or_default())?;
            session.card.says.lock().name = name;
            reply.ok();
        }
        "info" => reply.verbatim(&(line(&session.card) + "\n")),
        "list" => return list(asks, reply),
        "kill" => return kill(asks, reply),
        "reply" => return reply_mode(asks, reply),
        "no-evict" => match lower(asks.arg(2)).as_slice() {
            b"on" | b"off" => reply.ok(),
            _ => return Err(errors::SYNTAX.into()),
        },
        "getredir" => reply.int(-1),
        "trackinginfo" => {
            reply.map(3);
            reply.bulk(b"flags");
            reply.set(1);
            reply.bulk(b"off");
            reply.bulk(b"redirect");
            reply.int(-1);
            reply.bulk(b"prefixes");
            reply.array(0);
        }
        "unblock" => return unblock(asks, reply),
        "help" => reply.help("CLIENT", help::CLIENT),
        other => {
            let why = "the proxy keeps no state of that kind";
            return Err(errors::refused(&format!("client|{other}"), why).into_bytes());
        }
    }
    Ok(())
}

fn lower(arg: Option<&[u8]>) -> Vec<u8> {
    arg.unwrap_or_default().to_ascii_lowercase()
}

/// A name without blanks or anything that is not visible.
pub(super) fn checked_name(name: &[u8]) -> Result<String, Vec<u8>> {
    if name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Ok(String::from_utf8_lossy(name).into_owned());
    }
    Err(b"ERR Client names cannot contain spaces, newlines or special characters.".to_vec())
}

fn set_info(asks: &Asks<'_>, reply: &mut Reply<'_>) -> Answer {
    let (Some(what), Some(value), 4) = (asks.arg(2), asks.arg(3), asks.count()) else {
        return Err(errors::arity("client|setinfo").into_bytes());
    };
    let value = checked_name(value)?;
    let mut says = asks.session.card.says.lock();
    match what.to_ascii_lowercase().as_slice() {
        b"lib-name" => says.library = value,
        b"lib-ver" => says.library_version = value,
        _ => {
            let what = String::from_utf8_lossy(what);
            return Err(format!("ERR Unrecognized option '{what}'").into_bytes());
        }
    }
    reply.ok();
    Ok(())
}

fn reply_mode(asks: &Asks<'_>, reply: &mut Reply<'_>) -> Answer {
    let mute = match lower(asks.arg(2)).as_slice() {
        b"on" => {
            reply.ok();
            Mute::No
        }
        b"off" => Mute::Yes,
        b"skip" => Mute::Next,
        _ => return Err(errors::SYNTAX.into()),
    };
    asks.session.mute.set(mute);
    Ok(())
}

/// One client as CLIENT LIST shows it, without the line's end.
fn line(card: &Card) -> String {
    let now = Instant::now();
    let says = card.says.lock().clone();
    let addr = |addr: Option<std::net::SocketAddr>| {
        addr.map_or_else(|| "?:0".to_owned(), |addr| addr.to_string())
    };
    let mut line =
        format!("id={} addr={} laddr={} fd=0", card.id, addr(card.peer), addr(card.local));
    let _ = write!(
        line,
        " name={} age={} idle={}",
        says.name,
        card.age(now).as_secs(),
        card.idle(now).as_secs()
    );
    let _ = write!(
        line,
        " flags={} db={} sub=0 psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=0 argv-mem=0",
        if card.blocked().is_some() { "b" } else { "N" },
        says.database
    );
    let _ = write!(
        line,
        " multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd={} user=default",
        card.command()
    );
    let _ = write!(line, " redir=-1 resp={}", if says.resp3 { 3 } else { 2 });
    if !says.library.is_empty() {
        let _ = write!(line, " lib-name={} lib-ver={}", says.library, says.library_version);
    }
    line
}

/// `UNBLOCK id [TIMEOUT|ERROR]`
fn unblock(asks: &Asks<'_>, reply: &mut Reply<'_>) -> Answer {
    let how = match (lower(asks.arg(3)).as_slice(), asks.count()) {
        (_, 3) | (b"timeout", 4) => Unblock::Timeout,
        (b"error", 4) => Unblock::Error,
        (_, 4) => return Err(b"ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR".to_vec()),
        _ => return Err(errors::SYNTAX.into()),
    };
    let id = parse_int(asks.arg(2).unwrap_or_default()).ok_or(errors::NOT_INTEGER.as_bytes())?;
    let registry = &asks.worker.shared.registry;
    let unblocked = u64::try_from(id).is_ok_and(|id| registry.unblock(id, how));
    reply.int(i64::from(unblocked));
    Ok(())
}

/// `LIST [TYPE type | ID id [id…]]`
fn list(asks: &Asks<'_>, reply: &mut Reply<'_>) -> Answer {
    let cards = asks.worker.shared.registry.cards();
    let wanted: Vec<Arc<Card>> = match (lower(asks.arg(2)).as_slice(), asks.count()) {
        (_, 2) => cards,
        (b"type", 4) => {
            if is_normal(asks.arg(3).unwrap_or_default())? {
                cards
            } else {
                Vec::new()
            }
        }
        (b"id", 4..) => {
            let ids: Option<Vec<i64>> = asks.args(3).map(parse_int).collect();
            let ids = ids.ok_or(&b"ERR Invalid client ID"[..])?;
            cards.into_iter().filter(|card| ids.contains(&(card.id as i64))).collect()
        }
        _ => return Err(errors::SYNTAX.into()),
    };
    let text: String = wanted.iter().map(|card| line(card) + "\n").collect();
    reply.verbatim(&text);
    Ok(())
}

/// Whether a type of clients is the one all of ours have.
fn is_normal(name: &[u8]) -> Result<bool, Vec<u8>> {
    match name.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(true),
        b"master" | b"slave" | b"replica" | b"pubsub" => Ok(false),
        _ => {
            Err(format!("ERR Unknown client type '{}'", String::from_utf8_lossy(name)).into_bytes())
        }
    }
}

/// `KILL addr:port` or `KILL [ID id] [TYPE type] [USER name] [ADDR addr] [LADDR addr] [SKIPME yes|no]`
fn kill(asks: &Asks<'_>, reply: &mut Reply<'_>) -> Answer {
    let registry = &asks.worker.shared.registry;
    let is_at = |addr: Option<std::net::SocketAddr>, text: &[u8]| {
        addr.is_some_and(|a| a.to_string().as_bytes() == text)
    };
    if asks.count() == 3 {
        let wanted = asks.arg(2).unwrap_or_default();
        let found = registry.cards().into_iter().find(|card| is_at(card.peer, wanted));
        registry.kill(&*found.ok_or(&b"ERR No such client"[..])?);
        reply.ok();
        return Ok(());
    }
    if !asks.count().is_multiple_of(2) {
        return Err(errors::SYNTAX.into());
    }
    let mut cards = registry.cards();
    let mut spare_me = true;
    for at in (2..asks.count()).step_by(2) {
        let value = asks.arg(at + 1).unwrap_or_default();
        match lower(asks.arg(at)).as_slice() {
            b"id" => {
                let id = parse_int(value).filter(|&id| id > 0);
                let id = id.ok_or(&b"ERR client-id should be greater than 0"[..])?;
                cards.retain(|card| card.id as i64 == id);
            }
            b"type" => {
                if !is_normal(value)? {
                    cards.clear();
                }
            }
            b"user" if value == b"default" => {}
            b"user" => {
                let name = String::from_utf8_lossy(value);
                return Err(format!("ERR No such user '{name}'").into_bytes());
            }
            b"addr" => cards.retain(|card| is_at(card.peer, value)),
            b"laddr" => cards.retain(|card| is_at(card.local, value)),
            b"skipme" => {
                spare_me = match value.to_ascii_lowercase().as_slice() {
                    b"yes" => true,
                    b"no" => false,
                    _ => return Err(errors::SYNTAX.into()),
                }
            }
            _ => return Err(errors::SYNTAX.into()),
        }
    }
    cards.retain(|card| !spare_me || card.id != asks.session.id);
    for card in &cards {
        registry.kill(card);
    }
    reply.int(cards.len() as i64);
    Ok(())
}
