//! Slots on the move.

use crate::shared::Shared;
use crate::transfer::report::{Phase, Role};
use crate::transfer::tally::STALL_SECONDS;
use service::metrics::Page;

/// Where a migration can be that has not ended.
const PHASES: [(Role, Phase, [&str; 2]); 8] = [
    (Role::Source, Phase::Copying, ["source", "copying"]),
    (Role::Source, Phase::Copied, ["source", "copied"]),
    (Role::Source, Phase::Armed, ["source", "armed"]),
    (Role::Source, Phase::Sealed, ["source", "sealed"]),
    (Role::Source, Phase::Granted, ["source", "granted"]),
    (Role::Source, Phase::Doubt, ["source", "doubt"]),
    (Role::Target, Phase::Importing, ["target", "importing"]),
    (Role::Target, Phase::Ready, ["target", "ready"]),
];

pub(super) fn write(shared: &Shared, page: &mut Page) {
    let (tally, phases) = (shared.transfers.tally(), shared.transfers.phases(shared));
    let mut now = page.gauge(
        "slipway_node_migrations",
        "Migrations under way, by this node's role and where they are.",
        ["role", "phase"],
    );
    for (role, phase, labels) in PHASES {
        now.put(labels, phases.get(&(role, phase)).copied().unwrap_or(0));
    }
    let (out, into) = (tally.outgoing, tally.incoming);
    page.counter(
        "slipway_node_migrations_ended_total",
        "Migrations that ended, by role and result.",
        ["role", "result"],
    )
    .put(["source", "moved"], out.moved)
    .put(["source", "failed"], out.failed)
    .put(["target", "moved"], into.moved)
    .put(["target", "refused"], into.failed);
    page.counter(
        "slipway_node_migration_keys_total",
        "Keys copied out of this node and taken in, those written meanwhile included.",
        ["direction"],
    )
    .put(["out"], out.keys)
    .put(["in"], into.keys);
    page.counter(
        "slipway_node_migration_bytes_total",
        "Bytes of records copied out (without changes meanwhile) and taken in (with them).",
        ["direction"],
    )
    .put(["out"], out.bytes)
    .put(["in"], into.bytes);
    page.counter(
        "slipway_node_migration_copies_total",
        "Copies begun; more than migrations when copies had to start again.",
        [],
    )
    .put([], tally.copy_starts);
    page.gauge(
        "slipway_node_migration_pace_bytes",
        "Ceiling for copying out of this node, bytes a second; 0 for none.",
        [],
    )
    .put([], shared.transfers.pace_bytes());
    page.counter(
        "slipway_node_migration_courtesy_seconds_total",
        "How long copies out of this node waited because clients are served here or at the target.",
        [],
    )
    .put_real([], shared.transfers.courtesy_seconds());
    page.counter(
        "slipway_node_handoff_attempts_total",
        "Times a slot was sealed to be handed off.",
        [],
    )
    .put([], tally.attempts);
    let mut given_up = page.counter(
        "slipway_node_handoff_aborts_total",
        "Attempts given up before the grant: writers too slow to leave, budget over, asked to, target or link failed, too much left to send.",
        ["reason"],
    );
    for (reason, count) in tally.given_up.named() {
        given_up.put([reason], count);
    }
    page.histogram(
        (
            "slipway_node_handoff_stall_write_seconds",
            "How long nobody executed writes of a slot in its handoff; an upper bound.",
        ),
        [],
        &STALL_SECONDS,
    )
    .put([], tally.stall_write.buckets, tally.stall_write.seconds);
    page.histogram(
        (
            "slipway_node_handoff_stall_read_seconds",
            "How long nobody executed reads of a slot in its handoff; an upper bound.",
        ),
        [],
        &STALL_SECONDS,
    )
    .put([], tally.stall_read.buckets, tally.stall_read.seconds);
}
