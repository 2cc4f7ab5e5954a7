//! Lists a key under the letter of its type, and under no other, in a slot that nobody writes.
//!
//! Pika has no word for that. Each type has a command that lists the key whatever comes of it, and here changes nothing: an element that is
//! there is added, or something is put in front of an element that is not there. None of them touches the key's end of life. A letter too many
//! is taken off Pika's lists, which are plain sets.

use super::slot::{Kind, kinds, tag_hash};
use crate::foreign::link::{Link, LinkError};
use cluster::Slot;
use protocol::frame::Value;

/// The letters Pika uses.
const LETTERS: [u8; 7] = *b"khlszmx";

/// Lists the key. Nothing happens if it does not exist, or is a stream. Must not be said of a HyperLogLog, which would become a string.
pub(super) async fn relist(link: &mut Link, slot: Slot, key: &[u8]) -> Result<(), LinkError> {
    let Some(kind) = kinds(link, &[key]).await?.pop() else { return Ok(()) };
    let Some(letter) = kind.letter().filter(|_| kind.exists) else { return Ok(()) };
    if !list(link, &kind, key).await? {
        return Ok(());
    }
    let wrong: Vec<Vec<u8>> =
        LETTERS.iter().filter(|&&other| other != letter).map(|&l| [&[l], key].concat()).collect();
    let of_tag = tag_hash(key).map(|hash| format!("_internal:slottag:4migrate:{hash}"));
    let of_slot = format!("_internal:slotkey:4migrate:{slot}");
    for list in [Some(of_slot), of_tag].into_iter().flatten() {
        let mut words: Vec<&[u8]> = vec![b"SREM", list.as_bytes()];
        words.extend(wrong.iter().map(Vec::as_slice));
        link.ask(&words).await?;
    }
    Ok(())
}

/// Has the node list the key. Returns whether it has.
async fn list(link: &mut Link, kind: &Kind, key: &[u8]) -> Result<bool, LinkError> {
    let answer = match kind.letter() {
        Some(b'k') => link.ask(&[b"SETRANGE", key, b"0", b""]).await?,
        Some(b'l') => {
            let nowhere = format!("{:032x}", rand::random::<u128>());
            link.ask(&[b"LINSERT", key, b"BEFORE", nowhere.as_bytes(), b""]).await?
        }
        Some(b's') => {
            let page = link.ask(&[b"SSCAN", key, b"0", b"COUNT", b"1"]).await?;
            let Some(member) = first(&page) else { return Ok(false) };
            link.ask(&[b"SADD", key, &member]).await?
        }
        Some(b'z') => {
            let answer = link.ask(&[b"ZRANGE", key, b"0", b"0", b"WITHSCORES"]).await?;
            let Some([member, score]) = answer.as_items() else { return Ok(false) };
            let (Some(member), Some(score)) = (member.as_bytes(), score.as_bytes()) else {
                return Ok(false);
            };
            link.ask(&[b"ZADD", key, score, member]).await?
        }
        Some(b'h') => {
            let page = link.ask(&[b"HSCAN", key, b"0", b"COUNT", b"1"]).await?;
            let Some(field) = first(&page) else { return Ok(false) };
            link.ask(&[b"HSETNX", key, &field, b""]).await?
        }
        _ => return Ok(false),
    };
    Ok(answer.as_error().is_none())
}

/// The first element of a page.
fn first(page: &Value) -> Option<Vec<u8>> {
    let elements = page.as_items()?.get(1)?.as_items()?;
    elements.first()?.as_bytes().map(<[u8]>::to_vec)
}
