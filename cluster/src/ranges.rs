//! Sets of slots as people write them: `0-99,512`.

use crate::{Slot, SlotCount};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A set of slots; prints as ranges in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotRanges(BTreeSet<u16>);

impl SlotRanges {
    /// The slots in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        self.0.iter().copied().map(Slot)
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the slot is one of them.
    pub fn contains(&self, slot: Slot) -> bool {
        self.0.contains(&slot.0)
    }

    /// Returns an error naming the first slot that a cluster of `count` slots does not have.
    pub fn check(&self, count: SlotCount) -> Result<(), String> {
        match self.0.last() {
            Some(&last) if last >= count.get() => Err(format!(
                "slot {last} does not exist: this cluster has slots 0 to {}",
                count.get() - 1
            )),
            _ => Ok(()),
        }
    }
}

impl FromIterator<Slot> for SlotRanges {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        Self(slots.into_iter().map(|s| s.0).collect())
    }
}

impl FromStr for SlotRanges {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut slots = BTreeSet::new();
        for part in text.split(',').map(str::trim) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |s: &str| {
                s.trim().parse::<u16>().ok().filter(|&n| n < SlotCount::MAX).ok_or_else(|| {
                    format!("\"{part}\" is no slot or range of slots: write for example 0-99,512")
                })
            };
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!("\"{part}\" runs backwards: write {last}-{first}"));
            }
            slots.extend(first..=last);
        }
        Ok(Self(slots))
    }
}

impl fmt::Display for SlotRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.iter().copied().peekable();
        let mut comma = "";
        while let Some(first) = rest.next() {
            let mut last = first;
            while let Some(next) = rest.next_if_eq(&(last + 1)) {
                last = next;
            }
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
            comma = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read() {
        for text in ["0", "0-99", "0-99,512", "1,3,5-7"] {
            assert_eq!(text.parse::<SlotRanges>().map(|r| r.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("7,5-6, 5".parse::<SlotRanges>().map(|r| r.to_string()), Ok("5-7".to_owned()));
        assert_eq!(SlotRanges::default().to_string(), "");
    }

    #[test]
    fn nonsense_is_refused_with_the_part_that_is_wrong() {
        for (text, part) in [
            ("", "\"\""),
            ("a", "\"a\""),
            ("1,9-2", "\"9-2\""),
            ("99999", "\"99999\""),
            ("1-", "\"1-\""),
        ] {
            let error = text.parse::<SlotRanges>().unwrap_err();
            assert!(error.starts_with(part), "{error}");
        }
    }

    #[test]
    fn slots_a_cluster_does_not_have_are_named() {
        let ranges: SlotRanges = "1020-1030".parse().unwrap();
        assert!(ranges.check(SlotCount::DEFAULT).unwrap_err().contains("slot 1030 does not exist"));
    }
}
