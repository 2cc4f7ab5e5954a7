//! A node answers, and what it was told survives.

use crate::harness::Server;

#[test]
fn a_value_that_was_set_is_there_until_it_is_deleted() {
    let server = Server::start();
    let mut client = server.client();
    assert_eq!(client.say("PING"), "PONG");
    assert_eq!(client.say("GET a"), "nil");
    assert_eq!(client.say("SET a 1"), "OK");
    assert_eq!(client.say("GET a"), "1");
    assert_eq!(client.say("DEL a b"), ":1");
    assert_eq!(client.say("GET a"), "nil");
    assert_eq!(client.say("QUIT"), "OK");
    assert!(client.try_reply().is_none());
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let server = Server::start();
    let mut client = server.client();
    for number in 0..10_000_u32 {
        let value = number.to_string();
        client.ask(&[b"SET", b"k", value.as_bytes()]);
        client.ask(&[b"GET", b"k"]);
        if number % 500 == 499 {
            for past in number - 499..=number {
                assert_eq!(client.reply().as_str(), Some("OK"));
                assert_eq!(client.reply().as_str(), Some(past.to_string().as_str()));
            }
        }
    }
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start_on(directory.path(), |_| {});
    assert_eq!(server.client().say("SET a 1"), "OK");
    server.stop();
    drop(server);
    let server = Server::start_on(directory.path(), |_| {});
    assert_eq!(server.client().say("GET a"), "1");
}
