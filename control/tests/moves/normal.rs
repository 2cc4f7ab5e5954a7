//! Moves without trouble, and the API.

use crate::controller::{Controller, config, eventually};
use crate::world::{Manner, World};
use cluster::{Epoch, GroupId};
use control::docs::{MoveRequest, NodeState, Pace, SlotsRequest, Stage};
use control::state::EventKind;
use control::{Client, ClientError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[tokio::test]
async fn slots_are_assigned_moved_and_cleaned_and_the_table_says_so() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let controller = Controller::start(&config(dir.path(), 16, &addrs));
    let status =
        controller.until("both nodes", |s| s.groups.iter().all(|g| g.state == NodeState::Up)).await;
    assert_eq!(status.groups[0].node.as_deref(), Some("n1"));
    assert_eq!(world.owners()[0], (addrs[0].clone(), Epoch(1)));
    assert_eq!(world.owners()[15], (addrs[1].clone(), Epoch(1)));

    let planned = controller.plan("0-3,12", 2).await;
    assert_eq!((planned.there.as_str(), planned.from[0].slots.as_str()), ("12", "0-3"));
    let view = controller.ended(planned.plan.unwrap()).await;
    assert_eq!((view.slots, view.arrived, view.keys, view.bytes), (5, 5, 12, 1200), "{view:?}");
    assert_eq!(
        (view.stall_write_us.count, view.stall_write_us.max, view.done_permille),
        (4, 1500, 1000)
    );
    let owners = world.owners();
    assert_eq!(owners[3], (addrs[1].clone(), Epoch(2)));
    assert_eq!(owners[4], (addrs[0].clone(), Epoch(1)));
    let table = controller.client.table(None, Duration::ZERO).await.unwrap().unwrap();
    assert_eq!((table.slots[3].group, table.slots[3].epoch), (GroupId(2), Epoch(2)));
    let same =
        controller.client.table(Some(table.version), Duration::from_millis(50)).await.unwrap();
    assert_eq!(same, None, "nothing newer came");
    let runs = controller.client.slots().await.unwrap();
    assert_eq!(runs[0].slots, "0-3");
    assert!(runs.iter().all(|r| r.stage == Stage::Settled));
    let kinds: Vec<_> =
        controller.client.history().await.unwrap().into_iter().map(|l| (l.kind, l.slots)).collect();
    for kind in [EventKind::Opened, EventKind::Armed, EventKind::Settled, EventKind::Moved] {
        assert!(kinds.iter().any(|(k, _)| *k == kind), "{kind:?} in {kinds:?}");
    }
}

