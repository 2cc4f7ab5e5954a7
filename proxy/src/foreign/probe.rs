//! What a Pika is asked of one key past its read cache: whether it has it, and whether it lists it in the slot.
//!
//! EXISTS, TYPE, SISMEMBER, SMEMBERS answer from the cache, which keeps what a migration has taken away, sets of listed keys too.
//! PKSCANRANGE and SLOTSSCAN do not.

use cluster::Slot;
use protocol::frame::Value;

/// The types a migration knows, by the names of PKSCANRANGE, each with the letter under which its keys are listed.
pub const KINDS: [(&str, u8); 5] =
    [("string", b'k'), ("hash", b'h'), ("set", b's'), ("list", b'l'), ("zset", b'z')];

/// Answers that belong to one key of [`all`].
pub const ANSWERS: usize = 2 * KINDS.len();

/// More keys than a slot has whose keys are probed.
const ALL: &[u8] = b"1000000";

/// The letter of a type.
pub fn letter(kind: &str) -> Option<u8> {
    KINDS.iter().find(|(name, _)| *name == kind).map(|(_, letter)| *letter)
}

/// Asks whether the key is there, as a key of this type.
pub fn there<'a>(kind: &'a str, key: &'a [u8]) -> [&'a [u8]; 6] {
    [b"PKSCANRANGE", kind.as_bytes(), key, key, b"LIMIT", b"1"]
}

/// Asks whether the slot's list has the key under this letter.
pub fn listed(slot: Slot, letter: u8, key: &[u8]) -> [Vec<u8>; 7] {
    let is_plain = !key.iter().any(|byte| b"*?[]\\".contains(byte));
    // What a pattern that only ends in * begins with is looked up: the key itself comes first. Others are compared with every entry.
    let beginning = if is_plain { key } else { b"" };
    let pattern = [&[letter], beginning, b"*"].concat();
    let count = if is_plain { b"1" } else { ALL };
    let slot = slot.to_string();
    [b"SLOTSSCAN", slot.as_bytes(), b"0", b"MATCH", &pattern, b"COUNT", count].map(<[u8]>::to_vec)
}

/// All that is asked of a key, [`ANSWERS`] questions.
pub fn all(slot: Slot, key: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let lists = KINDS.iter().map(|(_, letter)| listed(slot, *letter, key).to_vec());
    let types = KINDS.iter().map(|(kind, _)| there(kind, key).map(<[u8]>::to_vec).to_vec());
    lists.chain(types).collect()
}

/// What an answer to a question of [`all`] says: whether the key is there, or listed. Nothing if it is none.
pub fn says(answer: &Value, key: &[u8]) -> Option<bool> {
    let [_, found] = answer.as_items()? else { return None };
    let mut names = found.as_items()?.iter().filter_map(Value::as_bytes);
    Some(names.any(|name| name == key || name.get(1..) == Some(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(names: &[&'static str]) -> Value {
        let names = names.iter().map(|name| Value::Bulk((*name).into())).collect();
        Value::Array(vec![Value::Bulk("0".into()), Value::Array(names)])
    }

    #[test]
    fn a_key_is_listed_under_its_own_name_alone() {
        assert_eq!(says(&page(&[]), b"key"), Some(false));
        assert_eq!(says(&page(&["lkey"]), b"key"), Some(true));
        assert_eq!(says(&page(&["lkeys"]), b"key"), Some(false));
        assert_eq!(says(&page(&["key"]), b"key"), Some(true));
        assert_eq!(says(&Value::Int(1), b"key"), None);
    }

    #[test]
    fn a_key_that_looks_like_a_pattern_is_looked_for_among_all() {
        let words = |key: &[u8]| listed(Slot(7), b'l', key).map(|w| String::from_utf8(w).unwrap());
        assert_eq!(words(b"a b").join(" "), "SLOTSSCAN 7 0 MATCH la b* COUNT 1");
        for key in [&b"a*"[..], b"a?", b"[a]", b"a\\"] {
            assert_eq!(words(key).join(" "), "SLOTSSCAN 7 0 MATCH l* COUNT 1000000");
        }
    }
}
