//! Commands over all keys of all slots that are served here.

use super::super::{Ctx, Outcome, scan};
use crate::cursors::POSITION_BITS;
use crate::encoding::Kind;
use crate::error::{CommandError, line};
use crate::exec::is_served;
use crate::shared::Shared;
use crate::txn::{Flow, Txn};
use cluster::Slot;
use cluster::state::{Access, Admission};
use protocol::glob::matches;

/// RANDOMKEY walks at most so far into a slot.
const RANDOM_STEPS_MAX: u64 = 256;

pub(super) fn dbsize(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let mut keys = 0;
    if ctx.txn.slots().next().is_some() {
        ctx.each_slot(Access::Read, |txn, slot| {
            keys += txn.key_counts(slot)?.keys;
            Ok(Flow::Continue)
        })?;
    } else {
        keys = count_keys(ctx.shared, ctx.txn.db, |_| true);
    }
    ctx.reply.int(keys as i64);
    Ok(())
}

/// Keys of a database in those of the served slots that `wanted` picks.
pub(crate) fn count_keys(shared: &Shared, db: u8, wanted: impl Fn(Slot) -> bool) -> u64 {
    let served = shared.slots.iter().filter(|(slot, _)| wanted(*slot)).map(|(_, cell)| {
        let inner = cell.read();
        if is_served(&inner) {
            inner.counts.get(usize::from(db)).map_or(0, |counts| counts.keys)
        } else {
            0
        }
    });
    served.sum()
}

pub(super) fn keys(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let pattern = ctx.args.get(1);
    let (mut found, mut body) = (0, Vec::new());
    let mut names = protocol::reply::Reply::new(&mut body, ctx.reply.version());
    ctx.each_slot(Access::Read, |txn, slot| {
        if txn.key_counts(slot)?.keys == 0 {
            return Ok(Flow::Continue);
        }
        txn.scan_keys(slot, None, |key, _| {
            if matches(pattern, key) {
                found += 1;
                names.bulk(key);
            }
            Flow::Continue
        })?;
        Ok(Flow::Continue)
    })?;
    ctx.reply.array(found);
    ctx.reply.raw(&body);
    Ok(())
}

pub(super) fn flushdb(ctx: &mut Ctx<'_, '_>) -> Outcome {
    check_flush(ctx)?;
    ctx.each_slot(Access::Write, |txn, slot| txn.flush(slot).map(|()| Flow::Continue))?;
    ctx.reply.ok();
    Ok(())
}

pub(super) fn flushall(ctx: &mut Ctx<'_, '_>) -> Outcome {
    check_flush(ctx)?;
    let databases = ctx.shared.config.databases;
    ctx.each_slot(Access::Write, |txn, slot| {
        flush_all_databases(txn, slot, databases).map(|()| Flow::Continue)
    })?;
    ctx.reply.ok();
    Ok(())
}

/// Deletes all keys of a slot.
pub(crate) fn flush_all_databases(
    txn: &mut Txn<'_>,
    slot: Slot,
    databases: u8,
) -> Result<(), CommandError> {
    let selected = txn.db;
    let flushed = (0..databases).try_for_each(|db| {
        txn.db = db;
        txn.flush(slot)
    });
    txn.db = selected;
    flushed
}

/// SYNC and ASYNC are the same here. A slot that is about to move takes no writes for a moment: then nothing is flushed at all.
fn check_flush(ctx: &Ctx<'_, '_>) -> Outcome {
    if ctx.args.len() > 2
        || ctx.args.len() == 2 && !ctx.args.is(1, "sync") && !ctx.args.is(1, "async")
    {
        return Err(line::SYNTAX.into());
    }
    for (slot, cell) in ctx.shared.slots.iter() {
        // Within MULTI all slots are entered already, and asking again would wait for ourselves.
        if ctx.txn.slots().next().is_none()
            && cell.read().state.admit(Access::Write) == Admission::Hold
        {
            return Err(format!("TRYAGAIN slot {slot} is moving, try again in a moment").into());
        }
    }
    Ok(())
}

pub(super) fn randomkey(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let mut all = Vec::new();
    ctx.each_slot(Access::Read, |txn, slot| {
        all.push((slot, txn.key_counts(slot)?.keys));
        Ok(Flow::Continue)
    })?;
    let key = random_key(all, |wanted, keys| {
        let mut found = None;
        ctx.each_slot(Access::Read, |txn, slot| {
            if slot != wanted {
                return Ok(Flow::Continue);
            }
            found = random_key_in(txn, slot, keys)?;
            Ok(Flow::Stop)
        })?;
        Ok::<_, CommandError>(found)
    })?;
    match key {
        Some(key) => ctx.reply.bulk(&key),
        None => ctx.reply.null(),
    }
    Ok(())
}

