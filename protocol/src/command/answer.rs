//! Answers COMMAND and its subcommands: the same at a proxy and at a node. Commands that are not served are not listed.

use super::describe::{is_in_category, subcommand_docs, subcommand_info};
use super::{Command, Subcommand, command_docs, command_info, getkeys, lookup, table};
use crate::glob::matches;
use crate::reply::{Reply, errors};
use crate::slicer::Args;

/// Answers a request whose first argument is COMMAND. `serves` says whether a command is served here.
pub fn answer(frame: &[u8], args: &Args, serves: fn(&Command) -> bool, reply: &mut Reply<'_>) {
    let Some(command) = lookup(b"command") else { return };
    let sub = match command.subcommand_of(frame, args) {
        Ok(sub) => sub,
        Err(error) => return reply.error(error.line()),
    };
    let served = Served(serves);
    let names = args.iter(frame).skip(2);
    match sub.map(|sub| sub.name) {
        None => served.all(reply),
        Some("info") if args.len() == 2 => served.all(reply),
        Some("info") => {
            reply.array(args.len() - 2);
            names.for_each(|name| served.info(name, reply));
        }
        Some("docs") => served.docs(names, args.len() == 2, reply),
        Some("count") => reply.int(served.commands().count() as i64),
        Some("list") => match Filter::read(frame, args) {
            Ok(filter) => served.list(filter, reply),
            Err(line) => reply.error(line),
        },
        Some("help") => reply.help("COMMAND", &HELP),
        Some(_) => getkeys(frame, args, reply),
    }
}

/// A command, or one of its subcommands.
type Named = (&'static Command, Option<&'static Subcommand>);

/// What COMMAND LIST lists.
#[derive(Clone, Copy, Debug)]
enum Filter<'a> {
    Everything,
    /// There are no modules.
    Module,
    Category(&'a [u8]),
    Pattern(&'a [u8]),
}

impl<'a> Filter<'a> {
    /// Reads `COMMAND LIST [FILTERBY MODULE|ACLCAT|PATTERN argument]`.
    fn read(frame: &'a [u8], args: &'a Args) -> Result<Self, &'static str> {
        if args.len() == 2 {
            return Ok(Self::Everything);
        }
        let words: Vec<&[u8]> = args.iter(frame).skip(2).collect();
        let &[by, kind, argument] = words.as_slice() else { return Err(errors::SYNTAX) };
        match kind.to_ascii_lowercase().as_slice() {
            _ if !by.eq_ignore_ascii_case(b"filterby") => Err(errors::SYNTAX),
            b"module" => Ok(Self::Module),
            b"aclcat" => Ok(Self::Category(argument)),
            b"pattern" => Ok(Self::Pattern(argument)),
            _ => Err(errors::SYNTAX),
        }
    }

    fn fits(self, (command, sub): Named) -> bool {
        match self {
            Self::Everything => true,
            Self::Module => false,
            Self::Category(category) => is_in_category(command, sub, category),
            Self::Pattern(pattern) => {
                matches(&pattern.to_ascii_lowercase(), full_name((command, sub)).as_bytes())
            }
        }
    }
}

/// `get`, `config|get`
fn full_name((command, sub): Named) -> String {
    match sub {
        None => command.name.to_owned(),
        Some(sub) => format!("{}|{}", command.name, sub.name),
    }
}

/// What is served here, by a function that knows.
#[derive(Clone, Copy)]
struct Served(fn(&Command) -> bool);

impl Served {
    fn commands(self) -> impl Iterator<Item = &'static Command> {
        table().iter().filter(move |command| (self.0)(command))
    }

    /// Returns the command of a full name.
    fn named(self, name: &[u8]) -> Option<Named> {
        let mut parts = name.splitn(2, |&byte| byte == b'|');
        let command = lookup(parts.next()?).filter(|command| (self.0)(command))?;
        match parts.next() {
            None => Some((command, None)),
            Some(sub) => Some((command, Some(command.subcommand(sub)?))),
        }
    }

    fn all(self, reply: &mut Reply<'_>) {
        reply.array(self.commands().count());
        self.commands().for_each(|command| command_info(command, reply));
    }

    /// Names, subcommands' too.
    fn list(self, filter: Filter<'_>, reply: &mut Reply<'_>) {
        let with_subs = |command: &'static Command| {
            let subs = command.subcommands.iter().map(move |sub| (command, Some(sub)));
            std::iter::once((command, None)).chain(subs)
        };
        let listed: Vec<Named> =
            self.commands().flat_map(with_subs).filter(|named| filter.fits(*named)).collect();
        reply.array(listed.len());
        listed.into_iter().for_each(|named| reply.bulk(full_name(named).as_bytes()));
    }

    fn info(self, name: &[u8], reply: &mut Reply<'_>) {
        match self.named(name) {
            None => reply.null(),
            Some((command, None)) => command_info(command, reply),
            Some((command, Some(sub))) => subcommand_info(command, sub, reply),
        }
    }

    fn docs<'a>(self, names: impl Iterator<Item = &'a [u8]>, every: bool, reply: &mut Reply<'_>) {
        let found: Vec<Named> = if every {
            self.commands().map(|command| (command, None)).collect()
        } else {
            names.filter_map(|name| self.named(name)).collect()
        };
        reply.map(found.len());
        for (command, sub) in found {
            match sub {
                None => command_docs(command, reply),
                Some(sub) => subcommand_docs(command, sub, reply),
            }
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
