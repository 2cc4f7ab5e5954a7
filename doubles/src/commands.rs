//! The commands of the load, on a [`Store`]. Pure: no socket, no clock, no slot.
//!
//! Replies are Redis 3.2's; where Pika 4.0.1 answers otherwise and a client of ours could notice (`pika-node-contract.md` §1.4), the command
//! asks [`Flavour`]. A command writes its reply only when nothing can refuse any more.

mod geo;
mod hashes;
mod keys;
mod lists;
mod number;
mod sets;
mod sketches;
mod streams;
mod strings;
mod table;
mod zsets;

pub(crate) use number::{double, int};
pub(crate) use table::{Row, lookup};

use crate::store::{Bytes, Store, WrongKind};
use protocol::reply::{Reply, errors};
use std::borrow::Cow;

/// Whose replies are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    Pika,
    Redis,
}

/// A request: its words, the name first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub words: &'a [Bytes],
    pub flavour: Flavour,
}

/// An error line without its `-`.
#[derive(Debug, PartialEq)]
pub(crate) struct Refused(pub Cow<'static, str>);

pub(crate) type Done = Result<(), Refused>;

impl From<WrongKind> for Refused {
    fn from(_: WrongKind) -> Self {
        Self(Cow::Borrowed(errors::WRONG_TYPE))
    }
}

impl From<&'static str> for Refused {
    fn from(line: &'static str) -> Self {
        Self(Cow::Borrowed(line))
    }
}

impl From<String> for Refused {
    fn from(line: String) -> Self {
        Self(Cow::Owned(line))
    }
}

impl<'a> Call<'a> {
    /// Word `at`, empty if there is none. The table has checked how many there are.
    pub(crate) fn word(&self, at: usize) -> &'a [u8] {
        self.words.get(at).map_or(b"", Vec::as_slice)
    }

    pub(crate) fn key(&self) -> &'a [u8] {
        self.word(1)
    }

    pub(crate) fn from(&self, at: usize) -> &'a [Bytes] {
        self.words.get(at..).unwrap_or_default()
    }

    pub(crate) fn int(&self, at: usize) -> Result<i64, Refused> {
        int(self.word(at)).ok_or(Refused::from(errors::NOT_INTEGER))
    }

    /// Word `at` in lower case.
    pub(crate) fn option(&self, at: usize) -> String {
        String::from_utf8_lossy(self.word(at)).to_lowercase()
    }

    pub(crate) fn is_pika(&self) -> bool {
        self.flavour == Flavour::Pika
    }
}

/// Runs a data command; the line of the refusal if there is one, for whoever must know whether it took place.
pub(crate) fn run(row: &Row, store: &mut Store, call: Call<'_>, out: &mut Reply<'_>) -> Done {
    let done = (row.run)(store, &call, out);
    if let Err(refused) = &done {
        out.error(refused.0.as_bytes());
    }
    done
}

#[cfg(test)]
mod tests;
