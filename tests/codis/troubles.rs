//! Fleets that are not as they should be: dead proxies, stale proxies, assignments by force, storms of fills, nonsense.

use crate::moves_under_load::nothing_wrong;
use crate::size::size;
use codis::model::{ForwardMethod, Slot};
use codis::records::SlotState;
use harness::dashboard::Settings;
use harness::eventually;
use harness::load::Load;
use harness::product::{Kind, Parts, Product};
use protocol::frame::Value;
use std::process::Command;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

fn load(product: &Product, proxy: usize) -> Load {
    let rate = size(500, 2000);
    let words = format!("--rate {rate} --clients 8 --pipeline 16 --keys 5000 --seconds 3600");
    let load = Load::start(&product.proxies[proxy].addr, &words);
    eventually("the load is under way", LIMIT, || {
        match product.dashboard.stats(&product.models[proxy])?.ops.total {
            200.. => Ok(()),
            n => Err(format!("{n} requests")),
        }
    });
    load
}

#[test]
fn a_dead_proxy_that_is_registered_stops_moves_and_no_client_until_it_is_removed() {
    let mut product = Product::start(Parts { proxies: 2, ..Parts::default() });
    let load = load(&product, 0);
    product.proxies[1].process.kill();
    product.dashboard.create_action(579, 2).unwrap();
    let why = product.dashboard.finish(579).unwrap_err();
    assert!(why.contains(&product.proxies[1].admin), "{why}");
    assert_eq!(product.store.records().slot(579).action.state, SlotState::Preparing);
    // The live one got the fill and its rollback.
    let slots = product.dashboard.slots_of(&product.models[0]).unwrap();
    assert!(!slots[579].locked, "{:?}", slots[579]);
    product.dashboard.promote(1, &product.servers[0].addr).unwrap_err();
    product.dashboard.force_remove_proxy(&product.models[1].token).unwrap();
    product.dashboard.finish(579).unwrap();
    product.dashboard.promote(1, &product.servers[0].addr).unwrap();
    nothing_wrong(&load.end());
}

/// It was cut off while slots moved: the nodes tell it where they are.
#[test]
fn a_stale_proxy_that_missed_fills_serves_no_wrong_answer() {
    let product = Product::start(Parts { proxies: 2, ..Parts::default() });
    let loads = [load(&product, 0), load(&product, 1)];
    let stale = product.store.records().proxies.remove(&product.models[1].token).unwrap();
    product.dashboard.create_range(0..=size(63, 511), 2).unwrap();
    product.dashboard.run(LIMIT * 5).unwrap();
    // Told again what was right long ago, as by a dashboard that was restored from a backup.
    let mut old = product.store.records().clone();
    old.slots.values_mut().for_each(|slot| slot.group_id = 1);
    let all: Vec<i64> = (0..1024).collect();
    product.dashboard.fill_one(&old, &stale, &all).unwrap();
    for load in loads {
        nothing_wrong(&load.end());
    }
}

/// slots-assign tells nodes nothing. B has the slot by a grant; the proxies are told A; they follow B.
#[test]
fn a_slot_that_is_assigned_by_force_is_served_by_the_node_that_was_granted_it() {
    let product = Product::start(Parts::default());
    let mut client = product.proxies[0].client();
    assert_eq!(client.command("SET a 1").unwrap().as_str(), Some("OK"));
    product.dashboard.create_action(579, 2).unwrap();
    product.dashboard.finish(579).unwrap();
    product.dashboard.assign(579..=579, 1).unwrap();
    assert_eq!(client.command("GET a").unwrap().as_str(), Some("1"));
    assert_eq!(client.command("INCR a").unwrap(), Value::Int(2));
    assert_eq!(product.keys(), [0, 1]);
}

