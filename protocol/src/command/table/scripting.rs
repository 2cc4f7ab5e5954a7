//! Commands of scripts and functions: one line each.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    cmd("eval", -3, NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS, Refused(LATER)).keys(NumKeys { at: 2, first: 3 }, &[RW | ACCESS | UPDATE]).docs("2.6.0", "Depends on the script that is executed.", "Execute a Lua script server side"),
    cmd("eval_ro", -3, READ | NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS | SAFE, Refused(LATER)).keys(NumKeys { at: 2, first: 3 }, &[RO | ACCESS]).docs("7.0.0", "Depends on the script that is executed.", "Execute a read-only Lua script server side"),
    cmd("evalsha", -3, NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS, Refused(LATER)).keys(NumKeys { at: 2, first: 3 }, &[RW | ACCESS | UPDATE]).docs("2.6.0", "Depends on the script that is executed.", "Execute a Lua script server side"),
    cmd("evalsha_ro", -3, READ | NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS | SAFE, Refused(LATER)).keys(NumKeys { at: 2, first: 3 }, &[RO | ACCESS]).docs("7.0.0", "Depends on the script that is executed.", "Execute a read-only Lua script server side"),
    cmd("fcall", -3, NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS, Refused(LATER)).keys(NumKeys { at: 2, first: 3 }, &[RW | ACCESS | UPDATE]).docs("7.0.0", "Depends on the function that is executed.", "Invoke a function"),
    cmd("fcall_ro", -3, READ | NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS | SAFE, Refused(LATER)).keys(NumKeys { at: 2, first: 3 }, &[RO | ACCESS]).docs("7.0.0", "Depends on the function that is executed.", "Invoke a read-only function"),
    cmd("function", -2, WRITE, Refused(LATER)).docs("7.0.0", "Depends on subcommand.", "A container for function commands").subs(&[
        sub("delete", 3, WRITE | NOSCRIPT).tips(&["request_policy:all_shards", "response_policy:all_succeeded"]).docs("7.0.0", "O(1)", "Delete a function by name"),
        sub("dump", 2, NOSCRIPT).docs("7.0.0", "O(N) where N is the number of functions", "Dump all functions into a serialized binary payload"),
        sub("flush", -2, WRITE | NOSCRIPT).tips(&["request_policy:all_shards", "response_policy:all_succeeded"]).docs("7.0.0", "O(N) where N is the number of functions deleted", "Deleting all functions"),
        sub("help", 2, LOADING | STALE).docs("7.0.0", "O(1)", "Show helpful text about the different subcommands"),
        sub("kill", 2, NOSCRIPT | ALLOW_BUSY).tips(&["request_policy:all_shards", "response_policy:one_succeeded"]).docs("7.0.0", "O(1)", "Kill the function currently in execution."),
        sub("list", -2, NOSCRIPT).tips(&[NONDETERMINISTIC_ORDER]).docs("7.0.0", "O(N) where N is the number of functions", "List information about all the functions"),
        sub("load", -3, WRITE | DENYOOM | NOSCRIPT).tips(&["request_policy:all_shards", "response_policy:all_succeeded"]).docs("7.0.0", "O(1) (considering compilation time is redundant)", "Create a function with the given arguments (name, code, description)"),
        sub("restore", -3, WRITE | DENYOOM | NOSCRIPT).tips(&["request_policy:all_shards", "response_policy:all_succeeded"]).docs("7.0.0", "O(N) where N is the number of functions on the payload", "Restore all the functions on the given payload"),
        sub("stats", 2, NOSCRIPT | ALLOW_BUSY).tips(&[NONDETERMINISTIC, "request_policy:all_shards", "response_policy:special"]).docs("7.0.0", "O(1)", "Return information about the function currently running (name, description, duration)"),
    ]),
    cmd("script", -2, 0, Refused(LATER)).docs("2.6.0", "Depends on subcommand.", "A container for Lua scripts management commands").subs(&[
        sub("debug", 3, NOSCRIPT).docs("3.2.0", "O(1)", "Set the debug mode for executed scripts."),
        sub("exists", -3, NOSCRIPT).tips(&["request_policy:all_shards", "response_policy:agg_logical_and"]).docs("2.6.0", "O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation).", "Check existence of scripts in the script cache."),
        sub("flush", -2, NOSCRIPT).tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]).docs("2.6.0", "O(N) with N being the number of scripts in cache", "Remove all the scripts from the script cache."),
        sub("help", 2, LOADING | STALE).docs("5.0.0", "O(1)", "Show helpful text about the different subcommands"),
        sub("kill", 2, NOSCRIPT | ALLOW_BUSY).tips(&["request_policy:all_shards", "response_policy:one_succeeded"]).docs("2.6.0", "O(1)", "Kill the script currently in execution."),
        sub("load", 3, NOSCRIPT | STALE).tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]).docs("2.6.0", "O(N) with N being the length in bytes of the script body.", "Load the specified Lua script into the script cache."),
    ]),
];
