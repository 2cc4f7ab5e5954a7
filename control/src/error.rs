//! What can go wrong in the controller, grouped by what the caller does next.

use std::path::{Path, PathBuf};

/// Why the controller did not start, or cannot keep what it decides.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process works on the same data: stop it, or use another directory.
    #[error("{} is in use by another slipway (process {pid}): stop it first, or use another data directory", dir.display())]
    InUse { dir: PathBuf, pid: String },
    /// The stored state cannot be trusted: a person must put a good file back.
    #[error("{} is damaged: {what}; {remedy}", file.display())]
    Damaged { file: PathBuf, what: String, remedy: String },
    /// What was asked at the start does not fit the stored cluster.
    #[error("{0}")]
    Mismatch(String),
    /// The disk said no: free space or repair it; nothing that was stored before is lost.
    #[error("cannot {doing} {}: {why}", path.display())]
    Disk { doing: &'static str, path: PathBuf, why: std::io::Error },
    /// The admin port cannot be served.
    #[error("cannot serve the admin port: {0}")]
    Serve(String),
    /// A decision made no sense in the state it met: a bug in us; nothing changed.
    #[error("refused a change of slot {slot}: {why}")]
    Refused { slot: u16, why: &'static str },
}

impl Error {
    pub(crate) fn disk(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |why| Self::Disk { doing, path, why }
    }
}
