//! From a request to its reply: slot commands, server commands, transactions; everything else is a data command.

use super::data::{Data, now_ms};
use super::settings::Fault;
use super::{Pika, connection, settable, slots};
use crate::commands::{self, Refused};
use crate::store::{Bytes, Entry};
use crate::wire::{After, Blank, Node};
use protocol::reply::{Reply, Version, errors};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What a connection remembers.
#[derive(Debug, Default)]
pub(crate) struct Session {
    logged_in: bool,
    /// The commands of a transaction.
    queued: Option<Vec<Vec<Bytes>>>,
    /// Watched keys, and what they were.
    watched: Vec<(Bytes, Option<Entry>)>,
    /// What is answered now was in a transaction, and sees nothing of the read cache.
    is_executing: bool,
}

/// Commands besides data commands, and how many words each has; negative: at least so many.
const ARITIES: &[(&str, i16)] = &[
    ("slotsinfo", -1),
    ("slotshashkey", -2),
    ("slotsscan", -3),
    ("slotsdel", -2),
    ("slotsreload", 1),
    ("slotsreloadoff", -1),
    ("slotscleanup", -2),
    ("slotscleanupoff", -1),
    ("slotsmgrttagone", 5),
    ("slotsmgrtone", 5),
    ("slotsmgrttagslot", 5),
    ("slotsmgrtslot", 5),
    ("slotsmgrttagslot-async", 8),
    ("slotsmgrt-exec-wrapper", -3),
    ("slotsmgrt-async-status", 1),
    ("slotsmgrt-async-cancel", 1),
    ("ping", 1),
    ("echo", 2),
    ("auth", -2),
    ("select", 2),
    ("hello", -1),
    ("client", -2),
    ("config", -2),
    ("info", -1),
    ("dbsize", 1),
    ("flushall", 1),
    ("flushdb", -1),
    ("clearcache", 1),
    ("pkscanrange", -4),
    ("slaveof", -3),
    ("quit", 1),
    ("multi", 1),
    ("exec", 1),
    ("unwatch", 1),
    ("watch", -2),
    ("discard", 1),
    ("double", -2),
];

/// What real Pika lacks although Redis has it.
const UNKNOWN: &[&str] = &["rename", "copy"];

impl Node for Pika {
    type Session = Session;

    async fn answer(
        self: &Arc<Self>,
        words: Vec<Bytes>,
        session: &mut Session,
        out: &mut Vec<u8>,
    ) -> After {
        let name = String::from_utf8_lossy(&words[0]).to_lowercase();
        if name == "exec"
            && let Some(queued) = session.queued.take()
        {
            let watched = std::mem::take(&mut session.watched);
            if watched.into_iter().any(|(key, was)| self.data().entry(&key) != was) {
                out.extend_from_slice(b"$-1\r\n");
                return After::Go;
            }
            Reply::new(out, Version::Resp2).array(queued.len());
            session.is_executing = true;
            for words in queued {
                let name = String::from_utf8_lossy(&words[0]).to_lowercase();
                self.one(&name, &words, session, out).await;
            }
            session.is_executing = false;
            return After::Go;
        }
        self.one(&name, &words, session, out).await
    }

    fn blank(&self, blank: Blank, out: &mut Vec<u8>) -> After {
        match blank {
            Blank::Line if self.data().has(Fault::Crashes) => {
                After::Die("segmentation fault: empty line".to_owned())
            }
            Blank::Line => After::Go,
            // Replies of the same packet are lost.
            Blank::NoWords => {
                out.clear();
                After::Go
            }
            Blank::Negative => After::Close,
        }
    }

    fn era(&self) -> CancellationToken {
        self.era.lock().clone()
    }
}

impl Pika {
    /// Answers one command; a refusal is its error line.
    async fn one(
        self: &Arc<Self>,
        name: &str,
        words: &[Bytes],
        session: &mut Session,
        out: &mut Vec<u8>,
    ) -> After {
        self.data().commands += 1;
        let start = out.len();
        self.checked(name, words, session, out).await.unwrap_or_else(|refused| {
            out.truncate(start);
            Reply::new(out, Version::Resp2).error(refused.0.as_bytes());
            After::Go
        })
    }

