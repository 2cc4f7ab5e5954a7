//! The admin server of a daemon, and a client for it. HTTP/1.1, JSON, no TLS.
//!
//! For operators, scrapers and long polls, not for bulk: each body is in memory whole, up to a limit.
//!
//! - [`Routes`]: which path is answered by what.
//! - [`Request`], [`Response`]: one exchange, parsed.
//! - [`Server`]: serves the routes, and `/metrics`, `/livez`, `/readyz` beside them.
//! - [`Client`]: asks such a server, with a bound on the time.

mod client;
mod gzip;
mod message;
mod routes;
mod server;

pub use client::{Client, ClientError};
pub use hyper::header;
pub use hyper::{Method, StatusCode};
pub use message::{Request, Response};
pub use routes::Routes;
pub use server::{Limits, Readiness, Server};

#[cfg(test)]
mod tests;
