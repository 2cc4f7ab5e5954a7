//! One worker: a thread with its own listener, sessions, connections to nodes and counters. Nothing on a request's way leaves the thread.

mod fill;
mod memory;
mod reads;

pub(crate) use fill::AtNode;

use crate::config::{Config, Nodes};
use crate::dashboard::Phase;
use crate::dialect::{Dialect, Dialects};
use crate::gate::{self, Gate};
use crate::health::Health;
use crate::metrics::{Gone, WorkerMetrics};
use crate::pool::Pool;
use crate::registry::Wish;
use crate::request::{Aim, FlavourIndex, Kept, Request, Slots};
use crate::routes::{NOBODY, NodeIndex, Routes, Way};
use crate::session::replies::Frame;
use crate::session::{Session, Slow};
use crate::shared::Shared;
use crate::source::TableSource;
use crate::turn::{self, Turn};
use crate::upstream::{Flavour, Key, Lost, Upstream};
use bytes::Bytes;
use cluster::{Slot, Table};
use codis::commands::texts::NOT_ONLINE;
use fill::Fills;
use protocol::reply::Version;
use protocol::slicer::Args;
use reads::Reads;
use service::failpoint;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// One read takes at most so much.
const SCRATCH_BYTES: usize = 64 * 1024;
/// How often connections are looked at for replies that do not come.
const WATCH_PERIOD: Duration = Duration::from_millis(200);

/// What one thread owns.
pub(crate) struct Worker {
    pub(crate) number: usize,
    pub(crate) config: Arc<Config>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<WorkerMetrics>,
    pub(crate) source: TableSource,
    pub(crate) stop: CancellationToken,
    pub(crate) routes: Routes,
    pub(crate) health: Health,
    pub(crate) dialects: Dialects,
    pub(crate) fills: Fills,
    pub(crate) reads: Reads,
    pub(crate) gate: RefCell<Gate>,
    pub(crate) turn: Turn,
    pub(crate) pool: Pool,
    /// What has been read and is not consumed yet; used by one socket at a time.
    pub(crate) scratch: RefCell<Box<[u8]>>,
    pub(crate) held_bytes_max: usize,
    unanswered_bytes_max: usize,
    unanswered_bytes: Cell<usize>,
    /// Sessions that are not read because of all sessions' bytes.
    starved: RefCell<Vec<Rc<Session>>>,
    /// The session that may read the rest of its request all the same.
    finishing: Cell<Option<u64>>,
    now: Cell<Instant>,
    table: RefCell<Arc<Table>>,
    flavours: RefCell<Vec<Flavour>>,
    /// By flavour, then by node and lane.
    upstreams: RefCell<Vec<Vec<Option<Rc<Upstream>>>>>,
    /// There is a connection to a node that nothing needs any more.
    is_unused_left: Cell<bool>,
    spares: RefCell<Vec<Vec<u8>>>,
    /// Where the arguments of the current request are.
    pub(crate) args: RefCell<Args>,
    sessions: RefCell<HashMap<u64, Rc<Session>>>,
}

