//! The sparse representation: registers as runs of equal values, in Redis' three codes.
//!
//! ```text
//! 00zzzzzz            1 to 64 registers of 0
//! 01zzzzzz zzzzzzzz   1 to 16,384 registers of 0
//! 1vvvvvnn            1 to 4 registers of one value from 1 to 32
//! ```
//!
//! How runs are split and joined again is part of the format here: it decides how many bytes there are, and so when a sketch becomes dense.

use super::corrupted;
use super::sketch::REGISTERS;
use crate::error::CommandError;
use smallvec::SmallVec;

/// All registers 0.
pub(super) const EMPTY: [u8; 2] = [0x7f, 0xff];

const LONG_ZEROS: u8 = 0x40;
const VALUES: u8 = 0x80;
const SHORT_ZEROS_MAX: usize = 64;
const VALUES_MAX: usize = 4;
const VALUE_MAX: u8 = 32;

/// So many runs are looked at after a change, to join those of one value.
const JOINED_WITHIN: usize = 5;

/// Registers of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) value: u8,
    pub(super) registers: usize,
    /// Bytes of its code.
    bytes: usize,
}

impl Run {
    /// The run whose code begins here.
    fn at(codes: &[u8], at: usize) -> Option<Self> {
        let code = *codes.get(at)?;
        let low = usize::from(code & 0x3f);
        Some(match code {
            VALUES.. => {
                let (value, registers) = (code >> 2 & 0x1f, usize::from(code & 3));
                Self { value: value + 1, registers: registers + 1, bytes: 1 }
            }
            LONG_ZEROS.. => {
                let registers = (low << 8 | usize::from(*codes.get(at + 1)?)) + 1;
                Self { value: 0, registers, bytes: 2 }
            }
            _ => Self { value: 0, registers: low + 1, bytes: 1 },
        })
    }
}

/// The code of values; `registers` is 1 to 4.
fn values(value: u8, registers: usize) -> u8 {
    VALUES | (value - 1) << 2 | (registers - 1) as u8
}

/// Appends the code of a run, if there is any register in it.
fn push(codes: &mut SmallVec<[u8; 5]>, value: u8, registers: usize) {
    match registers {
        0 => {}
        _ if value > 0 => codes.push(values(value, registers)),
        1..=SHORT_ZEROS_MAX => codes.push((registers - 1) as u8),
        _ => {
            codes.push(LONG_ZEROS | ((registers - 1) >> 8) as u8);
            codes.push((registers - 1) as u8);
        }
    }
}

/// All runs, if they are all registers and nothing else.
pub(super) fn runs(codes: &[u8]) -> Result<impl Iterator<Item = Run>, CommandError> {
    let all = move || {
        let mut at = 0;
        std::iter::from_fn(move || {
            let run = Run::at(codes, at)?;
            at += run.bytes;
            Some(run)
        })
    };
    let (bytes, registers) =
        all().fold((0, 0), |sum, run| (sum.0 + run.bytes, sum.1 + run.registers));
    if bytes == codes.len() && registers == REGISTERS { Ok(all()) } else { Err(corrupted()) }
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raised {
    /// Whether a register was lower.
    Done(bool),
    /// It needs more bytes than there may be, or has no code. Nothing was changed.
    TooDense,
}

/// Raises a register. The codes begin at `begin`, and may grow by `room` bytes.
pub(super) fn raise(
    codes: &mut Vec<u8>,
    begin: usize,
    (register, value): (usize, u8),
    room: usize,
) -> Result<Raised, CommandError> {
    if value > VALUE_MAX {
        return Ok(Raised::TooDense);
    }
    let (mut at, mut first, mut before) = (begin, 0, begin);
    let run = loop {
        let run = Run::at(codes, at).ok_or_else(corrupted)?;
        if register < first + run.registers {
            break run;
        }
        (before, at, first) = (at, at + run.bytes, first + run.registers);
    };
    if run.value >= value {
        return Ok(Raised::Done(false));
    }
    let mut split = SmallVec::new();
    push(&mut split, run.value, register - first);
    push(&mut split, value, 1);
    push(&mut split, run.value, first + run.registers - register - 1);
    if split.len() > run.bytes + room {
        return Ok(Raised::TooDense);
    }
    codes.splice(at..at + run.bytes, split);
    join(codes, before);
    Ok(Raised::Done(true))
}

/// Joins runs of one value, from the run at `at` on.
fn join(codes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED_WITHIN {
        let Some(run) = Run::at(codes, at) else { return };
        let Some(next) = Run::at(codes, at + run.bytes) else { return };
        let registers = run.registers + next.registers;
        if run.value > 0 && run.value == next.value && registers <= VALUES_MAX {
            codes[at] = values(run.value, registers);
            codes.remove(at + 1);
        } else {
            at += run.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raised(codes: &mut Vec<u8>, register: usize, value: u8) -> Raised {
        raise(codes, 0, (register, value), 100).unwrap()
    }

    #[test]
    fn runs_are_split_and_joined() {
        let mut codes = EMPTY.to_vec();
        assert_eq!(raised(&mut codes, 100, 3), Raised::Done(true));
        assert_eq!(raised(&mut codes, 100, 2), Raised::Done(false));
        assert_eq!(raised(&mut codes, 102, 3), Raised::Done(true));
        assert_eq!(codes.len(), 2 + 1 + 1 + 1 + 2);
        assert_eq!(raised(&mut codes, 101, 3), Raised::Done(true));
        let found: Vec<(u8, usize)> =
            runs(&codes).unwrap().map(|run| (run.value, run.registers)).collect();
        assert_eq!(found, [(0, 100), (3, 3), (0, REGISTERS - 103)]);
        assert_eq!(raised(&mut codes, 101, 32), Raised::Done(true));
        assert_eq!(raised(&mut codes, 101, 33), Raised::TooDense);
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut codes = EMPTY.to_vec();
        assert_eq!(raise(&mut codes, 0, (7, 1), 1).unwrap(), Raised::TooDense);
        assert_eq!(codes, EMPTY);
        assert_eq!(raise(&mut codes, 0, (7, 1), 2).unwrap(), Raised::Done(true));
    }

    #[test]
    fn runs_that_are_not_all_registers_are_refused() {
        for damaged in [&[0x7f, 0xfe][..], &[0x7f, 0xff, 0x00], &[0x7f], &[], &[0x7f, 0xff, 0x40]] {
            assert!(runs(damaged).is_err(), "{damaged:?}");
        }
        assert!(runs(&EMPTY).is_ok());
        assert!(raise(&mut vec![0x00], 0, (5, 1), 9).is_err());
    }
}
