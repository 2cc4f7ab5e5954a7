//! Keys of any type.

mod expire;
mod object;
mod rename;
mod whole;

use super::{Ctx, Outcome, Run, Table};
use smallvec::SmallVec;

pub(super) use whole::{Page, flush_all_databases, random_key, random_key_in, scan_page};

pub(super) const TABLE: Table = &[
    ("copy", Run::Keys(rename::copy)),
    ("dbsize", Run::Slots(whole::dbsize)),
    ("del", Run::Keys(del)),
    ("exists", Run::Keys(exists)),
    ("expire", Run::Keys(expire::expire)),
    ("expireat", Run::Keys(expire::expireat)),
    ("expiretime", Run::Keys(expire::expiretime)),
    ("flushall", Run::Slots(whole::flushall)),
    ("flushdb", Run::Slots(whole::flushdb)),
    ("keys", Run::Slots(whole::keys)),
    ("object", Run::Keys(object::object)),
    ("persist", Run::Keys(expire::persist)),
    ("pexpire", Run::Keys(expire::pexpire)),
    ("pexpireat", Run::Keys(expire::pexpireat)),
    ("pexpiretime", Run::Keys(expire::pexpiretime)),
    ("pttl", Run::Keys(expire::pttl)),
    ("randomkey", Run::Slots(whole::randomkey)),
    ("rename", Run::Keys(rename::rename)),
    ("renamenx", Run::Keys(rename::renamenx)),
    ("scan", Run::Slots(whole::scan)),
    ("touch", Run::Keys(exists)),
    ("ttl", Run::Keys(expire::ttl)),
    ("type", Run::Keys(kind)),
    ("unlink", Run::Keys(del)),
];

fn del(ctx: &mut Ctx<'_, '_>) -> Outcome {
    if ctx.args.len() > 2 {
        // A key may be named twice.
        ctx.txn.read_own();
    }
    let mut deleted = 0;
    let keys: SmallVec<[&[u8]; 16]> = ctx.args.from(1).collect();
    for at in 0..keys.len() {
        deleted += i64::from(ctx.txn.delete_first(&keys[at..])?.is_some());
    }
    ctx.reply.int(deleted);
    Ok(())
}

fn exists(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let mut found = 0;
    let keys: SmallVec<[&[u8]; 16]> = ctx.args.from(1).collect();
    for at in 0..keys.len() {
        found += i64::from(ctx.txn.first_meta(&keys[at..])?.is_some());
    }
    ctx.reply.int(found);
    Ok(())
}

fn kind(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let meta = ctx.txn.meta(ctx.args.get(1))?;
    ctx.reply.simple(meta.map_or("none", |meta| meta.kind.name()));
    Ok(())
}
