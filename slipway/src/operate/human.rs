//! Numbers as people read and write them.

/// 1234567 → `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// 1536 → `1.5 KiB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// 1500 → `1.5 ms`.
pub(crate) fn micros(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} µs"),
        1_000..1_000_000 => format!("{:.1} ms", number as f64 / 1e3),
        _ => format!("{:.2} s", number as f64 / 1e6),
    }
}

/// 75 → `1 min 15 s`.
pub(crate) fn seconds(number: u64) -> String {
    match number {
        0..60 => format!("{number} s"),
        60..3600 => format!("{} min {} s", number / 60, number % 60),
        _ => format!("{} h {} min", number / 3600, number % 3600 / 60),
    }
}

/// `50M` → 52428800.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("\"{text}\" is no number of bytes: write for example 50M, 800K, 1G, or 0");
    let (digits, factor) = match text.trim_end_matches(['B', 'b']).chars().last() {
        Some('K' | 'k') => (1, 1 << 10),
        Some('M' | 'm') => (1, 1 << 20),
        Some('G' | 'g') => (1, 1 << 30),
        _ => (0, 1_u64),
    };
    let text = text.trim_end_matches(['B', 'b']);
    let number = text[..text.len() - digits].trim().parse::<u64>().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(
            (count(7), count(1000), count(1_234_567)),
            ("7".into(), "1,000".into(), "1,234,567".into())
        );
        assert_eq!(
            (bytes(0), bytes(1536), bytes(1 << 30)),
            ("0 B".into(), "1.5 KiB".into(), "1.0 GiB".into())
        );
        assert_eq!((bytes((1 << 20) - 1), micros(999)), ("1.0 MiB".into(), "999 µs".into()));
        assert_eq!((micros(1500), micros(2_500_000)), ("1.5 ms".into(), "2.50 s".into()));
        assert_eq!(
            (seconds(59), seconds(75), seconds(7320)),
            ("59 s".into(), "1 min 15 s".into(), "2 h 2 min".into())
        );
    }

    #[test]
    fn sizes_are_easy_to_write() {
        for (text, bytes) in
            [("0", 0), ("1000", 1000), ("50M", 50 << 20), ("8kb", 8 << 10), ("1G", 1 << 30)]
        {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "fast", "-1", "1T", "99999999999G", "M"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
