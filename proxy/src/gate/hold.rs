//! One slot that cannot be served at the moment: its requests, in order, and what is known of its end. Pure: time is an argument.
//!
//! ```text
//!   turned away, route changed, connection lost
//!        │                ┌───────────────────────── turned away again ──────────────┐
//!        ▼                ▼                                                          │
//!   Draining ── all requests on their way are back ──► Waiting ── something new ──► Releasing ── nothing left ──► (over)
//!        └────────────── and there is something new ───────────────────────────────────▲
//! ```
//!
//! Invariant: requests leave in the order they came. Those that come back from a node are older than all that came meanwhile, and those on
//! their way are back before the first of them leaves again.

use super::passage::Passage;
use crate::metrics::HoldKind;
use crate::request::Kept;
use crate::routes::NodeIndex;
use crate::upstream::Key;
use cluster::route::Route;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// The first pause before a node is asked where a slot is; each is twice the last.
const ASK_FIRST: Duration = Duration::from_millis(2);
/// The longest.
const ASK_PAUSE_MAX: Duration = Duration::from_millis(50);
/// Sent away more often than this, requests no longer follow a hint at once: nodes may point at each other.
const HOPS_AT_ONCE: u32 = 4;
/// Their pauses double so many times, up to 128 ms.
const HOP_PAUSES_MAX: u32 = 6;

/// What a hold is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Requests of the slot are still on their way.
    Draining,
    /// Nobody is known who serves the slot.
    Waiting,
    /// The requests are leaving.
    Releasing,
}

/// One held slot.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) kind: HoldKind,
    pub(crate) stage: Stage,
    /// Whoever fills the slots has locked this one: nothing leaves, whatever is believed.
    locked: bool,
    /// Came back; older than all in `queue`.
    returned: VecDeque<Kept>,
    queue: VecDeque<Kept>,
    /// The slot moves key by key between nodes that are not ours; its line is older than `queue`.
    passage: Option<Box<Passage>>,
    /// The belief under which the requests on their way were sent.
    sent_under: Route<NodeIndex>,
    /// The belief under which the slot was found closed. Any other is worth a try.
    closed: Option<Route<NodeIndex>>,
    /// Connections on which the node turns everything of this slot away until told to resume.
    sticky: SmallVec<[Key; 2]>,
    /// Connections that were told to, since the release began.
    resumed: SmallVec<[Key; 2]>,
    /// Not before then, when nodes point at each other.
    go_at: Instant,
    /// Whether only that pause is in the way.
    paced: bool,
    ask_at: Instant,
    ask_pause: Duration,
    /// When the source is next asked to give the handoff up.
    soft_at: Instant,
}

/// Whether a connection turned requests of the slot away before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stuck {
    Now,
    /// So that it does so again says nothing about the slot.
    Already,
}

/// What it is time for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// Ask the node where the slot is.
    pub(crate) ask: bool,
    /// The hold is long: ask for an end.
    pub(crate) soft: bool,
}

impl Hold {
    /// A hold of requests that were sent under this belief.
    pub(crate) fn new(
        kind: HoldKind,
        belief: Route<NodeIndex>,
        now: Instant,
        soft: Duration,
    ) -> Self {
        Self {
            kind,
            stage: Stage::Draining,
            locked: false,
            returned: VecDeque::new(),
            queue: VecDeque::new(),
            passage: None,
            sent_under: belief,
            closed: None,
            sticky: SmallVec::new(),
            resumed: SmallVec::new(),
            go_at: now,
            paced: false,
            ask_at: now + ASK_FIRST,
            ask_pause: ASK_FIRST,
            soft_at: now + soft,
        }
    }

    /// How many requests are held.
    pub(crate) fn len(&self) -> usize {
        self.returned.len() + self.passage.as_ref().map_or(0, |p| p.len()) + self.queue.len()
    }

    /// From now on requests leave when their keys have.
    pub(crate) fn begin_passage(&mut self, passage: Passage) {
        self.end_passage();
        self.passage = Some(Box::new(passage));
    }

    /// From now on requests leave in their order.
    pub(crate) fn end_passage(&mut self) {
        self.disembark();
        self.passage = None;
    }

    /// The way over, if the slot moves key by key.
    pub(crate) fn passage(&mut self) -> Option<&mut Passage> {
        self.passage.as_deref_mut()
    }

    /// Whether the slot moves key by key, from this node.
    pub(crate) fn passes_from(&self) -> Option<NodeIndex> {
        self.passage.as_ref().map(|passage| passage.source)
    }

    /// Whether anything of the slot is asked at the source of its passage.
    pub(crate) fn is_asking(&self) -> bool {
        self.passage.as_ref().is_some_and(|passage| passage.asks() > 0)
    }

    fn disembark(&mut self) {
        let Some(passage) = &mut self.passage else { return };
        for kept in passage.take_back_to_front() {
            self.queue.push_front(kept);
        }
    }

    /// Nothing leaves until [`Self::unlock`]; what has left is awaited.
    pub(crate) fn lock(&mut self) {
        self.locked = true;
        self.stage = Stage::Draining;
    }

    /// From now on it is the belief that decides.
    pub(crate) fn unlock(&mut self) {
        self.locked = false;
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.locked
    }

    /// Whether there is a hold even if nothing is held.
    pub(crate) fn is_kept(&self) -> bool {
        self.locked || self.passage.is_some()
    }

    /// A new request waits behind the others.
    pub(crate) fn keep(&mut self, kept: Kept) {
        self.queue.push_back(kept);
    }

