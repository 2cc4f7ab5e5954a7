//! Moments as Go prints them by default: `2018-11-05 12:00:00.123456789 +0800 CST`. Readers take them as they are.

use std::fmt;

const DAY_S: i64 = 86_400;

/// A moment with the time zone it is told in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoTime {
    /// Seconds since 1970 in UTC.
    pub unix_s: i64,
    /// Nanoseconds on top, below a second.
    pub nanos: u32,
    /// East of Greenwich is positive.
    pub offset_s: i32,
    /// The zone's short name, `CST`; empty where it has none, which Go tells by its offset.
    pub zone: String,
}

impl GoTime {
    /// A moment told in UTC.
    pub fn utc(unix_s: i64, nanos: u32) -> Self {
        Self { unix_s, nanos, offset_s: 0, zone: "UTC".to_owned() }
    }
}

impl fmt::Display for GoTime {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local_s = self.unix_s.saturating_add(i64::from(self.offset_s));
        let (year, month, day) = date_of(local_s.div_euclid(DAY_S));
        let second = local_s.rem_euclid(DAY_S);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(to, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")?;
        if self.nanos > 0 {
            write!(to, ".{}", format!("{:09}", self.nanos).trim_end_matches('0'))?;
        }
        let sign = if self.offset_s < 0 { '-' } else { '+' };
        let (hours, minutes) = (self.offset_s.abs() / 3600, self.offset_s.abs() / 60 % 60);
        write!(to, " {sign}{hours:02}{minutes:02} ")?;
        match (self.zone.as_str(), minutes) {
            ("", 0) => write!(to, "{sign}{hours:02}"),
            ("", _) => write!(to, "{sign}{hours:02}{minutes:02}"),
            (zone, _) => to.write_str(zone),
        }
    }
}

/// Year, month and day of a day counted from 1970-01-01: Howard Hinnant's `civil_from_days`.
fn date_of(day: i64) -> (i64, i64, i64) {
    let from_march = day + 719_468;
    let (era, of_era) = (from_march.div_euclid(146_097), from_march.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (day, month) = (
        of_year - (153 * shifted + 2) / 5 + 1,
        if shifted < 10 { shifted + 3 } else { shifted - 9 },
    );
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_as_go_tells_them() {
        let china = |nanos| GoTime {
            unix_s: 1_541_390_400,
            nanos,
            offset_s: 8 * 3600,
            zone: "CST".to_owned(),
        };
        assert_eq!(china(123_456_789).to_string(), "2018-11-05 12:00:00.123456789 +0800 CST");
        assert_eq!(china(100_000_000).to_string(), "2018-11-05 12:00:00.1 +0800 CST");
        assert_eq!(china(0).to_string(), "2018-11-05 12:00:00 +0800 CST");
        assert_eq!(GoTime::utc(951_782_400, 0).to_string(), "2000-02-29 00:00:00 +0000 UTC");
        assert_eq!(GoTime::utc(-1, 0).to_string(), "1969-12-31 23:59:59 +0000 UTC");
    }

    #[test]
    fn a_zone_without_a_name_is_told_by_its_offset() {
        let nameless = |offset_s| GoTime { unix_s: 0, nanos: 0, offset_s, zone: String::new() };
        assert_eq!(nameless(-3 * 3600).to_string(), "1969-12-31 21:00:00 -0300 -03");
        assert_eq!(nameless(20_700).to_string(), "1970-01-01 05:45:00 +0545 +0545");
    }
}
