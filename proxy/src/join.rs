//! One reply out of the replies to the parts of a request. Pure.

use bytes::Bytes;
use protocol::number::parse_int;
use protocol::reply::{Reply, Version};
use protocol::slicer::ReplyScan;
use smallvec::SmallVec;

/// The places of a part's items in the whole request: keys of an MGET, commands of a transaction.
pub(crate) type Items = SmallVec<[u32; 8]>;

/// How the replies of parts become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// One element an item, in the order of the items.
    Array,
    /// `+OK` if every part said so.
    Ok,
    /// The sum of the parts' integers.
    Sum,
}

/// Parts and what has come of them.
#[derive(Debug)]
pub(crate) struct Join {
    rule: Rule,
    parts: Vec<Items>,
    left: usize,
    sum: i64,
    /// The first item of the part that failed, and its error; the least one counts.
    failed: Option<(u32, Bytes)>,
    /// Where each item's element is in `bytes`.
    elements: Vec<(usize, usize)>,
    bytes: Vec<u8>,
}

impl Join {
    /// A request of so many items, without a part yet.
    pub(crate) fn new(rule: Rule, items: usize) -> Self {
        let elements = if rule == Rule::Array { vec![(0, 0); items] } else { Vec::new() };
        Self { rule, parts: Vec::new(), left: 0, sum: 0, failed: None, elements, bytes: Vec::new() }
    }

    /// Adds a part and returns its number.
    pub(crate) fn add(&mut self, items: Items) -> u16 {
        self.parts.push(items);
        self.left += 1;
        (self.parts.len() - 1) as u16
    }

    /// A part was turned away and is sent in smaller ones: forgets it, and returns its items.
    pub(crate) fn withdraw(&mut self, part: u16) -> Items {
        self.left -= 1;
        self.parts.get_mut(usize::from(part)).map(std::mem::take).unwrap_or_default()
    }

    /// Sets the element of an item that no part brings.
    pub(crate) fn preset(&mut self, item: u32, element: &[u8]) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(element);
        self.elements[item as usize] = (at, element.len());
    }

    /// Takes the reply to a part; returns whether it was the last.
    pub(crate) fn take(&mut self, part: u16, reply: &[u8]) -> bool {
        if self.absorb(part, reply).is_none() {
            let first =
                self.parts.get(usize::from(part)).and_then(|p| p.first()).copied().unwrap_or(0);
            if self.failed.as_ref().is_none_or(|(item, _)| first < *item) {
                let line =
                    if reply.first() == Some(&b'-') || is_null(reply) { reply } else { UNEXPECTED };
                self.failed = Some((first, Bytes::copy_from_slice(line)));
            }
        }
        self.left -= 1;
        self.left == 0
    }

    /// Returns nothing if the reply is an error, or not of the expected shape.
    fn absorb(&mut self, part: u16, reply: &[u8]) -> Option<()> {
        match self.rule {
            Rule::Ok => (reply == b"+OK\r\n").then_some(()),
            Rule::Sum => {
                let number = reply.strip_prefix(b":")?.strip_suffix(b"\r\n")?;
                self.sum += parse_int(number)?;
                Some(())
            }
            Rule::Array => self.elements_of(part, reply),
        }
    }

    fn elements_of(&mut self, part: u16, reply: &[u8]) -> Option<()> {
        let items = self.parts.get(usize::from(part))?;
        let end = memchr(reply)?;
        let count = parse_int(reply.get(..end)?.strip_prefix(b"*")?)?;
        if count != items.len() as i64 {
            return None;
        }
        let mut rest = &reply[end + 2..];
        let mut at = self.bytes.len();
        self.bytes.extend_from_slice(rest);
        for &item in items {
            let len = ReplyScan::default().scan(rest).ok()??;
            *self.elements.get_mut(item as usize)? = (at, len);
            at += len;
            rest = &rest[len..];
        }
        Some(())
    }

    /// Writes the whole reply.
    pub(crate) fn finish(&self, version: Version, out: &mut Vec<u8>) {
        let mut reply = Reply::new(out, version);
        if let Some((_, line)) = &self.failed {
            reply.raw(line);
            return;
        }
        match self.rule {
            Rule::Ok => reply.ok(),
            Rule::Sum => reply.int(self.sum),
            Rule::Array => {
                reply.array(self.elements.len());
                for &(at, len) in &self.elements {
                    reply.raw(&self.bytes[at..at + len]);
                }
            }
        }
    }
}

