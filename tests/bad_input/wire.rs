//! Bytes that are no requests, at the proxy and at a node.

use super::{says, serves_on, treated};
use harness::resp::Client;
use std::io::Read;
use std::net::Shutdown;

/// Bytes, and how the one error that answers them begins. The connection is closed behind it.
const GARBAGE: &[(&[u8], &str)] = &[
    (b"*1\r\n:4\r\n", "-ERR Protocol error: expected '$', got ':'"),
    (b"*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length"),
    (b"*1\r\n$1073741824\r\n", "-ERR Protocol error: invalid bulk length"),
    (b"*1\r\n$99999999999999999999\r\n", "-ERR Protocol error: invalid bulk length"),
    (b"*2147483648\r\n", "-ERR Protocol error: invalid multibulk length"),
    (b"*x\r\n", "-ERR Protocol error: invalid multibulk length"),
    (b"*1\r\n*1\r\n*1\r\n", "-ERR Protocol error: expected '$', got '*'"),
    (b"get \"foo\r\n", "-ERR Protocol error: unbalanced quotes in request"),
];

/// Commands that name what there is not; each is answered and the connection goes on.
const COMMANDS: &[(&str, &str)] = &[
    ("NOSUCH a b", "unknown command"),
    ("SET a", "wrong number of arguments"),
    ("SELECT 99999", "out of range"),
    ("SLOTSINFO x y", "ERR"),
    ("SLOTSSCAN 99999 0", "ERR"),
    ("INCRBY n1 9999999999999999999", "not an integer"),
    ("SETRANGE s1 536870912 x", "exceeds maximum allowed size"),
    ("HELLO 9", "NOPROTO"),
];

#[test]
fn garbage_gets_one_clear_error_and_nobody_else_notices() {
    let mut cluster = treated();
    for addr in [cluster.proxy.clone(), cluster.nodes[0].clone()] {
        for (bytes, error) in GARBAGE {
            let answer = all_of(&addr, bytes);
            assert!(answer.starts_with(error), "{addr}: {:?} → {answer}", bytes.escape_ascii());
            assert_eq!(answer.matches("\r\n").count(), 1, "{answer}");
        }
        let deep = b"*1\r\n".repeat(1 << 20);
        says(&all_of(&addr, &deep), &["Protocol error"], "deep nesting");
        says(&all_of(&addr, &[b'a'; 1 << 20]), &["Protocol error"], "a line without an end");
        for seed in 0..20 {
            // Whatever it answers: it must end, and it must not be the process.
            all_of(&addr, &noise(seed));
        }
        let mut client = Client::connect(&addr).unwrap();
        for (command, error) in COMMANDS {
            let answer = client.command(command).unwrap();
            let said = answer.as_error().unwrap_or_else(|| panic!("{command}: {answer:?}"));
            says(said, &[error], command);
        }
        assert_eq!(client.command("PING").unwrap().as_str(), Some("PONG"));
    }
    let mut client = Client::connect(&cluster.proxy).unwrap();
    let refused = client.command("SLIPWAY STATE").unwrap();
    assert!(refused.as_error().is_some(), "the words between our parts are not for clients");
    serves_on(&mut cluster);
}

#[test]
fn half_a_request_keeps_nobody_waiting_and_a_half_closed_socket_gets_its_answers() {
    let mut cluster = treated();
    for addr in [cluster.proxy.clone(), cluster.nodes[0].clone()] {
        let mut halves: Vec<Client> = (0..100).map(|_| Client::connect(&addr).unwrap()).collect();
        for client in &mut halves {
            client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$500000000\r\nbegin").unwrap();
        }
        assert_eq!(all_of(&addr, b"PING\r\n*1\r\n$4\r\nPI"), "+PONG\r\n");
        drop(halves);
    }
    serves_on(&mut cluster);
}

/// Sends, closes our half, and reads until the other side has closed its own.
fn all_of(addr: &str, bytes: &[u8]) -> String {
    let mut client = Client::connect(addr).unwrap();
    // It may be closed before all is sent.
    let _ = client.send(bytes);
    let _ = client.stream().shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    if let Err(error) = client.stream().read_to_end(&mut answer) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{addr}: {error}");
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Bytes of every kind, more often those that mean something.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..8192)
        .map(|_| {
            let number = next();
            if number % 3 == 0 {
                number.to_le_bytes()[3]
            } else {
                b"*$\r\n:+-01239 \"\\x"[number as usize % 16]
            }
        })
        .collect()
}
