//! Requests.

use bytes::Bytes;
use proptest::prelude::*;
use protocol::ProtocolError;
use protocol::request::encode_request;
use protocol::slicer::{Args, Limits, Sliced, slice_request};
use redis_protocol::resp2::decode::decode_bytes;
use redis_protocol::resp2::types::BytesFrame;
use std::time::{Duration, Instant};

type Words = Vec<Vec<u8>>;

pub(crate) fn encoded(words: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_request(&mut bytes, &words.iter().map(Vec::as_slice).collect::<Vec<_>>());
    bytes
}

/// What a session sees that reads `input` in pieces of these sizes, over and over.
fn sliced_in_pieces(input: &[u8], pieces: &[usize]) -> (Vec<Words>, Option<ProtocolError>) {
    let (mut found, mut args, mut start, mut end) = (Vec::new(), Args::new(), 0, 0);
    let mut pieces = pieces.iter().cycle();
    loop {
        let words = |frame: &[u8], args: &Args| args.iter(frame).map(<[u8]>::to_vec).collect();
        match slice_request(&input[start..end], &Limits::default(), &mut args) {
            Ok(Sliced::Incomplete { .. }) if end == input.len() => return (found, None),
            Ok(Sliced::Incomplete { at_least }) => {
                assert!(at_least > 0);
                end = input.len().min(end + pieces.next().unwrap());
            }
            Ok(Sliced::Request { len }) => {
                found.push(words(&input[start..start + len], &args));
                start += len;
            }
            Ok(Sliced::Inline { len, frame }) => {
                found.push(words(&frame, &args));
                start += len;
            }
            Ok(Sliced::Nothing { len }) => start += len,
            Err(error) => return (found, Some(error)),
        }
    }
}

/// The oracle's words of the frame at the beginning, if it is an array of strings, and its length.
fn oracle(input: &[u8]) -> Option<(Words, usize)> {
    let (frame, len) = decode_bytes(&Bytes::copy_from_slice(input)).ok()??;
    let BytesFrame::Array(items) = frame else { return None };
    let words = items.into_iter().map(|item| match item {
        BytesFrame::BulkString(bytes) => Some(bytes.to_vec()),
        _ => None,
    });
    Some((words.collect::<Option<_>>()?, len))
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..12),
        1 => prop::collection::vec(prop::sample::select(b"\r\n$*0123456789- ".to_vec()), 0..12),
        1 => prop::collection::vec(any::<u8>(), 90..120),
        1 => Just(vec![b'v'; 1000]),
    ]
}

fn words() -> impl Strategy<Value = Words> {
    prop::collection::vec(word(), 1..12)
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![1]), Just(vec![usize::MAX >> 1]), prop::collection::vec(1usize..40, 1..8)]
}

/// A change of one byte, or of the length.
#[derive(Clone, Debug)]
enum Damage {
    Replace(u8),
    Insert(u8),
    Remove,
    Cut,
}

fn damage() -> impl Strategy<Value = (prop::sample::Index, Damage)> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"\r\n$*0123456789-+ \0".to_vec())];
    let damage = (byte, 0..4).prop_map(|(byte, kind)| match kind {
        0 => Damage::Replace(byte),
        1 => Damage::Insert(byte),
        2 => Damage::Remove,
        _ => Damage::Cut,
    });
    (any::<prop::sample::Index>(), damage)
}

/// What happens to some bytes, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Damages(Vec<(prop::sample::Index, Damage)>);

pub(crate) fn damages() -> impl Strategy<Value = Damages> {
    prop::collection::vec(damage(), 1..4).prop_map(Damages)
}

