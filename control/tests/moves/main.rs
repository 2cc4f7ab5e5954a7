//! A real controller, with its store on a real disk and its API on a real port, against nodes that know nothing but slots.

#![expect(clippy::unwrap_used, reason = "what is missing in a test is a failed test")]

mod controller;
mod crash;
mod failure;
mod normal;
mod world;
