//! Behaviours, in reading order.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![allow(clippy::print_stdout, reason = "figures are shown beside the verdict")]

mod moves_under_load;

mod bad_input;
mod big_slot;
mod blocking;
mod clients;
mod codis;

mod crash;
mod dashboards;
mod differential;
mod empty_slots;
mod failing_writes;
mod foreign;
mod giving_up;
mod node_down;
mod settings;

mod size;
mod stand_in;
mod tidy;
