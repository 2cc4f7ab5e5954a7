//! Slot records in JSON: equal neighbours are one entry, `{"slots":"0-511","epoch":1,…}`.

use super::SlotRecord;
use cluster::{Slot, SlotCount, SlotRanges};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

#[derive(Serialize)]
struct RunOut<'a> {
    slots: String,
    #[serde(flatten)]
    record: &'a SlotRecord,
}

#[derive(Deserialize)]
struct RunIn {
    slots: String,
    #[serde(flatten)]
    record: SlotRecord,
}

pub(super) fn serialize<S: Serializer>(records: &[SlotRecord], s: S) -> Result<S::Ok, S::Error> {
    let mut out = s.serialize_seq(None)?;
    let mut first = 0;
    for run in records.chunk_by(|a, b| a == b) {
        let slots: SlotRanges = (first..first + run.len()).map(|n| Slot(n as u16)).collect();
        first += run.len();
        out.serialize_element(&RunOut { slots: slots.to_string(), record: &run[0] })?;
    }
    out.end()
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<SlotRecord>, D::Error> {
    let mut records: Vec<SlotRecord> = Vec::new();
    for run in Vec::<RunIn>::deserialize(d)? {
        let slots: SlotRanges = run.slots.parse().map_err(Error::custom)?;
        for slot in slots.iter() {
            if usize::from(slot.0) != records.len() || slot.0 >= SlotCount::MAX {
                return Err(Error::custom(format!("slot {slot} is out of order")));
            }
            records.push(run.record.clone());
        }
    }
    Ok(records)
}
