//! Behaviours, in reading order.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod moves_under_load;

mod big_slot;
mod crash;
mod differential;
mod empty_slots;

mod size;
mod tidy;