    async fn checked(
        self: &Arc<Self>,
        name: &str,
        words: &[Bytes],
        session: &mut Session,
        out: &mut Vec<u8>,
    ) -> Result<After, Refused> {
        let row = commands::lookup(name).filter(|_| !UNKNOWN.contains(&name));
        let arity = ARITIES.iter().find(|(known, _)| *known == name).map(|(_, arity)| *arity);
        if row.is_none() && arity.is_none() {
            return Err(format!("ERR unknown command \"{name}\"").into());
        }
        let open = session.logged_in || self.data().settings.password.is_empty();
        if !open && !matches!(name, "auth" | "hello" | "double") {
            return Err("ERR NOAUTH Authentication required.".into());
        }
        if let Some(arity) = arity
            && !fits(arity, words.len())
        {
            return self.misfit(name, words);
        }
        if row.is_some_and(|row| !row.fits(words.len())) || name == "hset" && words.len() != 4 {
            return Err(errors::arity(name).into());
        }
        if !matches!(name, "exec" | "discard" | "multi")
            && let Some(queued) = &mut session.queued
        {
            queued.push(words.to_vec());
            Reply::new(out, Version::Resp2).simple("QUEUED");
            return Ok(After::Go);
        }
        if let Some(row) = row {
            let stall = self.data().settings.stall;
            if !stall.is_zero() {
                tokio::time::sleep(stall).await;
            }
            let data = &mut *self.data();
            data.tick();
            if session.is_executing {
                data.run_past_cache(row, words, out);
            } else {
                data.run(row, words, out);
            }
            return Ok(After::Go);
        }
        if name == "exec" {
            return Err(errors::EXEC_WITHOUT_MULTI.into());
        }
        if name.starts_with("slotsmgrt") {
            return self.mover(name, words, &mut Reply::new(out, Version::Resp2)).await;
        }
        if name == "double" {
            return self.control(words, &mut Reply::new(out, Version::Resp2));
        }
        self.plain(name, words, session, &mut Reply::new(out, Version::Resp2))
    }

    /// A wrong number of words: an error, or the end of the process (`pika-live.md` §4.7).
    fn misfit(&self, name: &str, words: &[Bytes]) -> Result<After, Refused> {
        let fatal = match name {
            "slotsmgrt-exec-wrapper" => words.len() == 1,
            "slotsmgrttagslot-async" => true,
            _ => false,
        };
        if fatal && self.data().has(Fault::Crashes) {
            return Ok(After::Die(format!("segmentation fault: {name} without its arguments")));
        }
        // Both single-key forms name another command in this error.
        let named = if matches!(name, "slotsmgrttagone" | "slotsmgrtone" | "slotsmgrtslot") {
            "slotsmgrttagslot"
        } else {
            name
        };
        Err(errors::arity(named).into())
    }

    /// The commands of the migration.
    async fn mover(
        self: &Arc<Self>,
        name: &str,
        words: &[Bytes],
        out: &mut Reply<'_>,
    ) -> Result<After, Refused> {
        self.data().tick();
        match name {
            "slotsmgrttagone" | "slotsmgrtone" => out.int(self.move_key(words).await?),
            "slotsmgrttagslot" | "slotsmgrtslot" => {
                let (moved, left) = self.move_from_slot(words).await?;
                pair(out, moved, left);
            }
            "slotsmgrttagslot-async" => {
                let left = self.order(words).await?;
                pair(out, 0, left);
            }
            "slotsmgrt-exec-wrapper" => {
                let answer = self.wrap(&words[1]).await;
                if answer == 1 && self.data().has(Fault::RunsToo) {
                    self.run_too(&words[2..], out);
                } else {
                    pair(out, answer, answer);
                }
            }
            "slotsmgrt-async-status" => {
                let lines = self.status().await;
                out.array(lines.len());
                lines.iter().for_each(|line| out.bulk(line.as_bytes()));
            }
            _ => {
                self.cancel().await;
                out.ok();
            }
        }
        Ok(After::Go)
    }

