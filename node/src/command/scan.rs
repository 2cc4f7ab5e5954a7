//! What SCAN, HSCAN, SSCAN and ZSCAN have in common: cursors, options, one page of a collection.

use super::{Ctx, Outcome, parse};
use crate::cursors::POSITION_BITS;
use crate::engine::Family;
use crate::error::{CommandError, line};
use crate::txn::{Collection, Direction, Flow, Span};
use protocol::glob::matches;
use protocol::number::parse_cursor;

/// Redis returns collections of up to so many elements whole, whatever COUNT says.
const WHOLE: u64 = 128;

/// Elements of a page when COUNT does not say.
const COUNT: u64 = 10;

/// The options of a scan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options<'a> {
    pub(super) count: u64,
    pub(super) pattern: Option<&'a [u8]>,
    pub(super) kind: Option<&'a [u8]>,
}

impl Options<'_> {
    /// Whether MATCH lets it through.
    pub(super) fn fits(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| matches(pattern, name))
    }
}

/// Whether TYPE may be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kinds {
    Filtered,
    Refused,
}

/// Reads a cursor as C's `strtoul` does: a sign is allowed and turns the number round.
pub(super) fn cursor(text: &[u8]) -> Result<u64, CommandError> {
    parse_cursor(text).ok_or_else(|| line::INVALID_CURSOR.into())
}

/// Reads the options from `at` on.
pub(super) fn options<'a>(
    args: super::Request<'a>,
    mut at: usize,
    kinds: Kinds,
) -> Result<Options<'a>, CommandError> {
    let mut options = Options { count: COUNT, pattern: None, kind: None };
    while at < args.len() {
        let value = (at + 1 < args.len()).then(|| args.get(at + 1)).ok_or(line::SYNTAX)?;
        if args.is(at, "count") {
            let count = parse::int(value)?;
            options.count = u64::try_from(count).ok().filter(|&n| n > 0).ok_or(line::SYNTAX)?;
        } else if args.is(at, "match") {
            // A star alone filters nothing.
            options.pattern = Some(value).filter(|pattern| *pattern != b"*");
        } else if args.is(at, "type") && kinds == Kinds::Filtered {
            options.kind = Some(value);
        } else {
            return Err(line::SYNTAX.into());
        }
        at += 2;
    }
    Ok(options)
}

/// Answers one page of a collection; `write` writes one element and returns how many replies that is.
pub(super) fn page(
    ctx: &mut Ctx<'_, '_>,
    collection: Option<&Collection<'_>>,
    mut write: impl FnMut(&mut protocol::reply::Reply<'_>, &[u8], &[u8]) -> usize,
) -> Outcome {
    let Some(collection) = collection else {
        ctx.reply.array(2);
        ctx.reply.bulk(b"0");
        ctx.reply.array(0);
        return Ok(());
    };
    let number = cursor(ctx.args.get(2))?;
    let options = options(ctx.args, 3, Kinds::Refused)?;
    let position = if number == 0 {
        None
    } else {
        ctx.shared.cursors.find(number & ((1 << POSITION_BITS) - 1))
    };
    let from = position.map(|after| [&after, &[0][..]].concat()).unwrap_or_default();
    let room = if collection.meta.count <= WHOLE { u64::MAX } else { options.count };
    let (mut seen, mut items, mut last, mut body) = (0, 0, None, Vec::new());
    let mut elements = protocol::reply::Reply::new(&mut body, ctx.reply.version());
    let span = Span { family: Family::Data, from: &from, to: None, direction: Direction::Forward };
    ctx.txn.scan(collection, &span, |element, value| {
        seen += 1;
        if options.fits(element) {
            items += write(&mut elements, element, value);
        }
        if seen < room {
            return Flow::Continue;
        }
        last = Some(element.to_vec());
        Flow::Stop
    })?;
    let next = last.map_or(0, |last| ctx.shared.cursors.keep(collection.key, &last));
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    ctx.reply.array(items);
    ctx.reply.raw(&body);
    Ok(())
}
