//! A double of codis-server: Redis 3.2.11 with Codis' slot commands.
//!
//! Sources: `codis-contract.md` §4, `migration-state-of-the-art.md` §4.1 (its two wrong results, E1 and E2, come by themselves: nothing here
//! makes them), and how Codis' own server answers. Moves speak its own words, so a double and a real codis-server may move keys to each other.
//!
//! Not in it: replication, scripts, transactions over a migration, the lazy release of big values, `SLOTSMGRT*-ASYNC-DUMP`.

mod answers;
mod batch;
mod beside;
mod info;
mod order;
mod payload;
mod restore;
mod settings;
mod slots;
mod whole;
mod wrapper;

pub use settings::Settings;

use crate::store::{Places, Store};
use crate::wire::{self, Running};
use batch::Batch;
use order::Kept;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How many databases there are, as in Redis' default.
const DATABASES: i64 = 16;

/// One codis-server process.
#[derive(Debug)]
pub(crate) struct Codis {
    /// Held by each command while it runs, and by a synchronous move over its whole exchange: the one thread of the server.
    state: tokio::sync::Mutex<State>,
    /// The connections of moves beside the work, by database.
    beside: tokio::sync::Mutex<HashMap<i64, Kept>>,
    era: Mutex<CancellationToken>,
    port: u16,
}

#[derive(Debug)]
pub(crate) struct State {
    stores: HashMap<i64, Store>,
    batches: HashMap<i64, Batch>,
    /// The connection of synchronous moves.
    kept: Option<Kept>,
    settings: Settings,
    now_ms: i64,
}

impl State {
    fn store(&mut self, database: i64) -> &mut Store {
        let store = self.stores.entry(database).or_default();
        store.places.get_or_insert_default();
        store.now_ms = self.now_ms;
        store
    }

    fn places(&mut self, database: i64) -> &Places {
        self.store(database).places.get_or_insert_default()
    }

    fn tick(&mut self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.now_ms = now.as_millis() as i64;
    }
}

/// Starts a double on this listener; it stops when the handle is dropped.
pub fn start(listener: TcpListener, settings: Settings) -> io::Result<Running> {
    let state =
        State { stores: HashMap::new(), batches: HashMap::new(), kept: None, settings, now_ms: 0 };
    let codis = Codis {
        state: state.into(),
        beside: tokio::sync::Mutex::default(),
        era: Mutex::default(),
        port: listener.local_addr()?.port(),
    };
    wire::serve(Arc::new(codis), listener)
}
