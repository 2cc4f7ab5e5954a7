//! What is known of each command: one table, read by proxy and node alike.
//!
//! Names, arities, flags, keys and texts are Redis 7.0.15's. What is ours: the routes, `REPEAT_SAFE`, `BULK`, `CONNECTION`, and the commands
//! of the group `slots`. Subcommands (`CONFIG GET`) hang on their container (`CONFIG`), whose flags and keys are the union of theirs.

mod answer;
mod describe;
mod getkeys;
mod keys;
mod table;

pub use answer::answer;
pub use describe::{command_docs, command_info};
pub use getkeys::getkeys;
pub use keys::{KeyPositions, Keys, KeysError, Special};
pub use table::{lookup, table};

/// A command's place in [`table()`]: dense, so it can index counters. Not stable between releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub u16);

impl CommandId {
    /// The place as an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Index into [`table()`].
    pub id: CommandId,
    /// Lower case.
    pub name: &'static str,
    /// The number of arguments with the name; negative: at least so many.
    pub arity: i16,
    /// What it does, and under which conditions it may run.
    pub flags: Flags,
    /// Where its keys stand.
    pub keys: Keys,
    /// What a proxy does with it.
    pub route: RouteRule,
    /// Redis' group: `string`, `sorted-set`, `generic`, …
    pub group: &'static str,
    /// The version of Redis that had it first.
    pub since: &'static str,
    /// One line for a reader.
    pub summary: &'static str,
    /// Time complexity, for a reader; empty where Redis says nothing.
    pub complexity: &'static str,
    /// How it uses the keys, one word per key specification, for COMMAND INFO.
    pub(crate) access: &'static [u32],
    /// Hints to clients, for COMMAND INFO.
    pub(crate) tips: &'static [&'static str],
    /// ACL categories where they do not follow from group and flags.
    pub(crate) categories: &'static [&'static str],
    /// The subcommands of a container.
    pub subcommands: &'static [Subcommand],
}

/// One subcommand of a container.
#[derive(Clone, Copy, Debug)]
pub struct Subcommand {
    /// Lower case, without the container: `encoding`.
    pub name: &'static str,
    /// Counts the container's name too.
    pub arity: i16,
    /// As of a command.
    pub flags: Flags,
    /// As of a command.
    pub keys: Keys,
    /// The version of Redis that had it first.
    pub since: &'static str,
    /// One line for a reader.
    pub summary: &'static str,
    /// Time complexity; may be empty.
    pub complexity: &'static str,
    pub(crate) access: &'static [u32],
    pub(crate) tips: &'static [&'static str],
    pub(crate) categories: &'static [&'static str],
}

/// What a proxy does with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteRule {
    /// The proxy answers.
    Local,
    /// All keys are in one slot, else `-CROSSSLOT`.
    OneSlot,
    /// Split by slot; the parts' replies are joined.
    Split(Join),
    /// Sent to every node; the replies are joined.
    FanOut(Join),
    /// Its arguments are numbers of slots, not keys: `SLOTSSCAN`, `SLOTSDEL`.
    Slots,
    /// Blocks: needs a connection of its own; keys as in `OneSlot`.
    Private,
    /// MULTI and what belongs to it.
    Transaction,
    /// Not served, and why: a half-sentence for the error line.
    Refused(&'static str),
}

/// How the replies of parts become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// One element per key, in the order of the request.
    Array,
    /// `+OK` if every part said so.
    Ok,
    /// The sum of integers.
    Sum,
    /// The arrays one after another.
    Concat,
    /// Any one part's answer that is not null.
    One,
    /// A cursor over all nodes.
    Scan,
}

/// A set of the constants below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    // In the order in which COMMAND INFO names them.

    /// May change data.
    pub const WRITE: Self = Self(1);
    /// Reads data and changes none.
    pub const READ: Self = Self(1 << 1);
    /// May grow the data: refused when memory is short.
    pub const DENYOOM: Self = Self(1 << 2);
    /// For operators.
    pub const ADMIN: Self = Self(1 << 3);
    /// Publish and subscribe.
    pub const PUBSUB: Self = Self(1 << 4);
    /// Not allowed in scripts.
    pub const NOSCRIPT: Self = Self(1 << 5);
    /// May wait for another client.
    pub const BLOCKING: Self = Self(1 << 6);
    /// Allowed while data is loading.
    pub const LOADING: Self = Self(1 << 7);
    /// Allowed on a replica with stale data.
    pub const STALE: Self = Self(1 << 8);
    /// Not shown by MONITOR.
    pub const SKIP_MONITOR: Self = Self(1 << 9);
    /// Not in the slow log.
    pub const SKIP_SLOWLOG: Self = Self(1 << 10);
    /// Implies ASKING (Redis Cluster).
    pub const ASKING: Self = Self(1 << 11);
    /// Constant or logarithmic time.
    pub const FAST: Self = Self(1 << 12);
    /// Allowed before AUTH.
    pub const NO_AUTH: Self = Self(1 << 13);
    /// May have no keys although it has a place for them.
    pub const NO_MANDATORY_KEYS: Self = Self(1 << 14);
    /// Not allowed while data is loading in the background.
    pub const NO_ASYNC_LOADING: Self = Self(1 << 15);
    /// Not allowed within MULTI.
    pub const NO_MULTI: Self = Self(1 << 16);
    /// Allowed while a script runs.
    pub const ALLOW_BUSY: Self = Self(1 << 17);

    /// Changes no data, so it may be sent again when the fate of the first sending is unknown. Never on a write, not even `SET`: between the
    /// two executions another client's write may have been acknowledged, and the second would undo it.
    pub const REPEAT_SAFE: Self = Self(1 << 24);
    /// May touch many records.
    pub const BULK: Self = Self(1 << 25);
    /// Only about the connection.
    pub const CONNECTION: Self = Self(1 << 26);

    pub(crate) const fn of(bits: u32) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `other` is in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Command {
    /// Whether a request of `count` arguments, the name included, has the right number.
    pub const fn check_arity(&self, count: usize) -> bool {
        arity_fits(self.arity, count)
    }

    /// Returns the subcommand of that name, in any case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Subcommand> {
        self.subcommands.iter().find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// May change data.
    pub const fn is_write(&self) -> bool {
        self.flags.contains(Flags::WRITE)
    }

    /// May be sent again when the fate of the first sending is unknown.
    pub const fn is_repeat_safe(&self) -> bool {
        self.flags.contains(Flags::REPEAT_SAFE)
    }
}

impl Subcommand {
    /// Whether a request of `count` arguments, both names included, has the right number.
    pub const fn check_arity(&self, count: usize) -> bool {
        arity_fits(self.arity, count)
    }
}

const fn arity_fits(arity: i16, count: usize) -> bool {
    let least = arity.unsigned_abs() as usize;
    if arity < 0 { count >= least } else { count == least }
}
