//! Keys are found where Redis finds them, and what makes no sense is refused with its words.

use crate::server::Server;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use protocol::command::{Keys, getkeys, lookup, table};
use protocol::frame::{Value, decode};
use protocol::reply::{Reply, Version};
use protocol::request::encode_request;
use protocol::slicer::{Args, Limits, slice_request};
use std::cell::RefCell;

fn sliced(request: &[&[u8]]) -> (Vec<u8>, Args) {
    let (mut frame, mut args) = (Vec::new(), Args::new());
    encode_request(&mut frame, request);
    slice_request(&frame, &Limits::default(), &mut args).unwrap();
    (frame, args)
}

fn ours(request: &[&[u8]]) -> Value {
    let (frame, args) = sliced(request);
    let mut bytes = Vec::new();
    getkeys(&frame, &args, &mut Reply::new(&mut bytes, Version::Resp2));
    decode(&bytes).unwrap().unwrap().0
}

fn words(line: &str) -> Vec<&[u8]> {
    line.split(' ')
        .map(|word| if word == "\"\"" { b"".as_slice() } else { word.as_bytes() })
        .collect()
}

#[test]
fn keys_behind_words_and_numbers_are_named_as_redis_does() {
    let server = Server::start();
    let mut connection = server.connect();
    for inner in [
        "get a",
        "foo a",
        "ping a",
        "get a b",
        "mset a 1 b 2",
        "mset a 1 b",
        "blpop a b 0",
        "bitop and d a b",
        "object encoding a",
        "object help",
        "object foo a",
        "object|encoding encoding a",
        "memory usage a",
        "xgroup create a g $",
        "config get a",
        "ssubscribe a",
        "pfmerge a",
        "pfmerge a b c",
        "pfdebug encoding a",
        "lcs a b",
        "sinterstore d a b",
        "zunionstore d 2 a b weights 1 2",
        "zunionstore d 0 a",
        "zunionstore d x a",
        "zunion 2 a b",
        "zunion 3 a b",
        "zunion 0 b",
        "zunion -1 b",
        "sintercard 2 a b limit 1",
        "lmpop 2 a b left",
        "lmpop 2 a left",
        "blmpop 0 1 a left",
        "bzmpop 0 2 a b min",
        "eval s 2 a b c",
        "eval s 0 c",
        "eval s -1 c",
        "eval s x c",
        "eval s 7 c",
        "fcall_ro f 1 a",
        "sort a",
        "sort a store d",
        "sort a by store store b store c",
        "sort a limit 0 store store d",
        "sort a limit 0 store d",
        "sort a store",
        "sort_ro a by b get c",
        "xread streams a b 0 0",
        "xread count 2 block 0 streams a 0",
        "xread streams a b 0",
        "xread streams a",
        "xreadgroup group g c noack streams a b > >",
        "migrate h 1 a 0 5",
        "migrate h 1 \"\" 0 5 keys a b",
        "migrate h 1 \"\" 0 5 copy auth keys keys a b",
        "migrate h 1 \"\" 0 5 auth2 keys keys keys a",
        "migrate h 1 a 0 5 keys a b",
        "georadius a 1 2 3 m",
        "georadius a 1 2 3 m store b",
        "georadius a 1 2 3 m store b storedist c",
        "georadius a 1 2 3 store b c",
        "georadiusbymember a m 3 km asc store d",
        "geosearchstore d a frommember m byradius 1 m",
        "set a b",
        "set a b ex 1 get",
        "bitfield a",
        "bitfield a get u8 0",
        "bitfield a get u8 0 set u8 0 1",
        "bitfield a overflow sat incrby u8 0 1",
        "bitfield a overflow sat get u8 0",
        "bitfield a overflow",
        "bitfield a get u8",
        "bitfield_ro a get u8 0",
    ] {
        for verb in ["command getkeys", "command getkeysandflags"] {
            let line = format!("{verb} {inner}");
            let request = words(&line);
            assert_eq!(ours(&request), connection.call(&request), "{line}");
        }
    }
}

