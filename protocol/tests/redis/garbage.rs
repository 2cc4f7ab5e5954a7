//! Bytes that are no request get Redis' own words, and requests in odd clothes are understood as Redis understands them.

use crate::server::Server;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use protocol::frame::{Value, decode};
use protocol::reply::{Reply, Version, errors};
use protocol::slicer::{Args, Limits, Sliced, slice_request};

/// Redis' limits: it allows more arguments than we do by default.
fn limits() -> Limits {
    Limits { args_max: i32::MAX as usize, ..Limits::default() }
}

/// The requests in `input`, and the error that ends them.
fn requests(mut input: &[u8]) -> (Vec<Vec<Vec<u8>>>, Option<String>) {
    let (mut found, mut args) = (Vec::new(), Args::new());
    loop {
        let owned = |frame: &[u8], args: &Args| args.iter(frame).map(<[u8]>::to_vec).collect();
        let len = match slice_request(input, &limits(), &mut args) {
            Ok(Sliced::Incomplete { .. }) => return (found, None),
            Ok(Sliced::Nothing { len }) => len,
            Ok(Sliced::Request { len }) => {
                found.push(owned(input, &args));
                len
            }
            Ok(Sliced::Inline { len, frame }) => {
                found.push(owned(&frame, &args));
                len
            }
            Err(error) => return (found, Some(error.to_string())),
        };
        input = &input[len..];
    }
}

#[test]
fn what_is_no_request_is_refused_with_the_words_of_redis() {
    let server = Server::start();
    let long = |head: &str| [head.as_bytes(), &vec![b'1'; 70_000]].concat();
    for garbage in [
        b"*abc\r\n".to_vec(),
        b"*\r\n".to_vec(),
        b"*-0\r\n".to_vec(),
        b"*00\r\n".to_vec(),
        b"*+1\r\n".to_vec(),
        b"* 1\r\n".to_vec(),
        b"*1 \r\n".to_vec(),
        b"*2147483648\r\n".to_vec(),
        b"*99999999999999999999\r\n".to_vec(),
        b"*1\r\n$-1\r\n".to_vec(),
        b"*1\r\n$+4\r\n".to_vec(),
        b"*1\r\n$04\r\nPING\r\n".to_vec(),
        b"*1\r\n$\r\n".to_vec(),
        b"*1\r\n$x\r\n".to_vec(),
        b"*1\r\n$536870913\r\n".to_vec(),
        b"*1\r\n$99999999999999999999\r\n".to_vec(),
        b"*2\r\n$4\r\nPING\r\n$-2\r\n".to_vec(),
        b"*1\r\nPING\r\n".to_vec(),
        b"*1\r\n:4\r\n".to_vec(),
        b"*1\r\n*1\r\n".to_vec(),
        b"PING \"a\r\n".to_vec(),
        b"PING 'a'b\r\n".to_vec(),
        b"PING \"a\"b\r\n".to_vec(),
        b"PING 'a\\'\r\n".to_vec(),
        long("*"),
        long("*1\r\n$"),
        long("PING "),
    ] {
        let mut connection = server.connect();
        connection.send_raw(&garbage);
        let theirs = connection.receive_to_end();
        let (_, error) = requests(&garbage);
        let shown = String::from_utf8_lossy(&garbage[..garbage.len().min(40)]).into_owned();
        let ours = format!("-ERR {}\r\n", error.unwrap_or_else(|| panic!("{shown:?} is accepted")));
        assert_eq!(ours, String::from_utf8_lossy(&theirs), "{shown:?}");
    }
}

/// Redis says nothing, we say why; both close before the body is looked at.
#[test]
fn http_is_refused_before_its_body_is_taken_for_requests() {
    let server = Server::start();
    for head in [
        "POST / HTTP/1.1\r\nHost: x\r\n\r\nFLUSHALL\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\r\nFLUSHALL\r\n",
    ] {
        let mut connection = server.connect();
        connection.send_raw(head.as_bytes());
        let theirs = String::from_utf8(connection.receive_to_end()).unwrap();
        assert!(!theirs.contains("+OK"), "{theirs}");
        let (requests, error) = requests(head.as_bytes());
        assert_eq!(error.as_deref(), Some("Protocol error: this is not an HTTP port"));
        assert!(!requests.concat().contains(&b"FLUSHALL".to_vec()));
    }
}

#[test]
fn inline_requests_are_split_as_redis_splits_them() {
    let server = Server::start();
    let mut connection = server.connect();
    let piece = prop::sample::select(vec![
        " ",
        "  ",
        "\t",
        "\x0b",
        "\x0c",
        "a",
        "b'",
        "'",
        "\"",
        "\\",
        "\\n",
        "\\x41",
        "\\x4",
        "\\xzz",
        "\\\"",
        "\\'",
        "\r",
        "é",
        "\\r",
        "\\t\\a\\b",
        "#",
    ]);
    let line = prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat());
    let connection = std::cell::RefCell::new(&mut connection);
    TestRunner::new(Config { cases: 5_000, failure_persistence: None, ..Config::default() })
        .run(&line, |line| {
            let mut connection = connection.borrow_mut();
            // LPUSH answers nothing of the words, LRANGE all of them.
            let sent = format!("LPUSH k {line}\n");
            let (ours, error) = requests(sent.as_bytes());
            if let Some(error) = error {
                let mut other = server.connect();
                other.send_raw(sent.as_bytes());
                let theirs = String::from_utf8(other.receive_to_end()).unwrap();
                prop_assert_eq!(format!("-ERR {error}\r\n"), theirs);
                return Ok(());
            }
            let mut words = ours[0][2..].to_vec();
            words.reverse();
            connection.call(&[b"DEL", b"k"]);
            connection.send_raw(sent.as_bytes());
            let pushed = connection.receive();
            if words.is_empty() {
                prop_assert_eq!(pushed, Value::Error(errors::arity("lpush")));
                return Ok(());
            }
            let theirs = connection.call(&[b"LRANGE", b"k", b"0", b"-1"]);
            let theirs: Vec<_> = theirs
                .as_items()
                .unwrap()
                .iter()
                .map(|item| item.as_bytes().unwrap().to_vec())
                .collect();
            prop_assert_eq!(words, theirs);
            Ok(())
        })
        .unwrap();
}

#[test]
fn an_unknown_command_is_named_as_redis_names_it() {
    let server = Server::start();
    let mut connection = server.connect();
    let long = [b'y'; 200];
    let requests: [&[&[u8]]; 9] = [
        &[b"foo"],
        &[b""],
        &[b"foo", b"a", b"b"],
        &[b"foo", &long, b"z"],
        &[&long, b"z"],
        &[b"foo", &long[..100], &long[..100], b"z"],
        &[b"foo\r\nbar", b"a\0b", b"c\rd"],
        &[b"foo", b""],
        &[b"\0", b"a"],
    ];
    for request in requests {
        let mut bytes = Vec::new();
        let line = errors::unknown_command(request[0], request[1..].iter().copied());
        Reply::new(&mut bytes, Version::Resp2).error(line);
        assert_eq!(decode(&bytes).unwrap().unwrap().0, connection.call(request));
    }
}
