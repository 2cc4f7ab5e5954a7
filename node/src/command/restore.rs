//! Keys that a codis-server sends: SLOTSRESTORE, and SLOTSRESTORE-ASYNC with its acknowledgements (docs/FOREIGN.md). They are entered as plain
//! writes of the same keys would be.
//!
//! Source: `slots.c` and `slots_async.c` of codis-server 3.2. The asynchronous words are not answered with replies but with requests, for the
//! source reads its own connection as a client's: whoever gives them an error line is answered with another one, without end. So an error
//! is an acknowledgement of −1, and closes the connection ([`Session::acknowledge`]).

use super::connection::log_in;
use super::list::{End, push};
use super::parse::int_within;
use super::zset::{put, score_of};
use super::{Ctx, Outcome, Request, Run, Table};
use crate::encoding::Kind;
use crate::error::{CommandError, line};
use crate::session::Session;
use crate::txn::{Collection, Txn};
use protocol::dump::{DumpError, Dumped, decode};
use protocol::number::parse_int;
use protocol::reply::{Reply, errors};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const TABLE: Table = &[
    ("slotsrestore", Run::Keys(restore)),
    ("slotsrestore-async", Run::Keys(restore_async)),
    ("slotsrestore-async-auth", Run::Session(auth)),
    ("slotsrestore-async-select", Run::Session(select)),
];

/// `SLOTSRESTORE key ttl payload …`: each key becomes what its payload says, whatever it was. All of them or none.
fn restore(ctx: &mut Ctx<'_, '_>) -> Outcome {
    if ctx.args.len() % 3 != 1 {
        return Err(errors::arity("slotsrestore").into());
    }
    let mut values = Vec::new();
    for at in (1..ctx.args.len()).step_by(3) {
        let ttl = int_within(ctx.args.get(at + 1), i64::MIN, i64::MAX)?;
        let ttl = u64::try_from(ttl).map_err(|_| "ERR invalid ttl value, must be >= 0")?;
        let value = decode(ctx.args.get(at + 2)).map_err(|error| match error {
            DumpError::Checksum => "ERR dump payload version or checksum are wrong",
            DumpError::Type(_) | DumpError::Body => "ERR bad data format",
        })?;
        values.push((ctx.args.get(at), ttl, value));
    }
    // A key may be named twice.
    ctx.txn.read_own();
    for (key, ttl, value) in values {
        let expire_ms = ends(ctx.txn, key, ttl)?;
        create(ctx.txn, key, value, expire_ms)?;
    }
    ctx.reply.ok();
    Ok(())
}

/// Why a part of a key is not taken.
enum Refused {
    /// Nothing has changed; the source is told why.
    Said(String),
    Failed(CommandError),
}

impl From<CommandError> for Refused {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Line(line) => Self::Said(line.into_owned()),
            failed @ CommandError::Engine(_) => Self::Failed(failed),
        }
    }
}

/// `SLOTSRESTORE-ASYNC delete|expire|string|object|list|hash|dict|zset key …`
fn restore_async(ctx: &mut Ctx<'_, '_>) -> Outcome {
    match take_part(ctx) {
        Ok(count) => acknowledge(&mut ctx.reply, 0, &count.to_string()),
        Err(Refused::Said(why)) => acknowledge(&mut ctx.reply, -1, &why),
        Err(Refused::Failed(error)) => return Err(error),
    }
    Ok(())
}

fn acknowledge(reply: &mut Reply<'_>, code: i64, text: &str) {
    reply.array(3);
    reply.bulk(ACK);
    reply.bulk(code.to_string().as_bytes());
    reply.bulk(text.as_bytes());
}

const ACK: &[u8] = b"SLOTSRESTORE-ASYNC-ACK";

/// The head of an acknowledgement of −1.
const REFUSED: &[u8] = b"*3\r\n$22\r\nSLOTSRESTORE-ASYNC-ACK\r\n$2\r\n-1\r\n";

