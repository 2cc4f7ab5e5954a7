//! Numbered messages to the target, sent again after the link broke, each counted and hashed by both sides.

use super::Stop;
use crate::transfer::of_slot;
use crate::transfer::peer::{Peer, PeerError};
use crate::transfer::records::Payload;
use cluster::{MigrationId, Slot};
use protocol::frame::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long a broken link may take to come back.
const LINK_DOWN_MAX: Duration = Duration::from_secs(60);

/// The sequence of one migration's messages.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) id: MigrationId,
    pub(crate) slot: Slot,
    /// The last sequence that was sent and acknowledged.
    pub(crate) sequence: u64,
    pub(crate) call_timeout: Duration,
}

/// How a message ended that was not acknowledged.
#[derive(Debug)]
pub(crate) enum Undelivered {
    /// The target does not have what it had acknowledged: the copy must start again.
    StartAgain(String),
    Stop(Stop),
}

impl Outbox {
    /// Sends a CHUNK or STREAM and waits until the target has it, whatever the link does meanwhile. Returns whether the target serves clients.
    pub(crate) async fn send(
        &mut self,
        peer: &Peer,
        word: &str,
        payload: &Payload,
    ) -> Result<bool, Undelivered> {
        let sequence = self.sequence + 1;
        let deadline = Instant::now() + LINK_DOWN_MAX;
        let mut pause = Duration::from_millis(10);
        loop {
            let (id, number) = (self.id.to_string(), sequence.to_string());
            let args: [&[u8]; 5] =
                [b"SLIPWAY", word.as_bytes(), id.as_bytes(), number.as_bytes(), payload.bytes()];
            match timeout(self.call_timeout, peer.call(&args)).await {
                Ok(Ok(value)) => {
                    self.compare(&value, payload)?;
                    self.sequence = sequence;
                    let third = value.as_items().and_then(|items| items.get(2));
                    return Ok(third.and_then(Value::as_int) == Some(1));
                }
                Ok(Err(PeerError::Refused { text, .. })) if text.contains("sequence") => {
                    return Err(Undelivered::StartAgain(text));
                }
                Ok(Err(PeerError::Refused { text, .. })) => return Err(self.failed(text)),
                Ok(Err(error)) if Instant::now() > deadline => {
                    return Err(self.failed(error.to_string()));
                }
                Err(_) if Instant::now() > deadline => {
                    return Err(self.failed("the target does not answer".into()));
                }
                Ok(Err(_)) | Err(_) => {}
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Both sides must have seen the same records.
    fn compare(&self, answer: &Value, sent: &Payload) -> Result<(), Undelivered> {
        let Value::Array(items) = answer else {
            return Err(self.failed(format!("odd answer {answer:?}")));
        };
        let (count, hash) =
            (items.first().and_then(Value::as_int), items.get(1).and_then(Value::as_str));
        // A repeated message is acknowledged without being looked at again.
        let seen_before = count == Some(0) && hash == Some("-");
        if seen_before || (count == Some(sent.count() as i64) && hash == Some(&sent.hash())) {
            return Ok(());
        }
        Err(self
            .failed(format!("the target wrote other records than were sent: {count:?} {hash:?}")))
    }

    fn failed(&self, why: String) -> Undelivered {
        Undelivered::Stop(Stop::Failed(of_slot(self.slot, why)))
    }
}