/// The bound of the whole product is 10 s; nodes here are free, so that this is the controller's own share.
#[tokio::test]
async fn a_thousand_empty_slots_move_in_seconds_and_back() {
    let (world, dir) = (World::new(1024), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let controller = Controller::start(&config(dir.path(), 1024, &addrs));
    for to in [2, 1] {
        let begun = Instant::now();
        let plan = controller.migrate("0-1023", to).await;
        let view = controller.ended(plan).await;
        assert_eq!((view.arrived, view.failed.len()), (1024, 0));
        let owner = &addrs[to as usize - 1];
        assert!(world.owners().iter().all(|(addr, _)| addr == owner));
        assert!(begun.elapsed() < Duration::from_secs(8), "to group {to}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn several_pairs_of_groups_move_slots_at_once() {
    let (world, dir) = (World::new(64), tempfile::tempdir().unwrap());
    let mut addrs = Vec::new();
    for n in 1..=4 {
        addrs.push(world.add(&format!("n{n}")).await);
    }
    let mut config = config(dir.path(), 64, &addrs);
    config.limits.slots_moving_max = 3;
    let controller = Controller::start(&config);
    let plans = [
        controller.migrate("0-15", 2).await,
        controller.migrate("16-31", 1).await,
        controller.migrate("32-47", 4).await,
    ];
    for plan in plans {
        assert_eq!(controller.ended(plan).await.arrived, 16);
    }
    let owners = world.owners();
    assert_eq!((&owners[0].0, &owners[16].0, &owners[32].0), (&addrs[1], &addrs[0], &addrs[3]));
}

#[tokio::test]
async fn a_group_that_is_added_later_begins_empty_and_takes_slots() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let mut addrs = vec![world.add("n1").await, world.add("n2").await];
    let controller = Controller::start(&config(dir.path(), 16, &addrs));
    controller.until("both nodes", |s| s.groups.iter().all(|g| g.state == NodeState::Up)).await;
    controller.kill();
    addrs.push(world.add("n3").await);
    let controller = Controller::start(&config(dir.path(), 16, &addrs));
    let plan = controller.migrate("0-7", 3).await;
    assert_eq!(controller.ended(plan).await.arrived, 8);
    assert_eq!(world.owners()[7].0, addrs[2]);
    controller.kill();
    let error =
        Controller::try_start(&config(dir.path(), 16, &addrs[..2])).err().unwrap().to_string();
    assert!(error.contains("group 3") && error.contains("8 slots"), "{error}");
    let error = Controller::try_start(&config(dir.path(), 32, &addrs)).err().unwrap().to_string();
    assert!(error.contains("has 16 slots, and 32 were asked for"), "{error}");
}

#[tokio::test]
async fn a_pause_lets_nothing_begin_and_nothing_change_hands_until_it_is_resumed() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let controller = Controller::start(&config(dir.path(), 16, &addrs));
    let all = SlotsRequest::default();
    controller.client.pause(&all).await.unwrap();
    let plan = controller.migrate("0-3", 2).await;
    let view = controller.view(plan).await;
    assert_eq!((view.stages.paused, view.paused), (4, true));
    assert!(view.notes.iter().any(|n| n.contains("slipway resume")), "{:?}", view.notes);
    controller.client.resume(&all).await.unwrap();
    assert_eq!(controller.ended(plan).await.arrived, 4);

    // Some of them only, while they copy.
    world.behave(&addrs[0], Manner::SlowCopy);
    let plan = controller.migrate("4-7", 2).await;
    world.copying(4).await;
    let some = SlotsRequest { slots: Some("4-5".to_owned()) };
    assert_eq!(controller.client.pause(&some).await.unwrap().count, 2);
    world.behave(&addrs[0], Manner::Good);
    world.finish_copies();
    eventually(async || (controller.view(plan).await.arrived == 2).then_some(())).await.unwrap();
    assert_eq!(controller.view(plan).await.stages.copying, 2);
    controller.client.resume(&some).await.unwrap();
    assert_eq!(controller.ended(plan).await.arrived, 4);
}

#[tokio::test]
async fn an_abort_leaves_the_slot_whole_where_it_was_and_the_copy_dropped() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let controller = Controller::start(&config(dir.path(), 16, &addrs));
    world.behave(&addrs[0], Manner::SlowCopy);
    let plan = controller.migrate("0-3", 2).await;
    world.copying(4).await;
    let done = controller.client.abort(&SlotsRequest::default()).await.unwrap();
    assert_eq!(done.slots, "0-3");
    assert_eq!(controller.ended(plan).await.aborted, 4);
    controller.until("the end", |s| s.slots.settled == 16).await;
    eventually(async || world.take_words().iter().any(|w| w.starts_with("DROP")).then_some(()))
        .await
        .unwrap();
    let owners = eventually(async || world.whole().ok()).await.unwrap();
    assert_eq!(owners[0], (addrs[0].clone(), Epoch(1)));
    // The same again, with epochs never used before.
    world.behave(&addrs[0], Manner::Good);
    let plan = controller.migrate("0-3", 2).await;
    assert_eq!(controller.ended(plan).await.arrived, 4);
    assert_eq!(world.owners()[0], (addrs[1].clone(), Epoch(3)));
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_nonsense_is_refused_with_what_to_do() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let controller = Controller::start(&config(dir.path(), 16, &addrs));
    let request = |slots: &str, to, dry_run| MoveRequest {
        slots: slots.to_owned(),
        to: GroupId(to),
        dry_run,
    };
    let planned = controller.client.plan(&request("0-3", 2, true)).await.unwrap();
    assert_eq!((planned.plan, planned.from[0].count), (None, 4));
    assert_eq!(controller.status().await.slots.settled, 16);
    for (slots, to, what) in
        [("0-99", 2, "slot 99 does not exist"), ("x", 2, "\"x\" is no slot"), ("1", 7, "group 7")]
    {
        match controller.client.plan(&request(slots, to, false)).await {
            Err(ClientError::Refused(why)) => {
                assert!(why.error.contains(what) && !why.what_to_do.is_empty(), "{why:?}");
            }
            other => panic!("{slots} to {to}: {other:?}"),
        }
    }
    let nobody = controller.client.moves(Some(control::state::PlanId(99))).await;
    assert!(matches!(nobody, Err(ClientError::Refused(_))), "{nobody:?}");
    let away = Client::new("127.0.0.1:1", Duration::from_secs(1)).status().await;
    assert!(matches!(away, Err(ClientError::Unreachable(_))), "{away:?}");
}

