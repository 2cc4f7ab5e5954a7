//! Redis' sentinels: a proxy that knows some follows the failovers they decide, without waiting for a dashboard.
//!
//! A watcher subscribes to `+switch-master` at all of them. When a majority is subscribed, and whenever a failover of a group of ours is told, all
//! are asked for their masters; per group the highest `config-epoch` wins. A group whose address differs from what slots are filled with, and is
//! not the same server by another name, is handed to the router.
//!
//! What it does not do: change the dashboard's records, or choose a primary.

mod ask;
mod masters;

use super::Router;
use ask::{SILENCE_TIME, masters_of, run_id, subscribe};
use codis::model::{self, SentinelStats, Slot};
use masters::{Master, elected, majority};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Sentinels that are watched; what is named beyond them is passed over.
pub const SENTINELS_MAX: usize = 64;
/// A subscription is renewed after it.
const CYCLE_TIME: Duration = Duration::from_secs(15 * 60);
/// From one beginning to the next where the majority is lost.
const CYCLE_TIME_MIN: Duration = Duration::from_secs(10);
/// A refresh: so many tries, so far apart, until so many were good.
const TRIES: usize = 10;
const TRY_PAUSE: Duration = Duration::from_secs(5);
const SUCCESSES: usize = 2;
/// For what all sentinels say of their masters.
const MASTERS_TIME: Duration = Duration::from_secs(5);
/// For a server's name of itself.
const RUN_ID_TIME: Duration = Duration::from_millis(100);

/// The sentinels of a proxy, as the dashboard set them, and what they say.
#[derive(Debug, Default)]
pub struct Sentinels {
    wanted: watch::Sender<model::Sentinels>,
    /// Of the last refresh; empty where nothing is watched.
    masters: watch::Sender<BTreeMap<i64, String>>,
}

impl Sentinels {
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the list; an empty one ends the watching.
    pub fn set(&self, servers: Vec<String>, out_of_sync: bool) {
        self.wanted.send_replace(model::Sentinels { servers, out_of_sync });
    }

    /// Watches the same list anew.
    pub fn rewatch(&self) {
        self.wanted.send_modify(|_| {});
    }

    /// The list, for who sets it by itself: each sending is a [`Sentinels::set`].
    pub fn list(&self) -> watch::Sender<model::Sentinels> {
        self.wanted.clone()
    }

    /// For the statistics, but for `switched`, which the router knows.
    pub fn stats(&self) -> SentinelStats {
        let text = |(group, address): (&i64, &String)| (group.to_string(), address.clone());
        SentinelStats {
            servers: self.wanted.borrow().servers.clone(),
            masters: self.masters.borrow().iter().map(text).collect(),
            switched: false,
        }
    }

    /// Watches until `stop`.
    pub async fn run(&self, product: &str, router: Arc<Router>, stop: CancellationToken) {
        let mut wanted = self.wanted.subscribe();
        wanted.mark_changed();
        let switches = TaskTracker::new();
        loop {
            if stop.run_until_cancelled(wanted.changed()).await.is_none_or(|said| said.is_err()) {
                break;
            }
            let servers = listed(&wanted.borrow_and_update().servers);
            self.masters.send_replace(BTreeMap::new());
            let mut next = wanted.clone();
            let watcher = Watcher { product, servers, router: &router, switches: &switches };
            tokio::select! {
                () = stop.cancelled() => break,
                _ = next.changed() => {}
                () = watcher.run(&self.masters) => {}
            }
        }
        switches.close();
        switches.wait().await;
    }
}

/// Each once, and not too many.
fn listed(servers: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut listed: Vec<String> = servers.iter().filter(|one| seen.insert(*one)).cloned().collect();
    if listed.len() > SENTINELS_MAX {
        tracing::warn!(named = listed.len(), SENTINELS_MAX, "not all sentinels are watched");
        listed.truncate(SENTINELS_MAX);
    }
    listed
}

/// Watches one list. Its tasks end when it is dropped, but for a switch that has begun.
struct Watcher<'a> {
    product: &'a str,
    servers: Vec<String>,
    router: &'a Arc<Router>,
    switches: &'a TaskTracker,
}

