//! The rule for times after a zone's last change: the text of POSIX' `TZ`, `CET-1CEST,M3.5.0,M10.5.0/3`.

use super::{DAY_S, Date, Offset, first_of};

/// Standard time, and perhaps a summer time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    standard: Offset,
    summer: Option<Summer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Summer {
    offset: Offset,
    begin: Change,
    end: Change,
}

/// When the clocks change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    day: Day,
    /// Seconds after midnight of the time that holds until then.
    at_s: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// The week's day, from Sunday as 0, in that week of the month; week 5 is the last.
    Weekday { month: i64, week: i64, day: i64 },
    /// From 1, without the 29th of February.
    Julian(i64),
    /// From 0.
    OfYear(i64),
}

impl Rule {
    /// Reads the text; nothing where it is empty or makes no sense.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, rest) = name(text)?;
        let (west_s, rest) = seconds(rest)?;
        let standard = Offset { seconds: -(west_s as i32), name };
        if rest.is_empty() {
            return Some(Self { standard, summer: None });
        }
        let (name, rest) = self::name(rest)?;
        let (seconds, rest) = match seconds(rest) {
            Some((west_s, rest)) => (-(west_s as i32), rest),
            None => (standard.seconds + 3600, rest),
        };
        let (begin, end) = rest.strip_prefix(',')?.split_once(',')?;
        let (begin, end) = (Change::parse(begin)?, Change::parse(end)?);
        let summer = Some(Summer { offset: Offset { seconds, name }, begin, end });
        Some(Self { standard, summer })
    }

    pub(super) fn at(&self, unix_s: i64) -> Offset {
        let Some(summer) = &self.summer else { return self.standard.clone() };
        let year = Date::of(unix_s + i64::from(self.standard.seconds)).year;
        let begin = summer.begin.moment(year) - i64::from(self.standard.seconds);
        let end = summer.end.moment(year) - i64::from(summer.offset.seconds);
        let is_summer = if begin <= end {
            (begin..end).contains(&unix_s)
        } else {
            // South of the equator.
            !(end..begin).contains(&unix_s)
        };
        if is_summer { summer.offset.clone() } else { self.standard.clone() }
    }
}

impl Change {
    fn parse(text: &str) -> Option<Self> {
        let (day, time) = text.split_once('/').unwrap_or((text, "2"));
        let (at_s, rest) = seconds(time)?;
        let number = |text: &str| text.parse::<i64>().ok();
        let day = if let Some(weekday) = day.strip_prefix('M') {
            let mut parts = weekday.split('.').map(number);
            let mut next = || parts.next().flatten();
            Day::Weekday { month: next()?, week: next()?, day: next()? }
        } else if let Some(julian) = day.strip_prefix('J') {
            Day::Julian(number(julian)?)
        } else {
            Day::OfYear(number(day)?)
        };
        let is_possible = match day {
            Day::Weekday { month, week, day } => {
                (1..=12).contains(&month) && (1..=5).contains(&week) && (0..=6).contains(&day)
            }
            Day::Julian(day) | Day::OfYear(day) => (0..=366).contains(&day),
        };
        (is_possible && rest.is_empty()).then_some(Self { day, at_s })
    }

    /// Seconds since 1970 on the clock that holds until then.
    fn moment(self, year: i64) -> i64 {
        let first = first_of(year, 1);
        let is_leap = first_of(year + 1, 1) - first == 366;
        let day = match self.day {
            Day::OfYear(day) => first + day,
            Day::Julian(day) => first + day - 1 + i64::from(is_leap && day >= 60),
            Day::Weekday { month, week, day } => {
                let begin = first_of(year, month);
                let next =
                    if month == 12 { first_of(year + 1, 1) } else { first_of(year, month + 1) };
                // The first of January 1970 was a Thursday.
                let first = begin + (day - (begin + 4)).rem_euclid(7);
                let wanted = first + (week - 1) * 7;
                if wanted < next { wanted } else { wanted - 7 }
            }
        };
        day * DAY_S + self.at_s
    }
}

/// `CET` or `<+03>`.
fn name(text: &str) -> Option<(String, &str)> {
    let (name, rest) = match text.strip_prefix('<') {
        Some(quoted) => quoted.split_once('>')?,
        None => text.split_at(text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len())),
    };
    (!name.is_empty()).then(|| (name.to_owned(), rest))
}

/// `[+-]h[:m[:s]]`
fn seconds(text: &str) -> Option<(i64, &str)> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let is_part = |c: char| c.is_ascii_digit() || c == ':';
    let (time, rest) = digits.split_at(digits.find(|c| !is_part(c)).unwrap_or(digits.len()));
    let mut total = 0;
    for (part, unit) in time.split(':').zip([3600, 60, 1]) {
        let part: i64 = part.parse().ok()?;
        total += part.min(999) * unit;
    }
    Some((sign * total, rest))
}
