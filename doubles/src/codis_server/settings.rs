//! What a codis-server double is started with.

use std::time::Duration;

/// How a double is started.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `requirepass`; empty: none. Also sent to targets.
    pub password: String,
    /// What the source needs for one message of a batch, besides the exchange.
    pub pace: Duration,
    /// As a target it applies what SLOTSRESTORE-ASYNC says and never acknowledges it: how wrong result E1 begins
    /// (`migration-state-of-the-art.md` §4.1).
    pub loses_acks: bool,
}
