//! Lists a key under the letter of its type, and under no other, in a slot that is about to move.
//!
//! Pika has no word for that. Each type has a command that lists the key whatever comes of it, and here changes nothing: an element that is
//! there is added, or something is put in front of an element that is not there. None of them touches the key's end of life. Other proxies may
//! not have locked the slot yet: the key is watched. A letter too many is taken off Pika's lists, which are plain sets.

use super::slot::{Kind, hyperloglogs, tag_hash};
use crate::foreign::link::{Link, LinkError};
use cluster::Slot;
use protocol::frame::Value;

/// The letters Pika uses.
const LETTERS: [u8; 7] = *b"khlszmx";

/// How often a key that is written meanwhile is tried.
const TRIES: usize = 8;

/// Less than this before its end a HyperLogLog is not listed, in milliseconds: what lists it would make a string of it behind its end.
const LEFT_MS_MIN: i64 = 1_000;

/// Lists the key. Nothing happens if it does not exist, or is a stream.
pub(super) async fn relist(link: &mut Link, slot: Slot, key: &[u8]) -> Result<(), LinkError> {
    for _ in 0..TRIES {
        link.send([&[b"WATCH", key][..], &[b"TYPE", key], &[b"EXISTS", key]]).await?;
        link.answer().await?;
        let kind = Kind::read(&link.answer().await?, &link.answer().await?);
        let words = if kind.exists { nothing_new(link, &kind, key).await? } else { None };
        let Some(words) = words else {
            link.ask(&[b"UNWATCH"]).await?;
            return Ok(());
        };
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        link.send([&[&b"MULTI"[..]][..], &words, &[b"EXEC"]]).await?;
        link.answer().await?;
        link.answer().await?;
        // Nothing: somebody has written it.
        if let Some([answer]) = link.answer().await?.as_items() {
            if words[0] == b"SETNX" && answer.as_int() == Some(1) {
                return take_back(link, key).await;
            }
            if answer.as_error().is_none() {
                take_off(link, slot, key, &kind).await?;
            }
            return Ok(());
        }
    }
    Ok(())
}

/// Deletes the string that came to be because a HyperLogLog had just ended.
async fn take_back(link: &mut Link, key: &[u8]) -> Result<(), LinkError> {
    link.send([&[b"WATCH", key][..], &[b"STRLEN", key]]).await?;
    link.answer().await?;
    if link.answer().await?.as_int() != Some(0) {
        // Somebody has written it.
        link.ask(&[b"UNWATCH"]).await?;
        return Ok(());
    }
    link.send([&[&b"MULTI"[..]][..], &[b"DEL", key], &[b"EXEC"]]).await?;
    for _ in 0..3 {
        link.answer().await?;
    }
    Ok(())
}

/// Takes the letters off the lists that are not the key's.
async fn take_off(link: &mut Link, slot: Slot, key: &[u8], kind: &Kind) -> Result<(), LinkError> {
    let wrong: Vec<Vec<u8>> = LETTERS
        .iter()
        .filter(|&&letter| kind.letter() != Some(letter))
        .map(|&letter| [&[letter], key].concat())
        .collect();
    let of_tag = tag_hash(key).map(|hash| format!("_internal:slottag:4migrate:{hash}"));
    let of_slot = format!("_internal:slotkey:4migrate:{slot}");
    let lists: Vec<String> = [Some(of_slot), of_tag].into_iter().flatten().collect();
    let words = lists.iter().map(|list| {
        let wrong = wrong.iter().map(Vec::as_slice);
        [b"SREM", list.as_bytes()].into_iter().chain(wrong).collect::<Vec<_>>()
    });
    link.send(words.collect::<Vec<_>>().iter().map(Vec::as_slice)).await?;
    for _ in lists {
        link.answer().await?;
    }
    Ok(())
}

/// A command that lists the key and changes nothing of it.
async fn nothing_new(
    link: &mut Link,
    kind: &Kind,
    key: &[u8],
) -> Result<Option<Vec<Vec<u8>>>, LinkError> {
    let words = |words: &[&[u8]]| Some(words.iter().map(|word| word.to_vec()).collect());
    Ok(match kind.letter() {
        // SETRANGE would make a string of it.
        Some(b'k') if !hyperloglogs(link, &[key]).await?.is_empty() => {
            let left = link.ask(&[b"PTTL", key]).await?.as_int();
            let ends = left.is_some_and(|ms| (0..LEFT_MS_MIN).contains(&ms));
            if ends { None } else { words(&[b"SETNX", key, b""]) }
        }
        Some(b'k') => words(&[b"SETRANGE", key, b"0", b""]),
        Some(b'l') => {
            let nowhere = format!("{:032x}", rand::random::<u128>());
            words(&[b"LINSERT", key, b"BEFORE", nowhere.as_bytes(), b""])
        }
        Some(b's') => {
            let page = link.ask(&[b"SSCAN", key, b"0", b"COUNT", b"1"]).await?;
            first(&page).and_then(|member| words(&[b"SADD", key, member]))
        }
        Some(b'h') => {
            let page = link.ask(&[b"HSCAN", key, b"0", b"COUNT", b"1"]).await?;
            first(&page).and_then(|field| words(&[b"HSETNX", key, field, b""]))
        }
        Some(b'z') => {
            let answer = link.ask(&[b"ZRANGE", key, b"0", b"0", b"WITHSCORES"]).await?;
            match answer.as_items() {
                Some([member, score]) => match (member.as_bytes(), score.as_bytes()) {
                    (Some(member), Some(score)) => words(&[b"ZADD", key, score, member]),
                    _ => None,
                },
                _ => None,
            }
        }
        _ => None,
    })
}

/// The first element of a page.
fn first(page: &Value) -> Option<&[u8]> {
    page.as_items()?.get(1)?.as_items()?.first()?.as_bytes()
}
