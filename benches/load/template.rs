//! Requests as bytes with holes for numbers, so that sending one is a copy and a few digits.

use protocol::request::encode_request;

/// Where a number stands: twelve characters, as wide as the digits that replace them.
pub(crate) const NUMBER: &str = "__rand_int__";

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    /// Where numbers begin.
    holes: Vec<usize>,
}

impl Template {
    /// A request with [`NUMBER`] in some of its words.
    pub(crate) fn new(words: &[String]) -> Self {
        let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
        let mut bytes = Vec::new();
        encode_request(&mut bytes, &words);
        let is_hole = |at: &usize| bytes[*at..].starts_with(NUMBER.as_bytes());
        let holes = (0..bytes.len()).filter(is_hole).collect();
        Self { bytes, holes }
    }

    /// The request with zeroes for numbers.
    pub(crate) fn zeroes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out, || 0);
        out
    }

    fn write(&self, out: &mut Vec<u8>, mut number: impl FnMut() -> u64) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        for hole in &self.holes {
            let mut rest = number();
            for digit in out[start + hole..start + hole + NUMBER.len()].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
    }
}

/// What is sent: one of some requests each time, by weight.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    parts: Vec<(u32, Template)>,
    weights: u32,
    numbers: Numbers,
}

#[derive(Clone, Debug)]
enum Numbers {
    Random {
        chance: Chance,
        below: u64,
    },
    /// One after the other, the same for all holes of a request.
    Each {
        next: u64,
    },
}

impl Traffic {
    /// Requests with random numbers below `below`.
    pub(crate) fn random(parts: Vec<(u32, Template)>, below: u64) -> Self {
        let weights = parts.iter().map(|(weight, _)| weight).sum();
        Self { parts, weights, numbers: Numbers::Random { chance: Chance::new(0), below } }
    }

    /// One request with every number from zero on.
    pub(crate) fn each(template: Template) -> Self {
        let numbers = Numbers::Each { next: 0 };
        Self { parts: vec![(1, template)], weights: 1, numbers }
    }

    /// Gives random numbers another beginning.
    pub(super) fn reseed(&mut self, seed: u64) {
        if let Numbers::Random { chance, .. } = &mut self.numbers {
            *chance = Chance::new(seed);
        }
    }

    /// Appends the next request.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) {
        let template = match self.parts.as_slice() {
            [(_, only)] => only,
            parts => pick(parts, self.weights, &mut self.numbers),
        };
        let numbers = &mut self.numbers;
        template.write(out, || match numbers {
            Numbers::Random { chance, below } => chance.below(*below),
            Numbers::Each { next } => *next,
        });
        if let Numbers::Each { next } = numbers {
            *next += 1;
        }
    }
}

fn pick<'a>(parts: &'a [(u32, Template)], weights: u32, numbers: &mut Numbers) -> &'a Template {
    let Numbers::Random { chance, .. } = numbers else { return &parts[0].1 };
    let mut left = chance.below(u64::from(weights)) as u32;
    let chosen = parts.iter().find(|(weight, _)| {
        let here = left < *weight;
        left = left.saturating_sub(*weight);
        here
    });
    &chosen.unwrap_or(&parts[0]).1
}

/// Marsaglia's xorshift64*: random enough for keys, and nothing beside a send.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x2545_F491_4F6C_DD1D)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// The time between two events that come `rate` times a second, each whenever it likes; nanoseconds.
    pub(super) fn gap_nanos(&mut self, rate: f64) -> u64 {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        (-(1.0 - unit).ln() / rate * 1e9) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_where_the_holes_were() {
        let words = ["SET", "key:__rand_int__", "__rand_int__"].map(str::to_owned);
        let mut traffic = Traffic::each(Template::new(&words));
        let mut out = Vec::new();
        (0..13).for_each(|_| traffic.write(&mut out));
        let expected = "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000012\r\n$12\r\n000000000012\r\n";
        assert!(out.ends_with(expected.as_bytes()));
    }

    #[test]
    fn random_numbers_are_spread_and_below_their_limit() {
        let mut chance = Chance::new(7);
        let mut seen = [0; 10];
        (0..10_000).for_each(|_| seen[chance.below(10) as usize] += 1);
        assert!(seen.iter().all(|&count| (800..1200).contains(&count)), "{seen:?}");
    }

    #[test]
    fn gaps_are_as_long_as_the_rate_says_on_average() {
        let mut chance = Chance::new(1);
        let sum: u64 = (0..100_000).map(|_| chance.gap_nanos(1000.0)).sum();
        assert!((0.97..1.03).contains(&(sum as f64 / 100_000.0 / 1e6)), "{sum}");
    }

    #[test]
    fn parts_come_as_their_weights_say() {
        let part = |word: &str| Template::new(&[word.to_owned()]);
        let mut traffic = Traffic::random(vec![(1, part("A")), (3, part("B"))], 10);
        let mut out = Vec::new();
        (0..4000).for_each(|_| traffic.write(&mut out));
        let share = String::from_utf8(out).unwrap().matches('A').count();
        assert!((900..1100).contains(&share), "{share}");
    }
}
