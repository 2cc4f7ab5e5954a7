//! Commands of sets: one line each.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    cmd("sadd", -3, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[RW | INSERT]).docs("1.0.0", "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.", "Add one or more members to a set"),
    cmd("scard", 2, READ | FAST | SAFE, OneSlot).keys(ONE, &[RO]).docs("1.0.0", "O(1)", "Get the number of members in a set"),
    cmd("sdiff", -2, READ | SAFE | BULK, OneSlot).keys(ALL, &[RO | ACCESS]).tips(&[NONDETERMINISTIC_ORDER]).docs("1.0.0", "O(N) where N is the total number of elements in all given sets.", "Subtract multiple sets"),
    cmd("sdiffstore", -3, WRITE | DENYOOM | BULK, OneSlot).keys(ALL, &[OW | UPDATE, RO | ACCESS]).docs("1.0.0", "O(N) where N is the total number of elements in all given sets.", "Subtract multiple sets and store the resulting set in a key"),
    cmd("sinter", -2, READ | SAFE | BULK, OneSlot).keys(ALL, &[RO | ACCESS]).tips(&[NONDETERMINISTIC_ORDER]).docs("1.0.0", "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.", "Intersect multiple sets"),
    cmd("sintercard", -3, READ | SAFE | BULK, OneSlot).keys(NumKeys { at: 1, first: 2 }, &[RO | ACCESS]).docs("7.0.0", "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.", "Intersect multiple sets and return the cardinality of the result"),
    cmd("sinterstore", -3, WRITE | DENYOOM | BULK, OneSlot).keys(ALL, &[RW | UPDATE, RO | ACCESS]).docs("1.0.0", "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.", "Intersect multiple sets and store the resulting set in a key"),
    cmd("sismember", 3, READ | FAST | SAFE, OneSlot).keys(ONE, &[RO]).docs("1.0.0", "O(1)", "Determine if a given value is a member of a set"),
    cmd("smembers", 2, READ | SAFE | BULK, OneSlot).keys(ONE, &[RO | ACCESS]).tips(&[NONDETERMINISTIC_ORDER]).docs("1.0.0", "O(N) where N is the set cardinality.", "Get all the members in a set"),
    cmd("smismember", -3, READ | FAST | SAFE, OneSlot).keys(ONE, &[RO | ACCESS]).docs("6.2.0", "O(N) where N is the number of elements being checked for membership", "Returns the membership associated with the given elements for a set"),
    cmd("smove", 4, WRITE | FAST, OneSlot).keys(TWO, &[RW | ACCESS | DELETE, RW | INSERT]).docs("1.0.0", "O(1)", "Move a member from one set to another"),
    cmd("spop", -2, WRITE | FAST | BULK, OneSlot).keys(ONE, &[RW | ACCESS | DELETE]).tips(&[NONDETERMINISTIC]).docs("1.0.0", "Without the count argument O(1), otherwise O(N) where N is the value of the passed count.", "Remove and return one or multiple random members from a set"),
    cmd("srandmember", -2, READ | SAFE | BULK, OneSlot).keys(ONE, &[RO | ACCESS]).tips(&[NONDETERMINISTIC]).docs("1.0.0", "Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.", "Get one or multiple random members from a set"),
    cmd("srem", -3, WRITE | FAST, OneSlot).keys(ONE, &[RW | DELETE]).docs("1.0.0", "O(N) where N is the number of members to be removed.", "Remove one or more members from a set"),
    cmd("sscan", -3, READ | SAFE | BULK, OneSlot).keys(ONE, &[RO | ACCESS]).tips(&[NONDETERMINISTIC]).docs("2.8.0", "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection..", "Incrementally iterate Set elements"),
    cmd("sunion", -2, READ | SAFE | BULK, OneSlot).keys(ALL, &[RO | ACCESS]).tips(&[NONDETERMINISTIC_ORDER]).docs("1.0.0", "O(N) where N is the total number of elements in all given sets.", "Add multiple sets"),
    cmd("sunionstore", -3, WRITE | DENYOOM | BULK, OneSlot).keys(ALL, &[OW | UPDATE, RO | ACCESS]).docs("1.0.0", "O(N) where N is the total number of elements in all given sets.", "Add multiple sets and store the resulting set in a key"),
];
