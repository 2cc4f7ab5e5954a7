//! Commands of publish and subscribe: one line each.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    cmd("psubscribe", -2, PUBSUB | NOSCRIPT | LOADING | STALE | CONNECTION, Refused(LATER)).docs("2.0.0", "O(N) where N is the number of patterns the client is already subscribed to.", "Listen for messages published to channels matching the given patterns"),
    cmd("publish", 3, PUBSUB | LOADING | STALE | FAST, Refused(LATER)).docs("2.0.0", "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number of subscribed patterns (by any client).", "Post a message to a channel"),
    cmd("pubsub", -2, 0, Refused(LATER)).docs("2.8.0", "Depends on subcommand.", "A container for Pub/Sub commands").subs(&[
        sub("channels", -2, PUBSUB | LOADING | STALE).docs("2.8.0", "O(N) where N is the number of active channels, and assuming constant time pattern matching (relatively short channels and patterns)", "List active channels"),
        sub("help", 2, LOADING | STALE).acl(&["@slow"]).docs("6.2.0", "O(1)", "Show helpful text about the different subcommands"),
        sub("numpat", 2, PUBSUB | LOADING | STALE).docs("2.8.0", "O(1)", "Get the count of unique patterns pattern subscriptions"),
        sub("numsub", -2, PUBSUB | LOADING | STALE).docs("2.8.0", "O(N) for the NUMSUB subcommand, where N is the number of requested channels", "Get the count of subscribers for channels"),
        sub("shardchannels", -2, PUBSUB | LOADING | STALE).docs("7.0.0", "O(N) where N is the number of active shard channels, and assuming constant time pattern matching (relatively short shard channels).", "List active shard channels"),
        sub("shardnumsub", -2, PUBSUB | LOADING | STALE).docs("7.0.0", "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels", "Get the count of subscribers for shard channels"),
    ]),
    cmd("punsubscribe", -1, PUBSUB | NOSCRIPT | LOADING | STALE | CONNECTION, Refused(LATER)).docs("2.0.0", "O(N+M) where N is the number of patterns the client is already subscribed and M is the number of total patterns subscribed in the system (by any client).", "Stop listening for messages posted to channels matching the given patterns"),
    cmd("spublish", 3, PUBSUB | LOADING | STALE | FAST, Refused(LATER)).keys(ONE, &[NOT_KEY]).docs("7.0.0", "O(N) where N is the number of clients subscribed to the receiving shard channel.", "Post a message to a shard channel"),
    cmd("ssubscribe", -2, PUBSUB | NOSCRIPT | LOADING | STALE | CONNECTION, Refused(LATER)).keys(ALL, &[NOT_KEY]).docs("7.0.0", "O(N) where N is the number of shard channels to subscribe to.", "Listen for messages published to the given shard channels"),
    cmd("subscribe", -2, PUBSUB | NOSCRIPT | LOADING | STALE | CONNECTION, Refused(LATER)).docs("2.0.0", "O(N) where N is the number of channels to subscribe to.", "Listen for messages published to the given channels"),
    cmd("sunsubscribe", -1, PUBSUB | NOSCRIPT | LOADING | STALE | CONNECTION, Refused(LATER)).keys(ALL, &[NOT_KEY]).docs("7.0.0", "O(N) where N is the number of clients already subscribed to a shard channel.", "Stop listening for messages posted to the given shard channels"),
    cmd("unsubscribe", -1, PUBSUB | NOSCRIPT | LOADING | STALE | CONNECTION, Refused(LATER)).docs("2.0.0", "O(N) where N is the number of clients already subscribed to a channel.", "Stop listening for messages posted to the given channels"),
];
