//! Sketches of cardinality, which are strings in both servers.
//!
//! Pika's have its own registers (`storage/src/redis_hyperloglog.cc` of 4.0.1), and are known by a mark that is not in their bytes. Redis' are
//! exact here: nobody looks into them.

use super::{Call, Done, Refused};
use crate::store::{Bytes, Store, Value};
use protocol::reply::{Reply, errors};
use std::collections::BTreeSet;

/// Bits of a hash that choose the register, and their number.
const INDEX_BITS: u32 = 17;
const REGISTERS: usize = 1 << INDEX_BITS;
const SEED: u32 = 313;

fn text<'a>(store: &'a mut Store, key: &[u8]) -> Result<Option<&'a mut Bytes>, Refused> {
    Ok(store.find::<Bytes>(key)?)
}

pub(super) fn pfadd(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    if !call.is_pika() {
        return exact::pfadd(store, call, out);
    }
    let mut registers = registers(store, call.key())?;
    let (before, is_new) = (estimate(&registers), !store.has(call.key()));
    for element in call.from(2) {
        let (index, rank) = place(element);
        registers[index] = registers[index].max(rank);
    }
    let changed = estimate(&registers) != before || is_new && call.from(2).is_empty();
    // Without elements it forgets what was there.
    let kept = if call.from(2).is_empty() { Vec::new() } else { registers };
    store.put_sketch(call.key(), kept);
    out.int(i64::from(changed));
    Ok(())
}

pub(super) fn pfcount(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    if !call.is_pika() {
        return exact::pfcount(store, call, out);
    }
    let all = merged(store, call.from(1))?;
    out.int(estimate(&all));
    Ok(())
}

pub(super) fn pfmerge(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
    if !call.is_pika() {
        return exact::pfmerge(store, call, out);
    }
    let all = merged(store, call.from(1))?;
    store.put_sketch(call.key(), all);
    out.ok();
    Ok(())
}

fn registers(store: &mut Store, key: &[u8]) -> Result<Bytes, Refused> {
    let is_sketch = store.is_sketch(key);
    match text(store, key)? {
        None => Ok(vec![0; REGISTERS]),
        Some(value) if is_sketch && value.is_empty() => Ok(vec![0; REGISTERS]),
        Some(value) if is_sketch => Ok(value.clone()),
        Some(_) => Err(errors::WRONG_TYPE.into()),
    }
}

fn merged(store: &mut Store, keys: &[Bytes]) -> Result<Bytes, Refused> {
    let mut all = vec![0; REGISTERS];
    for key in keys {
        for (one, other) in all.iter_mut().zip(registers(store, key)?) {
            // Not the higher of both.
            *one = if *one < other { *one | other } else { *one };
        }
    }
    Ok(all)
}

/// The register of an element, and what it is raised to.
fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur3(element);
    let rest = hash >> INDEX_BITS;
    let rank = rest.trailing_zeros().min(32 - INDEX_BITS) + 1;
    (hash as usize & (REGISTERS - 1), rank as u8)
}

fn estimate(registers: &[u8]) -> i64 {
    let m = REGISTERS as f64;
    let sum: f64 = registers.iter().map(|&rank| 1.0 / (1_u64 << rank.min(31)) as f64).sum();
    let first = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
    let zeros: f64 = registers.iter().map(|&rank| f64::from(u8::from(rank == 0))).sum();
    if first <= 2.5 * m && zeros > 0.0 {
        return (m * (m / zeros).ln()) as i64;
    }
    first as i64
}

/// `MurmurHash3_x86_32` (A. Appleby; public domain).
fn murmur3(bytes: &[u8]) -> u32 {
    let mix = |word: u32| word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash = SEED;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let word = word.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
        hash = (hash ^ mix(word)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let rest = words.remainder().iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
    hash ^= mix(rest) ^ bytes.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

/// The check sums of all elements behind a mark and their number.
mod exact {
    use super::{BTreeSet, Bytes, Call, Done, Refused, Reply, Store, Value, errors, text};

    const MARK: &[u8] = b"HYLL";
    const LENGTH_MIN: usize = 131_072;

    pub(super) fn pfadd(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
        let mut sums = sketch(store, call.key())?;
        let before = sums.len();
        sums.extend(call.from(2).iter().map(|element| crc32fast::hash(element).to_be_bytes()));
        let changed = sums.len() > before || !store.has(call.key());
        put(store, call.key(), &sums);
        out.int(i64::from(changed));
        Ok(())
    }

    pub(super) fn pfcount(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
        out.int(merged(store, call.from(1))?.len() as i64);
        Ok(())
    }

    pub(super) fn pfmerge(store: &mut Store, call: &Call<'_>, out: &mut Reply<'_>) -> Done {
        let all = merged(store, call.from(1))?;
        put(store, call.key(), &all);
        out.ok();
        Ok(())
    }

    fn merged(store: &mut Store, keys: &[Bytes]) -> Result<BTreeSet<[u8; 4]>, Refused> {
        let mut all = BTreeSet::new();
        for key in keys {
            all.extend(sketch(store, key)?);
        }
        Ok(all)
    }

    fn sketch(store: &mut Store, key: &[u8]) -> Result<BTreeSet<[u8; 4]>, Refused> {
        let Some(value) = text(store, key)? else { return Ok(BTreeSet::new()) };
        let kept = value.strip_prefix(MARK).ok_or(Refused::from(errors::WRONG_TYPE))?;
        let mut words = kept.chunks_exact(4).filter_map(|word| word.try_into().ok());
        let count = words.next().map_or(0, u32::from_be_bytes) as usize;
        Ok(words.take(count).collect())
    }

    fn put(store: &mut Store, key: &[u8], sums: &BTreeSet<[u8; 4]>) {
        let mut value = [MARK, &(sums.len() as u32).to_be_bytes()].concat();
        sums.iter().for_each(|sum| value.extend_from_slice(sum));
        value.resize(value.len().max(LENGTH_MIN), 0);
        store.put(key, Value::Text(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What GET showed of a real one after PFADD.
    #[test]
    fn an_element_raises_the_register_that_it_raises_in_pika() {
        for (element, register) in [
            (&b""[..], (116_293, 2)),
            (b"a", (123_368, 3)),
            (b"e1", (298, 1)),
            (b"abc", (121_987, 1)),
            (b"abcd", (31_404, 4)),
            (b"hello", (118_394, 2)),
            (b"abcdefgh", (100_063, 1)),
            (b"slipway", (8_470, 2)),
            (&[0x50, 0xa7, 0x5f, 0x02], (5, 3)),
            (&[0x15, 0x53, 0x8f, 0xb3], (777, 16)),
        ] {
            assert_eq!(place(element), register, "{element:?}");
        }
        assert_eq!(estimate(&vec![0; REGISTERS]), 0);
    }
}
