//! The words the table's lines are written with.

pub(super) use super::super::Command;
use super::super::{CommandId, Flags, Subcommand};
pub(super) use crate::command::Join;
pub(super) use crate::command::Keys::{self, NumKeys, Special, Store};
pub(super) use crate::command::RouteRule::{self, *};
pub(super) use crate::command::keys::Special as Find;
pub(super) use crate::command::keys::access::*;

pub(super) const WRITE: u32 = Flags::WRITE.bits();
pub(super) const READ: u32 = Flags::READ.bits();
pub(super) const DENYOOM: u32 = Flags::DENYOOM.bits();
pub(super) const ADMIN: u32 = Flags::ADMIN.bits();
pub(super) const PUBSUB: u32 = Flags::PUBSUB.bits();
pub(super) const NOSCRIPT: u32 = Flags::NOSCRIPT.bits();
pub(super) const BLOCKING: u32 = Flags::BLOCKING.bits();
pub(super) const FAST: u32 = Flags::FAST.bits();
pub(super) const LOADING: u32 = Flags::LOADING.bits();
pub(super) const STALE: u32 = Flags::STALE.bits();
pub(super) const NO_AUTH: u32 = Flags::NO_AUTH.bits();
pub(super) const SKIP_MONITOR: u32 = Flags::SKIP_MONITOR.bits();
pub(super) const SKIP_SLOWLOG: u32 = Flags::SKIP_SLOWLOG.bits();
pub(super) const ASKING: u32 = Flags::ASKING.bits();
pub(super) const NO_MANDATORY_KEYS: u32 = Flags::NO_MANDATORY_KEYS.bits();
pub(super) const NO_ASYNC_LOADING: u32 = Flags::NO_ASYNC_LOADING.bits();
pub(super) const NO_MULTI: u32 = Flags::NO_MULTI.bits();
pub(super) const ALLOW_BUSY: u32 = Flags::ALLOW_BUSY.bits();
/// `REPEAT_SAFE`
pub(super) const SAFE: u32 = Flags::REPEAT_SAFE.bits();
pub(super) const BULK: u32 = Flags::BULK.bits();
pub(super) const CONNECTION: u32 = Flags::CONNECTION.bits();

pub(super) const ONE: Keys = Keys::Range { first: 1, last: 1, step: 1 };
pub(super) const TWO: Keys = Keys::Range { first: 1, last: 2, step: 1 };
pub(super) const ALL: Keys = Keys::Range { first: 1, last: -1, step: 1 };
pub(super) const ALL_BUT_LAST: Keys = Keys::Range { first: 1, last: -2, step: 1 };
pub(super) const PAIRS: Keys = Keys::Range { first: 1, last: -1, step: 2 };
pub(super) const SECOND: Keys = Keys::Range { first: 2, last: 2, step: 1 };
pub(super) const FROM_SECOND: Keys = Keys::Range { first: 2, last: -1, step: 1 };

pub(super) const NONDETERMINISTIC: &str = "nondeterministic_output";
pub(super) const NONDETERMINISTIC_ORDER: &str = "nondeterministic_output_order";

// Why a command is refused: follows "the command is not served: ".
pub(super) const LATER: &str = "it is not implemented yet";
pub(super) const REPLICATION: &str = "replication is the controller's";
pub(super) const CLUSTER: &str = "this is no Redis Cluster";
pub(super) const MIGRATION: &str = "slots are moved whole, by the controller";
pub(super) const SLOTS_APART: &str = "databases span slots on different nodes";
pub(super) const ACL: &str = "there is one password and no users";
pub(super) const PERSISTENCE: &str = "every write is on its way to the disk already";
pub(super) const OPERATOR: &str = "it is not for clients";
pub(super) const CODIS: &str = "it is a word of codis-dashboard and codis-proxy to a node";
pub(super) const RESTORE: &str = "it is a word of a codis-server to a node";
pub(super) const INTERNAL: &str = "it is a word between the parts of Slipway";

pub(super) const fn cmd(name: &'static str, arity: i16, flags: u32, route: RouteRule) -> Command {
    Command {
        id: CommandId(0),
        name,
        arity,
        flags: Flags::of(flags),
        keys: Keys::None,
        route,
        group: "",
        since: "",
        summary: "",
        complexity: "",
        access: &[],
        tips: &[],
        categories: &[],
        subcommands: &[],
    }
}

pub(super) const fn sub(name: &'static str, arity: i16, flags: u32) -> Subcommand {
    Subcommand {
        name,
        arity,
        flags: Flags::of(flags),
        keys: Keys::None,
        since: "",
        summary: "",
        complexity: "",
        access: &[],
        tips: &[],
        categories: &[],
    }
}

macro_rules! columns {
    ($line:ty) => {
        impl $line {
            pub(super) const fn keys(mut self, keys: Keys, access: &'static [u32]) -> Self {
                self.keys = keys;
                self.access = access;
                self
            }

            pub(super) const fn tips(mut self, tips: &'static [&'static str]) -> Self {
                self.tips = tips;
                self
            }

            pub(super) const fn acl(mut self, categories: &'static [&'static str]) -> Self {
                self.categories = categories;
                self
            }

            pub(super) const fn docs(
                mut self,
                since: &'static str,
                complexity: &'static str,
                summary: &'static str,
            ) -> Self {
                self.since = since;
                self.complexity = complexity;
                self.summary = summary;
                self
            }
        }
    };
}
columns!(Command);
columns!(Subcommand);

impl Command {
    pub(super) const fn subs(mut self, subcommands: &'static [Subcommand]) -> Self {
        self.subcommands = subcommands;
        self
    }
}
