//! Doubles for tests: servers that behave like real Pika 4.0.1 and real codis-server, faults included, in memory.
//!
//! They speak RESP over TCP and move keys to each other, and to any Redis, by the same words as the real ones. What they answer was written
//! down from the real programs; none of their code is here. In a test: [`pika::start`] on a listener, or the binaries `pika-double` and
//! `codis-server-double` as processes. They are no servers for data: nothing is kept on disk, and clients are not limited.
//!
//! ```
//! # async fn example() -> std::io::Result<()> {
//! use doubles::pika::{self, Fault, Settings};
//! use tokio::net::TcpListener;
//!
//! let mut settings = Settings::default();
//! settings.faults.remove(Fault::CacheGhosts);
//! let source = pika::start(TcpListener::bind("127.0.0.1:0").await?, settings)?;
//! let target = pika::start(TcpListener::bind("127.0.0.1:0").await?, Settings::default())?;
//! println!("{} moves slots to {}", source.address(), target.address());
//! # Ok(())
//! # }
//! ```
//!
//! A process says its address on the first line of standard output: `pika-double --listen 127.0.0.1:0 --senders 8 --no-fault cache-ghosts`.
//! While it runs a test may say `DOUBLE FAULT <name> [off]`, `DOUBLE PACE <ms>`, `DOUBLE STALL <ms>`, `DOUBLE ENDING <ms>`, `DOUBLE RESTART`,
//! `DOUBLE DIE`; to a codis-server double `DOUBLE PACE <ms>` and `DOUBLE LOSE-ACKS <0 or 1>`.
//!
//! - [`pika`]: a Pika 4.0.1 with `slotmigrate`, its slot index, read cache and migration thread.
//! - [`codis_server`]: a codis-server (Redis 3.2.11 with slots), with moves of both kinds.

pub mod codis_server;
pub mod pika;

mod commands;
mod store;
mod wire;

pub use wire::Running;
