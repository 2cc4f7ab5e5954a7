//! What a node of ours may have of a slot and the node to which it is to move cannot hold. All its types are theirs too; but they may have fewer
//! databases, and Pika does not know the form of a sketch (PFADD), loses a key with a zero byte in its name, and shows members of other sets
//! where a score is -inf (tried on 4.0.1).

use super::node::listed;
use super::slot::{Pages, ask_each, shown};
use super::{Move, Refusal, in_words};
use crate::config::Config;
use crate::dialect::Dialect;
use crate::foreign::link::{Link, LinkError};

/// The first bytes of a sketch.
const SKETCH: &str = "HYLL";

/// Refuses what would not arrive.
pub(super) async fn check(
    config: &Config,
    (source, target): (&mut Link, &mut Link),
    moved: Move<'_>,
) -> Result<(), Refusal> {
    for database in 0..config.databases {
        let number = database.to_string();
        let select: [&[u8]; 2] = [b"SELECT", number.as_bytes()];
        let chosen = source.ask(&select).await.map_err(in_words(moved.source))?;
        if chosen.as_error().is_some() {
            // It has no more.
            break;
        }
        let slot = moved.slot.to_string();
        let info = source.ask(&[b"SLOTSINFO", slot.as_bytes(), b"1"]).await;
        let keys = listed(&info.map_err(in_words(moved.source))?);
        if keys == 0 {
            continue;
        }
        let chosen = target.ask(&select).await.map_err(in_words(moved.target))?;
        if chosen.as_error().is_some() {
            let (from, to) = (moved.source.to_owned(), moved.target.to_owned());
            return Err(Refusal::Database { from, to, slot: moved.slot, database, keys });
        }
        if target.dialect() == Dialect::Pika {
            check_for_pika(config, source, moved).await?;
        }
    }
    Ok(())
}

/// Of the database that is selected.
async fn check_for_pika(
    config: &Config,
    source: &mut Link,
    moved: Move<'_>,
) -> Result<(), Refusal> {
    let failed = in_words(moved.source);
    let mut pages = Pages::new(moved.slot, "*");
    let mut looked_at = 0;
    while looked_at < config.foreign.examine_keys_max
        && let Some(members) = pages.next(source).await.map_err(&failed)?
    {
        looked_at += members.len();
        let keys: Vec<&[u8]> = members.iter().map(|member| &member[1..]).collect();
        if let Some(key) = keys.iter().find(|key| key.contains(&0)) {
            return Err(Refusal::ZeroByte { key: shown(key) });
        }
        let lowest = |key| [&b"ZRANGEBYSCORE"[..], key, b"-inf", b"-inf", b"LIMIT", b"0", b"1"];
        let lowest: Vec<[&[u8]; 7]> = keys.iter().map(|key| lowest(key)).collect();
        source.send(lowest.iter().map(<[&[u8]; 7]>::as_slice)).await.map_err(&failed)?;
        for key in &keys {
            // A key of another type is answered with an error.
            let answer = source.answer().await.map_err(&failed)?;
            if let Some(member) = answer.as_items().and_then(|all| all.first()?.as_bytes()) {
                return Err(Refusal::LowestScore { key: shown(key), member: shown(member) });
            }
        }
        check_sketches(source, &keys).await.map_err(&failed)??;
    }
    Ok(())
}

async fn check_sketches(
    source: &mut Link,
    keys: &[&[u8]],
) -> Result<Result<(), Refusal>, LinkError> {
    let begins: Vec<[&[u8]; 4]> =
        keys.iter().map(|key| [&b"GETRANGE"[..], key, b"0", b"3"]).collect();
    source.send(begins.iter().map(<[&[u8]; 4]>::as_slice)).await?;
    let mut alike = Vec::new();
    for key in keys {
        if source.answer().await?.as_str() == Some(SKETCH) {
            alike.push(*key);
        }
    }
    let counted = ask_each(source, b"PFCOUNT", &alike).await?;
    let sketch = counted.iter().position(|answer| answer.as_error().is_none());
    Ok(sketch.map_or(Ok(()), |at| Err(Refusal::HyperLogLog { key: shown(alike[at]) })))
}
