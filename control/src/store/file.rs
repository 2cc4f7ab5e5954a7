//! The state's file: `{"format":2,"checksum":"<CRC-32 of the state's bytes, 8 hex digits>","state":{…}}`, and how it is replaced.
//!
//! Format 1 was the same without a journal beside it, which versions that know format 1 alone would not read.

use super::{BACKUP, FILE, JOURNAL, JOURNAL_BACKUP};
use crate::Error;
use crate::state::State;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

const FORMAT: u32 = 2;
const WITHOUT_JOURNAL: u32 = 1;
const TEMPORARY: &str = "cluster.json.new";
const BACKUP_TEMPORARY: &str = "cluster.json.bak.new";

/// A state, and the CRC-32 of its bytes as they are stored.
pub(super) type Stored = (State, u32);

/// Reads a state; nothing if there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Stored>, Error> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::disk("read", path)(error)),
    };
    decode(&bytes).map(Some).map_err(|what| {
        let dir = path.parent().unwrap_or(Path::new("."));
        Error::Damaged { file: path.to_owned(), what, remedy: remedy(dir) }
    })
}

/// The file is gone though a backup says that there was one.
pub(super) fn missing(dir: &Path) -> Error {
    Error::Damaged { file: dir.join(FILE), what: "it is missing".to_owned(), remedy: remedy(dir) }
}

/// What a person can do about a damaged file, having looked at the backup.
fn remedy(dir: &Path) -> String {
    let (file, backup) = (dir.join(FILE), dir.join(BACKUP));
    let good = fs::read(&backup).ok().is_some_and(|bytes| decode(&bytes).is_ok());
    if good {
        format!("the backup is good, put it back: cp {} {}", backup.display(), file.display())
    } else {
        format!(
            "{} is no good either: put back a copy of cluster.json from your own backups",
            backup.display()
        )
    }
}

/// Replaces the stored state, and keeps the one before together with its journal; after an error the old one is still there, and the journal may
/// have the backup's name. Returns the CRC-32 of the state's bytes.
pub(super) fn replace(dir: &Path, state: &State) -> Result<u32, Error> {
    let (file, temporary) = (dir.join(FILE), dir.join(TEMPORARY));
    let body = body(state)?;
    write_synced(&temporary, &encode(&body)).map_err(Error::disk("write", &temporary))?;
    keep_backup(dir).map_err(Error::disk("keep a backup of", &file))?;
    // Both journals are read at a start, so it does not matter under which name this one is found.
    match fs::rename(dir.join(JOURNAL), dir.join(JOURNAL_BACKUP)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(Error::disk("keep a backup of", &dir.join(JOURNAL))(error));
        }
        _ => {}
    }
    fs::rename(&temporary, &file).map_err(Error::disk("replace", &file))?;
    sync_directory(dir)?;
    Ok(crc32fast::hash(&body))
}

/// Makes names that were given and taken last.
pub(super) fn sync_directory(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(Error::disk("sync", dir))
}

/// The CRC-32 that the bytes of a state would have.
pub(super) fn checksum(state: &State) -> Result<u32, Error> {
    Ok(crc32fast::hash(&body(state)?))
}

pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_data()
}

/// Gives the present file a second name; the present name stays where it is.
fn keep_backup(dir: &Path) -> std::io::Result<()> {
    let (file, backup, temporary) = (dir.join(FILE), dir.join(BACKUP), dir.join(BACKUP_TEMPORARY));
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match fs::hard_link(&file, &temporary) {
        Ok(()) => fs::rename(&temporary, &backup),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // A file system without hard links.
        Err(_) => {
            fs::copy(&file, &temporary)?;
            fs::rename(&temporary, &backup)
        }
    }
}

fn body(state: &State) -> Result<Vec<u8>, Error> {
    let no_json =
        |e: serde_json::Error| Error::Mismatch(format!("cannot write the state as JSON: {e}"));
    serde_json::to_vec(state).map_err(no_json)
}

fn encode(body: &[u8]) -> Vec<u8> {
    let mut bytes = header(FORMAT, body).into_bytes();
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(b"}\n");
    bytes
}

fn header(format: u32, body: &[u8]) -> String {
    format!("{{\"format\":{format},\"checksum\":\"{:08x}\",\"state\":", crc32fast::hash(body))
}

fn decode(bytes: &[u8]) -> Result<Stored, String> {
    let start = b"{\"format\":";
    let format_end = bytes.iter().position(|&b| b == b',').ok_or("it is cut short")?;
    let format = bytes
        .strip_prefix(start)
        .and_then(|_| std::str::from_utf8(&bytes[start.len()..format_end]).ok());
    let format = match format.and_then(|f| f.parse::<u32>().ok()) {
        Some(known @ (FORMAT | WITHOUT_JOURNAL)) => known,
        Some(newer) => {
            return Err(format!(
                "it has format {newer}, and this version of slipway knows format {FORMAT}"
            ));
        }
        None => return Err("it does not begin as a state file does".to_owned()),
    };
    let body = bytes.strip_suffix(b"}\n").ok_or("it is cut short")?;
    let body = body.get(header(format, b"").len()..).ok_or("it is cut short")?;
    if !bytes.starts_with(header(format, body).as_bytes()) {
        return Err("its checksum does not fit its content".to_owned());
    }
    let state: State =
        serde_json::from_slice(body).map_err(|e| format!("its content makes no sense: {e}"))?;
    state.check()?;
    Ok((state, crc32fast::hash(body)))
}
