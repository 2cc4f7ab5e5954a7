//! Medians, and how sure one can be of them.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How often the rounds are drawn anew.
const DRAWS: usize = 10_000;

/// A median, and the interval that holds 95 % of the medians of rounds drawn anew from those measured (percentile bootstrap).
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Estimate {
    /// The same numbers give the same interval.
    pub(crate) fn of(numbers: &[f64]) -> Option<Self> {
        if numbers.is_empty() {
            return None;
        }
        let mut random = StdRng::seed_from_u64(1);
        let mut draw = || {
            let one = || numbers[random.random_range(0..numbers.len())];
            median(&std::iter::repeat_with(one).take(numbers.len()).collect::<Vec<_>>())
        };
        let mut medians: Vec<f64> = (0..DRAWS).map(|_| draw()).collect();
        medians.sort_by(f64::total_cmp);
        let at = |share: f64| medians[(share * (DRAWS - 1) as f64).round() as usize];
        Some(Self { median: median(numbers), low: at(0.025), high: at(0.975) })
    }

    /// Of what `ours` is to `theirs`, round by round: what disturbs a round disturbs both.
    pub(crate) fn of_pairs(
        ours: &[f64],
        theirs: &[f64],
        relation: fn(f64, f64) -> f64,
    ) -> Option<Self> {
        let pairs: Vec<f64> = ours.iter().zip(theirs).map(|(&a, &b)| relation(a, b)).collect();
        Self::of(&pairs)
    }
}

/// The middle one; of an even number, the mean of the two in the middle.
pub(crate) fn median(numbers: &[f64]) -> f64 {
    let mut numbers = numbers.to_vec();
    numbers.sort_by(f64::total_cmp);
    let half = numbers.len() / 2;
    match numbers.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => numbers[half],
        _ => f64::midpoint(numbers[half - 1], numbers[half]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn rounds_that_agree_give_a_narrow_interval_and_others_a_wide_one() {
        let same = Estimate::of(&[2.0; 7]).unwrap();
        assert_eq!((same.low, same.median, same.high), (2.0, 2.0, 2.0));
        let wide = Estimate::of(&[1.0, 1.1, 1.5, 2.0, 2.5, 2.9, 3.0]).unwrap();
        assert_eq!(wide.median, 2.0);
        assert!(wide.low <= 1.5 && wide.high >= 2.5, "{wide:?}");
        assert_eq!(Estimate::of(&[]), None);
    }

    #[test]
    fn a_round_that_was_slow_for_both_does_not_change_their_ratio() {
        let ratio = Estimate::of_pairs(&[1.0, 10.0, 2.0], &[2.0, 20.0, 4.0], |a, b| a / b).unwrap();
        assert_eq!((ratio.low, ratio.high), (0.5, 0.5));
    }
}
