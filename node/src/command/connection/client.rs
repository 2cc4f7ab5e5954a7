//! CLIENT.

use super::super::{Outcome, Request};
use crate::clients::Client;
use crate::error::{CommandError, line};
use crate::session::{Mute, Session};
use crate::slots::now_ms;
use crate::waiting::{Fate, Unblock};
use protocol::help;
use protocol::number::parse_int;
use protocol::reply::errors;
use std::sync::Arc;

pub(super) fn client(session: &mut Session, request: Request<'_>) -> Outcome {
    // Of Redis 7.2; clients send it unasked.
    if request.is(1, "setinfo") {
        return set_info(session, request);
    }
    let sub = super::super::subcommand("client", request)?;
    match sub {
        "id" => {
            let id = session.client.id as i64;
            session.reply().int(id);
        }
        "getname" => {
            let name = session.client.name.lock().clone();
            if name.is_empty() { session.reply().null() } else { session.reply().bulk(&name) }
        }
        "setname" => {
            let name = checked_name(request.get(2))?.to_vec();
            *session.client.name.lock() = name;
            session.reply().ok();
        }
        "info" => {
            let line = session.client.describe(now_ms()) + "\n";
            session.reply().verbatim(&line);
        }
        "list" => list(session, request)?,
        "kill" => kill(session, request)?,
        "reply" => reply(session, request)?,
        "no-evict" if request.is(2, "on") || request.is(2, "off") => session.reply().ok(),
        "no-evict" => return Err(line::SYNTAX.into()),
        "trackinginfo" => {
            let mut reply = session.reply();
            reply.map(3);
            reply.bulk(b"flags");
            reply.set(1);
            reply.bulk(b"off");
            reply.bulk(b"redirect");
            reply.int(-1);
            reply.bulk(b"prefixes");
            reply.array(0);
        }
        "help" => session.reply().help("CLIENT", help::CLIENT),
        "tracking" | "caching" => {
            return Err("ERR client side caching is not served by this node".into());
        }
        "getredir" => session.reply().int(-1),
        "unblock" => unblock(session, request)?,
        "unpause" => session.reply().ok(),
        _ => {
            return Err(
                errors::refused(&format!("client|{sub}"), "this node does not know it").into()
            );
        }
    }
    Ok(())
}

/// `CLIENT SETINFO LIB-NAME|LIB-VER text`: checked, and forgotten.
fn set_info(session: &mut Session, request: Request<'_>) -> Outcome {
    if request.len() != 4 {
        return Err(errors::arity("client|setinfo").into());
    }
    if !request.is(2, "lib-name") && !request.is(2, "lib-ver") {
        let what = String::from_utf8_lossy(request.get(2));
        return Err(format!("ERR Unrecognized option '{what}'").into());
    }
    checked_name(request.get(3))?;
    session.reply().ok();
    Ok(())
}

/// A name that can stand in a line of CLIENT LIST.
pub(super) fn checked_name(name: &[u8]) -> Result<&[u8], CommandError> {
    if name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        Ok(name)
    } else {
        Err("ERR Client names cannot contain spaces, newlines or special characters.".into())
    }
}

fn list(session: &mut Session, request: Request<'_>) -> Outcome {
    let all = session.shared.clients.all();
    let chosen: Vec<Arc<Client>> = match request.len() {
        2 => all,
        4 if request.is(2, "type") => match request.get(3).to_ascii_lowercase().as_slice() {
            b"normal" => all,
            b"master" | b"replica" | b"slave" | b"pubsub" => Vec::new(),
            other => {
                return Err(format!(
                    "ERR Unknown client type '{}'",
                    String::from_utf8_lossy(other)
                )
                .into());
            }
        },
        4.. if request.is(2, "id") => {
            let ids = request.from(3).map(|id| parse_int(id).ok_or("ERR Invalid client ID"));
            let ids = ids.collect::<Result<Vec<i64>, _>>()?;
            all.into_iter().filter(|client| ids.contains(&(client.id as i64))).collect()
        }
        _ => return Err(line::SYNTAX.into()),
    };
    let now = now_ms();
    let text: String = chosen.iter().map(|client| client.describe(now) + "\n").collect();
    session.reply().verbatim(&text);
    Ok(())
}

