//! One process at a time may use a directory.

use crate::Error;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// The right to use a directory. The system takes it back when the process ends, however that happens.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Lock {
    /// Makes the directory if it is missing, and takes its lock, a file with this name that holds the owner's process id.
    pub fn take(dir: &Path, name: &str) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(Error::disk("create", dir))?;
        let path = dir.join(name);
        let options = File::options().create(true).truncate(false).read(true).write(true).clone();
        let file = options.open(&path).map_err(Error::disk("open", &path))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let pid = fs::read_to_string(&path).unwrap_or_default();
            let pid = if pid.trim().is_empty() { "unknown" } else { pid.trim() };
            return Err(Error::InUse { dir: dir.to_owned(), pid: pid.to_owned() });
        }
        file.set_len(0).map_err(Error::disk("write", &path))?;
        (&file)
            .write_all(std::process::id().to_string().as_bytes())
            .map_err(Error::disk("write", &path))?;
        Ok(Self(file))
    }
}
