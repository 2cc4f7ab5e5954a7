//! The admin ports: wrong methods, paths, bodies, and bytes that are no HTTP.

use super::{says, serves_on, treated};
use harness::http;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A request to the controller, its status, and what the answer must say.
const REQUESTS: &[(&str, &str, u16, &[&str])] = &[
    ("GET /nowhere", "", 404, &["there is no /nowhere", "/api/v1/status"]),
    ("POST /api/v1/status", "", 405, &["GET"]),
    ("DELETE /api/v1/moves", "", 405, &["GET", "POST"]),
    ("POST /api/v1/moves", "", 400, &["slots"]),
    ("POST /api/v1/moves", "{", 400, &["EOF"]),
    ("POST /api/v1/moves", "[1,2]", 400, &["what_to_do"]),
    ("POST /api/v1/moves", "{\"slots\":\"0\"}", 400, &["to"]),
    ("POST /api/v1/moves", "{\"slots\":7,\"to\":2}", 400, &["string"]),
    ("POST /api/v1/moves", "{\"slots\":\"0\",\"to\":2,\"now\":1}", 400, &["now"]),
    ("POST /api/v1/moves", "{\"slots\":\"9-1\",\"to\":2}", 400, &["runs backwards"]),
    ("POST /api/v1/moves", "{\"slots\":\"9999\",\"to\":2}", 400, &["slot 9999 does not exist"]),
    ("POST /api/v1/moves", "{\"slots\":\"0\",\"to\":7}", 400, &["group 7 does not exist", "1, 2"]),
    ("POST /api/v1/moves", "{\"slots\":\"0\",\"to\":-1}", 400, &["what_to_do"]),
    ("POST /api/v1/pace", "{\"bytes\":1}", 400, &["too few"]),
    ("POST /api/v1/abort", "{\"slots\":\"x\"}", 400, &["no slot or range"]),
    ("GET /api/v1/moves?plan=x", "", 400, &["plan=x is no number"]),
    ("GET /api/v1/moves?plan=77", "", 404, &["77"]),
    ("GET /api/v1/table?since=-1", "", 400, &["since=-1 is no number"]),
];

#[test]
fn what_the_admin_port_cannot_do_is_said_with_what_to_do() {
    let mut cluster = treated();
    for (head, body, status, words) in REQUESTS {
        let (code, answer) = http::ask(&cluster.admin, head, body.as_bytes()).unwrap();
        let input = format!("{head} {body}");
        assert_eq!(code, *status, "{input}: {answer}");
        says(&answer, words, &input);
    }
    // Deep nesting must not end in the stack.
    let deep = "[".repeat(1 << 20);
    let (code, _) = http::ask(&cluster.admin, "POST /api/v1/moves", deep.as_bytes()).unwrap();
    assert_eq!(code, 400);
    serves_on(&mut cluster);
}

#[test]
fn bytes_that_are_no_request_are_answered_or_closed_at_every_admin_port() {
    let mut cluster = treated();
    let ports = [&cluster.admin, &cluster.proxy_admin, &cluster.node_admins[0]].map(String::clone);
    for addr in &ports {
        let huge = http::ask(addr, "POST /api/v1/moves", &vec![b'x'; 9 << 20]);
        assert_eq!(huge.map(|(code, _)| code), Ok(413), "{addr}");
        for bytes in [
            &b"*1\r\n$4\r\nPING\r\n"[..],
            b"\0\xff\xfe\x80garbage\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
            &[b'a'; 64 << 10],
        ] {
            let answer = all_of(addr, bytes);
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{addr}: {answer}");
        }
        // Clients that never finish keep nobody waiting.
        let slow: Vec<TcpStream> = (0..50).map(|_| half_a_request(addr)).collect();
        http::get(addr, "/livez").unwrap();
        drop(slow);
    }
    serves_on(&mut cluster);
}

fn half_a_request(addr: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(b"POST /api/v1/moves HTTP/1.1\r\nContent-Le").unwrap();
    stream
}

/// What is answered to these bytes until the connection is closed.
fn all_of(addr: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        // Closed with bytes of ours unread; anything else is a hang.
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{addr}: {error}");
    }
    String::from_utf8_lossy(&answer).into_owned()
}
