//! Numbers are read and printed as Redis does.

use crate::server::{Connection, Server};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use protocol::frame::{Value, decode};
use protocol::number::{
    LongDouble, format_double, format_human_double, parse_cursor, parse_double, parse_int,
};
use protocol::reply::{Reply, Version};

fn samples<T>(strategy: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::default();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// All requests in one go, then all replies.
fn pipeline(connection: &mut Connection, requests: &[Vec<Vec<u8>>]) -> Vec<Value> {
    for chunk in requests.chunks(200) {
        for request in chunk {
            connection.send(&request.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
    }
    requests.iter().map(|_| connection.receive()).collect()
}

fn request(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

/// Bits at random; numbers as people write them; and those at the borders of the form's choice.
fn doubles() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => any::<u64>().prop_map(f64::from_bits).prop_filter("a number", |value| !value.is_nan()),
        2 => (any::<i32>(), 0..12).prop_map(|(digits, point)| f64::from(digits) / 10f64.powi(point)),
        2 => -1e9..1e9,
        1 => any::<i64>().prop_map(|value| value as f64),
        2 => (1u64..=999, -8..24).prop_map(|(digits, power)| digits as f64 * 10f64.powi(power)),
    ]
}

const BORDERS: [f64; 19] = [
    0.0,
    -0.0,
    1e15,
    -1e15,
    999_999_999_999_999.0,
    1e16,
    9_007_199_254_740_993.0,
    1e17,
    99_999_999_999_999_984.0,
    1e20,
    1e-4,
    1e-5,
    0.000_099_999_999_999_999_99,
    5e-324,
    f64::MAX,
    f64::MIN_POSITIVE,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.1,
];

#[test]
fn doubles_are_printed_as_scores_are() {
    let server = Server::start();
    let mut connection = server.connect();
    let mut values = samples(doubles(), 20_000);
    values.extend(BORDERS);
    let requests: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(nth, value)| {
            request(&[b"ZADD", b"z", format!("{value:e}").as_bytes(), nth.to_string().as_bytes()])
        })
        .collect();
    assert!(pipeline(&mut connection, &requests).iter().all(|reply| *reply == Value::Int(1)));
    let requests: Vec<_> = (0..values.len())
        .map(|nth| request(&[b"ZSCORE", b"z", nth.to_string().as_bytes()]))
        .collect();
    for (value, theirs) in values.iter().zip(pipeline(&mut connection, &requests)) {
        let ours = format_double(*value);
        assert_eq!(
            std::str::from_utf8(ours.as_ref()).unwrap(),
            theirs.as_str().unwrap(),
            "{value:e}"
        );
    }
    // RESP3's own type: byte for byte.
    connection.call(&[b"HELLO", b"3"]);
    for (nth, value) in values.iter().enumerate().take(200) {
        connection.send(&[b"ZSCORE", b"z", nth.to_string().as_bytes()]);
        let mut bytes = Vec::new();
        Reply::new(&mut bytes, Version::Resp3).double(*value);
        assert_eq!(decode(&bytes).unwrap().unwrap().0, connection.receive());
    }
}

/// A number, or nearly one.
fn spelled() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[+-]?[0-9]{1,20}(\\.[0-9]{0,20})?([eE][+-]?[0-9]{1,2})?",
        2 => "[+-]?[0-9]{0,3}\\.[0-9]{0,3}",
        1 => "[+-]?[0-9]{1,4}\\.[0-9]{0,40}e-?[0-9]{1,4}",
        1 => "[+-]?0[xX][0-9a-fA-F]{0,20}(\\.[0-9a-f]{0,20})?([pP][+-]?[0-9]{1,4})?",
        1 => "[+-]?(inf|INF|infinity|Infinit|nan|NaN)",
        1 => "[-+0-9eExXpPinf. _]{0,8}",
    ]
}

