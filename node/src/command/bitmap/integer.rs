//! An integer of 1 to 64 bits somewhere in a string, the highest bit first, and what becomes of a number it cannot hold.

use protocol::number::parse_int;

/// What becomes of a number that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overflow {
    /// It loses its high bits.
    Wrap,
    /// It becomes the nearest that fits.
    Saturate,
    /// Nothing is written.
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Signed,
    Unsigned,
}

/// A type: `i1` to `i64`, `u1` to `u63`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Integer {
    sign: Sign,
    pub(super) bits: u32,
}

/// Bytes that hold any integer of 64 bits, whichever bit it begins at.
const WINDOW: usize = 9;

/// The bytes from `at` on as one number; behind the string there are zeros.
fn window(value: &[u8], at: usize) -> u128 {
    let bytes = value.iter().skip(at).copied().chain(std::iter::repeat(0)).take(WINDOW);
    bytes.fold(0, |window, byte| window << 8 | u128::from(byte))
}

impl Integer {
    /// The type of this name.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (sign, most) = match text.first()? {
            b'i' => (Sign::Signed, 64),
            b'u' => (Sign::Unsigned, 63),
            _ => return None,
        };
        // Redis reads it as a C string.
        let digits = text[1..].split(|&byte| byte == 0).next().unwrap_or_default();
        let bits = parse_int(digits).filter(|bits| (1..=most).contains(bits))?;
        Some(Self { sign, bits: bits as u32 })
    }

    /// How far the integer at this bit is from the low end of its window.
    fn shift(self, offset: u64) -> u32 {
        (WINDOW * 8) as u32 - (offset % 8) as u32 - self.bits
    }

    fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    /// The number that these low bits mean.
    fn meant(self, bits: u64) -> i64 {
        match self.sign {
            Sign::Unsigned => (bits & self.mask()) as i64,
            Sign::Signed => (bits << (64 - self.bits)) as i64 >> (64 - self.bits),
        }
    }

    pub(super) fn read(self, value: &[u8], offset: u64) -> i64 {
        self.meant((window(value, (offset / 8) as usize) >> self.shift(offset)) as u64)
    }

    /// Writes the number, or as much of it as the string has room for.
    pub(super) fn write(self, value: &mut [u8], offset: u64, number: i64) {
        let (at, shift) = ((offset / 8) as usize, self.shift(offset));
        let mask = u128::from(self.mask()) << shift;
        let new = window(value, at) & !mask | u128::from(number as u64 & self.mask()) << shift;
        let bytes = &new.to_be_bytes()[16 - WINDOW..];
        value.iter_mut().skip(at).zip(bytes).for_each(|(byte, new)| *byte = *new);
    }

    /// `number` plus `increment`, as far as it fits; nothing if it may not be made to fit.
    ///
    /// The comparisons are Redis' own (bitops.c, `checkSignedBitfieldOverflow` and `checkUnsignedBitfieldOverflow`), whose differences wrap
    /// around: a number far below the least of a narrow type counts as too large.
    pub(super) fn fit(self, number: i64, increment: i64, overflow: Overflow) -> Option<i64> {
        let (above, below) = match self.sign {
            Sign::Signed => self.misses_signed(number, increment),
            Sign::Unsigned => self.misses_unsigned(number, increment),
        };
        let wrapped = self.meant(number.wrapping_add(increment) as u64);
        match overflow {
            _ if !above && !below => Some(wrapped),
            Overflow::Wrap => Some(wrapped),
            Overflow::Saturate if above => Some(self.greatest()),
            Overflow::Saturate => Some(self.least()),
            Overflow::Fail => None,
        }
    }

    fn greatest(self) -> i64 {
        match self.sign {
            Sign::Signed => (self.mask() >> 1) as i64,
            Sign::Unsigned => self.mask() as i64,
        }
    }

    fn least(self) -> i64 {
        match self.sign {
            Sign::Signed => -self.greatest() - 1,
            Sign::Unsigned => 0,
        }
    }

    fn misses_signed(self, number: i64, increment: i64) -> (bool, bool) {
        let narrow = self.bits != 64;
        let up = self.greatest().wrapping_sub(number);
        let down = self.least().wrapping_sub(number);
        let above =
            number > self.greatest() || (narrow || number >= 0 && increment > 0) && increment > up;
        let below =
            number < self.least() || (narrow || number < 0 && increment < 0) && increment < down;
        (above, below)
    }

    fn misses_unsigned(self, number: i64, increment: i64) -> (bool, bool) {
        let (number, greatest) = (number as u64, self.mask());
        let above =
            number > greatest || increment > 0 && increment > greatest.wrapping_sub(number) as i64;
        let below = increment < 0 && increment < (number as i64).wrapping_neg();
        (above, below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: [(&str, u32); 4] = [("i1", 1), ("i13", 13), ("u63", 63), ("i64", 64)];

    #[test]
    fn what_is_written_is_read_and_the_rest_is_left() {
        for (name, bits) in EVERY {
            let integer = Integer::parse(name.as_bytes()).unwrap();
            assert_eq!(integer.bits, bits);
            for offset in 0..24 {
                for number in [integer.least(), integer.greatest(), 0] {
                    let mut value = [0b1010_0101; 12];
                    integer.write(&mut value, offset, number);
                    assert_eq!(integer.read(&value, offset), number, "{name} at {offset}");
                    let bit =
                        |value: &[u8], at: u64| value[at as usize / 8] & 0x80 >> (at % 8) != 0;
                    let others =
                        (0..96).filter(|at| !(offset..offset + u64::from(bits)).contains(at));
                    for at in others {
                        assert_eq!(bit(&value, at), bit(&[0b1010_0101; 12], at), "{name} {offset}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_wraps_stops_or_fails() {
        let fit = |name: &str, number, by, overflow| {
            Integer::parse(name.as_bytes()).unwrap().fit(number, by, overflow)
        };
        assert_eq!(fit("u8", 255, 1, Overflow::Wrap), Some(0));
        assert_eq!(fit("u8", 255, 1, Overflow::Saturate), Some(255));
        assert_eq!(fit("u8", 255, 1, Overflow::Fail), None);
        assert_eq!(fit("u8", 0, -1, Overflow::Saturate), Some(0));
        assert_eq!(fit("i8", 127, 1, Overflow::Wrap), Some(-128));
        assert_eq!(fit("i8", -128, -1, Overflow::Saturate), Some(-128));
        assert_eq!(fit("i64", i64::MAX, 1, Overflow::Wrap), Some(i64::MIN));
        assert_eq!(fit("i64", i64::MIN, -1, Overflow::Saturate), Some(i64::MIN));
        assert_eq!(fit("i64", 5, -7, Overflow::Fail), Some(-2));
        assert_eq!(fit("i8", i64::MIN, 0, Overflow::Saturate), Some(127), "Redis wraps around");
    }

    #[test]
    fn types_are_named_as_in_redis() {
        for name in ["i1", "i64", "u1", "u63"] {
            assert!(Integer::parse(name.as_bytes()).is_some(), "{name}");
        }
        for name in ["", "i", "i0", "i65", "u64", "x8", "I8", "i-1", "i08", "8"] {
            assert!(Integer::parse(name.as_bytes()).is_none(), "{name}");
        }
    }
}
