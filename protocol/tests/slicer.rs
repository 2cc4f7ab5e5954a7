//! The slicer beside `redis-protocol`'s decoders, over bytes that arrive in pieces, cut off or damaged.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

#[path = "slicer/limits.rs"]
mod limits;
#[path = "slicer/replies.rs"]
mod replies;
#[path = "slicer/requests.rs"]
mod requests;