const SPELLED: [&str; 29] = [
    "",
    " 1",
    "1 ",
    "1e",
    "e1",
    ".",
    "+.5",
    "-.5e-1",
    "1.",
    "0x",
    "0x.",
    "0x1p",
    "0x.8p1",
    "0x1.fffffffffffff8p0",
    "0x1.fffffffffffff7p0",
    "0x1p-1075",
    "0x1.8p-1075",
    "0x1p1024",
    "1e400",
    "-1e400",
    "1e-400",
    "0e-400",
    "1e-320",
    "1_000",
    "١",
    "1e+5",
    "++1",
    "nan(1)",
    "-0",
];

#[test]
fn doubles_are_read_as_scores_are() {
    let server = Server::start();
    let mut connection = server.connect();
    let mut texts = samples(spelled(), 10_000);
    texts.extend(SPELLED.map(str::to_owned));
    for text in texts {
        connection.call(&[b"DEL", b"z"]);
        let theirs = match connection.call(&[b"ZADD", b"z", b"0", b"first", text.as_bytes(), b"m"])
        {
            Value::Int(2) => Some(connection.call(&[b"ZSCORE", b"z", b"m"])),
            Value::Error(line) if line == "ERR value is not a valid float" => None,
            other => panic!("{text:?}: {other:?}"),
        };
        // A sorted set of few members keeps integers as such, −0 among them; one of many shows `-0`.
        let ours =
            parse_double(text.as_bytes()).map(|value| if value == 0.0 { 0.0 } else { value });
        let ours =
            ours.map(|value| String::from_utf8(format_double(value).as_ref().to_vec()).unwrap());
        assert_eq!(
            ours.as_deref(),
            theirs.as_ref().map(|value| value.as_str().unwrap()),
            "{text:?}"
        );
    }
}

/// What INCRBYFLOAT answers, by our arithmetic.
fn incremented(old: &str, by: &str) -> Value {
    let number = |text: &str| LongDouble::parse(text.as_bytes());
    let (Some(old), Some(by)) = (number(old), number(by)) else {
        return Value::Error("ERR value is not a valid float".to_owned());
    };
    match old.plus(by) {
        Some(sum) => Value::Bulk(sum.to_string().into()),
        None => Value::Error("ERR increment would produce NaN or Infinity".to_owned()),
    }
}

fn incremented_by_redis(connection: &mut Connection, pairs: &[(String, String)]) -> Vec<Value> {
    let requests: Vec<_> = pairs
        .iter()
        .flat_map(|(old, by)| {
            [
                request(&[b"SET", b"n", old.as_bytes()]),
                request(&[b"INCRBYFLOAT", b"n", by.as_bytes()]),
            ]
        })
        .collect();
    pipeline(connection, &requests).into_iter().skip(1).step_by(2).collect()
}

#[test]
fn float_increments_are_those_of_redis_to_the_last_digit() {
    let server = Server::start();
    let mut connection = server.connect();
    let decimal = prop_oneof![
        4 => "-?[0-9]{1,6}\\.[0-9]{1,6}",
        2 => "-?[0-9]{1,20}(\\.[0-9]{1,25})?",
        1 => "-?[0-9]\\.[0-9]{1,19}e-?[0-9]{1,2}",
        1 => "-?[0-9]\\.[0-9]{1,19}e-?[0-9]{1,4}",
        1 => doubles().prop_map(|value| format!("{value:e}")),
        2 => spelled(),
    ];
    let mut pairs = samples((decimal.boxed(), decimal_again()), 20_000);
    let fixed = [
        ("0.1", "0.2"),
        ("3.0e3", "1"),
        ("5.0e3", "200"),
        ("10.50", "0.1"),
        ("-0", "-0"),
        ("1", "-1"),
        ("-1e-18", "0"),
        ("5e-18", "0"),
        ("1.5e-17", "0"),
        ("inf", "1"),
        ("1", "-inf"),
        ("1e4932", "0"),
        ("1.18973149535723176502e4932", "1e4932"),
        ("1.19e4932", "0"),
        ("3.7e-4951", "0"),
        ("1e-4952", "0"),
        ("18446744073709551615", "0.5"),
        ("18446744073709551615", "1"),
        ("9223372036854775807.5", "-9223372036854775807.25"),
        ("0x1.8p3", "0x.8"),
        // A little more than half a unit of the last place is taken away.
        ("0x8000000000000001p64", "-0x8000000000000001"),
        ("-0x8000000000000003", "0x8000000000000002p64"),
    ];
    pairs.extend(fixed.map(|(old, by)| (old.to_owned(), by.to_owned())));
    pairs.push(("0.".to_owned() + &"1".repeat(5000), "1".repeat(4000)));
    pairs.push(("1".repeat(5119), "0".to_owned()));
    pairs.push(("0".repeat(5118) + "1", "0".repeat(5120)));
    for (pair, theirs) in pairs.iter().zip(incremented_by_redis(&mut connection, &pairs)) {
        assert_eq!(incremented(&pair.0, &pair.1), theirs, "{pair:?}");
    }
}

