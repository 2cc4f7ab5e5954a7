//! What can stop a proxy. Errors that a client sees are lines made where they arise; these are for whoever starts it.

use std::io;

/// Why a proxy did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is out of its range; nothing was started.
    #[error("{0}")]
    Config(String),
    /// The first slot table cannot be used.
    #[error(
        "the slot table cannot be used: {0}; check the controller's address and the number of slots"
    )]
    Table(String),
    /// The system refused a thread, a socket or a timer.
    #[error("cannot {what}: {source}; check the limits on open files and threads")]
    System { what: &'static str, source: io::Error },
    /// A worker is gone though nobody asked it to stop: a bug in us.
    #[error("worker {0} died; its panic is in the log")]
    Worker(usize),
}
