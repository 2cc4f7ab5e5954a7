//! COMMAND GETKEYS and COMMAND GETKEYSANDFLAGS: works for commands that are not served too.

use super::describe::access_names;
use super::keys::access::{ACCESS, NOT_KEY, OW, RO, RW, UPDATE, VARIABLE};
use super::{Command, Flags, KeyPositions, Keys, KeysError, Subcommand, lookup};
use crate::reply::{Reply, errors};
use crate::slicer::Args;

/// Answers `COMMAND GETKEYS <request>` or `COMMAND GETKEYSANDFLAGS <request>`: `args` is all of it, the inner request begins at argument 2.
pub fn getkeys(frame: &[u8], args: &Args, reply: &mut Reply<'_>) {
    let with_flags =
        args.get(frame, 1).is_some_and(|name| name.eq_ignore_ascii_case(b"getkeysandflags"));
    if args.len() < 4 {
        return reply.error(errors::arity(if with_flags {
            "command|getkeysandflags"
        } else {
            "command|getkeys"
        }));
    }
    let inner = args.behind(2);
    let Some(line) = Line::named(frame, &inner) else {
        return reply.error("ERR Invalid command specified");
    };
    if !line.has_keys() {
        return reply.error("ERR The command has no key arguments");
    }
    if !line.arity_fits(inner.len()) {
        return reply.error("ERR Invalid number of arguments specified for command");
    }
    let positions = line.positions(frame, &inner);
    if positions.is_empty() && !line.command.flags.contains(Flags::NO_MANDATORY_KEYS) {
        return reply.error("ERR Invalid arguments specified for command");
    }
    reply.array(positions.len());
    for (nth, &position) in positions.iter().enumerate() {
        let key = inner.get(frame, position as usize).unwrap_or_default();
        if with_flags {
            reply.array(2);
            reply.bulk(key);
            access_names(line.access(nth, frame, &inner), reply);
        } else {
            reply.bulk(key);
        }
    }
}

/// The command of a request, and its subcommand if it is a container.
struct Line {
    command: &'static Command,
    sub: Option<&'static Subcommand>,
}

impl Line {
    fn named(frame: &[u8], args: &Args) -> Option<Self> {
        let command = lookup(args.get(frame, 0)?)?;
        let sub = match args.get(frame, 1) {
            Some(name) if !command.subcommands.is_empty() => Some(command.subcommand(name)?),
            _ => None,
        };
        Some(Self { command, sub })
    }

    fn specs(&self) -> &'static [u32] {
        self.sub.map_or(self.command.access, |sub| sub.access)
    }

    fn has_keys(&self) -> bool {
        self.sub.map_or(self.command.keys, |sub| sub.keys) != Keys::None
            && self.specs().iter().all(|access| access & NOT_KEY == 0)
    }

    fn arity_fits(&self, count: usize) -> bool {
        self.sub.map_or(self.command.check_arity(count), |sub| sub.check_arity(count))
    }

    /// The keys; none if the request makes no sense.
    fn positions(&self, frame: &[u8], args: &Args) -> KeyPositions {
        match self.command.key_positions(frame, args) {
            // An odd MSET is refused by the command itself; GETKEYS names its keys.
            Err(KeysError::Arity(_)) => (1..args.len() as u32).step_by(2).collect(),
            // Redis' specification of PFMERGE asks for a source, the command does not.
            Ok(_) if self.command.name == "pfmerge" && args.len() == 2 => KeyPositions::new(),
            other => other.unwrap_or_default(),
        }
    }

    /// How the request uses its n-th key.
    fn access(&self, nth: usize, frame: &[u8], args: &Args) -> u32 {
        let specs = self.specs();
        let access = match self.command.keys {
            // The second specification is of keys named by patterns.
            Keys::Special(super::Special::Sort) if nth == 1 => specs.get(2),
            Keys::Special(super::Special::Migrate) => specs.first(),
            _ => specs.get(nth).or(specs.last()),
        };
        let access = access.copied().unwrap_or_default();
        match self.command.name {
            _ if access & VARIABLE == 0 => access,
            "set" if args.iter(frame).skip(3).any(|arg| arg.eq_ignore_ascii_case(b"get")) => {
                RW | ACCESS | UPDATE
            }
            "set" => OW | UPDATE,
            _ if bitfield_only_reads(args.iter(frame).skip(2)) => RO | ACCESS,
            _ => RW | ACCESS | UPDATE,
        }
    }
}

/// Whether all operations of a BITFIELD are GET; one that is not understood counts as a change.
fn bitfield_only_reads<'a>(mut words: impl ExactSizeIterator<Item = &'a [u8]>) -> bool {
    while let Some(word) = words.next() {
        let operands = match word.to_ascii_lowercase().as_slice() {
            b"get" => 2,
            b"overflow" => 1,
            _ => return false,
        };
        if words.len() < operands {
            return false;
        }
        words.nth(operands - 1);
    }
    true
}
