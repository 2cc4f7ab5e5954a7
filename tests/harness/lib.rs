//! The words the tests are written in: real processes, killed and restarted; conditions that are waited for.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]
#![allow(clippy::print_stderr, reason = "what the processes said is shown when a test fails")]

pub mod cluster;
pub mod dashboard;
pub mod double;
pub mod eventually;
pub mod http;
pub mod load;
pub mod machine;
pub mod process;
pub mod product;
pub mod resp;
pub mod turn;

pub use cluster::{Cluster, Role, Settings};
pub use eventually::eventually;
pub use process::{Process, program};
pub use turn::Company;
