//! What a node of ours may have of a slot and the node to which it is to move cannot hold. All its types are theirs too, but for two things: a
//! sketch (PFADD), whose form Pika does not know, and databases, of which they may have fewer.

use super::node::listed;
use super::slot::{Pages, ask_each, shown};
use super::{Move, Refusal, in_words};
use crate::config::Config;
use crate::dialect::Dialect;
use crate::foreign::link::Link;
use protocol::frame::Value;

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
            check_sketches(config, source, moved).await?;
        }
    }
    Ok(())
}

/// Of the database that is selected.
async fn check_sketches(
    config: &Config,
    source: &mut Link,
    moved: Move<'_>,
) -> Result<(), Refusal> {
    let failed = in_words(moved.source);
    let mut pages = Pages::new(moved.slot, "*");
    let mut looked_at = 0;
    while looked_at < config.foreign.examine_keys_max
        && let Some(keys) = pages.next(source).await.map_err(&failed)?
    {
        looked_at += keys.len();
        let asked: Vec<[&[u8]; 4]> =
            keys.iter().map(|key| [b"GETRANGE", &key[..], b"0", b"3"]).collect();
        source.send(asked.iter().map(<[&[u8]; 4]>::as_slice)).await.map_err(&failed)?;
        let mut alike = Vec::new();
        for key in &keys {
            // A key of another type is answered with an error.
            if source.answer().await.map_err(&failed)?.as_str() == Some(SKETCH) {
                alike.push(&key[..]);
            }
        }
        let counted = ask_each(source, b"PFCOUNT", &alike).await.map_err(&failed)?;
        let is_sketch = |answer: &Value| answer.as_error().is_none();
        if let Some(at) = counted.iter().position(is_sketch) {
            return Err(Refusal::HyperLogLog { key: shown(alike[at]) });
        }
    }
    Ok(())
}
