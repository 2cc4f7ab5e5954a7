//! The doubles beside the real servers: replies byte for byte, and each fault.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test panics when it is wrong")]

mod client;
mod codis_server;
mod pika_faults;
mod pika_replies;