/// What the two may see differently: a word that options search for stands where a key or a value does.
fn is_ambiguous(request: &[Vec<u8>]) -> bool {
    let count =
        |word: &str| request.iter().filter(|arg| arg.eq_ignore_ascii_case(word.as_bytes())).count();
    match request[0].as_slice() {
        b"xread" | b"xreadgroup" => true,
        b"migrate" => {
            request[1..].iter().skip(5).rev().skip(1).filter(|arg| *arg == b"keys").count()
                != count("keys")
        }
        b"georadius" | b"georadiusbymember" => count("store") + count("storedist") > 1,
        _ => false,
    }
}

/// Any command with any arguments.
#[test]
fn keys_of_generated_requests_are_named_as_redis_does() {
    let server = Server::start();
    let connection = RefCell::new(server.connect());
    let names: Vec<Vec<u8>> = table()
        .iter()
        .filter(|command| command.group != "slots")
        .flat_map(|command| {
            std::iter::repeat_n(
                command,
                if matches!(command.keys, Keys::Range { .. } | Keys::None) { 1 } else { 10 },
            )
        })
        .map(|command| command.name.as_bytes().to_vec())
        .collect();
    let word = prop::sample::select(vec![
        "0",
        "1",
        "2",
        "3",
        "-1",
        "x",
        "",
        "a",
        "b",
        "STORE",
        "get",
        "by",
        "limit",
        "keys",
        "auth",
        "auth2",
        "copy",
        "storedist",
        "set",
        "help",
        "encoding",
        "usage",
        "stream",
    ]);
    let request = (prop::sample::select(names), prop::collection::vec(word, 1..9)).prop_map(
        |(name, words)| {
            [name]
                .into_iter()
                .chain(words.iter().map(|word| word.as_bytes().to_vec()))
                .collect::<Vec<_>>()
        },
    );
    TestRunner::new(Config { cases: 20_000, failure_persistence: None, ..Config::default() })
        .run(&request, |inner| {
            if is_ambiguous(&inner) {
                return Ok(());
            }
            let verb: [&[u8]; 2] = [b"COMMAND", b"GETKEYSANDFLAGS"];
            let request: Vec<&[u8]> =
                verb.into_iter().chain(inner.iter().map(Vec::as_slice)).collect();
            prop_assert_eq!(ours(&request), connection.borrow_mut().call(&request));
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_request_whose_keys_cannot_be_told_is_refused_as_redis_does() {
    let server = Server::start();
    let mut connection = server.connect();
    for line in [
        "get",
        "get a b",
        "mset a 1 b",
        "msetnx a 1 b",
        "object",
        "object foo",
        "object encoding",
        "object encoding a b",
        "config get",
        "config foo",
        "xinfo stream",
        "command foo",
        "sintercard x a",
        "sintercard 0 a",
        "sintercard -1 a",
        "sintercard 2 a",
        "lmpop x a left",
        "lmpop 0 a left",
        "lmpop 9 a left",
        "zmpop 0 a min",
        "zmpop 9 a min",
        "blmpop 0 x a left",
        "blmpop 0 9 a left",
        "bzmpop 0 -3 a min",
        "bzmpop 0 9 a min",
        "zunion x a",
        "zunion 0 a",
        "zunion 9 a",
        "zinter -1 a",
        "zdiff 9223372036854775808 a",
        "zintercard 0 a",
        "zinterstore d x a",
        "zunionstore d 0 a",
        "zdiffstore d 2 a",
        "eval s x",
        "eval s -1",
        "eval s 1",
        "eval_ro s 1",
    ] {
        let request = words(line);
        let (frame, args) = sliced(&request);
        let command = lookup(request[0]).unwrap();
        let error = command.key_positions(&frame, &args).expect_err(line);
        assert_eq!(Value::Error(error.to_string()), connection.call(&request), "{line}");
    }
}
