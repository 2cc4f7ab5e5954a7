//! Slots move to the other group and back as a dashboard drives them, under checked writes, and no client notices.

use crate::moves_under_load::nothing_wrong;
use crate::size::size;
use codis::model::ForwardMethod;
use harness::Company;
use harness::dashboard::{DEATHS, Dashboard, Moves, Poller, Settings};
use harness::load::Load;
use harness::product::{Parts, Product};
use std::sync::Arc;
use std::time::Duration;

/// What a dashboard may take for a slot, with its pauses.
const SLOT_MAX: Duration = Duration::from_millis(500);

/// A run is given up after that.
fn limit(slots: i64) -> Duration {
    Duration::from_secs(60) + SLOT_MAX * u32::try_from(slots).unwrap()
}

/// How many slots go to and fro; the rest stays where it is.
fn moving() -> i64 {
    size(128, 1024)
}

/// `slipway load` until it is ended.
fn load(product: &Product) -> Load {
    let rate = size(500, 2000);
    let words = format!("--rate {rate} --clients 16 --pipeline 16 --keys 10000 --seconds 3600");
    Load::start(&product.proxies[0].addr, &words)
}

fn product(method: ForwardMethod, proxies: usize) -> Product {
    let settings = Settings { method, ..Settings::default() };
    Product::start(Parts { proxies, settings, company: Company::Alone, ..Parts::default() })
}

#[test]
fn semi_async_moves_there_and_back_are_not_noticed() {
    there_and_back(ForwardMethod::SemiAsync);
}

#[test]
fn sync_moves_there_and_back_are_not_noticed() {
    there_and_back(ForwardMethod::Sync);
}

fn there_and_back(method: ForwardMethod) {
    let mut product = product(method, 2);
    let poller = Poller::start(&product.dashboard);
    let load = load(&product);
    for group in [2, 1] {
        let moves = move_to(&product.dashboard, group);
        assert_eq!(moves, Moves { done: usize::try_from(moving()).unwrap(), failures: 0 });
    }
    nothing_wrong(&load.end());
    let found = poller.found();
    assert_eq!(found.failures, Vec::<String>::new());
    assert_eq!(found.onlines, 0, "no proxy says that it is not online");
    assert_eq!(product.keys()[1], 0, "all is back");
    product.assert_all_run();
}

fn move_to(dashboard: &Dashboard, group: i64) -> Moves {
    dashboard.create_range(0..=moving() - 1, group).unwrap();
    dashboard.run(limit(moving())).unwrap()
}

#[test]
fn a_dashboard_that_dies_at_any_step_of_a_slot_is_followed_by_another_that_goes_on() {
    let mut product = product(ForwardMethod::SemiAsync, 2);
    let load = load(&product);
    for (slot, death) in (100..).zip(DEATHS) {
        product.dashboard.create_action(slot, 2).unwrap();
        product.dashboard.die_at(death);
        product.dashboard.run(limit(1)).unwrap_err();
        product.restart_dashboard();
        let moves = product.dashboard.run(limit(1)).unwrap();
        assert_eq!(moves, Moves { done: 1, failures: 0 }, "{death:?}");
    }
    nothing_wrong(&load.end());
    product.assert_all_run();
}

#[test]
fn two_dashboards_that_drive_the_same_slots_do_no_harm() {
    let mut product = product(ForwardMethod::SemiAsync, 1);
    let load = load(&product);
    product.dashboard.create_range(0..=31, 2).unwrap();
    let second = Arc::new(Dashboard::open(&product.store, product.dashboard.settings.clone()));
    let thread = {
        let second = Arc::clone(&second);
        std::thread::spawn(move || (0..32).rev().try_for_each(|slot| second.finish(slot)))
    };
    let first = (0..32).try_for_each(|slot| product.dashboard.finish(slot));
    // What one finds done by the other it may take for a failure; clients must not.
    println!("{first:?} {:?}", thread.join().unwrap());
    product.restart_dashboard();
    product.dashboard.run(limit(32)).unwrap();
    nothing_wrong(&load.end());
}
