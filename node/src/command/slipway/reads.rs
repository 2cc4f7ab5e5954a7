//! KEYS, DBSIZE and RANDOMKEY over the slots that the proxy names (docs/WIRE.md §6).
//!
//! A slot that is not served here turns the whole word away: the proxy then asks its owner for it, and this node for the others again. So each
//! slot is answered for exactly once, however it moves meanwhile.

use super::super::HELD_KEYS_MAX;
use super::super::key::{random_key, random_key_in};
use super::whole::bounce_of;
use super::{argument, parsed, reply_of};
use crate::error::CommandError;
use crate::exec::enter;
use crate::shared::Shared;
use crate::txn::{Flow, Reads, Scratch, Txn};
use bytes::Bytes;
use cluster::state::Access;
use cluster::{Slot, SlotRanges};
use protocol::glob::matches;
use std::sync::Arc;

/// Which slots, of which database.
struct Over<'a> {
    shared: &'a Shared,
    db: u8,
    slots: Vec<Slot>,
}

/// Why there is no answer.
enum Stop {
    TurnedAway(Slot),
    Failed(CommandError),
}

impl From<CommandError> for Stop {
    fn from(error: CommandError) -> Self {
        Self::Failed(error)
    }
}

/// `DBSIZE ranges`, `KEYS ranges pattern`, `RANDOMKEY ranges`; `name` is in upper case.
pub(super) async fn read(
    shared: &Arc<Shared>,
    db: u8,
    name: Vec<u8>,
    args: Vec<Bytes>,
) -> Result<Vec<u8>, CommandError> {
    let there = shared.clone();
    let task = shared.background.spawn_blocking(move || read_now(&there, db, &name, &args));
    task.await.map_err(|_| {
        CommandError::from(
            "ERR internal error: a read of all slots died; please report it with the log",
        )
    })?
}

fn read_now(shared: &Shared, db: u8, name: &[u8], args: &[Bytes]) -> Result<Vec<u8>, CommandError> {
    let ranges: SlotRanges = parsed(argument(args, 0)?)?;
    ranges.check(shared.slot_count()).map_err(|e| CommandError::from(format!("ERR {e}")))?;
    let over = Over { shared, db, slots: ranges.iter().collect() };
    let answer = match name {
        b"DBSIZE" => over.size(),
        b"KEYS" => over.keys(argument(args, 1)?),
        _ => over.random_key(),
    };
    match answer {
        Ok(reply) => Ok(reply),
        Err(Stop::TurnedAway(slot)) => Ok(bounce_of(shared, slot)),
        Err(Stop::Failed(error)) => Err(error),
    }
}

impl Over<'_> {
    fn size(&self) -> Result<Vec<u8>, Stop> {
        let mut keys = 0;
        self.each(|txn, slot| {
            keys += txn.key_counts(slot)?.keys;
            Ok(())
        })?;
        Ok(reply_of(|reply| reply.int(keys as i64)))
    }

    fn keys(&self, pattern: &[u8]) -> Result<Vec<u8>, Stop> {
        let (mut found, mut body) = (0, Vec::new());
        self.each(|txn, slot| {
            txn.scan_keys(slot, None, |key, _| {
                if matches(pattern, key) {
                    found += 1;
                    body.extend(reply_of(|reply| reply.bulk(key)));
                }
                Flow::Continue
            })
        })?;
        Ok(reply_of(|reply| {
            reply.array(found);
            reply.raw(&body);
        }))
    }

    fn random_key(&self) -> Result<Vec<u8>, Stop> {
        let mut all = Vec::new();
        self.each(|txn, slot| {
            all.push((slot, txn.key_counts(slot)?.keys));
            Ok(())
        })?;
        let key = random_key(all, |slot, keys| {
            let mut found = None;
            self.one(slot, |txn, slot| {
                found = random_key_in(txn, slot, keys)?;
                Ok(())
            })?;
            Ok::<_, Stop>(found)
        })?;
        Ok(reply_of(|reply| match key {
            Some(key) => reply.bulk(&key),
            None => reply.null(),
        }))
    }

    /// Shows `look` every slot that has keys.
    fn each(
        &self,
        mut look: impl FnMut(&mut Txn<'_>, Slot) -> Result<(), CommandError>,
    ) -> Result<(), Stop> {
        self.slots.iter().try_for_each(|&slot| self.one(slot, &mut look))
    }

    fn one(
        &self,
        slot: Slot,
        mut look: impl FnMut(&mut Txn<'_>, Slot) -> Result<(), CommandError>,
    ) -> Result<(), Stop> {
        let mut nowhere = Vec::new();
        let entered = enter(self.shared, &[slot], Access::Read, None, &mut nowhere)
            .map_err(|_| Stop::TurnedAway(slot))?;
        let mut scratch = Scratch::default();
        let mut txn = Txn::new(self.shared, &mut scratch, entered, self.db, Reads::Committed);
        let keys = txn.key_counts(slot)?.keys;
        if keys == 0 {
            return Ok(());
        }
        if keys > HELD_KEYS_MAX {
            txn.detach();
        }
        Ok(look(&mut txn, slot)?)
    }
}
