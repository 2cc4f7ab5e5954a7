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
mod tests;