    /// The older line: the command of a queued key runs at the source all the same (P8).
    fn run_too(&self, words: &[Bytes], out: &mut Reply<'_>) {
        let name = String::from_utf8_lossy(&words[0]).to_lowercase();
        out.array(2);
        out.int(2);
        match commands::lookup(&name) {
            Some(row) => {
                let data = &mut *self.data();
                data.tick();
                data.run(row, words, out.buffer());
            }
            None => out.error("ERR unknown command"),
        }
    }

    /// Commands about the server, and those on the slot index.
    fn plain(
        self: &Arc<Self>,
        name: &str,
        words: &[Bytes],
        session: &mut Session,
        out: &mut Reply<'_>,
    ) -> Result<After, Refused> {
        let word = |at: usize| words.get(at).map_or(b"".as_slice(), Vec::as_slice);
        let text = |at: usize| String::from_utf8_lossy(word(at)).to_lowercase();
        let data = || self.data();
        match name {
            "slotsreload" => out.simple(&self.reload()),
            "slotscleanup" => {
                let slots = self.clean_up(words)?;
                out.array(slots.len());
                slots.iter().for_each(|slot| out.int(*slot));
            }
            "info" => out.bulk(self.info(&text(1), &text(2)).as_bytes()),
            "dbsize" => return self.dbsize(out),
            "config" => settable::config(&mut data(), self.port(), words, out)?,
            "slotsinfo" => slots::info(&mut data(), words, out)?,
            "slotshashkey" => slots::hash_key(data().slots(), words, out),
            "slotsscan" => return slots::scan(&mut data(), words, out),
            "pkscanrange" => slots::scan_range(&mut data(), words, out),
            "slotsdel" => out.int(slots::delete(&mut data(), words)),
            "ping" => out.simple("PONG"),
            "echo" => out.bulk(word(1)),
            "auth" => {
                connection::auth(&data(), words, out)?;
                session.logged_in = true;
            }
            "select" => connection::select(word(1), out)?,
            "hello" => connection::hello(out),
            "client" => connection::client(&text(1), out)?,
            "quit" => {
                out.ok();
                return Ok(After::Close);
            }
            "unwatch" => {
                session.watched.clear();
                out.ok();
            }
            "watch" => {
                for key in &words[1..] {
                    session.watched.push((key.clone(), data().entry(key)));
                }
                out.ok();
            }
            "multi" => {
                session.queued = Some(Vec::new());
                out.ok();
            }
            "discard" => {
                session.queued.take().ok_or(Refused::from(errors::DISCARD_WITHOUT_MULTI))?;
                out.ok();
            }
            _ => {
                let data = &mut *data();
                match name {
                    "flushall" | "flushdb" => data.clear(),
                    "clearcache" => {
                        data.cache.clear();
                        data.cleared_ms = Some(now_ms());
                    }
                    "slotsreloadoff" => data.reload.runs = false,
                    "slotscleanupoff" => data.cleanup.runs = false,
                    _ => {}
                }
                out.ok();
            }
        }
        Ok(After::Go)
    }

    /// DBSIZE (`pika-live.md` §4.8): with slotmigrate an error unless every slot has keys, and then two replies.
    fn dbsize(&self, out: &mut Reply<'_>) -> Result<After, Refused> {
        let (slotmigrate, faulty) = {
            let data: &Data = &self.data();
            (data.settings.slotmigrate, data.has(Fault::Dbsize))
        };
        if slotmigrate && faulty {
            let total = self.size_of_slots().ok_or(Refused::from("ERR Get dbsize error"))?;
            out.int(total as i64);
        }
        // The counted keys of the last INFO KEYSPACE 1, of which there was none.
        out.int(0);
        Ok(After::Go)
    }
}

fn fits(arity: i16, count: usize) -> bool {
    let least = usize::from(arity.unsigned_abs());
    if arity < 0 { count >= least } else { count == least }
}

fn pair(out: &mut Reply<'_>, first: i64, second: i64) {
    out.array(2);
    out.int(first);
    out.int(second);
}
