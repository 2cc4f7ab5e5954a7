//! Finds the end of a reply, RESP2 or RESP3. Hot path.

use super::length::plain_length;
use crate::ProtocolError;
use crate::number::parse_int;
use memchr::memchr;
use smallvec::SmallVec;

/// How deep replies may nest.
pub const REPLY_DEPTH_MAX: usize = 32;

/// A simple string, an error, a number: the longest line in bytes.
pub const REPLY_LINE_BYTES_MAX: usize = 1 << 20;

/// The longest string within a reply, and the most items of an array: what a `u32` counts.
const REPLY_LENGTH_MAX: i64 = u32::MAX as i64;

/// Finds where a reply ends, over as many reads as it takes.
#[derive(Debug, Default)]
pub struct ReplyScan {
    /// The first byte not yet understood.
    at: usize,
    /// The first byte in which no line end has been looked for.
    searched: usize,
    /// Items still to come at each level; the first is the reply itself. Empty between replies.
    open: SmallVec<[u64; 4]>,
}

/// The length of a short whole reply that holds no others, as most are: a string, a status, an integer.
fn plain(input: &[u8]) -> Option<usize> {
    if let Some((len, behind)) = plain_length::<b'$'>(input, 0) {
        return (input.get(behind + len..)?.first_chunk()? == b"\r\n").then_some(behind + len + 2);
    }
    let (b'+' | b':', line) = input.split_first()? else { return None };
    // A longer line, or one with a lone CR, is for the long way.
    let end = line.iter().take(24).position(|&byte| byte == b'\r')?;
    (line.get(end + 1) == Some(&b'\n')).then_some(end + 3)
}

/// What one header line announces.
enum Item {
    /// A value, with so many values within.
    Value { items: u64 },
    /// So many values that say something about the next one.
    Attribute { items: u64 },
}

impl ReplyScan {
    /// Returns the length of the reply at the beginning of `input`, if it is whole. Otherwise call again with the same bytes followed by
    /// more. Attributes belong to the reply behind them. Streamed RESP3 types (`$?`, `*?`) are refused: Redis sends none.
    pub fn scan(&mut self, input: &[u8]) -> Result<Option<usize>, ProtocolError> {
        if self.open.is_empty() {
            if let Some(len) = plain(input) {
                return Ok(Some(len));
            }
            self.open.push(1);
        }
        while let Some(item) = self.item(input)? {
            let items = match item {
                Item::Attribute { items } => items,
                Item::Value { items } => {
                    if let Some(left) = self.open.last_mut() {
                        *left -= 1;
                    }
                    items
                }
            };
            self.enter(items)?;
            while self.open.last() == Some(&0) {
                self.open.pop();
            }
            if self.open.is_empty() {
                let len = self.at;
                *self = Self::default();
                return Ok(Some(len));
            }
        }
        Ok(None)
    }

    /// Passes one header line, and the bytes of a string behind it.
    fn item(&mut self, input: &[u8]) -> Result<Option<Item>, ProtocolError> {
        let Some(&kind) = input.get(self.at) else { return Ok(None) };
        let items_each = match kind {
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => {
                let Some((_, behind)) = self.line(input)? else { return Ok(None) };
                self.pass(behind);
                return Ok(Some(Item::Value { items: 0 }));
            }
            b'$' | b'!' | b'=' => return self.string(input),
            b'*' | b'~' | b'>' => 1,
            b'%' | b'|' => 2,
            other => return Err(ProtocolError::ReplyType(other)),
        };
        let Some((length, behind)) = self.length(input)? else { return Ok(None) };
        self.pass(behind);
        let items = length.unwrap_or(0) * items_each;
        Ok(Some(if kind == b'|' { Item::Attribute { items } } else { Item::Value { items } }))
    }

    /// Passes a string with its length.
    fn string(&mut self, input: &[u8]) -> Result<Option<Item>, ProtocolError> {
        let Some((length, behind)) = self.length(input)? else { return Ok(None) };
        let Some(length) = length else {
            self.pass(behind);
            return Ok(Some(Item::Value { items: 0 }));
        };
        let end = behind + length as usize;
        match input.get(end..end + 2) {
            Some(b"\r\n") => self.pass(end + 2),
            Some(_) => return Err(ProtocolError::ReplyInvalid("end of a string")),
            None => return Ok(None),
        }
        Ok(Some(Item::Value { items: 0 }))
    }

    /// Reads the length in the header line; `None` within is −1, RESP2's null.
    fn length(&mut self, input: &[u8]) -> Result<Option<(Option<u64>, usize)>, ProtocolError> {
        let Some((line, behind)) = self.line(input)? else { return Ok(None) };
        match parse_int(line) {
            Some(-1) if matches!(input[self.at], b'$' | b'*') => Ok(Some((None, behind))),
            Some(length @ 0..=REPLY_LENGTH_MAX) => Ok(Some((Some(length as u64), behind))),
            _ => Err(ProtocolError::ReplyInvalid("length")),
        }
    }

    /// Returns the header line without its type byte, and where the next begins. A lone CR or LF is part of the line.
    fn line<'a>(&mut self, input: &'a [u8]) -> Result<Option<(&'a [u8], usize)>, ProtocolError> {
        let start = self.at + 1;
        let mut from = self.searched.max(start);
        while let Some(found) = input.get(from..).and_then(|rest| memchr(b'\r', rest)) {
            let end = from + found;
            match input.get(end + 1) {
                Some(b'\n') => return Ok(Some((&input[start..end], end + 2))),
                Some(_) => from = end + 1,
                None => {
                    from = end;
                    break;
                }
            }
        }
        self.searched = if input.last() == Some(&b'\r') { input.len() - 1 } else { input.len() }
            .max(from.min(input.len()));
        if input.len() - self.at > REPLY_LINE_BYTES_MAX {
            return Err(ProtocolError::ReplyInvalid("length of a line"));
        }
        Ok(None)
    }

    fn pass(&mut self, behind: usize) {
        self.at = behind;
        self.searched = behind;
    }

    fn enter(&mut self, items: u64) -> Result<(), ProtocolError> {
        if items == 0 {
            return Ok(());
        }
        if self.open.len() > REPLY_DEPTH_MAX {
            return Err(ProtocolError::ReplyTooDeep(REPLY_DEPTH_MAX));
        }
        self.open.push(items);
        Ok(())
    }
}
