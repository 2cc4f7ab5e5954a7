//! Stores decisions, and tells everybody who must know.

use super::{Driver, now_ms};
use crate::Error;
use crate::report::NodePhase;
use crate::state::Change;
use crate::step::Sight;
use cluster::Slot;
use service::failpoint;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long the store is left alone after it failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// How long a slot is left alone whose change was refused: a bug of ours.
const REFUSED_PAUSE: Duration = Duration::from_mins(1);

impl Driver {
    pub(super) fn store_is_due(&self, now: Instant) -> bool {
        self.store_error.as_ref().is_none_or(|(_, at)| now >= *at)
    }

    /// Stores a batch with one sync, and tells everybody who must know.
    pub(super) async fn apply(&mut self, batch: Vec<Change>) -> Result<(), String> {
        fail_points(&batch, Moment::Before);
        let (store, changes, at_ms) = (Arc::clone(&self.store), batch.clone(), now_ms());
        let work = move || {
            let mut store = store.lock();
            let result = store.apply(changes, at_ms);
            (result, Arc::clone(store.state()))
        };
        let result = match tokio::task::spawn_blocking(work).await {
            Ok((result, state)) => {
                self.state = state;
                result
            }
            Err(error) => {
                Err(Error::Serve(format!("the task that writes the store ended: {error}")))
            }
        };
        let now = Instant::now();
        match result {
            Ok(time) => {
                self.metrics.store_sync.observe(time.as_secs_f64());
                self.metrics.changed(&batch, &self.state);
                self.store_error = None;
                *self.health.lock() = None;
                self.follow(now);
                self.opened(&batch);
                self.table.send_if_modified(|table| {
                    let newer = table.version != self.state.version;
                    if newer {
                        *table = Arc::new(self.state.table());
                    }
                    newer
                });
                fail_points(&batch, Moment::After);
                Ok(())
            }
            Err(error) => Err(self.not_stored(&error, now)),
        }
    }

    /// Nobody has been told of these migrations yet: no need to ask.
    fn opened(&mut self, batch: &[Change]) {
        for change in batch {
            let Change::Opened { slot, .. } = change else { continue };
            let Some(watch) = self.watches.get_mut(slot) else { continue };
            watch.source.sight = Sight::Seen(NodePhase::Unknown);
            watch.target.sight = Sight::Seen(NodePhase::Unknown);
        }
    }

    fn not_stored(&mut self, error: &Error, now: Instant) -> String {
        self.metrics.store_errors.inc();
        tracing::error!(%error, "nothing was stored");
        let text = error.to_string();
        if let Error::Refused { slot, .. } = error {
            if let Some(watch) = self.watches.get_mut(&Slot(*slot)) {
                watch.hush(now);
            }
            self.retry_at.insert(Slot(*slot), now + REFUSED_PAUSE);
        } else {
            self.store_error = Some((text.clone(), now + STORE_PAUSE));
            *self.health.lock() = Some(text.clone());
        }
        text
    }
}

#[derive(Clone, Copy)]
enum Moment {
    Before,
    After,
}

/// Places where a test can kill the controller around a store record.
fn fail_points(batch: &[Change], moment: Moment) {
    for change in batch {
        match (change, moment) {
            (Change::Planned { .. }, Moment::Before) => failpoint::hit("control.planned.before"),
            (Change::Planned { .. }, Moment::After) => failpoint::hit("control.planned.after"),
            (Change::Opened { .. }, Moment::Before) => failpoint::hit("control.opened.before"),
            (Change::Opened { .. }, Moment::After) => failpoint::hit("control.opened.after"),
            (Change::Locked { .. }, Moment::Before) => failpoint::hit("foreign.locked.before"),
            (Change::Locked { .. }, Moment::After) => failpoint::hit("foreign.locked.after"),
            (Change::Copying { .. }, Moment::Before) => failpoint::hit("foreign.copying.before"),
            (Change::Copying { .. }, Moment::After) => failpoint::hit("foreign.copying.after"),
            (Change::Copied { .. }, Moment::Before) => failpoint::hit("foreign.copied.before"),
            (Change::Copied { .. }, Moment::After) => failpoint::hit("foreign.copied.after"),
            (Change::Withdrawn { .. }, Moment::Before) => {
                failpoint::hit("foreign.withdrawn.before");
            }
            (Change::Withdrawn { .. }, Moment::After) => failpoint::hit("foreign.withdrawn.after"),
            (Change::LeftBehind { .. }, Moment::Before) => {
                failpoint::hit("foreign.left_behind.before");
            }
            (Change::LeftBehind { .. }, Moment::After) => {
                failpoint::hit("foreign.left_behind.after");
            }
            (Change::Armed { .. }, Moment::Before) => failpoint::hit("control.armed.before"),
            (Change::Armed { .. }, Moment::After) => failpoint::hit("control.armed.after"),
            (Change::Settled { .. }, Moment::Before) => failpoint::hit("control.settled.before"),
            (Change::Settled { .. }, Moment::After) => failpoint::hit("control.settled.after"),
            (Change::Moved { .. }, Moment::Before) => failpoint::hit("control.moved.before"),
            (Change::Moved { .. }, Moment::After) => failpoint::hit("control.moved.after"),
            (Change::Aborted { .. }, Moment::Before) => failpoint::hit("control.aborted.before"),
            (Change::Aborted { .. }, Moment::After) => failpoint::hit("control.aborted.after"),
            (Change::CalledOff { .. }, Moment::Before) => {
                failpoint::hit("control.called_off.before")
            }
            (Change::CalledOff { .. }, Moment::After) => failpoint::hit("control.called_off.after"),
            (Change::Whole { .. }, Moment::Before) => failpoint::hit("control.whole.before"),
            (Change::Whole { .. }, Moment::After) => failpoint::hit("control.whole.after"),
            _ => {}
        }
    }
}
