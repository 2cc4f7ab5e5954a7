//! The JSON of the admin API: field names, types and omissions as Go's decoders on the other side want them. One wrongly typed field makes a
//! whole answer unreadable there.

mod overview;
mod slot;
mod stats;

pub use overview::{CmdInfo, Model, Overview, RedisErrors, RemoteError, StackLine};
pub use slot::{ForwardMethod, Sentinels, Slot, read_sentinels, read_slots};
pub use stats::{
    Backend, CommandStats, Gc, General, Heap, Ops, Runtime, Rusage, RusageRaw, SentinelStats,
    Sessions, Stats, StatsFlags,
};

/// What serde asks whether a field is left out.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
