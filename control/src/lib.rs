//! The controller: which slot shall be where, and the patience to get it there.
//!
//! It is never on the way of a request, and a handoff needs nobody but its two nodes: it may die at any moment and go on later.
//!
//! - [`store`]: keeps the [`state`] in one file, for one writer.
//! - [`state`]: everything that is kept: slots, epochs, groups, migrations, wishes.
//! - [`planner`]: what a request of the operator means.
//! - [`step`]: what is to be done next for one migration. Pure.
//! - `driver`: sees, decides, stores, says.
//! - [`link`], `contact`: connections to nodes; [`report`]: what they say.
//! - `api`: HTTP; [`docs`]: its documents; [`client`]: the other end; [`table`]: the slot table for proxies.

pub mod client;
pub mod config;
pub mod docs;
pub mod link;
pub mod planner;
pub mod report;
pub mod state;
pub mod step;
pub mod store;
pub mod table;

mod api;
mod contact;
mod driver;
mod error;
mod metrics;
mod start;

pub use client::{Client, ClientError};
pub use config::Config;
pub use error::Error;
pub use start::{Controller, run};
pub use table::TableWatch;