/// The owner is gone for good: nothing decides that but the operator, and then the other node serves.
#[test]
fn a_slot_whose_owner_is_gone_has_a_clear_error_until_the_operator_names_another() {
    let mut product = Product::start(Parts::default());
    let mut client = product.proxies[0].client();
    product.dashboard.create_action(579, 2).unwrap();
    product.dashboard.finish(579).unwrap();
    assert_eq!(client.command("SET a 1").unwrap().as_str(), Some("OK"));
    product.servers[1].process.kill();
    product.dashboard.assign(579..=579, 1).unwrap();
    let lost = client.command("GET a").unwrap();
    assert!(lost.as_error().is_some_and(|line| line.contains("backend conn")), "{lost:?}");
    let node = &product.servers[0].addr;
    let forced = Command::new(harness::program())
        .args(["slots", "force-own", "--node", node, "--slots", "579"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&forced.stdout).into_owned();
    assert!(forced.status.success() && said.contains("with 0 keys"), "{forced:?}");
    eventually("the slot is served", LIMIT, || match client.command("INCR a") {
        Ok(Value::Int(1)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// What the fork's dashboard does for as long as a server is down.
#[test]
fn fills_that_say_nothing_new_cost_clients_nothing() {
    let product = Product::start(Parts { kind: Kind::Redis, ..Parts::default() });
    let load = load(&product, 0);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(size(5, 60)) {
        let one = Instant::now();
        product.dashboard.resync_group(1).unwrap();
        assert!(one.elapsed() < Duration::from_secs(1), "{:?}", one.elapsed());
        std::thread::sleep(Duration::from_millis(200));
    }
    nothing_wrong(&load.end());
}

#[test]
fn fills_of_nonsense_are_refused_or_hurt_their_own_slot_only() {
    let product = Product::start(Parts { kind: Kind::Redis, ..Parts::default() });
    let (dashboard, model) = (&product.dashboard, &product.models[0]);
    let before = dashboard.slots_of(model).unwrap();
    let slot = |id| Slot { id, ..before[1].clone() };
    let unknown = Slot { forward_method: ForwardMethod::Unknown(9), ..slot(3) };
    for nonsense in [vec![slot(-1)], vec![slot(4), slot(9999)], vec![unknown]] {
        dashboard.fill_slots(model, &nonsense).unwrap_err();
    }
    assert_eq!(dashboard.slots_of(model).unwrap(), before);
    for addr in ["nowhere", "127.0.0.1", "127.0.0.1:1", ":", "[::1:7"] {
        let hurt = Slot { backend_addr: addr.to_owned(), ..slot(289) };
        dashboard.fill_slots(model, &[hurt]).unwrap();
        let mut other = product.proxies[0].client();
        assert_eq!(other.command("SET a 1").unwrap().as_str(), Some("OK"), "{addr}");
    }
    // `foo` is in slot 289.
    let reply = product.proxies[0].client().command("GET foo").unwrap();
    assert!(matches!(reply, Value::Error(_)), "{reply:?}");
    dashboard.resync_group(1).unwrap();
    assert_eq!(product.proxies[0].client().command("GET foo").unwrap(), Value::Null);
}

#[test]
fn a_promotion_that_is_rolled_back_and_one_that_goes_through_hold_and_release_in_order() {
    let product = Product::start(Parts { kind: Kind::Redis, ..Parts::default() });
    let load = load(&product, 0);
    for _ in 0..size(5, 50) {
        product.dashboard.promote(1, &product.servers[0].addr).unwrap();
    }
    nothing_wrong(&load.end());
}

/// Between servers that are not ours nothing is moved yet: the slot stays, and clients notice nothing.
#[test]
fn a_move_between_foreign_servers_is_refused_by_name() {
    let settings = Settings { method: ForwardMethod::Sync, ..Settings::default() };
    let product = Product::start(Parts { kind: Kind::Redis, settings, ..Parts::default() });
    let load = load(&product, 0);
    product.dashboard.create_action(579, 2).unwrap();
    let why = product.dashboard.finish(579).unwrap_err();
    assert!(why.contains("slot 579") && why.contains("Slipway node"), "{why}");
    eventually("it is as before", LIMIT, || {
        let slot = product.dashboard.slots_of(&product.models[0])?.swap_remove(579);
        let as_before = slot.backend_addr == product.servers[0].addr && !slot.locked;
        if as_before { Ok(()) } else { Err(format!("{slot:?}")) }
    });
    nothing_wrong(&load.end());
}
