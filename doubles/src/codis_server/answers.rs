//! From a request to its reply: slot commands, the wrapper, server commands; everything else is a data command.

use super::order::Reach;
use super::{Codis, DATABASES, State, info, restore, slots, wrapper};
use crate::commands::{self, Call, Flavour, Refused, int};
use crate::store::Bytes;
use crate::wire::{After, Blank, Node};
use cluster::SlotCount;
use protocol::reply::{Reply, Version, errors};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What a connection remembers.
#[derive(Debug, Default)]
pub(crate) struct Session {
    logged_in: bool,
    database: i64,
}

/// Commands besides data commands, and how many words each has; negative: at least so many; 0: any.
const ARITIES: &[(&str, i16)] = &[
    ("slotsinfo", -1),
    ("slotsscan", -3),
    ("slotsdel", -2),
    ("slotsmgrtslot", 5),
    ("slotsmgrttagslot", 5),
    ("slotsmgrtone", 5),
    ("slotsmgrttagone", 5),
    ("slotshashkey", -1),
    ("slotscheck", 0),
    ("slotsrestore", -4),
    ("slotsmgrtslot-async", 8),
    ("slotsmgrttagslot-async", 8),
    ("slotsmgrtone-async", -7),
    ("slotsmgrttagone-async", -7),
    ("slotsmgrt-async-fence", 0),
    ("slotsmgrt-async-cancel", 0),
    ("slotsmgrt-async-status", 0),
    ("slotsmgrt-exec-wrapper", -3),
    ("slotsrestore-async", -2),
    ("slotsrestore-async-auth", 2),
    ("slotsrestore-async-select", 2),
    ("slotsrestore-async-ack", 3),
    ("ping", -1),
    ("echo", 2),
    ("auth", 2),
    ("select", 2),
    ("client", -2),
    ("config", -2),
    ("info", -1),
    ("dbsize", 1),
    ("flushall", 1),
    ("flushdb", 1),
    ("quit", 1),
    ("double", -2),
];

/// What a Redis of 3.2 lacks.
const UNKNOWN: &[&str] = &["unlink", "pksetexat", "xadd", "xlen", "xrange", "xdel"];

fn fits(arity: i16, count: usize) -> bool {
    let least = usize::from(arity.unsigned_abs());
    arity == 0 || if arity < 0 { count >= least } else { count == least }
}

fn is_beside(words: &[Bytes]) -> bool {
    let name = words[0].to_ascii_lowercase();
    name.starts_with(b"slotsmgrt") && name.ends_with(b"-async")
}

fn is_of_slot(words: &[Bytes]) -> bool {
    words[0].to_ascii_lowercase().ends_with(b"slot-async")
}

impl Node for Codis {
    type Session = Session;

    async fn answer(
        self: &Arc<Self>,
        words: Vec<Bytes>,
        session: &mut Session,
        out: &mut Vec<u8>,
    ) -> After {
        let start = out.len();
        self.one(&words, session, out).await.unwrap_or_else(|refused| {
            out.truncate(start);
            Reply::new(out, Version::Resp2).error(refused.0.as_bytes());
            After::Go
        })
    }

    /// A move beside the work does not keep its connection from being read: what comes behind is answered first (E3).
    async fn is_overtaken(self: &Arc<Self>, words: &[Bytes], session: &Session) -> bool {
        let is_move = is_beside(words) && words.len() > 6;
        let state = &mut *self.state.lock().await;
        state.tick();
        // What moves nothing is answered at once.
        let database = session.database;
        is_move
            && !state.batches.contains_key(&database)
            && (is_of_slot(words) || words[6..].iter().any(|key| state.store(database).has(key)))
    }

    async fn overtake(
        self: &Arc<Self>,
        words: Vec<Bytes>,
        session: &mut Session,
        out: &mut Vec<u8>,
    ) -> After {
        if is_beside(&words) {
            let line = b"ERR the specified DB is being migrated";
            Reply::new(out, Version::Resp2).error(line);
            return After::Go;
        }
        self.answer(words, session, out).await
    }

    fn blank(&self, _blank: Blank, _out: &mut Vec<u8>) -> After {
        After::Go
    }

    fn era(&self) -> CancellationToken {
        self.era.lock().clone()
    }
}

