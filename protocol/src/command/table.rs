//! The table itself, built at compile time from one file per group, and the way from a name to its line.

mod bitmap;
mod cluster;
mod connection;
mod geo;
mod hash;
mod hyperloglog;
mod key;
mod list;
mod prelude;
mod pubsub;
mod scripting;
mod server;
mod set;
mod slots;
mod sorted_set;
mod stream;
mod string;
mod transaction;

use super::{Command, CommandId};

const GROUPS: [(&str, &[Command]); 17] = [
    ("generic", key::COMMANDS),
    ("string", string::COMMANDS),
    ("bitmap", bitmap::COMMANDS),
    ("hash", hash::COMMANDS),
    ("list", list::COMMANDS),
    ("set", set::COMMANDS),
    ("sorted-set", sorted_set::COMMANDS),
    ("hyperloglog", hyperloglog::COMMANDS),
    ("transactions", transaction::COMMANDS),
    ("connection", connection::COMMANDS),
    ("server", server::COMMANDS),
    ("slots", slots::COMMANDS),
    ("stream", stream::COMMANDS),
    ("geo", geo::COMMANDS),
    ("scripting", scripting::COMMANDS),
    ("pubsub", pubsub::COMMANDS),
    ("cluster", cluster::COMMANDS),
];

const COUNT: usize = {
    let mut count = 0;
    let mut group = 0;
    while group < GROUPS.len() {
        count += GROUPS[group].1.len();
        group += 1;
    }
    count
};

static TABLE: [Command; COUNT] = {
    let mut table = [GROUPS[0].1[0]; COUNT];
    let (mut at, mut group) = (0, 0);
    while group < GROUPS.len() {
        let (name, commands) = GROUPS[group];
        let mut line = 0;
        while line < commands.len() {
            table[at] = commands[line];
            table[at].id = CommandId(at as u16);
            table[at].group = name;
            at += 1;
            line += 1;
        }
        group += 1;
    }
    table
};

/// Places of the index; a power of two, four times the number of commands, so that a search looks at one or two of them.
const PLACES: usize = 1 << PLACES_BITS;
const PLACES_BITS: u32 = 10;

/// One place of the index.
#[derive(Clone, Copy)]
struct Place {
    folded: u64,
    line: u16,
    len: u8,
    /// `folded` and `len` alone tell the name: it is short and all letters.
    told: bool,
}

const EMPTY: Place = Place { folded: 0, line: u16::MAX, len: 0, told: false };

/// Open addressing by [`place_of`].
static INDEX: [Place; PLACES] = {
    assert!(COUNT * 3 < PLACES, "the index is getting full: double PLACES");
    let mut index = [EMPTY; PLACES];
    let mut line = 0;
    while line < COUNT {
        let name = NAMES[line].as_bytes();
        let folded = fold(name);
        let mut place = place_of(folded, name.len());
        while index[place].len != 0 {
            place = (place + 1) % PLACES;
        }
        index[place] = Place {
            folded,
            line: line as u16,
            len: name.len() as u8,
            told: name.len() <= 8 && all_letters(name),
        };
        line += 1;
    }
    index
};

const NAMES: [&str; COUNT] = {
    let mut names = [""; COUNT];
    let (mut at, mut group) = (0, 0);
    while group < GROUPS.len() {
        let mut line = 0;
        while line < GROUPS[group].1.len() {
            names[at] = GROUPS[group].1[line].name;
            at += 1;
            line += 1;
        }
        group += 1;
    }
    names
};

const fn all_letters(name: &[u8]) -> bool {
    let mut at = 0;
    while at < name.len() {
        if !name[at].is_ascii_lowercase() {
            return false;
        }
        at += 1;
    }
    true
}

/// The bytes of a name with bit 5 set, which makes letters lower case: all bytes of a name of up to 8, the ends of a longer one.
const fn fold(name: &[u8]) -> u64 {
    let folded = match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            (u32::from_le_bytes(*first) as u64) << 32 | u32::from_le_bytes(*last) as u64
        }
        _ => match name {
            [] => 0,
            [one] => *one as u64,
            [one, two] => *one as u64 | (*two as u64) << 8,
            [one, two, three, ..] => *one as u64 | (*two as u64) << 8 | (*three as u64) << 16,
        },
    };
    folded | 0x2020_2020_2020_2020
}

/// Multiplicative hashing: the highest bits depend on all of the name.
const fn place_of(folded: u64, len: usize) -> usize {
    ((folded ^ len as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - PLACES_BITS)) as usize
}

/// Every command, by [`CommandId`].
pub fn table() -> &'static [Command] {
    &TABLE
}

/// Returns the command of that name, in any case. Hot path.
pub fn lookup(name: &[u8]) -> Option<&'static Command> {
    let folded = fold(name);
    let mut at = place_of(folded, name.len());
    loop {
        let place = &INDEX[at % PLACES];
        if place.len == 0 {
            return None;
        }
        if place.folded == folded && usize::from(place.len) == name.len() {
            let command = &TABLE[usize::from(place.line)];
            if place.told || command.name.as_bytes().eq_ignore_ascii_case(name) {
                return Some(command);
            }
        }
        at += 1;
    }
}
