//! Positions: a sorted set whose scores are 52 interleaved bits, as in both servers. Only what stores, since no migration of Pika sees it.

use super::{Call, Done, Refused, double};
use crate::store::{Store, Value, Zset};
use protocol::reply::{Reply, errors};

const BITS: u32 = 26;
/// Latitudes beyond have no place on the map.
const LATITUDE_MAX: f64 = 85.051_128_78;
const EARTH_RADIUS_M: f64 = 6_372_797.560_856;

/// The score of a position.
fn score(longitude: f64, latitude: f64) -> f64 {
    let cells = f64::from(1u32 << BITS);
    let x = ((longitude + 180.0) / 360.0 * cells) as u64;
    let y = ((latitude + LATITUDE_MAX) / (2.0 * LATITUDE_MAX) * cells) as u64;
    let bits = (0..BITS)
        .fold(0, |bits, at| bits | (y >> at & 1) << (2 * at) | (x >> at & 1) << (2 * at + 1));
    bits as f64
}

/// The position of a score: the middle of its cell.
fn position(score: f64) -> (f64, f64) {
    let bits = score as u64;
    let half = |shift: u32| (0..BITS).fold(0u64, |n, at| n | (bits >> (2 * at + shift) & 1) << at);
    let cells = f64::from(1u32 << BITS);
    let place = |n: u64| (n as f64 + 0.5) / cells;
    (place(half(1)) * 360.0 - 180.0, place(half(0)) * 2.0 * LATITUDE_MAX - LATITUDE_MAX)
}

fn distance_m(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (y1, y2) = (from.1.to_radians(), to.1.to_radians());
    let u = ((y2 - y1) / 2.0).sin();
    let v = ((to.0 - from.0).to_radians() / 2.0).sin();
    2.0 * EARTH_RADIUS_M * (u * u + y1.cos() * y2.cos() * v * v).sqrt().asin()
}

pub(super) fn geoadd(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let mut places = Vec::new();
    for triple in call.from(2).chunks(3) {
        let [longitude, latitude, member] = triple else { return Err(errors::SYNTAX.into()) };
        let (Some(longitude), Some(latitude)) = (double(longitude), double(latitude)) else {
            return Err(errors::NOT_FLOAT.into());
        };
        places.push((score(longitude, latitude), member));
    }
    let zset: &mut Zset = store.make(call.key())?;
    let new = places.into_iter().filter(|(score, member)| zset.set(member, *score)).count();
    out.int(new as i64);
    Ok(())
}

/// GEORADIUS key longitude latitude radius unit [STORE key]
pub(super) fn georadius(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    let number = |at: usize| double(call.word(at)).ok_or(Refused::from(errors::NOT_FLOAT));
    let centre = (number(2)?, number(3)?);
    let unit = match call.option(5).as_str() {
        "m" => 1.0,
        "km" => 1000.0,
        "ft" => 0.3048,
        "mi" => 1609.34,
        _ => return Err("ERR unsupported unit provided. please use m, km, ft, mi".into()),
    };
    let radius_m = number(4)? * unit;
    let zset = store.find::<Zset>(call.key())?.cloned().unwrap_or_default();
    let near = |score: f64| distance_m(centre, position(score)) <= radius_m;
    let mut found = Zset::default();
    zset.iter().filter(|(_, score)| near(*score)).for_each(|(member, score)| {
        found.set(member, score);
    });
    if call.option(6) != "store" {
        out.array(found.len());
        found.iter().for_each(|(member, _)| out.bulk(member));
        return Ok(());
    }
    out.int(found.len() as i64);
    store.put(call.word(7), Value::Zset(found));
    store.tidy(call.word(7));
    Ok(())
}
