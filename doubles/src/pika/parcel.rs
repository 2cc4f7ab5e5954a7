//! One key as the plain commands that carry it to the target.
//!
//! Pika has this twice, and so has this file: the synchronous path ([`whole`]) and the migration thread ([`piecewise`]) differ in how a TTL
//! is sent, in what an error is, and in that only the thread sends DEL for a list that is not there (`pika-live.md` §4.1).

use super::data::Data;
use super::settings::Fault;
use crate::store::{Bytes, Hash, List, Set, Store, Stream, Zset};
use protocol::number::format_double;
use protocol::request::encode_request;

/// Elements of one command.
const ELEMENTS_MAX: usize = 512;

/// Commands, and how many.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Parcel {
    pub bytes: Vec<u8>,
    pub commands: usize,
}

/// The key cannot be read as the type it is filed under.
#[derive(Debug, PartialEq)]
pub(crate) struct Unreadable;

impl Parcel {
    fn push(&mut self, words: &[&[u8]]) {
        encode_request(&mut self.bytes, words);
        self.commands += 1;
    }

    /// Pieces of a collection, each element of `width` words.
    fn push_pieces(&mut self, name: &[u8], key: &[u8], words: &[Bytes], width: usize) {
        for piece in words.chunks(ELEMENTS_MAX * width) {
            let mut command = vec![name, key];
            command.extend(piece.iter().map(Vec::as_slice));
            self.push(&command);
        }
    }
}

/// Seconds the key has left, cut: none for ever, 0 if it is gone or nearly.
fn seconds_left(store: &mut Store, key: &[u8]) -> Option<i64> {
    let now_ms = store.now_ms;
    match store.entry(key) {
        None => Some(0),
        Some(entry) => entry.ends_ms.map(|ends| (ends - now_ms) / 1000),
    }
}

/// A score as `std::to_string` prints it; infinities as it spells them.
fn score(score: f64, faults: bool) -> Bytes {
    if faults && score.is_finite() {
        format!("{score:.6}").into_bytes()
    } else {
        format_double(score).as_ref().to_vec()
    }
}

/// The elements of a collection filed under `letter`; none if the key is not there.
fn elements(data: &mut Data, letter: u8, key: &[u8]) -> Result<Option<Vec<Bytes>>, Unreadable> {
    let six = data.has(Fault::SixDecimals);
    let store = &mut data.store;
    let found = match letter {
        b'h' => store.find::<Hash>(key).map(|hash| {
            hash.map(|hash| hash.iter().flat_map(|(f, v)| [f.clone(), v.clone()]).collect())
        }),
        b's' => store.find::<Set>(key).map(|set| set.map(|set| set.iter().cloned().collect())),
        b'l' => store.find::<List>(key).map(|list| list.map(|list| list.iter().cloned().collect())),
        b'z' => store.find::<Zset>(key).map(|zset| {
            zset.map(|zset| zset.iter().flat_map(|(m, s)| [score(s, six), m.clone()]).collect())
        }),
        _ => return Err(Unreadable),
    };
    found.map_err(|_| Unreadable)
}

fn name_and_width(letter: u8) -> (&'static [u8], usize) {
    match letter {
        b'h' => (b"HMSET", 2),
        b's' => (b"SADD", 1),
        b'l' => (b"RPUSH", 1),
        _ => (b"ZADD", 2),
    }
}

/// All entries of a stream in one XADD, or, without the fault, one XADD each.
fn stream(data: &mut Data, key: &[u8], parcel: &mut Parcel) -> Result<(), Unreadable> {
    let faulty = data.has(Fault::Streams);
    let Ok(found) = data.store.find::<Stream>(key) else { return Err(Unreadable) };
    let Some(stream) = found else { return Ok(()) };
    let entries: Vec<Vec<Bytes>> = stream
        .entries
        .iter()
        .map(|(id, fields)| {
            let id = format!("{}-{}", id.0, id.1).into_bytes();
            std::iter::once(id).chain(fields.iter().cloned()).collect()
        })
        .collect();
    if faulty {
        let all: Vec<Bytes> = entries.concat();
        let mut command: Vec<&[u8]> = vec![b"XADD", key];
        command.extend(all.iter().map(Vec::as_slice));
        parcel.push(&command);
    } else {
        entries.iter().for_each(|entry| parcel.push_pieces(b"XADD", key, entry, entry.len()));
    }
    Ok(())
}

