//! The crate beside a real redis-server 7.0: the table, the texts of errors, numbers.
//!
//! Each test starts its own server on a free port of the loopback interface and stops it at the end.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it cannot go on")]

#[path = "redis/server.rs"]
mod server;

#[path = "redis/garbage.rs"]
mod garbage;
#[path = "redis/getkeys.rs"]
mod getkeys;
#[path = "redis/numbers.rs"]
mod numbers;
#[path = "redis/table.rs"]
mod table;
