//! A codis-dashboard by script: makes a dashboard's calls to proxies and nodes, in its order and with its limits of time, and dies where a test
//! wants it to.
//!
//! What it knows is in a [`Store`], as a dashboard's is in its coordinator: the next one goes on from there. Contents of fills are worked out by
//! [`codis::fill::wanted`]. Not here: coordinators, the console's pages, sentinels beyond the one call to proxies.

mod action;
mod call;
mod group;
mod poll;
mod serve;

pub use action::{DEATHS, Death, Moves};
pub use call::call;
pub use poll::{Poller, Red};
pub use serve::Server;

use codis::Flavour;
use codis::config::Config;
use codis::fill::{ProxyPlace, wanted};
use codis::identity::proxy_xauth;
use codis::model::{ForwardMethod, Model, Sentinels, Slot};
use codis::records::{GroupRecord, SlotRecord};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a dashboard waits for any call but the one for statistics.
const CALL_MAX: Duration = Duration::from_mins(1);

/// What a dashboard sleeps after a round that failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(6);

/// What a product is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    pub product: String,
    pub auth: String,
    pub slots: i64,
    pub line: Flavour,
    pub method: ForwardMethod,
    /// How many slots move at once; no group takes part in two of them.
    pub parallel: usize,
    /// After a round that failed.
    pub failure_pause: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let config = Config::defaults(Flavour::Upstream);
        Self {
            product: config.product_name,
            auth: String::new(),
            slots: 1024,
            line: Flavour::Upstream,
            method: ForwardMethod::SemiAsync,
            parallel: 100,
            failure_pause: FAILURE_PAUSE,
        }
    }
}

/// All that is kept: what a coordinator has.
#[derive(Clone, Debug, Default)]
pub struct Records {
    pub slots: BTreeMap<i64, SlotRecord>,
    pub groups: BTreeMap<i64, GroupRecord>,
    /// By token.
    pub proxies: BTreeMap<String, Model>,
}

impl Records {
    /// A slot; a missing record is an offline one.
    pub fn slot(&self, id: i64) -> SlotRecord {
        self.slots.get(&id).copied().unwrap_or(SlotRecord { id, ..SlotRecord::default() })
    }
}

/// Outlives the dashboards that use it.
#[derive(Clone, Debug, Default)]
pub struct Store(Arc<Mutex<Records>>);

impl Store {
    pub fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One dashboard, from its start to its death.
#[derive(Debug)]
pub struct Dashboard {
    pub settings: Settings,
    pub store: Store,
    /// Microseconds between two calls to a node for one slot.
    interval: Mutex<u64>,
    death: Mutex<Option<Death>>,
}

impl Dashboard {
    /// Starts with what the store has.
    pub fn open(store: &Store, settings: Settings) -> Self {
        Self { settings, store: store.clone(), interval: Mutex::new(0), death: Mutex::new(None) }
    }

    /// create-proxy: the address is where an operator says its admin API is.
    pub fn create_proxy(&self, addr: &str) -> Result<Model, String> {
        self.register(addr, Known::Refused)
    }

    /// online-proxy: what a proxy calls for at its start; a known token keeps its number.
    pub fn online_proxy(&self, addr: &str) -> Result<Model, String> {
        self.register(addr, Known::Kept)
    }

    fn register(&self, addr: &str, known: Known) -> Result<Model, String> {
        let model = call(addr, "GET", "/api/proxy/model", b"", CALL_MAX)?;
        let mut model: Model = serde_json::from_value(model).map_err(|e| e.to_string())?;
        self.ask(&model, "GET", "xping", "", b"")?;
        {
            let mut records = self.store.records();
            let old = records.proxies.get(&model.token).map(|old| old.id);
            let next = records.proxies.values().map(|proxy| proxy.id).max().unwrap_or_default() + 1;
            model.id = match (old, known) {
                (Some(_), Known::Refused) => {
                    return Err(format!("proxy-[{}] already exists", model.token));
                }
                (old, _) => old.unwrap_or(next),
            };
            records.proxies.insert(model.token.clone(), model.clone());
        }
        self.reinit(&model)?;
        Ok(model)
    }

