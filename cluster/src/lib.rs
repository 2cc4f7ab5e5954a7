//! Who serves which slot, and how that changes.
//!
//! Pure: no I/O, no clock, no async, no randomness. Time and chance are arguments, so every rule here is tested in microseconds and all
//! interleavings of the parties are explored by the model in `tests/model.rs`.
//!
//! - [`slot`]: a key's slot.
//! - [`table`]: the slot table that proxies read and the controller writes.
//! - [`state`]: what one node knows of one slot, and every transition of it: the heart of a migration.
//! - [`route`]: what a proxy believes of one slot, and which news it accepts.
//! - [`ranges`]: sets of slots as people write them, `0-99,512`.

pub mod ranges;
pub mod route;
pub mod slot;
pub mod state;
pub mod table;

pub use ranges::SlotRanges;
pub use slot::{Slot, SlotCount};
pub use state::{Epoch, MigrationId, SlotState, Token};
pub use table::{GroupId, Kind, Table};
