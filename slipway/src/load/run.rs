//! One run: what its clients share, and its stages, one after the other: first values, load, final reads, cleaning up.

use super::args::Plan;
use super::client::{Client, Stage};
use super::pace::{Clock, cpu_us, pace};
use super::report::{Report, Spent};
use super::schedule::Schedule;
use super::tally::{Class, INCIDENTS_MAX, Incident, Tally};
use std::cell::{Cell, OnceCell, RefCell};
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Time for the stages beside the load: this, and so much more for each key, in microseconds.
const STAGE_US: u64 = 30_000_000;
const STAGE_KEY_US: u64 = 3000;

/// What the clients of a run share. They run on one thread.
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    pub(crate) clock: Clock,
    pub(crate) tally: RefCell<Tally>,
    /// Whether the run is to end early.
    pub(crate) stopped: Cell<bool>,
    /// Wakes each client.
    pub(crate) wakes: Vec<Notify>,
    schedule: OnceCell<Rc<Schedule>>,
    keys: Cell<u64>,
    spent: Cell<Spent>,
}

impl Shared {
    fn new(plan: Plan) -> anyhow::Result<Self> {
        Ok(Self {
            clock: Clock::new(),
            tally: RefCell::new(Tally::new()?),
            stopped: Cell::new(false),
            wakes: (0..plan.volume.clients).map(|_| Notify::new()).collect(),
            schedule: OnceCell::new(),
            keys: Cell::new(0),
            spent: Cell::new(Spent::default()),
            plan,
        })
    }

    /// Seconds since the first intended request; 0 while there is none yet.
    pub(crate) fn seconds(&self, at: u64) -> f64 {
        let start =
            self.schedule.get().map_or_else(|| self.clock.now(), |schedule| schedule.start());
        (at as f64 - start as f64) / 1e6
    }

    /// Counts something that went wrong; prints it if it is one of the first.
    pub(crate) fn incident(&self, class: Class, client: usize, fill: impl FnOnce(&mut Incident)) {
        self.incidents(1, class, client, fill);
    }

    /// The same for something that went wrong several times.
    pub(crate) fn incidents(
        &self,
        times: u64,
        class: Class,
        client: usize,
        fill: impl FnOnce(&mut Incident),
    ) {
        self.tally.borrow_mut().count(class, times);
        self.show(class, client, fill);
    }

    /// Counts an error reply; prints it if it is one of the first incidents.
    pub(crate) fn error(&self, line: &str, client: usize, fill: impl FnOnce(&mut Incident)) {
        self.tally.borrow_mut().count_error(line);
        self.show(Class::Error, client, fill);
    }

    fn show(&self, class: Class, client: usize, fill: impl FnOnce(&mut Incident)) {
        if self.tally.borrow().incidents.len() >= INCIDENTS_MAX {
            return;
        }
        let now = self.clock.now();
        let mut incident = Incident {
            class,
            at_s: self.seconds(now),
            unix_ms: self.clock.unix_ms(now),
            client,
            key: String::new(),
            slot: 0,
            command: String::new(),
            expected: String::new(),
            got: String::new(),
            detail: String::new(),
        };
        fill(&mut incident);
        self.print(&incident.to_string());
        self.tally.borrow_mut().incidents.push(incident);
    }

    /// Says something while the run goes on: beside the result, and not if that is not wanted.
    pub(crate) fn print(&self, line: &str) {
        if !self.plan.quiet {
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        }
    }

    fn stop(&self) {
        self.stopped.set(true);
        if let Some(schedule) = self.schedule.get() {
            schedule.end_early(self.clock.now());
        }
        self.wakes.iter().for_each(Notify::notify_one);
    }

    fn stage_end(&self) -> u64 {
        self.clock.now() + STAGE_US + STAGE_KEY_US * self.keys.get()
    }
}

