//! The node as its clients have it: real sockets, real disk, one node in this process or in one of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]
#![allow(clippy::print_stdout, reason = "figures are shown beside the verdict")]
#![allow(
    unreachable_pub,
    unused_must_use,
    unused_qualifications,
    dead_code,
    reason = "the harness is one module among others"
)]

mod harness;
mod oracle;

mod basics;
mod blocking;
mod codis;
mod concurrency;
mod crash;
mod expiry;
mod handoff;
mod limits;
mod links;
mod many;
mod pipelines;
mod scanning;
mod sketches;
mod transactions;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
