//! The commands that took longest, for SLOWLOG GET.

use crate::command::Request;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// Arguments of one entry.
const ARGS_MAX: usize = 32;

/// Bytes of one argument.
const ARG_BYTES_MAX: usize = 128;

/// One slow command.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: u64,
    pub at_ms: u64,
    pub micros: u64,
    pub args: Vec<Vec<u8>>,
    pub addr: String,
    pub name: Vec<u8>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<Entry>,
    next: u64,
}

/// The slow commands of a node, oldest first.
#[derive(Debug, Default)]
pub struct Slowlog {
    inner: Mutex<Inner>,
}

impl Slowlog {
    /// Adds a command; at most `entries_max` are kept.
    pub fn add(&self, entries_max: usize, mut entry: Entry) {
        let mut inner = self.inner.lock();
        entry.id = inner.next;
        inner.next += 1;
        inner.entries.push_back(entry);
        while inner.entries.len() > entries_max {
            inner.entries.pop_front();
        }
    }

    /// The newest first.
    pub fn latest(&self, count: usize) -> Vec<Entry> {
        self.inner.lock().entries.iter().rev().take(count).cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.inner.lock().entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.inner.lock().entries.clear();
    }
}

/// The arguments of a request, cut as Redis cuts them.
pub fn shorten(request: Request<'_>) -> Vec<Vec<u8>> {
    let shown = if request.len() > ARGS_MAX { ARGS_MAX - 1 } else { request.len() };
    let mut args: Vec<Vec<u8>> = request.from(0).take(shown).map(cut).collect();
    if request.len() > ARGS_MAX {
        args.push(format!("... ({} more arguments)", request.len() - shown).into_bytes());
    }
    args
}

fn cut(arg: &[u8]) -> Vec<u8> {
    match arg.split_at_checked(ARG_BYTES_MAX) {
        Some((head, tail)) if !tail.is_empty() => {
            [head, format!("... ({} more bytes)", tail.len()).as_bytes()].concat()
        }
        _ => arg.to_vec(),
    }
}
