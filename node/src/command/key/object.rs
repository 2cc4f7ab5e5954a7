//! OBJECT: how Redis would keep the value. We keep all of them in one way; clients and tests look at it all the same.

use super::super::{Ctx, Outcome, subcommand};
use crate::encoding::{Kind, Meta};
use crate::engine::Family;
use crate::error::CommandError;
use crate::txn::{Direction, Flow, Span};
use protocol::number::parse_int;

/// Redis' defaults: so many elements, each of so many bytes, are kept in one piece.
const LISTPACK_ENTRIES: u64 = 128;
const LISTPACK_BYTES: usize = 64;
const INTSET_ENTRIES: u64 = 512;
/// Strings up to this length are kept beside their header.
const EMBEDDED_BYTES: usize = 44;

const HELP: &[&str] = &[
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
];

pub(super) fn object(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let sub = subcommand("object", ctx.args)?;
    if sub == "help" {
        ctx.reply.help("OBJECT", HELP);
        return Ok(());
    }
    let key = ctx.args.get(2);
    let Some(meta) = ctx.txn.meta(key)? else {
        ctx.reply.null();
        return Ok(());
    };
    match sub {
        "refcount" => ctx.reply.int(1),
        "idletime" => ctx.reply.int(0),
        "encoding" => {
            let name = encoding(ctx, key, &meta)?;
            ctx.reply.bulk(name.as_bytes());
        }
        _ => {
            return Err("ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
                        between policies at runtime LRU and LFU data will take some time to adjust."
                .into());
        }
    }
    Ok(())
}

fn encoding(ctx: &mut Ctx<'_, '_>, key: &[u8], meta: &Meta) -> Result<&'static str, CommandError> {
    let small = |bytes: &[u8]| bytes.len() <= LISTPACK_BYTES;
    let packed = meta.count <= LISTPACK_ENTRIES;
    Ok(match meta.kind {
        Kind::String => {
            let value = ctx.txn.any_string(key)?.unwrap_or_default();
            match value.len() {
                ..=20 if parse_int(value).is_some() => "int",
                ..=EMBEDDED_BYTES => "embstr",
                _ => "raw",
            }
        }
        Kind::List => "quicklist",
        Kind::Hash
            if packed && all(ctx, key, meta, |field, value| small(field) && small(value))? =>
        {
            "listpack"
        }
        Kind::Hash => "hashtable",
        Kind::Set
            if meta.count <= INTSET_ENTRIES
                && all(ctx, key, meta, |member, _| parse_int(member).is_some())? =>
        {
            "intset"
        }
        Kind::Set => "hashtable",
        Kind::SortedSet if packed && all(ctx, key, meta, |member, _| small(member))? => "listpack",
        Kind::SortedSet => "skiplist",
    })
}

fn all(
    ctx: &mut Ctx<'_, '_>,
    key: &[u8],
    meta: &Meta,
    mut fits: impl FnMut(&[u8], &[u8]) -> bool,
) -> Result<bool, CommandError> {
    let Some(collection) = ctx.txn.open(key, meta.kind)? else { return Ok(false) };
    let mut all = true;
    ctx.txn.scan(&collection, &Span::all(Family::Data, Direction::Forward), |element, value| {
        all = fits(element, value);
        if all { Flow::Continue } else { Flow::Stop }
    })?;
    Ok(all)
}
