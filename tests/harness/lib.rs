//! The words the tests are written in: real processes, killed and restarted; conditions that are waited for.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

pub mod cluster;
pub mod eventually;
pub mod http;
pub mod load;
pub mod process;
pub mod resp;

pub use cluster::{Cluster, Role};
pub use eventually::eventually;
pub use process::{Process, program};
