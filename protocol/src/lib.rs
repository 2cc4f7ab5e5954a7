//! Bytes to requests and replies to bytes, and what is known of each command. No sockets.
//!
//! - [`slicer`]: where a request or a reply ends, without copying. Hot path.
//! - [`reply`]: replies as bytes, in RESP2 and RESP3, and every standard error line.
//! - [`request`]: requests as bytes, for our own connections.
//! - [`frame`]: owned values, decoded by `redis-protocol`, for everything off the hot path; the slicer's oracle.
//! - [`command`]: one table of all commands: arity, flags, keys, and what a proxy does with each.
//! - [`dump`]: values as DUMP gives them, and as codis-server sends them.
//! - [`glob`]: patterns as KEYS and SCAN know them.
//! - [`help`]: the texts of HELP that nodes and proxies share.
//! - [`number`]: numbers as Redis reads and prints them.

pub mod command;
pub mod dump;
pub mod frame;
pub mod glob;
pub mod help;
pub mod number;
pub mod reply;
pub mod request;
pub mod slicer;

mod error;

pub use error::ProtocolError;