    /// reinit-proxy, the SYNC of the console.
    pub fn reinit_proxy(&self, token: &str) -> Result<(), String> {
        self.reinit(&self.proxy(token)?)
    }

    fn reinit(&self, model: &Model) -> Result<(), String> {
        let records = self.store.records().clone();
        let all: Vec<i64> = (0..self.settings.slots).collect();
        self.fill_one(&records, model, &all)?;
        self.ask(model, "PUT", "start", "", b"")?;
        if self.settings.line == Flavour::Upstream {
            self.put_sentinels(model, &Sentinels::default())?;
        }
        Ok(())
    }

    /// Tells a proxy which sentinels to ask.
    pub fn put_sentinels(&self, model: &Model, sentinels: &Sentinels) -> Result<(), String> {
        let body = serde_json::to_vec(sentinels).unwrap();
        self.ask(model, "PUT", "sentinels", "", &body).map(|_| ())
    }

    /// remove-proxy: shut down, and forgotten if that was answered.
    pub fn remove_proxy(&self, token: &str) -> Result<(), String> {
        self.ask(&self.proxy(token)?, "PUT", "shutdown", "", b"")?;
        self.store.records().proxies.remove(token);
        Ok(())
    }

    /// remove-proxy with force: forgotten, whatever it answers.
    pub fn force_remove_proxy(&self, token: &str) -> Result<(), String> {
        let model = self.proxy(token)?;
        let _ = self.ask(&model, "PUT", "shutdown", "", b"");
        self.store.records().proxies.remove(token);
        Ok(())
    }

    fn proxy(&self, token: &str) -> Result<Model, String> {
        let found = self.store.records().proxies.get(token).cloned();
        found.ok_or_else(|| format!("proxy-[{token}] doesn't exist"))
    }

    /// One of the calls that need a proxy's xauth.
    pub fn ask(
        &self,
        model: &Model,
        method: &str,
        what: &str,
        rest: &str,
        body: &[u8],
    ) -> Result<Json, String> {
        let Settings { product, auth, .. } = &self.settings;
        let xauth = proxy_xauth(product, auth, &model.token);
        call(&model.admin_addr, method, &format!("/api/proxy/{what}/{xauth}{rest}"), body, CALL_MAX)
    }

    /// Fills these slots at all registered proxies, at once, with what the records say; one that fails is enough.
    pub fn fill(&self, records: &Records, slots: &[i64]) -> Result<(), String> {
        let fill = |model| self.fill_one(records, model, slots);
        std::thread::scope(|scope| {
            let calls: Vec<_> =
                records.proxies.values().map(|model| scope.spawn(move || fill(model))).collect();
            calls.into_iter().try_for_each(|call| call.join().unwrap())
        })
    }

    /// Fills these slots at one proxy.
    pub fn fill_one(&self, records: &Records, model: &Model, slots: &[i64]) -> Result<(), String> {
        let slots: Vec<Slot> = slots.iter().map(|&id| self.content(records, model, id)).collect();
        self.fill_slots(model, &slots)
    }

    /// Fills whatever it is told.
    pub fn fill_slots(&self, model: &Model, slots: &[Slot]) -> Result<(), String> {
        let body = codis::json::pretty(slots);
        self.ask(model, "PUT", "fillslots", "", body.as_bytes()).map(|_| ())
    }

    /// What a proxy should have for a slot.
    pub fn content(&self, records: &Records, model: &Model, id: i64) -> Slot {
        let place = ProxyPlace {
            datacenter: &model.datacenter,
            ip: ip_of(&model.admin_addr),
            line: self.settings.line,
        };
        let slot = wanted(&records.slot(id), &records.groups, place, ip_of);
        Slot { forward_method: self.settings.method, ..slot }
    }

