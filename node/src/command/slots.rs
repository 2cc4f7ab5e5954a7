//! Slots as Codis and Pika show them: SLOTSINFO, SLOTSHASHKEY, SLOTSSCAN, SLOTSDEL.

use super::key::{Page, flush_all_databases, scan_page};
use super::{Ctx, Outcome, Run, Table, in_slot, parse, scan};
use crate::cursors::POSITION_BITS;
use crate::error::CommandError;
use crate::exec::is_served;
use crate::txn::Flow;
use cluster::Slot;
use cluster::state::Access;
use protocol::number::parse_int;

pub(super) const TABLE: Table = &[
    ("slotscleanup", Run::Slots(slotscleanup)),
    ("slotsdel", Run::Slots(slotsdel)),
    ("slotshashkey", Run::Slots(slotshashkey)),
    ("slotsinfo", Run::Slots(slotsinfo)),
    ("slotsscan", Run::Slots(slotsscan)),
];

/// `SLOTSINFO [first [count]]`: the slots that have keys in the selected database.
fn slotsinfo(ctx: &mut Ctx<'_, '_>) -> Outcome {
    if ctx.args.len() > 3 {
        return Err("ERR wrong number of arguments for 'slotsinfo' command".into());
    }
    let all = i64::from(ctx.shared.slot_count().get());
    let first = if ctx.args.len() > 1 { parse::int(ctx.args.get(1))? } else { 0 };
    if !(0..all).contains(&first) {
        return Err(format!("ERR invalid slot begin = {first}").into());
    }
    let count = if ctx.args.len() > 2 { parse::int(ctx.args.get(2))? } else { all };
    if count < 0 {
        return Err(format!("ERR invalid slot count = {count}").into());
    }
    let wanted = first..first.saturating_add(count);
    let db = usize::from(ctx.txn.db);
    let mut found = Vec::new();
    for (slot, cell) in
        ctx.shared.slots.iter().filter(|(slot, _)| wanted.contains(&i64::from(slot.0)))
    {
        let inner = cell.read();
        let keys = inner.counts.get(db).map_or(0, |counts| counts.keys);
        if is_served(&inner) && keys > 0 {
            found.push((slot, keys));
        }
    }
    ctx.reply.array(found.len());
    for (slot, keys) in found {
        ctx.reply.array(2);
        ctx.reply.int(i64::from(slot.0));
        ctx.reply.int(keys as i64);
    }
    Ok(())
}

fn slotshashkey(ctx: &mut Ctx<'_, '_>) -> Outcome {
    ctx.reply.array(ctx.args.len() - 1);
    for key in ctx.args.from(1) {
        ctx.reply.int(i64::from(ctx.shared.slot_count().of(key).0));
    }
    Ok(())
}

fn slot(ctx: &Ctx<'_, '_>, at: usize) -> Result<Slot, CommandError> {
    let number = parse_int(ctx.args.get(at)).and_then(|n| u64::try_from(n).ok());
    let slot = number.and_then(|number| ctx.shared.slot_count().slot(number));
    let last = ctx.shared.slot_count().get() - 1;
    slot.ok_or_else(|| format!("ERR invalid slot number, it must be 0 to {last}").into())
}

/// `SLOTSSCAN slot cursor [MATCH pattern] [COUNT count]`: each key with the letter of its type before it.
fn slotsscan(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let slot = slot(ctx, 1)?;
    let cursor = scan::cursor(ctx.args.get(2))?;
    let options = scan::options(ctx.args, 3, scan::Kinds::Refused)?;
    let number = cursor & ((1 << POSITION_BITS) - 1);
    let after = if number == 0 { None } else { ctx.shared.cursors.find(number).map(Vec::from) };
    let mut page = Page::after(after);
    let mut next = 0;
    in_slot(ctx, slot, Access::Read, |txn| {
        if scan_page(txn, slot, &options, &mut page)? == Flow::Stop {
            let owner = [&slot.0.to_be_bytes()[..], &[txn.db]].concat();
            next = txn.shared().cursors.keep(&owner, page.after.as_deref().unwrap_or_default());
        }
        Ok(())
    })?;
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    ctx.reply.array(page.keys.len());
    for (key, kind) in &page.keys {
        ctx.reply.bulk(&[&[kind.letter()], key.as_slice()].concat());
    }
    Ok(())
}

/// `SLOTSDEL slot…`: deletes all keys of the slots in all databases, as Codis' server does; answers the keys left, none.
fn slotsdel(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let slots = delete(ctx)?;
    ctx.reply.array(slots.len());
    for slot in slots {
        ctx.reply.array(2);
        ctx.reply.int(i64::from(slot.0));
        ctx.reply.int(0);
    }
    Ok(())
}

/// `SLOTSCLEANUP slot…`: as Pika answers; it is done when the answer comes.
fn slotscleanup(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let slots = delete(ctx)?;
    ctx.reply.array(slots.len());
    slots.iter().for_each(|slot| ctx.reply.int(i64::from(slot.0)));
    Ok(())
}

fn delete(ctx: &mut Ctx<'_, '_>) -> Result<Vec<Slot>, CommandError> {
    let slots = (1..ctx.args.len()).map(|at| slot(ctx, at)).collect::<Result<Vec<_>, _>>()?;
    let databases = ctx.shared.config.databases;
    for &slot in &slots {
        in_slot(ctx, slot, Access::Write, |txn| flush_all_databases(txn, slot, databases))?;
    }
    Ok(slots)
}
