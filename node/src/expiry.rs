//! The sweep: deletes keys that have expired, through the normal way of a write, within a share of one core.
//!
//! Reads treat an expired key as gone to the millisecond without it; the sweep gives the space back and keeps key counts right. It never looks
//! at a copy that comes in, since that is no incarnation of a slot that takes writes.

use crate::exec::{delete_expired, is_served};
use crate::session::with_scratch;
use crate::shared::Shared;
use crate::txn::{Flow, Guard, Reads, Scratch, Txn};
use cluster::Slot;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often it looks.
const PERIOD: Duration = Duration::from_millis(100);

/// Keys looked at before the slot is let go.
const KEYS_AT_ONCE: usize = 256;

/// Where the sweep stands.
#[derive(Clone, Debug, Default)]
struct Position {
    slot: u16,
    db: u8,
    after: Option<Vec<u8>>,
}

/// Sweeps for ever.
pub(crate) async fn sweep(shared: Arc<Shared>) {
    let share = PERIOD * shared.config.expire_effort_percent / 100;
    let mut position = Position::default();
    loop {
        tokio::time::sleep(PERIOD).await;
        if share.is_zero() {
            continue;
        }
        let (its, from) = (shared.clone(), std::mem::take(&mut position));
        let swept = tokio::task::spawn_blocking(move || sweep_for(&its, from, share)).await;
        position = swept.unwrap_or_default();
    }
}

/// Goes on from `position` until the time is used or all slots were seen once.
fn sweep_for(shared: &Shared, mut position: Position, share: Duration) -> Position {
    let begun = Instant::now();
    let all = usize::from(shared.slot_count().get());
    let mut seen = 0;
    while seen <= all && begun.elapsed() < share {
        match with_scratch(|scratch| sweep_some(shared, scratch, &position)) {
            Some(after) => position.after = Some(after),
            None => {
                let slot = position.slot;
                position = next(shared, &position);
                seen += usize::from(position.slot != slot || all == 1);
            }
        }
    }
    position
}

/// The next database of the slot in which keys will expire, or the next slot: most have none, and a look takes the slot's lock.
fn next(shared: &Shared, position: &Position) -> Position {
    let behind = position.db + 1;
    let expiring = {
        let guard = shared.slot(Slot(position.slot)).read();
        let counts = guard.counts.iter().skip(usize::from(behind));
        counts.zip(behind..).find(|(counts, _)| counts.expires > 0).map(|(_, db)| db)
    };
    if let Some(db) = expiring {
        return Position { slot: position.slot, db, after: None };
    }
    let slot = if position.slot + 1 < shared.slot_count().get() { position.slot + 1 } else { 0 };
    Position { slot, db: 0, after: None }
}

/// Deletes what has expired among the next keys; returns where it stopped, nothing if the database of the slot is through.
fn sweep_some(shared: &Shared, scratch: &mut Scratch, position: &Position) -> Option<Vec<u8>> {
    let slot = Slot(position.slot);
    let guard = shared.slot(slot).read();
    let expires = guard.counts.get(usize::from(position.db)).map_or(0, |counts| counts.expires);
    if expires == 0 || !is_served(&guard) || !guard.state.writes() {
        return None;
    }
    let now_ms = guard.now_ms();
    let mut txn =
        Txn::new(shared, scratch, [(slot, Guard::Shared(guard))], position.db, Reads::Committed);
    let (mut expired, mut last, mut looked_at) = (Vec::new(), None, 0);
    let scanned = txn.scan_metas(slot, position.after.as_deref(), |key, meta| {
        looked_at += 1;
        if meta.expired(now_ms) {
            expired.push((slot, position.db, key.to_vec()));
        }
        if looked_at < KEYS_AT_ONCE {
            return Flow::Continue;
        }
        last = Some(key.to_vec());
        Flow::Stop
    });
    drop(txn);
    if let Err(error) = scanned {
        tracing::warn!(error = %error.line(), %slot, "the sweep cannot read the slot");
        return None;
    }
    let deleted = delete_expired(shared, scratch, expired);
    shared.stats.swept.add(deleted as u64);
    last
}
