//! Commands that no node serves yet: they are not generated, and scripts with them are not played.
//!
//! The list cannot outlive its reason: a run fails if a node serves one of them.

use super::server::Server;
use super::wire::{Connection, words};
use std::time::Duration;

/// In upper case. Whoever adds a command to the node takes it out here.
const ABSENT: &[&str] = &[
    "BITCOUNT",
    "BITFIELD",
    "BITFIELD_RO",
    "BITOP",
    "BITPOS",
    "GETBIT",
    "SETBIT",
    "PFADD",
    "PFCOUNT",
    "PFMERGE",
    "BLMOVE",
    "BLMPOP",
    "BLPOP",
    "BRPOP",
    "BRPOPLPUSH",
    "BZMPOP",
    "BZPOPMAX",
    "BZPOPMIN",
];

const REPLY_MAX: Duration = Duration::from_secs(15);

/// What is left out of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Absent(&'static [&'static str]);

impl Absent {
    /// Nothing is left out.
    pub(crate) fn nothing() -> Self {
        Self(&[])
    }

    /// What is left out of a run against a server of ours; fails if the list has a command that its nodes serve.
    pub(crate) fn from(slipway: &Server) -> Self {
        let ask = [words("COMMAND INFO"), words(&ABSENT.join(" "))].concat();
        let reply = Connection::open(&slipway.counters[0], REPLY_MAX).unwrap().call(&ask);
        let infos = reply.items().unwrap_or_else(|| panic!("COMMAND INFO: {reply}"));
        let served: Vec<_> =
            ABSENT.iter().zip(infos).filter(|(_, info)| info.items().is_some()).collect();
        let names: Vec<_> = served.iter().map(|(name, _)| **name).collect();
        assert!(
            names.is_empty() && (infos.len() == ABSENT.len() || ABSENT.is_empty()),
            "nodes serve {names:?}: take them out of ABSENT in {}",
            file!()
        );
        Self(ABSENT)
    }

    /// Whether this is one of them.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|absent| absent.eq_ignore_ascii_case(name))
    }

    /// Whether a request, or a line of a script, is about one of them.
    pub(crate) fn is_in<'a>(&self, words: impl IntoIterator<Item = &'a [u8]>) -> bool {
        words.into_iter().any(|word| std::str::from_utf8(word).is_ok_and(|word| self.has(word)))
    }
}
