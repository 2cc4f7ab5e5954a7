//! The way to nodes of ours: a group of ours is added, and slots move to it as to any other.

use super::world::{Node, Parts, World, not_noticed};
use codis::model::ForwardMethod;
use doubles::codis_server;

fn there(source: Node, method: ForwardMethod) {
    let kind = match source {
        Node::CodisServer(_) => "--server codis-server",
        _ => "--server pika",
    };
    let mut world = World::start(Parts { source, target: Node::Ours, method, ..Parts::default() });
    let load = world.load(0, kind);
    assert_eq!(world.move_all(2), usize::try_from(World::slots()).unwrap());
    not_noticed(&load.end());
    world.source_is_empty();
    world.all_run();
}

fn codis_server() -> Node {
    Node::CodisServer(codis_server::Settings::default())
}

#[test]
fn slots_of_pika_move_to_a_node_of_ours_by_semi_async() {
    there(Node::pika(), ForwardMethod::SemiAsync);
}

#[test]
fn slots_of_pika_move_to_a_node_of_ours_by_sync() {
    there(Node::pika(), ForwardMethod::Sync);
}

#[test]
fn slots_of_codis_server_move_to_a_node_of_ours_by_semi_async() {
    there(codis_server(), ForwardMethod::SemiAsync);
}

#[test]
fn slots_of_codis_server_move_to_a_node_of_ours_by_sync() {
    there(codis_server(), ForwardMethod::Sync);
}
