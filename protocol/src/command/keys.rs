//! Where a command's keys stand among its arguments. Hot path.
//!
//! What cannot be told is refused with the line Redis gives for the same request, as far as the names and the number of keys are to blame:
//! a request with a second fault may get the other line from Redis.

use super::{Command, Subcommand};
use crate::number::parse_int;
use crate::reply::errors;
use crate::slicer::Args;
use smallvec::{SmallVec, smallvec};
use std::fmt;

/// Indices of a request's keys, in the order they stand; 0 is the command's name. A key that stands twice is there twice.
pub type KeyPositions = SmallVec<[u32; 4]>;

/// Where keys stand. Position 0 is the command's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// It has none.
    None,
    /// From `first` to `last` (−1: the last argument, −2: the one before it) in steps.
    Range { first: u16, last: i16, step: u16 },
    /// The argument at `at` says how many keys stand from `first` on.
    NumKeys { at: u16, first: u16 },
    /// One at 1, then as many from 3 on as the argument at 2 says.
    Store,
    /// Found by words among the arguments.
    Special(Special),
}

/// Commands whose keys stand behind words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// `SORT key … STORE destination`
    Sort,
    /// `SORT_RO key …`, whose BY and GET name keys by pattern
    SortReadOnly,
    /// `XREAD … STREAMS key… id…`; the word stands at `from` or behind it
    Streams { from: u16 },
    /// `MIGRATE host port key|"" … KEYS key…`
    Migrate,
    /// `GEORADIUS key … STORE|STOREDIST destination`; the words stand at `from` or behind it
    GeoStore { from: u16 },
}

/// Why the keys could not be told. `line` is what the client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysError {
    /// Too few or too many arguments for this command or `container|subcommand`.
    Arity(String),
    /// No such subcommand of this container.
    Subcommand { container: &'static str, name: Vec<u8> },
    /// The number of keys is no number.
    NotAnInteger,
    /// The number of keys is no number or less than one.
    NotPositive,
    /// This command needs a key.
    NoKey(&'static str),
    /// The number of keys is less than zero.
    Negative,
    /// There are fewer arguments than keys announced.
    MoreThanArguments,
    /// The words make no sense.
    Syntax,
}

impl KeysError {
    /// The error line, without `-`.
    pub fn line(&self) -> Vec<u8> {
        let text = match self {
            Self::Arity(name) => return errors::arity(name).into_bytes(),
            Self::Subcommand { container, name } => {
                return errors::unknown_subcommand(container, name);
            }
            Self::NoKey(name) => {
                return format!("ERR at least 1 input key is needed for '{name}' command")
                    .into_bytes();
            }
            Self::NotAnInteger => errors::NOT_INTEGER,
            Self::NotPositive => "ERR numkeys should be greater than 0",
            Self::Negative => "ERR Number of keys can't be negative",
            Self::MoreThanArguments => "ERR Number of keys can't be greater than number of args",
            Self::Syntax => errors::SYNTAX,
        };
        text.as_bytes().to_vec()
    }
}

impl std::error::Error for KeysError {}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.line()))
    }
}

impl Command {
    /// Returns where the keys of this request stand, after it has checked the number of arguments and, in a container, the subcommand.
    pub fn key_positions(&self, frame: &[u8], args: &Args) -> Result<KeyPositions, KeysError> {
        match self.keys {
            // One key: what most requests have.
            Keys::Range { first: 1, last: 1, .. } if self.check_arity(args.len()) => {
                Ok(smallvec![1])
            }
            _ => self.all_key_positions(frame, args),
        }
    }

    fn all_key_positions(&self, frame: &[u8], args: &Args) -> Result<KeyPositions, KeysError> {
        if !self.check_arity(args.len()) {
            return Err(KeysError::Arity(self.name.to_owned()));
        }
        match self.subcommand_of(frame, args)? {
            None => self.keys.positions(self.name, frame, args),
            Some(sub) => sub.keys.positions(sub.name, frame, args),
        }
    }

