//! Nodes that refuse, fail, vanish and come back, or are not who they should be.

use crate::controller::{Controller, config, eventually};
use crate::world::{Manner, World};
use cluster::{Epoch, SlotState};
use control::docs::{NodeState, SlotsRequest};
use std::time::Duration;

#[tokio::test]
async fn a_target_that_refuses_fails_the_move_with_its_reason_and_resume_takes_it_up() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let controller = Controller::start(&config(dir.path(), 16, &addrs));
    world.behave(&addrs[1], Manner::NoRoom);
    let plan = controller.migrate("0-3", 2).await;
    let view = controller.ended(plan).await;
    assert_eq!((view.arrived, view.failed.len()), (0, 1), "{view:?}");
    let failure = &view.failed[0];
    assert_eq!(failure.slots, "0-3");
    assert!(
        failure.reason.contains("after 5 tries") && failure.reason.contains("no room on the disk"),
        "{failure:?}"
    );
    let status = controller.status().await;
    assert!(
        status.troubles.iter().any(|t| t.contains("4 slots could not be moved")),
        "{:?}",
        status.troubles
    );
    assert_eq!(world.owners()[0], (addrs[0].clone(), Epoch(1)));

    world.behave(&addrs[1], Manner::Good);
    controller.client.resume(&SlotsRequest::default()).await.unwrap();
    assert_eq!(controller.ended(plan).await.arrived, 4);
    assert_eq!(
        world.owners()[0],
        (addrs[1].clone(), Epoch(7)),
        "five epochs were promised in vain"
    );
    assert!(controller.status().await.troubles.is_empty());
}

#[tokio::test]
async fn a_copy_that_fails_is_called_off_and_begun_again() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let controller = Controller::start(&config(dir.path(), 16, &addrs));
    world.behave(&addrs[0], Manner::BadCopy);
    let plan = controller.migrate("0", 2).await;
    eventually(async || world.take_words().iter().any(|w| w.starts_with("ABORT")).then_some(()))
        .await
        .unwrap();
    world.behave(&addrs[0], Manner::Good);
    assert_eq!(controller.ended(plan).await.arrived, 1);
    world.owners();
}

#[tokio::test]
async fn a_slot_that_is_armed_for_too_long_is_called_off_and_stays_whole() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let mut config = config(dir.path(), 16, &addrs);
    config.limits.armed_max = Duration::from_millis(50);
    config.limits.tries_max = 2;
    let controller = Controller::start(&config);
    world.behave(&addrs[0], Manner::NoHandoff);
    let plan = controller.migrate("0", 2).await;
    let view = controller.ended(plan).await;
    assert!(view.failed[0].reason.contains("no handoff came about"), "{view:?}");
    let owners = eventually(async || world.whole().ok()).await.unwrap();
    assert_eq!(owners[0], (addrs[0].clone(), Epoch(1)));
}

/// Past the grant there is no way back, whatever the operator says and however long it takes.
#[tokio::test]
async fn a_granted_slot_is_not_called_off_and_arrives_when_the_grant_does() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let mut config = config(dir.path(), 16, &addrs);
    config.limits.armed_max = Duration::from_millis(50);
    let controller = Controller::start(&config);
    world.behave(&addrs[0], Manner::GrantLost);
    let plan = controller.migrate("0", 2).await;
    let granted = || matches!(world.state(&addrs[0], 0), SlotState::Granted { .. });
    eventually(async || granted().then_some(())).await.unwrap();
    controller.client.abort(&SlotsRequest::default()).await.unwrap();
    controller.until("the way forward", |s| s.slots.handing_off == 1).await;
    assert!(!controller.view(plan).await.ended, "the abort came too late");
    assert!(!world.take_words().iter().any(|w| w.starts_with("DROP")));
    world.deliver_grants();
    assert_eq!(controller.ended(plan).await.arrived, 1);
    assert_eq!(world.owners()[0], (addrs[1].clone(), Epoch(2)));
}

#[tokio::test]
async fn a_node_that_is_away_is_waited_for_and_shown_and_the_move_goes_on_when_it_is_back() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let controller = Controller::start(&config(dir.path(), 16, &addrs));
    controller.until("both nodes", |s| s.groups.iter().all(|g| g.state == NodeState::Up)).await;
    for away in [0, 1] {
        world.behave(&addrs[0], Manner::SlowCopy);
        let plan = controller.migrate(&format!("{}-{}", away * 3, away * 3 + 2), 2).await;
        world.copying(3).await;
        world.kill(&addrs[away]);
        let status =
            controller.until("the news", |s| s.groups[away].state == NodeState::Away).await;
        assert!(status.troubles[0].contains(&addrs[away]), "{:?}", status.troubles);
        let notes = controller.view(plan).await.notes;
        assert!(
            notes.iter().any(|n| n.contains(&format!("group {}'s node", away + 1))),
            "{notes:?}"
        );
        world.behave(&addrs[0], Manner::Good);
        if away == 1 {
            world.finish_copies();
        }
        world.restart(&addrs[away]).await;
        assert_eq!(controller.ended(plan).await.arrived, 3);
        world.owners();
    }
}

