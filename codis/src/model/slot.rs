//! A slot as dashboards fill it and proxies tell it, read strictly: codis-proxy takes a broken body for an empty one, and dies of a `null`.

use super::is_default;
use crate::Error;
use crate::commands::texts::{INVALID_METHOD, INVALID_SLOT};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// One slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Slot {
    pub id: i64,
    /// Requests are held, once the rest is applied.
    #[serde(skip_serializing_if = "is_default", deserialize_with = "or_default")]
    pub locked: bool,
    /// The primary that serves it; empty: nobody.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub backend_addr: String,
    #[serde(skip_serializing_if = "is_default", deserialize_with = "or_default")]
    pub backend_addr_group_id: i64,
    /// Where its keys are pulled from; empty: nowhere.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub migrate_from: String,
    #[serde(skip_serializing_if = "is_default", deserialize_with = "or_default")]
    pub migrate_from_group_id: i64,
    #[serde(skip_serializing_if = "is_default", deserialize_with = "or_default")]
    pub forward_method: ForwardMethod,
    /// Who may be read, most preferred level first.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub replica_groups: Vec<Vec<String>>,
}

/// How requests reach keys that are on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub enum ForwardMethod {
    /// 0: each key is moved before its request.
    #[default]
    Sync,
    /// 1: the source is asked to execute, or to say that it cannot.
    SemiAsync,
    /// None that we know; refused by [`Slot::check`].
    Unknown(i64),
}

impl From<i64> for ForwardMethod {
    fn from(number: i64) -> Self {
        match number {
            0 => Self::Sync,
            1 => Self::SemiAsync,
            other => Self::Unknown(other),
        }
    }
}

impl From<ForwardMethod> for i64 {
    fn from(method: ForwardMethod) -> Self {
        match method {
            ForwardMethod::Sync => 0,
            ForwardMethod::SemiAsync => 1,
            ForwardMethod::Unknown(other) => other,
        }
    }
}

/// `null` for a field is as good as none: Go's way.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Slot {
    /// A slot that nobody serves.
    pub fn offline(id: i64) -> Self {
        Self { id, ..Self::default() }
    }

    /// Whether a router of so many slots takes it; the error is Codis' text.
    pub fn check(&self, slots: i64) -> Result<(), &'static str> {
        if !(0..slots).contains(&self.id) {
            return Err(INVALID_SLOT);
        }
        if matches!(self.forward_method, ForwardMethod::Unknown(_)) {
            return Err(INVALID_METHOD);
        }
        Ok(())
    }
}

/// Reads the body of fillslots, or a file for `--fillslots`, for a router of so many slots: all of it or nothing.
pub fn read_slots(body: &[u8], slots: i64) -> Result<Vec<Slot>, Error> {
    let elements: Vec<Value> = serde_json::from_slice(body)
        .map_err(|error| Error::Body(format!("the body is no JSON array of slots: {error}")))?;
    let read = |(at, element): (usize, Value)| {
        let refused = |why: String| Error::Body(format!("element {at} of the slots: {why}"));
        if !element.is_object() {
            return Err(refused(format!("it must be an object, and is {}", word(&element))));
        }
        if element.get("id").is_none() {
            return Err(refused("it has no id".to_owned()));
        }
        let slot: Slot =
            serde_json::from_value(element).map_err(|error| refused(error.to_string()))?;
        // Callers match on the texts of these.
        slot.check(slots).map_err(|text| Error::Body(text.to_owned()))?;
        Ok(slot)
    };
    elements.into_iter().enumerate().map(read).collect()
}

fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The body of sentinels, and the record of them in the coordinator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sentinels {
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub servers: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub out_of_sync: bool,
}

/// Reads the body of sentinels. An empty list of servers stops watching.
pub fn read_sentinels(body: &[u8]) -> Result<Sentinels, Error> {
    serde_json::from_slice(body)
        .map_err(|error| Error::Body(format!("the body is no JSON object of sentinels: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::pretty;

    const SLOTS: &str = r#"[
    {
        "id": 579,
        "backend_addr": "10.0.0.12:6379",
        "backend_addr_group_id": 2,
        "migrate_from": "10.0.0.11:6379",
        "migrate_from_group_id": 1,
        "forward_method": 1
    },
    {
        "id": 580,
        "locked": true,
        "backend_addr": "10.0.0.11:6379",
        "backend_addr_group_id": 1,
        "forward_method": 1,
        "replica_groups": [
            [
                "10.0.0.21:6379"
            ],
            [
                "10.0.0.31:6379",
                "10.0.0.11:6379"
            ]
        ]
    }
]"#;

    #[test]
    fn slots_are_written_as_they_are_read() {
        let slots = read_slots(SLOTS.as_bytes(), 1024).unwrap();
        assert_eq!(slots[0].forward_method, ForwardMethod::SemiAsync);
        assert!(slots[1].locked);
        assert_eq!(pretty(&slots), SLOTS);
        assert_eq!(pretty(&Slot::offline(7)), "{\n    \"id\": 7\n}");
    }

    #[test]
    fn unknown_fields_and_null_fields_are_passed_over() {
        let slots = read_slots(
            br#"[{"id":1,"migrate_from":null,"replica_groups":null,"future":[1]}]"#,
            1024,
        )
        .unwrap();
        assert_eq!(slots, [Slot::offline(1)]);
        assert_eq!(read_slots(b"[]", 1024).unwrap(), []);
    }

    #[test]
    fn nonsense_is_refused_whole_and_says_where() {
        for (body, want) in [
            ("", "the body is no JSON array of slots: EOF"),
            ("null", "the body is no JSON array of slots: invalid type: null"),
            ("{}", "the body is no JSON array of slots: invalid type: map"),
            ("[{\"id\":1}", "the body is no JSON array of slots: EOF"),
            ("[] x", "the body is no JSON array of slots: trailing"),
            ("[{\"id\":1},null]", "element 1 of the slots: it must be an object, and is null"),
            ("[7]", "element 0 of the slots: it must be an object, and is a number"),
            ("[{}]", "element 0 of the slots: it has no id"),
            ("[{\"id\":\"1\"}]", "element 0 of the slots: invalid type: string"),
            ("[{\"id\":1.5}]", "element 0 of the slots: invalid type: floating point"),
            ("[{\"id\":1,\"locked\":1}]", "element 0 of the slots: invalid type: integer"),
            (
                "[{\"id\":1,\"replica_groups\":[null]}]",
                "element 0 of the slots: invalid type: null",
            ),
            ("[{\"id\":1},{\"id\":1024}]", "use of invalid slot id"),
            ("[{\"id\":-1}]", "use of invalid slot id"),
            ("[{\"id\":1,\"forward_method\":2}]", "use of invalid forwarder method"),
        ] {
            let said = read_slots(body.as_bytes(), 1024).unwrap_err().to_string();
            assert!(said.starts_with(want), "{body}: {said}");
        }
    }

    #[test]
    fn sentinels_are_read() {
        let said = read_sentinels(br#"{"servers":["10.0.0.1:26379"],"out_of_sync":true}"#).unwrap();
        assert_eq!(
            said,
            Sentinels { servers: vec!["10.0.0.1:26379".to_owned()], out_of_sync: true }
        );
        assert_eq!(read_sentinels(b"{}").unwrap(), Sentinels::default());
        assert!(read_sentinels(b"[").is_err());
        assert_eq!(pretty(&Sentinels::default()), "{\n    \"out_of_sync\": false\n}");
    }
}
