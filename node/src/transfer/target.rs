//! The target's side of a migration: takes a copy in, unseen, and becomes the owner once the source has granted it.
//!
//! What comes in is written under an incarnation of its own, so that no command sees it, dropping it is one range delete, and taking over is one
//! record.

use super::change::{self, ChangeError};
use super::records::{Record, Records, hash};
use super::report::{Phase, Report, Role};
use super::{Family, of_slot};
use crate::encoding::{Meta, Prefix};
use crate::engine::Batch;
use crate::shared::Shared;
use crate::slots::{Counts, now_ms};
use cluster::state::{Migration, Persist, Verdict};
use cluster::{Epoch, MigrationId, Slot, SlotState, Token};
use protocol::frame::Value;
use service::failpoint;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// One slot on its way in. The lock orders messages, which may come over two links.
#[derive(Debug)]
pub(crate) struct Import {
    slot: Slot,
    from: Migration,
    applied: tokio::sync::Mutex<Applied>,
    ended: parking_lot::Mutex<Option<Phase>>,
}

/// How far the copy has come. The sequence is on disk too, in the batch of the message.
#[derive(Debug, Default)]
struct Applied {
    sequence: u64,
    keys: u64,
    bytes: u64,
}

impl Import {
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.lock().is_some()
    }

    /// Where it is, unless it has ended. A slot that is locked just now is taken for what it is most of the time.
    pub(crate) fn phase(&self, shared: &Shared) -> Option<Phase> {
        if self.has_ended() {
            return None;
        }
        let slot = shared.slots.cell(self.slot).try_read();
        let is_ready = slot.is_some_and(|inner| matches!(inner.state, SlotState::Ready { .. }));
        Some(if is_ready { Phase::Ready } else { Phase::Importing })
    }

    /// It has ended so, and goes on having ended so, unless it turns out that this node is the owner.
    fn end(&self, shared: &Shared, phase: Phase) {
        let mut ended = self.ended.lock();
        if ended.is_none() {
            shared.transfers.tally.lock().came_in(phase);
        }
        if ended.is_none() || phase == Phase::Owned {
            *ended = Some(phase);
        }
    }

    pub(crate) async fn report(&self, shared: &Shared) -> Report {
        let phase =
            self.ended.lock().unwrap_or_else(|| match &shared.slots.cell(self.slot).read().state {
                SlotState::Ready { .. } => Phase::Ready,
                _ => Phase::Importing,
            });
        let mut report = Report::new(self.from.id, self.slot, self.from.epoch, Role::Target, phase);
        let applied = self.applied.lock().await;
        (report.keys, report.bytes) = (applied.keys, applied.bytes);
        report
    }
}

/// A migration that OPEN has begun.
pub(crate) fn register(shared: &Shared, slot: Slot, from: &Migration) {
    register_at(shared, slot, from, Applied::default());
}

/// The migration has ended here without this node being the owner.
pub(crate) fn refused(shared: &Shared, id: MigrationId) {
    end(shared, id, Phase::Refused);
}

fn register_at(shared: &Shared, slot: Slot, from: &Migration, applied: Applied) -> Arc<Import> {
    shared.transfers.prune();
    let import = Arc::new(Import {
        slot,
        from: from.clone(),
        applied: tokio::sync::Mutex::new(applied),
        ended: parking_lot::Mutex::new(None),
    });
    shared.transfers.incoming.lock().entry(from.id).or_insert(import).clone()
}

fn find(shared: &Shared, id: MigrationId) -> Result<Arc<Import>, String> {
    let import = shared.transfers.incoming.lock().get(&id).cloned();
    import.ok_or_else(|| format!("no migration {id} comes into this node"))
}

/// The key of the last applied sequence of a slot's copy.
fn sequence_key(slot: Slot) -> [u8; 3] {
    let [a, b] = slot.0.to_be_bytes();
    [b'q', a, b]
}

pub(crate) fn put_sequence(
    shared: &Shared,
    batch: &mut Batch,
    slot: Slot,
    sequence: u64,
) -> Result<(), ChangeError> {
    Ok(shared.engine.put_record(batch, &sequence_key(slot), &sequence.to_be_bytes())?)
}

fn stored_sequence(shared: &Shared, slot: Slot) -> u64 {
    let stored = shared.engine.record(&sequence_key(slot)).ok().flatten();
    stored.and_then(|v| v.try_into().ok()).map_or(0, u64::from_be_bytes)
}

