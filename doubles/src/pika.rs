//! A double of Pika 4.0.1.
//!
//! Sources: `pika-live.md` (what the real one answered, byte for byte, and what breaks), `pika-node-contract.md` §1.4 to 1.6 and 2, and
//! `migration-state-of-the-art.md` §4.2. Each fault is a switch ([`Fault`]); by default those of 4.0.1 are on.
//!
//! Not in it: replication, a second database, ACL, the RocksDB sections of INFO, TTLs cut to 32 bits on replicas.

mod answers;
mod connection;
mod control;
mod data;
mod index;
mod info;
mod migrator;
mod parcel;
mod settable;
mod settings;
mod slots;
mod sync_move;

pub use settings::{Fault, Faults, Settings};

use crate::wire::{self, Running};
use data::Data;
use migrator::Migrator;
use parking_lot::{Mutex, MutexGuard};
use std::io;
use std::sync::{Arc, OnceLock};
use sync_move::Links;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// One Pika process.
#[derive(Debug)]
pub(crate) struct Pika {
    data: Mutex<Data>,
    links: tokio::sync::Mutex<Links>,
    migrator: Migrator,
    port: OnceLock<u16>,
    era: Mutex<CancellationToken>,
}

impl Pika {
    fn new(settings: Settings) -> Self {
        Self {
            data: Mutex::new(Data::new(settings)),
            links: tokio::sync::Mutex::default(),
            migrator: Migrator::default(),
            port: OnceLock::new(),
            era: Mutex::default(),
        }
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock()
    }

    fn port(&self) -> u16 {
        self.port.get().copied().unwrap_or(0)
    }

    fn is_self(&self, host: &str, port: u16) -> bool {
        host == "127.0.0.1" && port == self.port()
    }

    /// A crash and a start: all connections close, what was only in memory is gone, the data stays.
    async fn restart(self: &Arc<Self>) {
        self.era.lock().cancel();
        self.migrator.reset().await;
        self.links.lock().await.clear();
        let data = &mut *self.data();
        data.cache.clear();
        data.scans.clear();
        data.reload = data::Background::default();
        data.cleanup = data::Background::default();
        *self.era.lock() = CancellationToken::new();
    }
}

/// Starts a double on this listener; it stops when the handle is dropped.
pub fn start(listener: TcpListener, settings: Settings) -> io::Result<Running> {
    let pika = Arc::new(Pika::new(settings));
    let port = listener.local_addr()?.port();
    pika.port.get_or_init(|| port);
    let wedge = Arc::clone(&pika);
    let running = wire::serve(pika, listener)?;
    Ok(running.with_wedge(move || wedge.migrator.is_wedged()))
}