    /// A request came back unexecuted.
    pub(crate) fn take_back(&mut self, kept: Kept, now: Instant) {
        let pauses = kept.request.hops.saturating_sub(HOPS_AT_ONCE).min(HOP_PAUSES_MAX);
        if pauses > 0 {
            self.go_at = self.go_at.max(now + ASK_FIRST * (1 << pauses));
        }
        self.returned.push_back(kept);
    }

    /// A request of the slot was turned away on connection `by`, which from now on turns away whatever is of this slot.
    pub(crate) fn stuck(&mut self, by: Key) -> Stuck {
        self.kind = HoldKind::Bounce;
        self.stage = Stage::Draining;
        if self.sticky.contains(&by) {
            return Stuck::Already;
        }
        self.sticky.push(by);
        Stuck::Now
    }

    /// It was this slot that turned the request away; `belief` is what is believed after hearing why.
    pub(crate) fn found_closed(&mut self, belief: Route<NodeIndex>) {
        // What came to be believed meanwhile has not been tried: a late word must not keep us from it.
        if self.sent_under == belief {
            self.closed = Some(belief);
        }
    }

    /// Requests of the slot came back from a node that cannot be reached.
    pub(crate) fn cut_off(&mut self, node: NodeIndex, belief: Route<NodeIndex>) {
        self.kind = HoldKind::NodeDown;
        self.stage = Stage::Draining;
        if belief.node == node {
            self.closed = Some(belief);
        }
    }

    /// The node that was believed to be the owner serves the slot again.
    pub(crate) fn opened(&mut self) {
        self.closed = None;
    }

    /// The node under which the slot was found closed.
    pub(crate) fn closed_by(&self) -> Option<NodeIndex> {
        self.closed.map(|route| route.node)
    }

    /// Decides what comes next, given how many requests of the slot are on their way and what is believed.
    pub(crate) fn decide(
        &mut self,
        in_flight: u32,
        belief: Route<NodeIndex>,
        now: Instant,
    ) -> Stage {
        if self.stage == Stage::Draining && in_flight == 0 {
            self.disembark();
            while let Some(kept) = self.returned.pop_back() {
                self.queue.push_front(kept);
            }
            self.stage = Stage::Waiting;
        }
        let may_go = self.stage == Stage::Waiting && !self.locked && self.closed != Some(belief);
        self.paced = may_go && now < self.go_at;
        if may_go && !self.paced {
            self.stage = Stage::Releasing;
            self.sent_under = belief;
            self.resumed.clear();
        }
        self.stage
    }

    /// No connection to the owner: the release has to wait.
    pub(crate) fn stop_release(&mut self, belief: Route<NodeIndex>) {
        self.kind = HoldKind::NodeDown;
        self.stage = Stage::Waiting;
        self.closed = Some(belief);
    }

    /// The next request that would leave.
    pub(crate) fn next(&self) -> Option<&Kept> {
        self.queue.front()
    }

    /// Takes the next request that leaves.
    pub(crate) fn pop(&mut self) -> Option<Kept> {
        self.queue.pop_front()
    }

    /// Takes the oldest request if it was held before `limit`.
    pub(crate) fn pop_older_than(&mut self, limit: Instant) -> Option<Kept> {
        if self.oldest()? > limit {
            return None;
        }
        let aboard = |passage: &mut Box<Passage>| passage.pop();
        self.returned
            .pop_front()
            .or_else(|| self.passage.as_mut().and_then(aboard))
            .or_else(|| self.queue.pop_front())
    }

    /// Since when the oldest request is held.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let aboard = self.passage.as_ref().and_then(|passage| passage.front());
        let oldest = self.returned.front().or(aboard).or(self.queue.front());
        oldest.and_then(|kept| kept.request.held_since)
    }

    /// Takes every request.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Kept> {
        self.disembark();
        let returned = std::mem::take(&mut self.returned);
        returned.into_iter().chain(std::mem::take(&mut self.queue))
    }

    /// Takes the connections that wait for RESUME.
    pub(crate) fn take_sticky(&mut self) -> SmallVec<[Key; 2]> {
        let keys = std::mem::take(&mut self.sticky);
        self.resumed.extend(keys.iter().copied());
        keys
    }

    /// Whether this connection has yet to be shown the token.
    pub(crate) fn presents(&mut self, key: Key) -> bool {
        let fresh = !self.resumed.contains(&key);
        if fresh {
            self.resumed.push(key);
        }
        fresh
    }

    /// What it is time for.
    pub(crate) fn due(&mut self, now: Instant) -> Due {
        let mut due = Due::default();
        if self.locked {
            return due;
        }
        if self.stage == Stage::Waiting && now >= self.ask_at {
            due.ask = true;
            self.ask_pause = (self.ask_pause * 2).min(ASK_PAUSE_MAX);
            self.ask_at = now + self.ask_pause;
        }
        if self.stage != Stage::Releasing && now >= self.soft_at {
            due.soft = true;
            self.soft_at = now + SOFT_AGAIN;
        }
        due
    }

    /// When something is due next, apart from a request's time being up.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        match self.stage {
            _ if self.locked => None,
            Stage::Releasing => self.passage.as_ref().and_then(|passage| passage.due_at()),
            Stage::Draining => Some(self.soft_at),
            Stage::Waiting if self.paced => Some(self.soft_at.min(self.ask_at).min(self.go_at)),
            Stage::Waiting => Some(self.soft_at.min(self.ask_at)),
        }
    }
}

/// A source that was asked to give up is asked again after so long.
const SOFT_AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
