//! The way from Pika to nodes of ours: a group of ours is added, and slots move to it as to any other.

use super::world::{Node, Parts, World, not_noticed};
use codis::model::ForwardMethod;

fn there(method: ForwardMethod) {
    let mut world = World::start(Parts { target: Node::Ours, method, ..Parts::default() });
    let load = world.load(0, "--server pika");
    assert_eq!(world.move_all(2), usize::try_from(World::slots()).unwrap());
    not_noticed(&load.end());
    world.source_is_empty();
    world.all_run();
}

#[test]
fn slots_of_pika_move_to_a_node_of_ours_by_semi_async() {
    there(ForwardMethod::SemiAsync);
}

#[test]
fn slots_of_pika_move_to_a_node_of_ours_by_sync() {
    there(ForwardMethod::Sync);
}
