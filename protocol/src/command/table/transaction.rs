//! Commands of transactions: one line each.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    cmd("discard", 1, NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY | CONNECTION, Transaction).docs("2.0.0", "O(N), when N is the number of queued commands", "Discard all commands issued after MULTI"),
    cmd("exec", 1, NOSCRIPT | LOADING | STALE | SKIP_SLOWLOG | CONNECTION, Transaction).docs("1.2.0", "Depends on commands in the transaction", "Execute all commands issued after MULTI"),
    cmd("multi", 1, NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY | CONNECTION, Transaction).docs("1.2.0", "O(1)", "Mark the start of a transaction block"),
    cmd("unwatch", 1, NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY | CONNECTION, Transaction).docs("2.2.0", "O(1)", "Forget about all watched keys"),
    cmd("watch", -2, NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY | CONNECTION, Transaction).keys(ALL, &[RO]).docs("2.2.0", "O(1) for every key.", "Watch the given keys to determine execution of the MULTI/EXEC block"),
];
