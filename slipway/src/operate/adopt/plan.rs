//! Whether a product can be our controller's, and the state it begins with: the owners and epochs that the nodes have on record.

use super::super::check::look::Product;
use super::super::check::server::{Kind, Server};
use cluster::{Epoch, GroupId, Slot, SlotCount, SlotRanges};
use codis::records::{GroupRecord, PromotionState, SlotState};
use control::state::State;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// What our controller begins with.
#[derive(Debug)]
pub(super) struct Adoption {
    pub(super) state: State,
}

impl Adoption {
    /// Groups of ours and where their nodes listen: those are claimed. Other nodes take no such word.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (GroupId, &str)> {
        let ours = self.state.groups.iter().filter(|group| group.kind.is_ours());
        ours.map(|group| (group.id, group.addr.as_str()))
    }

    /// Whether a group's node is not ours.
    pub(super) fn has_strangers(&self) -> bool {
        self.state.groups.iter().any(|group| !group.kind.is_ours())
    }
}

/// The state, or all reasons against it. `kept` is the id of the cluster an earlier run has founded.
pub(super) fn adoption(product: &Product, kept: Option<String>) -> Result<Adoption, Vec<String>> {
    let mut reasons = Vec::new();
    let slots = usize::try_from(product.topom.slots()).unwrap_or_default();
    let count = u32::try_from(slots).ok().and_then(SlotCount::new);
    if count.is_none() {
        reasons.push(format!("{slots} slots: a cluster of ours has 1 to {}", SlotCount::MAX));
    }
    unfinished(product, &mut reasons);
    let nodes = nodes(product, kept.as_deref(), &mut reasons);
    let owners = owners(product, &nodes, slots, &mut reasons);
    let (Some(count), true) = (count, reasons.is_empty()) else { return Err(reasons) };
    let groups: Vec<(GroupId, String)> =
        nodes.iter().map(|(id, node)| (*id, node.addr.to_owned())).collect();
    let cluster = kept.unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut state = State::found(cluster, count, &groups, now.as_millis() as u64);
    for (record, (group, epoch)) in state.slots.iter_mut().zip(owners) {
        (record.group, record.epoch, record.reserved) = (group, epoch.owner, epoch.highest);
    }
    for group in &mut state.groups {
        group.kind = nodes.get(&group.id).map(|node| node.kind).unwrap_or_default();
        // Proxies that the dashboard has filled are not waited for before they are started anew: until the operator has done that, nothing moves.
        state.paused |= !group.kind.is_ours();
    }
    Ok(Adoption { state })
}

/// What is under way, and who would be left behind.
fn unfinished(product: &Product, reasons: &mut Vec<String>) {
    let stats = &product.topom.stats;
    let moving = stats.slots.iter().filter(|slot| slot.action.state != SlotState::None);
    let moving: SlotRanges =
        moving.filter_map(|slot| u16::try_from(slot.id).ok()).map(Slot).collect();
    if !moving.is_empty() {
        reasons.push(format!("slots {moving} are on their way: wait, or remove the actions"));
    }
    for group in stats.group.models.iter().filter(|g| g.promoting.state != PromotionState::None) {
        reasons.push(format!("group {} is being promoted: finish that first", group.id));
    }
    for model in &stats.proxy.models {
        if let Some(Ok(overview)) = product.proxies.get(&model.token)
            && !overview.is_ours()
        {
            reasons.push(format!(
                "the proxy at {} is a codis-proxy ({}), which would go on asking the dashboard's nodes: swap it first",
                model.admin_addr, overview.version
            ));
        }
    }
}

/// One group's node.
#[derive(Debug)]
struct Node<'a> {
    addr: &'a str,
    kind: cluster::Kind,
    /// What one of ours has on record of each slot: state and epoch.
    slots: BTreeMap<Slot, (&'a str, Epoch)>,
}

