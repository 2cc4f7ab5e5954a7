//! Each encoding as a codis-server of Codis 3.2.2 dumps it: name, encoding, payload, a line each.

use super::*;

const DUMPS: &str = include_str!("codis_server.txt");

fn payload(name: &str) -> Vec<u8> {
    let mut lines = DUMPS.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let hex = lines.find(|line| line[0] == name).unwrap()[2];
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn words(words: &[&str]) -> Words {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

#[test]
fn strings_come_back() {
    for (name, text) in [
        ("int8", "-7"),
        ("int16", "12345"),
        ("int32", "-1234567"),
        ("int64", "1234567890123"),
        ("embstr", "hello"),
        ("lzf", &"ab".repeat(200)),
        ("empty", ""),
    ] {
        assert_eq!(decode(&payload(name)), Ok(Dumped::String(text.into())), "{name}");
    }
}

#[test]
fn lists_and_sets_come_back() {
    let list = [
        "a",
        "-5",
        "300",
        "70000",
        "5000000000",
        "12",
        "99999999999999999999",
        &"b".repeat(70),
        &"x".repeat(300),
        "13",
        "-32768",
        "8388607",
        "-8388608",
        "-1",
    ];
    assert_eq!(decode(&payload("list")), Ok(Dumped::List(words(&list))));
    let nodes = [&*"x".repeat(9000), &*"y".repeat(9000)];
    assert_eq!(decode(&payload("nodes")), Ok(Dumped::List(words(&nodes))));
    for (name, members) in [
        ("intset2", &["-2", "1", "300"][..]),
        ("intset4", &["1", "70000"]),
        ("intset8", &["-1", "5000000000"]),
        ("set", &["7", "b", "a"]),
    ] {
        assert_eq!(decode(&payload(name)), Ok(Dumped::Set(words(members))), "{name}");
    }
}

#[test]
fn sorted_sets_and_hashes_come_back() {
    let long = "m".repeat(65);
    for (name, members) in [
        (
            "zset",
            &[
                ("low", f64::NEG_INFINITY),
                ("neg", -3.0),
                ("frac", 0.1),
                ("one", 1.0),
                ("huge", 1e300),
                ("high", f64::INFINITY),
            ][..],
        ),
        ("skiplist", &[("o", f64::NEG_INFINITY), ("p", 7.0), ("n", f64::INFINITY), (&*long, 2.5)]),
    ] {
        let mut scored: Vec<_> = members.iter().map(|(m, s)| (m.as_bytes().to_vec(), *s)).collect();
        let Ok(Dumped::SortedSet(mut got)) = decode(&payload(name)) else { panic!("{name}") };
        let by_member = |a: &(Vec<u8>, f64), b: &(Vec<u8>, f64)| a.0.cmp(&b.0);
        scored.sort_by(by_member);
        got.sort_by(by_member);
        assert_eq!(got, scored, "{name}");
    }
    let value = "v".repeat(65);
    for (name, fields) in [("hash", ["f", "v", "n", "42"]), ("dict", ["f", &value, "g", "1"])] {
        let fields = pairs(words(&fields)).unwrap();
        assert_eq!(decode(&payload(name)), Ok(Dumped::Hash(fields)), "{name}");
    }
}

#[test]
fn the_checksum_is_redis_own_and_sees_every_changed_bit() {
    assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    let whole = payload("set");
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(decode(&damaged), Err(DumpError::Checksum));
    }
    assert_eq!(decode(b""), Err(DumpError::Checksum));
}

/// With a right checksum.
fn summed(body: &[u8]) -> Vec<u8> {
    let mut payload = [body, &[7, 0]].concat();
    payload.extend_from_slice(&crc64(&payload).to_le_bytes());
    payload
}

#[test]
fn a_malformed_body_is_refused_wherever_it_ends_or_whatever_it_says() {
    for line in DUMPS.lines() {
        let name = line.split(' ').next().unwrap();
        let whole = payload(name);
        let body = &whole[..whole.len() - FOOTER_BYTES];
        for end in 0..body.len().min(600) {
            assert!(decode(&summed(&body[..end])).is_err(), "{name} of {end} bytes");
        }
        for at in 1..body.len().min(600) {
            for value in [0, 0x7f, 0x80, 0xc3, 0xfe, 0xff] {
                let mut changed = body.to_vec();
                changed[at] = value;
                // It must not panic, nor take more memory than may be.
                let _ = decode(&summed(&changed));
            }
        }
    }
    assert_eq!(decode(&summed(&[15, 0])), Err(DumpError::Type(15)));
    // A billion bytes out of three.
    assert_eq!(decode(&summed(b"\x00\xc3\x03\x80\x3b\x9a\xca\x00\x00aa")), Err(DumpError::Body));
}