    /// Returns the subcommand the request names, if the command is a container and the request names one.
    pub fn subcommand_of(
        &self,
        frame: &[u8],
        args: &Args,
    ) -> Result<Option<&'static Subcommand>, KeysError> {
        if self.subcommands.is_empty() {
            return Ok(None);
        }
        // COMMAND is the one container that may stand alone.
        let Some(name) = args.get(frame, 1) else { return Ok(None) };
        match self.subcommand(name) {
            None => Err(KeysError::Subcommand { container: self.name, name: name.to_vec() }),
            Some(sub) if sub.check_arity(args.len()) => Ok(Some(sub)),
            Some(sub) => Err(KeysError::Arity(format!("{}|{}", self.name, sub.name))),
        }
    }
}

impl Keys {
    /// The positions in a request whose number of arguments is right.
    fn positions(
        self,
        name: &'static str,
        frame: &[u8],
        args: &Args,
    ) -> Result<KeyPositions, KeysError> {
        match self {
            Self::None => Ok(KeyPositions::new()),
            Self::Range { first, last, step } => {
                if step > 1 && !(args.len() - usize::from(first)).is_multiple_of(usize::from(step))
                {
                    return Err(KeysError::Arity(name.to_owned()));
                }
                Ok(range(first, last, step, args.len()))
            }
            Self::NumKeys { at, first } => {
                let count = counted(name, frame, args, usize::from(at))?;
                Ok((0..count).map(|i| u32::from(first) + i).collect())
            }
            Self::Store => {
                let count = counted(name, frame, args, 2)?;
                Ok([1].into_iter().chain(3..3 + count).collect())
            }
            Self::Special(special) => special.positions(frame, args),
        }
    }
}

fn range(first: u16, last: i16, step: u16, count: usize) -> KeyPositions {
    if i32::from(last) == i32::from(first) {
        return smallvec![u32::from(first)];
    }
    let last = if last < 0 { count as i64 + i64::from(last) } else { i64::from(last) };
    (i64::from(first)..=last).step_by(usize::from(step)).map(|i| i as u32).collect()
}

/// Reads the number of keys at `at`; at most as many as arguments follow.
fn counted(name: &'static str, frame: &[u8], args: &Args, at: usize) -> Result<u32, KeysError> {
    let number = args.get(frame, at).and_then(parse_int);
    let room = args.len().saturating_sub(at + 1) as i64;
    match number {
        Some(number) if (1..=room).contains(&number) => Ok(number as u32),
        _ => miscounted(name, number, room),
    }
}

/// Says what is wrong with a number of keys; families of Redis' commands word it differently.
#[cold]
fn miscounted(name: &'static str, number: Option<i64>, room: i64) -> Result<u32, KeysError> {
    let too_many = number.is_some_and(|number| number > room);
    match name {
        "sintercard" if too_many => Err(KeysError::MoreThanArguments),
        "lmpop" | "blmpop" | "zmpop" | "bzmpop" if too_many => Err(KeysError::Syntax),
        "sintercard" | "lmpop" | "blmpop" | "zmpop" | "bzmpop" => Err(KeysError::NotPositive),
        _ if number.is_none() => Err(KeysError::NotAnInteger),
        // Scripts may do without keys.
        "eval" | "evalsha" | "eval_ro" | "evalsha_ro" | "fcall" | "fcall_ro" => match number {
            Some(0) => Ok(0),
            _ if too_many => Err(KeysError::MoreThanArguments),
            _ => Err(KeysError::Negative),
        },
        _ if too_many => Err(KeysError::Syntax),
        _ => Err(KeysError::NoKey(name)),
    }
}

