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
    let state = super::super::server::State { driver: "slipway".to_owned(), ..Default::default() };
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
    finds(&with("/stats/slots/1/action", action("migrating")), "slots", "in the middle", "wait");
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
