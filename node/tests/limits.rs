//! Limits bite: a clear error or back-pressure, no panic, no hang, bounded memory.

use crate::harness::{Client, Server, eventually};
use protocol::frame::Value;
use std::time::{Duration, Instant};

/// The reply to bytes as they are, and whether the connection was closed behind it.
fn answer(server: &Server, bytes: &[u8]) -> (String, bool) {
    let mut client = server.client();
    client.send(bytes);
    let reply =
        client.try_reply().map_or_else(String::new, |value| crate::harness::client::show(&value));
    (reply, client.try_reply().is_none())
}

#[test]
fn garbage_is_answered_in_redis_words_and_the_connection_closed() {
    let server = Server::start();
    for (bytes, error) in [
        (&b"*1\r\n$x\r\n"[..], "-ERR Protocol error: invalid bulk length"),
        (b"*x\r\n", "-ERR Protocol error: invalid multibulk length"),
        (b"*2000000\r\n", "-ERR Protocol error: invalid multibulk length"),
        (b"*1\r\n$1073741824\r\n", "-ERR Protocol error: invalid bulk length"),
        (b"*1\r\n:1\r\n", "-ERR Protocol error: expected '$', got ':'"),
        (b"set \"a\r\n", "-ERR Protocol error: unbalanced quotes in request"),
    ] {
        assert_eq!(
            answer(&server, bytes),
            (error.to_owned(), true),
            "{}",
            String::from_utf8_lossy(bytes)
        );
    }
    assert_eq!(server.client().say("PING"), "PONG");
}

#[test]
fn an_empty_line_and_words_without_a_frame_are_understood() {
    let server = Server::start();
    let mut client = server.client();
    client.send(b"\r\n\r\n*0\r\n*-1\r\nSET a \"x y\"\r\nGET a\r\n");
    assert_eq!(client.reply().as_str(), Some("OK"));
    assert_eq!(client.reply().as_str(), Some("x y"));
}

#[test]
fn a_request_that_comes_byte_by_byte_is_understood() {
    let server = Server::start();
    let mut client = server.client();
    for byte in b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhello\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n" {
        client.send(&[*byte]);
    }
    assert_eq!(client.reply().as_str(), Some("OK"));
    assert_eq!(client.reply().as_str(), Some("hello"));
}

#[test]
fn values_of_any_size_and_bytes_come_back_as_they_were() {
    let server = Server::start();
    let mut client = server.client();
    for size in [0, 1, 100, 1023, 1024, 1025, 70_000, 3 << 20] {
        let value: Vec<u8> = (0..size).map(|n: usize| ((n * 31) >> 3) as u8).collect();
        client.ask(&[b"SET", &value[..size.min(300)], &value]);
        client.ask(&[b"GET", &value[..size.min(300)]]);
        assert_eq!(client.reply().as_str(), Some("OK"));
        assert!(client.reply().as_bytes() == Some(&value[..]), "{size}");
    }
}

#[test]
fn too_many_clients_are_refused_and_room_is_given_back() {
    let server = Server::start_with(|config| config.clients_max = 3);
    let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.say("PING"), "PONG"));
    let mut refused = server.client();
    assert_eq!(
        crate::harness::client::show(&refused.reply()),
        "-ERR max number of clients reached"
    );
    assert!(refused.try_reply().is_none());
    clients.pop();
    eventually("a place is free", || {
        let mut client = server.client();
        client.try_ask(&[b"PING"]);
        client.try_reply().is_some_and(|reply| reply.as_error().is_none())
    });
}

#[test]
fn a_silent_client_is_closed_and_a_busy_one_is_not() {
    let server = Server::start_with(|config| config.idle_timeout = Duration::from_secs(1));
    let (mut silent, mut busy) = (server.client(), server.client());
    silent.say("PING");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1_500) {
        assert_eq!(busy.say("PING"), "PONG");
    }
    assert!(silent.try_reply().is_none());
    busy.say("CONFIG SET timeout 0");
}

