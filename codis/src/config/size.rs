//! Sizes as Codis writes them: `128kb`, `1.5gb`, `1024`.

use serde::{Serialize, Serializer};
use std::fmt;

/// Bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub i64);

/// Largest first.
const UNITS: [(&str, i64); 5] =
    [("pb", 1 << 50), ("tb", 1 << 40), ("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10)];

impl Size {
    /// Reads a number with at most one unit: `b k kb m mb g gb t tb p pb`, lower case, base 1024; bytes without one.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const INVALID: &str = "invalid byte size";
        let (number, unit) = split(text).ok_or(INVALID)?;
        let unit = match unit {
            "" | "b" => 1,
            "k" => 1 << 10,
            "m" => 1 << 20,
            "g" => 1 << 30,
            "t" => 1 << 40,
            "p" => 1 << 50,
            long => UNITS.iter().find(|(name, _)| *name == long).ok_or(INVALID)?.1,
        };
        if !number.contains('.') {
            let whole: i64 = number.parse().map_err(|_| INVALID)?;
            return whole.checked_mul(unit).map(Self).ok_or(INVALID);
        }
        let bytes = number.parse::<f64>().map_err(|_| INVALID)? * unit as f64;
        if bytes.abs() < i64::MAX as f64 { Ok(Self(bytes as i64)) } else { Err(INVALID) }
    }

    /// With two decimals in the largest unit that it exceeds: PCONFIG's way.
    pub fn human(self) -> String {
        match UNITS.iter().find(|(_, unit)| self.0.unsigned_abs() > unit.unsigned_abs()) {
            Some((name, unit)) => format!("{:.2}{name}", self.0 as f64 / *unit as f64),
            None => self.0.to_string(),
        }
    }

    /// The bytes; nothing below zero.
    pub fn bytes(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0)
    }
}

/// Splits `-1.5 kb` into number and unit; nothing if there are other letters about.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_matches(|letter: char| letter.is_ascii_whitespace());
    let digits = text.strip_prefix('-').unwrap_or(text);
    let len = digits
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(digits.len());
    let (number, unit) = text.split_at(text.len() - digits.len() + len);
    let unit = unit.trim_start_matches(|letter: char| letter.is_ascii_whitespace());
    (len > 0 && unit.bytes().all(|b| b.is_ascii_lowercase())).then_some((number, unit))
}

/// In the largest unit that divides it.
impl fmt::Display for Size {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, unit)| self.0 != 0 && self.0 % unit == 0) {
            Some((name, unit)) => write!(to, "{}{name}", self.0 / unit),
            None => write!(to, "{}", self.0),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, want) in [
            ("0", 0),
            ("131072", 131_072),
            ("128kb", 131_072),
            ("128k", 131_072),
            (" 64 kb ", 65_536),
            ("1024mb", 1 << 30),
            ("1m", 1 << 20),
            ("1gb", 1 << 30),
            ("1g", 1 << 30),
            ("2tb", 2 << 40),
            ("1t", 1 << 40),
            ("1pb", 1 << 50),
            ("1p", 1 << 50),
            ("7b", 7),
            ("1.5gb", 3 << 29),
            ("-1", -1),
            ("0.5k", 512),
            ("1.9", 1),
        ] {
            assert_eq!(Size::parse(text), Ok(Size(want)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "kb",
            "1KB",
            "1Mb",
            "1 k b",
            "1kib",
            "1e3",
            "1.2.3",
            "true",
            "--1",
            "9223372036854775808",
            "9000pb",
            "9000.5pb",
            "1kb2",
        ] {
            assert_eq!(Size::parse(text), Err("invalid byte size"), "{text}");
        }
    }

    #[test]
    fn sizes_are_told_in_the_largest_unit_that_divides_them() {
        for (bytes, json, human) in [
            (131_072, "128kb", "128.00kb"),
            (1 << 30, "1gb", "1024.00mb"),
            (0, "0", "0"),
            (1000, "1000", "1000"),
            (1024, "1kb", "1024"),
            (1536, "1536", "1.50kb"),
            (-2048, "-2kb", "-2.00kb"),
            (3 << 50, "3pb", "3.00pb"),
        ] {
            assert_eq!(
                (Size(bytes).to_string().as_str(), Size(bytes).human().as_str()),
                (json, human)
            );
            assert_eq!(Size::parse(json), Ok(Size(bytes)));
        }
    }
}
