//! The copy: chunks in key order, with what changed behind it in between.

use super::courtesy::Turn;
use super::outbox::{Outbox, Undelivered};
use super::{Job, Order, Stop, install_capture};
use crate::shared::Shared;
use crate::transfer::chunk::{Position, Wanted, read_chunk};
use crate::transfer::peer::Peer;
use crate::transfer::report::Phase;
use crate::transfer::{Capture, of_slot};
use protocol::frame::Value;
use service::failpoint;
use std::sync::Arc;
use tokio::time::{Instant, timeout};

/// A slot whose target has all but what `capture` holds.
#[derive(Debug)]
pub(super) struct Copied {
    pub(super) outbox: Outbox,
    pub(super) capture: Arc<Capture>,
}

/// Copies the slot; starts again when it must.
pub(super) async fn copy(shared: &Arc<Shared>, job: &Arc<Job>) -> Result<Copied, Stop> {
    let transfers = &shared.transfers;
    let _turn = transfers.copies.acquire().await.map_err(|_| Stop::Ordered)?;
    let peer = transfers.bulk(&job.out.peer);
    loop {
        let start = begin(job, transfers.limits.copy_starts_max)?;
        let capture = install_capture(shared, job)?;
        let mut outbox = Outbox {
            id: job.out.id,
            slot: job.slot,
            sequence: 0,
            call_timeout: transfers.limits.call_timeout,
        };
        if start > 1 || applied(&outbox, &peer).await? > 0 {
            // What is there is of an earlier start, of this process or of the one before it.
            reset(&outbox, &peer).await?;
        }
        match copy_once(shared, job, (&peer, Reason::Move), &capture, &mut outbox).await {
            Ok(()) => {
                job.note(|r| r.phase = Phase::Copied);
                failpoint::reach("source.copied").await.map_err(|e| Stop::Failed(e.to_string()))?;
                return Ok(Copied { outbox, capture });
            }
            Err(Undelivered::StartAgain(why)) => job.note(|r| r.error = Some(why)),
            Err(Undelivered::Stop(stop)) => return Err(stop),
        }
    }
}

/// Counts the start; there may be only so many.
fn begin(job: &Job, starts_max: u32) -> Result<u32, Stop> {
    let mut report = job.report.lock();
    if report.starts >= starts_max {
        let why = report.error.clone().unwrap_or_default();
        return Err(Stop::Failed(of_slot(
            job.slot,
            format!("the copy started {starts_max} times: {why}"),
        )));
    }
    report.starts += 1;
    job.tally.lock().copy_starts += 1;
    report.phase = Phase::Copying;
    job.phase.send_replace(Phase::Copying);
    (report.keys, report.bytes) = (0, 0);
    Ok(report.starts)
}

/// The last sequence the target has applied.
async fn applied(outbox: &Outbox, peer: &Peer) -> Result<i64, Stop> {
    let answer = ask(outbox, peer, "CURSOR").await?;
    let sequence = answer.as_items().and_then(|items| items.first()).and_then(Value::as_int);
    sequence.ok_or_else(|| Stop::Failed(of_slot(outbox.slot, format!("odd answer {answer:?}"))))
}

async fn reset(outbox: &Outbox, peer: &Peer) -> Result<(), Stop> {
    ask(outbox, peer, "RESET").await.map(drop)
}

async fn ask(outbox: &Outbox, peer: &Peer, word: &str) -> Result<Value, Stop> {
    let id = outbox.id.to_string();
    let call =
        timeout(outbox.call_timeout, peer.call(&[b"SLIPWAY", word.as_bytes(), id.as_bytes()]))
            .await;
    match call {
        Ok(answer) => answer.map_err(|e| Stop::Failed(e.to_string())),
        Err(_) => Err(Stop::Failed("the target does not answer".into())),
    }
}

/// Why a slot is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// It is to move; clients of both nodes come first.
    Move,
    /// The target lost it after the grant: clients of the slot wait for it.
    Repair,
}

async fn copy_once(
    shared: &Arc<Shared>,
    job: &Job,
    (peer, reason): (&Peer, Reason),
    capture: &Capture,
    outbox: &mut Outbox,
) -> Result<(), Undelivered> {
    let transfers = &shared.transfers;
    let mut position = Position::default();
    loop {
        if *job.order.borrow() == Order::Stop {
            return Err(Undelivered::Stop(Stop::Ordered));
        }
        let mut turn = match reason {
            Reason::Move => transfers.courtesy.turn(&shared.stats).await,
            Reason::Repair => Turn::Free,
        };
        let bytes_max = turn.bytes_max(transfers.limits.chunk_bytes);
        let wanted = Wanted { slot: job.slot, after: &position, bytes_max };
        let chunk = read_chunk(shared, wanted, capture)
            .map_err(|e| Undelivered::Stop(Stop::Failed(of_slot(job.slot, e))))?;
        if !chunk.payload.is_empty() {
            let read = Instant::now();
            transfers.pace.wait(chunk.payload.len()).await;
            turn.does_not_count(read.elapsed());
            let target_serves = outbox.send(peer, "CHUNK", &chunk.payload).await?;
            transfers.courtesy.target_says(target_serves);
            job.note(|r| {
                r.keys += chunk.keys;
                r.bytes += chunk.payload.len() as u64;
                r.bytes_estimated = r.bytes_estimated.max(r.bytes);
            });
            let asked = failpoint::reach("source.chunk").await;
            asked.map_err(|e| Undelivered::Stop(Stop::Failed(e.to_string())))?;
        }
        drop(turn);
        send_captured(peer, capture, outbox).await?;
        match chunk.last {
            Some(last) => position = last,
            None => return Ok(()),
        }
    }
}

/// Sends what has been captured, once.
pub(super) async fn send_captured(
    peer: &Peer,
    capture: &Capture,
    outbox: &mut Outbox,
) -> Result<(), Undelivered> {
    let captured = capture.take().map_err(|e| Undelivered::StartAgain(e.to_string()))?;
    if !captured.is_empty() {
        outbox.send(peer, "STREAM", &captured).await?;
    }
    Ok(())
}

/// The target lost data after the grant (a power failure there): the slot is frozen here, so it is simply copied again, up to READY.
pub(super) async fn again_after_grant(
    shared: &Arc<Shared>,
    job: &Arc<Job>,
    attempt: u32,
) -> Result<(), Stop> {
    let peer = shared.transfers.express(&job.out.peer);
    let capture = Capture::new(shared.transfers.limits.capture_bytes_max);
    let mut outbox = Outbox {
        id: job.out.id,
        slot: job.slot,
        sequence: 0,
        call_timeout: shared.transfers.limits.call_timeout,
    };
    reset(&outbox, &peer).await?;
    copy_once(shared, job, (&peer, Reason::Repair), &capture, &mut outbox).await.map_err(
        |undelivered| match undelivered {
            Undelivered::StartAgain(why) => Stop::Failed(why),
            Undelivered::Stop(stop) => stop,
        },
    )?;
    super::handoff::ready_again(shared, job, &peer, attempt, outbox.sequence).await
}
