//! Commands of hashes: one line each.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    cmd("hdel", -3, WRITE | FAST, OneSlot).keys(ONE, &[RW | DELETE]).docs("2.0.0", "O(N) where N is the number of fields to be removed.", "Delete one or more hash fields"),
    cmd("hexists", 3, READ | FAST | SAFE, OneSlot).keys(ONE, &[RO]).docs("2.0.0", "O(1)", "Determine if a hash field exists"),
    cmd("hget", 3, READ | FAST | SAFE, OneSlot).keys(ONE, &[RO | ACCESS]).docs("2.0.0", "O(1)", "Get the value of a hash field"),
    cmd("hgetall", 2, READ | SAFE | BULK, OneSlot).keys(ONE, &[RO | ACCESS]).tips(&[NONDETERMINISTIC_ORDER]).docs("2.0.0", "O(N) where N is the size of the hash.", "Get all the fields and values in a hash"),
    cmd("hincrby", 4, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[RW | ACCESS | UPDATE]).docs("2.0.0", "O(1)", "Increment the integer value of a hash field by the given number"),
    cmd("hincrbyfloat", 4, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[RW | ACCESS | UPDATE]).docs("2.6.0", "O(1)", "Increment the float value of a hash field by the given amount"),
    cmd("hkeys", 2, READ | SAFE | BULK, OneSlot).keys(ONE, &[RO | ACCESS]).tips(&[NONDETERMINISTIC_ORDER]).docs("2.0.0", "O(N) where N is the size of the hash.", "Get all the fields in a hash"),
    cmd("hlen", 2, READ | FAST | SAFE, OneSlot).keys(ONE, &[RO]).docs("2.0.0", "O(1)", "Get the number of fields in a hash"),
    cmd("hmget", -3, READ | FAST | SAFE, OneSlot).keys(ONE, &[RO | ACCESS]).docs("2.0.0", "O(N) where N is the number of fields being requested.", "Get the values of all the given hash fields"),
    cmd("hmset", -4, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[RW | UPDATE]).docs("2.0.0", "O(N) where N is the number of fields being set.", "Set multiple hash fields to multiple values"),
    cmd("hrandfield", -2, READ | SAFE | BULK, OneSlot).keys(ONE, &[RO | ACCESS]).tips(&[NONDETERMINISTIC]).docs("6.2.0", "O(N) where N is the number of fields returned", "Get one or multiple random fields from a hash"),
    cmd("hscan", -3, READ | SAFE | BULK, OneSlot).keys(ONE, &[RO | ACCESS]).tips(&[NONDETERMINISTIC]).docs("2.8.0", "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection..", "Incrementally iterate hash fields and associated values"),
    cmd("hset", -4, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[RW | UPDATE]).docs("2.0.0", "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with multiple field/value pairs.", "Set the string value of a hash field"),
    cmd("hsetnx", 4, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[RW | INSERT]).docs("2.0.0", "O(1)", "Set the value of a hash field, only if the field does not exist"),
    cmd("hstrlen", 3, READ | FAST | SAFE, OneSlot).keys(ONE, &[RO]).docs("3.2.0", "O(1)", "Get the length of the value of a hash field"),
    cmd("hvals", 2, READ | SAFE | BULK, OneSlot).keys(ONE, &[RO | ACCESS]).tips(&[NONDETERMINISTIC_ORDER]).docs("2.0.0", "O(N) where N is the size of the hash.", "Get all the values in a hash"),
];
