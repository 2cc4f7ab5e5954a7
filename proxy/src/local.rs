//! Commands the proxy answers itself, as Redis 7 does.

mod client;
mod codis;
mod config;
mod hello;
mod info;
mod logs;

pub(crate) use client::Mute;

use crate::plan::Request;
use crate::session::Session;
use crate::worker::Worker;
use protocol::command::Command;
use protocol::number::parse_int;
use protocol::reply::{Reply, errors};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The version of Redis whose replies we give, as clients are told.
pub(crate) const REDIS_VERSION: &str = "7.0.15";

/// What becomes of the connection behind the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Stay,
    Close,
}

/// Who asks what of whom.
pub(crate) struct Asks<'a> {
    pub(crate) session: &'a Rc<Session>,
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) request: Request<'a>,
    pub(crate) command: &'static Command,
}

impl<'a> Asks<'a> {
    /// An argument; the name is 0.
    fn arg(&self, index: usize) -> Option<&'a [u8]> {
        self.request.args.get(self.request.frame, index)
    }

    fn args(&self, from: usize) -> impl Iterator<Item = &'a [u8]> {
        self.request.args.iter(self.request.frame).skip(from)
    }

    fn count(&self) -> usize {
        self.request.args.len()
    }

    /// The subcommand's name, lower case.
    fn subcommand(&self) -> Result<&'static str, Vec<u8>> {
        match self.command.subcommand_of(self.request.frame, self.request.args) {
            Ok(sub) => Ok(sub.map_or("", |sub| sub.name)),
            Err(error) => Err(error.line()),
        }
    }
}

/// A reply, or the line of an error.
type Answer = Result<(), Vec<u8>>;

/// Whether the command may not overtake those before it: what comes behind it takes another connection.
pub(crate) fn waits(name: &str) -> bool {
    matches!(name, "select" | "hello" | "reset")
}

/// Whether the command can be answered within a transaction.
pub(crate) fn fits_transaction(name: &str) -> bool {
    matches!(
        name,
        "ping"
            | "echo"
            | "time"
            | "config"
            | "info"
            | "command"
            | "slotshashkey"
            | "slowlog"
            | "latency"
            | "unwatch"
    )
}

/// Answers. The reply's version is the one the client has behind the command, as in Redis.
pub(crate) fn answer(asks: &Asks<'_>, out: &mut Vec<u8>) -> After {
    let mut body = Vec::new();
    let mut version = asks.session.version.get();
    let answered = match asks.command.name {
        "hello" => hello::hello(asks, &mut body),
        "quit" => {
            Reply::new(out, version).ok();
            return After::Close;
        }
        _ => write(asks, &mut Reply::new(&mut body, version)),
    };
    match answered {
        Ok(()) => out.append(&mut body),
        Err(line) => {
            version = asks.session.version.get();
            Reply::new(out, version).error(line);
        }
    }
    After::Stay
}

fn write(asks: &Asks<'_>, reply: &mut Reply<'_>) -> Answer {
    match asks.command.name {
        "ping" if asks.count() > 2 => return Err(errors::arity("ping").into_bytes()),
        "ping" => match asks.arg(1) {
            Some(text) => reply.bulk(text),
            None => reply.simple("PONG"),
        },
        "echo" => reply.bulk(asks.arg(1).unwrap_or_default()),
        "time" => time(reply),
        // Within a transaction: EXEC has let the keys go already.
        "unwatch" => reply.ok(),
        "auth" if asks.worker.is_codis() => return codis::auth(asks, reply),
        "auth" => return hello::auth(asks, reply),
        "select" if asks.worker.is_codis() => return codis::select(asks, reply),
        "select" => return select(asks, reply),
        "slotsmapping" => return codis::mapping(asks, reply),
        "codis.info" => return codis::info(asks, reply),
        "pconfig" => return codis::pconfig(asks, reply),
        "reset" => {
            asks.session.reset();
            reply.simple("RESET");
        }
        "slotshashkey" => {
            reply.array(asks.count() - 1);
            asks.args(1).for_each(|key| reply.int(i64::from(asks.worker.routes.count.of(key).0)));
        }
        "command" => protocol::command::answer(
            asks.request.frame,
            asks.request.args,
            if asks.worker.has_strangers() { is_served_to_codis } else { is_served },
            reply,
        ),
        "client" => return client::client(asks, reply),
        "config" => return config::config(asks, reply),
        "info" => info::info(asks, reply),
        "slowlog" => return logs::slow_log(asks, reply),
        "latency" => return logs::latency(asks, reply),
        other => return Err(errors::refused(other, "the proxy has no answer to it").into_bytes()),
    }
    Ok(())
}

fn is_served(command: &Command) -> bool {
    command.is_served() && !codis::NAMES.contains(&command.name)
}

fn is_served_to_codis(command: &Command) -> bool {
    command.is_served() || ::codis::commands::is_forwarded(command.name)
}

fn time(reply: &mut Reply<'_>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    reply.array(2);
    reply.bulk_int(now.as_secs() as i64);
    reply.bulk_int(i64::from(now.subsec_micros()));
}

fn select(asks: &Asks<'_>, reply: &mut Reply<'_>) -> Answer {
    let number = asks.arg(1).and_then(parse_int).ok_or(errors::NOT_INTEGER.as_bytes())?;
    if i32::try_from(number).is_err() {
        return Err(errors::out_of_range(i32::MIN.into(), i32::MAX.into()).into_bytes());
    }
    let database = u32::try_from(number).ok().filter(|&n| n < asks.worker.config.databases);
    asks.session.select(database.ok_or(errors::DB_INDEX.as_bytes())?);
    reply.ok();
    Ok(())
}
