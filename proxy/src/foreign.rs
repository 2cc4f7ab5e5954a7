//! Nodes that are not ours and have slots all the same: Pika and codis-server. What is said to them, when, and why nothing is lost by it, is in
//! `docs/FOREIGN.md`.

pub mod carry;
pub mod commands;
pub mod examine;
pub mod known;
pub mod link;
pub mod probe;
pub(crate) mod sweep;
