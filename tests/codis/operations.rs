//! What operators do with console and admin tool, each as the calls it makes.

use codis::model::{ForwardMethod, Slot};
use codis::records::SlotState;
use harness::dashboard::{Dashboard, Poller, Server, Settings, Store};
use harness::eventually;
use harness::product::{Backend, Kind, Parts, Product, Proxy};
use protocol::frame::Value;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_proxy_is_created_serves_and_is_removed() {
    let mut product = Product::start(Parts::default());
    let model = product.models[0].clone();
    assert_eq!((model.id, model.product_name.as_str()), (1, "codis-demo"));
    assert_eq!(model.admin_addr, product.proxies[0].admin);
    assert_eq!(model.proxy_addr, product.proxies[0].addr);
    assert_eq!(ok(&mut product, "SET a 1"), "OK");
    let again = product.dashboard.create_proxy(&product.proxies[0].admin).unwrap_err();
    assert!(again.contains("already exists"), "{again}");
    assert_eq!(product.dashboard.online_proxy(&product.proxies[0].admin).unwrap().id, 1);
    product.dashboard.reinit_proxy(&model.token).unwrap();
    product.dashboard.resync_group(1).unwrap();
    assert_eq!(ok(&mut product, "GET a"), "1");
    product.dashboard.remove_proxy(&model.token).unwrap();
    eventually("the proxy ends by itself", LIMIT, || {
        product.proxies[0].process.ended().ok_or_else(|| "it runs".to_owned())
    });
}

fn ok(product: &mut Product, words: &str) -> String {
    let reply = product.proxies[0].client().command(words).unwrap();
    reply.as_str().unwrap_or_else(|| panic!("{words}: {reply:?}")).to_owned()
}

#[test]
fn a_proxy_that_knows_its_dashboard_brings_itself_online() {
    let directory = TempDir::new().unwrap();
    let server = Backend::start(Kind::Redis, "redis", directory.path());
    let dashboard = Arc::new(Dashboard::open(&Store::default(), Settings::default()));
    dashboard.put_group(1, &[&server.addr]);
    dashboard.assign(0..=1023, 1).unwrap();
    let api = Server::start(&dashboard);
    let proxy = Proxy::start("proxy", directory.path(), "", &["--dashboard", &api.addr]);
    eventually("a write goes through", LIMIT, || match proxy.client().command("SET a 1")? {
        Value::Simple(ok) if ok == "OK" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(dashboard.store.records().proxies.len(), 1);
}

#[test]
fn a_proxy_that_is_not_online_is_filled_by_the_next_poll_and_then_left_alone() {
    let mut product = Product::start(Parts::default());
    let token = product.models[0].token.clone();
    product.proxies[0].process.kill();
    product.proxies[0].process.start("");
    product.proxies[0].wait();
    let poller = Poller::start(&product.dashboard);
    eventually("it is online", LIMIT, || match poller.found().last.get(&token) {
        Some(Ok(stats)) if stats.online => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(ok(&mut product, "SET a 1"), "OK");
    let rounds = poller.found().rounds;
    eventually("some more polls", LIMIT, || match poller.found().rounds {
        n if n > rounds + 2 => Ok(()),
        n => Err(format!("{n} rounds")),
    });
    assert_eq!(poller.found().onlines, 1);
}

#[test]
fn slots_move_one_some_and_by_range_with_both_methods() {
    for method in [ForwardMethod::Sync, ForwardMethod::SemiAsync] {
        let settings = Settings { method, ..Settings::default() };
        let mut product = Product::start(Parts { settings, ..Parts::default() });
        // Slot 579.
        assert_eq!(ok(&mut product, "SET a 1"), "OK");
        let dashboard = Arc::clone(&product.dashboard);
        dashboard.create_action(579, 2).unwrap();
        dashboard.create_some(1, 2, 3).unwrap();
        dashboard.create_range(1020..=1023, 2).unwrap();
        dashboard.create_action(1000, 2).unwrap();
        dashboard.remove_action(1000).unwrap();
        dashboard.set_interval(1000);
        assert_eq!(dashboard.run(LIMIT).unwrap().done, 8, "{method:?}");
        assert_eq!(ok(&mut product, "GET a"), "1");
        assert_eq!(product.keys(), [0, 1], "{method:?}");
        let slots = dashboard.slots_of(&product.models[0]).unwrap();
        let second = &product.servers[1].addr;
        let there: Vec<i64> =
            slots.iter().filter(|slot| &slot.backend_addr == second).map(|slot| slot.id).collect();
        assert_eq!(there, [0, 1, 2, 579, 1020, 1021, 1022, 1023]);
    }
}

#[test]
fn a_rebalance_gives_each_group_its_half() {
    let settings = Settings { method: ForwardMethod::Sync, ..Settings::default() };
    let product = Product::start(Parts { settings, ..Parts::default() });
    let plan = product.dashboard.rebalance_plan();
    assert_eq!(plan.len(), 512);
    for (slot, group) in plan {
        product.dashboard.create_action(slot, group).unwrap();
    }
    product.dashboard.run(LIMIT * 5).unwrap();
    let records = product.store.records().clone();
    let of = |group| records.slots.values().filter(|slot| slot.group_id == group).count();
    assert_eq!((of(1), of(2)), (512, 512));
}

#[test]
fn what_proxies_have_is_what_the_records_say() {
    let product = Product::start(Parts { proxies: 2, ..Parts::default() });
    product.dashboard.assign(7..=9, 0).unwrap();
    let records = product.store.records().clone();
    for model in &product.models {
        let want: Vec<Slot> =
            (0..1024).map(|id| product.dashboard.content(&records, model, id)).collect();
        let have = product.dashboard.slots_of(model).unwrap();
        for (have, want) in have.iter().zip(&want) {
            assert!(have.leads_like(want), "{have:?} {want:?}");
        }
    }
    let reply = product.proxies[1].client().command("SLOTSMAPPING 7").unwrap();
    assert_eq!(format!("{reply:?}"), "Array([Simple(\"7\"), Simple(\"\"), Simple(\"\"), Null])");
}

#[test]
fn statistics_come_at_once_while_a_slot_is_locked() {
    let product = Product::start(Parts { kind: Kind::Redis, ..Parts::default() });
    let model = &product.models[0];
    let mut records = product.store.records().clone();
    records.slots.get_mut(&579).unwrap().action.state = SlotState::Prepared;
    records.slots.get_mut(&579).unwrap().action.target_id = 1;
    let locked =
        Slot { migrate_from: String::new(), ..product.dashboard.content(&records, model, 579) };
    product.dashboard.fill_slots(model, &[locked]).unwrap();
    let mut held = product.proxies[0].client();
    held.send(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n").unwrap();
    for _ in 0..20 {
        let begin = std::time::Instant::now();
        assert!(product.dashboard.stats(model).unwrap().online);
        assert!(begin.elapsed() < Duration::from_millis(200), "{:?}", begin.elapsed());
    }
    product.dashboard.resync_group(1).unwrap();
    assert_eq!(held.reply(), Ok(Value::Null));
}
