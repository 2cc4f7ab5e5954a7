//! The node as its clients have it: real sockets, real disk, one node in this process or in one of its own.

mod harness;

mod basics;
mod concurrency;
mod crash;
mod differential;
mod expiry;
mod limits;
mod links;
mod scanning;
mod transactions;
mod handoff;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
