//! What may differ from Redis, and why. Everything else must be equal to the last byte.

use super::generate::Command;
use protocol::frame::Value;

/// Commands whose elements have no order in Redis; ours come in the order of their bytes.
const UNORDERED: &[&str] = &["HKEYS", "HVALS", "SMEMBERS", "SUNION", "SINTER", "SDIFF", "KEYS"];

/// As above, with pairs.
const UNORDERED_PAIRS: &[&str] = &["HGETALL"];

/// Pages of scans of small collections: `[cursor, elements]`, the elements in no order.
const UNORDERED_PAGES: &[(&str, bool)] = &[("HSCAN", true), ("SSCAN", false), ("ZSCAN", true)];

/// Replies that are the time, or follow from it: two servers read their clocks at different moments. With what may lie between, milliseconds
/// or seconds.
const CLOCKS: &[(&str, i64)] =
    &[("TTL", 2), ("PTTL", 2_000), ("EXPIRETIME", 2), ("PEXPIRETIME", 2_000)];

/// Replies that are picked at random: only their shape is compared.
const RANDOM: &[&str] = &["SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER", "RANDOMKEY"];

pub(crate) fn same(command: &Command, ours: &Value, theirs: &Value) -> bool {
    if ours == theirs {
        return true;
    }
    let name = command.name();
    if name.starts_with('Z') && positive_zeros(ours) != *ours || positive_zeros(theirs) != *theirs {
        return same(command, &positive_zeros(ours), &positive_zeros(theirs));
    }
    if let ("EXEC", Some(ours), Some(theirs)) = (name, ours.as_items(), theirs.as_items()) {
        let replies = ours.iter().zip(theirs).zip(&command.queued);
        return ours.len() == theirs.len()
            && replies.into_iter().all(|((ours, theirs), command)| same(command, ours, theirs));
    }
    if UNORDERED.contains(&name) {
        return same_unordered(ours, theirs, false);
    }
    if UNORDERED_PAIRS.contains(&name) {
        return same_unordered(ours, theirs, true);
    }
    if let Some((_, tolerance)) = CLOCKS.iter().find(|(clock, _)| *clock == name) {
        return near(ours, theirs, *tolerance);
    }
    // A cursor that no scan has returned: Redis goes on in the middle of its hash table, we start again.
    if name == "HSCAN" && command.words().get(2).is_some_and(|cursor| *cursor != b"0") {
        return same_page_shape(ours, theirs);
    }
    if let Some((_, pairs)) = UNORDERED_PAGES.iter().find(|(page, _)| *page == name) {
        return match (ours.as_items(), theirs.as_items()) {
            (Some([a, ours]), Some([b, theirs])) => a == b && same_unordered(ours, theirs, *pairs),
            _ => false,
        };
    }
    if RANDOM.contains(&name) {
        return same_shape(ours, theirs);
    }
    if name == "OBJECT" {
        return object(command, ours, theirs);
    }
    false
}

/// Redis forgets the sign of a zero score in small sorted sets and keeps it in large ones; we never keep it.
pub(crate) fn positive_zeros(value: &Value) -> Value {
    let all = |items: &[Value]| items.iter().map(positive_zeros).collect();
    match value {
        Value::Bulk(bytes) if bytes.as_ref() == b"-0" => Value::Bulk("0".into()),
        Value::Double(number) if *number == 0.0 && number.is_sign_negative() => Value::Double(0.0),
        Value::Array(items) => Value::Array(all(items)),
        Value::Set(items) => Value::Set(all(items)),
        other => other.clone(),
    }
}

fn same_page_shape(ours: &Value, theirs: &Value) -> bool {
    matches!(
        (ours.as_items(), theirs.as_items()),
        (Some([_, Value::Array(_)]), Some([_, Value::Array(_)]))
    )
}

/// OBJECT ENCODING tells how Redis came to keep the value: it never goes back from a hash table, and a string that was appended to stays raw.
/// Ours is told from the value as it is. OBJECT REFCOUNT of small shared integers is Redis' own bookkeeping, IDLETIME is a clock.
fn object(command: &Command, ours: &Value, theirs: &Value) -> bool {
    let sub = command.words().get(1).map(|word| word.to_ascii_lowercase()).unwrap_or_default();
    matches!(sub.as_slice(), b"encoding" | b"refcount" | b"idletime") && same_shape(ours, theirs)
}

pub(crate) fn near(ours: &Value, theirs: &Value, tolerance: i64) -> bool {
    match (ours, theirs) {
        (Value::Int(a), Value::Int(b)) if *a < 0 || *b < 0 => a == b,
        (Value::Int(a), Value::Int(b)) => (a - b).abs() <= tolerance,
        _ => ours == theirs,
    }
}

/// Equal as sets of elements or of pairs.
pub(crate) fn same_unordered(ours: &Value, theirs: &Value, pairs: bool) -> bool {
    if std::mem::discriminant(ours) != std::mem::discriminant(theirs) {
        return false;
    }
    let elements = |value: &Value| -> Option<Vec<String>> {
        let mut elements: Vec<String> = match value {
            Value::Map(pairs) => pairs.iter().map(|pair| format!("{pair:?}")).collect(),
            _ if pairs => value.as_items()?.chunks(2).map(|pair| format!("{pair:?}")).collect(),
            _ => value.as_items()?.iter().map(|item| format!("{item:?}")).collect(),
        };
        elements.sort();
        Some(elements)
    };
    elements(ours) == elements(theirs) && elements(ours).is_some()
}

/// The same kinds of replies, however long strings and whichever numbers.
fn same_shape(ours: &Value, theirs: &Value) -> bool {
    if std::mem::discriminant(ours) != std::mem::discriminant(theirs) {
        return false;
    }
    match (ours.as_items(), theirs.as_items()) {
        (Some(ours), Some(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|(ours, theirs)| same_shape(ours, theirs))
        }
        _ => !matches!(ours, Value::Error(_)) || ours == theirs,
    }
}
