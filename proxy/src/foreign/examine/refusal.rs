//! Why a slot cannot move, each with what to do about it. For the dashboard's page and for logs: one line, the key as text.

use crate::dialect::Dialect;
use cluster::Slot;
use std::time::Duration;

/// Why a slot cannot move.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("{node} cannot be asked: {why}")]
    Unreachable { node: String, why: String },
    #[error("the nodes did not answer within {} ms; try again", .patience.as_millis())]
    Late { patience: Duration },
    #[error("no slot can move from {from}, {}, to {to}, {}", name(*.from_is), name(*.to_is))]
    Pair { from: String, from_is: Dialect, to: String, to_is: Dialect },
    #[error("{node} is a replica; make the group's primary the one that serves")]
    Replica { node: String },
    #[error(
        "slotmigrate is off at {node}, so it does not keep the list of keys by which slots move: CONFIG SET slotmigrate yes there, and in \
         its file (CONFIG REWRITE writes what the next start reads as no); then move the slot again"
    )]
    SlotmigrateOff { node: String },
    #[error(
        "{node} has default-slot-num {theirs}, the cluster has {ours} slots; slots cannot move to or from it"
    )]
    SlotCount { node: String, theirs: String, ours: u16 },
    #[error(
        "{node} lists its keys anew (SLOTSRELOAD), for {seconds} s now; the slot can move when that is done"
    )]
    Reloading { node: String, seconds: u64 },
    #[error(
        "{node} migrates slot {slot} to {target} by itself; wait for it to end. If its moved keys do not grow (SLOTSMGRT-ASYNC-STATUS), a \
         CANCEL has wedged it: restart the node"
    )]
    Migrating { node: String, slot: String, target: String },
    #[error("the read cache of {node} is being emptied; try again in some seconds")]
    CacheBusy { node: String },
    #[error(
        "{key} is a stream, or was one before it was deleted, and Pika cannot migrate one: copy it elsewhere, then SET it to anything and DEL \
         it, and move the slot again"
    )]
    Stream { key: String },
    #[error(
        "{key} is a HyperLogLog, which would arrive as a plain string; delete it, or leave the slot where it is"
    )]
    HyperLogLog { key: String },
    #[error(
        "the list of keys of slot {slot} says {letter} of {key}, which is {kind}; Pika cannot migrate any key with its tag so. At the source: \
         SREM _internal:slotkey:4migrate:{slot} '{letter}{key}', SREM _internal:slottag:4migrate:{tag} '{letter}{key}', SLOTSRELOAD"
    )]
    WrongLetter { slot: Slot, tag: u32, key: String, letter: char, kind: String },
    #[error(
        "{key} has the score {score} for {member}, which Pika would migrate as {rounded}; round it yourself, then move the slot again"
    )]
    Score { key: String, member: String, score: String, rounded: String },
    #[error(
        "{key} and other keys of slot {slot} cannot be sent by their node as they are, and to copy more than {bytes_max} bytes \
         (foreign.carried_bytes_max) would keep clients waiting for too long; make them smaller, or leave the slot where it is"
    )]
    TooMuchToCopy { slot: Slot, key: String, bytes_max: u64 },
    #[error(
        "{key} and other HyperLogLogs of slot {slot} have more than {registers_max} registers that are not 0 (foreign.carried_registers_max), and \
         to copy them would keep clients waiting for too long; delete them, or leave the slot where it is"
    )]
    TooManyRegisters { slot: Slot, key: String, registers_max: usize },
    #[error(
        "{node} already has {key} of slot {slot}, and both would be mixed; if what it has of the slot is left over from another time: \
         SLOTSCLEANUP {slot} there"
    )]
    TargetHolds { node: String, slot: Slot, key: String },
    #[error(
        "{to} wants a password which {from} would not tell it; set requirepass of both to the same one"
    )]
    Password { from: String, to: String },
    #[error(
        "{key} has a zero byte in its name, and Pika loses such keys; delete it, or leave the slot where it is"
    )]
    ZeroByte { key: String },
    #[error(
        "{key} has the score -inf for {member}, and Pika then shows members of other sets with it; give it another score, then move the slot again"
    )]
    LowestScore { key: String, member: String },
    #[error(
        "{from} has {keys} keys of slot {slot} in database {database}, which {to} does not have; delete them, or leave the slot where it is"
    )]
    Database { from: String, to: String, slot: Slot, database: u32, keys: u64 },
    #[error("{node} answers {asked} with what is not understood: {answer}")]
    Strange { node: String, asked: String, answer: String },
}

impl Refusal {
    /// Whether it passes by itself, so that trying again later is all there is to do.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Late { .. }
                | Self::Reloading { .. }
                | Self::Migrating { .. }
                | Self::CacheBusy { .. }
        )
    }
}

fn name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Plain => "a server without slots, or one that is not known",
        Dialect::Pika => "a Pika",
        Dialect::CodisServer => "a codis-server",
        Dialect::Slipway => "a Slipway node",
    }
}
