//! The changes since the state's file was written: one line a batch, each with one sync.
//!
//! ```text
//!  <CRC-32 of the rest, 8 hex digits> {"format":1,"after":"<CRC-32 of the state's bytes>"}     first of all: which state the batches follow
//!  <CRC-32 of the rest, 8 hex digits> {"at_ms":…,"changes":[…]}
//!  zero bytes
//! ```
//!
//! The file is written full of zeros at first, so that a batch changes no length and its sync is one write to the disk. A last line that is not
//! whole was being written at a crash: nobody has acted upon it, and it is left out. Any other damage is an error.

use crate::Error;
use crate::state::{Change, State};
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes after which the state is written whole, and a journal begun anew. A start reads at most so much, and one batch.
pub(super) const BYTES_MAX: u64 = 256 << 10;

const FORMAT: u32 = 1;

/// A journal that batches are added to.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// Where the next line goes.
    end: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: u32,
    /// In eight hex digits.
    after: String,
}

/// Changes that are stored together.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    pub(super) at_ms: u64,
    pub(super) changes: Vec<Change>,
}

/// What a journal's file has.
#[derive(Debug)]
pub(super) struct Read {
    /// The CRC-32 of the state that the batches follow.
    pub(super) after: u32,
    pub(super) batches: Vec<Batch>,
}

impl Batch {
    /// Applies all of it; the first change that makes no sense is the error.
    pub(super) fn apply(&self, state: &mut State) -> Result<(), Error> {
        self.changes.iter().try_for_each(|change| state.apply(change.clone(), self.at_ms))
    }
}

impl Journal {
    /// Begins the journal of the state with this CRC-32 at `path`, in the place of one that may be there. Synced but for the directory.
    pub(super) fn begin(path: PathBuf, after: u32) -> Result<Self, Error> {
        let head = line(&Head { format: FORMAT, after: format!("{after:08x}") })?;
        let temporary = path.with_extension("journal.new");
        let mut bytes = head.clone();
        bytes.resize(BYTES_MAX as usize, 0);
        super::file::write_synced(&temporary, &bytes).map_err(Error::disk("write", &temporary))?;
        fs::rename(&temporary, &path).map_err(Error::disk("replace", &path))?;
        Ok(Self { path, end: head.len() as u64 })
    }

    /// Adds a batch. After an error it may be there or not: the journal must not be used again.
    pub(super) fn add(&mut self, batch: &Batch) -> Result<(), Error> {
        let line = line(batch)?;
        // Opened each time: who takes the directory away shall be noticed.
        let file = OpenOptions::new().write(true).open(&self.path);
        let written = file.and_then(|file| {
            file.write_all_at(&line, self.end)?;
            file.sync_data()
        });
        written.map_err(Error::disk("write", &self.path))?;
        self.end += line.len() as u64;
        Ok(())
    }

    pub(super) fn is_full(&self) -> bool {
        self.end >= BYTES_MAX
    }
}

/// Reads a journal; nothing if there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Read>, Error> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::disk("read", path)(error)),
    };
    decode(&bytes).map(Some).map_err(|what| {
        let remedy = "put back cluster.json and its journal from your own backups, or move the journal away: then what changed last is not known, \
                      which nodes of ours make good and others do not"
            .to_owned();
        Error::Damaged { file: path.to_owned(), what, remedy }
    })
}

fn decode(bytes: &[u8]) -> Result<Read, String> {
    let mut lines = bytes.split(|&b| b == b'\n');
    let head: Option<Head> = lines.next().and_then(content);
    let head = head.ok_or("it does not begin as a journal does")?;
    if head.format != FORMAT {
        let format = head.format;
        return Err(format!(
            "it has format {format}, and this version of slipway knows format {FORMAT}"
        ));
    }
    let after = u32::from_str_radix(&head.after, 16).map_err(|_| "it names no state")?;
    let mut batches = Vec::new();
    let mut lines = lines.filter(|line| line.iter().any(|&b| b != 0));
    while let Some(text) = lines.next() {
        match content::<Batch>(text) {
            Some(batch) => batches.push(batch),
            None if lines.any(|later| content::<Batch>(later).is_some()) => {
                return Err(format!("batch {} is damaged", batches.len() + 1));
            }
            None => {
                tracing::warn!(
                    "the last batch of the journal was not written to its end: nobody has acted upon it"
                );
                break;
            }
        }
    }
    Ok(Read { after, batches })
}

/// What a line says, if it is whole.
fn content<T: for<'de> Deserialize<'de>>(line: &[u8]) -> Option<T> {
    let (sum, json) = line.split_at_checked(8)?;
    let json = json.strip_prefix(b" ")?;
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    (sum == crc32fast::hash(json)).then(|| serde_json::from_slice(json).ok())?
}

fn line(content: &impl Serialize) -> Result<Vec<u8>, Error> {
    let no_json =
        |e: serde_json::Error| Error::Mismatch(format!("cannot write a change as JSON: {e}"));
    let json = serde_json::to_vec(content).map_err(no_json)?;
    let mut line = format!("{:08x} ", crc32fast::hash(&json)).into_bytes();
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok(line)
}
