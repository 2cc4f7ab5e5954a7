//! What is on its way on one connection, and what each reply brings about. Hot path.

use super::Lost;
use crate::dialect::Dialect;
use crate::gate::Verdict;
use crate::inbox::{LONG_BYTES, View};
use crate::outbox::{Outbox, Place};
use crate::replicas;
use crate::request::{Aim, Kept, Origin, Request};
use crate::routes::Way;
use crate::session::replies::Frame;
use crate::words::{self, Bounce, News};
use crate::worker::Worker;
use cluster::Slot;
use protocol::slicer::ReplyScan;
use service::failpoint;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::rc::Rc;

/// What is on its way, and how it is matched.
#[derive(Default)]
pub(super) struct Core {
    pub(super) outbox: Outbox,
    pub(super) pending: VecDeque<Pending>,
    pub(super) scan: ReplyScan,
    pub(super) dialect: Dialect,
}

/// A request on its way.
pub(super) struct Pending {
    pub(super) request: Request,
    pub(super) place: Place,
}

/// What a batch of replies has brought about besides replies.
#[derive(Default)]
pub(super) struct Aftermath {
    pub(super) bounced: Vec<(Kept, Bounce)>,
    /// Held slots that have one request less on its way.
    pub(super) back: SmallVec<[Slot; 8]>,
    pub(super) news: Vec<(Slot, News)>,
    pub(super) passages: Vec<(Slot, Rc<[u8]>, Verdict)>,
    /// Reads that a replica would not serve.
    pub(super) unread: Vec<Kept>,
}

impl Core {
    /// Takes the first `len` bytes: a reply, or a push.
    pub(super) fn reply(
        &mut self,
        worker: &Worker,
        view: &mut View<'_>,
        len: usize,
        aftermath: &mut Aftermath,
    ) -> Result<(), Lost> {
        let bytes = &view.bytes()[..len];
        if bytes[0] == b'>' {
            worker.metrics.pushes.add(1);
            if let Some(news) = words::push(bytes) {
                aftermath.news.push(news);
            }
            view.consume(len);
            return Ok(());
        }
        let Some(Pending { request, place }) = self.pending.pop_front() else {
            return Err(Lost::Unasked);
        };
        for &slot in request.slots.as_slice() {
            if worker.leave(request.aim, slot) == Way::Held {
                aftermath.back.push(slot);
            }
        }
        if request.aim == Aim::Replica && replicas::is_refusal(bytes) {
            let frame = self.outbox.copy(place);
            aftermath.unread.push(Kept { request, frame });
            view.consume(len);
            return Ok(());
        }
        if bytes.starts_with(b"-X")
            && self.dialect == Dialect::Slipway
            && let Some(bounce) = words::bounce(bytes)
        {
            let frame = self.outbox.copy(place);
            aftermath.bounced.push((Kept { request, frame }, bounce));
            view.consume(len);
            return Ok(());
        }
        match request.origin {
            Origin::Client { session, number, part } => {
                let slow = if len < LONG_BYTES {
                    let slow = session.deliver(worker, number, part, Frame::Short(bytes));
                    view.consume(len);
                    slow
                } else {
                    session.deliver(worker, number, part, Frame::Long(view.take(len)))
                };
                if let Some(slow) = slow {
                    worker.log_slow(&session, slow, self.outbox.frame(place));
                }
            }
            Origin::Where(slot) => {
                if let Some(news) = words::state(bytes) {
                    aftermath.news.push((slot, news));
                }
                view.consume(len);
            }
            Origin::Passage(slot, keys) => {
                let said = keys.iter().map(|key| (slot, Rc::clone(key), Verdict::of(bytes, key)));
                aftermath.passages.extend(said);
                view.consume(len);
            }
            Origin::Watch { session, number, keys } => {
                session.watched(worker, number, &keys, bytes);
                view.consume(len);
            }
            Origin::Nobody => {
                failpoint::hit("proxy.resumed");
                view.consume(len);
            }
        }
        Ok(())
    }
}
