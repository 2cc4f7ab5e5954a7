//! Commands about the connection.

mod client;

use super::parse::int_within;
use super::{Outcome, Request, Run, Table};
use crate::error::{CommandError, line};
use crate::session::Session;
use protocol::number::parse_int;
use protocol::reply::{Version, errors};
use std::sync::atomic::Ordering::Relaxed;

/// The version of Redis whose replies these are.
pub(super) const REDIS_VERSION: &str = "7.0.15";

pub(super) const TABLE: Table = &[
    ("auth", Run::Session(auth)),
    ("client", Run::Session(client::client)),
    ("discard", Run::Session(|session, _| session.discard())),
    ("echo", Run::Session(echo)),
    ("exec", Run::Session(|session, _| session.exec())),
    ("hello", Run::Session(hello)),
    ("multi", Run::Session(|session, _| session.multi())),
    ("ping", Run::Session(ping)),
    ("quit", Run::Session(quit)),
    ("reset", Run::Session(reset)),
    ("select", Run::Session(select)),
    ("unwatch", Run::Session(unwatch)),
    ("watch", Run::Session(Session::watch)),
];

fn ping(session: &mut Session, request: Request<'_>) -> Outcome {
    match request.len() {
        1 => session.reply().simple("PONG"),
        2 => session.reply().bulk(request.get(1)),
        _ => return Err(errors::arity("ping").into()),
    }
    Ok(())
}

fn echo(session: &mut Session, request: Request<'_>) -> Outcome {
    session.reply().bulk(request.get(1));
    Ok(())
}

fn select(session: &mut Session, request: Request<'_>) -> Outcome {
    let number = int_within(request.get(1), i32::MIN.into(), i32::MAX.into())?;
    let db = u8::try_from(number).ok().filter(|db| *db < session.shared.config.databases);
    session.select(db.ok_or("ERR DB index is out of range")?);
    session.reply().ok();
    Ok(())
}

fn quit(session: &mut Session, _: Request<'_>) -> Outcome {
    session.reply().ok();
    session.closing = true;
    Ok(())
}

fn unwatch(session: &mut Session, _: Request<'_>) -> Outcome {
    session.unwatch();
    session.reply().ok();
    Ok(())
}

fn reset(session: &mut Session, _: Request<'_>) -> Outcome {
    session.forget_transaction();
    session.select(0);
    session.speak(Version::Resp2);
    session.mute = crate::session::Mute::Off;
    session.client.name.lock().clear();
    session.authenticated = session.shared.settings.password().is_none();
    session.reply().simple("RESET");
    Ok(())
}

fn auth(session: &mut Session, request: Request<'_>) -> Outcome {
    match request.len() {
        2 if session.shared.settings.password().is_none() => return Err(errors::NO_PASSWORD.into()),
        2 => log_in(session, b"default", request.get(1))?,
        3 => log_in(session, request.get(1), request.get(2))?,
        _ => return Err(line::SYNTAX.into()),
    }
    session.reply().ok();
    Ok(())
}

/// There is one user. Without a password anything is right.
pub(super) fn log_in(
    session: &mut Session,
    user: &[u8],
    password: &[u8],
) -> Result<(), CommandError> {
    let right = match session.shared.settings.password() {
        None => true,
        Some(expected) => same(expected.as_bytes(), password),
    };
    if user != b"default" || !right {
        return Err(line::WRONG_PASS.into());
    }
    session.authenticated = true;
    Ok(())
}

/// Compares in a time that does not tell where the first difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn hello(session: &mut Session, request: Request<'_>) -> Outcome {
    let mut version = session.version;
    if request.len() > 1 {
        version = match parse_int(request.get(1)) {
            Some(2) => Version::Resp2,
            Some(3) => Version::Resp3,
            Some(_) => return Err(errors::NO_PROTO.into()),
            None => return Err("ERR Protocol version is not an integer or out of range".into()),
        };
    }
    let mut at = 2;
    while at < request.len() {
        let left = request.len() - at - 1;
        if request.is(at, "auth") && left >= 2 {
            log_in(session, request.get(at + 1), request.get(at + 2))?;
            at += 2;
        } else if request.is(at, "setname") && left >= 1 {
            // At once, as Redis does, whatever is wrong behind it.
            let name = client::checked_name(request.get(at + 1))?.to_vec();
            *session.client.name.lock() = name;
            at += 1;
        } else {
            return Err(format!(
                "ERR Syntax error in HELLO option '{}'",
                String::from_utf8_lossy(request.get(at))
            )
            .into());
        }
        at += 1;
    }
    if !session.authenticated {
        return Err("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> \
                    option can be used to authenticate the client and select the RESP protocol version at the same time"
            .into());
    }
    session.speak(version);
    let id = session.client.id;
    let mut reply = session.reply();
    reply.map(7);
    for (key, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        reply.bulk(key.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.int(if version == Version::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.int(id as i64);
    for (key, value) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(key.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

impl Session {
    /// Chooses a database.
    pub(crate) fn select(&mut self, db: u8) {
        self.db = db;
        self.client.db.store(db, Relaxed);
    }

    /// Chooses the version of the protocol.
    fn speak(&mut self, version: Version) {
        self.version = version;
        self.client.resp.store(if version == Version::Resp3 { 3 } else { 2 }, Relaxed);
    }
}
