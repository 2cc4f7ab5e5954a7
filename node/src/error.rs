//! What can go wrong: starting a node, and carrying out a command.

use crate::encoding::Damaged;
use crate::engine::EngineError;
use std::borrow::Cow;
use std::io;

/// Why a node does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory cannot be opened or is someone else's.
    #[error("cannot open the node's data: {0}")]
    Engine(#[from] EngineError),
    /// The data directory was written by another version, or for another number of slots.
    #[error("{0}")]
    Data(String),
    /// Something in the configuration cannot be.
    #[error("configuration: {0}")]
    Config(String),
    /// A thread, a socket or a directory could not be had.
    #[error("{what}: {source}")]
    Io { what: &'static str, source: io::Error },
    /// Two nodes of one address in one process.
    #[error("cannot show the node's metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A worker died of a bug; the log says more.
    #[error("worker {0} died: this is a bug in slipway, please report it with the log")]
    Worker(usize),
}

/// Why a command was not carried out. Nothing was written.
#[derive(Clone, Debug)]
pub enum CommandError {
    /// The client's mistake: the whole error line without the leading `-`.
    Line(Cow<'static, str>),
    /// The store failed.
    Engine(EngineError),
}

impl CommandError {
    /// The line the client gets, without the leading `-`.
    pub fn line(&self) -> Cow<'static, str> {
        match self {
            Self::Line(line) => line.clone(),
            Self::Engine(error @ EngineError::Unwritable(_)) => {
                format!("MISCONF {error}; writes are refused until it works again, reads go on: free space or see the node's log").into()
            }
            Self::Engine(error) => format!("ERR {error}").into(),
        }
    }
}

impl From<&'static str> for CommandError {
    fn from(line: &'static str) -> Self {
        Self::Line(Cow::Borrowed(line))
    }
}

impl From<String> for CommandError {
    fn from(line: String) -> Self {
        Self::Line(Cow::Owned(line))
    }
}

impl From<EngineError> for CommandError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<Damaged> for CommandError {
    fn from(error: Damaged) -> Self {
        Self::Engine(EngineError::Broken(error.to_string()))
    }
}

/// Error lines in Redis' own words.
pub mod line {
    pub const WRONG_TYPE: &str =
        "WRONGTYPE Operation against a key holding the wrong kind of value";
    pub const SYNTAX: &str = "ERR syntax error";
    pub const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
    pub const NOT_A_FLOAT: &str = "ERR value is not a valid float";
    pub const NO_SUCH_KEY: &str = "ERR no such key";
    pub const OVERFLOW: &str = "ERR increment or decrement would overflow";
    pub const NAN_OR_INFINITY: &str = "ERR increment would produce NaN or Infinity";
    pub const INDEX_OUT_OF_RANGE: &str = "ERR index out of range";
    pub const OFFSET_OUT_OF_RANGE: &str = "ERR offset is out of range";
    pub const NOT_POSITIVE: &str = "ERR value is out of range, must be positive";
    pub const STRING_TOO_LONG: &str =
        "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    pub const INVALID_CURSOR: &str = "ERR invalid cursor";
    pub const MIN_OR_MAX_NOT_A_FLOAT: &str = "ERR min or max is not a float";
    pub const MIN_OR_MAX_NOT_STRING: &str = "ERR min or max not valid string range item";
    pub const NO_AUTH: &str = "NOAUTH Authentication required.";
    pub const WRONG_PASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";
    pub const EXEC_ABORT: &str = "EXECABORT Transaction discarded because of previous errors.";
}