/// A random key of these slots, each with its number of keys; `look` finds one in a slot. A slot's keys may all have expired: then another
/// one is tried.
pub(crate) fn random_key<E>(
    mut slots: Vec<(Slot, u64)>,
    mut look: impl FnMut(Slot, u64) -> Result<Option<Vec<u8>>, E>,
) -> Result<Option<Vec<u8>>, E> {
    slots.retain(|(_, keys)| *keys > 0);
    while !slots.is_empty() {
        let total: u64 = slots.iter().map(|(_, keys)| keys).sum();
        let mut at = rand::random_range(0..total);
        let chosen = slots.iter().position(|(_, keys)| {
            let here = at < *keys;
            at = at.saturating_sub(*keys);
            here
        });
        let (slot, keys) = slots.swap_remove(chosen.unwrap_or(0));
        let found = look(slot, keys)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// A random key of a slot with so many keys, if not all have expired.
pub(crate) fn random_key_in(
    txn: &mut Txn<'_>,
    slot: Slot,
    keys: u64,
) -> Result<Option<Vec<u8>>, CommandError> {
    let mut steps = rand::random_range(0..keys.clamp(1, RANDOM_STEPS_MAX));
    let mut found = None;
    txn.scan_keys(slot, None, |key, _| {
        found = Some(key.to_vec());
        if steps == 0 {
            return Flow::Stop;
        }
        steps -= 1;
        Flow::Continue
    })?;
    Ok(found)
}

pub(super) fn scan(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let cursor = scan::cursor(ctx.args.get(1))?;
    let options = scan::options(ctx.args, 2, scan::Kinds::Filtered)?;
    let count = u64::from(ctx.shared.slot_count().get());
    // The slot, counted from 1, and the number of the position in it. A slot that does not exist ends the scan.
    let (first, number) =
        ((cursor >> POSITION_BITS).saturating_sub(1), cursor & ((1 << POSITION_BITS) - 1));
    let mut page = Page::after(if number == 0 {
        None
    } else {
        ctx.shared.cursors.find(number).map(Vec::from)
    });
    let db = ctx.txn.db;
    let mut next = 0;
    if first < count {
        ctx.each_slot(Access::Read, |txn, slot| {
            if u64::from(slot.0) < first {
                return Ok(Flow::Continue);
            }
            let flow = scan_page(txn, slot, &options, &mut page)?;
            if flow == Flow::Stop {
                let after = page.after.as_deref().unwrap_or_default();
                let owner = [&slot.0.to_be_bytes()[..], &[db]].concat();
                next = (u64::from(slot.0) + 1) << POSITION_BITS
                    | txn.shared().cursors.keep(&owner, after);
            }
            Ok(flow)
        })?;
    }
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    ctx.reply.array(page.keys.len());
    page.keys.iter().for_each(|(key, _)| ctx.reply.bulk(key));
    Ok(())
}

/// A page of SCAN that is being filled.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// The position in the slot at which the page begins, then at which it ends.
    pub(crate) after: Option<Vec<u8>>,
    pub(crate) keys: Vec<(Vec<u8>, Kind)>,
    seen: u64,
}

impl Page {
    /// A page that begins behind this position.
    pub(crate) fn after(after: Option<Vec<u8>>) -> Self {
        Self { after, ..Self::default() }
    }
}

/// Adds keys of a slot to the page; [`Flow::Stop`] if the page is full, [`Flow::Continue`] if the slot is through.
pub(crate) fn scan_page(
    txn: &mut Txn<'_>,
    slot: Slot,
    options: &scan::Options<'_>,
    page: &mut Page,
) -> Result<Flow, CommandError> {
    let after = page.after.take();
    if txn.key_counts(slot)?.keys == 0 {
        return Ok(Flow::Continue);
    }
    let mut flow = Flow::Continue;
    txn.scan_keys(slot, after.as_deref(), |key, meta| {
        page.seen += 1;
        let kind_fits =
            options.kind.is_none_or(|kind| kind.eq_ignore_ascii_case(meta.kind.name().as_bytes()));
        if kind_fits && options.fits(key) {
            page.keys.push((key.to_vec(), meta.kind));
        }
        if page.seen < options.count {
            return Flow::Continue;
        }
        page.after = Some(key.to_vec());
        flow = Flow::Stop;
        Flow::Stop
    })?;
    Ok(flow)
}
