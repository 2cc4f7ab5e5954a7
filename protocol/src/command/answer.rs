//! Answers COMMAND and its subcommands: the same at a proxy and at a node. Commands that are not served are not listed.
//!
//! Left out: the filters of COMMAND LIST.

use super::describe::{subcommand_docs, subcommand_info};
use super::{Command, Subcommand, command_docs, command_info, getkeys, lookup, table};
use crate::reply::{Reply, errors};
use crate::slicer::Args;

/// Answers a request whose first argument is COMMAND.
pub fn answer(frame: &[u8], args: &Args, reply: &mut Reply<'_>) {
    let Some(command) = lookup(b"command") else { return };
    let sub = match command.subcommand_of(frame, args) {
        Ok(sub) => sub,
        Err(error) => return reply.error(error.line()),
    };
    let names = args.iter(frame).skip(2);
    match sub.map(|sub| sub.name) {
        None => all(command_info, reply),
        Some("info") if args.len() == 2 => all(command_info, reply),
        Some("info") => {
            reply.array(args.len() - 2);
            names.for_each(|name| info(name, reply));
        }
        Some("docs") => docs(names, args.len() == 2, reply),
        Some("count") => reply.int(served().count() as i64),
        Some("list") if args.len() == 2 => list(reply),
        Some("list") => reply.error(errors::SYNTAX),
        Some("help") => reply.help("COMMAND", &HELP),
        Some(_) => getkeys(frame, args, reply),
    }
}

/// Returns the command of a full name, `get` or `config|get`, if it is served.
fn full_name(name: &[u8]) -> Option<(&'static Command, Option<&'static Subcommand>)> {
    let mut parts = name.splitn(2, |&byte| byte == b'|');
    let command = lookup(parts.next()?).filter(|command| command.is_served())?;
    match parts.next() {
        None => Some((command, None)),
        Some(sub) => Some((command, Some(command.subcommand(sub)?))),
    }
}

fn served() -> impl Iterator<Item = &'static Command> {
    table().iter().filter(|command| command.is_served())
}

fn all(write: impl Fn(&Command, &mut Reply<'_>), reply: &mut Reply<'_>) {
    reply.array(served().count());
    for command in served() {
        write(command, reply);
    }
}

/// Names, subcommands' too.
fn list(reply: &mut Reply<'_>) {
    reply.array(served().map(|command| 1 + command.subcommands.len()).sum());
    for command in served() {
        reply.bulk(command.name.as_bytes());
        for sub in command.subcommands {
            reply.bulk(format!("{}|{}", command.name, sub.name).as_bytes());
        }
    }
}

fn info(name: &[u8], reply: &mut Reply<'_>) {
    match full_name(name) {
        None => reply.null_array(),
        Some((command, None)) => command_info(command, reply),
        Some((command, Some(sub))) => subcommand_info(command, sub, reply),
    }
}

fn docs<'a>(names: impl Iterator<Item = &'a [u8]>, every: bool, reply: &mut Reply<'_>) {
    let found: Vec<_> = if every {
        served().map(|command| (command, None)).collect()
    } else {
        names.filter_map(full_name).collect()
    };
    reply.map(found.len());
    for (command, sub) in found {
        match sub {
            None => command_docs(command, reply),
            Some(sub) => subcommand_docs(command, sub, reply),
        }
    }
}

const HELP: [&str; 18] = [
    "(no subcommand)",
    "    Return details about all Redis commands.",
    "COUNT",
    "    Return the total number of commands in this Redis server.",
    "LIST",
    "    Return a list of all commands in this Redis server.",
    "INFO [<command-name> ...]",
    "    Return details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "DOCS [<command-name> ...]",
    "    Return documentation details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "GETKEYS <full-command>",
    "    Return the keys from a full Redis command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys and the access flags from a full Redis command.",
];
