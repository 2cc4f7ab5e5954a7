//! The string of a sketch: `HYLL`, a byte for the representation (0 dense, 1 sparse), three that are 0, the last estimate in 8 bytes, little
//! endian, whose highest bit says that it is out of date, and then the registers.
//!
//! 2¹⁴ registers of 6 bits as in S. Heule, M. Nunkesser, A. Hall, "HyperLogLog in practice" (2013). Dense: one after another, the lowest bits
//! first, in 12,288 bytes. Sparse: [`super::sparse`].

use super::hash::place;
use super::{estimate, sparse};
use crate::error::CommandError;

/// Bits of a hash that name a register.
pub(super) const INDEX_BITS: u32 = 14;
pub(super) const REGISTERS: usize = 1 << INDEX_BITS;
/// The highest rank an element can have.
pub(super) const RANK_MAX: usize = (u64::BITS - INDEX_BITS) as usize + 1;

const REGISTER_BITS: usize = 6;
const REGISTER_MAX: u32 = (1 << REGISTER_BITS) - 1;
const MAGIC: &[u8] = b"HYLL";
const REPRESENTATION: usize = 4;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const ESTIMATE: usize = 8;
/// Where the registers begin.
const HEADER: usize = 16;
const DENSE_BYTES: usize = HEADER + REGISTERS * REGISTER_BITS / 8;
/// A longer sparse sketch becomes dense: Redis' default of `hll-sparse-max-bytes`.
const SPARSE_BYTES_MAX: usize = 3000;

const OUT_OF_DATE: u8 = 0x80;

/// How many registers have each value.
pub(super) type Histogram = [u32; REGISTER_MAX as usize + 1];

/// All registers, a byte each.
#[derive(Debug)]
pub(super) struct Registers(Box<[u8; REGISTERS]>);

impl Default for Registers {
    fn default() -> Self {
        Self(Box::new([0; REGISTERS]))
    }
}

impl Registers {
    pub(super) fn histogram(&self) -> Histogram {
        let mut histogram = [0; REGISTER_MAX as usize + 1];
        self.0.iter().for_each(|&value| histogram[usize::from(value)] += 1);
        histogram
    }

    fn raise(&mut self, register: usize, value: u8) {
        self.0[register] = self.0[register].max(value);
    }
}

/// The registers of a dense sketch.
fn dense(registers: &[u8]) -> impl Iterator<Item = u8> {
    let (groups, _) = registers.as_chunks::<3>();
    groups.iter().flat_map(|&[a, b, c]| {
        let group = u32::from_le_bytes([a, b, c, 0]);
        [0, 6, 12, 18].map(|shift| (group >> shift & REGISTER_MAX) as u8)
    })
}

/// Raises a register of a dense sketch; returns whether it was lower.
fn raise_dense(registers: &mut [u8], register: usize, value: u8) -> bool {
    let (at, shift) = (register / 4 * 3, register % 4 * REGISTER_BITS);
    let Some([a, b, c]) = registers.get_mut(at..at + 3) else { return false };
    let group = u32::from_le_bytes([*a, *b, *c, 0]);
    if group >> shift & REGISTER_MAX >= u32::from(value) {
        return false;
    }
    let group = group & !(REGISTER_MAX << shift) | u32::from(value) << shift;
    [*a, *b, *c, _] = group.to_le_bytes();
    true
}

/// A sketch that is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a>(&'a [u8]);

