//! The table equals Redis' own.

use crate::server::{Connection, Server};
use protocol::command::{
    Command, Flags, RouteRule, answer, command_docs, command_info, lookup, table,
};
use protocol::frame::{Value, decode};
use protocol::reply::{Reply, Version};
use protocol::slicer::{Args, Limits, slice_request};

/// Ours alone.
fn is_ours(name: &str) -> bool {
    matches!(name, "slipway" | "codis.info" | "pconfig") || name.starts_with("slots")
}

fn written(version: Version, write: impl FnOnce(&mut Reply<'_>)) -> Value {
    let mut bytes = Vec::new();
    write(&mut Reply::new(&mut bytes, version));
    let (value, len) = decode(&bytes).unwrap().unwrap();
    assert_eq!(len, bytes.len(), "more than one reply");
    value
}

/// Subcommands stand in no order in Redis.
fn sorted(value: Value) -> Value {
    let by_text = |value: &Value| format!("{value:?}");
    match value {
        Value::Array(items) if items.len() == 10 => {
            let mut items: Vec<Value> = items.into_iter().map(sorted).collect();
            if let Some(Value::Array(subs) | Value::Set(subs)) = items.last_mut() {
                subs.sort_by_key(by_text);
            }
            Value::Array(items)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Set(items) => Value::Set(items.into_iter().map(sorted).collect()),
        Value::Map(pairs) => {
            let mut pairs: Vec<_> =
                pairs.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            pairs.sort_by_key(|(key, _)| by_text(key));
            Value::Map(pairs)
        }
        other => other,
    }
}

fn hello(version: Version, connection: &mut Connection) {
    if version == Version::Resp3 {
        connection.call(&[b"HELLO", b"3"]);
    }
}

#[test]
fn every_command_of_redis_is_in_the_table_and_no_other() {
    let server = Server::start();
    let list = server.connect().call(&[b"COMMAND", b"LIST"]);
    let mut theirs: Vec<String> =
        list.as_items().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    theirs.extend(table().iter().filter(|c| is_ours(c.name)).map(|c| c.name.to_owned()));
    theirs.sort();
    let mut ours = Vec::new();
    for command in table() {
        ours.push(command.name.to_owned());
        ours.extend(command.subcommands.iter().map(|sub| format!("{}|{}", command.name, sub.name)));
    }
    ours.sort();
    assert_eq!(ours, theirs);
}

#[test]
fn arity_flags_and_keys_are_those_of_redis() {
    let server = Server::start();
    let mut connection = server.connect();
    for command in table().iter().filter(|command| !is_ours(command.name)) {
        let info = connection.call(&[b"COMMAND", b"INFO", command.name.as_bytes()]);
        let items = info.as_items().unwrap()[0].as_items().unwrap();
        let flag = |name: &str| {
            items[2].as_items().unwrap().iter().any(|flag| flag.as_str() == Some(name))
        };
        assert_eq!(items[1].as_int(), Some(i64::from(command.arity)), "arity of {}", command.name);
        if command.subcommands.is_empty() {
            assert_eq!(command.is_write(), flag("write"), "write flag of {}", command.name);
            assert_eq!(
                command.flags.contains(Flags::READ),
                flag("readonly"),
                "read flag of {}",
                command.name
            );
        }
        if let protocol::command::Keys::Range { first, last, step } = command.keys
            && command.subcommands.is_empty()
        {
            let range: Vec<i64> = items[3..6].iter().map(|item| item.as_int().unwrap()).collect();
            assert_eq!(
                range,
                [i64::from(first), i64::from(last), i64::from(step)],
                "keys of {}",
                command.name
            );
        }
    }
}

#[test]
fn command_info_is_what_redis_answers() {
    let server = Server::start();
    for version in [Version::Resp2, Version::Resp3] {
        let mut connection = server.connect();
        hello(version, &mut connection);
        for command in table().iter().filter(|command| !is_ours(command.name)) {
            let theirs = connection.call(&[b"COMMAND", b"INFO", command.name.as_bytes()]);
            let ours = written(version, |reply| command_info(command, reply));
            assert_eq!(
                sorted(Value::Array(vec![ours])),
                sorted(theirs),
                "{} in {version:?}",
                command.name
            );
        }
    }
}

/// Pairs of a RESP3 map without those we leave out, subcommands by name.
fn docs_without(mut value: Value, left_out: &[&str]) -> Value {
    if let Value::Map(pairs) = &mut value {
        pairs.retain(|(key, _)| !left_out.contains(&key.as_str().unwrap()));
        for (_, inner) in pairs.iter_mut() {
            *inner = docs_without(inner.clone(), left_out);
        }
        pairs.sort_by_key(|(key, _)| key.as_str().unwrap().to_owned());
    }
    value
}

#[test]
fn command_docs_is_what_redis_answers_but_for_history() {
    let server = Server::start();
    let mut connection = server.connect();
    hello(Version::Resp3, &mut connection);
    for command in table().iter().filter(|command| !is_ours(command.name)) {
        let theirs = connection.call(&[b"COMMAND", b"DOCS", command.name.as_bytes()]);
        let ours = written(Version::Resp3, |reply| {
            reply.map(1);
            command_docs(command, reply);
        });
        let left_out: &[&str] =
            if command.is_served() { &["history"] } else { &["history", "arguments"] };
        assert_eq!(docs_without(ours, left_out), docs_without(theirs, left_out));
    }
}

fn sliced(request: &[&[u8]]) -> (Vec<u8>, Args) {
    let (mut frame, mut args) = (Vec::new(), Args::new());
    protocol::request::encode_request(&mut frame, request);
    slice_request(&frame, &Limits::default(), &mut args).unwrap();
    (frame, args)
}

fn answered(version: Version, request: &[&[u8]]) -> Value {
    let (frame, args) = sliced(request);
    written(version, |reply| answer(&frame, &args, Command::is_served, reply))
}

#[test]
fn command_and_its_subcommands_are_answered_as_redis_does() {
    let server = Server::start();
    for version in [Version::Resp2, Version::Resp3] {
        let mut connection = server.connect();
        hello(version, &mut connection);
        let requests: [&[&[u8]]; 17] = [
            &[b"command", b"list", b"filterby", b"pattern"],
            &[b"command", b"list", b"sortby", b"pattern", b"x"],
            &[b"COMMAND", b"INFO", b"get", b"nosuch", b"CONFIG|GET", b"config|nosuch", b"set|x"],
            &[b"command", b"docs", b"nosuch"],
            &[b"command", b"help"],
            &[b"command", b"nosuch"],
            &[b"command", b"count", b"x"],
            &[b"command", b"list", b"filterby", b"pattern", b"HMG*"],
            &[b"command", b"list", b"filterby", b"pattern", b"config|g*"],
            &[b"command", b"list", b"filterby", b"module", b"nosuch"],
            &[b"command", b"list", b"filterby", b"aclcat", b"nosuch"],
            &[b"command", b"list", b"filterby", b"aclcat"],
            &[b"command", b"list", b"filterby", b"nosuch", b"x"],
            &[b"command", b"getkeys"],
            &[b"command", b"getkeys", b"get"],
            &[b"command", b"getkeys", b"get", b"a"],
            &[b"command", b"getkeysandflags", b"smove", b"a", b"b", b"c"],
        ];
        for request in requests {
            let (theirs, ours) = (connection.call(request), answered(version, request));
            assert_eq!(ours, theirs, "{:?}", String::from_utf8_lossy(&request.join(&b' ')));
        }
    }
}

#[test]
fn an_unknown_command_has_a_null_where_redis_has_one() {
    let (frame, args) = sliced(&[b"COMMAND", b"INFO", b"nosuch"]);
    let mut bytes = Vec::new();
    answer(&frame, &args, Command::is_served, &mut Reply::new(&mut bytes, Version::Resp2));
    assert_eq!(bytes, b"*1\r\n$-1\r\n");
}

#[test]
fn command_list_filters_as_redis_does() {
    let server = Server::start();
    let mut connection = server.connect();
    for (kind, argument) in [
        ("aclcat", "hyperloglog"),
        ("ACLCAT", "Write"),
        ("aclcat", "@write"),
        ("aclcat", "dangerous"),
        ("pattern", "CONFIG|*"),
        ("pattern", "[gs]et*"),
        ("module", "x"),
    ] {
        let request: [&[u8]; 5] =
            [b"COMMAND", b"LIST", b"FilterBy", kind.as_bytes(), argument.as_bytes()];
        let (frame, args) = sliced(&request);
        let ours = written(Version::Resp2, |reply| answer(&frame, &args, |_| true, reply));
        let mut ours: Vec<&str> =
            ours.as_items().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        ours.retain(|name| !is_ours(name));
        let theirs = connection.call(&request);
        let mut theirs: Vec<&str> =
            theirs.as_items().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        ours.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(ours, theirs, "{kind} {argument}");
    }
}

#[test]
fn what_is_not_served_is_not_listed() {
    let names = answered(Version::Resp2, &[b"COMMAND", b"LIST"]);
    let names: Vec<&str> =
        names.as_items().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(names.contains(&"get") && !names.contains(&"xadd") && !names.contains(&"slipway"));
    let count = names.iter().filter(|name| !name.contains('|')).count();
    assert_eq!(answered(Version::Resp2, &[b"COMMAND", b"COUNT"]), Value::Int(count as i64));
    assert_eq!(answered(Version::Resp3, &[b"COMMAND"]).as_items().unwrap().len(), count);
    let Value::Map(docs) = answered(Version::Resp3, &[b"COMMAND", b"DOCS"]) else {
        panic!("a map")
    };
    assert_eq!(docs.len(), count);
    assert_eq!(
        answered(Version::Resp2, &[b"COMMAND", b"INFO", b"xadd"]),
        Value::Array(vec![Value::Null])
    );
}

#[test]
fn only_what_changes_no_data_may_be_repeated() {
    for command in table() {
        let safe = command.is_repeat_safe();
        assert!(!(safe && command.is_write()), "{} writes", command.name);
        let reads = command.flags.contains(Flags::READ) || command.name == "slotshashkey";
        assert_eq!(safe, reads, "{}", command.name);
    }
}

#[test]
fn routes_fit_flags_and_keys() {
    use protocol::command::Keys;
    for command in table() {
        let has_keys = command.keys != Keys::None;
        match command.route {
            RouteRule::OneSlot | RouteRule::Split(_) => assert!(has_keys, "{}", command.name),
            RouteRule::Private => {
                assert!(has_keys && command.flags.contains(Flags::BLOCKING), "{}", command.name);
            }
            RouteRule::Local | RouteRule::FanOut(_) | RouteRule::Slots => {
                assert!(!has_keys, "{}", command.name);
            }
            RouteRule::Transaction => {
                assert_eq!(has_keys, command.name == "watch", "{}", command.name);
            }
            RouteRule::Refused(why) => assert!(!why.is_empty(), "{}", command.name),
        }
    }
}

fn is_found(command: &Command) {
    for name in [command.name.to_owned(), command.name.to_ascii_uppercase()] {
        assert_eq!(lookup(name.as_bytes()).map(|found| found.id), Some(command.id), "{name}");
    }
}

#[test]
fn every_name_is_found_in_any_case_and_no_other() {
    for (at, command) in table().iter().enumerate() {
        is_found(command);
        assert_eq!(command.id.index(), at);
        for cut in 1..command.name.len() {
            let part = &command.name[..cut];
            assert_eq!(
                lookup(part.as_bytes()).map(|found| found.name),
                table().iter().map(|line| line.name).find(|name| *name == part)
            );
        }
    }
    assert!(
        lookup(b"").is_none() && lookup(b"ge\x54x").is_none() && lookup(&[b'x'; 10_000]).is_none()
    );
    for command in table() {
        for at in 0..command.name.len() {
            for other in [b'q', b'-', b'_', b'\r', 0xff] {
                let mut name = command.name.as_bytes().to_vec();
                name[at] = other;
                let known = table().iter().find(|line| line.name.as_bytes() == name);
                assert_eq!(lookup(&name).map(|found| found.name), known.map(|line| line.name));
            }
        }
    }
    // Bit 5 tells these from letters; the hash does not look at it.
    assert!(lookup(b"\x07\x05\x14").is_none());
}
