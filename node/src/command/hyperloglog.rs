//! HyperLogLog: how many different elements a set has had, within 1 percent, in 12 KiB at most.
//!
//! A sketch is a string, byte for byte the one Redis 7 would have made of the same commands, so that either reads the other's with GET and SET.
//! The format is that of Redis' `hyperloglog.c`, in [`sketch`]. One thing is not as in Redis: an addition that meets damaged registers changes
//! nothing, where Redis keeps what it did before it met them.

mod estimate;
mod hash;
mod sketch;
mod sparse;

use super::{Ctx, Outcome, Run, Table};
use crate::error::CommandError;
use crate::txn::Txn;
use sketch::{Registers, Sketch, View};

pub(super) const TABLE: Table = &[
    ("pfadd", Run::Keys(pfadd)),
    ("pfcount", Run::Keys(pfcount)),
    ("pfmerge", Run::Keys(pfmerge)),
];

fn pfadd(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let key = ctx.args.get(1);
    let found = ctx.txn.string(key)?;
    let meta = found.map(|(meta, _)| meta);
    let mut sketch = match found {
        Some((_, value)) => Sketch::of(View::of(value)?),
        None => Sketch::new(),
    };
    let mut changed = meta.is_none();
    for element in ctx.args.from(2) {
        changed |= sketch.add(element)?;
    }
    if changed {
        sketch.forget_estimate();
        let expire_ms = meta.map_or(0, |meta| meta.expire_ms);
        ctx.txn.set_string(key, meta.as_ref(), sketch.bytes(), expire_ms)?;
    }
    ctx.reply.int(i64::from(changed));
    Ok(())
}

fn pfcount(ctx: &mut Ctx<'_, '_>) -> Outcome {
    if ctx.args.len() > 2 {
        let mut union = Registers::default();
        for key in ctx.args.from(1) {
            if let Some((_, value)) = ctx.txn.string(key)? {
                View::of(value)?.merge_into(&mut union)?;
            }
        }
        ctx.reply.int(estimate::estimate(&union.histogram()) as i64);
        return Ok(());
    }
    let key = ctx.args.get(1);
    let Some((_, value)) = ctx.txn.string(key)? else {
        ctx.reply.int(0);
        return Ok(());
    };
    let view = View::of(value)?;
    let (known, estimate) = (view.estimate(), view.count()?);
    ctx.reply.int(estimate as i64);
    if known.is_none() {
        ctx.txn.note_stale(key)?;
    }
    Ok(())
}

/// Keeps a sketch's estimate in it, as Redis' PFCOUNT does: whoever asks next need not count again. A key that is something else by now stays
/// as it is.
pub(crate) fn refresh(txn: &mut Txn<'_>, key: &[u8]) -> Outcome {
    let Some((meta, value)) = txn.string(key)? else { return Ok(()) };
    let view = View::of(value)?;
    if view.estimate().is_some() {
        return Ok(());
    }
    let estimate = view.count()?;
    let mut sketch = Sketch::of(view);
    sketch.keep_estimate(estimate);
    txn.set_string(key, Some(&meta), sketch.bytes(), meta.expire_ms)
}

fn pfmerge(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let (mut union, mut any_dense) = (Registers::default(), false);
    for key in ctx.args.from(1) {
        if let Some((_, value)) = ctx.txn.string(key)? {
            let view = View::of(value)?;
            any_dense |= view.is_dense();
            view.merge_into(&mut union)?;
        }
    }
    let target = ctx.args.get(1);
    let found = ctx.txn.string(target)?;
    let meta = found.map(|(meta, _)| meta);
    let mut sketch = match found {
        Some((_, value)) => Sketch::of(View::of(value)?),
        None => Sketch::new(),
    };
    if any_dense {
        sketch.make_dense()?;
    }
    sketch.raise_all(&union)?;
    sketch.forget_estimate();
    let expire_ms = meta.map_or(0, |meta| meta.expire_ms);
    ctx.txn.set_string(target, meta.as_ref(), sketch.bytes(), expire_ms)?;
    ctx.reply.ok();
    Ok(())
}

/// The bytes cannot be what they say they are.
fn corrupted() -> CommandError {
    "INVALIDOBJ Corrupted HLL object detected".into()
}