#[test]
fn a_client_that_does_not_read_is_not_read_from_and_then_gets_everything() {
    let server = Server::start_with(|config| config.output_bytes_max = 1 << 20);
    let mut client = server.client();
    let value = vec![b'v'; 10_000];
    client.call_bytes(&[b"SET", b"k", &value]);
    let mut pipeline = Vec::new();
    const GETS: usize = 20_000;
    for _ in 0..GETS {
        protocol::request::encode_request(&mut pipeline, &[b"GET", b"k"]);
    }
    std::thread::scope(|scope| {
        let mut writer = client.twin();
        scope.spawn(move || writer.send(&pipeline));
        eventually("the client's requests wait", || {
            server.shared.stats.sum(|w| &w.output_waits) > 0
        });
        assert_eq!(server.client().say("PING"), "PONG", "others are served");
        for _ in 0..GETS {
            assert!(client.reply().as_bytes() == Some(&value[..]));
        }
    });
}

#[test]
fn a_transaction_that_queues_too_much_is_refused() {
    let server = Server::start_with(|config| config.queue_bytes_max = 1_000);
    let mut client = server.client();
    client.say("MULTI");
    let value = vec![b'v'; 400];
    let replies: Vec<Value> = (0..4).map(|_| client.call_bytes(&[b"SET", b"k", &value])).collect();
    assert!(replies.last().unwrap().as_error().unwrap().contains("queue_bytes_max"));
    assert!(client.say("EXEC").starts_with("-EXECABORT"));
}

#[test]
fn without_room_on_the_disk_writes_are_refused_and_reads_and_deletions_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start_on(directory.path(), |_| {});
    server.client().say("SET a 1");
    server.stop();
    drop(server);
    let server = Server::start_on(directory.path(), |config| config.disk_reserve_bytes = u64::MAX);
    let mut client = server.client();
    let refused = client.say("SET b 1");
    assert!(refused.starts_with("-MISCONF") && refused.contains("free space"), "{refused}");
    assert_eq!(client.say("GET a"), "1");
    for line in ["MULTI", "SET b 1"] {
        client.say(line);
    }
    assert!(client.say("EXEC").starts_with("-EXECABORT"));
    assert_eq!(client.say("DEL a"), ":1");
}

#[test]
fn a_password_is_asked_for() {
    let server = Server::start_with(|config| config.password = Some("secret".to_owned()));
    let mut client = server.client();
    assert_eq!(client.say("GET a"), "-NOAUTH Authentication required.");
    assert_eq!(client.say("SLIPWAY STATE"), "-NOAUTH Authentication required.");
    assert!(client.say("AUTH wrong").starts_with("-WRONGPASS"));
    assert!(client.say("HELLO 3").starts_with("-NOAUTH"));
    assert_eq!(client.say("AUTH secret"), "OK");
    assert_eq!(client.say("GET a"), "nil");
    let mut client = server.client();
    assert!(client.say("HELLO 3 AUTH default secret SETNAME me").contains("proto :3"));
    assert_eq!(client.say("CLIENT GETNAME"), "me");
}

#[test]
fn a_data_directory_that_cannot_be_opened_is_a_clear_error() {
    let open = |path: &std::path::Path, slots: u32| {
        let mut config = node::Config::new(path, "127.0.0.1:1");
        config.slot_count = cluster::SlotCount::new(slots).unwrap();
        node::Node::open(config).err().map(|error| error.to_string())
    };
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_on(directory.path(), |_| {});
    let error = open(directory.path(), 1024).unwrap();
    assert!(error.contains("in use by another process"), "{error}");
    drop(server);
    let error = open(directory.path(), 16).unwrap();
    assert!(error.contains("1024 slots") && error.contains("16"), "{error}");
    assert_eq!(open(directory.path(), 1024), None);
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = open(file.path(), 1024).unwrap();
    assert!(error.contains("data directory"), "{error}");
}
