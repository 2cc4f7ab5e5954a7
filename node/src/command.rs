//! From a command to its function.
//!
//! One file a family. A family has a `TABLE` of names and functions; names, arities, flags and key positions are in [`protocol::command`].
//! To add a command: write its function, add its line to the family's `TABLE`. To add a family: add its file and its `TABLE` to
//! [`FAMILIES`].
//!
//! A function reads its arguments from [`Ctx::args`] (the arity is checked), works on [`Ctx::txn`], and writes exactly one reply. It returns an
//! error only if it has changed nothing; what it wrote of the reply is then forgotten.

mod bitmap;
mod blocking;
mod codis;
mod connection;
mod hash;
mod hyperloglog;
mod key;
mod list;
mod parse;
mod restore;
mod scan;
mod server;
mod set;
mod slipway;
mod slots;
mod string;
mod zset;

use crate::error::CommandError;
use crate::session::Session;
use crate::shared::Shared;
use crate::txn::{Flow, Reads, Scratch, Txn};
use cluster::Slot;
use cluster::state::Access;
use protocol::command::{Command, CommandId, table};
use protocol::reply::{Reply, errors};
use protocol::slicer::Args;
use std::sync::OnceLock;

pub use blocking::{Found, Wish};
pub(crate) use codis::{Order, order};
pub(crate) use hyperloglog::refresh;
pub(crate) use slipway::{Word, word};
pub(crate) use zset::score_in;

/// The arguments of a request; 0 is the command's name.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub frame: &'a [u8],
    pub args: &'a Args,
}

impl<'a> Request<'a> {
    /// How many arguments there are, the name included.
    pub fn len(&self) -> usize {
        self.args.len()
    }

    /// Whether there is not even a name.
    pub fn is_empty(&self) -> bool {
        self.args.is_empty()
    }

    /// One argument; empty if there are fewer.
    pub fn get(&self, index: usize) -> &'a [u8] {
        self.args.get(self.frame, index).unwrap_or_default()
    }

    /// The arguments from `first` on.
    pub fn from(
        &self,
        first: usize,
    ) -> impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator + use<'a> {
        self.args.iter(self.frame).skip(first)
    }

    /// Whether the argument is this word, in any case.
    pub fn is(&self, index: usize, word: &str) -> bool {
        self.get(index).eq_ignore_ascii_case(word.as_bytes())
    }
}

/// What a command's function works with.
#[derive(Debug)]
pub struct Ctx<'a, 't> {
    pub shared: &'a Shared,
    pub command: &'static Command,
    pub args: Request<'a>,
    pub txn: &'a mut Txn<'t>,
    pub reply: Reply<'a>,
}

