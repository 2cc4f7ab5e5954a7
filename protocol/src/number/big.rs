//! Natural numbers of any size, as far as the conversion between decimal text and binary fractions needs them.

/// A binary floating-point format.
pub(super) struct Format {
    /// Bits of the significand, the leading one included.
    pub(super) bits: i32,
    /// The exponent of the lowest bit of the smallest number.
    pub(super) exponent_min: i32,
    /// The exponent of the highest bit of the largest number.
    pub(super) top_max: i32,
}

/// IEEE 754 double.
pub(super) const DOUBLE: Format = Format { bits: 53, exponent_min: -1074, top_max: 1023 };
/// The extended format of x86 processors: C's `long double` on Linux.
pub(super) const LONG_DOUBLE: Format = Format { bits: 64, exponent_min: -16445, top_max: 16383 };

/// Limbs of 32 bits, lowest first; no zero limb at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Big {
    limbs: Vec<u32>,
}

impl Big {
    /// Reads digits of a base up to 16; anything else counts as zero.
    pub(super) fn from_digits(digits: impl Iterator<Item = u8>, base: u32) -> Self {
        let mut number = Self::default();
        for digit in digits {
            number.multiply_add(base, (digit as char).to_digit(base).unwrap_or(0));
        }
        number
    }

    pub(super) fn from_u64(value: u64) -> Self {
        let mut number = Self { limbs: vec![value as u32, (value >> 32) as u32] };
        number.trim();
        number
    }

    pub(super) fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// The number of bits, without leading zeros.
    pub(super) fn bits(&self) -> i32 {
        self.limbs
            .last()
            .map_or(0, |last| self.limbs.len() as i32 * 32 - last.leading_zeros() as i32)
    }

    pub(super) fn multiply_add(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for limb in &mut self.limbs {
            carry += u64::from(*limb) * u64::from(factor);
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.limbs.push(carry as u32);
        }
    }

    /// Divides and returns the remainder.
    pub(super) fn divide(&mut self, divisor: u32) -> u32 {
        let mut rest = 0;
        for limb in self.limbs.iter_mut().rev() {
            rest = rest << 32 | u64::from(*limb);
            *limb = (rest / u64::from(divisor)) as u32;
            rest %= u64::from(divisor);
        }
        self.trim();
        rest as u32
    }

    pub(super) fn shift_left(&mut self, bits: usize) {
        if !bits.is_multiple_of(32) {
            self.multiply_add(1 << (bits % 32), 0);
        }
        if !self.is_zero() {
            self.limbs.splice(0..0, std::iter::repeat_n(0, bits / 32));
        }
    }

    /// Whether bit `at` is set.
    fn bit(&self, at: i32) -> bool {
        at >= 0 && self.limbs.get(at as usize / 32).is_some_and(|limb| limb >> (at % 32) & 1 == 1)
    }

    /// Rounds `self · 2^exponent` half to even and returns it as `significand · 2^exponent`, the significand being at most `format.bits`
    /// long. `inexact` says that the true number is a little larger. Nothing, if it is too large; a significand of 0, if it is too small.
    pub(super) fn round(
        &self,
        exponent: i32,
        inexact: bool,
        format: &Format,
    ) -> Option<(u64, i32)> {
        let top = exponent + self.bits() - 1;
        let lowest = (top - format.bits + 1).max(format.exponent_min);
        // Bits below `lowest` are dropped.
        let dropped = (lowest - exponent).max(0);
        let mut significand: u64 = 0;
        for at in (dropped..self.bits()).rev() {
            significand = significand << 1 | u64::from(self.bit(at));
        }
        let half = self.bit(dropped - 1);
        let more = inexact || (0..dropped - 1).any(|at| self.bit(at));
        let mut exponent = exponent + dropped;
        if half && (more || significand & 1 == 1) {
            (significand, exponent) =
                significand.checked_add(1).map_or((1 << 63, exponent + 1), |next| (next, exponent));
        }
        let top = exponent + 63 - significand.leading_zeros() as i32;
        (significand == 0 || top <= format.top_max).then_some((significand, exponent))
    }

    /// Decimal digits; nothing for zero.
    pub(super) fn into_decimal(mut self) -> String {
        // Nine digits at a time, lowest first; each division frees some 30 bits.
        let mut digits = Vec::new();
        while !self.is_zero() {
            let mut part = self.divide(1_000_000_000);
            for _ in 0..9 {
                digits.push(b'0' + (part % 10) as u8);
                part /= 10;
            }
        }
        digits
            .iter()
            .rev()
            .skip_while(|&&digit| digit == b'0')
            .map(|&digit| char::from(digit))
            .collect()
    }

    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }
}