impl Worker {
    pub(crate) fn new(
        number: usize,
        shared: Arc<Shared>,
        source: TableSource,
        stop: CancellationToken,
    ) -> Rc<Self> {
        let metrics = Arc::clone(&shared.metrics[number]);
        let config = Arc::clone(&shared.config);
        let routes = Routes::new(config.slot_count);
        let reads = Reads::new(config.slot_count);
        let table = source.tables.borrow().clone();
        let worker = Rc::new(Self {
            number,
            pool: Pool::default(),
            held_bytes_max: config.hold.bytes_max / config.workers,
            unanswered_bytes_max: config.limits.process_unanswered_bytes_max / config.workers,
            config,
            shared,
            metrics,
            stop,
            routes,
            health: Health::default(),
            dialects: Dialects::default(),
            fills: Fills::default(),
            reads,
            gate: RefCell::default(),
            turn: Turn::default(),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice()),
            unanswered_bytes: Cell::new(0),
            starved: RefCell::default(),
            finishing: Cell::new(None),
            now: Cell::new(Instant::now()),
            table: RefCell::new(Arc::clone(&table)),
            flavours: RefCell::new(vec![Flavour::default()]),
            upstreams: RefCell::default(),
            is_unused_left: Cell::new(false),
            spares: RefCell::default(),
            args: RefCell::default(),
            sessions: RefCell::default(),
            source,
        });
        worker.take_table(&table);
        worker
    }

    /// The time when this turn's current step began.
    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// Looks at the clock.
    pub(crate) fn tick(&self) {
        self.now.set(Instant::now());
    }

    /// Whether the node speaks our own words. What a codis-dashboard names may be anything; our controller knows.
    pub(crate) fn is_ours(&self, node: NodeIndex) -> bool {
        match &self.shared.router {
            Some(_) => self.dialects.of(node) == Dialect::Slipway,
            None => self.config.nodes == Nodes::Slipway,
        }
    }

    /// A node has told what it is.
    pub(crate) fn learn_dialect(&self, node: NodeIndex, dialect: Dialect) {
        self.dialects.learn(node, dialect);
        if let Some(router) = &self.shared.router {
            router.learn_dialect(&self.routes.addr(node), dialect);
        }
    }

    /// Whether clients take us for a codis-proxy.
    pub(crate) fn is_codis(&self) -> bool {
        self.config.codis.is_some()
    }

    /// Whether some nodes may not be ours, and have commands that ours have not.
    pub(crate) fn has_strangers(&self) -> bool {
        self.shared.router.is_some()
    }

    // --- requests

    /// Sends a request on its way: to a replica, to the owner of its slot, or to the gate.
    pub(crate) fn send(self: &Rc<Self>, request: Request, frame: Frame<'_>) {
        let slot = match &request.slots {
            Slots::One(slot) => *slot,
            Slots::Many(slots) => slots[0],
            Slots::None => return,
        };
        if request.aim == Aim::Read
            && let Some(replica) = self.replica_of(&request)
        {
            return self.read_at(&replica, request, frame);
        }
        let way = self.routes.way(slot);
        if way == Way::Offline {
            return self.fail_offline(&request.origin);
        }
        if let Way::Open(node) = way {
            let upstream = self.upstream(self.key(node, slot, request.flavour));
            if upstream.is_up() {
                for &slot in request.slots.as_slice() {
                    self.routes.enter(slot);
                }
                return upstream.send(self, request, frame);
            }
        }
        let frame = match frame {
            Frame::Short(bytes) => Bytes::copy_from_slice(bytes),
            Frame::Long(bytes) => bytes,
        };
        self.keep(slot, Kept { request, frame });
    }

    /// The connection for requests of this slot.
    pub(crate) fn key(&self, node: NodeIndex, slot: Slot, flavour: FlavourIndex) -> Key {
        Key { node, lane: slot.0 % self.config.upstream.connections, flavour }
    }

    /// The connection of this key; begins to connect if there is none.
    pub(crate) fn upstream(self: &Rc<Self>, key: Key) -> Rc<Upstream> {
        // The last is for what sources of passages are asked.
        let lanes = usize::from(self.config.upstream.connections) + 1;
        let index = usize::from(key.node.0) * lanes + usize::from(key.lane);
        let flavour = usize::from(key.flavour.0);
        let mut upstreams = self.upstreams.borrow_mut();
        if let Some(Some(known)) = upstreams.get(flavour).and_then(|of| of.get(index)) {
            return Rc::clone(known);
        }
        if upstreams.len() <= flavour {
            upstreams.resize_with(flavour + 1, Vec::new);
        }
        let of_flavour = &mut upstreams[flavour];
        if of_flavour.len() <= index {
            of_flavour.resize_with(index + 1, || None);
        }
        let upstream = Rc::new(Upstream::new(key, self.now()));
        of_flavour[index] = Some(Rc::clone(&upstream));
        spawn_local(Rc::clone(&upstream).run(Rc::clone(self)));
        upstream
    }

    /// Begins to connect to a node before anything is sent there.
    fn connect_all(self: &Rc<Self>, node: NodeIndex) {
        for lane in 0..self.config.upstream.connections {
            self.upstream(Key { node, lane, flavour: FlavourIndex(0) });
        }
    }

    /// Begins to connect to the new node of a slot.
    fn connect_ahead(self: &Rc<Self>, slot: Slot, node: NodeIndex) {
        if node != NOBODY {
            self.upstream(self.key(node, slot, FlavourIndex(0)));
        }
    }

    /// Ends connections to nodes that no slot is at any more, as filled or as believed, and where no slot is read. Where something is on its
    /// way it is tried again later.
    fn retire_unused(&self) {
        let used: HashSet<NodeIndex> = self
            .routes
            .count
            .slots()
            .flat_map(|slot| [self.routes.route(slot).node, self.fills.hint(slot)])
            .chain(self.sources())
            .chain(self.reads.nodes())
            .collect();
        let mut is_left = false;
        for upstreams in self.upstreams.borrow_mut().iter_mut() {
            for slot in upstreams.iter_mut() {
                let Some(unused) = slot.take_if(|u| !used.contains(&u.key.node)) else { continue };
                if unused.is_idle() {
                    unused.retire();
                } else {
                    is_left = true;
                    *slot = Some(unused);
                }
            }
        }
        self.is_unused_left.set(is_left);
    }

    /// The number of a flavour of connections.
    pub(crate) fn flavour_index(&self, version: Version, database: u32) -> FlavourIndex {
        let wanted = Flavour { version, database };
        let mut flavours = self.flavours.borrow_mut();
        let index = flavours.iter().position(|&f| f == wanted).unwrap_or_else(|| {
            flavours.push(wanted);
            flavours.len() - 1
        });
        FlavourIndex(index as u16)
    }

    pub(crate) fn flavour(&self, index: FlavourIndex) -> Flavour {
        self.flavours.borrow().get(usize::from(index.0)).copied().unwrap_or_default()
    }

    /// Keeps a request that took long.
    pub(crate) fn log_slow(&self, session: &Session, slow: Slow, frame: &[u8]) {
        self.metrics.slow.add(1);
        self.shared.slow_log.add(session, slow, frame);
    }

    // --- routes

    /// Asks for a newer table.
    pub(crate) fn refresh(&self) {
        self.metrics.refreshes.add(1);
        self.source.refresh.notify_one();
    }

    fn take_table(self: &Rc<Self>, table: &Arc<Table>) {
        // What is filled counts.
        if self.shared.router.is_some() {
            self.metrics.table_version.set(table.version);
            return;
        }
        let before = self.table.replace(Arc::clone(table));
        self.metrics.table_version.set(table.version);
        if table.slots.len() != usize::from(self.routes.count.get()) {
            tracing::error!(
                slots = table.slots.len(),
                ours = self.routes.count.get(),
                "table ignored: the number of slots differs"
            );
            return;
        }
        for (slot, news) in self.routes.moved_groups(&before, table) {
            self.take_route(slot, Some(self.routes.route(slot).node), news);
            self.settle(slot);
        }
        for (slot, news) in self.routes.newer_in(table) {
            self.take_route(slot, None, news);
            self.settle(slot);
        }
    }

    // --- sessions

    pub(crate) fn forget(&self, session: &Session, gone: Gone) {
        if self.sessions.borrow_mut().remove(&session.id).is_some() {
            self.metrics.clients.sub(1);
            self.metrics.gone[gone as usize].add(1);
            self.shared.registry.leave(session.id);
            self.shared.clients.leave();
        }
    }

    fn accept(self: &Rc<Self>, stream: TcpStream) {
        if self.shared.router.as_ref().is_some_and(|router| router.phase() != Phase::Online) {
            self.metrics.clients_refused.add(1);
            let _ = stream.try_write(format!("-{NOT_ONLINE}\r\n").as_bytes());
        } else if self.shared.clients.enter(self.shared.live.clients_max()) {
            self.metrics.clients_accepted.add(1);
            self.metrics.clients.add(1);
            let session = Session::new(self, stream);
            self.sessions.borrow_mut().insert(session.id, Rc::clone(&session));
            self.shared.registry.enter(Arc::clone(&session.card));
            spawn_local(session.run(Rc::clone(self)));
        } else {
            self.metrics.clients_refused.add(1);
            let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
        }
    }

    /// Looks for nodes that owe replies, and for clients that say nothing.
    async fn watch(self: Rc<Self>) {
        loop {
            sleep(WATCH_PERIOD).await;
            self.tick();
            let patience = self.config.upstream.reply_timeout;
            let upstreams: Vec<Rc<Upstream>> =
                self.upstreams.borrow().iter().flatten().flatten().cloned().collect();
            for upstream in
                upstreams.iter().filter(|u| u.is_up() && u.is_silent(self.now(), patience))
            {
                upstream.abandon(Lost::Silent(patience));
            }
            self.trim_pool();
            if self.is_unused_left.get() {
                self.retire_unused();
            }
            let idle_max = self.shared.live.client_idle_max();
            if !idle_max.is_zero() {
                for session in
                    self.sessions.borrow().values().filter(|s| s.is_idle(self.now(), idle_max))
                {
                    session.close(Gone::Idle);
                }
            }
        }
    }

    /// Ends connections and waits as CLIENT KILL and CLIENT UNBLOCK ask, from whatever worker.
    async fn answer_door(self: Rc<Self>) {
        loop {
            for (id, wish) in self.shared.registry.wishes(self.number).await {
                let sessions = self.sessions.borrow();
                match (sessions.get(&id), wish) {
                    (Some(session), Wish::Kill) => session.close(Gone::Killed),
                    (Some(session), Wish::Unblock(number, how)) => session.unblock(number, how),
                    (None, _) => {}
                }
            }
        }
    }

    async fn follow_tables(self: Rc<Self>) {
        let mut tables = self.source.tables.clone();
        while tables.changed().await.is_ok() {
            self.tick();
            let table = tables.borrow_and_update().clone();
            self.take_table(&table);
            failpoint::hit("proxy.table");
        }
    }

    /// Serves until told to stop, then until every client is answered or the grace is over.
    pub(crate) async fn run(self: Rc<Self>, listener: TcpListener) {
        spawn_local(turn::run(Rc::clone(&self)));
        spawn_local(gate::run_timer(Rc::clone(&self)));
        spawn_local(Rc::clone(&self).follow_tables());
        if let Some(orders) = self.shared.router.as_ref().and_then(|r| r.orders(self.number)) {
            spawn_local(Rc::clone(&self).follow_fills(orders));
        }
        spawn_local(Rc::clone(&self).watch());
        spawn_local(Rc::clone(&self).answer_door());
        for (node, _) in self.routes.owners() {
            self.connect_all(node);
        }
        self.await_routes().await;
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => { self.tick(); self.accept(stream) }
                    Err(e) => {
                        tracing::warn!(error = %e, "cannot accept a client; check the limit on open files");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                () = self.stop.cancelled() => break,
            }
        }
        drop(listener);
        Rc::clone(&self).drain().await;
        self.dissolve();
    }

    /// Before our controller's table is filled, clients wait to be accepted.
    async fn await_routes(&self) {
        let Some(router) = self.shared.router.as_ref().filter(|_| !self.is_codis()) else { return };
        let mut phases = router.phases();
        let is_filled = phases.wait_for(|phase| *phase != Phase::Waiting);
        let _ = self.stop.run_until_cancelled(is_filled).await;
    }

    /// Closes every socket and lets go of whatever refers to us.
    fn dissolve(&self) {
        for session in std::mem::take(&mut *self.sessions.borrow_mut()).into_values() {
            session.cut_off();
        }
        for upstream in
            std::mem::take(&mut *self.upstreams.borrow_mut()).into_iter().flatten().flatten()
        {
            upstream.cut_off();
        }
        self.gate.take();
    }

    async fn drain(self: Rc<Self>) {
        let end = Instant::now() + self.config.stop_grace;
        loop {
            let sessions: Vec<Rc<Session>> = self.sessions.borrow().values().cloned().collect();
            if sessions.is_empty() {
                return;
            }
            for session in &sessions {
                session.finish();
            }
            if Instant::now() >= end {
                tracing::warn!(clients = sessions.len(), "the grace is over; clients are cut off");
                return;
            }
            sleep(DRAIN_PERIOD).await;
        }
    }
}

/// After a failed accept, which usually means too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often a stopping worker looks whether its clients are gone.
const DRAIN_PERIOD: Duration = Duration::from_millis(5);