/// Returns how many elements the key has now; of a string or an expiry 1; of a deletion whether there was a key.
fn take_part(ctx: &mut Ctx<'_, '_>) -> Result<u64, Refused> {
    let (args, txn) = (ctx.args, &mut *ctx.txn);
    let (name, key, count) = (args.get(1).to_ascii_lowercase(), args.get(2), args.len());
    let misfit = || {
        let name = String::from_utf8_lossy(args.get(1));
        Err(Refused::Said(format!("wrong number of arguments (argc={count},cmd={name})")))
    };
    if name == b"delete" {
        return if count == 3 { Ok(txn.delete_key(key)?.is_some().into()) } else { misfit() };
    }
    if count < 4 {
        return misfit();
    }
    let ttl = parse_int(args.get(3)).and_then(|ttl| u64::try_from(ttl).ok());
    let ttl = ttl.ok_or_else(|| said("invalid TTL value (TTL=", args.get(3)))?;
    let expire_ms = ends(txn, key, ttl)?;
    match (name.as_slice(), count) {
        (b"expire", 4) => {
            let meta = txn.meta(key)?.ok_or_else(|| absent(key))?;
            txn.set_expiry(key, &meta, expire_ms)?;
            Ok(1)
        }
        (b"string" | b"object", 5) if txn.meta(key)?.is_some() => {
            Err(said("the specified key already exists (", key))
        }
        (b"string", 5) => {
            txn.set_string(key, None, args.get(4), expire_ms)?;
            Ok(1)
        }
        (b"object", 5) => {
            let value = decode(args.get(4)).map_err(|error| match error {
                DumpError::Checksum => "invalid payload checksum",
                DumpError::Type(_) => "invalid payload type",
                DumpError::Body => "invalid payload body",
            });
            create(txn, key, value.map_err(|why| Refused::Said(why.to_owned()))?, expire_ms)?;
            Ok(1)
        }
        (b"expire" | b"string" | b"object", _) | (_, 4) => misfit(),
        _ if parse_int(args.get(4)).is_none_or(|hint| hint < 0) => {
            Err(said("invalid Hint value (Hint=", args.get(4)))
        }
        (b"hash" | b"zset", _) if (count - 5) % 2 == 1 => misfit(),
        (name, _) => {
            let kind = match name {
                b"list" => Kind::List,
                b"hash" => Kind::Hash,
                b"dict" => Kind::Set,
                b"zset" => Kind::SortedSet,
                _ => {
                    let name = String::from_utf8_lossy(args.get(1));
                    return Err(Refused::Said(format!(
                        "unknown command (argc={count},cmd={name})"
                    )));
                }
            };
            add(txn, (key, kind), args, expire_ms)
        }
    }
}

/// Adds elements to a collection, which a first part makes.
fn add(
    txn: &mut Txn<'_>,
    (key, kind): (&[u8], Kind),
    args: Request<'_>,
    expire_ms: u64,
) -> Result<u64, Refused> {
    let scores = if kind == Kind::SortedSet { scores(args)? } else { Vec::new() };
    let mut all = txn.open_or_new(key, kind).map_err(|error| match error {
        CommandError::Line(text) if text == line::WRONG_TYPE => {
            Refused::Said("wrong type".to_owned())
        }
        other => other.into(),
    })?;
    if args.len() == 5 && all.meta.count == 0 {
        return Err(absent(key));
    }
    // An element may be named twice.
    txn.read_own();
    match kind {
        Kind::List => args.from(5).try_for_each(|e| push(txn, &mut all, End::Right, e))?,
        Kind::Set => args.from(5).try_for_each(|e| add_one(txn, &mut all, e, b""))?,
        Kind::Hash => {
            for at in (5..args.len()).step_by(2) {
                add_one(txn, &mut all, args.get(at), args.get(at + 1))?;
            }
        }
        _ => {
            for (member, score) in scores {
                let old = score_of(txn, &all, member)?;
                put(txn, &all, member, (old, score))?;
                all.meta.count += u64::from(old.is_none());
            }
        }
    }
    all.meta.expire_ms = expire_ms;
    txn.save(&mut all)?;
    Ok(all.meta.count)
}

fn add_one(
    txn: &mut Txn<'_>,
    all: &mut Collection<'_>,
    element: &[u8],
    value: &[u8],
) -> Result<(), CommandError> {
    all.meta.count += u64::from(!txn.has_element(all, element)?);
    txn.put_element(all, element, value)
}

/// Members with their scores, which come as the eight bytes of a double, the least first.
fn scores(args: Request<'_>) -> Result<Vec<(&[u8], f64)>, Refused> {
    let pairs = (5..args.len()).step_by(2).enumerate().map(|(number, at)| {
        let bits = args.get(at + 1).try_into().ok();
        let score = bits.map(f64::from_le_bytes).filter(|score| !score.is_nan());
        let bad = || Refused::Said(format!("invalid zset score ([{number}]), bad raw bits"));
        Ok((args.get(at), score.ok_or_else(bad)?))
    });
    pairs.collect()
}

