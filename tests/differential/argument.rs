//! Arguments by kind: mostly such as a command accepts, often at a boundary; and what a command must refuse.
//!
//! Kept out: whatever would make a correct server allocate or answer hundreds of megabytes, block for long, or let a key expire while
//! commands are on their way. Expiry has its own steps, with a margin.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// The groups of keys that belong together: multi-key commands mostly stay within one. The first is spread over all slots.
const TAGS: [&str; 3] = ["", "{a}", "{b}"];
/// How many keys a family has with each tag.
const KEYS_EACH: usize = 3;
/// The families, and how their keys begin.
const FAMILIES: [(&str, char); 6] =
    [("string", 's'), ("hash", 'h'), ("list", 'l'), ("set", 'e'), ("zset", 'z'), ("hll", 'p')];
/// Keys that are hard on whoever looks for tags, ends or text.
const ODD_KEYS: [&[u8]; 8] =
    [b"", b"{}", b"{}x", b"{a", b"}{b}{c}", b"\x00\xff{a}\r\n", b"*?[a]\\{a}", b"with blank {a}"];

/// Numbers no command reads as an integer, and such as are out of range.
const NOT_INTEGERS: [&str; 14] = [
    "",
    "abc",
    "1.5",
    " 1",
    "1 ",
    "+1",
    "01",
    "-0",
    "0x10",
    "1e2",
    "9223372036854775808",
    "-9223372036854775809",
    "nan",
    "99999999999999999999999999",
];
const NOT_FLOATS: [&str; 9] = ["", "abc", "nan", "-nan", "1.5x", " 1.5", "1,5", "--1", "1e"];
const FLOATS: [&str; 26] = [
    "1.5",
    "-0.25",
    "3",
    "10",
    "0",
    "-0",
    "0.1",
    "3.3",
    "-7.75",
    "1e3",
    "5e-3",
    "1E2",
    "+4",
    ".5",
    "5.",
    "inf",
    "-inf",
    "+inf",
    "Infinity",
    "1e308",
    "-1e308",
    "1e-320",
    "123456789.123456789",
    "17179869184",
    "0.30000000000000004",
    "9007199254740993",
];

/// What shapes the arguments of one command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    /// The family its keys are of, mostly.
    pub(crate) family: &'a str,
    /// The tag its keys have, mostly.
    pub(crate) tag: &'static str,
    /// Raised with each use, so that no two times of one round are close to each other.
    pub(crate) serial: u64,
}

pub(crate) fn tag(rng: &mut StdRng) -> &'static str {
    TAGS[rng.random_range(0..TAGS.len())]
}

pub(crate) fn is_time(kind: &str) -> bool {
    matches!(kind, "secs" | "ms" | "unix" | "unixms" | "timeout")
}

