//! What a move cost: keys, bytes, and how long requests of the slot stood still.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The figures of one ended migration, as its nodes measured them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    pub keys: u64,
    pub bytes: u64,
    pub attempts: u32,
    /// From the opening to the removal of the old copy, in milliseconds.
    pub took_ms: u64,
    /// How long writes of the slot waited, in microseconds; nothing if the node lost the figure in a restart.
    pub stall_write_us: Option<u64>,
    /// How long reads of the slot waited, in microseconds.
    pub stall_read_us: Option<u64>,
}

/// Many stalls: counts by length, lengths rounded up to two significant digits, so that any number of slots stays small.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stalls {
    counts: BTreeMap<u64, u64>,
    max: u64,
}

/// The shape of many stalls, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    pub p50: u64,
    pub p99: u64,
    /// Exact.
    pub max: u64,
    pub count: u64,
}

impl Stalls {
    /// Adds one.
    pub fn add(&mut self, micros: u64) {
        *self.counts.entry(round_up(micros)).or_insert(0) += 1;
        self.max = self.max.max(micros);
    }

    /// The shape of all that were added.
    pub fn spread(&self) -> Spread {
        let count = self.counts.values().sum();
        Spread {
            p50: self.quantile(count, 50),
            p99: self.quantile(count, 99),
            max: self.max,
            count,
        }
    }

    fn quantile(&self, count: u64, percent: u64) -> u64 {
        let rank = (count * percent).div_ceil(100);
        let mut seen = 0;
        for (&micros, &n) in &self.counts {
            seen += n;
            if seen >= rank {
                return micros.min(self.max);
            }
        }
        self.max
    }
}

/// 1,234 → 1,300.
fn round_up(micros: u64) -> u64 {
    let mut unit = 1;
    while micros / unit >= 100 {
        unit *= 10;
    }
    micros.div_ceil(unit) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_rounded_up_to_two_digits() {
        for (exact, rounded) in
            [(0, 0), (7, 7), (99, 99), (100, 100), (101, 110), (1234, 1300), (999_999, 1_000_000)]
        {
            assert_eq!(round_up(exact), rounded);
        }
    }

    #[test]
    fn a_spread_has_exact_maximum_and_quantiles_of_two_digits() {
        let mut stalls = Stalls::default();
        assert_eq!(stalls.spread(), Spread::default());
        (1..=1000).for_each(|n| stalls.add(n));
        assert_eq!(stalls.spread(), Spread { p50: 500, p99: 990, max: 1000, count: 1000 });
        stalls.add(12_345);
        assert_eq!(stalls.spread().max, 12_345);
    }

    #[test]
    fn no_quantile_is_above_the_maximum() {
        let mut stalls = Stalls::default();
        stalls.add(1234);
        assert_eq!(stalls.spread(), Spread { p50: 1234, p99: 1234, max: 1234, count: 1 });
    }
}
