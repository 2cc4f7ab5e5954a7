//! Keys that were written by commands which list nothing: the source is made to list them.
//!
//! Done before the slot is locked, so that while clients wait only those few are to be listed that came since. All are looked at again then: a
//! key is noted when its command is read, which may be long before it is written.

use super::Refusal;
use super::relist::relist;
use super::slot::{KEYS_A_PAGE, hyperloglogs, kinds, shown};
use crate::foreign::link::{Link, LinkError};
use crate::foreign::probe;
use cluster::Slot;
use std::sync::atomic::{AtomicU64, Ordering};

/// Has the source list those of the keys that it does not list as what they are, and counts them. Returns the HyperLogLogs among them.
///
/// # Cancel safety
/// May be dropped: those that are listed are so the next time.
pub(super) async fn list(
    link: &mut Link,
    slot: Slot,
    noted: &[Vec<u8>],
    listed: &AtomicU64,
) -> Result<Vec<Refusal>, LinkError> {
    let noted: Vec<&[u8]> = noted.iter().map(Vec::as_slice).collect();
    let mut found = Vec::new();
    for page in noted.chunks(KEYS_A_PAGE) {
        let sketches = hyperloglogs(link, page).await?;
        found.extend(sketches.iter().map(|key| Refusal::HyperLogLog { key: shown(key) }));
        for key in unlisted(link, slot, page).await? {
            relist(link, slot, key).await?;
            listed.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(found)
}

/// Those of the keys that exist and are not listed under the letter of their type.
async fn unlisted<'a>(
    link: &mut Link,
    slot: Slot,
    keys: &[&'a [u8]],
) -> Result<Vec<&'a [u8]>, LinkError> {
    let kinds = kinds(link, keys).await?;
    let of_type = keys.iter().zip(kinds).filter(|(_, kind)| kind.exists);
    let of_type: Vec<(&[u8], u8)> =
        of_type.filter_map(|(key, kind)| Some((*key, kind.letter()?))).collect();
    let asked: Vec<_> =
        of_type.iter().map(|(key, letter)| probe::listed(slot, *letter, key)).collect();
    let asked: Vec<Vec<&[u8]>> =
        asked.iter().map(|words| words.iter().map(Vec::as_slice).collect()).collect();
    link.send(asked.iter().map(Vec::as_slice)).await?;
    let mut unlisted = Vec::new();
    for (key, _) in of_type {
        if probe::says(&link.answer().await?, key) != Some(true) {
            unlisted.push(key);
        }
    }
    Ok(unlisted)
}
