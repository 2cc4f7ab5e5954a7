//! What a client may change of its session: password, database, transaction, watched keys.

use super::Session;
use super::transaction::Multi;
use crate::local::Mute;
use crate::worker::Worker;
use cluster::Slot;
use protocol::reply::Version;

/// Everything about a client that is not on a request's way.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) authenticated: bool,
    pub(crate) database: u32,
    /// Between MULTI and EXEC.
    pub(super) multi: Option<Box<Multi>>,
    pub(super) watched: Vec<Watched>,
    /// How many WATCH are on their way.
    pub(super) watching: usize,
}

/// A key whose change cancels the next transaction.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) key: Box<[u8]>,
    pub(super) slot: Slot,
    /// As the node gave it.
    pub(super) version: Box<[u8]>,
}

impl State {
    pub(crate) fn new(worker: &Worker) -> Self {
        Self { authenticated: !worker.shared.live.asks_password(), ..Self::default() }
    }
}

impl Session {
    /// SELECT. Nothing may be on its way.
    pub(crate) fn select(&self, database: u32) {
        self.state.borrow_mut().database = database;
        self.card.says.lock().database = database;
        self.choose_flavour();
    }

    /// A wrong password.
    pub(crate) fn log_out(&self) {
        self.state.borrow_mut().authenticated = false;
        self.set_special();
    }

    /// HELLO. Nothing may be on its way.
    pub(crate) fn speak(&self, version: Version) {
        self.version.set(version);
        self.card.says.lock().resp3 = version == Version::Resp3;
        self.choose_flavour();
    }

    fn choose_flavour(&self) {
        let database = self.state.borrow().database;
        self.flavour.set(self.worker.flavour_index(self.version.get(), database));
    }

    /// RESET. Nothing may be on its way.
    pub(crate) fn reset(&self) {
        *self.state.borrow_mut() = State::new(&self.worker);
        *self.card.says.lock() = crate::registry::Says::default();
        self.mute.set(Mute::No);
        self.speak(Version::Resp2);
    }
}
