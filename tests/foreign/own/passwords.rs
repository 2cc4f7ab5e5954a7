//! Nodes with a password under our own controller: a Pika migrates its slots by itself then, one at a time; all others move as without one.

use super::super::world::Node;
use super::world::{Parts, WITHOUT_TTL, World};
use crate::moves_under_load::nothing_wrong;
use doubles::{codis_server, pika};

const PASSWORD: &str = "secret";

fn pika() -> Node {
    Node::Pika(pika::Settings { password: PASSWORD.to_owned(), ..Default::default() })
}

fn codis_server() -> Node {
    Node::CodisServer(codis_server::Settings {
        password: PASSWORD.to_owned(),
        ..Default::default()
    })
}

/// Under load the slots go this way, from group 1 on.
fn goes(groups: &[Node], proxies: usize, way: &[u32]) {
    let parts = Parts { proxies, password: PASSWORD, ..Parts::of(groups) };
    let mut world = World::start_of(parts);
    let load = world.load(0, &format!("--reply-ms-max 60000 {WITHOUT_TTL}"));
    for group in way {
        world.move_all(*group);
        let elsewhere = (1..=groups.len()).filter(|other| *other as u32 != *group);
        elsewhere.for_each(|other| assert_eq!(world.keys_of(other), 0, "in group {other}"));
    }
    // Writes may wait for their slot.
    nothing_wrong(&load.end());
    world.all_run();
}

#[test]
fn slots_of_pika_with_a_password_move_and_come_home() {
    goes(&[pika(), pika()], 1, &[2, 1]);
}

#[test]
fn the_same_with_two_proxies() {
    goes(&[pika(), pika()], 2, &[2]);
}

#[test]
fn slots_of_pika_with_a_password_go_to_ours_and_come_home() {
    goes(&[pika(), Node::Ours], 1, &[2, 1]);
}

#[test]
fn slots_of_codis_server_with_a_password_move() {
    goes(&[codis_server(), codis_server()], 1, &[2, 1]);
}

#[test]
fn slots_of_codis_server_with_a_password_go_to_ours_and_come_home() {
    goes(&[codis_server(), Node::Ours], 1, &[2, 1]);
}
