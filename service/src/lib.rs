//! How a daemon of ours runs: listeners, graceful stop, HTTP, telemetry.
//!
//! It knows nothing of RESP, slots or nodes: whatever is here would serve any daemon.
//!
//! - [`listener`]: one address, a socket for each worker, and a second instance is refused.
//! - [`shutdown`]: from a signal to an exit code, with a bound on every step.
//! - [`http`]: the admin server with `/metrics`, `/livez` and `/readyz`, and a client for it.
//! - [`telemetry`]: logs, panics, build information.
//! - [`metrics`]: numbers that are gathered when somebody asks for them.
//! - [`config_file`]: single settings written into a configuration file.
//! - [`failpoint`]: named places where a test can kill, stop, slow or fail the process.
//! - [`limits`]: what the operating system grants a process.
//! - [`local_time`]: what time it is where this machine stands.

pub mod config_file;
pub mod failpoint;
pub mod http;
pub mod limits;
pub mod listener;
pub mod local_time;
pub mod metrics;
pub mod shutdown;
pub mod telemetry;
