//! The words of Codis: what a stand-in for codis-proxy reads and writes, of both lines: CodisLabs' Codis 3.0 to 3.2 ("upstream") and the copy
//! that lives in Pika's repository ("the fork").
//!
//! Pure: texts and values in, texts and values out. No sockets, no clocks, no files, no environment. Whoever serves the admin API, registers
//! with jodis or fills the slots does so elsewhere, with what is here.

pub mod announce;
pub mod commands;
pub mod config;
mod error;
pub mod fill;
pub mod flags;
pub mod gonumber;
pub mod identity;
pub mod json;
pub mod model;
pub mod records;
pub mod time;

pub use error::Error;

/// Which of the two lines of Codis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flavour {
    /// Codis 3.x of CodisLabs.
    #[default]
    Upstream,
    /// Pika's fork.
    Fork,
}
