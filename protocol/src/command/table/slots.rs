//! Commands of slots, Codis' and ours: one line each.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    cmd("codis.info", -1, FAST | NO_AUTH | CONNECTION, Local).docs("0.1.0", "O(1)", "Get version, build, admin address and start of a proxy behind a codis-dashboard"),
    cmd("pconfig", -1, ADMIN | NOSCRIPT | NO_MULTI, Local).docs("0.1.0", "O(1)", "Get and set the configuration of a proxy behind a codis-dashboard"),
    cmd("slipway", -2, ADMIN | NOSCRIPT, Refused(INTERNAL)).docs("0.1.0", "Depends on the word.", "The words between the parts of Slipway"),
    cmd("slotsdel", -2, WRITE | BULK, Slots).docs("0.1.0", "O(N) with N being the number of keys in the slots", "Delete every key of the slots"),
    cmd("slotshashkey", -2, FAST | SAFE, Local).docs("0.1.0", "O(N) with N being the number of keys", "Get the slots of keys"),
    cmd("slotsinfo", -1, READ | SAFE, FanOut(Join::Concat)).docs("0.1.0", "O(N) with N being the number of slots", "Count the keys of each slot that has any"),
    cmd("slotsmapping", -1, FAST, Local).docs("0.1.0", "O(N) with N being the number of slots", "Get where slots are served, as a codis-dashboard has filled them"),
    cmd("slotsscan", -3, READ | SAFE | BULK, Slots).docs("0.1.0", "O(1) for every call", "Incrementally iterate the keys of a slot"),
];
