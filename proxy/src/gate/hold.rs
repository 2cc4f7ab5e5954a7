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
        if self.stage == Stage::Waiting
            && !self.locked
            && self.closed != Some(belief)
            && now >= self.go_at
        {
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
            Stage::Waiting => Some(self.soft_at.min(self.ask_at)),
        }
    }
}

/// A source that was asked to give up is asked again after so long.
const SOFT_AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Again, Aim, FlavourIndex, Origin, Request, Slots};
    use cluster::{Epoch, Slot, Token};

    const SOFT: Duration = Duration::from_millis(50);

    fn belief(node: u16, epoch: u64, token: Option<u128>) -> Route<NodeIndex> {
        Route { node: NodeIndex(node), epoch: Epoch(epoch), token: token.map(Token) }
    }

    fn key(node: u16) -> Key {
        Key { node: NodeIndex(node), lane: 0, flavour: FlavourIndex(0) }
    }

    fn kept(text: &'static str, hops: u32) -> Kept {
        let request = Request {
            origin: Origin::Nobody,
            slots: Slots::One(Slot(1)),
            again: Again::May,
            aim: Aim::Owner,
            flavour: FlavourIndex(0),
            held_since: Some(Instant::now()),
            hops,
        };
        Kept { request, frame: text.into() }
    }

    fn leaving(hold: &mut Hold) -> Vec<String> {
        std::iter::from_fn(|| hold.pop())
            .map(|k| String::from_utf8_lossy(&k.frame).into_owned())
            .collect()
    }

    #[test]
    fn what_came_back_leaves_before_what_came_meanwhile() {
        let now = Instant::now();
        let mut hold = Hold::new(HoldKind::Bounce, belief(0, 1, None), now, SOFT);
        hold.keep(kept("third", 0));
        hold.stuck(key(0));
        hold.take_back(kept("first", 1), now);
        hold.keep(kept("fourth", 0));
        hold.take_back(kept("second", 1), now);
        assert_eq!(
            hold.decide(1, belief(1, 2, None), now),
            Stage::Draining,
            "one is still on its way"
        );
        assert_eq!(hold.decide(0, belief(1, 2, None), now), Stage::Releasing);
        assert_eq!(leaving(&mut hold), ["first", "second", "third", "fourth"]);
    }

    #[test]
    fn a_closed_slot_waits_until_something_new_is_believed() {
        let now = Instant::now();
        let old = belief(0, 1, None);
        for (news, stage) in [
            (old, Stage::Waiting),
            (belief(1, 2, None), Stage::Releasing),
            (belief(0, 1, Some(7)), Stage::Releasing),
            (belief(0, 2, None), Stage::Releasing),
        ] {
            let mut hold = Hold::new(HoldKind::Bounce, old, now, SOFT);
            hold.stuck(key(0));
            hold.found_closed(old);
            assert_eq!(hold.decide(0, old, now), Stage::Waiting);
            assert_eq!(hold.decide(0, news, now), stage, "{news:?}");
        }
        let mut hold = Hold::new(HoldKind::Bounce, old, now, SOFT);
        hold.stuck(key(0));
        hold.found_closed(old);
        hold.opened();
        assert_eq!(hold.decide(0, old, now), Stage::Releasing, "it opened where it was");
    }

    #[test]
    fn a_late_word_does_not_close_what_was_never_tried() {
        let now = Instant::now();
        // Requests went out under the old belief; the new one comes before they are back.
        let (old, new) = (belief(0, 1, None), belief(1, 2, Some(5)));
        let mut hold = Hold::new(HoldKind::Bounce, old, now, SOFT);
        hold.stuck(key(0));
        hold.found_closed(new);
        assert_eq!(hold.decide(0, new, now), Stage::Releasing);
        // Turned away again, now under the new one: this time it counts.
        hold.stuck(key(1));
        hold.found_closed(new);
        assert_eq!(hold.decide(0, new, now), Stage::Waiting);
    }

    #[test]
    fn each_connection_is_told_to_resume_and_shown_the_token_once() {
        let now = Instant::now();
        let mut hold = Hold::new(HoldKind::Bounce, belief(0, 1, None), now, SOFT);
        assert_eq!(hold.stuck(key(0)), Stuck::Now);
        assert_eq!(hold.stuck(key(0)), Stuck::Already);
        hold.decide(0, belief(1, 2, Some(1)), now);
        assert_eq!(hold.take_sticky().as_slice(), [key(0)]);
        assert!(hold.presents(key(1)) && !hold.presents(key(1)));
        assert!(!hold.presents(key(0)), "RESUME was said there already");
    }

    #[test]
    fn requests_that_are_sent_to_and_fro_slow_down() {
        let now = Instant::now();
        let pause = |hops| {
            let mut hold = Hold::new(HoldKind::Bounce, belief(0, 1, None), now, SOFT);
            hold.take_back(kept("x", hops), now);
            (0..200).find(|&ms| {
                hold.decide(0, belief(1, 2, None), now + Duration::from_millis(ms))
                    == Stage::Releasing
            })
        };
        assert_eq!(pause(1), Some(0));
        assert_eq!(pause(HOPS_AT_ONCE), Some(0));
        assert_eq!(pause(HOPS_AT_ONCE + 1), Some(4));
        assert_eq!(pause(1000), Some(128));
    }

    #[test]
    fn a_node_is_asked_after_2_4_8_and_then_every_50_ms() {
        let start = Instant::now();
        let mut hold = Hold::new(HoldKind::Bounce, belief(0, 1, None), start, SOFT);
        hold.stuck(key(0));
        hold.found_closed(belief(0, 1, None));
        hold.decide(0, belief(0, 1, None), start);
        let (mut asked, mut soft) = (Vec::new(), Vec::new());
        for ms in 0..1100 {
            let due = hold.due(start + Duration::from_millis(ms));
            asked.extend(due.ask.then_some(ms));
            soft.extend(due.soft.then_some(ms));
        }
        assert_eq!(asked[..8], [2, 6, 14, 30, 62, 112, 162, 212]);
        assert_eq!(soft, [50, 1050]);
    }

    #[test]
    fn only_what_is_too_old_is_taken_out() {
        let now = Instant::now();
        let mut hold = Hold::new(HoldKind::Bounce, belief(0, 1, None), now, SOFT);
        let mut old = kept("old", 0);
        old.request.held_since = now.checked_sub(Duration::from_secs(1));
        hold.keep(old);
        hold.keep(kept("new", 0));
        let limit = now.checked_sub(Duration::from_millis(500)).unwrap();
        assert!(hold.pop_older_than(limit).is_some_and(|k| &k.frame[..] == b"old"));
        assert!(hold.pop_older_than(limit).is_none());
        assert_eq!(hold.len(), 1);
    }
}
