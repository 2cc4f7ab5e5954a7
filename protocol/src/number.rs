//! Numbers as Redis 7.0 reads and prints them.
//!
//! - Integers: `string2ll`, so only the one canonical spelling.
//! - Scores and RESP3 doubles: C's `strtod` and `%.17g`. (Redis 7.2 prints the shortest digits instead.)
//! - INCRBYFLOAT and HINCRBYFLOAT: [`LongDouble`], because Redis computes them in the 80 bits of an x86 processor.

mod big;
mod long_double;

pub use long_double::LongDouble;

use std::fmt::{self, Write};

/// Reads a decimal integer as Redis' `string2ll`: no sign but `-`, no leading zero, no blank, fits in 64 bits.
pub fn parse_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let leading = *digits.first()?;
    if digits.len() > 19
        || !leading.is_ascii_digit()
        || leading == b'0' && (digits.len() > 1 || negative)
    {
        return None;
    }
    let mut value: u64 = 0;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// Reads the cursor of a scan, by C's `strtoul` over the text up to its first zero byte: a negative number wraps, no text is 0. No leading blank.
pub fn parse_cursor(text: &[u8]) -> Option<u64> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0);
    }
    let (negative, digits) = signed(text);
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(if negative { number.wrapping_neg() } else { number })
}

/// Reads a double as Redis' `string2d`, which is C's `strtod` over the whole text: decimal, hexadecimal (`0x1.8p3`), `inf`, `infinity`. No
/// leading blank, no NaN; what overflows, or becomes zero though it is not, is refused. So is hexadecimal text of more than 5 KiB.
pub fn parse_double(text: &[u8]) -> Option<f64> {
    let (negative, magnitude) = signed(text);
    if magnitude.len() > 1 && magnitude[..2].eq_ignore_ascii_case(b"0x") {
        if text.len() > long_double::TEXT_BYTES_MAX {
            return None;
        }
        let value = long_double::hexadecimal(&magnitude[2..], &big::DOUBLE)?.to_f64();
        return Some(if negative { -value } else { value });
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let named = magnitude.first().is_some_and(u8::is_ascii_alphabetic);
    if value.is_nan() || value.is_infinite() && !named {
        return None;
    }
    // The digits in front of an exponent: zero only if all of them are.
    let mut digits = magnitude.iter().take_while(|byte| !byte.eq_ignore_ascii_case(&b'e'));
    if value == 0.0 && digits.any(|byte| (b'1'..=b'9').contains(byte)) {
        return None;
    }
    Some(value)
}

fn signed(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

/// Prints a double as `%.17g` does: `3`, `3.5`, `0.10000000000000001`, `1e+20`, `inf`.
pub fn format_double(value: f64) -> impl AsRef<[u8]> {
    let mut text = Text::default();
    // Integers are what most scores are. Not −0, which prints its sign.
    if (value as i64 as f64).to_bits() == value.to_bits() && value.abs() < 1e15 {
        text.push(itoa::Buffer::new().format(value as i64).as_bytes());
    } else if value.is_finite() {
        text.general(value);
    } else {
        text.push(match (value.is_nan(), value.is_sign_negative()) {
            (false, false) => b"inf",
            (false, true) => b"-inf",
            (true, false) => b"nan",
            (true, true) => b"-nan",
        });
    }
    text
}

/// Prints a double as INCRBYFLOAT prints its result: `%.17Lf` without trailing zeros. Exact for the double itself; a sum that Redis computes
/// has more bits than a double, so compute with [`LongDouble`].
pub fn format_human_double(value: f64) -> impl AsRef<[u8]> {
    LongDouble::from(value).to_string().into_bytes()
}

/// At most as many bytes as a `%.17g` may need: sign, 17 digits, point, `e-308`.
#[derive(Default)]
struct Text {
    bytes: [u8; 32],
    len: usize,
}

impl Text {
    fn push(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }

    /// Any finite value. `{:.16e}` gives the 17 digits, correctly rounded; C then chooses the form and drops trailing zeros.
    fn general(&mut self, value: f64) {
        let mut scientific = Text::default();
        if write!(scientific, "{:.16e}", value.abs()).is_err() {
            return;
        }
        let scientific = scientific.as_ref();
        let Some(e) = scientific.iter().position(|&byte| byte == b'e') else { return };
        let exponent = parse_int(&scientific[e + 1..]).unwrap_or(0) as i32;
        let mut digits = [b'0'; 17];
        digits[0] = scientific[0];
        digits[1..].copy_from_slice(&scientific[2..18]);
        let significant = 17 - digits.iter().rev().take_while(|&&digit| digit == b'0').count();
        let digits = &digits[..significant.max(1)];
        if value.is_sign_negative() {
            self.push(b"-");
        }
        match exponent {
            // 0.000123
            -4..0 => {
                self.push(&b"0.000"[..=exponent.unsigned_abs() as usize]);
                self.push(digits);
            }
            // 123, 1200, 1.23
            0..17 => {
                let whole = exponent as usize + 1;
                match digits.split_at_checked(whole) {
                    Some((whole, [])) => self.push(whole),
                    Some((whole, fraction)) => {
                        self.push(whole);
                        self.push(b".");
                        self.push(fraction);
                    }
                    None => {
                        self.push(digits);
                        self.push(&[b'0'; 17][digits.len()..whole]);
                    }
                }
            }
            // 1.23e+20, 1e-05
            _ => {
                self.push(&digits[..1]);
                if digits.len() > 1 {
                    self.push(b".");
                    self.push(&digits[1..]);
                }
                self.push(if exponent < 0 { b"e-" } else { b"e+" });
                if exponent.abs() < 10 {
                    self.push(b"0");
                }
                self.push(itoa::Buffer::new().format(exponent.abs()).as_bytes());
            }
        }
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}
