//! What is wrong with a product, each with what to do about it.

use super::look::{Overview, Product};
use super::server::{Kind, Server};
use cluster::SlotRanges;
use codis::Flavour;
use codis::fill::{ProxyPlace, wanted};
use codis::model::Model;
use codis::records::{GroupRecord, PromotionState, SlotState};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Of whom: `dashboard`, `proxy ADDR`, `group N`, `server ADDR` or `slots`.
    pub(crate) of: String,
    pub(crate) what: String,
    pub(crate) remedy: String,
}

/// All that is wrong, the worst first: who is dead, then who disagrees, then what is unfinished.
pub(crate) fn findings(product: &Product) -> Vec<Finding> {
    let mut found = Found { product, list: Vec::new() };
    found.dashboard();
    for model in &product.topom.stats.proxy.models {
        match product.proxies.get(&model.token) {
            Some(Ok(overview)) => found.proxy(model, overview),
            Some(Err(why)) => found.dead_proxy(model, why),
            None => {}
        }
    }
    found.mixed_proxies();
    for group in &product.topom.stats.group.models {
        found.group(group);
    }
    found.slots();
    found.list
}

struct Found<'a> {
    product: &'a Product,
    list: Vec<Finding>,
}

impl Found<'_> {
    fn add(&mut self, of: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) {
        self.list.push(Finding { of: of.into(), what: what.into(), remedy: remedy.into() });
    }

    /// `codis-admin --dashboard=… REST`.
    fn admin(&self, rest: &str) -> String {
        format!("codis-admin --dashboard={} {rest}", self.product.dashboard)
    }

    fn dashboard(&mut self) {
        if self.product.topom.stats.closed {
            self.add("dashboard", "the dashboard is shutting down", "start it again");
        }
    }

    fn dead_proxy(&mut self, model: &Model, why: &str) {
        let (addr, token) = (&model.admin_addr, &model.token);
        let forget = self.admin(&format!("--remove-proxy --token={token} --force"));
        self.add(
            format!("proxy {addr}"),
            format!("proxy {addr} is registered and does not answer ({why}): every move, promotion and assignment fails"),
            format!("start it again, or forget it: {forget}"),
        );
    }

    fn proxy(&mut self, model: &Model, overview: &Overview) {
        let of = format!("proxy {}", model.admin_addr);
        if !overview.stats.online {
            let sync = self.admin(&format!("--reinit-proxy --token={}", model.token));
            self.add(&of, format!("{of} is not online: its clients get errors"), sync);
            return;
        }
        let polled = self.product.topom.stats.proxy.stats.get(&model.token);
        if let Some(why) = polled.and_then(codis::records::Polled::fault) {
            self.add(
                &of,
                format!("{of} answers us and not the dashboard ({why}): codis-ha would remove it"),
                format!(
                    "see that {} can be reached from the dashboard's machine",
                    model.admin_addr
                ),
            );
        }
        self.proxy_slots(model, overview, &of);
    }

    /// How many slots it has, and what is in them.
    fn proxy_slots(&mut self, model: &Model, overview: &Overview, of: &str) {
        let want = self.product.topom.slots();
        let told = match overview.config.max_slot_num {
            0 => 1024,
            told => told,
        };
        if told != want {
            self.add(
                of,
                format!("{of} has {told} slots and the dashboard {want}: keys are looked for where they are not"),
                format!("set max_slot_num = {want} in its proxy.toml and restart it"),
            );
            return;
        }
        let (locked, different) = self.disagreeing(model, overview);
        let sync = self.admin(&format!("--reinit-proxy --token={}", model.token));
        if !locked.is_empty() {
            self.add(
                of,
                format!("{of} holds the requests of slots {} and nothing asks for it: a move or a promotion broke off", ranges(locked)),
                &sync,
            );
        }
        if !different.is_empty() {
            self.add(
                of,
                format!("{of} routes slots {} otherwise than the dashboard's records say: it missed fills", ranges(different)),
                sync,
            );
        }
    }

    /// Slots that are locked for nothing, and slots with another content, of those no move is on. Replicas are not compared: after a move a
    /// dashboard itself leaves them out.
    fn disagreeing(&self, model: &Model, overview: &Overview) -> (Vec<i64>, Vec<i64>) {
        let stats = &self.product.topom.stats;
        let groups: BTreeMap<i64, GroupRecord> =
            stats.group.models.iter().map(|group| (group.id, group.clone())).collect();
        let place = ProxyPlace { datacenter: &model.datacenter, ip: None, line: Flavour::Upstream };
        let (mut locked, mut different) = (Vec::new(), Vec::new());
        for record in &stats.slots {
            let at = usize::try_from(record.id).ok().and_then(|id| overview.slots.get(id));
            let Some(has) = at else { continue };
            let mut want = wanted(record, &groups, place, |_| None::<IpAddr>);
            want.replica_groups.clone_from(&has.replica_groups);
            // Between two fills of a move both contents are right.
            let is_settled = matches!(record.action.state, SlotState::None | SlotState::Pending);
            if has.locked && !want.locked && is_settled {
                locked.push(record.id);
            } else if is_settled && !has.leads_like(&want) {
                different.push(record.id);
            }
        }
        (locked, different)
    }

    /// A codis-proxy beside one of ours.
    fn mixed_proxies(&mut self) {
        let answering: Vec<(&Model, &Overview)> = self
            .product
            .topom
            .stats
            .proxy
            .models
            .iter()
            .filter_map(|model| {
                Some((model, self.product.proxies.get(&model.token)?.as_ref().ok()?))
            })
            .collect();
        let theirs: Vec<_> = answering.iter().filter(|(_, overview)| !overview.is_ours()).collect();
        if theirs.is_empty() || theirs.len() == answering.len() {
            return;
        }
        let list: Vec<String> = theirs
            .iter()
            .map(|(model, overview)| {
                format!("{} ({}, {})", model.admin_addr, overview.version, overview.compile)
            })
            .collect();
        let remedy = if self
            .product
            .servers
            .values()
            .flatten()
            .all(|server| server.kind == Kind::Ours)
        {
            "our nodes serve both; swap them when it suits you"
        } else {
            "swap them before slots move: what a codis-proxy does to a slot that moves is not ours to mend"
        };
        self.add("proxies", format!("codis-proxies run beside ours: {}", list.join(", ")), remedy);
    }

    fn group(&mut self, group: &GroupRecord) {
        let of = format!("group {}", group.id);
        if group.servers.is_empty() {
            let remove = self.admin(&format!("--remove-group --gid={}", group.id));
            self.add(&of, format!("{of} has no server"), format!("add one, or {remove}"));
        }
        if group.promoting.state != PromotionState::None {
            let again = group.servers.get(usize::try_from(group.promoting.index).unwrap_or(0));
            let addr = again.map(|server| server.server.as_str()).unwrap_or_default();
            let promote = self.admin(&format!("--promote-server --gid={} --addr={addr}", group.id));
            self.add(
                &of,
                format!(
                    "a promotion of {of} broke off: no slot of it moves, and requests may be held"
                ),
                promote,
            );
        }
        if group.out_of_sync {
            let resync = self.admin(&format!("--resync-group --gid={}", group.id));
            self.add(
                &of,
                format!("{of} is out of sync: proxies may route to its former primary"),
                resync,
            );
        }
        for server in &group.servers {
            match self.product.servers.get(&server.server) {
                Some(Ok(found)) => self.server(&server.server, found),
                Some(Err(why)) => {
                    let of = format!("server {}", server.server);
                    let remedy = "start it, or give the password with --auth if it asks for one";
                    self.add(
                        &of,
                        format!("{of} of group {} cannot be asked: {why}", group.id),
                        remedy,
                    );
                }
                None => {}
            }
        }
    }

    fn server(&mut self, addr: &str, server: &Server) {
        let of = format!("server {addr}");
        let want = self.product.topom.slots();
        if let Some(slots) = server.slots.filter(|&slots| slots != want) {
            let key = if server.kind == Kind::Pika { "default-slot-num" } else { "slots" };
            self.add(
                &of,
                format!("{of} has {slots} slots and the dashboard {want}: a move would lose keys"),
                format!("a server keeps its number: start another one with {key} = {want} and copy the data"),
            );
        }
        if server.slotmigrate.as_deref().is_some_and(|is| is != "yes") {
            self.add(
                &of,
                format!("{of} is a Pika with slotmigrate off: a slot that begins to move is stuck"),
                format!("CONFIG SET slotmigrate yes at {addr}, then SLOTSRELOAD, and wait until it is done"),
            );
        }
        if server.kind == Kind::Other {
            let remedy = "leave its slots where they are, or move the data by replication";
            self.add(&of, format!("{of} knows no SLOTSINFO: its slots cannot move"), remedy);
        }
        let sync = self.product.topom.config.migration_method == "sync";
        if sync && server.has_password && server.kind == Kind::Pika {
            self.add(
                &of,
                format!(
                    "{of} has a password, and the sync method gives none on its way to a target"
                ),
                "set migration_method = \"semi-async\" in dashboard.toml and restart the dashboard",
            );
        }
        if server.state.as_ref().is_some_and(|state| state.driver == "slipway") {
            self.add(
                &of,
                format!("{of} is driven by a controller of ours: it refuses the dashboard's moves"),
                "move slots with `slipway migrate`, or give it back with `slipway adopt --back`",
            );
        }
    }

    fn slots(&mut self) {
        let stats = &self.product.topom.stats;
        let in_state = |want: &dyn Fn(&codis::records::SlotRecord) -> bool| -> Vec<i64> {
            stats.slots.iter().filter(|record| want(record)).map(|record| record.id).collect()
        };
        let begun = in_state(&|record| {
            !matches!(record.action.state, SlotState::None | SlotState::Pending)
        });
        let waiting = in_state(&|record| record.action.state == SlotState::Pending);
        let offline =
            in_state(&|record| record.group_id == 0 && record.action.state == SlotState::None);
        let status = stats.slot_action.progress.status.clone();
        let (disabled, errs) = (stats.slot_action.disabled, status.starts_with("[ERROR]"));
        if errs {
            self.add(
                "slots",
                format!("slots {} cannot go on: {status}", ranges(begun)),
                "remove what it names; the dashboard tries again by itself",
            );
        } else if disabled && !begun.is_empty() {
            let enable = self.admin("--slot-action --disabled=0");
            self.add(
                "slots",
                format!(
                    "slots {} are in the middle of a move, and moves are switched off",
                    ranges(begun)
                ),
                enable,
            );
        } else if !begun.is_empty() {
            self.add(
                "slots",
                format!("slots {} are in the middle of a move", ranges(begun)),
                "wait until they have arrived",
            );
        }
        if !waiting.is_empty() {
            self.add(
                "slots",
                format!("slots {} are to move", ranges(waiting)),
                "wait, or remove the actions at the console",
            );
        }
        if !offline.is_empty() {
            let assign = self.admin("--slots-assign --beg=FIRST --end=LAST --gid=GROUP --confirm");
            self.add(
                "slots",
                format!("slots {} have no group: their keys get errors", ranges(offline)),
                assign,
            );
        }
    }
}

