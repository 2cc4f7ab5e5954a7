//! A proxy that a codis-dashboard drives: it fills the slots, tells us to start, asks how we are, and stops us.

mod order;
mod router;
mod statistics;

pub(crate) use order::{Order, Report, Swap};
pub use router::{Phase, Router};
pub use statistics::{Detail, Statistics};
