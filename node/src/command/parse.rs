//! What arguments mean: numbers, expiry, words. Errors are Redis' own lines.

use crate::error::{CommandError, line};
use protocol::number::{parse_double, parse_int};
use protocol::reply::errors;

/// An integer.
pub(super) fn int(text: &[u8]) -> Result<i64, CommandError> {
    parse_int(text).ok_or_else(|| line::NOT_AN_INTEGER.into())
}

/// A double.
pub(super) fn float(text: &[u8]) -> Result<f64, CommandError> {
    parse_double(text).ok_or_else(|| line::NOT_A_FLOAT.into())
}

/// A count that must not be negative.
pub(super) fn count(text: &[u8]) -> Result<usize, CommandError> {
    parse_int(text).and_then(|n| usize::try_from(n).ok()).ok_or_else(|| line::NOT_POSITIVE.into())
}

/// A count whose sign has a meaning.
pub(super) fn signed_count(text: &[u8]) -> Result<i64, CommandError> {
    int_within(text, -i64::MAX, i64::MAX)
}

/// As [`signed_count`], where each of so many comes with a second value.
pub(super) fn signed_count_of_pairs(text: &[u8]) -> Result<i64, CommandError> {
    match signed_count(text)? {
        n if n.abs() > i64::MAX / 2 => Err("ERR value is out of range".into()),
        n => Ok(n),
    }
}

/// An integer within these bounds, as Redis' `getRangeLongFromObjectOrReply`.
pub(super) fn int_within(text: &[u8], least: i64, most: i64) -> Result<i64, CommandError> {
    match int(text)? {
        n if n < least || n > most => Err(errors::out_of_range(least, most).into()),
        n => Ok(n),
    }
}

/// The range of an index pair as Redis' LRANGE, GETRANGE, ZRANGE mean it: negative counts from the end. Nothing if it is empty.
pub(super) fn span(start: i64, stop: i64, length: u64) -> Option<(u64, u64)> {
    let length = length as i64;
    let from_end = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
    let (start, stop) = (from_end(start).max(0), from_end(stop).min(length - 1));
    (start <= stop && start < length).then_some((start as u64, stop as u64))
}

/// The unit and the origin of an expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    Seconds,
    Millis,
    AtSeconds,
    AtMillis,
}

impl Expiry {
    /// The option words of SET and GETEX.
    pub(super) fn from_word(word: &[u8]) -> Option<Self> {
        let is = |text: &str| word.eq_ignore_ascii_case(text.as_bytes());
        Some(match () {
            () if is("ex") => Self::Seconds,
            () if is("px") => Self::Millis,
            () if is("exat") => Self::AtSeconds,
            () if is("pxat") => Self::AtMillis,
            () => return None,
        })
    }

    /// The moment in milliseconds since 1970; nothing if no 64 bits hold it.
    pub(super) fn moment(self, number: i64, now_ms: u64) -> Option<i64> {
        let millis = match self {
            Self::Seconds | Self::AtSeconds => number.checked_mul(1000)?,
            Self::Millis | Self::AtMillis => number,
        };
        match self {
            Self::Seconds | Self::Millis => millis.checked_add(i64::try_from(now_ms).ok()?),
            Self::AtSeconds | Self::AtMillis => Some(millis),
        }
    }

    /// As [`Self::moment`], for commands that refuse zero, negative and impossible times.
    pub(super) fn future(
        self,
        text: &[u8],
        now_ms: u64,
        command: &str,
    ) -> Result<u64, CommandError> {
        let number = int(text)?;
        let moment = if number > 0 { self.moment(number, now_ms) } else { None };
        let moment =
            moment.and_then(|moment| u64::try_from(moment).ok()).filter(|moment| *moment > 0);
        moment.ok_or_else(|| format!("ERR invalid expire time in '{command}' command").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_pairs_mean_what_redis_means() {
        assert_eq!(span(0, -1, 3), Some((0, 2)));
        assert_eq!(span(-100, 100, 3), Some((0, 2)));
        assert_eq!(span(-2, -1, 3), Some((1, 2)));
        assert_eq!(span(2, 1, 3), None);
        assert_eq!(span(3, 5, 3), None);
        assert_eq!(span(0, -4, 3), None);
        assert_eq!(span(0, 0, 0), None);
        assert_eq!(span(i64::MIN, i64::MAX, 3), Some((0, 2)));
    }

    #[test]
    fn times_that_no_clock_reaches_are_refused() {
        assert!(Expiry::Seconds.future(b"9223372036854775807", 1, "set").is_err());
        assert!(Expiry::Millis.future(b"9223372036854775807", 1, "set").is_err());
        assert!(Expiry::Seconds.future(b"0", 1, "set").is_err());
        assert!(Expiry::AtMillis.future(b"-5", 1, "set").is_err());
        assert_eq!(Expiry::Seconds.future(b"2", 500, "set").ok(), Some(2500));
    }
}
