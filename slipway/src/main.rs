//! One binary: each role of a cluster and the operator's tool as subcommands.

mod cli;
mod control_role;
mod daemon;
mod file;
mod load;
#[cfg(feature = "node")]
mod node_role;
mod operate;
mod proxy_role;
mod say;
#[cfg(feature = "node")]
mod up;

use std::process::ExitCode;

/// Gives memory back to the system when clients leave, and does not fragment under many small values.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::run()
}