/// An argument of that kind.
pub(crate) fn valid(rng: &mut StdRng, kind: &str, context: Context<'_>) -> Vec<u8> {
    let at = context.serial * 37;
    match kind {
        "key" => key(rng, context),
        // Sorted sets whose scores are all 0, as commands on the order of names need them: nobody else writes here.
        "lexkey" => format!("x{}{}", rng.random_range(1..=KEYS_EACH), context.tag).into(),
        "value" | "element" => value(rng),
        "field" | "member" => member(rng),
        "int" => int(rng, -20..=20),
        "delta" => delta(rng),
        "index" => int(rng, -6..=9),
        "count" => int(rng, 0..=6),
        "rcount" => match rng.random_range(0..12) {
            0 => i64::MAX.to_string().into(),
            1 => i64::MIN.to_string().into(),
            _ => rng.random_range(-9..=12).to_string().into(),
        },
        "offset" => pick(
            rng,
            &["-1", "536870912", "4294967296", "9223372036854775807", "5000", "700"],
            0..=30,
        ),
        "bitoffset" => {
            pick(rng, &["-1", "4294967296", "9223372036854775807", "40007", "511"], 0..=90)
        }
        "bit" => rng.random_range(0..=1).to_string().into(),
        "float" | "score" => float(rng),
        "weight" => pick(rng, &["0.5", "-1", "inf", "0", "1.25"], 1..=3),
        "scorebound" => score_bound(rng),
        "lexbound" => lex_bound(rng),
        "secs" => time(
            rng,
            at + 10_000,
            &[
                "0",
                "-1",
                "9223372036854775807",
                "9223372036854775",
                "9223370000000000",
                "-9223372036854775808",
            ],
        ),
        "ms" => time(
            rng,
            (at + 10_000) * 1000,
            &["0", "-1", "9223372036854775807", "9223370000000000000", "-9223372036854775808"],
        ),
        "unix" => time(
            rng,
            at + 4_000_000_000,
            &["0", "-1", "1", "1000000000", "9223372036854775807", "9223372036854775"],
        ),
        "unixms" => time(
            rng,
            (at + 4_000_000_000) * 1000 + at % 1000,
            &["0", "-1", "1", "1000000000000", "9223372036854775807"],
        ),
        "timeout" => one_of(rng, &["0.001", "0.002", "0.005", ".001", "1e-3"]),
        "pattern" => one_of(
            rng,
            &[
                "*", "s*", "?1*", "*{a}", "[hl]*", "[^s]*", "*[1-2]*", "[z-h]?*", "nothing", "",
                "\\*", "[a", "*\\", "[", "**1**", "[]x]*", "[^]*", "m?", "*5*",
            ],
        ),
        "cursor" => b"0".to_vec(),
        "pagesize" => pick(rng, &["0", "-1", "abc", "1000"], 1..=12),
        "db" => one_of(rng, &["0", "1", "2", "15", "16", "-1", "abc", "9223372036854775807"]),
        "bftype" if rng.random_ratio(1, 20) => {
            one_of(rng, &["u64", "i65", "u0", "U8", "x8", "8", "", "i"])
        }
        "bftype" => one_of(rng, &["u8", "i8", "u4", "i5", "u1", "i1", "u16", "i32", "u63", "i64"]),
        "bfoffset" if rng.random_ratio(1, 20) => {
            one_of(rng, &["-1", "#-1", "#", "a", "4294967296", "#4294967296"])
        }
        "bfoffset" => one_of(rng, &["0", "1", "7", "8", "33", "100", "#0", "#1", "#3", "#9"]),
        "text" => value(rng),
        _ => panic!("the table of commands names an unknown kind: {kind}"),
    }
}

/// An argument in the place of that kind which a server should mostly refuse, and never do harm with.
pub(crate) fn junk(rng: &mut StdRng, kind: &str) -> Vec<u8> {
    match kind {
        "lexkey" => b"x missing".to_vec(),
        "key" => ODD_KEYS.choose(rng).map(|k| k.to_vec()).unwrap_or_default(),
        "float" | "score" | "weight" | "scorebound" => one_of(rng, &NOT_FLOATS),
        "timeout" => one_of(
            rng,
            &[
                "-1",
                "-0.5",
                "abc",
                "",
                "nan",
                "inf",
                "1e400",
                "0.001x",
                " 0.001",
                "9223372036854775807",
            ],
        ),
        "lexbound" => one_of(rng, &["a", "", "++", "-a", "\x00"]),
        "secs" | "ms" | "unix" | "unixms" => one_of(
            rng,
            &["", "abc", "1.5", "0", "-1", "9223372036854775807", "9223372036854775808", "1e9"],
        ),
        "value" | "element" | "field" | "member" | "text" | "pattern" => random_bytes(rng, 12),
        _ => one_of(rng, &NOT_INTEGERS),
    }
}

fn one_of(rng: &mut StdRng, from: &[&str]) -> Vec<u8> {
    from[rng.random_range(0..from.len())].as_bytes().to_vec()
}