#[tokio::test]
async fn moves_that_need_a_node_which_stays_away_fail_and_the_slots_stay_whole() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let mut config = config(dir.path(), 16, &addrs);
    config.limits.node_away_max = Duration::from_millis(300);
    config.limits.slots_moving_max = 2;
    let controller = Controller::start(&config);
    controller.until("both nodes", |s| s.groups.iter().all(|g| g.state == NodeState::Up)).await;
    world.behave(&addrs[0], Manner::SlowCopy);
    let plan = controller.migrate("0-3", 2).await;
    world.copying(2).await;
    world.kill(&addrs[1]);
    let view = controller.ended(plan).await;
    assert_eq!(
        view.failed.iter().map(|f| f.slots.as_str()).collect::<Vec<_>>().join(","),
        "0-3",
        "{view:?}"
    );
    assert!(
        view.failed[0].reason.contains("group 2's node at")
            && view.failed[0].reason.contains("away"),
        "{view:?}"
    );
    assert!(matches!(world.state(&addrs[0], 0), SlotState::Owned { .. }));
    world.behave(&addrs[0], Manner::Good);
    world.restart(&addrs[1]).await;
    controller.until("its return", |s| s.groups[1].state == NodeState::Up).await;
    controller.client.resume(&SlotsRequest::default()).await.unwrap();
    assert_eq!(controller.ended(plan).await.arrived, 4);
    world.owners();
}

/// In doubt: it crashed between ARM and the handoff, asks the target, and the answer decides.
#[tokio::test]
async fn a_source_that_is_killed_while_armed_asks_the_target_and_the_slot_moves_in_a_second_try() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let controller = Controller::start(&config(dir.path(), 16, &addrs));
    world.behave(&addrs[0], Manner::NoHandoff);
    let plan = controller.migrate("0-2", 2).await;
    let armed = || (0..3).all(|s| matches!(world.state(&addrs[0], s), SlotState::Armed { .. }));
    eventually(async || armed().then_some(())).await.unwrap();
    world.kill(&addrs[0]);
    world.behave(&addrs[0], Manner::Good);
    world.restart(&addrs[0]).await;
    assert_eq!(controller.ended(plan).await.arrived, 3);
    assert_eq!(
        world.owners()[0],
        (addrs[1].clone(), Epoch(3)),
        "the first try was refused by the target"
    );
}

#[tokio::test]
async fn a_target_that_is_killed_when_it_has_just_become_the_owner_is_recognised() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let controller = Controller::start(&config(dir.path(), 16, &addrs));
    world.behave(&addrs[0], Manner::GrantLost);
    let plan = controller.migrate("0", 2).await;
    let ready = || matches!(world.state(&addrs[1], 0), SlotState::Ready { .. });
    eventually(async || ready().then_some(())).await.unwrap();
    world.kill(&addrs[1]);
    world.deliver_grants();
    world.restart(&addrs[1]).await;
    assert_eq!(controller.ended(plan).await.arrived, 1);
    assert_eq!(world.owners()[0], (addrs[1].clone(), Epoch(2)));
}

#[tokio::test]
async fn another_node_at_a_group_s_address_is_refused_loudly_and_given_nothing() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let controller = Controller::start(&config(dir.path(), 16, &addrs));
    controller.until("both nodes", |s| s.groups.iter().all(|g| g.state == NodeState::Up)).await;
    world.kill(&addrs[1]);
    world.replace(&addrs[1], "n9");
    world.take_words();
    world.restart(&addrs[1]).await;
    let status =
        controller.until("the refusal", |s| s.groups[1].state == NodeState::Unwanted).await;
    let error = status.groups[1].error.as_deref().unwrap();
    assert!(
        error.contains("n9")
            && error.contains("n2 is expected")
            && error.contains("data directory"),
        "{error}"
    );
    assert!(world.take_words().is_empty(), "it was told nothing");
    assert_eq!(world.state(&addrs[1], 15), SlotState::Unclaimed);
}

#[tokio::test]
async fn two_groups_on_one_node_are_refused() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addr = world.add("n1").await;
    let other = world.add("n1").await;
    let controller = Controller::start(&config(dir.path(), 16, &[addr, other]));
    let status = controller
        .until("the refusal", |s| s.groups.iter().any(|g| g.state == NodeState::Unwanted))
        .await;
    let unwanted = status.groups.iter().find(|g| g.state == NodeState::Unwanted).unwrap();
    assert!(unwanted.error.as_deref().unwrap().contains("is the node of group"), "{unwanted:?}");
}

#[tokio::test]
async fn a_store_that_cannot_write_stops_everything_in_its_place_and_is_shown() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let controller = Controller::start(&config(dir.path(), 16, &addrs));
    controller.until("both nodes", |s| s.groups.iter().all(|g| g.state == NodeState::Up)).await;
    world.behave(&addrs[0], Manner::SlowCopy);
    let plan = controller.migrate("0-2", 2).await;
    world.copying(3).await;
    let obstacles = ["cluster.journal", "cluster.json.new"].map(|name| dir.path().join(name));
    std::fs::remove_file(&obstacles[0]).unwrap();
    obstacles.iter().for_each(|obstacle| std::fs::create_dir(obstacle).unwrap());
    world.take_words();
    world.finish_copies();
    let status = controller.until("the error", |s| !s.troubles.is_empty()).await;
    assert!(status.troubles[0].contains("the store: cannot write"), "{:?}", status.troubles);
    assert!(
        !world.take_words().iter().any(|w| w.starts_with("ARM")),
        "nothing is armed that is not stored"
    );
    let page = controller.page("/metrics").await;
    let errors =
        page.lines().find_map(|l| l.strip_prefix("slipway_control_store_errors_total ")).unwrap();
    assert!(
        (1..5).contains(&errors.parse::<u32>().unwrap()),
        "{errors} tries: the store is left alone for a second"
    );
    assert!(controller.page("/readyz").await.contains("not ready: cannot write"));
    obstacles.iter().for_each(|obstacle| std::fs::remove_dir(obstacle).unwrap());
    assert_eq!(controller.ended(plan).await.arrived, 3);
    assert!(controller.status().await.troubles.is_empty());
}
