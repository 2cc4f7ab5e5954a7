//! Commands on the middle of a list: what stands behind the place, or before it, is moved, whichever is less.

use super::super::{Ctx, Outcome, parse};
use super::scan;
use crate::encoding::Kind;
use crate::error::{CommandError, line};
use crate::txn::{Collection, Direction, Flow, Txn};
use protocol::number::parse_int;

fn elements(
    txn: &mut Txn<'_>,
    list: &Collection<'_>,
    range: (u64, u64),
) -> Result<Vec<Vec<u8>>, CommandError> {
    let mut found = Vec::with_capacity((range.1 - range.0) as usize);
    scan(txn, list, range, Direction::Forward, |_, value| {
        found.push(value.to_vec());
        Flow::Continue
    })?;
    Ok(found)
}

fn put_from(
    txn: &mut Txn<'_>,
    list: &Collection<'_>,
    first: u64,
    values: &[Vec<u8>],
) -> Result<(), CommandError> {
    for (index, value) in (first..).zip(values) {
        txn.put_element(list, &index.to_be_bytes(), value)?;
    }
    Ok(())
}

pub(super) fn linsert(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let behind = match () {
        () if ctx.args.is(2, "after") => 1,
        () if ctx.args.is(2, "before") => 0,
        () => return Err(line::SYNTAX.into()),
    };
    let (pivot, value) = (ctx.args.get(3), ctx.args.get(4));
    let Some(mut list) = ctx.txn.open(ctx.args.get(1), Kind::List)? else {
        ctx.reply.int(0);
        return Ok(());
    };
    let (head, tail) = (list.meta.head, list.meta.tail);
    let mut found = None;
    scan(ctx.txn, &list, (head, tail), Direction::Forward, |index, element| {
        if element != pivot {
            return Flow::Continue;
        }
        found = Some(index);
        Flow::Stop
    })?;
    let Some(pivot) = found else {
        ctx.reply.int(-1);
        return Ok(());
    };
    // The new element stands before what is at `place` now.
    let place = pivot + behind;
    if place - head < tail - place {
        let before = elements(ctx.txn, &list, (head, place))?;
        put_from(ctx.txn, &list, head - 1, &before)?;
        ctx.txn.put_element(&list, &(place - 1).to_be_bytes(), value)?;
        list.meta.head -= 1;
    } else {
        let after = elements(ctx.txn, &list, (place, tail))?;
        put_from(ctx.txn, &list, place + 1, &after)?;
        ctx.txn.put_element(&list, &place.to_be_bytes(), value)?;
        list.meta.tail += 1;
    }
    list.meta.count += 1;
    ctx.txn.save(&mut list)?;
    ctx.reply.int(list.meta.count as i64);
    Ok(())
}

pub(super) fn lrem(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let count = parse::int(ctx.args.get(2))?;
    let value = ctx.args.get(3);
    let Some(mut list) = ctx.txn.open(ctx.args.get(1), Kind::List)? else {
        ctx.reply.int(0);
        return Ok(());
    };
    let (head, tail) = (list.meta.head, list.meta.tail);
    let direction = if count < 0 { Direction::Backward } else { Direction::Forward };
    let wanted = if count == 0 {
        usize::MAX
    } else {
        usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX)
    };
    let mut gone = Vec::new();
    scan(ctx.txn, &list, (head, tail), direction, |index, element| {
        if element == value {
            gone.push(index);
        }
        if gone.len() < wanted { Flow::Continue } else { Flow::Stop }
    })?;
    gone.sort_unstable();
    if let (Some(&first), Some(&last)) = (gone.first(), gone.last()) {
        close_gaps(ctx.txn, &mut list, &gone, (first, last))?;
        ctx.txn.save(&mut list)?;
    }
    ctx.reply.int(gone.len() as i64);
    Ok(())
}

/// Takes the elements at these indexes out.
fn close_gaps(
    txn: &mut Txn<'_>,
    list: &mut Collection<'_>,
    gone: &[u64],
    (first, last): (u64, u64),
) -> Result<(), CommandError> {
    let (head, tail, count) = (list.meta.head, list.meta.tail, gone.len() as u64);
    // What lies before the last gap moves up, or what lies behind the first one moves down.
    let move_down = tail - first <= last + 1 - head;
    let range = if move_down { (first, tail) } else { (head, last + 1) };
    let moving = elements(txn, list, range)?;
    let kept = (range.0..).zip(moving).filter(|(index, _)| gone.binary_search(index).is_err());
    let kept: Vec<Vec<u8>> = kept.map(|(_, value)| value).collect();
    if move_down {
        put_from(txn, list, first, &kept)?;
        txn.delete_elements(list, &(tail - count).to_be_bytes(), &tail.to_be_bytes(), count)?;
        list.meta.tail -= count;
    } else {
        put_from(txn, list, head + count, &kept)?;
        txn.delete_elements(list, &head.to_be_bytes(), &(head + count).to_be_bytes(), count)?;
        list.meta.head += count;
    }
    list.meta.count -= count;
    Ok(())
}