/// IMPORT: makes room for the slot. Repeating it changes nothing.
pub(crate) fn import(shared: &Shared, slot: Slot, from: &Migration) -> Result<(), String> {
    shared.transfers.check_not_called_off(from.id)?;
    let change = change::change(shared, slot, |inner, batch| {
        let (next, persist) = inner.state.clone().import(from.clone())?;
        if persist != Persist::No {
            inner.state = next;
            inner.incarnation = shared.slots.new_incarnation();
            inner.counts.fill(Counts::default());
            put_sequence(shared, batch, slot, 0)?;
        }
        Ok(persist)
    });
    change.map_err(|e| of_slot(slot, e))?;
    register(shared, slot, from);
    failpoint::hit("target.import");
    Ok(())
}

/// RESET: the copy begins anew, under a fresh incarnation.
pub(crate) async fn reset(shared: &Shared, id: MigrationId) -> Result<(), String> {
    let import = find(shared, id)?;
    let mut applied = import.applied.lock().await;
    let slot = import.slot;
    let change = change::change(shared, slot, |inner, batch| {
        inner.state = match inner.state.clone() {
            SlotState::Importing { from, last } | SlotState::Ready { from, last, .. }
                if from.id == id =>
            {
                SlotState::Importing { from, last }
            }
            _ => return Err(ChangeError::Refused("the migration does not come in here".into())),
        };
        change::drop_incarnation(shared, batch, slot, inner.incarnation)?;
        inner.incarnation = shared.slots.new_incarnation();
        inner.counts.fill(Counts::default());
        put_sequence(shared, batch, slot, 0)?;
        Ok(Persist::Lazy)
    });
    change.map_err(|e| of_slot(slot, e))?;
    *applied = Applied::default();
    failpoint::hit("target.reset");
    Ok(())
}

/// CURSOR: the last sequence applied.
pub(crate) async fn cursor(shared: &Shared, id: MigrationId) -> Result<u64, String> {
    Ok(find(shared, id)?.applied.lock().await.sequence)
}

/// CHUNK and STREAM: applies a message once. Returns the number and the hash of the records it wrote, `(0, "-")` for a repeated one.
pub(crate) async fn take(
    shared: &Shared,
    id: MigrationId,
    sequence: u64,
    payload: &[u8],
) -> Result<(u64, String), String> {
    let import = find(shared, id)?;
    let mut applied = import.applied.lock().await;
    if sequence <= applied.sequence {
        return Ok((0, "-".into()));
    }
    check_next(&applied, sequence)?;
    let prefix = staging(shared, &import)?;
    let mut batch = Batch::default();
    let written =
        stage(shared, &mut batch, prefix, payload).map_err(|e| of_slot(import.slot, e))?;
    put_sequence(shared, &mut batch, import.slot, sequence).map_err(|e| e.to_string())?;
    shared.engine.write(&batch).map_err(|e| e.to_string())?;
    shared.wal.wrote();
    applied.sequence = sequence;
    applied.keys += written.keys;
    applied.bytes += payload.len() as u64;
    shared.transfers.tally.lock().taken_in(written.keys, payload.len() as u64);
    failpoint::hit("target.applied");
    Ok((written.records, hash(payload)))
}

fn check_next(applied: &Applied, sequence: u64) -> Result<(), String> {
    if sequence == applied.sequence + 1 {
        return Ok(());
    }
    Err(format!("sequence {sequence} leaves a gap: the last one applied is {}", applied.sequence))
}

/// What the keys of the copy begin with.
fn staging(shared: &Shared, import: &Import) -> Result<Prefix, String> {
    let inner = shared.slots.cell(import.slot).read();
    match &inner.state {
        SlotState::Importing { from, .. } | SlotState::Ready { from, .. }
            if from.id == import.from.id =>
        {
            Ok(inner.prefix(import.slot))
        }
        _ => Err(of_slot(import.slot, "the migration does not come in here")),
    }
}

#[derive(Default)]
struct Written {
    records: u64,
    keys: u64,
}

/// Puts the records of a payload under the copy's incarnation.
fn stage(
    shared: &Shared,
    batch: &mut Batch,
    prefix: Prefix,
    payload: &[u8],
) -> Result<Written, ChangeError> {
    let mut written = Written::default();
    let full = |key: &[u8]| [&prefix.0, key].concat();
    for record in Records::new(payload) {
        match record.map_err(|e| ChangeError::Refused(e.to_string()))? {
            Record::Put { family, key, value } => {
                if family == Family::Meta {
                    written.keys += 1;
                    let meta =
                        Meta::decode(value).map_err(|e| ChangeError::Refused(e.to_string()))?;
                    shared.versions.observe(batch, meta.version)?;
                }
                shared.engine.put(batch, family, &full(key), value)?;
            }
            Record::Delete { family, key } => shared.engine.delete(batch, family, &full(key))?,
            Record::DeleteRange { family, begin, end } => {
                // An empty end is the end of the slot.
                let end = if end.is_empty() { prefix.end() } else { full(end) };
                shared.engine.delete_range(batch, family, &full(begin), &end)?;
            }
        }
        written.records += 1;
    }
    Ok(written)
}

