//! A set of slots in JSON: `"0-99,512"`, empty as `""`.

use cluster::{Slot, SlotRanges};
use serde::{Deserialize, Deserializer, Serializer};
use std::collections::BTreeSet;

pub(super) fn serialize<S: Serializer>(slots: &BTreeSet<Slot>, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&slots.iter().copied().collect::<SlotRanges>())
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeSet<Slot>, D::Error> {
    let text = String::deserialize(d)?;
    if text.is_empty() {
        return Ok(BTreeSet::new());
    }
    let ranges: SlotRanges = text.parse().map_err(serde::de::Error::custom)?;
    Ok(ranges.iter().collect())
}
