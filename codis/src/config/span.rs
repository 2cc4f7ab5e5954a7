//! Durations as Codis writes them: `30s`, `1.5m`, `20`.

use super::size::split;
use serde::{Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// A length of time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub i64);

const SECOND: i64 = 1_000_000_000;
/// Largest first.
const UNITS: [(&str, i64); 6] = [
    ("h", 3600 * SECOND),
    ("m", 60 * SECOND),
    ("s", SECOND),
    ("ms", 1_000_000),
    ("us", 1000),
    ("ns", 1),
];

impl Span {
    /// Whole seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds * SECOND)
    }

    /// Reads a number with at most one of Go's units `ns us ms s m h`; seconds without one.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const INVALID: &str = "invalid timesize";
        let (number, unit) = split(text).ok_or(INVALID)?;
        let unit = match unit {
            "" => SECOND,
            named => UNITS.iter().find(|(name, _)| *name == named).ok_or(INVALID)?.1,
        };
        if !number.contains('.') {
            let whole: i64 = number.parse().map_err(|_| INVALID)?;
            return whole.checked_mul(unit).map(Self).ok_or(INVALID);
        }
        let nanos = number.parse::<f64>().map_err(|_| INVALID)? * unit as f64;
        if nanos.abs() < i64::MAX as f64 { Ok(Self(nanos as i64)) } else { Err(INVALID) }
    }

    /// As Go prints a duration: `1m15s`, `30m0s`, `1.5s`, `0s`. PCONFIG's way.
    pub fn go(self) -> String {
        let nanos = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let small = |unit: u64, name| format!("{sign}{}{name}", decimal(nanos, unit));
        match nanos {
            0 => "0s".to_owned(),
            1..1000 => small(1, "ns"),
            1000..1_000_000 => small(1000, "µs"),
            1_000_000..1_000_000_000 => small(1_000_000, "ms"),
            _ => {
                let minutes = nanos / 60 / SECOND.unsigned_abs();
                let rest = decimal(nanos % (60 * SECOND.unsigned_abs()), SECOND.unsigned_abs());
                match (minutes / 60, minutes % 60) {
                    (0, 0) => format!("{sign}{rest}s"),
                    (0, m) => format!("{sign}{m}m{rest}s"),
                    (h, m) => format!("{sign}{h}h{m}m{rest}s"),
                }
            }
        }
    }

    /// The time; nothing below zero.
    pub fn duration(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }

    /// The time, where zero means that there is no limit.
    pub fn limit(self) -> Option<Duration> {
        (self.0 > 0).then(|| self.duration())
    }

    /// The time between two pings or reports: a second at least.
    pub fn period(self) -> Duration {
        self.duration().max(Duration::from_secs(1))
    }
}

/// `number / unit` with the decimals it needs.
fn decimal(number: u64, unit: u64) -> String {
    let (whole, rest) = (number / unit, number % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let places = unit.ilog10() as usize;
    format!("{whole}.{}", format!("{rest:0places$}").trim_end_matches('0'))
}

/// In the largest unit that divides it.
impl fmt::Display for Span {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, unit)| self.0 != 0 && self.0 % unit == 0) {
            Some(("ns", _)) => to.write_str(&self.go()),
            Some((name, unit)) => write!(to, "{}{name}", self.0 / unit),
            None => to.write_str("0"),
        }
    }
}

impl Serialize for Span {
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
            ("20", 20 * SECOND),
            ("30s", 30 * SECOND),
            (" 30 m ", 1800 * SECOND),
            ("500ms", SECOND / 2),
            ("75s", 75 * SECOND),
            ("1h", 3600 * SECOND),
            ("7us", 7000),
            ("9ns", 9),
            ("1.5", 3 * SECOND / 2),
            ("1.5m", 90 * SECOND),
            ("-1s", -SECOND),
        ] {
            assert_eq!(Span::parse(text), Ok(Span(want)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "s",
            "1h30m",
            "1S",
            "1d",
            "1 minute",
            "1e3s",
            "1.2.3s",
            "false",
            "9223372037s",
            "99999999999999999999",
        ] {
            assert_eq!(Span::parse(text), Err("invalid timesize"), "{text}");
        }
    }

    #[test]
    fn durations_are_told_in_both_ways() {
        for (nanos, json, go) in [
            (75 * SECOND, "75s", "1m15s"),
            (1800 * SECOND, "30m", "30m0s"),
            (SECOND / 2, "500ms", "500ms"),
            (0, "0", "0s"),
            (20 * SECOND, "20s", "20s"),
            (7200 * SECOND, "2h", "2h0m0s"),
            (5_445_500_000_000, "5445500ms", "1h30m45.5s"),
            (1500, "1.5µs", "1.5µs"),
            (7000, "7us", "7µs"),
            (-SECOND, "-1s", "-1s"),
            (3, "3ns", "3ns"),
        ] {
            assert_eq!((Span(nanos).to_string().as_str(), Span(nanos).go().as_str()), (json, go));
        }
    }

    #[test]
    fn zero_is_no_limit_and_periods_last_a_second() {
        assert_eq!(Span(0).limit(), None);
        assert_eq!(Span::seconds(30).limit(), Some(Duration::from_secs(30)));
        assert_eq!(Span(1).period(), Duration::from_secs(1));
        assert_eq!(Span::seconds(5).period(), Duration::from_secs(5));
    }
}