/// What comes with FINAL.
#[derive(Debug)]
pub(crate) struct Final<'a> {
    pub(crate) id: MigrationId,
    pub(crate) attempt: u32,
    pub(crate) sequence: u64,
    pub(crate) clock_ms: u64,
    pub(crate) counts: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl Final<'_> {
    /// The key counts: JSON `[[db, keys, expires], …]`.
    fn counts(&self) -> Result<Vec<(u8, u64, u64)>, String> {
        serde_json::from_slice(self.counts)
            .map_err(|_| "the key counts are no list of [db, keys, expires]".to_owned())
    }
}

/// FINAL: the last changes and READY in one batch, so that READY on disk says that all of it is there.
pub(crate) async fn last(shared: &Shared, last: Final<'_>) -> Result<Token, String> {
    let import = find(shared, last.id)?;
    let slot = import.slot;
    let ahead = last.clock_ms.saturating_sub(now_ms());
    if u128::from(ahead) > shared.transfers.limits.clock_offset_max.as_millis() {
        return Err(format!(
            "the source's clock is {ahead} ms ahead of this node's: set both by NTP"
        ));
    }
    let counts = last.counts()?;
    let mut applied = import.applied.lock().await;
    let news = !last.payload.is_empty() && last.sequence > applied.sequence;
    if news {
        check_next(&applied, last.sequence)?;
    } else if last.sequence != applied.sequence {
        return Err(format!(
            "sequence {} is expected, the last one applied is {}",
            last.sequence, applied.sequence
        ));
    }
    let mut shown = Token(rand::random());
    let change = change::change(shared, slot, |inner, batch| {
        if let SlotState::Ready { attempt, token, .. } = &inner.state
            && *attempt == last.attempt
        {
            shown = *token;
        }
        let (next, _) = inner.state.clone().ready(last.id, last.attempt, shown)?;
        inner.state = next;
        let prefix = inner.prefix(slot);
        if news {
            stage(shared, batch, prefix, last.payload)?;
            put_sequence(shared, batch, slot, last.sequence)?;
        }
        take_counts(shared, inner, batch, slot, &counts)?;
        inner.clock_ahead_ms = ahead;
        Ok(Persist::Lazy)
    });
    change.map_err(|e| of_slot(slot, e))?;
    applied.sequence = last.sequence;
    failpoint::hit("target.ready");
    Ok(shown)
}

fn take_counts(
    shared: &Shared,
    inner: &mut crate::slots::SlotInner,
    batch: &mut Batch,
    slot: Slot,
    counts: &[(u8, u64, u64)],
) -> Result<(), ChangeError> {
    inner.counts.fill(Counts::default());
    for (db, keys, expires) in counts {
        let Some(known) = inner.counts.get_mut(usize::from(*db)) else {
            return Err(ChangeError::Refused(format!(
                "the slot has keys in database {db}, which this node does not have: raise `databases` in its configuration"
            )));
        };
        *known = Counts { keys: *keys, expires: *expires };
    }
    for (db, known) in inner.counts.iter().enumerate() {
        change::put_counts(shared, batch, slot, inner.incarnation, db as u8, *known)?;
    }
    Ok(())
}

/// GRANT: this node owns the slot from now on. Repeating it changes nothing, also after a restart.
pub(crate) fn granted(
    shared: &Shared,
    slot: Slot,
    epoch: Epoch,
    (id, attempt): (MigrationId, u32),
) -> Result<(), String> {
    if shared.slots.cell(slot).read().state.epoch() >= epoch {
        return Ok(());
    }
    change::step(shared, slot, |state| state.granted(id, attempt)).map_err(|e| e.to_string())?;
    if let Ok(import) = find(shared, id) {
        import.end(shared, Phase::Owned);
    }
    failpoint::hit("target.owner");
    Ok(())
}

