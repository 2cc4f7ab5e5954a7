//! Commands of slots, Codis' and ours: one line each.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    cmd("codis.info", -1, FAST | NO_AUTH | CONNECTION, Local).docs("0.1.0", "O(1)", "Get version, build, admin address and start of a proxy behind a codis-dashboard"),
    cmd("pconfig", -1, ADMIN | NOSCRIPT | NO_MULTI, Local).docs("0.1.0", "O(1)", "Get and set the configuration of a proxy behind a codis-dashboard"),
    cmd("slipway", -2, ADMIN | NOSCRIPT, Refused(INTERNAL)).docs("0.1.0", "Depends on the word.", "The words between the parts of Slipway"),
    cmd("slotscheck", 1, ADMIN | NO_MULTI, Refused(CODIS)).docs("0.1.0", "O(1)", "Nothing: a slot's keys are always known"),
    cmd("slotscleanup", -2, WRITE | BULK | ADMIN, Refused(CODIS)).docs("0.1.0", "O(N) with N being the number of keys in the slots", "Delete every key of the slots"),
    cmd("slotscleanupoff", -1, ADMIN | NO_MULTI, Refused(CODIS)).docs("0.1.0", "O(1)", "Nothing: SLOTSCLEANUP is done when it answers"),
    cmd("slotsdel", -2, WRITE | BULK, Slots).docs("0.1.0", "O(N) with N being the number of keys in the slots", "Delete every key of the slots"),
    cmd("slotshashkey", -2, FAST | SAFE, Local).docs("0.1.0", "O(N) with N being the number of keys", "Get the slots of keys"),
    cmd("slotsinfo", -1, READ | SAFE, FanOut(Join::Concat)).docs("0.1.0", "O(N) with N being the number of slots", "Count the keys of each slot that has any"),
    cmd("slotsmapping", -1, FAST, Local).docs("0.1.0", "O(N) with N being the number of slots", "Get where slots are served, as a codis-dashboard has filled them"),
    cmd("slotsmgrt-async-cancel", 1, ADMIN | NOSCRIPT | NO_MULTI, Refused(CODIS)).docs("0.1.0", "O(N) with N being the number of slots on the move", "Call off the moves out of a node that are not granted"),
    cmd("slotsmgrt-async-fence", -1, ADMIN | NOSCRIPT | NO_MULTI, Refused(CODIS)).docs("0.1.0", "O(1)", "Nothing: no batch of keys is ever under way"),
    cmd("slotsmgrt-async-status", 1, ADMIN | NOSCRIPT | NO_MULTI, Refused(CODIS)).docs("0.1.0", "O(N) with N being the number of slots on the move", "Show a move out of a node"),
    cmd("slotsmgrt-exec-wrapper", -3, ADMIN | NOSCRIPT | NO_MULTI, Refused(CODIS)).docs("0.1.0", "Depends on the command.", "Execute a command if the slot is owned here"),
    cmd("slotsmgrtone", 5, ADMIN | NOSCRIPT | NO_MULTI, Refused(CODIS)).docs("0.1.0", "O(1)", "Tell a node whose slot it is"),
    cmd("slotsmgrtone-async", -7, ADMIN | NOSCRIPT | NO_MULTI, Refused(CODIS)).docs("0.1.0", "O(N) with N being the number of keys", "Tell a node whose slots they are"),
    cmd("slotsmgrtslot", 5, ADMIN | NOSCRIPT | NO_MULTI, Refused(CODIS)).docs("0.1.0", "O(1)", "Move a slot to a node, or ask how far it is"),
    cmd("slotsmgrtslot-async", 8, ADMIN | NOSCRIPT | NO_MULTI, Refused(CODIS)).docs("0.1.0", "O(1)", "Move a slot to a node, or ask how far it is"),
    cmd("slotsmgrttagone", 5, ADMIN | NOSCRIPT | NO_MULTI, Refused(CODIS)).docs("0.1.0", "O(1)", "Tell a node whose slot it is"),
    cmd("slotsmgrttagone-async", -7, ADMIN | NOSCRIPT | NO_MULTI, Refused(CODIS)).docs("0.1.0", "O(N) with N being the number of keys", "Tell a node whose slots they are"),
    cmd("slotsmgrttagslot", 5, ADMIN | NOSCRIPT | NO_MULTI, Refused(CODIS)).docs("0.1.0", "O(1)", "Move a slot to a node, or ask how far it is"),
    cmd("slotsmgrttagslot-async", 8, ADMIN | NOSCRIPT | NO_MULTI, Refused(CODIS)).docs("0.1.0", "O(1)", "Move a slot to a node, or ask how far it is"),
    cmd("slotsreload", 1, ADMIN | NO_MULTI, Refused(CODIS)).docs("0.1.0", "O(1)", "Nothing: a slot's keys are always known"),
    cmd("slotsreloadoff", -1, ADMIN | NO_MULTI, Refused(CODIS)).docs("0.1.0", "O(1)", "Nothing: SLOTSRELOAD is done when it answers"),
    cmd("slotsrestore", -4, WRITE | DENYOOM | ADMIN, Refused(RESTORE)).keys(Keys::Range { first: 1, last: -1, step: 3 }, &[OW | UPDATE]).docs("0.1.0", "O(1)", "Create keys from their serialized values"),
    cmd("slotsrestore-async", -3, WRITE | DENYOOM | ADMIN, Refused(RESTORE)).keys(SECOND, &[RW | UPDATE]).docs("0.1.0", "O(1)", "Create a key from a part of its serialized value"),
    cmd("slotsrestore-async-ack", 3, ADMIN, Refused(RESTORE)).docs("0.1.0", "O(1)", "Acknowledge a part of a key"),
    cmd("slotsrestore-async-auth", 2, ADMIN | NO_AUTH | NO_MULTI, Refused(RESTORE)).docs("0.1.0", "O(1)", "Log in to restore keys"),
    cmd("slotsrestore-async-select", 2, ADMIN | NO_MULTI, Refused(RESTORE)).docs("0.1.0", "O(1)", "Choose the database to restore keys in"),
    cmd("slotsscan", -3, READ | SAFE | BULK, Slots).docs("0.1.0", "O(1) for every call", "Incrementally iterate the keys of a slot"),
];
