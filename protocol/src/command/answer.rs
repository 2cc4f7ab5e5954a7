//! Answers COMMAND and its subcommands, at a proxy and at a node. Commands that are not served there are not listed.

use super::describe::{categories_of, subcommand_docs, subcommand_info};
use super::{Command, Subcommand, command_docs, command_info, getkeys, lookup, table};
use crate::glob::matches;
use crate::reply::{Reply, errors};
use crate::slicer::Args;

/// Answers a request whose first argument is COMMAND; `serves` tells which commands are listed.
pub fn answer(frame: &[u8], args: &Args, serves: impl Fn(&Command) -> bool, reply: &mut Reply<'_>) {
    let Some(command) = lookup(b"command") else { return };
    let sub = match command.subcommand_of(frame, args) {
        Ok(sub) => sub,
        Err(error) => return reply.error(error.line()),
    };
    let served = Served(table().iter().filter(|command| serves(command)).collect());
    let names = args.iter(frame).skip(2);
    match sub.map(|sub| sub.name) {
        None => served.all(reply),
        Some("info") if args.len() == 2 => served.all(reply),
        Some("info") => {
            reply.array(args.len() - 2);
            names.for_each(|name| served.info(name, reply));
        }
        Some("docs") => served.docs(names.collect(), reply),
        Some("count") => reply.int(served.0.len() as i64),
        Some("list") => match Filter::of(&names.collect::<Vec<_>>()) {
            Some(filter) => served.list(filter, reply),
            None => reply.error(errors::SYNTAX),
        },
        Some("help") => reply.help("COMMAND", &HELP),
        Some(_) => getkeys(frame, args, reply),
    }
}

/// Which names COMMAND LIST lists.
#[derive(Clone, Copy)]
enum Filter<'a> {
    All,
    /// Of modules: there are none.
    None,
    Category(&'a [u8]),
    Pattern(&'a [u8]),
}

impl<'a> Filter<'a> {
    /// Of the arguments behind COMMAND LIST; nothing if they make no sense.
    fn of(words: &[&'a [u8]]) -> Option<Self> {
        let is = |word: &[u8], text: &str| word.eq_ignore_ascii_case(text.as_bytes());
        match words {
            [] => Some(Self::All),
            [by, kind, what] if is(by, "filterby") => match () {
                () if is(kind, "module") => Some(Self::None),
                () if is(kind, "aclcat") => Some(Self::Category(what)),
                () if is(kind, "pattern") => Some(Self::Pattern(what)),
                () => None,
            },
            _ => None,
        }
    }

    fn fits(self, command: &Command, sub: Option<&Subcommand>, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Pattern(pattern) => matches(&pattern.to_ascii_lowercase(), name.as_bytes()),
            Self::Category(wanted) => categories_of(command, sub)
                .iter()
                .any(|category| category.as_bytes()[1..].eq_ignore_ascii_case(wanted)),
        }
    }
}

/// The commands that are served, in the order of the table.
struct Served<'a>(Vec<&'a Command>);

impl Served<'_> {
    /// The command of a full name, `get` or `config|get`, if it is served.
    fn find(&self, name: &[u8]) -> Option<(&Command, Option<&'static Subcommand>)> {
        let mut parts = name.splitn(2, |&byte| byte == b'|');
        let wanted = lookup(parts.next()?)?;
        let command = self.0.iter().find(|command| command.id == wanted.id)?;
        match parts.next() {
            None => Some((command, None)),
            Some(sub) => Some((command, Some(command.subcommand(sub)?))),
        }
    }

    fn all(&self, reply: &mut Reply<'_>) {
        reply.array(self.0.len());
        self.0.iter().for_each(|command| command_info(command, reply));
    }

    fn list(&self, filter: Filter<'_>, reply: &mut Reply<'_>) {
        let mut names = Vec::new();
        for command in &self.0 {
            let subs = command.subcommands.iter().map(|sub| (Some(sub), full_name(command, sub)));
            let all = std::iter::once((None, command.name.to_owned())).chain(subs);
            let chosen = all.filter(|(sub, name)| filter.fits(command, *sub, name));
            names.extend(chosen.map(|(_, name)| name));
        }
        reply.array(names.len());
        names.iter().for_each(|name| reply.bulk(name.as_bytes()));
    }

    fn info(&self, name: &[u8], reply: &mut Reply<'_>) {
        match self.find(name) {
            None => reply.null(),
            Some((command, None)) => command_info(command, reply),
            Some((command, Some(sub))) => subcommand_info(command, sub, reply),
        }
    }

    /// All, if no names are given.
    fn docs(&self, names: Vec<&[u8]>, reply: &mut Reply<'_>) {
        let found: Vec<_> = if names.is_empty() {
            self.0.iter().map(|command| (*command, None)).collect()
        } else {
            names.into_iter().filter_map(|name| self.find(name)).collect()
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

fn full_name(command: &Command, sub: &Subcommand) -> String {
    format!("{}|{}", command.name, sub.name)
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
