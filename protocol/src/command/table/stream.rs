//! Commands of streams: one line each.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    cmd("xack", -4, WRITE | FAST, Refused(LATER)).keys(ONE, &[RW | UPDATE]).docs("5.0.0", "O(1) for each message ID processed.", "Marks a pending message as correctly processed, effectively removing it from the pending entries list of the consumer group. Return value of the command is the number of messages successfully acknowledged, that is, the IDs we were actually able to resolve in the PEL."),
    cmd("xadd", -5, WRITE | DENYOOM | FAST, Refused(LATER)).keys(ONE, &[RW | UPDATE]).tips(&[NONDETERMINISTIC]).docs("5.0.0", "O(1) when adding a new entry, O(N) when trimming where N being the number of entries evicted.", "Appends a new entry to a stream"),
    cmd("xautoclaim", -6, WRITE | FAST, Refused(LATER)).keys(ONE, &[RW | DELETE]).tips(&[NONDETERMINISTIC]).docs("6.2.0", "O(1) if COUNT is small.", "Changes (or acquires) ownership of messages in a consumer group, as if the messages were delivered to the specified consumer."),
    cmd("xclaim", -6, WRITE | FAST, Refused(LATER)).keys(ONE, &[RW | UPDATE]).tips(&[NONDETERMINISTIC]).docs("5.0.0", "O(log N) with N being the number of messages in the PEL of the consumer group.", "Changes (or acquires) ownership of a message in a consumer group, as if the message was delivered to the specified consumer."),
    cmd("xdel", -3, WRITE | FAST, Refused(LATER)).keys(ONE, &[RW | DELETE]).docs("5.0.0", "O(1) for each single item to delete in the stream, regardless of the stream size.", "Removes the specified entries from the stream. Returns the number of items actually deleted, that may be different from the number of IDs passed in case certain IDs do not exist."),
    cmd("xgroup", -2, WRITE, Refused(LATER)).keys(SECOND, &[]).docs("5.0.0", "Depends on subcommand.", "A container for consumer groups commands").subs(&[
        sub("create", -5, WRITE | DENYOOM).keys(SECOND, &[RW | INSERT]).docs("5.0.0", "O(1)", "Create a consumer group."),
        sub("createconsumer", 5, WRITE | DENYOOM).keys(SECOND, &[RW | INSERT]).docs("6.2.0", "O(1)", "Create a consumer in a consumer group."),
        sub("delconsumer", 5, WRITE).keys(SECOND, &[RW | DELETE]).docs("5.0.0", "O(1)", "Delete a consumer from a consumer group."),
        sub("destroy", 4, WRITE).keys(SECOND, &[RW | DELETE]).docs("5.0.0", "O(N) where N is the number of entries in the group's pending entries list (PEL).", "Destroy a consumer group."),
        sub("help", 2, LOADING | STALE).docs("5.0.0", "O(1)", "Show helpful text about the different subcommands"),
        sub("setid", -5, WRITE).keys(SECOND, &[RW | UPDATE]).docs("5.0.0", "O(1)", "Set a consumer group to an arbitrary last delivered ID value."),
    ]),
    cmd("xinfo", -2, READ | SAFE, Refused(LATER)).keys(SECOND, &[]).docs("5.0.0", "Depends on subcommand.", "A container for stream introspection commands").subs(&[
        sub("consumers", 4, READ).keys(SECOND, &[RO | ACCESS]).tips(&[NONDETERMINISTIC]).docs("5.0.0", "O(1)", "List the consumers in a consumer group"),
        sub("groups", 3, READ).keys(SECOND, &[RO | ACCESS]).docs("5.0.0", "O(1)", "List the consumer groups of a stream"),
        sub("help", 2, LOADING | STALE).docs("5.0.0", "O(1)", "Show helpful text about the different subcommands"),
        sub("stream", -3, READ).keys(SECOND, &[RO | ACCESS]).docs("5.0.0", "O(1)", "Get information about a stream"),
    ]),
    cmd("xlen", 2, READ | FAST | SAFE, Refused(LATER)).keys(ONE, &[RO]).docs("5.0.0", "O(1)", "Return the number of entries in a stream"),
    cmd("xpending", -3, READ | SAFE, Refused(LATER)).keys(ONE, &[RO | ACCESS]).tips(&[NONDETERMINISTIC]).docs("5.0.0", "O(N) with N being the number of elements returned, so asking for a small fixed number of entries per call is O(1). O(M), where M is the total number of entries scanned when used with the IDLE filter. When the command returns just the summary and the list of consumers is small, it runs in O(1) time; otherwise, an additional O(N) time for iterating every consumer.", "Return information and entries from a stream consumer group pending entries list, that are messages fetched but never acknowledged."),
    cmd("xrange", -4, READ | SAFE, Refused(LATER)).keys(ONE, &[RO | ACCESS]).docs("5.0.0", "O(N) with N being the number of elements being returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).", "Return a range of elements in a stream, with IDs matching the specified IDs interval"),
    cmd("xread", -4, READ | BLOCKING | SAFE, Refused(LATER)).keys(Special(Find::Streams { from: 1 }), &[RO | ACCESS]).docs("5.0.0", "For each stream mentioned: O(N) with N being the number of elements being returned, it means that XREAD-ing with a fixed COUNT is O(1). Note that when the BLOCK option is used, XADD will pay O(M) time in order to serve the M clients blocked on the stream getting new data.", "Return never seen elements in multiple streams, with IDs greater than the ones reported by the caller for each stream. Can block."),
    cmd("xreadgroup", -7, WRITE | BLOCKING, Refused(LATER)).keys(Special(Find::Streams { from: 4 }), &[RO | ACCESS]).docs("5.0.0", "For each stream mentioned: O(M) with M being the number of elements returned. If M is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1). On the other side when XREADGROUP blocks, XADD will pay the O(N) time in order to serve the N clients blocked on the stream getting new data.", "Return new entries from a stream using a consumer group, or access the history of the pending entries for a given consumer. Can block."),
    cmd("xrevrange", -4, READ | SAFE, Refused(LATER)).keys(ONE, &[RO | ACCESS]).docs("5.0.0", "O(N) with N being the number of elements returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).", "Return a range of elements in a stream, with IDs matching the specified IDs interval, in reverse order (from greater to smaller IDs) compared to XRANGE"),
    cmd("xsetid", -3, WRITE | DENYOOM | FAST, Refused(LATER)).keys(ONE, &[RW | UPDATE]).docs("5.0.0", "O(1)", "An internal command for replicating stream values"),
    cmd("xtrim", -4, WRITE, Refused(LATER)).keys(ONE, &[RW | DELETE]).tips(&[NONDETERMINISTIC]).docs("5.0.0", "O(N), with N being the number of evicted entries. Constant times are very small however, since entries are organized in macro nodes containing multiple entries that can be released with a single deallocation.", "Trims the stream to (approximately if '~' is passed) a certain size"),
];