fn nodes<'a>(
    product: &'a Product,
    kept: Option<&str>,
    reasons: &mut Vec<String>,
) -> BTreeMap<GroupId, Node<'a>> {
    let mut nodes = BTreeMap::new();
    for group in &product.topom.stats.group.models {
        match node(product, group, kept) {
            Ok((id, node)) => _ = nodes.insert(id, node),
            Err(why) => reasons.push(why),
        }
    }
    if nodes.is_empty() && reasons.is_empty() {
        reasons.push("there is no group".to_owned());
    }
    nodes
}

/// A group must be one node of a kind whose slots can move, and one of ours that nobody but the dashboard drives.
fn node<'a>(
    product: &'a Product,
    group: &'a GroupRecord,
    kept: Option<&str>,
) -> Result<(GroupId, Node<'a>), String> {
    let id = group.id;
    let number = u32::try_from(id).map_err(|_| format!("group {id} has no number of ours"))?;
    let [server] = group.servers.as_slice() else {
        return Err(format!(
            "group {id} has {} servers: a group of ours has one node",
            group.servers.len()
        ));
    };
    let addr = server.server.as_str();
    let found: &Server = match product.servers.get(addr) {
        Some(Ok(found)) => found,
        Some(Err(why)) => return Err(format!("the server of group {id} at {addr}: {why}")),
        None => return Err(format!("the server of group {id} at {addr} was not asked")),
    };
    let slots = found.slots.or((found.kind == Kind::CodisServer).then_some(CODIS_SLOTS));
    if found.kind != Kind::Other && slots != Some(product.topom.slots()) {
        return Err(format!(
            "the node of group {id} at {addr} has another number of slots than the dashboard"
        ));
    }
    let kind = match found.kind {
        Kind::Ours => cluster::Kind::Slipway,
        Kind::Pika => cluster::Kind::Pika,
        Kind::CodisServer => cluster::Kind::CodisServer,
        Kind::Other => {
            return Err(format!(
                "the server of group {id} at {addr} knows no word for slots: add a group with another, and move the slots there"
            ));
        }
    };
    let Some(state) = &found.state else {
        return Ok((GroupId(number), Node { addr, kind, slots: BTreeMap::new() }));
    };
    if state.driver == "slipway" && state.cluster.as_deref() != kept {
        return Err(format!("the node of group {id} at {addr} is another controller's"));
    }
    let mut slots = BTreeMap::new();
    for run in &state.slots {
        let ranges: SlotRanges =
            run.slots.parse().map_err(|_| format!("{addr} tells slots that are none"))?;
        slots.extend(ranges.iter().map(|slot| (slot, (run.state.as_str(), Epoch(run.epoch)))));
    }
    Ok((GroupId(number), Node { addr, kind, slots }))
}

/// A codis-server has so many, always.
const CODIS_SLOTS: i64 = 1024;

/// Since when a slot has its owner, and the highest epoch anybody has on record.
#[derive(Clone, Copy, Debug)]
struct Epochs {
    owner: Epoch,
    highest: Epoch,
}