/// Runs a plan. A first signal ends the load early and checks the keys as ever; a second one ends everything.
pub(crate) async fn execute(plan: Plan) -> anyhow::Result<Report> {
    let shared = Rc::new(Shared::new(plan)?);
    let clients = connect(&shared).await?;
    shared.keys.set(clients.iter().map(Client::keys).sum());
    tokio::select! {
        () = stages(&shared, clients) => {}
        stopped = stop_by_signal(&shared) => stopped?,
    }
    let tally = shared.tally.borrow();
    let planned = shared.schedule.get().map_or(0, |schedule| schedule.requests());
    Ok(Report::new(&shared.plan, &tally, shared.spent.get(), planned, shared.stopped.get()))
}

async fn connect(shared: &Rc<Shared>) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::new();
    for number in 0..shared.wakes.len() {
        clients.push(Client::new(number, Rc::clone(shared)).await?);
    }
    Ok(clients)
}

async fn stages(shared: &Rc<Shared>, clients: Vec<Client>) {
    let mut clients = all(clients, Stage::Setup(shared.stage_end())).await;
    if !shared.stopped.get() {
        clients = load(shared, clients).await;
    }
    if shared.plan.verify_end {
        clients = all(clients, Stage::Verify(shared.stage_end())).await;
    }
    if shared.plan.cleanup {
        all(clients, Stage::Cleanup(shared.stage_end())).await;
    }
    let unread = shared.keys.get() - shared.tally.borrow().read_back;
    if shared.plan.verify_end && unread > 0 {
        shared.incidents(unread, Class::Unverified, 0, |incident| {
            incident.expected = "the final state of every key".into();
            incident.got = format!("no reply for {unread} keys");
        });
    }
}

/// The stage that is measured.
async fn load(shared: &Rc<Shared>, clients: Vec<Client>) -> Vec<Client> {
    let schedule =
        Rc::new(Schedule::new(shared.clock.now() + shared.plan.pause_us, shared.plan.volume));
    let _ = shared.schedule.set(Rc::clone(&schedule));
    let cpu = cpu_us();
    let begin = shared.clock.now();
    let beside = async {
        let (paced, ()) = tokio::join!(
            pace(&schedule, shared.clock, &shared.wakes),
            tell_seconds(shared, &schedule)
        );
        if let Err(error) = paced {
            shared.print(&format!("the timer failed, the load will come in bursts: {error}"));
        }
        std::future::pending().await
    };
    let clients = tokio::select! {
        clients = all(clients, Stage::Load(Rc::clone(&schedule))) => clients,
        clients = beside => clients,
    };
    let now = shared.clock.now();
    let second = (now.saturating_sub(schedule.start())) / 1_000_000;
    tell_second(shared, second);
    shared.spent.set(Spent {
        cpu_us: cpu_us() - cpu,
        wall_us: now - begin,
        start: schedule.start(),
    });
    clients
}

async fn all(clients: Vec<Client>, stage: Stage) -> Vec<Client> {
    let mut tasks = JoinSet::new();
    for mut client in clients {
        let stage = stage.clone();
        tasks.spawn_local(async move {
            client.perform(&stage).await;
            client
        });
    }
    tasks.join_all().await
}

/// Ends each second of the run, until it is dropped.
async fn tell_seconds(shared: &Shared, schedule: &Schedule) {
    for second in 0.. {
        let end = schedule.start() + (second + 1) * 1_000_000;
        tokio::time::sleep(Duration::from_micros(end.saturating_sub(shared.clock.now()))).await;
        tell_second(shared, second);
    }
}

fn tell_second(shared: &Shared, at_s: u64) {
    let second = shared.tally.borrow_mut().roll(at_s);
    if shared.plan.timeline {
        shared.print(&second.to_string());
    }
}

/// Returns at the second signal; the first one ends the load.
async fn stop_by_signal(shared: &Shared) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    for first in [true, false] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if first {
            shared.stop();
            shared.print(
                "ending early: waiting for replies and checking all keys; once more to end at once",
            );
        }
    }
    Ok(())
}
