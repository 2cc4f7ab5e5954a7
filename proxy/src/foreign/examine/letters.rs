//! Makes the list of a slot right for a Pika that is to migrate it by itself: the node believes the letters.
//!
//! A key that is not of the type it is listed as is damaged by that: Pika deletes a key at the source once its entry is done with, whatever it
//! could send of it; for an entry of a list it says DEL to the target first, even if there is no list any more; and an entry of a string that
//! is something else stops the slot. Such entries stay behind when a key expires, or its last element is taken, and it is made anew.
//! Invariant: no entry is taken off unless the key, asked for after that, is not there.

use super::Refusal;
use super::relist::relist;
use super::slot::{Pages, hyperloglogs, shown, tag_hash};
use crate::foreign::link::{Link, LinkError};
use crate::foreign::probe;
use cluster::Slot;

/// Looks at every entry of the slot, which is locked here, but perhaps not at other proxies. Returns the HyperLogLogs among what was listed wrong.
pub(super) async fn put_right(link: &mut Link, slot: Slot) -> Result<Vec<Refusal>, LinkError> {
    let (mut pages, mut found) = (Pages::new(slot, "*"), Vec::new());
    while let Some(members) = pages.next(link).await? {
        for stray in strays(link, &members).await? {
            let key = &stray[1..];
            drop_absent(link, slot, &stray).await?;
            if exists(link, key).await? {
                relist(link, slot, key).await?;
                if !hyperloglogs(link, &[key]).await?.is_empty() {
                    found.push(Refusal::HyperLogLog { key: shown(key) });
                }
            }
        }
    }
    Ok(found)
}

/// Those of the entries whose key is not there as what they say. Streams have been looked for before.
async fn strays(link: &mut Link, members: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, LinkError> {
    let kind = |letter: u8| probe::KINDS.iter().find(|(_, known)| *known == letter);
    let known: Vec<(&Vec<u8>, &str)> =
        members.iter().filter_map(|member| Some((member, kind(member[0])?.0))).collect();
    let asked: Vec<[&[u8]; 6]> =
        known.iter().map(|(member, kind)| probe::there(kind, &member[1..])).collect();
    link.send(asked.iter().map(<[&[u8]; 6]>::as_slice)).await?;
    let mut strays = Vec::new();
    for (member, _) in known {
        if probe::says(&link.answer().await?, &member[1..]) == Some(false) {
            strays.push(member.clone());
        }
    }
    Ok(strays)
}

/// Takes an entry off whose key is not there, as what has expired goes on being listed. Those of streams stay, of which nobody can tell.
pub(crate) async fn drop_absent(
    link: &mut Link,
    slot: Slot,
    member: &[u8],
) -> Result<(), LinkError> {
    let Some((letter, key)) = member.split_first() else { return Ok(()) };
    let is_known = probe::KINDS.iter().any(|(_, known)| known == letter);
    if !is_known || exists(link, key).await? {
        return Ok(());
    }
    let of_tag = tag_hash(key).map(|hash| format!("_internal:slottag:4migrate:{hash}"));
    let of_slot = format!("_internal:slotkey:4migrate:{slot}");
    for list in [Some(of_slot), of_tag].into_iter().flatten() {
        link.ask(&[b"SREM", list.as_bytes(), member]).await?;
    }
    Ok(())
}

/// Whether the key is there as anything.
async fn exists(link: &mut Link, key: &[u8]) -> Result<bool, LinkError> {
    let asked = probe::KINDS.map(|(kind, _)| probe::there(kind, key));
    link.send(asked.iter().map(<[&[u8]; 6]>::as_slice)).await?;
    let mut exists = false;
    for _ in asked {
        exists |= probe::says(&link.answer().await?, key) != Some(false);
    }
    Ok(exists)
}
