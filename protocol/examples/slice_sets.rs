//! Slices 20,000 pipelined SETs of 64 bytes and finds their keys, for counting instructions:
//!
//! ```text
//! cargo build --release -p slipway-protocol --example slice_sets
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/slice_sets [slice|keys|replies|none]
//! ```
//!
//! `none` only builds the bytes: subtract it.

use protocol::command::lookup;
use protocol::request::encode_request;
use protocol::slicer::{Args, Limits, ReplyScan, Sliced, slice_request};

const REQUESTS: usize = 20_000;

fn main() {
    let what = std::env::args().nth(1).unwrap_or_else(|| "slice".to_owned());
    let mut input = Vec::new();
    for nth in 0..REQUESTS {
        let key = format!("key:{nth:012}");
        encode_request(&mut input, &[b"SET", key.as_bytes(), &[b'v'; 64]]);
    }
    let replies = b"$5\r\nhello\r\n".repeat(REQUESTS);
    let found = match what.as_str() {
        "slice" => slice(&input, |_, _| 1),
        "keys" => slice(&input, |frame, args| {
            let command = args.get(frame, 0).and_then(lookup);
            command
                .and_then(|command| command.key_positions(frame, args).ok())
                .map_or(0, |keys| keys.len())
        }),
        "replies" => scan(&replies),
        _ => REQUESTS,
    };
    assert_eq!(found, REQUESTS);
}

fn slice(input: &[u8], mut each: impl FnMut(&[u8], &Args) -> usize) -> usize {
    let (limits, mut args, mut at, mut found) = (Limits::default(), Args::new(), 0, 0);
    while let Ok(Sliced::Request { len }) = slice_request(&input[at..], &limits, &mut args) {
        found += each(&input[at..at + len], &args);
        at += len;
    }
    found
}

fn scan(input: &[u8]) -> usize {
    let (mut scan, mut at, mut found) = (ReplyScan::default(), 0, 0);
    while let Ok(Some(len)) = scan.scan(&input[at..]) {
        at += len;
        found += 1;
    }
    found
}
