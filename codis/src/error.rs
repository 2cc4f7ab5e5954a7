//! What can be wrong with a text of Codis. `Display` is what an operator or a caller of the admin API reads; the texts that scripts match on are
//! Codis' own.

/// A text that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The configuration is no TOML, or a value is of the wrong type or out of its range.
    #[error("{0}")]
    Config(String),
    /// The command line; `usage` goes with it to the terminal.
    #[error("{0}")]
    Flags(String),
    /// The body of a request to the admin API.
    #[error("{0}")]
    Body(String),
    /// No address can be announced: what was wanted, and what it led to.
    #[error("resolve address '{0}' to '{1}'")]
    Announce(String, String),
}