impl Damages {
    pub(crate) fn apply(&self, bytes: &mut Vec<u8>) {
        for (at, damage) in &self.0 {
            if bytes.is_empty() {
                return;
            }
            let at = at.index(bytes.len());
            match damage {
                Damage::Replace(byte) => bytes[at] = *byte,
                Damage::Insert(byte) => bytes.insert(at, *byte),
                Damage::Remove => drop(bytes.remove(at)),
                Damage::Cut => bytes.truncate(at),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pipeline_in_any_pieces_is_cut_where_the_oracle_cuts_it(all in prop::collection::vec(words(), 1..6), pieces in pieces()) {
        let input: Vec<u8> = all.iter().flat_map(|words| encoded(words)).collect();
        let mut rest = input.as_slice();
        for words in &all {
            let (theirs, len) = oracle(rest).unwrap();
            prop_assert_eq!(&theirs, words);
            rest = &rest[len..];
        }
        prop_assert_eq!(sliced_in_pieces(&input, &pieces), (all, None));
    }

    #[test]
    fn a_request_cut_off_anywhere_is_incomplete_and_misses_at_least_what_is_said(words in words(), at in any::<prop::sample::Index>()) {
        let whole = encoded(&words);
        let cut = at.index(whole.len());
        let sliced = slice_request(&whole[..cut], &Limits::default(), &mut Args::new()).unwrap();
        let Sliced::Incomplete { at_least } = sliced else { panic!("{sliced:?}") };
        prop_assert!((1..=whole.len() - cut).contains(&at_least), "{} of {} missing, told {at_least}", whole.len() - cut, whole.len());
    }

    /// What is accepted is exactly what an encoder writes; and that the oracle reads the same.
    #[test]
    fn a_damaged_request_is_never_misread(words in words(), damage in damages()) {
        let mut input = encoded(&words);
        damage.apply(&mut input);
        input.extend(encoded(&words));
        let mut args = Args::new();
        match slice_request(&input, &Limits::default(), &mut args) {
            Ok(Sliced::Request { len }) => {
                let ours: Words = args.iter(&input).map(<[u8]>::to_vec).collect();
                prop_assert_eq!(&encoded(&ours), &input[..len]);
                prop_assert_eq!(oracle(&input), Some((ours, len)));
            }
            _ => if let Some((theirs, len)) = oracle(&input) {
                prop_assert!(theirs.is_empty() || encoded(&theirs) != input[..len], "refused or waited for {theirs:?}");
            },
        }
    }

    #[test]
    fn damaged_bytes_mean_the_same_in_any_pieces(all in prop::collection::vec(words(), 1..4), damage in damages(), pieces in pieces()) {
        let mut input: Vec<u8> = all.iter().flat_map(|words| encoded(words)).collect();
        damage.apply(&mut input);
        prop_assert_eq!(sliced_in_pieces(&input, &pieces), sliced_in_pieces(&input, &[usize::MAX >> 1]));
    }

    #[test]
    fn any_bytes_are_survived(input in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"\r\n$*019-\"'\\".to_vec())], 0..200), pieces in pieces()) {
        prop_assert_eq!(sliced_in_pieces(&input, &pieces), sliced_in_pieces(&input, &[usize::MAX >> 1]));
    }
}

#[test]
fn what_asks_for_nothing_is_passed_over() {
    for (input, len) in
        [("\r\n", 2), ("\n", 1), ("  \t\r\n", 5), ("*0\r\n", 4), ("*-1\r\n", 5), ("*-77\r\n", 6)]
    {
        let sliced = slice_request(input.as_bytes(), &Limits::default(), &mut Args::new());
        assert_eq!(sliced, Ok(Sliced::Nothing { len }), "{input:?}");
    }
}

#[test]
fn arguments_of_an_inline_request_refer_to_its_frame() {
    let mut args = Args::new();
    let sliced =
        slice_request(b"SET 'a b' \"\\x00\"\r\nrest", &Limits::default(), &mut args).unwrap();
    let Sliced::Inline { len, frame } = sliced else { panic!("{sliced:?}") };
    assert_eq!(len, 18);
    assert_eq!(frame, b"*3\r\n$3\r\nSET\r\n$3\r\na b\r\n$1\r\n\0\r\n");
    assert_eq!(args.iter(&frame).collect::<Vec<_>>(), [b"SET".as_slice(), b"a b", b"\0"]);
    assert_eq!(args.range(1), Some(17..20));
    assert_eq!(args.get(&frame, 3), None);
}

/// Two bytes Redis would skip unseen: on a connection that many clients share they would shift the next frame.
#[test]
fn a_line_or_an_argument_that_does_not_end_is_refused() {
    for input in
        ["*1\rX$4\r\nPING\r\n", "*1\r\n$4\rXPING\r\n", "*1\r\n$4\r\nPINGXX", "*1\r\n$4\r\nPING\rX"]
    {
        let sliced = slice_request(input.as_bytes(), &Limits::default(), &mut Args::new());
        assert_eq!(sliced, Err(ProtocolError::ExpectedLineEnd), "{input:?}");
    }
}

/// Quadratic work on these would take minutes.
#[test]
fn the_work_is_linear_in_the_bytes_however_they_arrive() {
    let long_value = encoded(&[b"SET".to_vec(), b"k".to_vec(), vec![b'v'; 2_000_000]]);
    let many_values = encoded(&vec![b"v".to_vec(); 300_000]);
    let inline = [b"SET k ".as_slice(), &vec![b'v'; 60_000], b"\n"].concat();
    let begun = Instant::now();
    for input in [long_value, many_values, inline] {
        let mut args = Args::new();
        for end in 1..input.len() {
            let sliced = slice_request(&input[..end], &Limits::default(), &mut args);
            assert!(matches!(sliced, Ok(Sliced::Incomplete { .. })));
        }
        let sliced = slice_request(&input, &Limits::default(), &mut args).unwrap();
        assert!(
            matches!(sliced, Sliced::Request { len } | Sliced::Inline { len, .. } if len == input.len())
        );
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