impl Ctx<'_, '_> {
    /// Shows `visit` every slot that is served here, in order: one after another, each in a transaction of its own; within MULTI all in the one
    /// transaction.
    pub fn each_slot(
        &mut self,
        access: Access,
        mut visit: impl FnMut(&mut Txn<'_>, Slot) -> Result<Flow, CommandError>,
    ) -> Outcome {
        let entered: Vec<Slot> = self.txn.slots().map(|(slot, _)| slot).collect();
        for &slot in &entered {
            if visit(self.txn, slot)? == Flow::Stop {
                break;
            }
        }
        if entered.is_empty() { each_slot(self.shared, self.txn.db, access, visit) } else { Ok(()) }
    }
}

/// A slot with more keys is not held while they are read.
const HELD_KEYS_MAX: u64 = 100;

/// As [`Ctx::each_slot`], outside of MULTI.
pub(crate) fn each_slot(
    shared: &Shared,
    db: u8,
    access: Access,
    mut visit: impl FnMut(&mut Txn<'_>, Slot) -> Result<Flow, CommandError>,
) -> Outcome {
    let mut scratch = Scratch::default();
    for (slot, _) in shared.slots.iter() {
        let mut nowhere = Vec::new();
        let Ok(entered) = crate::exec::enter(shared, &[slot], access, None, &mut nowhere) else {
            continue;
        };
        let mut txn = Txn::new(shared, &mut scratch, entered, db, Reads::Committed);
        if access == Access::Read && txn.key_counts(slot)?.keys > HELD_KEYS_MAX {
            txn.detach();
        }
        let flow = visit(&mut txn, slot)?;
        if access == Access::Write {
            txn.commit()?;
        }
        if flow == Flow::Stop {
            break;
        }
    }
    Ok(())
}

/// Runs `work` on one slot that is not that of a key; within MULTI in the one transaction. A slot that is not served here is an error.
fn in_slot(
    ctx: &mut Ctx<'_, '_>,
    slot: Slot,
    access: Access,
    work: impl FnOnce(&mut Txn<'_>) -> Outcome,
) -> Outcome {
    if ctx.txn.slots().next().is_some() {
        return work(ctx.txn);
    }
    let (mut scratch, mut refusal) = (Scratch::default(), Vec::new());
    let Ok(entered) = crate::exec::enter(ctx.shared, &[slot], access, None, &mut refusal) else {
        let line = String::from_utf8_lossy(&refusal);
        return Err(line.trim_start_matches('-').trim_end().to_owned().into());
    };
    let mut txn = Txn::new(ctx.shared, &mut scratch, entered, ctx.txn.db, Reads::Committed);
    if access == Access::Read && txn.key_counts(slot)?.keys > HELD_KEYS_MAX {
        txn.detach();
    }
    work(&mut txn)?;
    if access == Access::Write { txn.commit() } else { Ok(()) }
}

/// The subcommand of a container, in lower case; an unknown one, or a wrong number of arguments, is an error.
pub(crate) fn subcommand(
    container: &str,
    request: Request<'_>,
) -> Result<&'static str, CommandError> {
    let unknown = || {
        CommandError::from(
            String::from_utf8_lossy(&errors::unknown_subcommand(container, request.get(1)))
                .into_owned(),
        )
    };
    let command = protocol::command::lookup(container.as_bytes()).ok_or_else(unknown)?;
    let sub = command.subcommand(request.get(1)).ok_or_else(unknown)?;
    if !sub.check_arity(request.len()) {
        return Err(errors::arity(&format!("{container}|{}", sub.name)).into());
    }
    Ok(sub.name)
}

/// What a command's function returns.
pub type Outcome = Result<(), CommandError>;

/// How a command is run.
#[derive(Clone, Copy)]
pub enum Run {
    /// The slots of its keys are entered first.
    Keys(fn(&mut Ctx<'_, '_>) -> Outcome),
    /// It is about all slots that are served here: [`Ctx::each_slot`].
    Slots(fn(&mut Ctx<'_, '_>) -> Outcome),
    /// As [`Self::Keys`]; if the keys have nothing for it, it waits until one of them has.
    Waits(fn(Request<'_>) -> Result<Wish, CommandError>),
    /// It is about the connection.
    Session(fn(&mut Session, Request<'_>) -> Outcome),
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Keys(_) => "Keys",
            Self::Slots(_) => "Slots",
            Self::Waits(_) => "Waits",
            Self::Session(_) => "Session",
        })
    }
}

/// A family's commands.
type Table = &'static [(&'static str, Run)];

const FAMILIES: &[Table] = &[
    bitmap::TABLE,
    blocking::TABLE,
    codis::TABLE,
    connection::TABLE,
    hash::TABLE,
    hyperloglog::TABLE,
    key::TABLE,
    list::TABLE,
    restore::TABLE,
    server::TABLE,
    set::TABLE,
    slipway::TABLE,
    slots::TABLE,
    string::TABLE,
    zset::TABLE,
];

/// How a command is run; nothing if it is not served.
pub fn find(id: CommandId) -> Option<Run> {
    static BY_ID: OnceLock<Vec<Option<Run>>> = OnceLock::new();
    let by_id = BY_ID.get_or_init(|| {
        let mut by_id = vec![None; table().len()];
        for (name, run) in FAMILIES.iter().copied().flatten() {
            if let Some(command) = protocol::command::lookup(name.as_bytes()) {
                by_id[command.id.index()] = Some(*run);
            }
        }
        by_id
    });
    by_id.get(id.index()).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::command::{RouteRule, lookup};

    /// Every command that the README's families promise.
    const WANTED: &[&str] = &[
        // keys
        "del unlink exists type ttl pttl expire expireat pexpire pexpireat expiretime pexpiretime persist rename renamenx touch scan keys",
        "randomkey dbsize flushdb flushall object copy",
        // strings and bitmaps
        "append decr decrby get getdel getex getrange getset incr incrby incrbyfloat mget mset msetnx psetex set setex setnx setrange",
        "strlen substr setbit getbit bitcount bitpos bitop bitfield bitfield_ro",
        // hashes
        "hdel hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield hscan hset hsetnx hstrlen hvals",
        // lists
        "lindex linsert llen lmove lmpop lpop lpos lpush lpushx lrange lrem lset ltrim rpop rpoplpush rpush rpushx",
        "blpop brpop blmove brpoplpush blmpop bzpopmin bzpopmax bzmpop",
        // sets
        "sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember smembers smismember smove spop srandmember srem sscan",
        "sunion sunionstore",
        // sorted sets
        "zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard zinterstore zlexcount zmpop zmscore zpopmax zpopmin zrandmember",
        "zrange zrangebylex zrangebyscore zrangestore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore zrevrange",
        "zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion zunionstore",
        // sketches and transactions
        "pfadd pfcount pfmerge multi exec watch unwatch discard",
        // connection, server, slots
        "ping echo auth hello select quit reset client config info command slowlog time",
        "slotsinfo slotshashkey slotsscan slotsdel",
    ];

    const CONTAINERS: &[(&str, &str)] = &[
        ("object", "encoding refcount idletime freq help"),
        ("client", "id getname setname info list kill reply no-evict getredir trackinginfo help"),
        ("config", "get set rewrite resetstat help"),
        ("command", "count docs info list getkeys getkeysandflags help"),
        ("slowlog", "get len reset help"),
    ];

    #[test]
    fn every_command_that_is_promised_is_served() {
        let wanted = || WANTED.iter().flat_map(|line| line.split(' '));
        for name in wanted() {
            let command = lookup(name.as_bytes());
            assert!(command.is_some_and(|command| find(command.id).is_some()), "{name}");
            assert!(command.is_some_and(Command::is_served), "{name} is refused by the table");
        }
        for (container, subs) in CONTAINERS {
            let command = lookup(container.as_bytes()).unwrap();
            for sub in subs.split(' ') {
                assert!(command.subcommand(sub.as_bytes()).is_some(), "{container} {sub}");
            }
        }
    }

    #[test]
    fn whatever_the_table_sends_to_a_node_is_served() {
        for command in table() {
            let sent = match command.route {
                RouteRule::OneSlot | RouteRule::Split(_) | RouteRule::FanOut(_) => true,
                RouteRule::Slots | RouteRule::Transaction | RouteRule::Private => true,
                RouteRule::Local | RouteRule::Refused(_) => false,
            };
            assert!(!sent || find(command.id).is_some(), "{}", command.name);
        }
    }

    #[test]
    fn every_function_has_a_line_in_the_command_table_and_only_one() {
        let mut seen = std::collections::HashSet::new();
        for (name, _) in FAMILIES.iter().copied().flatten() {
            assert!(lookup(name.as_bytes()).is_some(), "{name} is not in protocol's table");
            assert!(seen.insert(name), "{name} is served twice");
        }
    }
}
