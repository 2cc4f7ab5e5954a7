//! What a codis-server sends to a node: SLOTSRESTORE, and SLOTSRESTORE-ASYNC with its acknowledgements.

use super::*;
use protocol::dump::crc64;

/// A line of what a codis-server has dumped: `name encoding payload`.
fn dumped(name: &str) -> Vec<u8> {
    let lines = include_str!("../../../protocol/src/dump/codis_server.txt").lines();
    let mut lines = lines.map(|line| line.split(' ').collect::<Vec<_>>());
    let hex = lines.find(|line| line[0] == name).unwrap()[2];
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// An acknowledgement's code and text.
fn part(source: &mut Client, words: &[&[u8]]) -> (String, String) {
    let words: Vec<&[u8]> = [&b"SLOTSRESTORE-ASYNC"[..]].iter().chain(words).copied().collect();
    let answer = source.call_bytes(&words);
    let items = answer.as_items().unwrap_or_else(|| panic!("{answer:?}"));
    let text = |at: usize| items[at].as_str().unwrap().to_owned();
    assert_eq!((items.len(), &*text(0)), (3, "SLOTSRESTORE-ASYNC-ACK"));
    (text(1), text(2))
}

fn taken(source: &mut Client, words: &[&[u8]]) -> String {
    let (code, text) = part(source, words);
    assert_eq!(code, "0", "{text}");
    text
}

/// A connection as a codis-server opens it.
fn source(node: &Server) -> Client {
    let mut client = node.client();
    assert_eq!(client.say("SLOTSRESTORE-ASYNC-SELECT 0"), "[SLOTSRESTORE-ASYNC-ACK 0 OK]");
    client
}

#[test]
fn keys_come_in_pieces_and_whole_and_are_what_they_were() {
    let node = Server::start();
    let (mut client, mut source) = (node.client(), source(&node));
    let say = |client: &mut Client, line: &str| client.say(line);
    assert_eq!(taken(&mut source, &[b"delete", b"k"]), "0");
    assert_eq!(taken(&mut source, &[b"string", b"k", b"50000", b"v"]), "1");
    assert_eq!(say(&mut client, "GET k"), "v");
    assert!(client.call("PTTL k").as_int().is_some_and(|ms| (40_000..=50_000).contains(&ms)));
    assert_eq!(taken(&mut source, &[b"expire", b"k", b"0"]), "1");
    assert_eq!(say(&mut client, "PTTL k"), ":-1");
    assert_eq!(taken(&mut source, &[b"delete", b"k"]), "1");
    for (kind, key, first, then, ends, seen) in [
        ("list", "l", &[&b"a"[..], b"b"][..], &[&b"a"[..]][..], "3", "LRANGE l 0 -1"),
        ("dict", "t", &[b"a", b"b"], &[b"b", b"c"], "3", "SMEMBERS t"),
        ("hash", "h", &[b"f", b"1", b"g", b"2"], &[b"g", b"3"], "2", "HGETALL h"),
    ] {
        let part = |words: &[&'static [u8]]| -> Vec<&[u8]> {
            [kind.as_bytes(), key.as_bytes(), b"9000", b"5"]
                .into_iter()
                .chain(words.iter().copied())
                .collect()
        };
        taken(&mut source, &part(first));
        assert!(client.call(&format!("PTTL {key}")).as_int() > Some(0), "not for ever yet");
        assert_eq!(taken(&mut source, &part(then)), ends);
        // As codis-server ends what it walks over.
        assert_eq!(taken(&mut source, &part(&[])), ends);
        taken(&mut source, &[b"expire", key.as_bytes(), b"0"]);
        let want = match kind {
            "list" => "[a b a]",
            "dict" => "[a b c]",
            _ => "[f 1 g 3]",
        };
        assert_eq!(
            (say(&mut client, seen), say(&mut client, &format!("PTTL {key}"))),
            (want.into(), ":-1".into())
        );
    }
    let bits = |score: f64| score.to_le_bytes();
    taken(&mut source, &[b"zset", b"z", b"0", b"2", b"m", &bits(5e-324), b"n", &bits(-1.0)]);
    assert_eq!(taken(&mut source, &[b"zset", b"z", b"0", b"2", b"n", &bits(0.1)]), "2");
    assert_eq!(
        say(&mut client, "ZRANGE z 0 -1 WITHSCORES"),
        "[m 4.9406564584124654e-324 n 0.10000000000000001]"
    );
    for (name, seen, want) in [
        ("list", "LLEN list", ":14"),
        ("zset", "ZSCORE zset high", "inf"),
        ("hash", "HGET hash n", "42"),
        ("intset8", "SMEMBERS intset8", "[-1 5000000000]"),
        ("lzf", "STRLEN lzf", ":400"),
    ] {
        assert_eq!(taken(&mut source, &[b"object", name.as_bytes(), b"0", &dumped(name)]), "1");
        assert_eq!(say(&mut client, seen), want, "{name}");
    }
    // All keys of a SLOTSRESTORE, or none; what is there is replaced.
    let mut damaged = dumped("set");
    damaged[0] ^= 1;
    let words: [&[u8]; 7] =
        [b"SLOTSRESTORE", b"list", b"0", &dumped("set"), b"zset", b"0", &damaged];
    let answer = client.call_bytes(&words);
    assert!(answer.as_error().is_some_and(|e| e.contains("checksum")), "{answer:?}");
    assert_eq!(say(&mut client, "TYPE list"), "list");
    let words: [&[u8]; 7] =
        [b"SLOTSRESTORE", b"list", b"0", &dumped("set"), b"zset", b"70000", &dumped("int8")];
    assert_eq!(client.call_bytes(&words).as_str(), Some("OK"));
    assert_eq!(
        (say(&mut client, "SCARD list"), say(&mut client, "GET zset")),
        (":3".into(), "-7".into())
    );
    assert!(client.call("PTTL zset").as_int() > Some(60_000));
}

#[test]
fn what_is_wrong_is_acknowledged_as_an_error_and_ends_the_connection() {
    let node = Server::start();
    let mut client = node.client();
    client.say("SET there 1");
    let mut unknown = [&[15, 0][..], &[7, 0]].concat();
    unknown.extend_from_slice(&crc64(&unknown).to_le_bytes());
    for (words, why) in [
        (&[&b"string"[..], b"there", b"0", b"v"][..], "the specified key already exists (there)"),
        (&[b"expire", b"absent", b"0"], "the specified key doesn't exist (absent)"),
        (&[b"list", b"absent", b"0", b"0"], "the specified key doesn't exist (absent)"),
        (&[b"list", b"there", b"0", b"0", b"e"], "wrong type"),
        (&[b"string", b"k", b"-1", b"v"], "invalid TTL value (TTL=-1)"),
        (&[b"object", b"k", b"0", b"nonsense"], "invalid payload checksum"),
        (&[b"object", b"k", b"0", &unknown], "invalid payload type"),
        (&[b"zset", b"k", b"0", b"1", b"m", b"1.5"], "invalid zset score ([0]), bad raw bits"),
        (&[b"hash", b"k", b"0", b"1", b"f"], "wrong number of arguments (argc=6,cmd=hash)"),
        (&[b"string", b"k", b"0"], "wrong number of arguments (argc=4,cmd=string)"),
        (&[b"bag", b"k", b"0", b"1", b"m"], "unknown command (argc=6,cmd=bag)"),
    ] {
        let mut source = source(&node);
        assert_eq!(part(&mut source, words), ("-1".to_owned(), why.to_owned()));
        assert_eq!(source.try_reply(), None, "{why}: it is closed");
    }
    assert_eq!(client.say("DBSIZE"), ":1");
    // A source would take an error line for a request, and answer it with one.
    let mut source = source(&node);
    source.send(b"-ERR unknown command\r\n");
    let answer = source.say_reply();
    assert!(answer.starts_with("[SLOTSRESTORE-ASYNC-ACK -1 ERR unknown command"), "{answer}");
    assert_eq!(source.try_reply(), None);
}

#[test]
fn a_source_logs_in_by_its_own_word() {
    let node = Server::start_with(|config| config.password = Some("secret".to_owned()));
    let mut source = node.client();
    assert_eq!(
        source.say("SLOTSRESTORE-ASYNC-AUTH wrong"),
        "[SLOTSRESTORE-ASYNC-ACK -1 invalid password]"
    );
    assert_eq!(source.try_reply(), None);
    let mut source = node.client();
    source.send(b"SLOTSRESTORE-ASYNC-AUTH secret\r\nSLOTSRESTORE-ASYNC-SELECT 1\r\n");
    for _ in 0..2 {
        assert_eq!(source.say_reply(), "[SLOTSRESTORE-ASYNC-ACK 0 OK]");
    }
    taken(&mut source, &[b"string", b"k", b"0", b"v"]);
    let mut client = node.client();
    client.say("AUTH secret");
    assert_eq!(
        (client.say("GET k"), {
            client.say("SELECT 1");
            client.say("GET k")
        }),
        ("nil".into(), "v".into())
    );
}

#[test]
fn a_key_of_a_slot_that_another_node_owns_goes_there() {
    let (a, b) = (Server::start(), Server::start());
    let slot = slot_of("{t}");
    drive(&mut a.client(), &order(slot, &b));
    let mut source = source(&a);
    taken(&mut source, &[b"string", b"{t}", b"0", b"v"]);
    assert_eq!(b.client().say("GET {t}"), "v");
}