/// When a key is gone that has so many milliseconds to live; 0: never.
fn ends(txn: &Txn<'_>, key: &[u8], ttl: u64) -> Result<u64, CommandError> {
    Ok(if ttl == 0 { 0 } else { txn.now_ms(key)?.saturating_add(ttl) })
}

/// Makes the key this value, whatever it was.
fn create(txn: &mut Txn<'_>, key: &[u8], value: Dumped, expire_ms: u64) -> Outcome {
    let kind = match &value {
        Dumped::String(text) => {
            let old = txn.meta(key)?;
            return txn.set_string(key, old.as_ref(), text, expire_ms);
        }
        Dumped::List(_) => Kind::List,
        Dumped::Set(_) => Kind::Set,
        Dumped::SortedSet(_) => Kind::SortedSet,
        Dumped::Hash(_) => Kind::Hash,
    };
    let mut all = txn.replace(key, kind)?;
    match value {
        Dumped::String(_) => {}
        Dumped::List(words) => {
            words.iter().try_for_each(|word| push(txn, &mut all, End::Right, word))?;
        }
        // Nothing in a payload keeps it from having an element twice.
        Dumped::Set(words) => {
            let members: BTreeSet<Vec<u8>> = words.into_iter().collect();
            members.iter().try_for_each(|member| txn.put_element(&all, member, b""))?;
            all.meta.count = members.len() as u64;
        }
        Dumped::Hash(fields) => {
            let fields: BTreeMap<Vec<u8>, Vec<u8>> = fields.into_iter().collect();
            fields.iter().try_for_each(|(field, value)| txn.put_element(&all, field, value))?;
            all.meta.count = fields.len() as u64;
        }
        Dumped::SortedSet(members) => {
            let members: BTreeMap<Vec<u8>, f64> = members.into_iter().collect();
            members.iter().try_for_each(|(m, score)| put(txn, &all, m, (None, *score)))?;
            all.meta.count = members.len() as u64;
        }
    }
    all.meta.expire_ms = expire_ms;
    txn.save(&mut all)
}

fn said(text: &str, about: &[u8]) -> Refused {
    Refused::Said(format!("{text}{})", String::from_utf8_lossy(about)))
}

fn absent(key: &[u8]) -> Refused {
    said("the specified key doesn't exist (", key)
}

/// `SLOTSRESTORE-ASYNC-AUTH password`
fn auth(session: &mut Session, request: Request<'_>) -> Outcome {
    session.restores = true;
    if session.shared.settings.password().is_none() {
        acknowledge(&mut session.reply(), -1, "Client sent AUTH, but no password is set");
    } else if log_in(session, b"default", request.get(1)).is_err() {
        session.authenticated = false;
        acknowledge(&mut session.reply(), -1, "invalid password");
    } else {
        acknowledge(&mut session.reply(), 0, "OK");
    }
    Ok(())
}

/// `SLOTSRESTORE-ASYNC-SELECT db`
fn select(session: &mut Session, request: Request<'_>) -> Outcome {
    session.restores = true;
    let db = parse_int(request.get(1)).and_then(|db| u8::try_from(db).ok());
    match db.filter(|db| *db < session.shared.config.databases) {
        Some(db) => {
            session.select(db);
            acknowledge(&mut session.reply(), 0, "OK");
        }
        None => {
            let why = format!("invalid DB index ({})", String::from_utf8_lossy(request.get(1)));
            acknowledge(&mut session.reply(), -1, &why);
        }
    }
    Ok(())
}

impl Session {
    /// What a codis-server was answered from `start` on becomes an acknowledgement, and the last one if it is an error.
    pub(crate) fn acknowledge(&mut self, start: usize) {
        if let Some(error) = self.out.get(start..).and_then(|reply| reply.strip_prefix(b"-")) {
            let line = String::from_utf8_lossy(error).trim_end().to_owned();
            self.out.truncate(start);
            acknowledge(&mut self.reply(), -1, &line);
        }
        self.closing |= self.out.get(start..).is_some_and(|reply| reply.starts_with(REFUSED));
    }
}