/// One in eight a boundary, else a number of the range.
fn pick(rng: &mut StdRng, boundaries: &[&str], range: std::ops::RangeInclusive<i64>) -> Vec<u8> {
    if rng.random_ratio(1, 8) {
        one_of(rng, boundaries)
    } else {
        rng.random_range(range).to_string().into()
    }
}

fn int(rng: &mut StdRng, range: std::ops::RangeInclusive<i64>) -> Vec<u8> {
    pick(rng, &["9223372036854775807", "-9223372036854775808", "0", "-1", "1000000"], range)
}

fn delta(rng: &mut StdRng) -> Vec<u8> {
    pick(
        rng,
        &[
            "9223372036854775807",
            "-9223372036854775808",
            "-9223372036854775807",
            "9223372036854775800",
            "0",
        ],
        -30..=100,
    )
}

fn float(rng: &mut StdRng) -> Vec<u8> {
    match rng.random_range(0..10) {
        0..5 => rng.random_range(-5..=12).to_string().into(),
        5..7 => format!("{}", f64::from(rng.random_range(-400..=400)) / 8.0).into(),
        _ => one_of(rng, &FLOATS),
    }
}

fn score_bound(rng: &mut StdRng) -> Vec<u8> {
    let mut bound = match rng.random_range(0..6) {
        0 => one_of(rng, &["-inf", "+inf", "inf"]),
        _ => float(rng),
    };
    if rng.random_ratio(1, 4) {
        bound.insert(0, b'(');
    }
    bound
}

fn lex_bound(rng: &mut StdRng) -> Vec<u8> {
    match rng.random_range(0..6) {
        0 => one_of(rng, &["-", "+"]),
        n => {
            let mut bound = if rng.random_ratio(1, 20) { Vec::new() } else { member(rng) };
            bound.insert(0, if n < 4 { b'[' } else { b'(' });
            bound
        }
    }
}

fn time(rng: &mut StdRng, usual: u64, boundaries: &[&str]) -> Vec<u8> {
    if rng.random_ratio(1, 7) { one_of(rng, boundaries) } else { usual.to_string().into() }
}

/// A key: mostly of the family and with the tag of the command.
pub(crate) fn key(rng: &mut StdRng, context: Context<'_>) -> Vec<u8> {
    if rng.random_ratio(1, 60) {
        return ODD_KEYS[rng.random_range(0..ODD_KEYS.len())].to_vec();
    }
    let any = FAMILIES[rng.random_range(0..FAMILIES.len())];
    let own = FAMILIES.iter().find(|(name, _)| *name == context.family);
    let (_, letter) = match own {
        Some(family) if !rng.random_ratio(1, 9) => *family,
        _ => any,
    };
    let tag = if rng.random_ratio(1, 14) { tag(rng) } else { context.tag };
    format!("{letter}{}{tag}", rng.random_range(1..=KEYS_EACH)).into_bytes()
}

fn member(rng: &mut StdRng) -> Vec<u8> {
    match rng.random_range(0..40) {
        0 => Vec::new(),
        1 => random_bytes(rng, 6),
        2 => vec![b'L'; rng.random_range(60..70)],
        3..12 => rng.random_range(-3..=20).to_string().into(),
        _ => format!("m{}", rng.random_range(0..12)).into(),
    }
}

fn value(rng: &mut StdRng) -> Vec<u8> {
    match rng.random_range(0..40) {
        0 => Vec::new(),
        1..3 => random_bytes(rng, 9),
        3 => vec![b'v'; rng.random_range(43..46)],
        4 => vec![b'V'; rng.random_range(60..70)],
        5 => vec![rng.random(); rng.random_range(1000..9000)],
        6..16 => int(rng, -20..=20),
        16..20 => float(rng),
        20 => one_of(rng, &NOT_INTEGERS),
        _ => format!("v{}", rng.random_range(0..15)).into(),
    }
}

fn random_bytes(rng: &mut StdRng, max: usize) -> Vec<u8> {
    let len = rng.random_range(0..=max);
    (0..len).map(|_| rng.random()).collect()
}
