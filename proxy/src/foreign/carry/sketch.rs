//! HyperLogLogs, of which Pika sends the bytes only, and no command takes registers. But PFADD raises a register by an element's hash, which can be
//! calculated backwards: for each register there is an element of four bytes that raises it to what it is at the source, and no other.
//!
//! Source: Pika 4.0.1, `storage/src/redis_hyperloglog.cc` and `storage_murmur3.h`: 2¹⁷ registers of a byte, `MurmurHash3_x86_32` with the seed 313.

use super::{Ends, Trouble, done, left_ms};
use crate::foreign::examine::{Pages, hyperloglogs, text};
use crate::foreign::link::{Link, LinkError};
use cluster::Slot;
use protocol::frame::Value;

/// The letter in a slot's list: Pika takes it for a string.
pub(super) const LETTER: u8 = b'k';

/// Registers, of a byte each.
pub(super) const REGISTERS: usize = 1 << INDEX_BITS;

/// Bits of a hash that choose the register.
const INDEX_BITS: u32 = 17;

/// The highest an element raises a register to: the other bits of its hash are 0. PFMERGE of Pika makes higher ones, of the bits of two.
const RANK_MAX: u8 = 16;

const SEED: u32 = 313;

/// Elements of one PFADD. Pika copies all registers for each.
const ELEMENTS_A_TIME: usize = 254;

/// Those of a slot.
pub(super) async fn keys(source: &mut Link, slot: Slot) -> Result<Vec<Vec<u8>>, LinkError> {
    let (mut found, mut pages) = (Vec::new(), Pages::new(slot, "k*"));
    while let Some(members) = pages.next(source).await? {
        let keys: Vec<&[u8]> = members.iter().map(|member| &member[1..]).collect();
        found.extend(hyperloglogs(source, &keys).await?.into_iter().map(<[u8]>::to_vec));
    }
    Ok(found)
}

/// How many registers are not 0; nothing if one of them cannot be made.
pub(super) async fn size(source: &mut Link, key: &[u8]) -> Result<Option<usize>, LinkError> {
    let registers = registers(source, key).await?.unwrap_or_default();
    let can_be_made = registers.iter().all(|&rank| rank <= RANK_MAX);
    Ok(can_be_made.then(|| registers.iter().filter(|&&rank| rank != 0).count()))
}

/// Puts it at the target, in place of what is there.
pub(super) async fn copy(ends: &mut Ends<'_>, key: &[u8]) -> Result<(), Trouble> {
    let node = ends.moved.target;
    done(node, "DEL", &ends.target.ask(&[b"DEL", key]).await?)?;
    let Some(registers) = registers(&mut ends.source, key).await? else { return Ok(()) };
    let elements: Vec<[u8; 4]> = (0..).zip(registers).filter_map(element_of).collect();
    make(node, &mut ends.target, key).await?;
    for elements in elements.chunks(ELEMENTS_A_TIME) {
        let mut words: Vec<&[u8]> = vec![b"PFADD", key];
        words.extend(elements.iter().map(<[u8; 4]>::as_slice));
        done(node, "PFADD", &ends.target.ask(&words).await?)?;
    }
    if let Some(left_ms) = left_ms(&mut ends.source, key).await? {
        let left_ms = left_ms.max(1).to_string();
        done(node, "PEXPIRE", &ends.target.ask(&[b"PEXPIRE", key, left_ms.as_bytes()]).await?)?;
    }
    Ok(())
}

/// Makes an empty one where there is nothing, and has it listed in one go, as PFADD lists nothing: what is not listed nobody finds again.
async fn make(node: &str, target: &mut Link, key: &[u8]) -> Result<(), Trouble> {
    let listed: [&[u8]; 3] = [b"SETNX", key, b""];
    target.send([&[&b"MULTI"[..]][..], &[b"PFADD", key], &listed, &[b"EXEC"]]).await?;
    for command in ["MULTI", "PFADD", "SETNX"] {
        done(node, command, &target.answer().await?)?;
    }
    let answer = target.answer().await?;
    done(node, "EXEC", &answer)?;
    answer.as_items().unwrap_or_default().iter().try_for_each(|each| done(node, "EXEC", each))
}

