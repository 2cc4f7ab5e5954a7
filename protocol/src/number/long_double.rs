//! The arithmetic of INCRBYFLOAT: what C's `long double` is on an x86 processor, so that sums equal Redis' to the last digit.
//!
//! Redis reads both numbers with `strtold`, adds them in the 80-bit format (64 bits of significand) and prints `%.17Lf` without trailing
//! zeros. Each of the three is done here exactly, rounded half to even. On processors with another `long double` Redis differs from itself.

use super::big::{Big, Format, LONG_DOUBLE};
use super::signed;
use std::fmt;

/// A number of the 80-bit extended format. No NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongDouble {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Magnitude {
    Zero,
    /// `significand · 2^exponent`; the highest bit of the significand is set.
    Finite {
        significand: u64,
        exponent: i32,
    },
    Infinite,
}

/// The longest text that is read, in bytes: Redis' buffer.
pub(super) const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;

impl LongDouble {
    /// Reads what `strtold` reads, over the whole text: decimal, hexadecimal (`0x1.8p3`), `inf`, `infinity`. No leading blank, no NaN; what
    /// overflows, or becomes zero though it is not, is refused.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (negative, text) = signed(text);
        let magnitude =
            if text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity") {
                Magnitude::Infinite
            } else if text.len() > 1 && text[..2].eq_ignore_ascii_case(b"0x") {
                hexadecimal(&text[2..], &LONG_DOUBLE)?.magnitude
            } else {
                decimal(text)?
            };
        Some(Self { negative, magnitude })
    }

    /// Whether it is neither `inf` nor `-inf`.
    pub fn is_finite(self) -> bool {
        self.magnitude != Magnitude::Infinite
    }

    /// Adds; nothing, if the sum is infinite or none.
    pub fn plus(self, other: Self) -> Option<Self> {
        let (a, b) = match (self.magnitude, other.magnitude) {
            (Magnitude::Infinite, _) | (_, Magnitude::Infinite) => return None,
            (Magnitude::Zero, _) => return Some(other),
            (_, Magnitude::Zero) => return Some(self),
            (Magnitude::Finite { exponent: a, .. }, Magnitude::Finite { exponent: b, .. })
                if a < b =>
            {
                (other, self)
            }
            _ => (self, other),
        };
        let (a_negative, a_significand, exponent) = a.parts();
        let (b_negative, b_significand, b_exponent) = b.parts();
        // 63 guard bits: below them only whether anything is there matters, since then `a` is far larger than `b`.
        let distance = exponent.abs_diff(b_exponent);
        let (a, b) = (u128::from(a_significand) << 63, u128::from(b_significand) << 63);
        let shifted = b.checked_shr(distance).unwrap_or(0);
        let inexact = shifted.checked_shl(distance).unwrap_or(0) != b;
        let (negative, sum) = if a_negative == b_negative {
            (a_negative, a + shifted)
        } else if a >= shifted {
            (a_negative, a - shifted - u128::from(inexact))
        } else {
            (b_negative, shifted - a)
        };
        Self::rounded(negative, sum, exponent - 63, inexact)
    }

    /// The significand is 0 for what is not finite; only called for finite numbers.
    fn parts(self) -> (bool, u64, i32) {
        match self.magnitude {
            Magnitude::Finite { significand, exponent } => (self.negative, significand, exponent),
            Magnitude::Zero | Magnitude::Infinite => (self.negative, 0, 0),
        }
    }

    /// `value · 2^exponent`, or a little more if `inexact`, rounded half to even.
    fn rounded(negative: bool, value: u128, exponent: i32, inexact: bool) -> Option<Self> {
        let bits = 128 - value.leading_zeros() as i32;
        if bits <= 64 {
            let magnitude = normal(value as u64, exponent);
            // The sum of opposite numbers is +0.
            return Some(Self { negative: negative && value != 0, magnitude });
        }
        let dropped = bits - 64;
        let (kept, rest, half) =
            (value >> dropped, value & ((1 << dropped) - 1), 1 << (dropped - 1));
        let up = rest > half || rest == half && (inexact || kept & 1 == 1);
        let kept = kept + u128::from(up);
        // Rounding up may carry into a 65th bit; the 64 below it are 0 then.
        let (significand, exponent) = if kept >> 64 == 0 {
            (kept as u64, exponent + dropped)
        } else {
            (1 << 63, exponent + dropped + 1)
        };
        (exponent + 63 <= LONG_DOUBLE.top_max)
            .then_some(Self { negative, magnitude: Magnitude::Finite { significand, exponent } })
    }

    /// The number as a double; only called for one that has been rounded to a double's format.
    pub(super) fn to_f64(self) -> f64 {
        match self.magnitude {
            Magnitude::Zero => 0.0,
            Magnitude::Infinite => f64::INFINITY,
            Magnitude::Finite { significand, exponent } => {
                // Exponents beyond a double's range for a power of two alone are reached in two steps, both exact.
                let half = exponent / 2;
                significand as f64 * 2f64.powi(half) * 2f64.powi(exponent - half)
            }
        }
    }
}

/// The same number with the highest bit of the significand set.
fn normal(significand: u64, exponent: i32) -> Magnitude {
    let shift = significand.leading_zeros();
    if significand == 0 {
        return Magnitude::Zero;
    }
    Magnitude::Finite { significand: significand << shift, exponent: exponent - shift as i32 }
}

/// Digits on both sides of a point, and an exponent behind `mark`. Nothing, if there is no digit or anything else.
struct Literal<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i32,
}