impl Codis {
    async fn one(
        self: &Arc<Self>,
        words: &[Bytes],
        session: &mut Session,
        out: &mut Vec<u8>,
    ) -> Result<After, Refused> {
        let given = String::from_utf8_lossy(&words[0]).into_owned();
        let name = given.to_lowercase();
        let row = commands::lookup(&name).filter(|row| !UNKNOWN.contains(&row.name));
        let arity = ARITIES.iter().find(|(known, _)| *known == name).map(|(_, arity)| *arity);
        let counted = match (row, arity) {
            (Some(row), _) => row.fits(words.len()),
            (None, Some(arity)) => fits(arity, words.len()),
            (None, None) => return Err(format!("ERR unknown command '{given}'").into()),
        };
        if !counted {
            return Err(errors::arity(&name).into());
        }
        let free = matches!(name.as_str(), "auth" | "slotsrestore-async-auth" | "double" | "quit");
        if !free && !session.logged_in && !self.state.lock().await.settings.password.is_empty() {
            return Err(errors::NO_AUTH.into());
        }
        if let Some(row) = row {
            let state = &mut *self.state.lock().await;
            state.tick();
            let call = Call { words, flavour: Flavour::Redis };
            let reply = &mut Reply::new(out, Version::Resp2);
            let _ = commands::run(row, state.store(session.database), call, reply);
            return Ok(After::Go);
        }
        if name.starts_with("slotsrestore-async") {
            return Ok(self.restore(&name, words, session, out).await);
        }
        if let Some(after) = self.moves(&name, words, session.database, out).await? {
            return Ok(after);
        }
        if name == "slotsmgrt-async-fence" {
            self.fence(session.database, out).await;
            return Ok(After::Go);
        }
        let state = &mut *self.state.lock().await;
        state.tick();
        self.plain(state, &name, words, session, out)
    }

    /// The eight commands that move.
    async fn moves(
        &self,
        name: &str,
        words: &[Bytes],
        database: i64,
        out: &mut Vec<u8>,
    ) -> Result<Option<After>, Refused> {
        let reach = if name.starts_with("slotsmgrttag") { Reach::Tag } else { Reach::Key };
        let reply = &mut Reply::new(out, Version::Resp2);
        match name {
            "slotsmgrtone" | "slotsmgrttagone" => {
                reply.int(self.move_key(words, database, reach).await?);
            }
            "slotsmgrtslot" | "slotsmgrttagslot" => {
                let (moved, left) = self.move_from_slot(words, database, reach).await?;
                reply.array(2);
                reply.int(moved);
                reply.int(left);
            }
            "slotsmgrtone-async" | "slotsmgrttagone-async" => {
                reply.raw(&self.order_keys(words, database, reach).await?);
            }
            "slotsmgrtslot-async" | "slotsmgrttagslot-async" => {
                reply.raw(&self.order_slot(words, database, reach).await?);
            }
            _ => return Ok(None),
        }
        Ok(Some(After::Go))
    }

    /// SLOTSMGRT-ASYNC-FENCE: `+OK`, or the reply of the batch that is on its way.
    async fn fence(&self, database: i64, out: &mut Vec<u8>) {
        let done =
            self.state.lock().await.batches.get(&database).map(|batch| batch.done.subscribe());
        let Some(mut done) = done else {
            Reply::new(out, Version::Resp2).ok();
            return;
        };
        let reply = done.wait_for(Option::is_some).await.ok().and_then(|reply| reply.clone());
        out.extend_from_slice(&reply.unwrap_or_default());
    }

    /// SLOTSRESTORE-ASYNC and its companions; each answers with an acknowledgement.
    async fn restore(
        &self,
        name: &str,
        words: &[Bytes],
        session: &mut Session,
        out: &mut Vec<u8>,
    ) -> After {
        let state = &mut *self.state.lock().await;
        state.tick();
        let answer = match name {
            "slotsrestore-async" if state.batches.contains_key(&session.database) => {
                Err("the specified DB is being migrated".to_owned())
            }
            "slotsrestore-async" => restore::restore_async(state.store(session.database), words),
            "slotsrestore-async-select" => {
                let database = int(&words[1]).filter(|database| (0..DATABASES).contains(database));
                let shown = String::from_utf8_lossy(&words[1]);
                database.map(|database| session.database = database).map_or_else(
                    || Err(format!("invalid DB index ({shown})")),
                    |()| Ok("OK".to_owned()),
                )
            }
            "slotsrestore-async-auth" if state.settings.password.is_empty() => {
                Err("Client sent AUTH, but no password is set".to_owned())
            }
            "slotsrestore-async-auth" => {
                session.logged_in = words[1] == state.settings.password.as_bytes();
                if session.logged_in {
                    Ok("OK".to_owned())
                } else {
                    Err("invalid password".to_owned())
                }
            }
            _ => {
                let line = "ERR invalid client, permission denied";
                Reply::new(out, Version::Resp2).error(line);
                return After::Close;
            }
        };
        if state.settings.loses_acks && name == "slotsrestore-async" {
            return After::Go;
        }
        match answer {
            Ok(text) => restore::acknowledge(0, &text, out),
            Err(text) => {
                restore::acknowledge(-1, &text, out);
                return After::Close;
            }
        }
        After::Go
    }

