//! Commands of `HyperLogLog`: one line each.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    cmd("pfadd", -2, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[RW | INSERT]).docs("2.8.9", "O(1) to add every element.", "Adds the specified elements to the specified HyperLogLog."),
    cmd("pfcount", -2, READ | SAFE, OneSlot).keys(ALL, &[RW | ACCESS]).docs("2.8.9", "O(1) with a very small average constant time when called with a single key. O(N) with N being the number of keys, and much bigger constant times, when called with multiple keys.", "Return the approximated cardinality of the set(s) observed by the HyperLogLog at key(s)."),
    cmd("pfdebug", 3, WRITE | DENYOOM | ADMIN, Refused(OPERATOR)).keys(SECOND, &[RW | ACCESS]).docs("2.8.9", "N/A", "Internal commands for debugging HyperLogLog values"),
    cmd("pfmerge", -2, WRITE | DENYOOM, OneSlot).keys(ALL, &[RW | ACCESS | INSERT, RO | ACCESS]).docs("2.8.9", "O(N) to merge N HyperLogLogs, but with high constant times.", "Merge N different HyperLogLogs into a single one."),
    cmd("pfselftest", 1, ADMIN, Refused(OPERATOR)).docs("2.8.9", "N/A", "An internal command for testing HyperLogLog values"),
];