/// Whether both sides have the same registers, and both an end of life or none.
pub(super) async fn is_equal(ends: &mut Ends<'_>, key: &[u8]) -> Result<bool, Trouble> {
    let here = registers(&mut ends.source, key).await?;
    if here != registers(&mut ends.target, key).await? {
        return Ok(false);
    }
    if here.is_some() && hyperloglogs(&mut ends.target, &[key]).await?.is_empty() {
        // A string of the same bytes.
        return Ok(false);
    }
    let ends_here = left_ms(&mut ends.source, key).await?.is_some();
    Ok(ends_here == left_ms(&mut ends.target, key).await?.is_some())
}

/// All registers; nothing if there is no such key.
async fn registers(link: &mut Link, key: &[u8]) -> Result<Option<Vec<u8>>, LinkError> {
    let value = text(link, key).await?;
    match value.as_bytes() {
        // Nothing was ever added.
        Some([]) => Ok(Some(vec![0; REGISTERS])),
        Some(registers) if registers.len() == REGISTERS => Ok(Some(registers.to_vec())),
        None if value == Value::Null => Ok(None),
        _ => Err(LinkError::Lost("GET is answered with what are no registers".to_owned())),
    }
}

/// The element of a register; none if it is 0.
fn element_of((index, rank): (u32, u8)) -> Option<[u8; 4]> {
    (rank != 0).then(|| element(index, rank))
}

/// The four bytes of which the lower bits of the hash are `index`, and the others have their lowest 1 where `rank`, 1 to [`RANK_MAX`], says. Each step of the
/// hash undone, from the last one.
fn element(index: u32, rank: u8) -> [u8; 4] {
    // Shifted out for the highest: all of them are 0.
    let others = 1_u32.checked_shl(INDEX_BITS + u32::from(rank) - 1).unwrap_or(0);
    let mut hash = index | others;
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(inverse(0xc2b2_ae35));
    hash ^= hash >> 13 ^ hash >> 26;
    hash = hash.wrapping_mul(inverse(0x85eb_ca6b));
    hash ^= hash >> 16;
    hash ^= 4;
    hash = hash.wrapping_sub(0xe654_6b64).wrapping_mul(inverse(5));
    let word = (hash.rotate_right(13) ^ SEED).wrapping_mul(inverse(0x1b87_3593));
    word.rotate_right(15).wrapping_mul(inverse(0xcc9e_2d51)).to_le_bytes()
}

/// Of an odd number modulo 2³², by Newton's method: each round doubles the right bits, of which there are three at first.
const fn inverse(odd: u32) -> u32 {
    let (mut inverse, mut round) = (odd, 0);
    while round < 4 {
        inverse = inverse.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(inverse)));
        round += 1;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of four bytes.
    fn murmur3(word: u32) -> u32 {
        let word = word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
        let mut hash = (SEED ^ word).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64) ^ 4;
        hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
        hash ^ hash >> 16
    }

    #[test]
    fn for_each_register_and_rank_there_is_an_element() {
        for index in (0..REGISTERS as u32).step_by(97).chain([REGISTERS as u32 - 1]) {
            for rank in 1..=RANK_MAX {
                let hash = murmur3(u32::from_le_bytes(element(index, rank)));
                let others = (hash >> INDEX_BITS).trailing_zeros().min(15) + 1;
                assert_eq!((hash % REGISTERS as u32, others), (index, u32::from(rank)));
            }
        }
    }

    /// PFADD of these raised these registers there.
    #[test]
    fn the_elements_are_those_of_pika() {
        assert_eq!(element(5, 3), [0x50, 0xa7, 0x5f, 0x02]);
        assert_eq!(element(131_071, 15), [0x93, 0x4f, 0xa1, 0xe5]);
        assert_eq!(element(777, 16), [0x15, 0x53, 0x8f, 0xb3]);
    }
}