    /// What a proxy has.
    pub fn slots_of(&self, model: &Model) -> Result<Vec<Slot>, String> {
        let slots = self.ask(model, "GET", "slots", "", b"")?;
        serde_json::from_value(slots).map_err(|e| e.to_string())
    }
}

/// What a registration does with a token that is in the records.
#[derive(Clone, Copy)]
enum Known {
    Refused,
    Kept,
}

fn ip_of(addr: &str) -> Option<IpAddr> {
    addr.parse::<SocketAddr>().ok().map(|addr| addr.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use codis::records::SlotState;
    use serde_json::json;

    /// Two groups of one server; the first has all slots. No proxies.
    fn product() -> Dashboard {
        let dashboard = Dashboard::open(&Store::default(), Settings::default());
        dashboard.put_group(1, &["10.0.0.11:6379"]);
        dashboard.put_group(2, &["10.0.0.12:6379"]);
        dashboard.assign(0..=1023, 1).unwrap();
        dashboard
    }

    #[test]
    fn fills_are_written_as_dashboards_write_them() {
        let dashboard = product();
        dashboard.create_action(579, 2).unwrap();
        let mut records = dashboard.store.records().clone();
        let mut fill = |state| {
            records.slots.get_mut(&579).unwrap().action.state = state;
            serde_json::to_value(dashboard.content(&records, &Model::default(), 579)).unwrap()
        };
        let (one, two) = ("10.0.0.11:6379", "10.0.0.12:6379");
        let settled = |addr: &str, group: i64| json!({"id": 579, "backend_addr": addr, "backend_addr_group_id": group, "forward_method": 1});
        let mut moving = settled(two, 2);
        moving["migrate_from"] = one.into();
        moving["migrate_from_group_id"] = 1.into();
        assert_eq!(fill(SlotState::Pending), settled(one, 1));
        assert_eq!(fill(SlotState::Preparing), settled(one, 1));
        assert_eq!(fill(SlotState::Migrating), moving);
        moving["locked"] = true.into();
        assert_eq!(fill(SlotState::Prepared), moving);
        assert_eq!(fill(SlotState::Finished), settled(two, 2));
    }

    #[test]
    fn a_step_is_stored_when_its_fill_is_out_and_not_before() {
        let dashboard = product();
        dashboard.create_action(5, 2).unwrap();
        dashboard.die_at(Death::Filled(SlotState::Prepared));
        assert_eq!(dashboard.advance(5), Ok(SlotState::Preparing));
        dashboard.advance(5).unwrap_err();
        assert_eq!(dashboard.store.records().slot(5).action.state, SlotState::Preparing);
        let next = Dashboard::open(&dashboard.store, Settings::default());
        assert_eq!(next.advance(5), Ok(SlotState::Prepared));
        assert_eq!(next.advance(5), Ok(SlotState::Migrating));
    }

    #[test]
    fn a_proxy_that_is_dead_stops_a_move_at_preparing() {
        let dashboard = product();
        let gone = Model {
            token: "t".to_owned(),
            admin_addr: "127.0.0.1:1".to_owned(),
            ..Model::default()
        };
        dashboard.store.records().proxies.insert("t".to_owned(), gone);
        dashboard.create_action(5, 2).unwrap();
        dashboard.finish(5).unwrap_err();
        assert_eq!(dashboard.store.records().slot(5).action.state, SlotState::Preparing);
    }

    #[test]
    fn the_api_tells_the_product_as_our_tools_read_it() {
        let dashboard = Arc::new(product());
        dashboard.create_action(5, 2).unwrap();
        let server = Server::start(&dashboard);
        let answer = call(&server.addr, "GET", "/topom", b"", CALL_MAX).unwrap();
        let topom = codis::records::Topom::read(answer.to_string().as_bytes()).unwrap();
        assert_eq!(topom.stats.slots[5].action.state, SlotState::Pending);
        assert_eq!(topom.stats.group.models[1].servers[0].server, "10.0.0.12:6379");
        assert_eq!(topom.config.migration_method, "semi-async");
    }

    #[test]
    fn half_of_the_slots_are_rebalanced() {
        let plan = product().rebalance_plan();
        assert_eq!((plan.len(), plan.values().all(|&group| group == 2)), (512, true));
    }
}