impl Special {
    fn positions(self, frame: &[u8], args: &Args) -> Result<KeyPositions, KeysError> {
        let words = Words { frame, args };
        match self {
            Self::Sort => Ok(words.sort()),
            Self::SortReadOnly => Ok(smallvec![1]),
            Self::Streams { .. } => words.streams(),
            Self::Migrate => words.migrate(),
            Self::GeoStore { from } => Ok(words.geo_store(usize::from(from))),
        }
    }
}

/// A request whose keys stand behind words.
struct Words<'a> {
    frame: &'a [u8],
    args: &'a Args,
}

impl Words<'_> {
    fn is(&self, index: usize, word: &str) -> bool {
        self.args
            .get(self.frame, index)
            .is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// The last STORE counts.
    fn sort(&self) -> KeyPositions {
        let mut destination = None;
        let mut at = 2;
        while at < self.args.len() {
            if self.is(at, "limit") {
                at += 2;
            } else if self.is(at, "get") || self.is(at, "by") {
                at += 1;
            } else if self.is(at, "store") && at + 1 < self.args.len() {
                // Not skipped: Redis looks at the destination as a word too.
                destination = Some(at as u32 + 1);
            }
            at += 1;
        }
        [1].into_iter().chain(destination).collect()
    }

    /// Half of what follows STREAMS, rounded down: a stream without an id is for the command itself to refuse.
    fn streams(&self) -> Result<KeyPositions, KeysError> {
        let mut at = 1;
        while at < self.args.len() {
            if self.is(at, "streams") {
                let (first, count) = (at + 1, (self.args.len() - at - 1) / 2);
                return if count == 0 {
                    Err(KeysError::Syntax)
                } else {
                    Ok((first..first + count).map(|i| i as u32).collect())
                };
            } else if self.is(at, "block") || self.is(at, "count") {
                at += 2;
            } else if self.is(at, "group") {
                at += 3;
            } else if self.is(at, "noack") {
                at += 1;
            } else {
                return Err(KeysError::Syntax);
            }
        }
        Err(KeysError::Syntax)
    }

    /// KEYS counts only if the one key before it is empty.
    fn migrate(&self) -> Result<KeyPositions, KeysError> {
        let mut at = 6;
        while at < self.args.len() {
            if self.is(at, "keys") {
                if self.args.range(3).is_some_and(|key| !key.is_empty()) {
                    return Err(KeysError::Syntax);
                }
                return Ok((at as u32 + 1..self.args.len() as u32).collect());
            } else if self.is(at, "auth2") {
                at += 2;
            } else if self.is(at, "auth") {
                at += 1;
            }
            at += 1;
        }
        Ok(smallvec![3])
    }

    /// Every destination that is named, although the command will use only the last.
    fn geo_store(&self, from: usize) -> KeyPositions {
        let mut keys: KeyPositions = smallvec![1];
        let mut at = from;
        while at + 1 < self.args.len() {
            if self.is(at, "store") || self.is(at, "storedist") {
                at += 1;
                keys.push(at as u32);
            }
            at += 1;
        }
        keys
    }
}

/// How a command uses a key, as COMMAND INFO words it: bits of a set.
pub(crate) mod access {
    pub(crate) const RO: u32 = 1;
    pub(crate) const RW: u32 = 1 << 1;
    pub(crate) const OW: u32 = 1 << 2;
    pub(crate) const RM: u32 = 1 << 3;
    pub(crate) const ACCESS: u32 = 1 << 4;
    pub(crate) const UPDATE: u32 = 1 << 5;
    pub(crate) const INSERT: u32 = 1 << 6;
    pub(crate) const DELETE: u32 = 1 << 7;
    pub(crate) const NOT_KEY: u32 = 1 << 8;
    pub(crate) const INCOMPLETE: u32 = 1 << 9;
    pub(crate) const VARIABLE: u32 = 1 << 10;

    /// Names by bit.
    pub(crate) const NAMES: [&str; 11] = [
        "RO",
        "RW",
        "OW",
        "RM",
        "access",
        "update",
        "insert",
        "delete",
        "not_key",
        "incomplete",
        "variable_flags",
    ];
}