/// A redirected request shows the attempt's token: as good as the grant. The record goes into the log before any request is executed, so it is
/// exactly as durable as the first acknowledged write.
pub(crate) fn presented(shared: &Shared, slot: Slot, token: Token) {
    let id = shared.slots.cell(slot).read().state.migration().map(|m| m.id);
    if change::step(shared, slot, |state| state.presented(token)).is_err() {
        return;
    }
    if let Some(import) = id.and_then(|id| find(shared, id).ok()) {
        import.end(shared, Phase::Owned);
    }
    failpoint::hit("target.presented");
}

/// RESOLVE: the answer binds, so it is synced by the caller before it is given.
pub(crate) fn resolve(
    shared: &Shared,
    id: MigrationId,
    slot: Slot,
    epoch: Epoch,
) -> Result<Verdict, String> {
    let mut answer = Verdict::Refused;
    let change = change::change(shared, slot, |inner, batch| {
        let (next, persist, verdict) = inner.state.clone().resolve(id, epoch);
        answer = verdict;
        if next == inner.state {
            return Ok(Persist::No);
        }
        leave_staging(shared, inner, batch, slot)?;
        inner.state = next;
        Ok(persist)
    });
    change.map_err(|e| of_slot(slot, e))?;
    end(shared, id, if answer == Verdict::Owned { Phase::Owned } else { Phase::Refused });
    failpoint::hit("target.resolved");
    Ok(answer)
}

/// DROP: the source has called it off.
pub(crate) fn dropped(shared: &Shared, id: MigrationId) -> Result<(), String> {
    shared.transfers.call_off(id);
    let Ok(import) = find(shared, id) else { return Ok(()) };
    let slot = import.slot;
    let change = change::change(shared, slot, |inner, batch| {
        let (next, persist) = inner.state.clone().dropped(id)?;
        if persist != Persist::No {
            leave_staging(shared, inner, batch, slot)?;
            inner.state = next;
        }
        Ok(persist)
    });
    change.map_err(|e| of_slot(slot, e))?;
    end(shared, id, Phase::Refused);
    failpoint::hit("target.dropped");
    Ok(())
}

fn end(shared: &Shared, id: MigrationId, phase: Phase) {
    if let Ok(import) = find(shared, id) {
        import.end(shared, phase);
    }
}

/// The copy goes, if one was coming in.
pub(crate) fn leave_staging(
    shared: &Shared,
    inner: &mut crate::slots::SlotInner,
    batch: &mut Batch,
    slot: Slot,
) -> Result<(), ChangeError> {
    if matches!(inner.state, SlotState::Importing { .. } | SlotState::Ready { .. }) {
        change::drop_incarnation(shared, batch, slot, inner.incarnation)?;
        inner.incarnation = shared.slots.new_incarnation();
        inner.counts.fill(Counts::default());
    }
    Ok(())
}

/// After a restart: goes on with what the records say, and asks the source whether the slot was granted.
pub(crate) fn take_up(shared: &Arc<Shared>, slot: Slot, from: &Migration) {
    let applied = Applied { sequence: stored_sequence(shared, slot), ..Applied::default() };
    let import = register_at(shared, slot, from, applied);
    let shared = shared.clone();
    let peer = shared.transfers.express(&import.from.peer);
    let handoff = shared.transfers.handoff.clone();
    handoff.spawn(async move {
        let id = import.from.id.to_string();
        let mut pause = Duration::from_millis(10);
        // Without a READY it asks for attempt 0: a source that has granted then says everything again.
        while let Some(attempt) = coming_in(&shared, &import) {
            let number = attempt.to_string();
            let args: [&[u8]; 4] = [b"SLIPWAY", b"CONFIRM", id.as_bytes(), number.as_bytes()];
            let answer = timeout(shared.transfers.limits.call_timeout, peer.call(&args)).await;
            failpoint::hit("target.confirmed");
            if let Ok(Ok(Value::Array(items))) = &answer
                && items.first().and_then(Value::as_str) == Some("GRANTED")
                && let Err(why) =
                    granted(&shared, import.slot, import.from.epoch, (import.from.id, attempt))
            {
                tracing::warn!(slot = %import.slot, why, "a granted slot cannot be taken over yet");
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    });
}

/// The attempt that is ready, 0 for none; nothing if the migration has ended here.
fn coming_in(shared: &Shared, import: &Import) -> Option<u32> {
    match &shared.slots.cell(import.slot).read().state {
        SlotState::Ready { from, attempt, .. } if from.id == import.from.id => Some(*attempt),
        SlotState::Importing { from, .. } if from.id == import.from.id => Some(0),
        _ => None,
    }
}
