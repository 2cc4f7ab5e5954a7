//! Keeps the [`State`] in one file, for one writer.
//!
//! A batch of changes is one line more in `cluster.journal`, with one sync. When the journal is long, and at a start, the state is written whole:
//! `cluster.json` is replaced at once (a temporary file is synced and takes its name), and a journal of that state is begun. The state and the journal
//! before are kept as `….bak`. A journal names the state that it follows, so at any crash there is a whole state and what followed it; and
//! should `cluster.json` be damaged, the one before and both journals make the same state again. A file that is damaged is never replaced by
//! a fresh start: the error says which file to put back.
//!
//! What it does not do: decide anything. A batch that cannot be written changes nothing in memory either, and may be applied again.

mod file;
mod journal;
mod lock;

pub use lock::Lock;

use crate::Error;
use crate::state::{Change, State};
use journal::{Batch, Journal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The state's file, in the data directory.
pub const FILE: &str = "cluster.json";
/// The state that was written whole before.
pub const BACKUP: &str = "cluster.json.bak";
/// What has changed since [`FILE`] was written.
pub const JOURNAL: &str = "cluster.journal";
/// What had changed between [`BACKUP`] and [`FILE`].
pub const JOURNAL_BACKUP: &str = "cluster.journal.bak";
const LOCK: &str = "control.lock";

/// The stored state and the right to change it.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    state: Arc<State>,
    /// The state without the last batch: it becomes the next one without a copy of everything.
    before: Option<(Arc<State>, Batch)>,
    /// Nothing after an error: then the state is written whole.
    journal: Option<Journal>,
    /// Held as long as the store lives.
    _lock: Lock,
}

impl Store {
    /// Opens the store in `dir`; `found` makes the state of a new cluster and is called only if there has never been one.
    pub fn open(dir: &Path, found: impl FnOnce() -> Result<State, Error>) -> Result<Self, Error> {
        let lock = Lock::take(dir, LOCK)?;
        let (state, checksum) = match file::read(&dir.join(FILE))? {
            Some((state, checksum)) => replayed(dir, state, checksum)?,
            None if dir.join(BACKUP).exists() => return Err(file::missing(dir)),
            None => {
                let state = found()?;
                file::replace(dir, &state)?;
                // There is a backup from the first day on.
                let checksum = file::replace(dir, &state)?;
                (state, checksum)
            }
        };
        let mut store = Self {
            dir: dir.to_owned(),
            state: Arc::new(state),
            before: None,
            journal: None,
            _lock: lock,
        };
        store.begin_journal(checksum)?;
        Ok(store)
    }

    /// The state as stored.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Applies a batch of changes with one sync; returns how long the disk took. All or nothing.
    ///
    /// Blocks: call it where blocking is allowed.
    pub fn apply(&mut self, changes: Vec<Change>, at_ms: u64) -> Result<Duration, Error> {
        let batch = Batch { at_ms, changes };
        let mut next = self.spare();
        // Nobody else has it, so nothing is copied.
        batch.apply(Arc::make_mut(&mut next))?;
        let begun = Instant::now();
        match self.journal.take() {
            Some(mut journal) => {
                journal.add(&batch)?;
                self.journal = Some(journal);
            }
            None => self.write_whole(&next)?,
        }
        self.before = Some((std::mem::replace(&mut self.state, next), batch));
        if self.journal.as_ref().is_some_and(Journal::is_full) {
            self.journal = None;
            if let Err(error) = self.write_whole(&Arc::clone(&self.state)) {
                // The batch is stored; the next one will say so if this goes on.
                tracing::warn!(%error, "the state is not written whole");
            }
        }
        Ok(begun.elapsed())
    }

    /// A copy of the state that nobody else has.
    fn spare(&mut self) -> Arc<State> {
        if let Some((mut before, missing)) = self.before.take()
            && let Some(behind) = Arc::get_mut(&mut before)
            && missing.apply(behind).is_ok()
        {
            return before;
        }
        Arc::new(State::clone(&self.state))
    }

    /// Without the journal, which follows the state that was.
    fn write_whole(&mut self, state: &State) -> Result<(), Error> {
        let checksum = file::replace(&self.dir, state)?;
        if let Err(error) = self.begin_journal(checksum) {
            tracing::warn!(%error, "there is no journal; the state is written whole");
        }
        Ok(())
    }

    fn begin_journal(&mut self, after: u32) -> Result<(), Error> {
        let journal = Journal::begin(self.dir.join(JOURNAL), after)?;
        file::sync_directory(&self.dir)?;
        self.journal = Some(journal);
        Ok(())
    }
}

/// The state with all that followed it, written whole if there was anything.
fn replayed(dir: &Path, mut state: State, mut checksum: u32) -> Result<(State, u32), Error> {
    let mut count = 0;
    // The older one first: after it, the state is the one that the other follows.
    for name in [JOURNAL_BACKUP, JOURNAL] {
        let path = dir.join(name);
        let read = match journal::read(&path) {
            Err(error) if name == JOURNAL_BACKUP => {
                tracing::warn!(%error, "a journal that is kept as a backup cannot be read");
                continue;
            }
            other => other?,
        };
        let Some(read) = read.filter(|read| !read.batches.is_empty()) else { continue };
        if read.after != checksum {
            if name == JOURNAL {
                tracing::warn!(
                    "{JOURNAL} does not follow {FILE}, which was put back from elsewhere: what it has is not taken in"
                );
            }
            continue;
        }
        for batch in &read.batches {
            batch.apply(&mut state).map_err(|error| Error::Damaged {
                file: path.clone(),
                what: format!("it does not fit {FILE}: {error}"),
                remedy: "put back both from your own backups".to_owned(),
            })?;
        }
        count += read.batches.len();
        checksum = file::checksum(&state)?;
    }
    if count > 0 {
        tracing::info!(batches = count, "what followed the stored state is taken in");
        checksum = file::replace(dir, &state)?;
    }
    Ok((state, checksum))
}

#[cfg(test)]
mod tests;