pub(super) fn ltrim(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let (start, stop) = (parse::int(ctx.args.get(2))?, parse::int(ctx.args.get(3))?);
    if let Some(mut list) = ctx.txn.open(ctx.args.get(1), Kind::List)? {
        match parse::span(start, stop, list.meta.count) {
            None => ctx.txn.clear(&mut list)?,
            Some((start, stop)) => {
                let (head, tail) = (list.meta.head, list.meta.tail);
                let (first, end) = (head + start, head + stop + 1);
                ctx.txn.delete_elements(
                    &list,
                    &head.to_be_bytes(),
                    &first.to_be_bytes(),
                    first - head,
                )?;
                ctx.txn.delete_elements(
                    &list,
                    &end.to_be_bytes(),
                    &tail.to_be_bytes(),
                    tail - end,
                )?;
                (list.meta.head, list.meta.tail, list.meta.count) = (first, end, end - first);
            }
        }
        // Redis counts a trim that takes nothing away as a change.
        ctx.txn.save_anyway(&mut list)?;
    }
    ctx.reply.ok();
    Ok(())
}

/// The options of LPOS.
#[derive(Clone, Copy, Debug)]
struct Search {
    /// Negative: from the end.
    rank: i64,
    /// Nothing: the first match only, not as an array. 0: all.
    count: Option<u64>,
    /// 0: all elements are compared.
    compared_max: u64,
}

impl Search {
    fn read(ctx: &Ctx<'_, '_>) -> Result<Self, CommandError> {
        let mut search = Self { rank: 1, count: None, compared_max: 0 };
        let mut at = 3;
        while at < ctx.args.len() {
            let value =
                (at + 1 < ctx.args.len()).then(|| ctx.args.get(at + 1)).ok_or(line::SYNTAX)?;
            let natural = |text: &[u8], why: &'static str| {
                parse_int(text).and_then(|n| u64::try_from(n).ok()).ok_or(why)
            };
            if ctx.args.is(at, "rank") {
                search.rank = parse::int(value)?;
                if search.rank == 0 {
                    return Err("ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to \
                                start from the end of the list"
                        .into());
                }
            } else if ctx.args.is(at, "count") {
                search.count = Some(natural(value, "ERR COUNT can't be negative")?);
            } else if ctx.args.is(at, "maxlen") {
                search.compared_max = natural(value, "ERR MAXLEN can't be negative")?;
            } else {
                return Err(line::SYNTAX.into());
            }
            at += 2;
        }
        Ok(search)
    }
}

pub(super) fn lpos(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let value = ctx.args.get(2);
    let search = Search::read(ctx)?;
    let mut found = Vec::new();
    if let Some(list) = ctx.txn.open(ctx.args.get(1), Kind::List)? {
        let direction = if search.rank < 0 { Direction::Backward } else { Direction::Forward };
        let wanted = search.count.map_or(1, |count| if count == 0 { u64::MAX } else { count });
        let (head, tail) = (list.meta.head, list.meta.tail);
        // The one rank without an opposite is the last element's in Redis 7.0, where its negation overflows.
        let rank = if search.rank == i64::MIN { 1 } else { search.rank.unsigned_abs() };
        let (mut compared, mut to_skip) = (0, rank - 1);
        scan(ctx.txn, &list, (head, tail), direction, |index, element| {
            compared += 1;
            if element == value {
                if to_skip == 0 {
                    found.push((index - head) as i64);
                } else {
                    to_skip -= 1;
                }
            }
            if found.len() as u64 >= wanted || compared == search.compared_max {
                Flow::Stop
            } else {
                Flow::Continue
            }
        })?;
    }
    match (search.count, found.first()) {
        (Some(_), _) => {
            ctx.reply.array(found.len());
            found.iter().for_each(|place| ctx.reply.int(*place));
        }
        (None, Some(place)) => ctx.reply.int(*place),
        (None, None) => ctx.reply.null(),
    }
    Ok(())
}
