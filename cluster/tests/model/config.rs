//! What one run contains.

use super::rules::Rule;
use super::world::{Left, OPS};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    pub(crate) ops: [Option<Client>; OPS],
    pub(crate) begin: Begin,
    /// The second proxy starts with a table that is older than the slot's last move.
    pub(crate) stale: Stale,
    /// How many migrations the controller may start.
    pub(crate) migrations: u8,
    /// What it does after one that succeeded.
    pub(crate) then: Then,
    pub(crate) driver: Driver,
    /// How often a migration may be sealed.
    pub(crate) attempts: u8,
    pub(crate) crash: Crash,
    pub(crate) writes: Writes,
    pub(crate) ownership: Ownership,
    pub(crate) pushes: Pushes,
    pub(crate) losses: Losses,
    pub(crate) faults: Left,
    pub(crate) removed: Option<Rule>,
}

/// One write, both nodes armed, nothing goes wrong.
pub(crate) const BASE: Config = Config {
    ops: super::runs::ONE,
    begin: Begin::Armed,
    stale: Stale::No,
    migrations: 1,
    then: Then::Rest,
    driver: Driver::Controller,
    attempts: 2,
    crash: Crash::Process,
    writes: Writes::OneStep,
    ownership: Ownership::AtOnce,
    pushes: Pushes::None,
    losses: Losses::None,
    faults: Left { crashes: [0, 0], control: 0, resets: 0, doubles: 0, late: 0, aborts: 0 },
    removed: None,
};

/// The same with one thing changed.
impl Config {
    pub(crate) const fn ops(self, ops: [Option<Client>; OPS]) -> Self {
        Self { ops, ..self }
    }
    pub(crate) const fn attempts(self, attempts: u8) -> Self {
        Self { attempts, ..self }
    }
    pub(crate) const fn migrations(self, migrations: u8) -> Self {
        Self { migrations, ..self }
    }
    pub(crate) const fn power(self) -> Self {
        Self { crash: Crash::Power, ..self }
    }
    pub(crate) const fn without(self, rule: Rule) -> Self {
        Self { removed: Some(rule), ..self }
    }
    pub(crate) const fn crashes(self, source: u8, target: u8) -> Self {
        Self { faults: Left { crashes: [source, target], ..self.faults }, ..self }
    }
    pub(crate) const fn control(self, crashes: u8) -> Self {
        Self { faults: Left { control: crashes, ..self.faults }, ..self }
    }
    pub(crate) const fn resets(self, resets: u8) -> Self {
        Self { faults: Left { resets, ..self.faults }, ..self }
    }
    pub(crate) const fn doubles(self, doubles: u8) -> Self {
        Self { faults: Left { doubles, ..self.faults }, ..self }
    }
    pub(crate) const fn late(self, late: u8) -> Self {
        Self { faults: Left { late, ..self.faults }, ..self }
    }
    pub(crate) const fn aborts(self, aborts: u8) -> Self {
        Self { faults: Left { aborts, ..self.faults }, ..self }
    }
}

/// An operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) proxy: u8,
    pub(crate) does: Does,
    /// The operation of the same session that it is pipelined behind.
    pub(crate) behind: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Write,
    Read,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Nothing is under way.
    Settled,
    /// Both nodes are armed for the first migration.
    Armed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    No,
    /// The target knows who had the slot.
    Hinted,
    /// The target knows nothing.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Rest,
    /// The slot goes back.
    Back,
}

/// Who opens migrations and brings them to their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// With a record that survives everything.
    Controller,
    /// The source: what it has not granted, and is not in doubt about, it forgets when it dies.
    Source,
}

/// What a crash takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The process: everything in the log survives. Writes are acknowledged at once.
    Process,
    /// The process, or the machine: a suffix of the log that was not synced is lost. Writes are acknowledged when synced.
    Power,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    /// A write enters the slot and is applied in one step.
    OneStep,
    /// Something can happen between.
    TwoSteps,
}

/// When the record of a new owner gets into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ownership {
    AtOnce,
    /// In the batch of the first write.
    WithTheFirstWrite,
}

/// What nodes tell without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushes {
    /// Each may arrive or be lost.
    Some,
    /// All are lost.
    None,
}

/// Whether a message between source and target can be lost; it can always be late for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Losses {
    Some,
    None,
}