/// Which connections CLIENT KILL ends.
#[derive(Debug, Default)]
struct Victims {
    id: Option<u64>,
    addr: Option<String>,
    local: Option<String>,
    /// Of this node's clients none is of another type or user.
    none: bool,
    myself: bool,
}

impl Victims {
    fn read(request: Request<'_>) -> Result<Self, CommandError> {
        let mut victims = Self::default();
        for at in (2..request.len()).step_by(2) {
            if at + 1 >= request.len() {
                return Err(line::SYNTAX.into());
            }
            let value = String::from_utf8_lossy(request.get(at + 1)).into_owned();
            match () {
                () if request.is(at, "id") => {
                    let id = value.parse().ok().filter(|&id| id > 0);
                    victims.id = Some(id.ok_or("ERR client-id should be greater than 0")?);
                }
                () if request.is(at, "addr") => victims.addr = Some(value),
                () if request.is(at, "laddr") => victims.local = Some(value),
                () if request.is(at, "type") => match value.to_ascii_lowercase().as_str() {
                    "normal" => {}
                    "master" | "slave" | "replica" | "pubsub" => victims.none = true,
                    _ => return Err(format!("ERR Unknown client type '{value}'").into()),
                },
                () if request.is(at, "user") && value == "default" => {}
                () if request.is(at, "user") => {
                    return Err(format!("ERR No such user '{value}'").into());
                }
                () if request.is(at, "skipme") => match value.to_ascii_lowercase().as_str() {
                    "yes" => victims.myself = false,
                    "no" => victims.myself = true,
                    _ => return Err(line::SYNTAX.into()),
                },
                () => return Err(line::SYNTAX.into()),
            }
        }
        Ok(victims)
    }

    fn include(&self, client: &Client, me: u64) -> bool {
        !self.none
            && self.id.is_none_or(|id| id == client.id)
            && self.addr.as_ref().is_none_or(|addr| *addr == client.addr.to_string())
            && self.local.as_ref().is_none_or(|addr| *addr == client.local.to_string())
            && (self.myself || client.id != me)
    }
}

fn kill(session: &mut Session, request: Request<'_>) -> Outcome {
    let old_form = request.len() == 3;
    let victims = if old_form {
        let addr = Some(String::from_utf8_lossy(request.get(2)).into_owned());
        Victims { addr, myself: true, ..Victims::default() }
    } else {
        Victims::read(request)?
    };
    let mut killed = 0;
    for client in session.shared.clients.all() {
        if !victims.include(&client, session.client.id) {
            continue;
        }
        killed += 1;
        if client.id == session.client.id {
            // After the reply.
            session.closing = true;
        } else {
            client.kill();
        }
    }
    match (old_form, killed) {
        (true, 0) => return Err("ERR No such client".into()),
        (true, _) => session.reply().ok(),
        (false, killed) => session.reply().int(killed),
    }
    Ok(())
}

/// `UNBLOCK id [TIMEOUT|ERROR]`
fn unblock(session: &mut Session, request: Request<'_>) -> Outcome {
    let how = match request.len() {
        3 => Unblock::Timeout,
        4 if request.is(3, "timeout") => Unblock::Timeout,
        4 if request.is(3, "error") => Unblock::Error,
        4 => return Err("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR".into()),
        _ => return Err(line::SYNTAX.into()),
    };
    let id = parse_int(request.get(2)).ok_or(line::NOT_AN_INTEGER)?;
    let client = u64::try_from(id).ok().and_then(|id| session.shared.clients.get(id));
    let waiter = client.and_then(|client| client.waiting.lock().clone());
    let unblocked = waiter.is_some_and(|waiter| waiter.end_with(Fate::Unblocked(how)));
    session.reply().int(i64::from(unblocked));
    Ok(())
}

fn reply(session: &mut Session, request: Request<'_>) -> Outcome {
    match () {
        () if request.is(2, "on") => {
            session.mute = Mute::Off;
            session.reply().ok();
        }
        () if request.is(2, "off") => session.mute = Mute::On,
        // Within OFF it changes nothing.
        () if request.is(2, "skip") && session.mute != Mute::On => session.mute = Mute::Next,
        () if request.is(2, "skip") => {}
        () => return Err(line::SYNTAX.into()),
    }
    Ok(())
}