const UNEXPECTED: &[u8] =
    b"-ERR slipway: a node's reply to a part of the command has an unexpected shape\r\n";

/// A transaction whose watched keys have changed is answered with no array.
fn is_null(reply: &[u8]) -> bool {
    reply == b"*-1\r\n" || reply == b"_\r\n"
}

/// The end of the first line.
fn memchr(reply: &[u8]) -> Option<usize> {
    reply.iter().position(|&b| b == b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(list: &[u32]) -> Items {
        list.iter().copied().collect()
    }

    fn finished(join: &Join) -> String {
        let mut out = Vec::new();
        join.finish(Version::Resp2, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn elements_stand_in_the_order_of_the_request() {
        let mut join = Join::new(Rule::Array, 4);
        let even = join.add(items(&[0, 2]));
        let odd = join.add(items(&[1, 3]));
        assert!(!join.take(odd, b"*2\r\n$1\r\nb\r\n*2\r\n:1\r\n+x\r\n"));
        assert!(join.take(even, b"*2\r\n$-1\r\n$1\r\nc\r\n"));
        assert_eq!(finished(&join), "*4\r\n$-1\r\n$1\r\nb\r\n$1\r\nc\r\n*2\r\n:1\r\n+x\r\n");
    }

    #[test]
    fn the_error_of_the_least_item_wins_whenever_it_comes() {
        let mut join = Join::new(Rule::Sum, 3);
        let a = join.add(items(&[2]));
        let b = join.add(items(&[0, 1]));
        assert!(!join.take(a, b"-ERR late\r\n"));
        assert!(join.take(b, b"-ERR early\r\n"));
        assert_eq!(finished(&join), "-ERR early\r\n");
    }

    #[test]
    fn sums_add_up_and_ok_needs_every_part() {
        let mut join = Join::new(Rule::Sum, 2);
        let (a, b) = (join.add(items(&[0])), join.add(items(&[1])));
        assert!(!join.take(a, b":3\r\n") && join.take(b, b":4\r\n"));
        assert_eq!(finished(&join), ":7\r\n");
        let mut join = Join::new(Rule::Ok, 2);
        let (a, b) = (join.add(items(&[0])), join.add(items(&[1])));
        assert!(!join.take(a, b"+OK\r\n") && join.take(b, b"-OOM no\r\n"));
        assert_eq!(finished(&join), "-OOM no\r\n");
    }

    #[test]
    fn a_part_can_be_sent_in_smaller_ones() {
        let mut join = Join::new(Rule::Array, 2);
        let both = join.add(items(&[0, 1]));
        assert_eq!(join.withdraw(both), items(&[0, 1]));
        let (one, two) = (join.add(items(&[1])), join.add(items(&[0])));
        assert!(!join.take(one, b"*1\r\n+b\r\n"));
        assert!(join.take(two, b"*1\r\n+a\r\n"));
        assert_eq!(finished(&join), "*2\r\n+a\r\n+b\r\n");
    }

    #[test]
    fn a_reply_of_the_wrong_shape_is_an_error_not_a_wrong_answer() {
        for reply in [b":1\r\n".as_slice(), b"*1\r\n:1\r\n", b"*2\r\n:1\r\n", b"$2\r\nab\r\n"] {
            let mut join = Join::new(Rule::Array, 2);
            let part = join.add(items(&[0, 1]));
            assert!(join.take(part, reply));
            assert!(finished(&join).starts_with("-ERR slipway"), "{reply:?}");
        }
    }
}
