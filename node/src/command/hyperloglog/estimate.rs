//! From registers to a number of elements.
//!
//! O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", arXiv:1702.01284, algorithm 6; the steps are done in the order
//! in which Redis (since 5.0) does them, so that the last bit is the same too.

use super::sketch::{Histogram, RANK_MAX, REGISTERS};

/// 1 / (2 ln 2).
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// Estimates how many elements made registers with this histogram.
pub(super) fn estimate(histogram: &Histogram) -> u64 {
    let registers = REGISTERS as f64;
    let with = |rank: usize| f64::from(histogram[rank]);
    let mut sum = registers * tau((registers - with(RANK_MAX)) / registers);
    for rank in (1..RANK_MAX).rev() {
        sum = (sum + with(rank)) * 0.5;
    }
    sum += registers * sigma(with(0) / registers);
    (ALPHA * registers * registers / sum).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_none_and_a_full_sketch_is_no_nonsense() {
        let mut histogram = [0; 64];
        histogram[0] = REGISTERS as u32;
        assert_eq!(estimate(&histogram), 0);
        histogram[0] -= 1;
        histogram[1] = 1;
        assert_eq!(estimate(&histogram), 1);
        let mut full = [0; 64];
        full[RANK_MAX] = REGISTERS as u32;
        assert!(estimate(&full) > 1 << 62);
    }
}
