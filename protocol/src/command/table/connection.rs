//! Commands of the connection itself: one line each.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    cmd("auth", -2, NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY | CONNECTION, Local).docs("1.0.0", "O(N) where N is the number of passwords defined for the user", "Authenticate to the server"),
    cmd("client", -2, CONNECTION, Local).docs("2.4.0", "Depends on subcommand.", "A container for client connection commands").subs(&[
        sub("caching", 3, NOSCRIPT | LOADING | STALE).docs("6.0.0", "O(1)", "Instruct the server about tracking or not keys in the next request"),
        sub("getname", 2, NOSCRIPT | LOADING | STALE).docs("2.6.9", "O(1)", "Get the current connection name"),
        sub("getredir", 2, NOSCRIPT | LOADING | STALE).docs("6.0.0", "O(1)", "Get tracking notifications redirection client ID if any"),
        sub("help", 2, LOADING | STALE).docs("5.0.0", "O(1)", "Show helpful text about the different subcommands"),
        sub("id", 2, NOSCRIPT | LOADING | STALE).docs("5.0.0", "O(1)", "Returns the client ID for the current connection"),
        sub("info", 2, NOSCRIPT | LOADING | STALE).tips(&[NONDETERMINISTIC]).docs("6.2.0", "O(1)", "Returns information about the current client connection."),
        sub("kill", -3, ADMIN | NOSCRIPT | LOADING | STALE).docs("2.4.0", "O(N) where N is the number of client connections", "Kill the connection of a client"),
        sub("list", -2, ADMIN | NOSCRIPT | LOADING | STALE).tips(&[NONDETERMINISTIC]).docs("2.4.0", "O(N) where N is the number of client connections", "Get the list of client connections"),
        sub("no-evict", 3, ADMIN | NOSCRIPT | LOADING | STALE).docs("7.0.0", "O(1)", "Set client eviction mode for the current connection"),
        sub("pause", -3, ADMIN | NOSCRIPT | LOADING | STALE).docs("2.9.50", "O(1)", "Stop processing commands from clients for some time"),
        sub("reply", 3, NOSCRIPT | LOADING | STALE).docs("3.2.0", "O(1)", "Instruct the server whether to reply to commands"),
        sub("setname", 3, NOSCRIPT | LOADING | STALE).docs("2.6.9", "O(1)", "Set the current connection name"),
        sub("tracking", -3, NOSCRIPT | LOADING | STALE).docs("6.0.0", "O(1). Some options may introduce additional complexity.", "Enable or disable server assisted client side caching support"),
        sub("trackinginfo", 2, NOSCRIPT | LOADING | STALE).docs("6.2.0", "O(1)", "Return information about server assisted client side caching for the current connection"),
        sub("unblock", -3, ADMIN | NOSCRIPT | LOADING | STALE).docs("5.0.0", "O(log N) where N is the number of client connections", "Unblock a client blocked in a blocking command from a different connection"),
        sub("unpause", 2, ADMIN | NOSCRIPT | LOADING | STALE).docs("6.2.0", "O(N) Where N is the number of paused clients", "Resume processing of clients that were paused"),
    ]),
    cmd("echo", 2, LOADING | STALE | FAST | CONNECTION, Local).docs("1.0.0", "O(1)", "Echo the given string"),
    cmd("hello", -1, NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY | CONNECTION, Local).docs("6.0.0", "O(1)", "Handshake with Redis"),
    cmd("ping", -1, FAST | CONNECTION, Local).tips(&["request_policy:all_shards", "response_policy:all_succeeded"]).docs("1.0.0", "O(1)", "Ping the server"),
    cmd("quit", -1, NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY | CONNECTION, Local).docs("1.0.0", "O(1)", "Close the connection"),
    cmd("reset", 1, NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY | CONNECTION, Local).docs("6.2.0", "O(1)", "Reset the connection"),
    cmd("select", 2, LOADING | STALE | FAST | CONNECTION, Local).docs("1.0.0", "O(1)", "Change the selected database for the current connection"),
];
