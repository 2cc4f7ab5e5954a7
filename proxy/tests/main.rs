//! A proxy in front of fake nodes: every rule of `docs/WIRE.md` §2–3 as seen from the proxy.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what goes wrong in a test ends it"
)]

mod blocking;
mod cluster;
mod codis;
mod commands;
mod discovery;
mod failover;
mod fake;
mod fills;
mod foreign;
mod losing;
mod moving;
mod plain;
mod programs;
mod serving;
mod statistics;