#[tokio::test]
async fn the_pace_reaches_nodes_at_once_and_after_their_restart() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await];
    let controller = Controller::start(&config(dir.path(), 16, &addrs));
    controller.until("the node", |s| s.groups[0].state == NodeState::Up).await;
    controller.client.pace(Pace { bytes: 1 << 20 }).await.unwrap();
    eventually(async || (world.pace(&addrs[0]) == 1 << 20).then_some(())).await.unwrap();
    world.kill(&addrs[0]);
    world.forget_pace(&addrs[0]);
    world.restart(&addrs[0]).await;
    eventually(async || (world.pace(&addrs[0]) == 1 << 20).then_some(())).await.unwrap();
    assert!(controller.client.pace(Pace { bytes: 1 }).await.is_err());
}

#[tokio::test]
async fn a_proxy_elsewhere_learns_each_new_table_and_keeps_the_last_while_the_controller_is_away() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let controller = Controller::start(&config(dir.path(), 16, &addrs));
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let client = Client::new(&controller.address, Duration::from_secs(5));
    let mut watch = control::table::follow(client, &tasks, stop.clone()).await.unwrap();
    assert_eq!(watch.tables.borrow().slots[0].group, GroupId(1));
    controller.migrate("0", 2).await;
    let moved = watch.tables.wait_for(|t| t.slots[0].group == GroupId(2));
    tokio::time::timeout(Duration::from_secs(5), moved).await.unwrap().unwrap();
    controller.kill();
    assert_eq!(watch.tables.borrow().slots[0].group, GroupId(2));
    stop.cancel();
    tasks.close();
    tokio::time::timeout(Duration::from_secs(5), tasks.wait()).await.unwrap();
}

#[tokio::test]
async fn metrics_are_there_from_the_start_and_count() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let controller = Controller::start(&config(dir.path(), 16, &addrs));
    let first = controller.page("/metrics").await;
    for line in [
        "slipway_control_migrations_total{result=\"moved\"} 0",
        "slipway_control_migrations_total{result=\"failed\"} 0",
        "slipway_control_stall_write_seconds_count 0",
    ] {
        assert!(first.contains(line), "{line} in\n{first}");
    }
    let plan = controller.migrate("0-3", 2).await;
    controller.ended(plan).await;
    let wanted = [
        "slipway_control_migrations_total{result=\"moved\"} 4",
        "slipway_control_stall_write_seconds_count 4",
        "slipway_control_slots{state=\"settled\"} 16",
        "slipway_control_group_slots{group=\"2\"} 12",
        "slipway_control_node_up{group=\"1\"} 1",
        "slipway_control_epoch_max 2",
        "slipway_control_moved_keys_total 12",
    ];
    let all = async || {
        let page = controller.page("/metrics").await;
        wanted.iter().all(|line| page.contains(line)).then_some(())
    };
    eventually(all).await.unwrap();
}
