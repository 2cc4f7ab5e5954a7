//! A proxy that a codis-dashboard drives: it fills the slots, tells us to start, asks how we are, and stops us.

pub mod admin;
pub mod coordinator;
mod fill;
pub mod jodis;
mod moves;
pub mod report;
mod router;
pub mod sentinels;
mod statistics;

pub(crate) use fill::{Fill, Order, Stage, Unfinished};
pub(crate) use statistics::{History, run};

pub(crate) use router::Obstacle;
pub use router::{Phase, Router};
pub use statistics::{Detail, Statistics};