/// Beyond this every exponent is the same: too large, or too small, whatever the digits are.
const EXPONENT_MAX: i32 = 100_000;

impl<'a> Literal<'a> {
    fn read(text: &'a [u8], base: u32, mark: u8) -> Option<Self> {
        let digits =
            |text: &[u8]| text.iter().take_while(|byte| (**byte as char).is_digit(base)).count();
        let (whole, rest) = text.split_at(digits(text));
        let (fraction, rest) = match rest {
            [b'.', rest @ ..] => rest.split_at(digits(rest)),
            _ => (b"".as_slice(), rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let exponent = match rest {
            [] => 0,
            [first, rest @ ..] if first.eq_ignore_ascii_case(&mark) => exponent(rest)?,
            _ => return None,
        };
        Some(Self { whole, fraction, exponent })
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.iter().chain(self.fraction).copied().skip_while(|&digit| digit == b'0')
    }
}

fn exponent(text: &[u8]) -> Option<i32> {
    let (negative, digits) = signed(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits
        .iter()
        .fold(0, |value: i32, digit| (value * 10 + i32::from(digit - b'0')).min(EXPONENT_MAX));
    Some(if negative { -value } else { value })
}

fn decimal(text: &[u8]) -> Option<Magnitude> {
    let literal = Literal::read(text, 10, b'e')?;
    let count = literal.digits().count() as i32;
    if count == 0 {
        return Some(Magnitude::Zero);
    }
    let exponent = literal.exponent - literal.fraction.len() as i32;
    // The largest number is 1.19e4932, the smallest 3.6e-4951.
    if !(-5000..5000).contains(&(exponent + count)) {
        return None;
    }
    let mut number = Big::from_digits(literal.digits(), 10);
    if exponent >= 0 {
        (0..exponent).for_each(|_| number.multiply_add(10, 0));
        return finite(number.round(0, false, &LONG_DOUBLE)?);
    }
    // 10^n = 5^n · 2^n. The quotient gets 66 bits or more: one to round by and one to spare.
    let fives = exponent.unsigned_abs();
    let shift = (fives * 7 / 3 + 68).saturating_sub(number.bits().unsigned_abs());
    number.shift_left(shift as usize);
    let mut inexact = false;
    for step in (0..fives).step_by(13) {
        inexact |= number.divide(5u32.pow((fives - step).min(13))) != 0;
    }
    finite(number.round(exponent - shift as i32, inexact, &LONG_DOUBLE)?)
}

/// What stands behind `0x`.
pub(super) fn hexadecimal(text: &[u8], format: &Format) -> Option<LongDouble> {
    let literal = Literal::read(text, 16, b'p')?;
    let exponent = literal.exponent - 4 * literal.fraction.len() as i32;
    let number = Big::from_digits(literal.digits(), 16);
    let magnitude = if number.is_zero() {
        Magnitude::Zero
    } else {
        finite(number.round(exponent, false, format)?)?
    };
    Some(LongDouble { negative: false, magnitude })
}

/// A rounded number that must not have become zero.
fn finite((significand, exponent): (u64, i32)) -> Option<Magnitude> {
    (significand != 0).then(|| normal(significand, exponent))
}

impl From<f64> for LongDouble {
    /// Exact. NaN, which no caller has, becomes infinite.
    fn from(value: f64) -> Self {
        let bits = value.to_bits();
        let (fraction, biased) = (bits & ((1 << 52) - 1), (bits >> 52 & 0x7ff) as i32);
        let magnitude = match biased {
            0x7ff => Magnitude::Infinite,
            0 => normal(fraction, -1074),
            _ => normal(fraction | 1 << 52, biased - 1075),
        };
        Self { negative: value.is_sign_negative(), magnitude }
    }
}

impl fmt::Display for LongDouble {
    /// `%.17Lf` without trailing zeros; −0 is 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = match self.magnitude {
            Magnitude::Zero => (String::new(), 0),
            Magnitude::Infinite => return f.write_str(if self.negative { "-inf" } else { "inf" }),
            Magnitude::Finite { significand, exponent: exponent @ 0.. } => {
                let mut whole = Big::from_u64(significand);
                whole.shift_left(exponent as usize);
                (whole.into_decimal(), 0)
            }
            Magnitude::Finite { significand, exponent } => {
                hundred_quadrillionths(significand, exponent.unsigned_abs())
            }
        };
        if whole.is_empty() && fraction == 0 {
            return f.write_str("0");
        }
        let sign = if self.negative { "-" } else { "" };
        let whole = if whole.is_empty() { "0" } else { &whole };
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let fraction = format!("{fraction:017}");
        write!(f, "{sign}{whole}.{}", fraction.trim_end_matches('0'))
    }
}

const TEN_TO_17: u128 = 100_000_000_000_000_000;

/// `significand / 2^shift` with 17 decimals, rounded half to even: what is in front of the point, and the decimals as a number.
fn hundred_quadrillionths(significand: u64, shift: u32) -> (String, u128) {
    // 64 + 57 bits; shifted by 128 or more it is less than a half.
    let scaled = u128::from(significand) * TEN_TO_17;
    let kept = scaled.checked_shr(shift).unwrap_or(0);
    let rest = scaled - kept.checked_shl(shift).unwrap_or(0);
    let half = 1u128.checked_shl(shift - 1).unwrap_or(u128::MAX);
    let kept = kept + u128::from(rest > half || rest == half && kept & 1 == 1);
    let whole = kept / TEN_TO_17;
    (if whole == 0 { String::new() } else { whole.to_string() }, kept % TEN_TO_17)
}
