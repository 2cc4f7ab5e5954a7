//! What nodes answered, taken into what is known of their migrations.

use super::job::{Job, Named, Subject};
use super::peer::Status;
use super::watch::{Saw, Watch};
use super::{DEBRIS_PAUSE, Driver};
use crate::report::{NodePhase, Report, Whereabouts};
use crate::state::{Change, SlotRecord};
use crate::step::{Role, Sight, Word};
use cluster::{Epoch, GroupId, MigrationId, Slot};
use protocol::frame::Value;
use tokio::time::Instant;

impl Driver {
    /// One reply for each request of the batch.
    pub(super) fn answered(&mut self, group: GroupId, job: Job, replies: Vec<Value>, now: Instant) {
        for (subject, reply) in job.subjects.into_iter().zip(replies) {
            match subject {
                Subject::Greeting => self.greeted(group, &reply, now),
                Subject::Pace => {
                    if let Some(error) = reply.as_error() {
                        tracing::warn!(%group, error, "a node does not take the pace");
                    }
                }
                Subject::Moves => self.reported(group, &reply, now),
                Subject::Survey => self.surveyed(group, &reply),
                Subject::One(word, named) => self.said(group, word, named, &reply, now),
                Subject::Many(word, named) => self.said_many(group, word, &named, &reply, now),
                Subject::Drop(id) => self.dropped(group, id, &reply, now),
            }
        }
        let Some(peer) = self.peers.get_mut(&group) else { return };
        if matches!(peer.status, Status::Claiming(_)) {
            tracing::info!(%group, addr = peer.addr, "a node is ours");
            peer.up();
        }
    }

    fn greeted(&mut self, group: GroupId, reply: &Value, now: Instant) {
        let (Some(error), Some(peer)) = (reply.as_error(), self.peers.get_mut(&group)) else {
            return;
        };
        let why = format!("it refuses to be group {group} of this cluster: {error}");
        if peer.is_news(&why) {
            tracing::error!(%group, addr = peer.addr, "{why}");
        }
        peer.refuse(why, now);
    }

    /// Copies that come in at a target and that the store knows nothing of are called off like any other.
    fn surveyed(&mut self, group: GroupId, reply: &Value) {
        for item in reply.as_items().unwrap_or_default() {
            let report =
                item.as_bytes().and_then(|json| serde_json::from_slice::<Report>(json).ok());
            let Some(Report {
                id,
                slot,
                epoch,
                phase: NodePhase::Importing | NodePhase::Ready,
                ..
            }) = report
            else {
                continue;
            };
            let is_known = self.state.migrations().any(|(_, m)| m.id == id)
                || self.state.debris.iter().any(|d| d.id == id);
            let fits = |r: &SlotRecord| r.moving.is_none() && r.group != group && epoch > r.epoch;
            if !is_known && self.state.slot(slot).is_some_and(fits) {
                tracing::warn!(%group, %slot, migration = %id, "a migration that is not in the store: it is called off");
                self.found.push(Change::Adopted { slot, id, to: group, epoch });
            }
        }
    }

    fn reported(&mut self, group: GroupId, reply: &Value, now: Instant) {
        let mut best = Saw::Nothing;
        for item in reply.as_items().unwrap_or_default() {
            let Some(report) =
                item.as_bytes().and_then(|json| serde_json::from_slice::<Report>(json).ok())
            else {
                tracing::warn!(%group, "a node's report of a migration cannot be read");
                continue;
            };
            best = best.max(self.report(group, report, now));
        }
        let Some(peer) = self.peers.get_mut(&group) else { return };
        if best != Saw::Nothing {
            peer.progress_at = now;
        }
    }

    fn report(&mut self, group: GroupId, report: Report, now: Instant) -> Saw {
        let found = self.watches.iter_mut().find(|(_, w)| w.id == report.id);
        let Some((slot, watch)) = found else { return Saw::Nothing };
        let Some(moving) = self.state.slot(*slot).and_then(|r| r.moving.as_ref()) else {
            return Saw::Nothing;
        };
        let role = if moving.from == group { Role::Source } else { Role::Target };
        let saw = watch.saw(role, report, now);
        watch.side(role).told(saw, now, self.limits.poll_time);
        saw
    }

    fn said(&mut self, group: GroupId, word: Word, named: Named, reply: &Value, now: Instant) {
        if let Some(error) = reply.as_error() {
            return self.refused(group, word, named, error, now);
        }
        let Some(watch) = watch_of(&mut self.watches, named) else { return };
        if let Word::Where(role) = word {
            watch.side(role).whereabouts = whereabouts(reply);
        } else {
            accepted(watch, word);
        }
    }

    /// ARM is answered one by one; the others are done for all or say what is wrong with one.
    fn said_many(
        &mut self,
        group: GroupId,
        word: Word,
        all: &[Named],
        reply: &Value,
        now: Instant,
    ) {
        if let (Word::Arm(_), Some(items)) = (word, reply.as_items()) {
            for (named, item) in all.iter().zip(items) {
                match item.as_str() {
                    Some("OK") => self.said(group, word, *named, &Value::Null, now),
                    text => {
                        self.refused(group, word, *named, text.unwrap_or("it gave no reason"), now);
                    }
                }
            }
            return;
        }
        let Some(error) = reply.as_error() else {
            for named in all {
                self.said(group, word, *named, &Value::Null, now);
            }
            return;
        };
        if let [named] = all {
            self.refused(group, word, *named, error, now);
            return;
        }
        for named in all {
            if let Some(watch) = watch_of(&mut self.watches, *named) {
                watch.alone = true;
            }
        }
    }

    fn refused(&mut self, group: GroupId, word: Word, named: Named, error: &str, now: Instant) {
        tracing::debug!(%group, slot = %named.slot, ?word, error, "a node refuses a word");
        self.metrics.words_refused.inc();
        if let Some(watch) = watch_of(&mut self.watches, named) {
            watch.refused(word, format!("group {group}'s node: {error}"), now);
        }
    }

    fn dropped(&mut self, group: GroupId, id: MigrationId, reply: &Value, now: Instant) {
        match reply.as_error() {
            None => self.found.push(Change::Dropped { id }),
            Some(error) => {
                tracing::error!(%group, migration = %id, error, "a node does not drop the copy of a migration that was called off");
            }
        }
        self.debris_at.insert(id, now + DEBRIS_PAUSE);
    }
}

fn watch_of(
    watches: &mut std::collections::BTreeMap<Slot, Watch>,
    named: Named,
) -> Option<&mut Watch> {
    watches.get_mut(&named.slot).filter(|w| w.id == named.id)
}

/// The node did what it was told: no need to ask it what it thinks now.
fn accepted(watch: &mut Watch, word: Word) {
    match word {
        Word::Import => watch.target.sight = Sight::Seen(NodePhase::Importing),
        Word::Export => watch.source.sight = Sight::Seen(NodePhase::Copying),
        Word::Arm(Role::Target) => watch.heard.target_armed = true,
        Word::Arm(Role::Source) => watch.source.sight = Sight::Seen(NodePhase::Armed),
        Word::Durable => watch.heard.durable = true,
        Word::Clean => watch.heard.cleaned = true,
        Word::Abort => watch.heard.aborted = true,
        Word::Where(_) => {}
    }
}

/// `[state, epoch, addr-or--, token-or--]`
fn whereabouts(reply: &Value) -> Option<Whereabouts> {
    let items = reply.as_items()?;
    let epoch = u64::try_from(items.get(1)?.as_int()?).ok()?;
    Some(Whereabouts { state: items.first()?.as_str()?.to_owned(), epoch: Epoch(epoch) })
}