/// As the synchronous path sends it. Nothing if the key is not there or ends within a second.
pub(crate) fn whole(data: &mut Data, letter: u8, key: &[u8]) -> Result<Parcel, Unreadable> {
    let mut parcel = Parcel::default();
    let left = seconds_left(&mut data.store, key);
    match letter {
        b'k' => {
            let Ok(found) = data.store.find::<Bytes>(key) else { return Err(Unreadable) };
            let Some(value) = found.cloned() else { return Ok(parcel) };
            match left.map(|left| left.to_string()) {
                None => parcel.push(&[b"SET", key, &value]),
                Some(left) if left != "0" => {
                    parcel.push(&[b"SET", key, &value, b"EX", left.as_bytes()]);
                }
                Some(_) => {}
            }
        }
        b'm' => stream(data, key, &mut parcel)?,
        _ => {
            let Some(words) = elements(data, letter, key)? else { return Ok(parcel) };
            if left == Some(0) {
                return Ok(parcel);
            }
            if letter == b'l' {
                parcel.push(&[b"DEL", key]);
            }
            let (name, width) = name_and_width(letter);
            parcel.push_pieces(name, key, &words, width);
            if let Some(left) = left {
                parcel.push(&[b"EXPIRE", key, left.to_string().as_bytes()]);
            }
        }
    }
    Ok(parcel)
}

/// As the migration thread sends it. A collection that cannot be read counts as sent, with no command.
pub(crate) fn piecewise(data: &mut Data, letter: u8, key: &[u8]) -> Result<Parcel, Unreadable> {
    let mut parcel = Parcel::default();
    match letter {
        b'k' => match data.store.find::<Bytes>(key) {
            Err(_) => return Err(Unreadable),
            Ok(None) => return Ok(parcel),
            Ok(Some(value)) => {
                parcel.push(&[b"SET", key, value]);
            }
        },
        b'm' => {
            stream(data, key, &mut parcel)?;
            return Ok(parcel);
        }
        b'h' | b's' | b'z' | b'l' => {
            if letter == b'l' {
                parcel.push(&[b"DEL", key]);
            }
            let words = elements(data, letter, key).ok().flatten().unwrap_or_default();
            if words.is_empty() {
                return Ok(parcel);
            }
            let (name, width) = name_and_width(letter);
            parcel.push_pieces(name, key, &words, width);
        }
        _ => return Err(Unreadable),
    }
    match seconds_left(&mut data.store, key) {
        None => {}
        Some(..=0) => parcel.push(&[b"del", key]),
        Some(left) => parcel.push(&[b"expire", key, left.to_string().as_bytes()]),
    }
    Ok(parcel)
}

/// Whether a reply is one a migration expects: `OK` or a number. A stream's ID is neither.
pub(crate) fn accepted(reply: &protocol::frame::Value, streams_break: bool) -> bool {
    use protocol::frame::Value as Reply;
    match reply {
        Reply::Simple(text) => text.eq_ignore_ascii_case("ok"),
        Reply::Int(_) => true,
        Reply::Bulk(id) => !streams_break && id.contains(&b'-'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Settings;
    use super::*;
    use crate::store::Value;

    fn data() -> Data {
        let mut data = Data::new(Settings::default());
        data.store.now_ms = 1_000_000;
        data
    }

    #[test]
    fn a_list_that_is_gone_is_still_deleted_at_the_target_by_the_thread_alone() {
        let mut data = data();
        let thread = piecewise(&mut data, b'l', b"l").unwrap();
        assert_eq!(thread.bytes, b"*2\r\n$3\r\nDEL\r\n$1\r\nl\r\n");
        assert_eq!(whole(&mut data, b'l', b"l").unwrap().commands, 0);
    }

    #[test]
    fn a_score_loses_what_is_behind_six_decimals() {
        assert_eq!(score(0.123_456_789, true), b"0.123457");
        assert_eq!(score(0.123_456_789, false), b"0.123456789");
        assert_eq!(score(f64::INFINITY, true), b"inf");
    }

    #[test]
    fn a_big_set_goes_in_pieces_and_its_ttl_in_whole_seconds() {
        let mut data = data();
        let set: Set = (0..600).map(|n: u32| n.to_be_bytes().to_vec()).collect();
        data.store.put_until(b"s", Value::Set(set), Some(1_009_900));
        let parcel = whole(&mut data, b's', b"s").unwrap();
        assert_eq!(parcel.commands, 3);
        assert!(parcel.bytes.ends_with(b"$6\r\nEXPIRE\r\n$1\r\ns\r\n$1\r\n9\r\n"));
    }
}