impl Watcher<'_> {
    async fn run(&self, masters: &watch::Sender<BTreeMap<i64, String>>) {
        if self.servers.is_empty() {
            return;
        }
        let refresh = Notify::new();
        let follow = async {
            loop {
                refresh.notified().await;
                self.refresh(masters).await;
            }
        };
        tokio::select! {
            () = self.subscribe(&refresh) => {}
            () = follow => {}
        }
    }

    /// Subscribes again and again, and says when to refresh.
    async fn subscribe(&self, refresh: &Notify) {
        loop {
            let begin = Instant::now();
            match timeout(CYCLE_TIME, self.cycle(refresh)).await {
                Ok(Ok(())) => refresh.notify_one(),
                Ok(Err(alive)) => {
                    let all = self.servers.len();
                    tracing::warn!(alive, all, "sentinels: the majority is lost");
                    sleep_until(begin + CYCLE_TIME_MIN).await;
                }
                Err(_) => {}
            }
        }
    }

    /// Until one tells of a failover, or too few are left.
    async fn cycle(&self, refresh: &Notify) -> Result<(), usize> {
        let (subscribed, mut count) = mpsc::channel(SENTINELS_MAX);
        let mut tasks = JoinSet::new();
        for server in &self.servers {
            let (server, product) = (server.clone(), self.product.to_owned());
            let subscribed = subscribed.clone();
            tasks.spawn(async move {
                let told = subscribe(&server, &product, subscribed, SILENCE_TIME).await;
                if let Err(why) = &told {
                    tracing::warn!(sentinel = server, why, "sentinels: the subscription failed");
                }
                told.is_ok()
            });
        }
        drop(subscribed);
        let (mut here, mut alive) = (0, self.servers.len());
        loop {
            if alive < majority(self.servers.len()) {
                return Err(alive);
            }
            tokio::select! {
                Some(()) = count.recv() => {
                    here += 1;
                    if here == majority(self.servers.len()) {
                        refresh.notify_one();
                    }
                }
                Some(ended) = tasks.join_next() => match ended {
                    Ok(true) => return Ok(()),
                    _ => alive -= 1,
                },
            }
        }
    }

    /// More than once, since not all sentinels learn at the same moment.
    async fn refresh(&self, known: &watch::Sender<BTreeMap<i64, String>>) {
        let mut good = 0;
        for _ in 0..TRIES {
            match self.masters().await {
                Ok(masters) => {
                    known.send_replace(masters.clone());
                    match self.apply(masters).await {
                        Ok(()) => good += 1,
                        Err(why) => tracing::warn!(why, "sentinels: slots cannot be switched"),
                    }
                }
                Err(why) => tracing::warn!(why, "sentinels: the masters are not known"),
            }
            if good == SUCCESSES {
                return;
            }
            sleep(TRY_PAUSE).await;
        }
    }

    /// By group, what the majority agrees on.
    async fn masters(&self) -> Result<BTreeMap<i64, String>, String> {
        let mut tasks = JoinSet::new();
        for server in &self.servers {
            let (server, product) = (server.clone(), self.product.to_owned());
            tasks.spawn(async move {
                let asked = timeout(MASTERS_TIME, masters_of(&server, &product)).await;
                let asked = asked.unwrap_or_else(|_| Err("no answer in time".to_owned()));
                asked.map_err(|why| format!("{server}: {why}"))
            });
        }
        let (mut said, mut last): (Vec<Vec<Master>>, _) = (Vec::new(), String::new());
        while let Some(ended) = tasks.join_next().await {
            match ended.map_err(|error| error.to_string()).flatten() {
                Ok(masters) => said.push(masters),
                Err(why) => last = why,
            }
        }
        if said.len() < majority(self.servers.len()) {
            return Err(format!("{} of {} answered; {last}", said.len(), self.servers.len()));
        }
        Ok(elected(said.into_iter().flatten()))
    }

    /// Hands what is news to the router.
    async fn apply(&self, masters: BTreeMap<i64, String>) -> Result<(), String> {
        let slots = self.router.slots();
        let mut names = HashMap::new();
        let mut news = BTreeMap::new();
        for (group, address) in masters {
            for filled in filled(&slots, group).into_iter().filter(|filled| *filled != address) {
                if !is_same(filled, &address, &mut names).await {
                    tracing::warn!(group, from = filled, to = address, "sentinels: switch");
                    news.insert(group, address.clone());
                    break;
                }
            }
        }
        if news.is_empty() {
            return Ok(());
        }
        let router = Arc::clone(self.router);
        let switch = async move { router.switch_primaries(&news).await };
        self.switches.spawn(switch).await.map_err(|error| error.to_string()).flatten()
    }
}

/// The addresses that slots have for a group.
fn filled(slots: &[Slot], group: i64) -> BTreeSet<&str> {
    let both = slots.iter().flat_map(|slot| {
        [
            (slot.backend_addr_group_id, slot.backend_addr.as_str()),
            (slot.migrate_from_group_id, slot.migrate_from.as_str()),
        ]
    });
    both.filter(|(of, address)| *of == group && !address.is_empty()).map(|(_, a)| a).collect()
}

/// Whether two addresses lead to one server, as far as both say in time. Each is asked once a refresh.
async fn is_same(one: &str, other: &str, names: &mut HashMap<String, Option<String>>) -> bool {
    for address in [one, other] {
        if !names.contains_key(address) {
            let name = timeout(RUN_ID_TIME, run_id(address)).await.ok().flatten();
            names.insert(address.to_owned(), name);
        }
    }
    let name = |address| names.get(address).and_then(Option::as_ref);
    name(one).is_some() && name(one) == name(other)
}
