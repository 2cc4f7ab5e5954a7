//! The words the tests are written in.

pub(crate) mod client;
pub(crate) mod server;

pub(crate) use client::Client;
pub(crate) use server::Server;

use std::time::{Duration, Instant};

/// Waits until `condition` holds; `what` is said when it never does.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