/// `0-511,600`, as far as our ranges go.
fn ranges(ids: Vec<i64>) -> String {
    let slots = ids.into_iter().filter_map(|id| u16::try_from(id).ok()).map(cluster::Slot);
    slots.collect::<SlotRanges>().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use codis::records::Topom;
    use serde_json::{Value as Json, json};

    fn group(id: i64, addr: &str) -> Json {
        json!({"id": id, "servers": [{"server": addr, "datacenter": "", "action": {}, "replica_group": false}],
            "promoting": {}, "out_of_sync": false})
    }

    /// Four slots, two groups of our nodes, a proxy of ours: nothing to find.
    fn well() -> Json {
        let slots: Vec<Json> =
            (0..4).map(|id| json!({"id": id, "group_id": 1, "action": {}})).collect();
        json!({
            "config": {"migration_method": "sync", "max_slot_num": 4}, "model": {"product_name": "demo"},
            "stats": {
                "slots": slots, "group": {"models": [group(1, "n:1"), group(2, "n:2")]},
                "proxy": {"models": [{"token": "t", "admin_addr": "p:1"}], "stats": {"t": {"stats": {"online": true}}}},
            },
        })
    }

    fn overview(version: &str) -> Overview {
        let slots: Vec<Json> = (0..4)
            .map(|id| json!({"id": id, "backend_addr": "n:1", "backend_addr_group_id": 1}))
            .collect();
        serde_json::from_value(json!({"version": version, "config": {"max_slot_num": 4}, "stats": {"online": true}, "slots": slots})).unwrap()
    }

    fn server(kind: Kind) -> Server {
        Server { kind, slots: Some(4), slotmigrate: None, has_password: false, state: None }
    }

    fn product(topom: &Json) -> Product {
        Product {
            dashboard: "d:1".to_owned(),
            topom: Topom::read(topom.to_string().as_bytes()).unwrap(),
            proxies: BTreeMap::from([("t".to_owned(), Ok(overview("slipway 0.1")))]),
            servers: ["n:1", "n:2"].map(|addr| (addr.to_owned(), Ok(server(Kind::Ours)))).into(),
        }
    }

    #[track_caller]
    fn finds(product: &Product, of: &str, what: &str, remedy: &str) {
        let found = findings(product);
        let [one] = found.as_slice() else { panic!("one finding is due: {found:#?}") };
        let said = (one.of.as_str(), one.what.contains(what), one.remedy.contains(remedy));
        assert_eq!(said, (of, true, true), "{one:?}");
    }

    #[test]
    fn a_product_that_is_well_has_nothing_to_be_found() {
        assert_eq!(findings(&product(&well())), []);
    }

    #[test]
    fn proxies_that_are_dead_not_online_or_behind_are_found() {
        let mut dead = product(&well());
        dead.proxies.insert("t".to_owned(), Err("nobody answers".to_owned()));
        finds(&dead, "proxy p:1", "every move", "--remove-proxy --token=t --force");
        let with = |change: &dyn Fn(&mut Overview)| {
            let mut product = product(&well());
            let mut overview = overview("slipway 0.1");
            change(&mut overview);
            product.proxies.insert("t".to_owned(), Ok(overview));
            product
        };
        finds(
            &with(&|o| o.stats.online = false),
            "proxy p:1",
            "not online",
            "--reinit-proxy --token=t",
        );
        finds(&with(&|o| o.slots[2].locked = true), "proxy p:1", "slots 2", "--reinit-proxy");
        finds(
            &with(&|o| o.slots[3].backend_addr = "n:2".to_owned()),
            "proxy p:1",
            "slots 3",
            "--reinit-proxy",
        );
        finds(&with(&|o| o.config.max_slot_num = 8), "proxy p:1", "8 slots", "max_slot_num = 4");
    }

    #[test]
    fn a_codis_proxy_beside_ours_is_found() {
        let mut topom = well();
        topom["stats"]["proxy"]["models"] =
            json!([{"token": "t", "admin_addr": "p:1"}, {"token": "u", "admin_addr": "p:2"}]);
        let mut mixed = product(&topom);
        mixed.proxies.insert("u".to_owned(), Ok(overview("3.2.2")));
        finds(&mixed, "proxies", "p:2 (3.2.2", "our nodes serve both");
        mixed.servers.insert("n:1".to_owned(), Ok(server(Kind::Pika)));
        finds(&mixed, "proxies", "p:2", "before slots move");
        mixed.proxies.insert("t".to_owned(), Ok(overview("3.2.2")));
        assert_eq!(findings(&mixed), [], "a fleet of codis-proxies is what Codis is");
    }

    #[test]
    fn servers_that_cannot_move_slots_are_found() {
        let with = |one: Result<Server, String>| {
            let mut product = product(&well());
            product.servers.insert("n:2".to_owned(), one);
            product
        };
        finds(&with(Err("refused".to_owned())), "server n:2", "refused", "start it");
        finds(&with(Ok(server(Kind::Other))), "server n:2", "SLOTSINFO", "replication");
        let other = Server { slots: Some(1024), ..server(Kind::Pika) };
        finds(&with(Ok(other)), "server n:2", "1024 slots", "default-slot-num = 4");
        let off = Server { slotmigrate: Some("no".to_owned()), ..server(Kind::Pika) };
        finds(&with(Ok(off)), "server n:2", "slotmigrate off", "CONFIG SET slotmigrate yes");
        let secret = Server { has_password: true, ..server(Kind::Pika) };
        finds(&with(Ok(secret)), "server n:2", "password", "semi-async");
        let state =
            super::super::server::State { driver: "slipway".to_owned(), ..Default::default() };
        let driven = Server { state: Some(state), ..server(Kind::Ours) };
        finds(&with(Ok(driven)), "server n:2", "controller of ours", "--back");
    }

    #[test]
    fn groups_and_slots_that_are_unfinished_are_found() {
        let with = |pointer: &str, value: Json| {
            let mut topom = well();
            *topom.pointer_mut(pointer).unwrap() = value;
            product(&topom)
        };
        let group_1 = "/stats/group/models/0";
        finds(
            &with(&format!("{group_1}/out_of_sync"), json!(true)),
            "group 1",
            "out of sync",
            "--resync-group --gid=1",
        );
        finds(
            &with("/stats/group/models/1/servers", json!([])),
            "group 2",
            "no server",
            "--remove-group",
        );
        finds(
            &with(&format!("{group_1}/promoting"), json!({"state": "preparing"})),
            "group 1",
            "broke off",
            "--promote-server --gid=1 --addr=n:1",
        );
        let action = |state: &str| json!({"state": state, "target_id": 2, "index": 1});
        finds(
            &with("/stats/slots/1/action", action("pending")),
            "slots",
            "slots 1 are to move",
            "wait",
        );
        finds(
            &with("/stats/slots/1/action", action("migrating")),
            "slots",
            "in the middle",
            "wait",
        );
        let mut stuck = with("/stats/slots/1/action", action("migrating"));
        stuck.topom.stats.slot_action.disabled = true;
        finds(&stuck, "slots", "switched off", "--disabled=0");
        stuck.topom.stats.slot_action.progress.status = "[ERROR] Slot[0001]: refused".to_owned();
        finds(&stuck, "slots", "Slot[0001]: refused", "by itself");
    }

    #[test]
    fn slots_without_a_group_are_found() {
        let mut topom = well();
        topom["stats"]["slots"][3]["group_id"] = json!(0);
        let mut offline = product(&topom);
        let Some(Ok(overview)) = offline.proxies.get_mut("t") else { panic!() };
        overview.slots[3] = codis::model::Slot::offline(3);
        finds(&offline, "slots", "slots 3 have no group", "--slots-assign");
    }
}
