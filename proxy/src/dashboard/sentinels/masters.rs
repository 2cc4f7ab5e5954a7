//! What sentinels say of their masters, and who is believed. Pure.

use protocol::frame::Value;
use std::collections::BTreeMap;

/// The primary of a group, as one sentinel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) group: i64,
    pub(super) address: String,
    pub(super) epoch: i64,
}

/// More than half.
pub(super) fn majority(all: usize) -> usize {
    all / 2 + 1
}

/// The group that a name of a sentinel's means: `<product>-<group>`.
pub(super) fn group_of(name: &str, product: &str) -> Option<i64> {
    name.strip_prefix(product)?.strip_prefix('-')?.parse().ok()
}

/// Reads the answer to `SENTINEL masters`. What is not of this product, or not whole, is passed over.
pub(super) fn read_masters(answer: &Value, product: &str) -> Result<Vec<Master>, String> {
    if let Some(error) = answer.as_error() {
        return Err(error.to_owned());
    }
    let items = answer.as_items().ok_or("the answer to SENTINEL masters is no list")?;
    Ok(items.iter().filter_map(|item| master(item, product)).collect())
}

fn master(item: &Value, product: &str) -> Option<Master> {
    let fields: BTreeMap<&str, &str> = item
        .as_items()?
        .chunks_exact(2)
        .filter_map(|pair| Some((pair.first()?.as_str()?, pair.get(1)?.as_str()?)))
        .collect();
    let group = group_of(fields.get("name")?, product)?;
    let (ip, port) = (fields.get("ip")?, fields.get("port")?);
    let epoch = fields.get("config-epoch")?.parse().ok()?;
    if ip.is_empty() || port.is_empty() {
        return None;
    }
    let address = if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") };
    Some(Master { group, address, epoch })
}

/// By group the address of the highest epoch; of equal ones the first.
pub(super) fn elected(said: impl Iterator<Item = Master>) -> BTreeMap<i64, String> {
    let mut best: BTreeMap<i64, Master> = BTreeMap::new();
    for master in said {
        match best.get(&master.group) {
            Some(known) if known.epoch >= master.epoch => {}
            _ => _ = best.insert(master.group, master),
        }
    }
    best.into_iter().map(|(group, master)| (group, master.address)).collect()
}

/// Whether a published `+switch-master` is of this product: its first word is the name.
pub(super) fn is_told(message: &str, product: &str) -> bool {
    message.split_once(' ').is_some_and(|(name, _)| group_of(name, product).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.to_owned().into())
    }

    fn row(fields: &[(&str, &str)]) -> Value {
        Value::Array(fields.iter().flat_map(|(name, value)| [bulk(name), bulk(value)]).collect())
    }

    #[test]
    fn names_are_of_a_product_only_as_a_whole() {
        assert_eq!(group_of("demo-1", "demo"), Some(1));
        assert_eq!(group_of("demo-x-12", "demo-x"), Some(12));
        for other in ["demo", "demo-", "demo-a", "demo1", "demo-x-1", "other-1", ""] {
            assert_eq!(group_of(other, "demo"), None, "{other}");
        }
    }

    #[test]
    fn masters_are_read_and_what_is_not_whole_is_passed_over() {
        let answer = Value::Array(vec![
            row(&[("name", "demo-2"), ("ip", "::1"), ("port", "7"), ("config-epoch", "3")]),
            row(&[("name", "demo-1"), ("ip", "h"), ("port", "6"), ("config-epoch", "0")]),
            row(&[("name", "demo-3"), ("ip", ""), ("port", "6"), ("config-epoch", "0")]),
            row(&[("name", "demo-4"), ("ip", "h"), ("port", "6"), ("config-epoch", "x")]),
            row(&[("name", "other-5"), ("ip", "h"), ("port", "6"), ("config-epoch", "1")]),
            bulk("nonsense"),
        ]);
        let masters = read_masters(&answer, "demo").unwrap();
        let told: Vec<_> = masters.iter().map(|m| (m.group, m.address.as_str(), m.epoch)).collect();
        assert_eq!(told, [(2, "[::1]:7", 3), (1, "h:6", 0)]);
        assert!(read_masters(&Value::Error("ERR unknown".to_owned()), "demo").is_err());
        assert!(read_masters(&bulk("x"), "demo").is_err());
    }

    #[test]
    fn the_highest_epoch_is_believed() {
        let said =
            |group, address: &str, epoch| Master { group, address: address.to_owned(), epoch };
        let masters = elected(
            [said(1, "a", 1), said(1, "b", 3), said(1, "c", 2), said(2, "d", 0)].into_iter(),
        );
        assert_eq!(masters, BTreeMap::from([(1, "b".to_owned()), (2, "d".to_owned())]));
        assert_eq!((majority(1), majority(2), majority(3), majority(4)), (1, 2, 2, 3));
    }

    #[test]
    fn a_message_is_ours_by_its_first_word() {
        assert!(is_told("demo-1 10.0.0.1 6379 10.0.0.2 6379", "demo"));
        assert!(!is_told("demo-1", "demo"));
        assert!(!is_told("other-1 demo-1 x", "demo"));
    }
}
