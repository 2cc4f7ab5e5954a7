//! Replies.

use crate::requests::damages;
use proptest::prelude::*;
use protocol::frame::{Value, decode};
use protocol::reply::{Reply, Version};
use protocol::slicer::{REPLY_DEPTH_MAX, ReplyScan};
use redis_protocol::resp2::decode::decode as decode_resp2;
use redis_protocol::resp3::decode::complete::decode as decode_resp3;
use std::time::{Duration, Instant};

/// One reply of every kind Redis knows, as bytes. `nulls` are those of RESP2, which the RESP3 oracle does not know.
fn reply(nulls: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let text = "[ -~\u{e9}]{0,12}";
    let sized = |kind: char, bytes: &[u8]| {
        [format!("{kind}{}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
    };
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        prop::collection::vec(prop::sample::select(b"\r\n$*1".to_vec()), 0..9),
        Just(vec![b'v'; 300]),
    ];
    let leaf = prop_oneof![
        text.prop_map(|text| format!("+{text}\r\n").into_bytes()),
        text.prop_map(|text| format!("-ERR {text}\r\n").into_bytes()),
        any::<i64>().prop_map(|value| format!(":{value}\r\n").into_bytes()),
        bytes.prop_map(move |bytes| sized('$', &bytes)),
        any::<f64>()
            .prop_filter("a number", |value| !value.is_nan())
            .prop_map(|value| format!(",{value}\r\n").into_bytes()),
        prop::sample::select(vec![
            ",inf\r\n",
            ",-inf\r\n",
            "#t\r\n",
            "#f\r\n",
            "(-123456789012345678901234567890\r\n"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        text.prop_map(move |text| sized('!', text.as_bytes())),
        ("(txt|mkd)", text)
            .prop_map(move |(format, text)| sized('=', format!("{format}:{text}").as_bytes())),
        prop::sample::select(nulls.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let many = |kind: char, each: usize| {
            prop::collection::vec(inner.clone(), 0..6).prop_map(move |items| {
                let count = items.len() / each;
                [format!("{kind}{count}\r\n").into_bytes(), items[..count * each].concat()].concat()
            })
        };
        let key = "[a-z]{1,5}";
        let pairs = |kind: char| {
            prop::collection::vec((key, inner.clone()), 0..4).prop_map(move |pairs| {
                let body: Vec<u8> = pairs.iter().flat_map(|(key, value)| [format!("+{key}\r\n").as_bytes(), value].concat()).collect();
                [format!("{kind}{}\r\n", pairs.len()).into_bytes(), body].concat()
            })
        };
        prop_oneof![
            3 => many('*', 1),
            2 => pairs('%'),
            1 => prop::collection::vec(key, 0..4).prop_map(|keys| {
                let body: Vec<String> = keys.iter().map(|key| format!("+{key}\r\n")).collect();
                format!("~{}\r\n{}", keys.len(), body.concat()).into_bytes()
            }),
            1 => many('>', 1),
            1 => (pairs('|'), inner.clone()).prop_filter("attributes of attributes", |(_, value)| value[0] != b'|' && value[0] != b'_')
                .prop_map(|(attributes, value)| [attributes, value].concat()),
        ]
    })
}

fn resp3() -> impl Strategy<Value = Vec<u8>> {
    reply(&["_\r\n"])
}

/// Scans `input` as it arrives; the length of the first reply.
fn scanned_in_pieces(
    input: &[u8],
    pieces: &[usize],
) -> Result<Option<usize>, protocol::ProtocolError> {
    let (mut scan, mut end) = (ReplyScan::default(), 0);
    for piece in pieces.iter().cycle() {
        end = input.len().min(end + piece);
        match scan.scan(&input[..end])? {
            None if end < input.len() => {}
            result => return Ok(result),
        }
    }
    Ok(None)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replies_in_any_pieces_end_where_the_oracle_says(all in prop::collection::vec(resp3(), 1..4), pieces in prop::collection::vec(1usize..30, 1..5)) {
        let input = all.concat();
        let (mut scan, mut start, mut end) = (ReplyScan::default(), 0, 0);
        let mut pieces = pieces.iter().cycle();
        for reply in &all {
            let len = loop {
                if let Some(len) = scan.scan(&input[start..end]).unwrap() {
                    break len;
                }
                prop_assert!(end < input.len());
                end = input.len().min(end + pieces.next().unwrap());
            };
            prop_assert_eq!(len, reply.len());
            prop_assert_eq!(decode_resp3(&input[start..]).unwrap().map(|(_, len)| len), Some(len));
            prop_assert_eq!(decode(&input[start..]).unwrap().map(|(_, len)| len), Some(len));
            start += len;
        }
    }

    #[test]
    fn a_reply_cut_off_anywhere_is_incomplete(reply in reply(&["_\r\n", "$-1\r\n", "*-1\r\n"]), at in any::<prop::sample::Index>()) {
        let cut = at.index(reply.len());
        prop_assert_eq!(ReplyScan::default().scan(&reply[..cut]).unwrap(), None);
        prop_assert_eq!(decode(&reply[..cut]).unwrap(), None);
        prop_assert_eq!(ReplyScan::default().scan(&reply).unwrap(), Some(reply.len()));
    }

    /// Stricter than the oracles in lengths and line ends, laxer in what a value says; but both read the same or one refuses.
    #[test]
    fn a_damaged_reply_is_never_misread(reply in resp3(), damage in damages()) {
        let mut input = reply.clone();
        damage.apply(&mut input);
        input.extend_from_slice(&reply);
        let ours = ReplyScan::default().scan(&input);
        if let (Ok(ours), Ok(theirs)) = (&ours, decode_resp3(&input)) {
            // The oracle takes −1 for the beginning of a stream.
            prop_assert!(*ours == theirs.map(|(_, len)| len) || input.windows(2).any(|two| two == b"-1"), "{:?}", String::from_utf8_lossy(&input));
        }
        // Decoding judges the values too, so it may refuse; it never panics and never ends elsewhere.
        if let Ok(Some((_, len))) = decode(&input) {
            prop_assert_eq!(ours, Ok(Some(len)));
        }
    }

    #[test]
    fn damaged_replies_mean_the_same_in_any_pieces(reply in resp3(), damage in damages(), pieces in prop::collection::vec(1usize..30, 1..5)) {
        let mut input = reply;
        damage.apply(&mut input);
        prop_assert_eq!(scanned_in_pieces(&input, &pieces), ReplyScan::default().scan(&input));
    }
}

#[test]
fn resp2_replies_end_where_its_oracle_says() {
    for reply in [
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "$0\r\n\r\n",
        "*3\r\n$-1\r\n*-1\r\n*2\r\n:1\r\n+OK\r\n",
        "-ERR a\rb\nc\r\n",
        "+\r\n",
    ] {
        let input = format!("{reply}+next\r\n");
        let theirs = decode_resp2(input.as_bytes()).unwrap().map(|(_, len)| len);
        assert_eq!(theirs, Some(reply.len()), "{reply:?}");
        assert_eq!(ReplyScan::default().scan(input.as_bytes()), Ok(theirs), "{reply:?}");
        assert_eq!(decode(input.as_bytes()).unwrap().map(|(_, len)| len), theirs, "{reply:?}");
    }
}

#[test]
fn one_scan_serves_one_reply_after_the_other() {
    let mut scan = ReplyScan::default();
    assert_eq!(scan.scan(b"*2\r\n$3\r\nfo"), Ok(None));
    assert_eq!(scan.scan(b"*2\r\n$3\r\nfoo\r\n:1\r\n+OK"), Ok(Some(17)));
    assert_eq!(scan.scan(b"+OK\r"), Ok(None));
    assert_eq!(scan.scan(b"+OK\r\n"), Ok(Some(5)));
}

#[test]
fn a_value_keeps_the_order_of_maps_and_drops_attributes() {
    let (value, _) =
        decode(b"|1\r\n+ttl\r\n:3\r\n%2\r\n$1\r\nb\r\n:1\r\n$1\r\na\r\n~2\r\n_\r\n,1.5\r\n")
            .unwrap()
            .unwrap();
    let expected = Value::Map(vec![
        (Value::Bulk("b".into()), Value::Int(1)),
        (Value::Bulk("a".into()), Value::Set(vec![Value::Null, Value::Double(1.5)])),
    ]);
    assert_eq!(value, expected);
}

#[test]
fn every_builder_writes_what_is_read_back_in_both_versions() {
    let written = |version: Version| {
        let mut bytes = Vec::new();
        let mut reply = Reply::new(&mut bytes, version);
        reply.array(15);
        reply.simple("PONG");
        reply.ok();
        reply.error("ERR a\r\nb");
        reply.int(-7);
        reply.bulk(b"a\r\nb");
        reply.bulk_int(12);
        reply.null();
        reply.null_array();
        reply.map(1);
        reply.bool(true);
        reply.bool(false);
        reply.set(1);
        reply.int(1);
        reply.push(1);
        reply.int(2);
        reply.double(0.1);
        reply.verbatim("text");
        reply.raw(b"+raw\r\n");
        reply.double(f64::NEG_INFINITY);
        let (value, len) = decode(&bytes).unwrap().unwrap();
        assert_eq!(len, bytes.len());
        let Value::Array(items) = value else { panic!("an array") };
        items
    };
    let (old, new) = (written(Version::Resp2), written(Version::Resp3));
    let bulk = |text: &'static str| Value::Bulk(text.into());
    assert_eq!(old[2], Value::Error("ERR a  b".to_owned()));
    assert_eq!(old[..8], new[..8]);
    assert_eq!(
        old[8..],
        [
            Value::Array(vec![Value::Int(1), Value::Int(0)]),
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![Value::Int(2)]),
            bulk("0.10000000000000001"),
            bulk("text"),
            Value::Simple("raw".to_owned()),
            bulk("-inf"),
        ]
    );
    assert_eq!(
        new[8..],
        [
            Value::Map(vec![(Value::Bool(true), Value::Bool(false))]),
            Value::Set(vec![Value::Int(1)]),
            Value::Push(vec![Value::Int(2)]),
            Value::Double(0.1),
            Value::Verbatim("text".to_owned()),
            Value::Simple("raw".to_owned()),
            Value::Double(f64::NEG_INFINITY),
        ]
    );
}

#[test]
fn replies_nest_to_the_limit_and_no_deeper() {
    let nested = |depth: usize| [b"*1\r\n".repeat(depth), b":1\r\n".to_vec()].concat();
    let (deepest, too_deep) = (nested(REPLY_DEPTH_MAX), nested(REPLY_DEPTH_MAX + 1));
    assert_eq!(ReplyScan::default().scan(&deepest), Ok(Some(deepest.len())));
    assert!(ReplyScan::default().scan(&too_deep).is_err());
    // Long before a stack would overflow.
    assert!(decode(&nested(1_000_000)).is_err());
}

#[test]
fn a_reply_that_announces_more_than_anyone_sends_is_refused() {
    for reply in [
        "$4294967296\r\n",
        "*4294967296\r\n",
        "*-2\r\n",
        "$-2\r\n",
        "%-1\r\n",
        "$+1\r\n",
        "$01\r\n",
        "*?\r\n",
        "$?\r\n",
        "X\r\n",
        "$1\r\nabc\r\n",
    ] {
        assert!(ReplyScan::default().scan(reply.as_bytes()).is_err(), "{reply:?}");
    }
    assert!(ReplyScan::default().scan(&vec![b'+'; (1 << 20) + 2]).is_err());
}

/// Quadratic work on these would take minutes.
#[test]
fn the_work_is_linear_in_the_bytes_however_they_arrive() {
    let long_value = [b"$2000000\r\n".as_slice(), &vec![b'v'; 2_000_000], b"\r\n"].concat();
    let many_values = [b"*300000\r\n".to_vec(), b"$1\r\nv\r\n".repeat(300_000)].concat();
    let long_line = [b"+".as_slice(), &vec![b'v'; 1_000_000], b"\r\n"].concat();
    let only_returns = [b"+".as_slice(), &vec![b'\r'; 500_000], b"\r\n"].concat();
    let begun = Instant::now();
    for input in [long_value, many_values, long_line, only_returns] {
        let mut scan = ReplyScan::default();
        for end in 1..input.len() {
            assert_eq!(scan.scan(&input[..end]), Ok(None));
        }
        assert_eq!(scan.scan(&input), Ok(Some(input.len())));
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
