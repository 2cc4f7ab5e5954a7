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
mod examine;
mod failover;
mod fake;
mod fills;
mod losing;
mod moving;
mod passage;
mod plain;
mod programs;
mod replicas;
mod serving;
mod statistics;