impl<'a> View<'a> {
    /// The sketch that a string is, by its header and length.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, CommandError> {
        let fits = bytes.len() >= HEADER
            && bytes.starts_with(MAGIC)
            && match bytes[REPRESENTATION] {
                DENSE => bytes.len() == DENSE_BYTES,
                SPARSE => true,
                _ => false,
            };
        fits.then_some(Self(bytes))
            .ok_or_else(|| "WRONGTYPE Key is not a valid HyperLogLog string value.".into())
    }

    pub(super) fn is_dense(self) -> bool {
        self.0[REPRESENTATION] == DENSE
    }

    /// The estimate that is kept, if it is up to date.
    pub(super) fn estimate(self) -> Option<u64> {
        let kept: [u8; 8] = self.0[ESTIMATE..HEADER].try_into().ok()?;
        (kept[7] & OUT_OF_DATE == 0).then(|| u64::from_le_bytes(kept))
    }

    /// The estimate: the one that is kept, or else a new one.
    pub(super) fn count(self) -> Result<u64, CommandError> {
        match self.estimate() {
            Some(known) => Ok(known),
            None => Ok(estimate::estimate(&self.histogram()?)),
        }
    }

    fn histogram(self) -> Result<Histogram, CommandError> {
        let mut histogram = [0; REGISTER_MAX as usize + 1];
        if self.is_dense() {
            dense(&self.0[HEADER..]).for_each(|value| histogram[usize::from(value)] += 1);
        } else {
            for run in sparse::runs(&self.0[HEADER..])? {
                histogram[usize::from(run.value)] += run.registers as u32;
            }
        }
        Ok(histogram)
    }

    /// Raises each of `registers` to what it is here.
    pub(super) fn merge_into(self, registers: &mut Registers) -> Result<(), CommandError> {
        if self.is_dense() {
            let values = dense(&self.0[HEADER..]).enumerate();
            values.for_each(|(register, value)| registers.raise(register, value));
            return Ok(());
        }
        let mut register = 0;
        for run in sparse::runs(&self.0[HEADER..])? {
            (register..register + run.registers).for_each(|at| registers.raise(at, run.value));
            register += run.registers;
        }
        Ok(())
    }
}

/// A sketch that is changed.
#[derive(Debug)]
pub(super) struct Sketch(Vec<u8>);

impl Sketch {
    /// A sketch of nothing, sparse.
    pub(super) fn new() -> Self {
        let mut bytes = [MAGIC, &[SPARSE]].concat();
        bytes.resize(HEADER, 0);
        bytes.extend_from_slice(&sparse::EMPTY);
        Self(bytes)
    }

    pub(super) fn of(view: View<'_>) -> Self {
        Self(view.0.to_vec())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn view(&self) -> View<'_> {
        View(&self.0)
    }

    /// Adds an element; returns whether that changed a register.
    pub(super) fn add(&mut self, element: &[u8]) -> Result<bool, CommandError> {
        let (register, rank) = place(element);
        self.raise(register, rank)
    }

    /// Raises every register to what it is in `registers`.
    pub(super) fn raise_all(&mut self, registers: &Registers) -> Result<(), CommandError> {
        let mut raised = registers.0.iter().enumerate().filter(|(_, value)| **value > 0);
        raised.try_for_each(|(register, &value)| self.raise(register, value).map(drop))
    }

    fn raise(&mut self, register: usize, value: u8) -> Result<bool, CommandError> {
        if !self.view().is_dense() {
            let room = SPARSE_BYTES_MAX.saturating_sub(self.0.len());
            match sparse::raise(&mut self.0, HEADER, (register, value), room)? {
                sparse::Raised::Done(changed) => return Ok(changed),
                sparse::Raised::TooDense => self.make_dense()?,
            }
        }
        Ok(raise_dense(&mut self.0[HEADER..], register, value))
    }

    /// Changes the representation; the registers stay as they are.
    pub(super) fn make_dense(&mut self) -> Result<(), CommandError> {
        if self.view().is_dense() {
            return Ok(());
        }
        let mut bytes = self.0[..HEADER].to_vec();
        bytes[REPRESENTATION] = DENSE;
        bytes.resize(DENSE_BYTES, 0);
        let mut register = 0;
        for run in sparse::runs(&self.0[HEADER..])? {
            for at in register..register + run.registers {
                raise_dense(&mut bytes[HEADER..], at, run.value);
            }
            register += run.registers;
        }
        self.0 = bytes;
        Ok(())
    }

    pub(super) fn forget_estimate(&mut self) {
        self.0[HEADER - 1] |= OUT_OF_DATE;
    }

    pub(super) fn keep_estimate(&mut self, estimate: u64) {
        self.0[ESTIMATE..HEADER].copy_from_slice(&estimate.to_le_bytes());
    }
}
