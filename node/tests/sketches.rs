//! HyperLogLog beside Debian's redis-server: the same additions make the same bytes, and each reads what the other wrote.

use crate::harness::{Client, Server};
use crate::oracle::Oracle;
use protocol::frame::Value;

fn add(clients: &mut [&mut Client], key: &str, elements: std::ops::Range<u32>) {
    let elements: Vec<String> = elements.map(|number| format!("element:{number}")).collect();
    for some in elements.chunks(1000) {
        let words: Vec<&[u8]> = [b"PFADD", key.as_bytes()]
            .into_iter()
            .chain(some.iter().map(String::as_bytes))
            .collect();
        let replies: Vec<Value> = clients.iter_mut().map(|c| c.call_bytes(&words)).collect();
        assert_eq!(replies[0], replies[1]);
    }
}

/// What GET says, which must be the same of both.
fn bytes(ours: &mut Client, theirs: &mut Client, key: &str) -> Vec<u8> {
    let (our, their) = (ours.call(&format!("GET {key}")), theirs.call(&format!("GET {key}")));
    assert_eq!(our, their, "{key}");
    our.as_bytes().map(<[u8]>::to_vec).unwrap_or_default()
}

#[test]
fn the_same_additions_make_the_bytes_and_the_estimates_of_redis() {
    let (node, redis) = (Server::start(), Oracle::start());
    let (mut ours, mut theirs) = (node.client(), redis.client());
    let mut lengths = Vec::new();
    for count in [0, 1, 10, 100, 500, 1000, 2000, 3000, 10_000, 300_000] {
        let key = format!("sketch:{count}");
        ours.call(&format!("PFADD {key}"));
        theirs.call(&format!("PFADD {key}"));
        add(&mut [&mut ours, &mut theirs], &key, 0..count);
        lengths.push(bytes(&mut ours, &mut theirs, &key).len());
        let estimates = [&mut ours, &mut theirs].map(|c| c.say(&format!("PFCOUNT {key}")));
        assert_eq!(estimates[0], estimates[1]);
        let estimate: f64 = estimates[0].trim_start_matches(':').parse().unwrap();
        assert!((estimate - f64::from(count)).abs() <= f64::from(count) * 0.04, "{estimate}");
        bytes(&mut ours, &mut theirs, &key);
    }
    assert_eq!(lengths[0], 18, "nothing takes 18 bytes");
    assert!(lengths.windows(2).all(|pair| pair[0] <= pair[1]), "{lengths:?}");
    assert_eq!(lengths.last(), Some(&12_304), "many are dense");
}

#[test]
fn sketches_of_either_are_read_and_merged_by_the_other() {
    let (node, redis) = (Server::start(), Oracle::start());
    let (mut ours, mut theirs) = (node.client(), redis.client());
    for (key, range) in [("sparse", 0..200), ("dense", 100..30_000)] {
        add(&mut [&mut ours, &mut theirs], key, range);
        let (our, their) = (ours.call(&format!("GET {key}")), theirs.call(&format!("GET {key}")));
        for (client, value) in [(&mut ours, their), (&mut theirs, our)] {
            let name = format!("foreign:{key}");
            client.call_bytes(&[b"SET", name.as_bytes(), value.as_bytes().unwrap()]);
        }
    }
    for line in [
        "PFCOUNT foreign:sparse",
        "PFCOUNT foreign:dense",
        "PFCOUNT sparse foreign:dense none",
        "PFMERGE few foreign:sparse none",
        "PFCOUNT few",
        "PFMERGE foreign:sparse dense",
        "PFMERGE many sparse foreign:dense",
        "PFADD foreign:dense x y z",
        "PFCOUNT many foreign:dense",
    ] {
        assert_eq!(ours.say(line), theirs.say(line), "{line}");
    }
    for key in ["foreign:sparse", "foreign:dense", "few", "many"] {
        bytes(&mut ours, &mut theirs, key);
    }
}

#[test]
fn what_is_no_sketch_is_refused_in_the_words_of_redis() {
    let (node, redis) = (Server::start(), Oracle::start());
    let (mut ours, mut theirs) = (node.client(), redis.client());
    let damaged: [&[u8]; 6] = [
        b"text",
        b"HYLL\x00\0\0\0\0\0\0\0\0\0\0\0",
        b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff",
        b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80",
        b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x7f\xfe",
        b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff\x00",
    ];
    for value in damaged {
        for client in [&mut ours, &mut theirs] {
            client.call_bytes(&[b"SET", b"k", value]);
            client.call("LPUSH list x");
        }
        for line in [
            "PFCOUNT k",
            "PFCOUNT k none",
            "PFMERGE new k",
            "PFADD list x",
            "PFCOUNT list k",
            "EXISTS new",
        ] {
            assert_eq!(ours.say(line), theirs.say(line), "{line} of {value:?}");
        }
    }
}

#[test]
fn counting_keeps_the_estimate_and_fails_a_watch_as_in_redis() {
    let (node, redis) = (Server::start(), Oracle::start());
    for (mut watcher, mut other) in
        [(node.client(), node.client()), (redis.client(), redis.client())]
    {
        other.call("PFADD k a b c");
        assert_eq!(other.say("GETRANGE k 15 15"), "\u{fffd}");
        watcher.call("WATCH k");
        assert_eq!(other.say("PFCOUNT k"), ":3");
        assert_eq!(other.call("GETRANGE k 8 15"), Value::Bulk("\u{3}\0\0\0\0\0\0\0".into()));
        watcher.call("MULTI");
        watcher.call("PING");
        assert_eq!(watcher.say("EXEC"), "nil");
        watcher.call("WATCH k");
        assert_eq!(other.say("PFCOUNT k"), ":3");
        watcher.call("MULTI");
        watcher.call("PING");
        assert_eq!(watcher.say("EXEC"), "[PONG]");
    }
}