/// The owner of each slot: the node that says so; where none does, or the dashboard names one that is not ours, the one that the dashboard says.
fn owners(
    product: &Product,
    nodes: &BTreeMap<GroupId, Node<'_>>,
    slots: usize,
    reasons: &mut Vec<String>,
) -> Vec<(GroupId, Epochs)> {
    let mut owners = Vec::new();
    let (mut homeless, mut elsewhere, mut twice, mut unsettled) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 0..slots {
        let slot = Slot(number as u16);
        let told = product.topom.stats.slots.iter().find(|record| record.id == number as i64);
        let told = told.and_then(|record| u32::try_from(record.group_id).ok()).map(GroupId);
        let says = |state: &str| -> Vec<(GroupId, Epoch)> {
            let of = |(id, node): (&GroupId, &Node<'_>)| {
                let (is, epoch) = node.slots.get(&slot)?;
                (*is == state).then_some((*id, *epoch))
            };
            nodes.iter().filter_map(of).collect()
        };
        let highest =
            nodes.values().filter_map(|node| node.slots.get(&slot)).map(|(_, epoch)| *epoch).max();
        let busy = ["sealed", "doubt", "granted", "importing", "ready"];
        if busy.iter().any(|state| !says(state).is_empty()) {
            unsettled.push(slot);
        }
        let is_strange =
            told.and_then(|group| nodes.get(&group)).is_some_and(|node| !node.kind.is_ours());
        let (group, epoch) = match (says("owned").as_slice(), told) {
            // Nodes of ours keep slots that have gone to such a node, without keys; they forget them when they hear since when.
            (_, Some(group)) if is_strange => (group, highest.unwrap_or_default()),
            ([one], Some(group)) if one.0 != group => {
                elsewhere.push(slot);
                *one
            }
            ([one], _) => *one,
            ([], Some(group)) if nodes.contains_key(&group) => (group, Epoch(0)),
            ([], _) => {
                homeless.push(slot);
                continue;
            }
            _ => {
                twice.push(slot);
                continue;
            }
        };
        let owner = epoch.max(Epoch(1));
        owners.push((group, Epochs { owner, highest: highest.unwrap_or_default().max(owner) }));
    }
    for (slots, why) in [
        (homeless, "have no group and no owner: assign them first"),
        (twice, "are owned by two nodes: `SLIPWAY STATE` of both tells since when"),
        (unsettled, "are changing hands at this moment: try again"),
        (
            elsewhere,
            "are owned by another node than the dashboard says: assign them to the group that has them",
        ),
    ] {
        if !slots.is_empty() {
            reasons.push(format!("slots {} {why}", slots.into_iter().collect::<SlotRanges>()));
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::super::super::check::look::Overview;
    use super::*;
    use codis::records::Topom;
    use serde_json::{Value as Json, json};

    fn topom() -> Json {
        let slots: Vec<Json> = (0..4)
            .map(|id| json!({"id": id, "group_id": if id < 2 { 1 } else { 2 }, "action": {}}))
            .collect();
        let group =
            |id: i64, addr: &str| json!({"id": id, "servers": [{"server": addr}], "promoting": {}});
        json!({
            "config": {"max_slot_num": 4}, "model": {"product_name": "demo"},
            "stats": {"slots": slots, "group": {"models": [group(1, "n:1"), group(2, "n:2")]},
                "proxy": {"models": [{"token": "t", "admin_addr": "p:1"}]}},
        })
    }

    fn node(slots: &Json) -> Server {
        let state = json!({"node": "a", "cluster": null, "driver": "codis", "slots": slots});
        Server {
            kind: Kind::Ours,
            slots: Some(4),
            slotmigrate: None,
            has_password: false,
            state: Some(serde_json::from_value(state).unwrap()),
        }
    }

    /// Slot 1 has moved to node 1 once, slots 2 and 3 were never spoken of at all.
    fn product(topom: &Json) -> Product {
        let first = json!([{"state": "unclaimed", "epoch": 0, "slots": "0,2-3"}, {"state": "owned", "epoch": 5, "slots": "1"}]);
        let second = json!([{"state": "unclaimed", "epoch": 0, "slots": "0,2-3"}, {"state": "absent", "epoch": 5, "slots": "1"}]);
        let overview = Overview { version: "slipway 0.1".to_owned(), ..Overview::default() };
        Product {
            dashboard: "d:1".to_owned(),
            topom: Topom::read(topom.to_string().as_bytes()).unwrap(),
            proxies: BTreeMap::from([("t".to_owned(), Ok(overview))]),
            servers: BTreeMap::from([
                ("n:1".to_owned(), Ok(node(&first))),
                ("n:2".to_owned(), Ok(node(&second))),
            ]),
        }
    }

    #[track_caller]
    fn refuses(product: &Product, why: &str) {
        let reasons = adoption(product, None).unwrap_err();
        assert!(matches!(reasons.as_slice(), [one] if one.contains(why)), "{why}: {reasons:?}");
    }

    #[test]
    fn owners_and_epochs_are_those_the_nodes_have_on_record() {
        let state = adoption(&product(&topom()), None).unwrap().state;
        let slots: Vec<_> = state.slots.iter().map(|slot| (slot.group.0, slot.epoch.0)).collect();
        assert_eq!(slots, [(1, 1), (1, 5), (2, 1), (2, 1)]);
        let kept = adoption(&product(&topom()), Some("c".to_owned())).unwrap().state;
        assert_eq!(kept.cluster, "c");
    }

    /// Group 2 is a Pika; slot 2 was at node 1 before, which keeps it without keys.
    #[test]
    fn groups_that_are_not_ours_keep_the_slots_that_the_dashboard_says() {
        let mut product = product(&topom());
        let pika = |slots| Server {
            kind: Kind::Pika,
            slots,
            slotmigrate: Some("yes".to_owned()),
            has_password: false,
            state: None,
        };
        let first = json!([{"state": "unclaimed", "epoch": 0, "slots": "0,3"}, {"state": "owned", "epoch": 5, "slots": "1-2"}]);
        product.servers.insert("n:1".to_owned(), Ok(node(&first)));
        product.servers.insert("n:2".to_owned(), Ok(pika(Some(4))));
        let adopted = adoption(&product, None).unwrap();
        let state = &adopted.state;
        let slots: Vec<_> = state.slots.iter().map(|slot| (slot.group.0, slot.epoch.0)).collect();
        assert_eq!(slots, [(1, 1), (1, 5), (2, 5), (2, 1)]);
        let kinds: Vec<_> = state.groups.iter().map(|group| group.kind).collect();
        assert_eq!(kinds, [cluster::Kind::Slipway, cluster::Kind::Pika]);
        assert!(state.paused && state.check().is_ok());
        let claimed: Vec<_> = adopted.nodes().map(|(id, _)| id.0).collect();
        assert_eq!(claimed, [1], "a Pika knows no such word");
        product.servers.insert("n:2".to_owned(), Ok(pika(Some(1024))));
        refuses(&product, "n:2 has another number of slots");
    }

    #[test]
    fn what_is_not_settled_is_refused_by_name() {
        let with = |pointer: &str, value: Json| {
            let mut topom = topom();
            *topom.pointer_mut(pointer).unwrap() = value;
            product(&topom)
        };
        refuses(
            &with("/stats/slots/3/action", json!({"state": "pending", "target_id": 1})),
            "slots 3 are on their way",
        );
        refuses(&with("/stats/slots/3/group_id", json!(0)), "slots 3 have no group");
        refuses(&with("/stats/slots/1/group_id", json!(2)), "slots 1 are owned by another node");
        refuses(
            &with("/stats/group/models/0/promoting", json!({"state": "prepared"})),
            "group 1 is being promoted",
        );
        let two = json!([{"server": "n:1"}, {"server": "n:3"}]);
        let mut replicas = product(&topom());
        replicas.topom.stats.group.models[0].servers = serde_json::from_value(two).unwrap();
        assert!(adoption(&replicas, None).unwrap_err()[0].contains("group 1 has 2 servers"));
    }

    #[test]
    fn servers_and_proxies_that_are_not_ours_are_refused_by_name() {
        let mut old = product(&topom());
        old.proxies.insert(
            "t".to_owned(),
            Ok(Overview { version: "3.2.2".to_owned(), ..Overview::default() }),
        );
        refuses(&old, "p:1 is a codis-proxy (3.2.2)");
        let mut other = product(&topom());
        let Some(Ok(server)) = other.servers.get_mut("n:2") else { panic!() };
        let state = server.state.as_mut().unwrap();
        (state.driver, state.cluster) = ("slipway".to_owned(), Some("c".to_owned()));
        assert!(adoption(&other, Some("c".to_owned())).is_ok(), "an earlier run has claimed it");
        assert!(adoption(&other, None).unwrap_err()[0].contains("another controller's"));
        other.servers.insert("n:2".to_owned(), Err("refused".to_owned()));
        assert!(adoption(&other, None).unwrap_err()[0].contains("refused"));
    }
}
