//! Commands of bitmaps: one line each.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    cmd("bitcount", -2, READ | SAFE, OneSlot).keys(ONE, &[RO | ACCESS]).docs("2.6.0", "O(N)", "Count set bits in a string"),
    cmd("bitfield", -2, WRITE | DENYOOM, OneSlot).keys(ONE, &[RW | ACCESS | UPDATE | VARIABLE]).docs("3.2.0", "O(1) for each subcommand specified", "Perform arbitrary bitfield integer operations on strings"),
    cmd("bitfield_ro", -2, READ | FAST | SAFE, OneSlot).keys(ONE, &[RO | ACCESS]).docs("6.0.0", "O(1) for each subcommand specified", "Perform arbitrary bitfield integer operations on strings. Read-only variant of BITFIELD"),
    cmd("bitop", -4, WRITE | DENYOOM, OneSlot).keys(FROM_SECOND, &[OW | UPDATE, RO | ACCESS]).docs("2.6.0", "O(N)", "Perform bitwise operations between strings"),
    cmd("bitpos", -3, READ | SAFE, OneSlot).keys(ONE, &[RO | ACCESS]).docs("2.8.7", "O(N)", "Find first bit set or clear in a string"),
    cmd("getbit", 3, READ | FAST | SAFE, OneSlot).keys(ONE, &[RO | ACCESS]).docs("2.2.0", "O(1)", "Returns the bit value at offset in the string value stored at key"),
    cmd("setbit", 4, WRITE | DENYOOM, OneSlot).keys(ONE, &[RW | ACCESS | UPDATE]).docs("2.2.0", "O(1)", "Sets or clears the bit at offset in the string value stored at key"),
];
