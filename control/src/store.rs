//! Keeps the [`State`] in one file, for one writer.
//!
//! `cluster.json` is replaced whole: a temporary file is written and synced, the present file becomes `cluster.json.bak` (a second name for
//! the same bytes), the temporary file takes its name, the directory is synced. So at any crash there is a whole old or a whole new file. A
//! file that is damaged is never replaced by a fresh start: the error says which file to put back.
//!
//! What it does not do: decide anything. A batch that cannot be written changes nothing in memory either, and may be applied again.

mod file;
mod lock;

pub use lock::Lock;

use crate::Error;
use crate::state::{Change, State};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The state's file, in the data directory.
pub const FILE: &str = "cluster.json";
/// The state before the last batch.
pub const BACKUP: &str = "cluster.json.bak";
const LOCK: &str = "control.lock";

/// The stored state and the right to change it.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    state: Arc<State>,
    /// Held as long as the store lives.
    _lock: Lock,
}

impl Store {
    /// Opens the store in `dir`; `found` makes the state of a new cluster and is called only if there has never been one.
    pub fn open(dir: &Path, found: impl FnOnce() -> Result<State, Error>) -> Result<Self, Error> {
        let lock = Lock::take(dir, LOCK)?;
        let state = match file::read(&dir.join(FILE))? {
            Some(state) => state,
            None if dir.join(BACKUP).exists() => return Err(file::missing(dir)),
            None => {
                let state = found()?;
                file::replace(dir, &state)?;
                state
            }
        };
        Ok(Self { dir: dir.to_owned(), state: Arc::new(state), _lock: lock })
    }

    /// The state as stored.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Applies a batch of changes with one sync; returns how long the disk took. All or nothing.
    ///
    /// Blocks: call it where blocking is allowed.
    pub fn apply(&mut self, batch: Vec<Change>, at_ms: u64) -> Result<Duration, Error> {
        let mut next = State::clone(&self.state);
        for change in batch {
            next.apply(change, at_ms)?;
        }
        let begun = Instant::now();
        file::replace(&self.dir, &next)?;
        self.state = Arc::new(next);
        Ok(begun.elapsed())
    }
}

#[cfg(test)]
mod tests;
