//! The controller is killed at every word it says, before and after the node has done it, and started again.

use crate::controller::{Controller, config, eventually};
use crate::world::{Manner, Moment, World};
use cluster::Epoch;
use control::docs::{NodeState, SlotsRequest};
use std::time::Duration;

const MOMENTS: [Moment; 2] = [Moment::Before, Moment::After];

async fn killed_at(word: &'static str, nth: usize, moment: Moment) {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let config = config(dir.path(), 16, &addrs);
    let tripped = world.trip(word, nth, moment);
    let controller = Controller::start(&config);
    let plan = controller.migrate("0-3", 2).await;
    let wait = tokio::time::timeout(Duration::from_secs(10), tripped.notified());
    wait.await.unwrap_or_else(|_| panic!("{word} was not said {nth} times"));
    controller.kill();
    world.untrip();
    let controller = Controller::start(&config);
    let view = controller.ended(plan).await;
    assert_eq!((view.arrived, view.failed.len()), (4, 0), "{word} {nth} {moment:?}: {view:?}");
    for slot in 0..4 {
        assert_eq!(
            world.owners()[slot],
            (addrs[1].clone(), Epoch(2)),
            "{word} {nth} {moment:?}: one try is enough"
        );
    }
    assert_eq!(world.owners()[5].0, addrs[0]);
}

#[tokio::test]
async fn killed_at_any_word_of_a_move_the_controller_goes_on_where_it_was() {
    for moment in MOMENTS {
        for (word, times) in [
            ("CLAIM", 2),
            ("ASSIGN", 3),
            ("IMPORT", 2),
            ("EXPORT", 2),
            ("ARM", 2),
            ("DURABLE", 1),
            ("CLEAN", 1),
        ] {
            for nth in 1..=times {
                killed_at(word, nth, moment).await;
            }
        }
    }
}

#[tokio::test]
async fn killed_at_any_word_of_an_abort_the_slots_end_whole_at_their_owner() {
    for moment in MOMENTS {
        for (word, nth) in [("ABORT", 1), ("ABORT", 3), ("WHERE", 1), ("DROP", 1), ("DROP", 3)] {
            let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
            let addrs = [world.add("n1").await, world.add("n2").await];
            let config = config(dir.path(), 16, &addrs);
            let controller = Controller::start(&config);
            world.behave(&addrs[0], Manner::SlowCopy);
            let plan = controller.migrate("0-3", 2).await;
            world.copying(4).await;
            let tripped = world.trip(word, nth, moment);
            controller.client.abort(&SlotsRequest::default()).await.unwrap();
            tokio::time::timeout(Duration::from_secs(10), tripped.notified()).await.unwrap();
            controller.kill();
            world.untrip();
            world.behave(&addrs[0], Manner::Good);
            let controller = Controller::start(&config);
            controller.until("the end", |s| s.slots.settled == 16).await;
            assert_eq!(controller.view(plan).await.aborted, 4);
            // A new wish finds nothing in its way.
            let plan = controller.migrate("0-3", 2).await;
            assert_eq!(controller.ended(plan).await.arrived, 4, "{word} {nth} {moment:?}");
            assert_eq!(world.owners()[0], (addrs[1].clone(), Epoch(3)));
        }
    }
}

#[tokio::test]
async fn controller_and_source_killed_together_while_armed_lose_nothing() {
    for moment in MOMENTS {
        let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
        let addrs = [world.add("n1").await, world.add("n2").await];
        let config = config(dir.path(), 16, &addrs);
        world.behave(&addrs[0], Manner::NoHandoff);
        let tripped = world.trip("ARM", 2, moment);
        let controller = Controller::start(&config);
        let plan = controller.migrate("0-3", 2).await;
        tokio::time::timeout(Duration::from_secs(10), tripped.notified()).await.unwrap();
        controller.kill();
        world.kill(&addrs[0]);
        world.untrip();
        world.behave(&addrs[0], Manner::Good);
        world.restart(&addrs[0]).await;
        let controller = Controller::start(&config);
        assert_eq!(controller.ended(plan).await.arrived, 4);
        assert_eq!(world.owners()[0].0, addrs[1]);
    }
}

/// A store is put back from somebody's own backup, which knows nothing of what came after: here, that slots were opened.
#[tokio::test]
async fn migrations_that_a_store_put_back_from_a_backup_does_not_know_are_called_off() {
    let (world, dir) = (World::new(16), tempfile::tempdir().unwrap());
    let addrs = [world.add("n1").await, world.add("n2").await];
    let config = config(dir.path(), 16, &addrs);
    let controller = Controller::start(&config);
    controller.until("both nodes", |s| s.groups.iter().all(|g| g.state == NodeState::Up)).await;
    let file = dir.path().join("cluster.json");
    let old = std::fs::read(&file).unwrap();
    world.behave(&addrs[0], Manner::SlowCopy);
    controller.migrate("0-3", 2).await;
    world.copying(4).await;
    controller.kill();
    std::fs::write(&file, old).unwrap();
    std::fs::remove_file(dir.path().join("cluster.journal")).unwrap();
    world.behave(&addrs[0], Manner::Good);
    let controller = Controller::start(&config);
    let owners = eventually(async || world.whole().ok()).await.unwrap();
    assert_eq!(owners[0], (addrs[0].clone(), Epoch(1)));
    let plan = controller.migrate("0-3", 2).await;
    assert_eq!(controller.ended(plan).await.arrived, 4);
    assert_eq!(
        world.owners()[0],
        (addrs[1].clone(), Epoch(3)),
        "the epoch that was promised before is not used again"
    );
}
