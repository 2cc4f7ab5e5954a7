//! Runs one hot function so many times: for valgrind, which counts the instructions (`instructions.rs`).
//!
//! `hot NAME TIMES`; without arguments it names the functions. Zero times is what a start alone takes.

use anyhow::{Context, Result};
use cluster::SlotCount;
use protocol::command;
use protocol::request::encode_request;
use protocol::slicer::{Args, Limits, ReplyScan, Sliced, slice_request};
use std::hint::black_box;
use std::io::Write;

/// A function by name; it is told how often.
type Hot = (&'static str, fn(usize) -> Result<()>);

const ALL: [Hot; 11] = [
    ("slice-get", |times| slice(times, &get())),
    ("slice-set-64", |times| slice(times, &set(64))),
    ("slice-set-4096", |times| slice(times, &set(4096))),
    ("slice-mget-10", |times| slice(times, &mget())),
    ("slice-16-gets", |times| slice(times, &get().repeat(16))),
    ("scan-status", |times| scan(times, b"+OK\r\n")),
    ("scan-bulk-64", |times| scan(times, &bulk(64))),
    ("scan-bulk-4096", |times| scan(times, &bulk(4096))),
    ("scan-array-10", |times| scan(times, &[b"*10\r\n".to_vec(), bulk(64).repeat(10)].concat())),
    ("look-up-8-commands", look_up),
    ("slot-of-key", slot),
];

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, times] = words.as_slice() else {
        let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        writeln!(std::io::stdout(), "{}", names.join(" "))?;
        return Ok(());
    };
    let (_, run) = ALL.iter().find(|(known, _)| known == name).context("no such function")?;
    run(times.parse().context("TIMES is a number")?)
}

fn get() -> Vec<u8> {
    request(&[b"GET", b"short:000000012345"])
}

fn set(bytes: usize) -> Vec<u8> {
    request(&[b"SET", b"short:000000012345", &vec![b'v'; bytes]])
}

fn mget() -> Vec<u8> {
    let keys = [&b"short:000000012345"[..]; 10];
    request(&[&[&b"MGET"[..]], &keys[..]].concat())
}

fn request(args: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_request(&mut bytes, args);
    bytes
}

fn bulk(bytes: usize) -> Vec<u8> {
    [format!("${bytes}\r\n").into_bytes(), vec![b'v'; bytes], b"\r\n".to_vec()].concat()
}

/// Slices everything in `input`.
fn slice(times: usize, input: &[u8]) -> Result<()> {
    let (limits, mut args) = (Limits::default(), Args::new());
    for _ in 0..times {
        let mut rest = black_box(input);
        while let Sliced::Request { len } = slice_request(rest, &limits, &mut args)? {
            black_box(args.len());
            rest = &rest[len..];
            if rest.is_empty() {
                break;
            }
        }
    }
    Ok(())
}

fn scan(times: usize, input: &[u8]) -> Result<()> {
    let mut scan = ReplyScan::default();
    for _ in 0..times {
        black_box(scan.scan(black_box(input))?);
    }
    Ok(())
}

fn look_up(times: usize) -> Result<()> {
    let names = [&b"GET"[..], b"set", b"MGET", b"hset", b"ZADD", b"lpush", b"EXPIRE", b"nothing"];
    for _ in 0..times {
        for name in names {
            black_box(command::lookup(black_box(name)));
        }
    }
    Ok(())
}

fn slot(times: usize) -> Result<()> {
    for _ in 0..times {
        black_box(SlotCount::DEFAULT.of(black_box(b"short:000000012345")));
    }
    Ok(())
}