    /// What needs no socket.
    fn plain(
        &self,
        state: &mut State,
        name: &str,
        words: &[Bytes],
        session: &mut Session,
        out: &mut Vec<u8>,
    ) -> Result<After, Refused> {
        let database = session.database;
        if name == "slotsmgrt-exec-wrapper" {
            wrapper::answer(state, database, words, out);
            return Ok(After::Go);
        }
        let reply = &mut Reply::new(out, Version::Resp2);
        let text =
            |at: usize| words.get(at).map(|word| String::from_utf8_lossy(word).to_lowercase());
        match name {
            "slotsinfo" => slots::info(state, database, words, reply)?,
            "slotsscan" => slots::scan(state, database, words, reply)?,
            "slotsdel" => slots::delete(state, database, words, reply)?,
            "slotshashkey" => {
                reply.array(words.len() - 1);
                words[1..].iter().for_each(|key| reply.int(SlotCount::DEFAULT.of(key).0.into()));
            }
            "slotsrestore" => restore::restore(state.store(database), words, reply)?,
            "slotsmgrt-async-cancel" => {
                let batch = state.batches.get(&database);
                batch.iter().for_each(|batch| batch.cancel.cancel());
                reply.int(i64::from(batch.is_some()));
            }
            "slotsmgrt-async-status" => slots::status(state, database, reply),
            "ping" => match words.get(1) {
                Some(word) => reply.bulk(word),
                None => reply.simple("PONG"),
            },
            "echo" => reply.bulk(&words[1]),
            "auth" => {
                if state.settings.password.is_empty() {
                    return Err("ERR Client sent AUTH, but no password is set".into());
                }
                session.logged_in = words[1] == state.settings.password.as_bytes();
                if !session.logged_in {
                    return Err("ERR invalid password".into());
                }
                reply.ok();
            }
            "select" => {
                let database = int(&words[1]).filter(|number| (0..DATABASES).contains(number));
                session.database = database.ok_or(Refused::from("ERR invalid DB index"))?;
                reply.ok();
            }
            "info" => reply.bulk(info::text(state, self.port).as_bytes()),
            "config" => match (text(1).as_deref(), text(2)) {
                (Some("get"), Some(name)) if name == "maxmemory" => {
                    reply.array(2);
                    reply.bulk(b"maxmemory");
                    reply.bulk(b"0");
                }
                (Some("get"), _) => reply.array(0),
                _ => reply.ok(),
            },
            "dbsize" => reply.int(state.store(database).keys().count() as i64),
            "flushall" => {
                state.stores.values_mut().for_each(crate::store::Store::clear);
                reply.ok();
            }
            "flushdb" => {
                state.store(database).clear();
                reply.ok();
            }
            "quit" => {
                reply.ok();
                return Ok(After::Close);
            }
            "double" => control(state, words, reply)?,
            // SLOTSCHECK finds nothing wrong: the index is kept with the keys.
            _ => reply.ok(),
        }
        Ok(After::Go)
    }
}

/// `DOUBLE …`, which no codis-server has.
fn control(state: &mut State, words: &[Bytes], reply: &mut Reply<'_>) -> Result<(), Refused> {
    let number = words.get(2).and_then(|word| int(word)).unwrap_or(0).unsigned_abs();
    match words[1].to_ascii_lowercase().as_slice() {
        b"pace" => state.settings.pace = Duration::from_millis(number),
        b"lose-acks" => state.settings.loses_acks = number > 0,
        _ => return Err(errors::SYNTAX.into()),
    }
    reply.ok();
    Ok(())
}