fn decimal_again() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "-?[0-9]{1,6}\\.[0-9]{1,6}",
        1 => "-?[0-9]{1,20}(\\.[0-9]{1,25})?",
        1 => "-?[0-9]\\.[0-9]{1,19}e-?[0-9]{1,3}",
    ]
}

/// All decimals a double may have: Redis reads more digits than a double holds.
fn exactly(value: f64) -> String {
    format!("{value:.1074}")
}

#[test]
fn a_double_is_printed_for_people_as_redis_does() {
    let server = Server::start();
    let mut connection = server.connect();
    let mut values = samples(doubles(), 5_000);
    values.retain(|value| value.is_finite());
    let pairs: Vec<_> = values.iter().map(|value| (exactly(*value), "0".to_owned())).collect();
    for (value, theirs) in values.iter().zip(incremented_by_redis(&mut connection, &pairs)) {
        assert_eq!(
            std::str::from_utf8(format_human_double(*value).as_ref()).unwrap(),
            theirs.as_str().unwrap(),
            "{value:e}"
        );
    }
}

#[test]
fn integers_are_read_as_incr_reads_them() {
    let server = Server::start();
    let mut connection = server.connect();
    let mut texts =
        samples("[-+ 0-9]{0,3}|-?[0-9]{1,19}|-?9223372036854775[0-9]{3}|[0-9]{17,22}|-", 5_000);
    texts.extend(
        [
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808",
            "-9223372036854775809",
            "-0",
            "00",
            "",
        ]
        .map(str::to_owned),
    );
    for text in texts {
        let theirs = match connection.call(&[b"SETRANGE", b"s", text.as_bytes(), b""]) {
            Value::Error(line) if line == "ERR value is not an integer or out of range" => None,
            _ => Some(()),
        };
        assert_eq!(parse_int(text.as_bytes()).map(|_| ()), theirs, "{text:?}");
        assert!(
            parse_int(text.as_bytes()).is_none_or(|value| value.to_string() == text),
            "{text:?}"
        );
    }
}

#[test]
fn cursors_are_read_as_scans_read_them() {
    let server = Server::start();
    let mut connection = server.connect();
    let texts: [&[u8]; 16] = [
        b"0",
        b"",
        b"-",
        b"+",
        b"-1",
        b"+7",
        b"--1",
        b"1x",
        b"x",
        b"\x00x",
        b"7\x00x",
        b"x\x000",
        b"18446744073709551615",
        b"18446744073709551616",
        b"-18446744073709551615",
        b"\xff",
    ];
    for text in texts {
        let theirs = connection.call(&[b"HSCAN", b"none", text]);
        let is_cursor = !matches!(theirs, Value::Error(_));
        assert_eq!(parse_cursor(text).is_some(), is_cursor, "{}: {theirs:?}", text.escape_ascii());
    }
    assert_eq!(parse_cursor(b"-1"), Some(u64::MAX));
    assert_eq!(parse_cursor(b"12\x003"), Some(12));
}
